//! The store of a tenant: its versions on disk, and which of them answers.
//!
//! **One rule: a state is written whole beside the old one and takes its name in one step.** So a crash
//! between any two steps leaves the old state or the new one, and the tests stop at every step to see.
//!
//! ```text
//! tenants/acme/tenant.toml                    the operator's own file; not touched here
//! tenants/acme/releases.toml                  which version answers (see `file`); readable, repairable
//! tenants/acme/.releases.toml.last            its copy, for the day it is lost or broken
//! tenants/acme/versions/v3/component.wasm     immutable, checked against its sum whenever it is read
//! tenants/acme/versions/v3/settings.json
//! tenants/acme/.store.lock                    held while something is written, against other processes
//! ```
//!
//! [`ReleaseState`] decides, [`VersionStore`] writes. Nothing here waits for anything but the disk, and nothing
//! knows what a component is beyond its bytes. All of it blocks: call it off the call threads.

pub mod disk;
mod file;
mod ids;
pub mod limits;
mod release_state;

use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use disk::{Disk, Lock, RealDisk};
pub use file::Fault;
pub use ids::{
    Digest, NotADigest, NotAPolicy, NotAShare, NotAVersionName, Policy, Share, VersionName, When,
};
pub use release_state::{Candidate, Entry, Force, Offer, Part, Refused, ReleaseState, Staged};

/// One tenant's versions on disk.
pub struct VersionStore {
    folder: PathBuf,
    tenant: String,
    disk: Box<dyn Disk>,
    /// The last good state. Read by calls, so it is never held while the disk is waited for.
    state: Mutex<Arc<ReleaseState>>,
    /// Held by the one who writes. A lock and no owning task, since writing blocks its thread anyway.
    writing: Mutex<()>,
}

/// A version to be put in the store.
#[derive(Debug, Clone)]
pub struct Upload<'a> {
    /// The component, at most [`limits::COMPONENT_BYTES_MAX`].
    pub component: &'a [u8],
    /// The tenant's settings for it, JSON, at most [`limits::SETTINGS_BYTES_MAX`].
    pub settings: &'a str,
    /// Now.
    pub when: When,
    /// Who deploys.
    pub by: &'a str,
    /// What they say about it.
    pub note: &'a str,
}

/// A version's files, as they were uploaded.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Stored {
    /// The component's bytes.
    pub component: Vec<u8>,
    /// Its settings, JSON.
    pub settings: String,
    /// The component's sum, which was checked.
    pub digest: Digest,
}

/// What a change did.
#[derive(Debug, Clone)]
pub struct Changed {
    /// The state it began from.
    pub before: Arc<ReleaseState>,
    /// The state that is on disk now.
    pub after: Arc<ReleaseState>,
}

/// Why the store did not do what it was asked. Nothing was changed, unless the disk failed; then the old
/// state or the new one is there, and [`VersionStore::reread`] tells which.
#[derive(Debug, thiserror::Error)]
pub enum VersionStoreError {
    /// The rules refuse it.
    #[error(transparent)]
    Refused(#[from] Refused),
    /// `releases.toml` is broken, by hand or by a disk.
    #[error("{}{}: {}; {REPAIR}", .file.display(), at_line(.fault.line), .fault.what)]
    Broken {
        /// The file.
        file: PathBuf,
        /// Where and what.
        fault: Fault,
    },
    /// There are versions and no `releases.toml`.
    #[error(
        "{} is missing, although versions/ holds {versions}; put the file back (its copy is \
         .releases.toml.last beside it), or move versions/ away and deploy again", .file.display()
    )]
    Missing {
        /// The file.
        file: PathBuf,
        /// Which folders are there.
        versions: String,
    },
    /// A version's file is not what was uploaded.
    #[error(
        "{} is not the file that was deployed as {version}: its sha256 is {found}, releases.toml says \
         {expected}. It is not used. Put the original back, or deploy the changed file as a new version",
        .file.display()
    )]
    Tampered {
        /// The file.
        file: PathBuf,
        /// Whose file.
        version: VersionName,
        /// What was uploaded.
        expected: Digest,
        /// What is there.
        found: Digest,
    },
    /// An upload is too large.
    #[error("the {what} has {bytes} bytes; at most {max} are taken")]
    TooLarge {
        /// Which part.
        what: &'static str,
        /// Its size.
        bytes: usize,
        /// The limit.
        max: usize,
    },
    /// Another process is writing.
    #[error(
        "another cordboard process is changing the versions of {tenant} (it holds {}); try again",
        .file.display()
    )]
    Busy {
        /// Whose versions.
        tenant: String,
        /// The lock's file.
        file: PathBuf,
    },
    /// The disk failed.
    #[error("can not {what} {}: {error}", .path.display())]
    Disk {
        /// What was tried, as an infinitive.
        what: &'static str,
        /// On what.
        path: PathBuf,
        /// What the system says.
        error: io::Error,
    },
}

