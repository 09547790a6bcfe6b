//! Files on a real disk: what is kept, what is refused.

use std::fs;
use std::sync::Barrier;

use super::super::disk::{Disk as _, RealDisk};
use super::super::*;
use super::{upload, version as v};

#[test]
fn a_folder_without_versions_is_an_empty_shelf_and_stays_as_it_is() {
    let folder = tempfile::tempdir().unwrap();
    let shelf = Shelf::open(folder.path()).unwrap();
    assert_eq!(*shelf.registry(), Registry::default());
    assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 0);
    assert!(Shelf::open(&folder.path().join("nobody")).is_ok());
}

#[test]
fn what_was_deployed_is_there_after_a_restart() {
    let folder = tempfile::tempdir().unwrap();
    let shelf = Shelf::open(folder.path()).unwrap();
    let (changed, staged) = shelf.stage(&upload(b"one", r#"{"name":"Ada"}"#)).unwrap();
    assert_eq!((changed.before.entries().len(), staged), (0, Staged::New(v(1))));
    let changed = shelf.change(|registry| registry.activate(v(1), Force::No)).unwrap();
    assert_eq!((changed.before.active(), changed.after.active()), (None, Some(v(1))));
    let before = shelf.registry();
    drop(shelf);

    let shelf = Shelf::open(folder.path()).unwrap();
    assert_eq!(shelf.registry(), before);
    let stored = shelf.load(v(1)).unwrap();
    assert_eq!((&stored.component[..], &stored.settings[..]), (&b"one"[..], r#"{"name":"Ada"}"#));
}

#[test]
fn a_changed_component_is_refused_by_name_until_the_original_is_back() {
    let folder = tempfile::tempdir().unwrap();
    let shelf = Shelf::open(folder.path()).unwrap();
    shelf.stage(&upload(b"one", "{}")).unwrap();
    let file = folder.path().join("versions/v1/component.wasm");
    fs::write(&file, b"0ne").unwrap();
    let told = shelf.load(v(1)).unwrap_err().to_string();
    assert!(told.contains(&file.display().to_string()), "{told}");
    assert!(told.contains("is not the file that was deployed as v1"), "{told}");
    assert!(told.contains(&Digest::of(b"one").to_string()), "{told}");

    let (_, staged) = shelf.stage(&upload(b"one", "{}")).unwrap();
    assert_eq!(staged, Staged::Same(v(1)));
    assert_eq!(shelf.load(v(1)).unwrap().component, b"one");
}

#[test]
fn changed_settings_are_refused_too() {
    let folder = tempfile::tempdir().unwrap();
    let shelf = Shelf::open(folder.path()).unwrap();
    shelf.stage(&upload(b"one", "{}")).unwrap();
    fs::write(folder.path().join("versions/v1/settings.json"), "[]").unwrap();
    assert!(matches!(shelf.load(v(1)), Err(ShelfError::Tampered { .. })));
}

#[test]
fn an_upload_beyond_the_limit_changes_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let shelf = Shelf::open(folder.path()).unwrap();
    let large = vec![0; limits::COMPONENT_BYTES_MAX + 1];
    let told = shelf.stage(&upload(&large, "{}")).unwrap_err().to_string();
    assert_eq!(told, "the component has 33554433 bytes; at most 33554432 are taken");
    let wordy = "x".repeat(limits::SETTINGS_BYTES_MAX + 1);
    assert!(matches!(shelf.stage(&upload(b"one", &wordy)), Err(ShelfError::TooLarge { .. })));
    assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 0);
}

#[test]
fn deployments_at_once_follow_one_another_and_none_is_lost() {
    let folder = tempfile::tempdir().unwrap();
    let shelf = Shelf::open(folder.path()).unwrap();
    let start = Barrier::new(8);
    std::thread::scope(|scope| {
        for number in 0..8_u8 {
            let (shelf, start) = (&shelf, &start);
            scope.spawn(move || {
                start.wait();
                let (_, staged) = shelf.stage(&upload(&[number], "{}")).unwrap();
                shelf.change(|registry| registry.activate(staged.name(), Force::No)).unwrap();
            });
        }
    });
    let registry = Shelf::open(folder.path()).unwrap().registry();
    assert_eq!(registry.entries().len(), 8);
    assert_eq!(registry.earlier.len(), 7);
    for number in 0..8_u8 {
        assert!(registry.entries().iter().any(|entry| entry.component == Digest::of(&[number])));
    }
}

#[test]
fn another_process_that_is_writing_is_respected() {
    let folder = tempfile::tempdir().unwrap();
    let shelf = Shelf::open(folder.path()).unwrap();
    shelf.stage(&upload(b"one", "{}")).unwrap();
    // A lock belongs to an open file, so a second one of this process counts as another's.
    let held = RealDisk.lock(&folder.path().join(".shelf.lock")).unwrap().expect("nobody holds it");
    let theirs = folder.path().join("versions/.part");
    fs::create_dir(&theirs).unwrap();

    let told = shelf.stage(&upload(b"two", "{}")).unwrap_err().to_string();
    assert!(told.starts_with("another cordboard process is changing"), "{told}");
    // A gateway that starts meanwhile serves what is there and leaves the other's work alone.
    let second = Shelf::open(folder.path()).unwrap();
    assert_eq!(second.registry().entries().len(), 1);
    assert!(theirs.exists());

    drop(held);
    shelf.stage(&upload(b"two", "{}")).unwrap();
    assert!(!theirs.exists());
    assert_eq!(second.reread().unwrap().after.entries().len(), 2);
}

#[test]
fn versions_that_leave_the_list_leave_the_disk() {
    let folder = tempfile::tempdir().unwrap();
    let shelf = Shelf::open(folder.path()).unwrap();
    for number in 0..=limits::VERSIONS_KEPT_MAX {
        shelf.stage(&upload(&number.to_be_bytes(), "{}")).unwrap();
    }
    assert!(!shelf.version_folder(v(1)).exists());
    assert!(shelf.version_folder(v(2)).exists());
    shelf.change(|registry| registry.retire(v(2))).unwrap();
    assert!(!shelf.version_folder(v(2)).exists());
}

#[test]
fn a_lost_registry_is_not_taken_for_an_empty_one() {
    let folder = tempfile::tempdir().unwrap();
    Shelf::open(folder.path()).unwrap().stage(&upload(b"one", "{}")).unwrap();
    fs::remove_file(folder.path().join("registry.toml")).unwrap();
    let told = Shelf::open(folder.path()).map(|_| ()).unwrap_err().to_string();
    assert!(told.contains("is missing, although versions/ holds v1"), "{told}");
    assert!(folder.path().join("versions/v1/component.wasm").exists());
}

#[test]
fn strangers_in_the_folder_are_left_alone() {
    let folder = tempfile::tempdir().unwrap();
    fs::create_dir_all(folder.path().join("versions/backup")).unwrap();
    fs::write(folder.path().join("tenant.toml"), "settings = {}").unwrap();
    let shelf = Shelf::open(folder.path()).unwrap();
    shelf.stage(&upload(b"one", "{}")).unwrap();
    drop(Shelf::open(folder.path()).unwrap());
    assert!(
        folder.path().join("versions/backup").exists()
            && folder.path().join("tenant.toml").exists()
    );
}
