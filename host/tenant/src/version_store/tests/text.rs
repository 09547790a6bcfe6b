//! What a person reads in `releases.toml`, and what they are told after a slip.

use super::super::file::{parse, print};
use super::super::*;
use super::{upload, version as v};

#[test]
fn the_file_reads_like_a_deployment() {
    let text = print(&example(), "acme");
    assert!(text.starts_with("# The versions of tenant acme. Written by cordboard"), "{text}");
    let (_, body) = text.split_once("\n\n").expect("the essay and the body");
    let expected = format!(
        r#"format = 1
policy = "migrate"
active = "v2"
earlier = ["v1"]
staged = 3

[canary]
version = "v3"
percent = 10

[[versions]]
name = "v1"
component_sha256 = "{one}"
settings_sha256 = "{empty}"
when = 2026-11-22T10:00:00Z
by = "ops"
note = "the first"

[[versions]]
name = "v2"
component_sha256 = "{two}"
settings_sha256 = "{empty}"
when = 2026-11-22T10:00:00Z
by = "ops"

[[versions]]
name = "v3"
component_sha256 = "{three}"
settings_sha256 = "{empty}"
when = 2026-11-22T10:00:00Z
by = "ops"
"#,
        one = Digest::of(b"one"),
        two = Digest::of(b"two"),
        three = Digest::of(b"three"),
        empty = Digest::of(b"{}"),
    );
    assert_eq!(body, expected);
}

#[test]
fn what_is_written_is_read_back() {
    let releases = example()
        .note_folder(Digest::of(b"files"))
        .cast_shadow(v(1), Share::of_shadow(100).unwrap())
        .unwrap()
        .rollback("stuttered \"so\"\n\u{1b}[31m")
        .unwrap();
    assert_eq!(parse(&print(&releases, "acme")), Ok(releases));
    assert_eq!(parse(&print(&ReleaseState::default(), "acme")), Ok(ReleaseState::default()));
}

#[test]
fn every_slip_is_answered_with_its_line_and_what_to_write() {
    let sum = Digest::of(b"one").to_string();
    let cases: &[(&str, &str, &str, &str)] = &[
        (
            "an unknown version",
            "active = \"v2\"",
            "active = \"v9\"",
            "those in this file are: v1, v2, v3",
        ),
        ("no version's name", "active = \"v2\"", "active = \"two\"", "for example v3"),
        ("a syntax error", "active = \"v2\"", "active = \"v2", "invalid basic string"),
        ("an unknown key", "active = ", "actve = ", "unknown field `actve`"),
        ("a full canary", "percent = 10", "percent = 100", "from 1 to 99"),
        ("the active one as canary", "version = \"v3\"", "version = \"v2\"", "delete [canary]"),
        ("a forgotten count", "staged = 3", "staged = 1", "staged must be 3 or more"),
        ("a version twice", "name = \"v3\"", "name = \"v1\"", "v1 stands here twice"),
        ("no policy", "policy = \"migrate\"", "policy = \"maybe\"", "`pin`"),
        ("a shortened sum", &sum, &sum[..63], "64 hexadecimal digits"),
        ("a date alone", "when = 2026-11-22T10:00:00Z", "when = 2026-11-22", "an offset"),
        ("tomorrow's format", "format = 1", "format = 2", "newer cordboard"),
    ];
    let text = print(&example(), "acme");
    for (slip, written, wrong, told) in cases {
        let at =
            text.find(written).unwrap_or_else(|| panic!("{slip}: {written:?} stands in the file"));
        let line = text[..at].lines().count() + usize::from(text[..at].ends_with('\n'));
        let fault = parse(&text.replacen(written, wrong, 1)).expect_err(slip);
        assert_eq!(fault.line, Some(line), "{slip}: {fault:?}");
        assert!(fault.what.contains(told), "{slip}: {fault:?}");
    }
}

#[test]
fn a_broken_file_is_named_and_the_last_good_state_goes_on() {
    let folder = tempfile::tempdir().unwrap();
    let store = VersionStore::open(folder.path()).unwrap();
    store.stage(&upload(b"one", "{}")).unwrap();
    store.change(|releases| releases.activate(v(1), Force::No)).unwrap();
    let file = folder.path().join("releases.toml");
    let good = std::fs::read_to_string(&file).unwrap();
    std::fs::write(&file, good.replace("active = \"v1\"", "active = \"v7\"")).unwrap();

    let told = store.reread().unwrap_err().to_string();
    assert!(told.starts_with(&format!("{}, line ", file.display())), "{told}");
    assert!(told.contains("active is v7") && told.contains("repair the line"), "{told}");
    assert_eq!(store.releases().choose("CA1"), Some(v(1)));
    // A deployment would overwrite what the person was writing.
    assert!(matches!(store.stage(&upload(b"two", "{}")), Err(VersionStoreError::Broken { .. })));
    assert!(matches!(VersionStore::open(folder.path()), Err(VersionStoreError::Broken { .. })));
    assert!(std::fs::read_to_string(&file).unwrap().contains("v7"));

    std::fs::write(&file, good).unwrap();
    store.stage(&upload(b"two", "{}")).unwrap();
    assert_eq!(store.releases().entries().len(), 2);
}

#[test]
fn a_deployment_builds_on_what_was_edited_by_hand() {
    let folder = tempfile::tempdir().unwrap();
    let store = VersionStore::open(folder.path()).unwrap();
    store.stage(&upload(b"one", "{}")).unwrap();
    let file = folder.path().join("releases.toml");
    let text = std::fs::read_to_string(&file).unwrap();
    std::fs::write(
        &file,
        text.replace("policy = \"pin\"", "policy = \"migrate\"\nactive = \"v1\""),
    )
    .unwrap();
    store.stage(&upload(b"two", "{}")).unwrap();
    assert_eq!(store.releases().active(), Some(v(1)));
    assert_eq!(store.releases().policy(), Policy::Migrate);
}

fn example() -> ReleaseState {
    let mut releases = ReleaseState::default();
    for (component, note) in [(&b"one"[..], "the first"), (b"two", ""), (b"three", "")] {
        let offer = Offer {
            component: Digest::of(component),
            settings: Digest::of(b"{}"),
            when: When::from_unix(1_795_341_600),
            by: "ops".to_owned(),
            note: note.to_owned(),
        };
        releases = releases.stage(offer).unwrap().0;
    }
    let releases = releases.activate(v(1), Force::No).unwrap().activate(v(2), Force::No).unwrap();
    releases
        .candidate(v(3), Share::percent(10).unwrap(), Force::No)
        .unwrap()
        .set_policy(Policy::Migrate)
}