/// What helps with any broken file.
const REPAIR: &str = "repair the line as the file's first lines say, or put a backup back (the last good one is \
                      .releases.toml.last beside it). Until then no deployment is taken, and the gateway goes \
                      on with the last good state";

fn at_line(line: Option<usize>) -> String {
    line.map(|line| format!(", line {line}")).unwrap_or_default()
}

impl VersionStore {
    /// Opens the store in a tenant's folder and clears away what a crash left there. A folder without
    /// versions is an empty store; nothing is written before something is staged.
    ///
    /// # Errors
    /// `releases.toml` is broken or missing beside versions, or the disk fails.
    pub fn open(folder: &Path) -> Result<Self, VersionStoreError> {
        Self::open_on(Box::new(RealDisk), folder)
    }

    /// Opens a store on another disk: a test's.
    ///
    /// # Errors
    /// As [`VersionStore::open`].
    pub fn open_on(disk: Box<dyn Disk>, folder: &Path) -> Result<Self, VersionStoreError> {
        let store = Self::unread_on(disk, folder);
        // Where nobody ever took the lock nothing was ever written, and a folder need not even exist.
        let held = if store.was_written()? { store.try_lock()? } else { None };
        let releases = store.read()?;
        // Without the lock another process is writing: what looks left over is its work.
        if held.is_some() {
            store.tidy(&releases)?;
            store.keep_copy(&releases);
        }
        store.adopt(releases);
        Ok(store)
    }

    /// A store that can not be opened, with what can be known of its state without `releases.toml`: the copy of
    /// the last good one, else the versions that have a folder, of which the newest counts as active. Every
    /// change reads the disk first, so none is taken before somebody repaired the file and
    /// [`VersionStore::reread`] finds it good.
    #[must_use]
    pub fn recovered(folder: &Path) -> Self {
        Self::recovered_on(Box::new(RealDisk), folder)
    }

    fn recovered_on(disk: Box<dyn Disk>, folder: &Path) -> Self {
        let store = Self::unread_on(disk, folder);
        store.adopt(store.last_good().unwrap_or_else(|| store.found()));
        store
    }

    /// A store to look at: nothing is locked, tidied or written, so a gateway may be at work in it. What is
    /// wrong with its state comes beside it.
    #[must_use]
    pub fn seen(folder: &Path) -> (Self, Option<VersionStoreError>) {
        let store = Self::unread_on(Box::new(RealDisk), folder);
        match store.read() {
            Ok(releases) => {
                store.adopt(releases);
                (store, None)
            }
            Err(error) => (Self::recovered(folder), Some(error)),
        }
    }

    /// The state as it was written last, if its copy can be read.
    fn last_good(&self) -> Option<ReleaseState> {
        // Where all versions were moved away somebody began anew.
        self.version_folders().ok().filter(|found| !found.is_empty())?;
        let bytes = self.disk.read(&self.folder.join(STATE_COPY), limits::STATE_BYTES_MAX).ok()?;
        file::parse(std::str::from_utf8(&bytes).ok()?).ok()
    }

    /// A state made of the versions that are whole enough to be read. Their sums are what their files have now.
    fn found(&self) -> ReleaseState {
        let mut state = ReleaseState::default();
        for name in self.version_folders().unwrap_or_default() {
            let folder = self.version_folder(name);
            let digest = |name: &str, max: usize| {
                self.disk.read(&folder.join(name), max).ok().map(|bytes| Digest::of(&bytes))
            };
            let component = digest(COMPONENT, limits::COMPONENT_BYTES_MAX);
            let settings = digest(SETTINGS, limits::SETTINGS_BYTES_MAX);
            let (Some(component), Some(settings)) = (component, settings) else { continue };
            let (when, by) = (When::from_unix(0), "nobody knows whom".to_owned());
            let note = "found after releases.toml was lost".to_owned();
            let rolled_back = None;
            state.earlier.extend(state.active.replace(name));
            state.staged = name.number();
            state.entries.push(Entry { name, component, settings, when, by, note, rolled_back });
        }
        state
    }

