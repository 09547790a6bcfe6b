//! Files on a real disk: what is kept, what is refused.

use std::fs;
use std::sync::Barrier;

use super::super::disk::{Disk as _, RealDisk};
use super::super::*;
use super::{upload, version as v};

#[test]
fn a_folder_without_versions_is_an_empty_store_and_stays_as_it_is() {
    let folder = tempfile::tempdir().unwrap();
    let store = VersionStore::open(folder.path()).unwrap();
    assert_eq!(*store.releases(), ReleaseState::default());
    assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 0);
    assert!(VersionStore::open(&folder.path().join("nobody")).is_ok());
}

#[test]
fn what_was_deployed_is_there_after_a_restart() {
    let folder = tempfile::tempdir().unwrap();
    let store = VersionStore::open(folder.path()).unwrap();
    let (changed, staged) = store.stage(&upload(b"one", r#"{"name":"Ada"}"#)).unwrap();
    assert_eq!((changed.before.entries().len(), staged), (0, Staged::New(v(1))));
    let changed = store.change(|releases| releases.activate(v(1), Force::No)).unwrap();
    assert_eq!((changed.before.active(), changed.after.active()), (None, Some(v(1))));
    let before = store.releases();
    drop(store);

    let store = VersionStore::open(folder.path()).unwrap();
    assert_eq!(store.releases(), before);
    let stored = store.load(v(1)).unwrap();
    assert_eq!((&stored.component[..], &stored.settings[..]), (&b"one"[..], r#"{"name":"Ada"}"#));
}

#[test]
fn a_state_that_is_lost_or_broken_is_known_by_its_copy() {
    let folder = tempfile::tempdir().unwrap();
    let store = two_active(folder.path());
    let before = store.change(|releases| releases.rollback("it stuttered")).unwrap().after;
    let file = folder.path().join("releases.toml");
    let good = fs::read(&file).unwrap();
    for broken in [None, Some(&b""[..]), Some(&good[..good.len() / 2]), Some(b"\xff\0\x01")] {
        match broken {
            None => fs::remove_file(&file).unwrap(),
            Some(bytes) => fs::write(&file, bytes).unwrap(),
        }
        assert!(VersionStore::open(folder.path()).is_err(), "{broken:?}");
        let store = VersionStore::recovered(folder.path());
        assert_eq!(store.releases(), before, "{broken:?}");
        assert!(
            store.change(|it| it.activate(v(2), Force::Yes)).is_err(),
            "nothing is overwritten"
        );
        let (seen, error) = VersionStore::seen(folder.path());
        assert!(error.is_some() && seen.releases() == before);
    }
    fs::write(&file, good).unwrap();
    assert_eq!(VersionStore::open(folder.path()).unwrap().releases(), before);
}

#[test]
fn without_state_and_copy_the_newest_whole_version_counts_as_active() {
    let folder = tempfile::tempdir().unwrap();
    two_active(folder.path());
    for name in ["releases.toml", ".releases.toml.last"] {
        fs::remove_file(folder.path().join(name)).unwrap();
    }
    let found = VersionStore::recovered(folder.path()).releases();
    assert_eq!((found.active(), found.previous()), (Some(v(2)), Some(v(1))));
    fs::remove_file(folder.path().join("versions/v2/settings.json")).unwrap();
    let store = VersionStore::recovered(folder.path());
    assert_eq!(store.releases().active(), Some(v(1)));
    assert_eq!(store.load(v(1)).unwrap().component, b"one");
}

#[test]
fn a_copy_is_made_of_the_state_of_an_older_gateway_and_none_outlives_its_versions() {
    let folder = tempfile::tempdir().unwrap();
    two_active(folder.path());
    let copy = folder.path().join(".releases.toml.last");
    fs::remove_file(&copy).unwrap();
    VersionStore::open(folder.path()).unwrap();
    assert!(copy.is_file());
    fs::remove_file(folder.path().join("releases.toml")).unwrap();
    fs::remove_dir_all(folder.path().join("versions")).unwrap();
    assert_eq!(*VersionStore::open(folder.path()).unwrap().releases(), ReleaseState::default());
    assert_eq!(*VersionStore::recovered(folder.path()).releases(), ReleaseState::default());
}

/// A store whose `v2` is active and whose `v1` was.
fn two_active(folder: &std::path::Path) -> VersionStore {
    let store = VersionStore::open(folder).unwrap();
    for (component, name) in [(&b"one"[..], v(1)), (b"two", v(2))] {
        store.stage(&upload(component, "{}")).unwrap();
        store.change(|releases| releases.activate(name, Force::No)).unwrap();
    }
    store
}

#[test]
fn a_changed_component_is_refused_by_name_until_the_original_is_back() {
    let folder = tempfile::tempdir().unwrap();
    let store = VersionStore::open(folder.path()).unwrap();
    store.stage(&upload(b"one", "{}")).unwrap();
    let file = folder.path().join("versions/v1/component.wasm");
    fs::write(&file, b"0ne").unwrap();
    let told = store.load(v(1)).unwrap_err().to_string();
    assert!(told.contains(&file.display().to_string()), "{told}");
    assert!(told.contains("is not the file that was deployed as v1"), "{told}");
    assert!(told.contains(&Digest::of(b"one").to_string()), "{told}");

    let (_, staged) = store.stage(&upload(b"one", "{}")).unwrap();
    assert_eq!(staged, Staged::Same(v(1)));
    assert_eq!(store.load(v(1)).unwrap().component, b"one");
}

#[test]
fn changed_settings_are_refused_too() {
    let folder = tempfile::tempdir().unwrap();
    let store = VersionStore::open(folder.path()).unwrap();
    store.stage(&upload(b"one", "{}")).unwrap();
    fs::write(folder.path().join("versions/v1/settings.json"), "[]").unwrap();
    assert!(matches!(store.load(v(1)), Err(VersionStoreError::Tampered { .. })));
}

#[test]
fn an_upload_beyond_the_limit_changes_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let store = VersionStore::open(folder.path()).unwrap();
    let large = vec![0; limits::COMPONENT_BYTES_MAX + 1];
    let told = store.stage(&upload(&large, "{}")).unwrap_err().to_string();
    assert_eq!(told, "the component has 33554433 bytes; at most 33554432 are taken");
    let wordy = "x".repeat(limits::SETTINGS_BYTES_MAX + 1);
    assert!(matches!(
        store.stage(&upload(b"one", &wordy)),
        Err(VersionStoreError::TooLarge { .. })
    ));
    assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 0);
}

#[test]
fn deployments_at_once_follow_one_another_and_none_is_lost() {
    let folder = tempfile::tempdir().unwrap();
    let store = VersionStore::open(folder.path()).unwrap();
    let start = Barrier::new(8);
    std::thread::scope(|scope| {
        for number in 0..8_u8 {
            let (store, start) = (&store, &start);
            scope.spawn(move || {
                start.wait();
                let (_, staged) = store.stage(&upload(&[number], "{}")).unwrap();
                store.change(|releases| releases.activate(staged.name(), Force::No)).unwrap();
            });
        }
    });
    let releases = VersionStore::open(folder.path()).unwrap().releases();
    assert_eq!(releases.entries().len(), 8);
    assert_eq!(releases.earlier.len(), 7);
    for number in 0..8_u8 {
        assert!(releases.entries().iter().any(|entry| entry.component == Digest::of(&[number])));
    }
}

#[test]
fn another_process_that_is_writing_is_respected() {
    let folder = tempfile::tempdir().unwrap();
    let store = VersionStore::open(folder.path()).unwrap();
    store.stage(&upload(b"one", "{}")).unwrap();
    // A lock belongs to an open file, so a second one of this process counts as another's.
    let held = RealDisk.lock(&folder.path().join(".store.lock")).unwrap().expect("nobody holds it");
    let theirs = folder.path().join("versions/.part");
    fs::create_dir(&theirs).unwrap();

    let told = store.stage(&upload(b"two", "{}")).unwrap_err().to_string();
    assert!(told.starts_with("another cordboard process is changing"), "{told}");
    // A gateway that starts meanwhile serves what is there and leaves the other's work alone.
    let second = VersionStore::open(folder.path()).unwrap();
    assert_eq!(second.releases().entries().len(), 1);
    assert!(theirs.exists());

    drop(held);
    store.stage(&upload(b"two", "{}")).unwrap();
    assert!(!theirs.exists());
    assert_eq!(second.reread().unwrap().after.entries().len(), 2);
}

#[test]
fn versions_that_leave_the_list_leave_the_disk() {
    let folder = tempfile::tempdir().unwrap();
    let store = VersionStore::open(folder.path()).unwrap();
    for number in 0..=limits::VERSIONS_KEPT_MAX {
        store.stage(&upload(&number.to_be_bytes(), "{}")).unwrap();
    }
    assert!(!store.version_folder(v(1)).exists());
    assert!(store.version_folder(v(2)).exists());
    store.change(|releases| releases.retire(v(2))).unwrap();
    assert!(!store.version_folder(v(2)).exists());
}

#[test]
fn a_state_written_by_0_1_is_read_and_takes_its_new_name_with_the_next_change() {
    let folder = tempfile::tempdir().unwrap();
    let store = VersionStore::open(folder.path()).unwrap();
    store.stage(&upload(b"one", "{}")).unwrap();
    store.change(|releases| releases.activate(v(1), Force::No)).unwrap();
    let (new, old) = (folder.path().join("releases.toml"), folder.path().join("registry.toml"));
    fs::rename(&new, &old).unwrap();
    fs::rename(folder.path().join(".store.lock"), folder.path().join(".shelf.lock")).unwrap();
    drop(store);

    let store = VersionStore::open(folder.path()).unwrap();
    assert_eq!(store.releases().active(), Some(v(1)));
    assert!(old.exists(), "nothing was changed yet");

    store.stage(&upload(b"two", "{}")).unwrap();
    assert!(new.exists() && !old.exists());
    assert_eq!(VersionStore::open(folder.path()).unwrap().releases().active(), Some(v(1)));
}

#[test]
fn a_lost_state_is_not_taken_for_an_empty_one() {
    let folder = tempfile::tempdir().unwrap();
    VersionStore::open(folder.path()).unwrap().stage(&upload(b"one", "{}")).unwrap();
    fs::remove_file(folder.path().join("releases.toml")).unwrap();
    let told = VersionStore::open(folder.path()).map(|_| ()).unwrap_err().to_string();
    assert!(told.contains("is missing, although versions/ holds v1"), "{told}");
    assert!(folder.path().join("versions/v1/component.wasm").exists());
}

#[test]
fn strangers_in_the_folder_are_left_alone() {
    let folder = tempfile::tempdir().unwrap();
    fs::create_dir_all(folder.path().join("versions/backup")).unwrap();
    fs::write(folder.path().join("tenant.toml"), "settings = {}").unwrap();
    let store = VersionStore::open(folder.path()).unwrap();
    store.stage(&upload(b"one", "{}")).unwrap();
    drop(VersionStore::open(folder.path()).unwrap());
    assert!(
        folder.path().join("versions/backup").exists()
            && folder.path().join("tenant.toml").exists()
    );
}
