//! A power cut at every step of a deployment, on a disk that forgets what was not synced.
//!
//! The disk follows what POSIX promises and no more: a file's bytes are kept once they were synced; a
//! name is kept once its folder was. Of the names that were not, all, none or some are there afterwards,
//! folder by folder.

use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::path::Path;
use std::sync::{Arc, Mutex};

use super::super::disk::{Disk, Lock};
use super::super::*;
use super::upload;

#[test]
fn a_first_deployment_survives_a_power_cut_at_every_step() {
    let steps = walk(&|_| {}, &|store| deploy(store, b"one"));
    assert!(steps > 20, "{steps} steps are no deployment");
}

#[test]
fn a_later_deployment_survives_a_power_cut_at_every_step() {
    let steps = walk(&|store| deploy(store, b"one").unwrap(), &|store| deploy(store, b"two"));
    assert!(steps > 15, "{steps} steps are no deployment");
}

#[test]
fn a_deployment_that_pushes_an_old_version_out_survives_a_power_cut_at_every_step() {
    let full = |store: &VersionStore| {
        for number in 0..limits::VERSIONS_KEPT_MAX {
            deploy(store, &number.to_be_bytes()).unwrap();
        }
    };
    walk(&full, &|store| deploy(store, b"one more"));
}

#[test]
fn a_roll_back_survives_a_power_cut_at_every_step() {
    let two = |store: &VersionStore| {
        deploy(store, b"one").unwrap();
        deploy(store, b"two").unwrap();
    };
    walk(&two, &|store| store.change(|releases| releases.rollback("it stuttered")).map(|_| ()));
}

#[test]
fn a_crash_while_tidying_up_after_a_crash_does_no_harm() {
    let prepared = |store: &VersionStore| deploy(store, b"one").unwrap();
    for first in 1.. {
        let disk = ForgetfulDisk::default();
        prepared(&disk.store().unwrap());
        disk.fail_at(first);
        let done = deploy(&disk.store().unwrap(), b"two").is_ok();
        disk.power_on(Memory::All);
        for second in 1.. {
            let disk = disk.copy();
            disk.fail_at(second);
            let opened = disk.store().is_ok();
            disk.power_on(Memory::Synced);
            stands(&disk);
            if opened {
                break;
            }
        }
        if done {
            break;
        }
    }
}

fn deploy(store: &VersionStore, component: &[u8]) -> Result<(), VersionStoreError> {
    let (_, staged) = store.stage(&upload(component, "{}"))?;
    store.change(|releases| releases.activate(staged.name(), Force::No))?;
    Ok(())
}

/// Runs `act` with a power cut at its first step, its second, and so on, and looks each time at what is
/// left, whatever the disk remembers. Returns how many steps there were.
fn walk(
    prepare: &dyn Fn(&VersionStore),
    act: &dyn Fn(&VersionStore) -> Result<(), VersionStoreError>,
) -> usize {
    let start = ForgetfulDisk::default();
    prepare(&start.store().unwrap());
    // The states a whole run goes through are the only ones that may be found after a cut.
    let whole = start.copy();
    let mut seen = whole.store().unwrap();
    let old = ReleaseState::clone(&seen.releases());
    act(&seen).unwrap();
    let new = ReleaseState::clone(&seen.releases());
    assert_ne!(old, new);

    for step in 1.. {
        for memory in [Memory::Synced, Memory::All].into_iter().chain((1..12).map(Memory::Some)) {
            let disk = start.copy();
            seen = disk.store().unwrap();
            disk.fail_at(step);
            let done = act(&seen).is_ok();
            disk.power_on(memory);
            let found = stands(&disk);
            let between = new.staged > old.staged && found == staged_only(&old, &new);
            assert!(found == old || found == new || between, "step {step}, {memory:?}: {found:#?}");
            if done {
                assert_eq!(
                    found, new,
                    "step {step}, {memory:?}: an answer was given and then forgotten"
                );
            }
            // Whatever was left, the same deployment can be done again.
            let store = disk.store().unwrap();
            if found != new {
                act(&store).unwrap();
                assert_eq!(*store.releases(), new, "step {step}, {memory:?}");
            }
            if done && memory == Memory::Some(11) {
                return step - 1;
            }
        }
    }
    unreachable!("every walk comes to its end")
}