    fn unread_on(disk: Box<dyn Disk>, folder: &Path) -> Self {
        let tenant =
            folder.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
        let folder = folder.to_owned();
        Self { folder, tenant, disk, state: Mutex::default(), writing: Mutex::default() }
    }

    /// The tenant's name, which is the folder's.
    #[must_use]
    pub fn tenant(&self) -> &str {
        &self.tenant
    }

    /// The last good state. Does not wait for a disk.
    #[must_use]
    pub fn releases(&self) -> Arc<ReleaseState> {
        Arc::clone(&lock(&self.state))
    }

    /// Reads `releases.toml` again, after somebody edited it or another process deployed.
    ///
    /// # Errors
    /// The file is broken; then the last good state stays.
    pub fn reread(&self) -> Result<Changed, VersionStoreError> {
        let _writing = lock(&self.writing);
        let fresh = self.read()?;
        let before = self.releases();
        Ok(Changed { before, after: self.adopt(fresh) })
    }

    /// Puts a version in the store. A version with the same bytes and settings is found, not doubled.
    ///
    /// # Errors
    /// See [`VersionStoreError`]; on any of them no version was added.
    pub fn stage(&self, upload: &Upload<'_>) -> Result<(Changed, Staged), VersionStoreError> {
        let Upload { component, settings, when, by, note } = upload;
        for (what, bytes, max) in [
            ("component", component.len(), limits::COMPONENT_BYTES_MAX),
            ("settings text", settings.len(), limits::SETTINGS_BYTES_MAX),
        ] {
            if bytes > max {
                return Err(VersionStoreError::TooLarge { what, bytes, max });
            }
        }
        let offer = Offer {
            component: Digest::of(component),
            settings: Digest::of(settings.as_bytes()),
            when: *when,
            by: (*by).to_owned(),
            note: (*note).to_owned(),
        };
        let _writing = lock(&self.writing);
        let _lock = self.lock()?;
        let before = self.read()?;
        let (next, staged) = before.stage(offer)?;
        match staged {
            // The same bytes are a cure for files that were lost or changed.
            Staged::Same(version) if self.load_from(&before, version).is_err() => {
                self.publish(version, component, settings)?;
            }
            Staged::Same(_) => {}
            Staged::New(version) => {
                if before.staged == 0 {
                    // From here on a missing file means that somebody lost it.
                    self.write(&before)?;
                }
                self.publish(version, component, settings)?;
                self.write(&next)?;
            }
        }
        Ok((self.conclude(before, next), staged))
    }

    /// Applies one of the rules to the state on disk, which may be newer than the one in memory.
    ///
    /// # Errors
    /// See [`VersionStoreError`].
    pub fn change(
        &self,
        rule: impl FnOnce(&ReleaseState) -> Result<ReleaseState, Refused>,
    ) -> Result<Changed, VersionStoreError> {
        let _writing = lock(&self.writing);
        let _lock = self.lock()?;
        let before = self.read()?;
        let next = rule(&before)?;
        if next != before {
            self.write(&next)?;
        }
        Ok(self.conclude(before, next))
    }

    /// Reads a version's files and checks them against their sums.
    ///
    /// # Errors
    /// There is no such version, its files were changed, or the disk fails.
    pub fn load(&self, version: VersionName) -> Result<Stored, VersionStoreError> {
        self.load_from(&self.releases(), version)
    }

    /// Where a version's files are, for who keeps something beside them.
    #[must_use]
    pub fn version_folder(&self, version: VersionName) -> PathBuf {
        self.folder.join(VERSIONS).join(version.to_string())
    }

    fn load_from(
        &self,
        releases: &ReleaseState,
        version: VersionName,
    ) -> Result<Stored, VersionStoreError> {
        let entry = releases.entry(version).ok_or_else(|| releases.no_such(version))?;
        let folder = self.version_folder(version);
        let checked = |name: &str, expected: Digest, max: usize| {
            let file = folder.join(name);
            let bytes = self.disk.read(&file, max).map_err(failed("read", &file))?;
            let found = Digest::of(&bytes);
            if found == expected {
                Ok(bytes)
            } else {
                Err(VersionStoreError::Tampered { file, version, expected, found })
            }
        };
        let component = checked(COMPONENT, entry.component, limits::COMPONENT_BYTES_MAX)?;
        let settings = checked(SETTINGS, entry.settings, limits::SETTINGS_BYTES_MAX)?;
        let settings = String::from_utf8(settings).map_err(|_| VersionStoreError::Disk {
            what: "read as UTF-8",
            path: folder.join(SETTINGS),
            error: io::ErrorKind::InvalidData.into(),
        })?;
        Ok(Stored { component, settings, digest: entry.component })
    }

