//! Compiled components on disk: used when they are ours and whole, compiled again otherwise.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::sync::Barrier;
use std::thread;

use cordboard_misbehaving_guests::{Stand, bytes, engine};
use cordboard_tenant::{CompileLimits, CompiledCache, Component, Limits};

#[test]
fn a_component_is_compiled_once_and_answers_alike_from_the_cache() {
    let dir = tempfile::tempdir().unwrap();
    let first = load(dir.path(), "echoes");
    let second = load(dir.path(), "echoes");

    assert!(!first.was_cached() && second.was_cached());
    assert_eq!(first.digest(), second.digest());
    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    runtime.block_on(async {
        let mut guest = Stand::start_component(&second, Limits::default(), 1).await.unwrap();
        assert!(guest.echoes().await);
    });
}

#[test]
fn a_changed_entry_is_never_loaded_but_compiled_again() {
    let dir = tempfile::tempdir().unwrap();
    load(dir.path(), "echoes");
    let whole = fs::read(entry(dir.path())).unwrap();
    let far = whole.len() - 1;
    for (at, what) in [(0, "seal"), (31, "seal"), (32, "header"), (far / 2, "code"), (far, "end")] {
        let mut changed = whole.clone();
        changed[at] ^= 1;
        fs::write(entry(dir.path()), changed).unwrap();

        assert!(!load(dir.path(), "echoes").was_cached(), "one bit of its {what} was changed");
        assert!(load(dir.path(), "echoes").was_cached(), "the entry was repaired");
    }
}

#[test]
fn a_truncated_or_empty_entry_is_compiled_again() {
    let dir = tempfile::tempdir().unwrap();
    load(dir.path(), "echoes");
    let whole = fs::read(entry(dir.path())).unwrap();
    for length in [0, 31, 32, whole.len() / 2, whole.len() - 1] {
        fs::write(entry(dir.path()), &whole[..length]).unwrap();

        assert!(!load(dir.path(), "echoes").was_cached(), "{length} bytes");
    }
}

#[test]
fn one_components_entry_does_not_pass_for_anothers() {
    let (mine, other) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    load(other.path(), "exits");
    fs::copy(other.path().join("key"), mine.path().join("key")).unwrap();
    load(mine.path(), "echoes");
    fs::copy(entry(other.path()), entry(mine.path())).unwrap();

    let loaded = load(mine.path(), "echoes");

    assert!(!loaded.was_cached(), "sealed with our key, but for other bytes");
}

#[test]
fn an_entry_sealed_with_another_key_is_compiled_again() {
    let dir = tempfile::tempdir().unwrap();
    load(dir.path(), "echoes");
    fs::remove_file(dir.path().join("key")).unwrap();

    assert!(!load(dir.path(), "echoes").was_cached());
    assert!(load(dir.path(), "echoes").was_cached());
}

#[test]
fn a_key_that_others_can_read_is_not_trusted() {
    let dir = tempfile::tempdir().unwrap();
    load(dir.path(), "echoes");
    let key = dir.path().join("key");
    assert_eq!(fs::metadata(&key).unwrap().permissions().mode() & 0o777, 0o600);
    fs::set_permissions(&key, fs::Permissions::from_mode(0o644)).unwrap();

    assert!(!load(dir.path(), "echoes").was_cached());
    assert_eq!(fs::metadata(&key).unwrap().permissions().mode() & 0o777, 0o600);
}

#[test]
fn a_directory_that_cannot_be_one_is_an_error() {
    let file = tempfile::NamedTempFile::new().unwrap();

    assert!(CompiledCache::open(file.path()).is_err());
    assert!(CompiledCache::open_or_warn(file.path()).is_none(), "and no reason to stop");
}

#[test]
fn processes_that_begin_at_once_seal_with_one_key() {
    let dir = tempfile::tempdir().unwrap();
    let together = Barrier::new(8);
    let caches: Vec<CompiledCache> = thread::scope(|scope| {
        let open = || {
            together.wait();
            CompiledCache::open(dir.path()).expect("nobody is turned away")
        };
        let threads: Vec<_> = (0..8).map(|_| scope.spawn(open)).collect();
        threads.into_iter().map(|thread| thread.join().unwrap()).collect()
    });

    assert!(!load_with(&caches[0], "echoes").was_cached());

    for cache in &caches {
        assert!(load_with(cache, "echoes").was_cached(), "sealed with the one key");
    }
    let files = fs::read_dir(dir.path()).unwrap().count();
    assert_eq!(files, 2, "the key and the entry, nothing half-made");
}

#[test]
fn what_is_no_longer_known_is_removed() {
    let dir = tempfile::tempdir().unwrap();
    let echoes = load(dir.path(), "echoes");
    load(dir.path(), "exits");
    fs::write(entry(dir.path()).with_extension("1-0.part"), "half of it").unwrap();
    let cache = CompiledCache::open(dir.path()).unwrap();

    cache.keep_only(engine(), &[*echoes.digest()]).unwrap();

    assert!(load(dir.path(), "echoes").was_cached());
    assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 2, "the key and one entry");
}

fn load(dir: &Path, guest: &str) -> Component {
    let cache = CompiledCache::open(dir).expect("a directory of ours");
    load_with(&cache, guest)
}

fn load_with(cache: &CompiledCache, guest: &str) -> Component {
    Component::load(engine(), &bytes(guest), &CompileLimits::default(), cache)
        .expect("a sound guest")
}

fn entry(dir: &Path) -> PathBuf {
    entries(dir).pop().expect("there is one entry")
}

fn entries(dir: &Path) -> Vec<PathBuf> {
    let files = fs::read_dir(dir).expect("a directory of ours");
    let paths = files.map(|file| file.expect("readable").path());
    paths.filter(|path| path.extension().is_some_and(|it| it == "cwasm")).collect()
}