/// A deployment is two changes; between them the new version is in the store and answers nothing.
fn staged_only(old: &ReleaseState, new: &ReleaseState) -> ReleaseState {
    let kept = |name: &VersionName| new.entry(*name).is_some();
    let earlier = old.earlier.iter().copied().filter(kept).collect();
    ReleaseState { active: old.active, earlier, ..new.clone() }
}

/// Opens the store and checks that all it names can be loaded and nothing else is there.
fn stands(disk: &ForgetfulDisk) -> ReleaseState {
    let store = disk.store().unwrap_or_else(|error| panic!("the store does not open: {error}"));
    let releases = store.releases();
    let mut expected = BTreeSet::new();
    for entry in releases.entries() {
        store.load(entry.name).unwrap_or_else(|error| panic!("{} is lost: {error}", entry.name));
        expected.insert(entry.name.to_string());
    }
    let versions = disk.names(&Path::new(TENANT).join("versions")).unwrap_or_default();
    assert_eq!(BTreeSet::from_iter(versions), expected);
    let leftovers: Vec<String> = disk.names(Path::new(TENANT)).unwrap_or_default();
    assert!(!leftovers.iter().any(|name| name.ends_with(".part")), "{leftovers:?}");
    ReleaseState::clone(&releases)
}

const TENANT: &str = "acme";

/// What a disk remembers after a power cut.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Memory {
    /// Only what was synced.
    Synced,
    /// Everything that was done.
    All,
    /// Of the names that were not synced those of some folders, by seed.
    Some(u32),
}

#[derive(Clone, Default)]
struct ForgetfulDisk(Arc<Mutex<Platter>>);

#[derive(Clone)]
struct Platter {
    nodes: Vec<Node>,
    steps_left: Option<usize>,
    dead: bool,
}

#[derive(Clone)]
enum Node {
    File(Vec<u8>),
    Folder { now: BTreeMap<String, usize>, synced: BTreeMap<String, usize> },
}

impl Default for Platter {
    fn default() -> Self {
        let folder = |names: &[(&str, usize)]| {
            let names: BTreeMap<_, _> =
                names.iter().map(|&(name, at)| (name.to_owned(), at)).collect();
            Node::Folder { now: names.clone(), synced: names }
        };
        Self { nodes: vec![folder(&[(TENANT, 1)]), folder(&[])], steps_left: None, dead: false }
    }
}

impl ForgetfulDisk {
    fn store(&self) -> Result<VersionStore, VersionStoreError> {
        VersionStore::open_on(Box::new(self.clone()), Path::new(TENANT))
    }

    fn copy(&self) -> Self {
        Self(Arc::new(Mutex::new(self.0.lock().unwrap().clone())))
    }

    /// The power goes while step `step` from here is half done.
    fn fail_at(&self, step: usize) {
        self.0.lock().unwrap().steps_left = Some(step);
    }

    fn power_on(&self, memory: Memory) {
        let mut platter = self.0.lock().unwrap();
        (platter.steps_left, platter.dead) = (None, false);
        for (number, node) in platter.nodes.iter_mut().enumerate() {
            let Node::Folder { now, synced } = node else { continue };
            let remembers = match memory {
                Memory::Synced => false,
                Memory::All => true,
                Memory::Some(seed) => {
                    Share::percent(50).unwrap().takes(&format!("{seed}/{number}"))
                }
            };
            if remembers {
                synced.clone_from(now);
            } else {
                now.clone_from(synced);
            }
        }
    }

    fn live(&self) -> io::Result<std::sync::MutexGuard<'_, Platter>> {
        let platter = self.0.lock().unwrap();
        if platter.dead { Err(io::Error::other("no power")) } else { Ok(platter) }
    }
}

impl Platter {
    /// True when the power goes in the middle of this step.
    fn step(&mut self) -> bool {
        if let Some(left) = &mut self.steps_left {
            *left -= 1;
            self.dead = *left == 0;
        }
        self.dead
    }

    fn find(&self, path: &Path) -> io::Result<usize> {
        path.iter().try_fold(0, |at, name| match &self.nodes[at] {
            Node::Folder { now, .. } => now
                .get(name.to_str().unwrap())
                .copied()
                .ok_or_else(|| io::Error::from(io::ErrorKind::NotFound)),
            Node::File(_) => Err(io::ErrorKind::NotADirectory.into()),
        })
    }