    /// The new state is on disk and stands, whether or not the folders it needs no more can be removed.
    fn conclude(&self, before: ReleaseState, next: ReleaseState) -> Changed {
        let after = self.adopt(next);
        if let Err(error) = self.tidy(&after) {
            tracing::warn!(
                "folders of versions that left the store stay until the next start: {error}"
            );
        }
        Changed { before: Arc::new(before), after }
    }

    fn adopt(&self, fresh: ReleaseState) -> Arc<ReleaseState> {
        let fresh = Arc::new(fresh);
        *lock(&self.state) = Arc::clone(&fresh);
        fresh
    }

    fn read(&self) -> Result<ReleaseState, VersionStoreError> {
        let (file, bytes) = match self.read_first(&[STATE, STATE_BEFORE_0_2])? {
            Some(read) => read,
            None => {
                let found = self.version_folders()?;
                if found.is_empty() {
                    return Ok(ReleaseState::default());
                }
                let versions = found.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ");
                return Err(VersionStoreError::Missing { file: self.folder.join(STATE), versions });
            }
        };
        let text = std::str::from_utf8(&bytes)
            .map_err(|_| Fault { line: None, what: "it is not UTF-8 text".to_owned() });
        text.and_then(file::parse).map_err(|fault| VersionStoreError::Broken { file, fault })
    }

    /// The first of these files that is there.
    fn read_first(&self, names: &[&str]) -> Result<Option<(PathBuf, Vec<u8>)>, VersionStoreError> {
        for name in names {
            let file = self.folder.join(name);
            match self.disk.read(&file, limits::STATE_BYTES_MAX) {
                Ok(bytes) => return Ok(Some((file, bytes))),
                Err(error) if error.kind() == io::ErrorKind::NotFound => {}
                Err(error) => return Err(failed("read", &file)(error)),
            }
        }
        Ok(None)
    }

    fn write(&self, releases: &ReleaseState) -> Result<(), VersionStoreError> {
        let (part, file) = (self.folder.join(STATE_PART), self.folder.join(STATE));
        let text = file::print(releases, &self.tenant);
        self.disk.write(&part, text.as_bytes()).map_err(failed("write", &part))?;
        self.disk.rename(&part, &file).map_err(failed("replace", &file))?;
        self.disk.sync_folder(&self.folder).map_err(failed("sync", &self.folder))?;
        self.keep_copy(releases);
        // It is not read any more; left there, it would mislead a person.
        self.remove(&self.folder.join(STATE_BEFORE_0_2))
    }

    /// Copies the state that stands. A copy that is torn is none, and one that can not be made is no reason
    /// to refuse a change.
    fn keep_copy(&self, releases: &ReleaseState) {
        if *releases == ReleaseState::default() {
            return;
        }
        let (copy, text) = (self.folder.join(STATE_COPY), file::print(releases, &self.tenant));
        if self.disk.read(&copy, limits::STATE_BYTES_MAX).is_ok_and(|it| it == text.as_bytes()) {
            return;
        }
        if let Err(error) = self.disk.write(&copy, text.as_bytes()) {
            tracing::warn!("{} is not up to date: {error}", copy.display());
        }
    }

    /// Puts a version's files in its folder: all of them or none.
    fn publish(
        &self,
        version: VersionName,
        component: &[u8],
        settings: &str,
    ) -> Result<(), VersionStoreError> {
        let versions = self.folder.join(VERSIONS);
        self.disk.make_folder(&versions).map_err(failed("make", &versions))?;
        self.disk.sync_folder(&self.folder).map_err(failed("sync", &self.folder))?;
        let (part, folder) = (versions.join(VERSION_PART), self.version_folder(version));
        for leftover in [&part, &folder] {
            // A folder of the next name is from a deployment that never reached the releases.
            self.remove(leftover)?;
        }
        self.disk.make_folder(&part).map_err(failed("make", &part))?;
        for (name, bytes) in [(COMPONENT, component), (SETTINGS, settings.as_bytes())] {
            let path = part.join(name);
            self.disk.write(&path, bytes).map_err(failed("write", &path))?;
        }
        self.disk.sync_folder(&part).map_err(failed("sync", &part))?;
        self.disk.rename(&part, &folder).map_err(failed("rename", &part))?;
        self.disk.sync_folder(&versions).map_err(failed("sync", &versions))
    }

