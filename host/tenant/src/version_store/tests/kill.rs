//! `kill -9` at every step of a deployment, with a real process on real files.

use std::io;
use std::os::unix::process::ExitStatusExt as _;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::atomic::{AtomicUsize, Ordering};

use super::super::disk::{Disk, Lock, RealDisk};
use super::super::*;
use super::{upload, version as v};

/// Where the process of this test that is to die finds its folder and its hour.
const FOLDER: &str = "CORDBOARD_TEST_STORE_FOLDER";
const STEP: &str = "CORDBOARD_TEST_STORE_STEP";
const SIGKILL: i32 = 9;

#[test]
fn a_deployment_that_is_killed_leaves_the_old_version_or_the_new_one() {
    if let (Ok(folder), Ok(step)) = (std::env::var(FOLDER), std::env::var(STEP)) {
        return deploy_and_die(Path::new(&folder), step.parse().unwrap());
    }
    let own_name =
        std::thread::current().name().expect("tests run in threads of their name").to_owned();
    let mut found = [0; 3];
    for step in 1..100 {
        let folder = tempfile::tempdir().unwrap();
        prepare(folder.path());
        let child = Command::new(std::env::current_exe().unwrap())
            .args(["--exact", &own_name])
            .env(FOLDER, folder.path())
            .env(STEP, step.to_string())
            .output()
            .unwrap();
        let killed = child.status.signal() == Some(SIGKILL);
        assert!(killed || child.status.success(), "{}", String::from_utf8_lossy(&child.stdout));

        let store = VersionStore::open(folder.path()).unwrap();
        let releases = store.releases();
        let active = releases.active().expect("one of the two");
        let answer = store.load(active).unwrap().component;
        match (active.number(), releases.entries().len()) {
            (1, 1) => found[0] += 1,
            (1, 2) => found[1] += 1,
            (2, 2) => found[2] += 1,
            other => panic!("step {step}: {other:?}"),
        }
        assert_eq!(answer, if active == v(1) { OLD } else { NEW });
        // The next deployment finds nothing in its way.
        store.stage(&upload(b"a third one", "{}")).unwrap();
        if !killed {
            assert_eq!(active, v(2), "a process that came to its end has deployed");
            assert!(found.iter().all(|&times| times > 0) && step > 10, "{found:?} in {step} steps");
            return;
        }
    }
    panic!("a deployment has no hundred steps");
}

const OLD: &[u8] = b"the old component";
const NEW: &[u8] = b"the new component";

fn prepare(folder: &Path) {
    let store = VersionStore::open(folder).unwrap();
    store.stage(&upload(OLD, "{}")).unwrap();
    store.change(|releases| releases.activate(v(1), Force::No)).unwrap();
}

fn deploy_and_die(folder: &Path, step: usize) {
    let disk = MortalDisk { left: AtomicUsize::new(step) };
    let store = VersionStore::open_on(Box::new(disk), folder).unwrap();
    store.stage(&upload(NEW, "{}")).unwrap();
    store.change(|releases| releases.activate(v(2), Force::No)).unwrap();
}

/// A real disk under a process that is killed before its nth step, or in the middle of it.
struct MortalDisk {
    left: AtomicUsize,
}

impl MortalDisk {
    fn step(&self) {
        if self.left.fetch_sub(1, Ordering::Relaxed) == 1 {
            let me = std::process::id().to_string();
            // The shell's own, so that no program needs to be there.
            drop(Command::new("sh").args(["-c", &format!("kill -9 {me}")]).status());
            // The signal is on its way; nothing more is done here.
            loop {
                std::thread::park();
            }
        }
    }
}

impl Disk for MortalDisk {
    fn read(&self, path: &Path, max: usize) -> io::Result<Vec<u8>> {
        RealDisk.read(path, max)
    }

    fn names(&self, folder: &Path) -> io::Result<Vec<String>> {
        RealDisk.names(folder)
    }

    fn make_folder(&self, folder: &Path) -> io::Result<()> {
        self.step();
        RealDisk.make_folder(folder)
    }

    fn write(&self, path: &Path, bytes: &[u8]) -> io::Result<()> {
        self.step();
        let (first, _) = bytes.split_at(bytes.len() / 2);
        std::fs::write(path, first)?;
        self.step();
        RealDisk.write(path, bytes)
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        self.step();
        RealDisk.rename(from, to)
    }

    fn sync_folder(&self, folder: &Path) -> io::Result<()> {
        self.step();
        RealDisk.sync_folder(folder)
    }

    fn remove(&self, path: &Path) -> io::Result<()> {
        self.step();
        RealDisk.remove(path)
    }

    fn lock(&self, path: &Path) -> io::Result<Option<Lock>> {
        RealDisk.lock(&PathBuf::from(path))
    }
}