    fn folder(&mut self, path: &Path) -> io::Result<&mut BTreeMap<String, usize>> {
        let at = self.find(path)?;
        match &mut self.nodes[at] {
            Node::Folder { now, .. } => Ok(now),
            Node::File(_) => Err(io::ErrorKind::NotADirectory.into()),
        }
    }

    fn enter(&mut self, path: &Path, node: Node) -> io::Result<()> {
        let at = self.nodes.len();
        self.nodes.push(node);
        self.folder(path.parent().unwrap())?.insert(name_of(path), at);
        Ok(())
    }
}

fn name_of(path: &Path) -> String {
    path.file_name().unwrap().to_str().unwrap().to_owned()
}

fn cut() -> io::Error {
    io::Error::other("the power went")
}

impl Disk for ForgetfulDisk {
    fn read(&self, path: &Path, _max: usize) -> io::Result<Vec<u8>> {
        let platter = self.live()?;
        let at = platter.find(path)?;
        match &platter.nodes[at] {
            Node::File(bytes) => Ok(bytes.clone()),
            Node::Folder { .. } => Err(io::ErrorKind::IsADirectory.into()),
        }
    }

    fn names(&self, folder: &Path) -> io::Result<Vec<String>> {
        Ok(self.live()?.folder(folder)?.keys().cloned().collect())
    }

    fn make_folder(&self, folder: &Path) -> io::Result<()> {
        let mut platter = self.live()?;
        if platter.find(folder).is_ok() {
            return Ok(());
        }
        if platter.step() {
            return Err(cut());
        }
        platter.enter(folder, Node::Folder { now: BTreeMap::new(), synced: BTreeMap::new() })
    }

    fn write(&self, path: &Path, bytes: &[u8]) -> io::Result<()> {
        let mut platter = self.live()?;
        if platter.step() {
            // The name is there and nothing of the bytes.
            platter.enter(path, Node::File(Vec::new()))?;
            return Err(cut());
        }
        if platter.step() {
            platter.enter(path, Node::File(bytes[..bytes.len() / 2].to_owned()))?;
            return Err(cut());
        }
        platter.enter(path, Node::File(bytes.to_owned()))
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        let mut platter = self.live()?;
        let at = platter.find(from)?;
        if let Ok(there) = platter.find(to)
            && let Node::Folder { now, .. } = &platter.nodes[there]
            && !now.is_empty()
        {
            return Err(io::ErrorKind::DirectoryNotEmpty.into());
        }
        if platter.step() {
            return Err(cut());
        }
        platter.folder(from.parent().unwrap())?.remove(&name_of(from));
        platter.folder(to.parent().unwrap())?.insert(name_of(to), at);
        Ok(())
    }

    fn sync_folder(&self, folder: &Path) -> io::Result<()> {
        let mut platter = self.live()?;
        if platter.step() {
            return Err(cut());
        }
        let at = platter.find(folder)?;
        if let Node::Folder { now, synced } = &mut platter.nodes[at] {
            synced.clone_from(now);
        }
        Ok(())
    }

    fn remove(&self, path: &Path) -> io::Result<()> {
        let mut platter = self.live()?;
        let at = platter.find(path)?;
        if platter.step() {
            // Half of a folder is gone before the folder goes.
            if let Node::Folder { now, .. } = &mut platter.nodes[at] {
                now.pop_first();
            }
            return Err(cut());
        }
        platter.folder(path.parent().unwrap())?.remove(&name_of(path));
        Ok(())
    }

    fn lock(&self, path: &Path) -> io::Result<Option<Lock>> {
        let mut platter = self.live()?;
        if platter.find(path).is_err() {
            platter.enter(path, Node::File(Vec::new()))?;
        }
        Ok(Some(Box::new(())))
    }
}

#[test]
fn the_disk_of_these_tests_does_forget() {
    let disk = ForgetfulDisk::default();
    let file = Path::new(TENANT).join("note");
    disk.write(&file, b"remember me").unwrap();
    disk.power_on(Memory::Synced);
    assert!(disk.read(&file, 100).is_err(), "a name was kept that was never synced");
    disk.write(&file, b"remember me").unwrap();
    disk.sync_folder(Path::new(TENANT)).unwrap();
    disk.power_on(Memory::Synced);
    assert_eq!(disk.read(&file, 100).unwrap(), b"remember me");
}