    /// Removes what no state knows: the halves of a deployment that did not come to its end, and the
    /// folders of versions that left.
    fn tidy(&self, releases: &ReleaseState) -> Result<(), VersionStoreError> {
        self.remove(&self.folder.join(STATE_PART))?;
        self.remove(&self.folder.join(VERSIONS).join(VERSION_PART))?;
        for version in self.version_folders()? {
            if releases.entry(version).is_none() {
                self.remove(&self.version_folder(version))?;
            }
        }
        Ok(())
    }

    fn remove(&self, path: &Path) -> Result<(), VersionStoreError> {
        match self.disk.remove(path) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => {
                Err(failed("remove", path)(error))
            }
            Ok(()) | Err(_) => Ok(()),
        }
    }

    /// The versions that have a folder. Anything else in `versions/` is not ours and is left alone.
    fn version_folders(&self) -> Result<Vec<VersionName>, VersionStoreError> {
        let versions = self.folder.join(VERSIONS);
        let mut found: Vec<VersionName> = match self.disk.names(&versions) {
            Ok(names) => names.iter().filter_map(|name| name.parse().ok()).collect(),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Vec::new(),
            Err(error) => return Err(failed("list", &versions)(error)),
        };
        found.sort();
        Ok(found)
    }

    fn was_written(&self) -> Result<bool, VersionStoreError> {
        match self.disk.names(&self.folder) {
            Ok(names) => Ok(names.iter().any(|name| [LOCK, STATE_BEFORE_0_2].contains(&&**name))),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(false),
            Err(error) => Err(failed("list", &self.folder)(error)),
        }
    }

    /// Takes the lock, after a little while if another process has it: a change takes milliseconds.
    fn lock(&self) -> Result<Lock, VersionStoreError> {
        for _ in 0..LOCK_TRIES {
            if let Some(held) = self.try_lock()? {
                return Ok(held);
            }
            std::thread::sleep(LOCK_AGAIN);
        }
        Err(VersionStoreError::Busy { tenant: self.tenant.clone(), file: self.folder.join(LOCK) })
    }

    fn try_lock(&self) -> Result<Option<Lock>, VersionStoreError> {
        let path = self.folder.join(LOCK);
        self.disk.lock(&path).map_err(failed("lock", &path))
    }
}

/// Whether something was ever deployed in a tenant's folder, however broken it is now.
#[must_use]
pub fn has_versions(folder: &Path) -> bool {
    let is_there = |name: &&str| folder.join(name).symlink_metadata().is_ok();
    if [STATE, STATE_BEFORE_0_2].iter().any(is_there) {
        return true;
    }
    VersionStore::unread_on(Box::new(RealDisk), folder)
        .version_folders()
        .map_or(true, |found| !found.is_empty())
}

fn failed(what: &'static str, path: &Path) -> impl FnOnce(io::Error) -> VersionStoreError {
    let path = path.to_owned();
    move |error| VersionStoreError::Disk { what, path, error }
}

/// What these locks guard is replaced in one step or is nothing at all, so a panic leaves it whole.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// How often the lock is tried for, and how long after a refusal: half a second in all.
const LOCK_TRIES: u32 = 50;
const LOCK_AGAIN: std::time::Duration = std::time::Duration::from_millis(10);

const STATE: &str = "releases.toml";
/// Its name up to 0.1: read where there is no other, and removed by the next change.
const STATE_BEFORE_0_2: &str = "registry.toml";
/// The copy of the state as it was written last.
const STATE_COPY: &str = ".releases.toml.last";
const STATE_PART: &str = ".releases.toml.part";
const VERSIONS: &str = "versions";
const VERSION_PART: &str = ".part";
const COMPONENT: &str = "component.wasm";
const SETTINGS: &str = "settings.json";
const LOCK: &str = ".store.lock";

#[cfg(test)]
mod tests;
