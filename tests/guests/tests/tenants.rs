//! TenantTable from a directory: who answers which number, and that a broken one harms no other.

use std::borrow::Cow;
use std::collections::BTreeSet;
use std::fs;
use std::path::Path;
use std::sync::Arc;

use cordboard_misbehaving_guests::{bytes, engine};
use cordboard_tenant::{
    CompileLimits, Tenant, TenantDirectory, TenantError, TenantReport, TenantTable, Version,
    VersionBuilder,
};
use serde_json::{Map, Value, json};

#[test]
fn without_a_directory_the_default_tenant_answers_everything() {
    let (tenants, errors) = open(None);

    assert!(errors.is_empty());
    let tenant = tenants.for_number("+15550100").expect("it is in service");
    assert_eq!(tenant.id().as_str(), "default");
    assert_eq!(named(tenant).settings, r#"{"voice":"marin"}"#);
}

#[test]
fn a_number_reaches_its_tenant_with_its_own_settings() {
    let dir = tempfile::tempdir().unwrap();
    write(
        dir.path(),
        "acme",
        "numbers = ['+15550123']\n[settings]\nvoice = 'cedar'\nmood = 'calm'",
    );
    write(dir.path(), "default", "[settings]\nmood = 'plain'");

    let (tenants, errors) = open(Some(dir.path()));

    assert!(errors.is_empty(), "{errors:?}");
    let acme = named(tenants.for_number("+15550123").expect("it is claimed"));
    assert_eq!(acme.tenant.as_str(), "acme");
    let settings: Value = serde_json::from_str(&acme.settings).unwrap();
    assert_eq!(settings, json!({"voice": "cedar", "mood": "calm"}));
    let other = named(tenants.for_number("+15550199").expect("default answers it"));
    let settings: Value = serde_json::from_str(&other.settings).unwrap();
    assert_eq!(settings, json!({"voice": "marin", "mood": "plain"}));
    assert_ne!(acme.name, other.name, "other settings are another version");
    assert_eq!(acme.component.digest(), other.component.digest());
}

#[test]
fn whatever_a_manifest_changes_for_a_call_is_another_version() {
    let manifests = [
        "",
        "[settings]\nmood = 'calm'",
        "[limits]\nmemory_mib = 8",
        "[limits]\nmemory_mib_all_calls = 8",
        "[http]\nallow = ['https://api.example.com/']",
        "[http]\nallow = ['https://api.example.com/']\nsecrets = ['CRM_TOKEN']",
        "[transfer]\nallow = ['+4930']",
        "[keys]\nallow = '1'",
    ];
    let dir = tempfile::tempdir().unwrap();
    for (at, manifest) in manifests.iter().enumerate() {
        write(dir.path(), &format!("t{at}"), manifest);
    }
    write(dir.path(), "twin", manifests[4]);

    let (tenants, errors) = open(Some(dir.path()));

    assert!(errors.is_empty(), "{errors:?}");
    let name = |id: &str| named(tenants.tenant(id).expect("it is there")).name.clone();
    let names: BTreeSet<_> = (0..manifests.len()).map(|at| name(&format!("t{at}"))).collect();
    assert_eq!(names.len(), manifests.len(), "{names:?}");
    assert_eq!(name("twin"), name("t4"), "the same manifest is the same version");
}

#[test]
fn broken_tenants_are_reported_with_file_and_key_and_the_others_live() {
    let dir = tempfile::tempdir().unwrap();
    write(dir.path(), "sound", "component = 'own.wasm'");
    fs::write(dir.path().join("sound/own.wasm"), bytes("exits")).unwrap();
    write(dir.path(), "syntax", "numbers = [");
    write(dir.path(), "number", "numbers = ['911']");
    write(dir.path(), "missing", "component = 'nowhere.wasm'");
    write(dir.path(), "module", "component = 'own.wasm'");
    fs::write(dir.path().join("module/own.wasm"), b"\0asm\x01\0\0\0").unwrap();
    fs::create_dir(dir.path().join("Bad Name")).unwrap();
    fs::create_dir(dir.path().join("empty")).unwrap();
    fs::create_dir(dir.path().join(".compiled")).unwrap();
    fs::write(dir.path().join("notes.txt"), "not a tenant").unwrap();

    let (tenants, errors) = open(Some(dir.path()));

    let mut broken: Vec<_> = errors.iter().map(|e| e.tenant.as_str()).collect();
    broken.sort_unstable();
    // Once for the file, and once for the numbers that are lost with it.
    broken.dedup();
    assert_eq!(broken, ["Bad Name", "empty", "missing", "module", "number", "syntax"]);
    let said = |tenant: &str| {
        errors.iter().find(|e| e.tenant == tenant).expect("it is reported").to_string()
    };
    assert!(said("number").contains("tenant.toml: numbers: \"911\""), "{}", said("number"));
    assert!(said("missing").contains("nowhere.wasm"), "{}", said("missing"));
    assert!(said("module").contains("core module, not a component"), "{}", said("module"));
    let ids: Vec<_> = tenants.iter().map(|tenant| tenant.id().as_str()).collect();
    assert_eq!(ids, ["missing", "module", "number", "sound", "syntax"]);
    let answering = tenants.iter().filter(|tenant| tenant.named().is_ok());
    assert_eq!(answering.map(|tenant| tenant.id().as_str()).collect::<Vec<_>>(), ["sound"]);
    let (reports, seen) = TenantDirectory::survey(dir.path(), &CompileLimits::default());
    let mut words: Vec<String> = seen.iter().map(ToString::to_string).collect();
    let told = |it: &TenantReport| Some(format!("tenant `{}`: {}", it.id, it.trouble.as_ref()?));
    words.extend(reports.iter().filter_map(told));
    let mut opened: Vec<String> = errors.iter().map(ToString::to_string).collect();
    opened.retain(|words| !words.contains("as long as nobody knows"));
    words.sort_unstable();
    opened.sort_unstable();
    assert_eq!(words, opened, "the survey finds the same without compiling");
    let answering = reports.iter().filter(|tenant| tenant.answers);
    assert_eq!(answering.map(|tenant| tenant.id.as_str()).collect::<Vec<_>>(), ["sound"]);
}

#[test]
fn a_broken_tenants_number_is_out_of_service_and_not_answered_by_another() {
    let dir = tempfile::tempdir().unwrap();
    write(dir.path(), "broken", "component = 'own.wasm'\nnumbers = ['+15550123']");
    fs::write(dir.path().join("broken/own.wasm"), b"\0asm\x01\0\0\0").unwrap();
    write(dir.path(), "key", "numbers = ['+15550124', '911']\ncolour = 'red'");
    write(dir.path(), "later", "numbers = ['+15550123', '+15550125']");

    let (tenants, errors) = open(Some(dir.path()));

    assert_eq!(errors.len(), 3, "{errors:?}");
    for (number, owner) in [("+15550123", "broken"), ("+15550124", "key"), ("+15550125", "later")] {
        let tenant = tenants.for_number(number).expect("it keeps its number");
        assert_eq!(tenant.id().as_str(), owner);
        assert!(tenant.named().is_err(), "{number} is a broken tenant's");
    }
}

#[test]
fn a_number_that_no_tenant_claims_is_answered_by_nobody_unless_the_operator_made_a_default() {
    let dir = tempfile::tempdir().unwrap();
    let (tenants, _) = open(Some(dir.path()));
    assert!(tenants.for_number("+15550199").is_some(), "without tenants the built-in one answers");

    write(dir.path(), "acme", "numbers = ['+15550123']");
    let (tenants, _) = open(Some(dir.path()));
    assert!(tenants.for_number("+15550199").is_none());
    assert!(tenants.tenant("default").is_none(), "nobody asked for the built-in assistant");

    write(dir.path(), "default", "");
    let (tenants, _) = open(Some(dir.path()));
    let tenant = tenants.for_number("+15550199").expect("the operator named one for it");
    assert_eq!(tenant.id().as_str(), "default");
}

#[test]
fn what_may_be_a_broken_tenants_number_is_answered_by_nobody() {
    for broken in [&b"\xff\0\x01"[..], b"numbers = [\"+1555"] {
        let dir = tempfile::tempdir().unwrap();
        write(dir.path(), "default", "");
        write(dir.path(), "acme", "");
        fs::write(dir.path().join("acme/tenant.toml"), broken).unwrap();
        let (tenants, errors) = open(Some(dir.path()));
        assert!(tenants.for_number("+15550123").is_none());
        let said = errors.iter().map(ToString::to_string).collect::<String>();
        assert!(said.contains("those that no tenant claims are answered by nobody"), "{said}");
    }
}

#[test]
fn a_number_belongs_to_one_tenant() {
    let dir = tempfile::tempdir().unwrap();
    write(dir.path(), "first", "numbers = ['+15550123']");
    write(dir.path(), "second", "numbers = ['+15550123']");

    let (tenants, errors) = open(Some(dir.path()));

    let first = tenants.for_number("+15550123").expect("it is in service");
    assert_eq!(first.id().as_str(), "first");
    assert!(errors[0].to_string().contains("already belongs to tenant `first`"), "{}", errors[0]);
}

#[test]
fn a_directory_that_is_not_there_is_reported_and_calls_are_answered() {
    let (tenants, errors) = open(Some(Path::new("/nowhere/at/all")));

    assert!(errors[0].to_string().contains("/nowhere/at/all"), "{}", errors[0]);
    assert_eq!(tenants.iter().count(), 1);
}

#[test]
fn a_tenant_has_no_more_calls_than_it_may_have() {
    let dir = tempfile::tempdir().unwrap();
    write(dir.path(), "acme", "max_calls = 2");
    write(dir.path(), "other", "");
    let (tenants, _) = open(Some(dir.path()));
    let acme = tenants.tenant("acme").expect("it is there");

    let admitted = |tenant: &Arc<Tenant>| tenant.admit(Arc::clone(named(tenant)));
    let first = admitted(acme).unwrap();
    let _second = admitted(acme).unwrap();
    let full = admitted(acme).unwrap_err();
    assert_eq!(full.to_string(), "tenant `acme` has its 2 calls already");
    assert_eq!(acme.live_calls(), 2);

    drop(first);
    assert!(admitted(acme).is_ok(), "a call that ended gives its place back");
    let other = tenants.tenant("other").expect("it is there");
    assert!(admitted(other).is_ok(), "the others' places are their own");
}

#[test]
fn an_unusable_default_component_is_an_error_of_its_own() {
    let builder = builder(Map::new(), Cow::Borrowed(b"nothing"));

    let error = TenantTable::open(None, &builder).unwrap_err();

    assert!(error.to_string().contains("not WebAssembly"), "{error}");
}

fn open(dir: Option<&Path>) -> (TenantTable, Vec<TenantError>) {
    let default_settings = Map::from_iter([("voice".to_owned(), json!("marin"))]);
    let builder = builder(default_settings, bytes("echoes").into());
    TenantTable::open(dir, &builder).expect("the default is sound")
}

fn builder(
    default_settings: Map<String, Value>,
    default_component: Cow<'static, [u8]>,
) -> VersionBuilder {
    VersionBuilder {
        engine: engine().clone(),
        limits: CompileLimits {
            component_bytes_max: 32 << 20,
            compile_deadline: std::time::Duration::from_secs(600),
        },
        cache: None,
        default_component,
        default_settings,
        max_calls: 10,
    }
}

fn named(tenant: &Tenant) -> &Arc<Version> {
    tenant.named().expect("its folder is sound")
}

fn write(dir: &Path, tenant: &str, manifest: &str) {
    fs::create_dir_all(dir.join(tenant)).expect("a directory of ours");
    fs::write(dir.join(tenant).join("tenant.toml"), manifest).expect("a directory of ours");
}
