//! Compiled components, kept on disk: loading one takes a third of a millisecond, compiling it up
//! to half a minute.
//!
//! A compiled component is machine code. **Whoever can write an entry that this module accepts owns
//! the process**, so an entry carries a keyed hash (HMAC-SHA256), and the key lies beside it in a
//! file that only this process's user can read. Somebody who may write the directory, to deploy
//! tenants for instance, can delete entries, but not forge one. An entry is also bound to the
//! component's digest and to wasmtime's full version, settings and CPU, by its name and under the
//! hash. What does not match is compiled again.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Read as _, Write as _};
use std::os::unix::fs::{MetadataExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use hmac::{Hmac, KeyInit as _, Mac as _};
use sha2::Sha256;

use crate::compiler::Artefact;
use crate::engine::Engine;
use crate::version_store::Digest;

const KEY_FILE: &str = "key";
const KEY_BYTES: usize = 32;
const SEAL_BYTES: usize = 32;
/// All entries together, in bytes; beyond it the oldest go. 2 GiB: thirty interpreters, or
/// thousands of Rust tenants. Without a bound, every upload that failed its rehearsal would stay
/// for ever.
const BYTES_MAX: u64 = 2 << 30;
/// What the cache leaves free on its disk. 512 MiB: versions, recordings and the audit log have no
/// substitute, and a cache has; it takes what is left beyond some hours of recordings.
const LEFT_FREE_BYTES: u64 = 512 << 20;
/// A file that is not yet whole after so long is nobody's any more.
const PART_AGE_MAX: Duration = Duration::from_secs(60);
/// What a file is called until it is whole.
const PART: &str = "part";
/// One to find that somebody was faster, one to read theirs, and one more.
const KEY_ATTEMPTS: u32 = 3;

/// A directory of compiled components.
pub struct CompiledCache {
    dir: PathBuf,
    key: [u8; KEY_BYTES],
}

impl std::fmt::Debug for CompiledCache {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("CompiledCache").field("dir", &self.dir).finish_non_exhaustive()
    }
}

impl CompiledCache {
    /// Opens a cache, with a fresh key where there is none that can be trusted.
    ///
    /// # Errors
    ///
    /// When the directory cannot be made or the key cannot be read or written.
    pub fn open(dir: &Path) -> io::Result<Self> {
        fs::create_dir_all(dir)?;
        remove_forgotten_parts(dir)?;
        Ok(Self { dir: dir.to_owned(), key: key(&dir.join(KEY_FILE))? })
    }

    /// Opens a cache, or says in the log why there is none. Without one components are compiled at
    /// every start, which is slow and no reason to answer no calls.
    pub fn open_or_warn(dir: &Path) -> Option<Self> {
        Self::open(dir)
            .inspect_err(|e| {
                tracing::warn!(path = %dir.display(), "no compiled components are kept, the next start compiles them again: {e}");
            })
            .ok()
    }

    /// A component compiled earlier by this very engine, if its entry is whole and ours.
    pub(crate) fn get(
        &self,
        engine: &Engine,
        digest: &Digest,
    ) -> Option<wasmtime::component::Component> {
        let path = self.entry(engine, digest);
        let mut seal = fs::read(&path).ok()?;
        let compiled = (seal.len() >= SEAL_BYTES).then(|| seal.split_off(SEAL_BYTES))?;
        if self.hash(engine, digest, &compiled).verify_slice(&seal).is_err() {
            tracing::warn!(path = %path.display(), "a compiled component was changed by somebody else; compiling it again");
            return None;
        }
        Artefact::from_a_verified_entry(compiled)
            .load(engine.wasm())
            .inspect_err(|e| tracing::info!(path = %path.display(), "a compiled component does not fit: {e:#}"))
            .ok()
    }

    /// Keeps a compiled component; a cache that cannot be written is said once per deployment and
    /// no obstacle.
    pub(crate) fn put(&self, engine: &Engine, digest: &Digest, artefact: &Artefact) {
        let (path, compiled) = (self.entry(engine, digest), artefact.bytes());
        let kept = (|| {
            let free = free_bytes(&self.dir)?;
            let bytes = (SEAL_BYTES + compiled.len()) as u64;
            if !self.make_room(bytes, free)? {
                return Err(io::Error::other(format!(
                    "it has {bytes} bytes and would leave the disk less than {} MiB; free some",
                    LEFT_FREE_BYTES >> 20
                )));
            }
            self.write(&path, &self.seal(engine, digest, compiled), compiled)
        })();
        if let Err(e) = kept {
            tracing::warn!(
                path = %path.display(),
                "cannot keep a compiled component, the next start compiles it again: {e}"
            );
        }
    }

    /// Removes the oldest entries until so many bytes more can be kept: within the cache's own
    /// bound, and without taking the disk's last. False when even an empty cache would not do.
    fn make_room(&self, bytes: u64, free: u64) -> io::Result<bool> {
        let mut entries = Vec::new();
        for file in fs::read_dir(&self.dir)? {
            let file = file?;
            // Another process may have removed it just now.
            let Ok(about) = file.metadata() else { continue };
            if file.path().extension().is_some_and(|it| it == "cwasm") {
                entries.push((about.modified()?, about.len(), file.path()));
            }
        }
        entries.sort();
        let mut taken: u64 = entries.iter().map(|(_, len, _)| len).sum();
        let allowed = BYTES_MAX.min((taken + free).saturating_sub(LEFT_FREE_BYTES));
        for (_, len, path) in entries {
            if taken + bytes <= allowed {
                break;
            }
            fs::remove_file(path)?;
            taken -= len;
        }
        Ok(taken + bytes <= allowed)
    }

    /// Removes the entries of components that are no longer known, and of other versions of the
    /// engine, and what was never written to its end. Somebody who is writing just then writes
    /// again at the next start.
    ///
    /// # Errors
    ///
    /// When the directory cannot be listed or an entry cannot be removed.
    pub fn keep_only(&self, engine: &Engine, digests: &[Digest]) -> io::Result<()> {
        let kept: Vec<PathBuf> = digests.iter().map(|digest| self.entry(engine, digest)).collect();
        for file in fs::read_dir(&self.dir)? {
            let path = file?.path();
            let is_ours = path.extension().is_some_and(|it| it == "cwasm" || it == PART);
            if is_ours && !kept.contains(&path) {
                fs::remove_file(path)?;
            }
        }
        Ok(())
    }

    fn entry(&self, engine: &Engine, digest: &Digest) -> PathBuf {
        self.dir.join(format!("{digest}-{}.cwasm", engine.compatibility()))
    }

    fn hash(&self, engine: &Engine, digest: &Digest, compiled: &[u8]) -> Hmac<Sha256> {
        let mut hash = Hmac::new_from_slice(&self.key).expect("HMAC takes a key of any length");
        hash.update(digest.to_string().as_bytes());
        hash.update(engine.compatibility().as_bytes());
        hash.update(compiled);
        hash
    }

    fn seal(&self, engine: &Engine, digest: &Digest, compiled: &[u8]) -> [u8; SEAL_BYTES] {
        self.hash(engine, digest, compiled).finalize().into_bytes().into()
    }

    /// Writes beside and renames, so that a crash leaves the old entry or the new one.
    fn write(&self, path: &Path, seal: &[u8], compiled: &[u8]) -> io::Result<()> {
        let part = Part(beside(path));
        let mut file = File::create(&part.0)?;
        file.write_all(seal)?;
        file.write_all(compiled)?;
        file.sync_all()?;
        fs::rename(&part.0, path)
    }
}

/// A file that is not yet whole: removed unless it has got its name.
struct Part(PathBuf);

impl Drop for Part {
    fn drop(&mut self) {
        // After a rename it is not there, which is as well.
        let _ = fs::remove_file(&self.0);
    }
}

/// Removes what a process that was killed, or a full disk, left half written. Younger ones may be
/// another process's that writes just now.
fn remove_forgotten_parts(dir: &Path) -> io::Result<()> {
    for file in fs::read_dir(dir)? {
        let file = file?;
        let Ok(about) = file.metadata() else { continue };
        let age = about.modified()?.elapsed().unwrap_or_default();
        if file.path().extension().is_some_and(|it| it == PART) && age > PART_AGE_MAX {
            fs::remove_file(file.path())?;
        }
    }
    Ok(())
}

/// What the disk of a directory has left for this user, in bytes.
fn free_bytes(dir: &Path) -> io::Result<u64> {
    let disk = rustix::fs::statvfs(dir)?;
    Ok(disk.f_bavail.saturating_mul(disk.f_frsize))
}

/// The key, unless it is missing, or somebody else could know or have made it: then it is removed.
fn read_key(path: &Path) -> io::Result<Option<[u8; KEY_BYTES]>> {
    let mut file = match File::open(path) {
        Ok(file) => file,
        Err(e) if e.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(e) => return Err(e),
    };
    let about = file.metadata()?;
    let ours = about.uid() == rustix::process::geteuid().as_raw();
    if !ours || about.mode() & 0o077 != 0 || about.len() != KEY_BYTES as u64 {
        tracing::warn!(path = %path.display(), "the key of the compiled cache is not ours alone; making a new one");
        return match fs::remove_file(path) {
            Err(e) if e.kind() != io::ErrorKind::NotFound => Err(e),
            Ok(()) | Err(_) => Ok(None),
        };
    }
    let mut key = [0; KEY_BYTES];
    file.read_exact(&mut key)?;
    Ok(Some(key))
}

/// The directory's key. Of several processes that find none at once the first makes it, and all use
/// it.
fn key(path: &Path) -> io::Result<[u8; KEY_BYTES]> {
    for _ in 0..KEY_ATTEMPTS {
        if let Some(key) = read_key(path)? {
            return Ok(key);
        }
        if let Some(key) = write_key(path)? {
            return Ok(key);
        }
    }
    Err(io::Error::other("somebody else keeps replacing its key"))
}

/// Writes a fresh key; none when somebody else was faster.
fn write_key(path: &Path) -> io::Result<Option<[u8; KEY_BYTES]>> {
    let mut key = [0; KEY_BYTES];
    getrandom::fill(&mut key).map_err(|e| io::Error::other(e.to_string()))?;
    let part = Part(beside(path));
    let mut file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(&part.0)?;
    file.write_all(&key)?;
    file.sync_all()?;
    // A link and no rename: it never replaces a key that somebody already seals with, and is whole
    // at once.
    match fs::hard_link(&part.0, path) {
        Ok(()) => Ok(Some(key)),
        Err(e) if e.kind() == io::ErrorKind::AlreadyExists => Ok(None),
        Err(e) => Err(e),
    }
}

/// A name for what is to become `path` that nobody else uses, in this process or another.
fn beside(path: &Path) -> PathBuf {
    static NEXT: AtomicU64 = AtomicU64::new(0);
    // Only that no two are the same matters, not their order.
    let number = NEXT.fetch_add(1, Ordering::Relaxed);
    path.with_extension(format!("{}-{number}.{PART}", std::process::id()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::SystemTime;

    #[test]
    fn the_oldest_entries_make_room_and_nothing_else_does() {
        let cached = Cached::with(&["a.cwasm", "b.cwasm", "c.cwasm"]);

        let room = cached.cache.make_room(100, LEFT_FREE_BYTES).unwrap();

        assert!(room, "the oldest has as many bytes as the new one");
        assert_eq!(cached.left(), ["b.cwasm", "c.cwasm", KEY_FILE]);
    }

    #[test]
    fn nothing_goes_while_there_is_room() {
        let cached = Cached::with(&["a.cwasm", "b.cwasm"]);

        assert!(cached.cache.make_room(100, LEFT_FREE_BYTES + 100).unwrap());
        assert_eq!(cached.left(), ["a.cwasm", "b.cwasm", KEY_FILE]);
    }

    #[test]
    fn the_cache_does_not_take_the_last_of_the_disk() {
        let cached = Cached::with(&["a.cwasm"]);

        let room = cached.cache.make_room(101, LEFT_FREE_BYTES).unwrap();

        assert!(!room, "it would leave a byte less than what others are left");
        assert_eq!(cached.left(), [KEY_FILE], "others need the room more than the cache");
    }

    #[test]
    fn what_was_half_written_is_gone_after_the_failure_and_after_the_next_start() {
        let dir = tempfile::tempdir().unwrap();
        let cache = CompiledCache::open(dir.path()).unwrap();
        // A directory in the entry's place: the rename fails, as a write does on a full disk.
        let entry = dir.path().join("entry.cwasm");
        fs::create_dir_all(entry.join("taken")).unwrap();
        cache.write(&entry, &[0; SEAL_BYTES], b"code").unwrap_err();
        fs::remove_dir_all(entry).unwrap();
        assert_eq!(names(dir.path()), [KEY_FILE]);
        let forgotten = File::create(dir.path().join("e.1-0.part")).unwrap();
        forgotten.set_modified(SystemTime::now() - 2 * PART_AGE_MAX).unwrap();
        File::create(dir.path().join("somebodys.2-0.part")).unwrap();

        CompiledCache::open(dir.path()).unwrap();

        assert_eq!(names(dir.path()), [KEY_FILE, "somebodys.2-0.part"]);
    }

    struct Cached {
        dir: tempfile::TempDir,
        cache: CompiledCache,
    }

    impl Cached {
        /// Entries of 100 bytes, the oldest first.
        fn with(entries: &[&str]) -> Self {
            let dir = tempfile::tempdir().unwrap();
            let cache = CompiledCache::open(dir.path()).unwrap();
            for (age_s, name) in (1..=30).rev().zip(entries) {
                let file = File::create(dir.path().join(name)).unwrap();
                file.set_len(100).unwrap();
                file.set_modified(SystemTime::now() - Duration::from_secs(age_s)).unwrap();
            }
            Self { dir, cache }
        }

        fn left(&self) -> Vec<String> {
            names(self.dir.path())
        }
    }

    fn names(dir: &Path) -> Vec<String> {
        let files = fs::read_dir(dir).unwrap();
        let mut names: Vec<_> =
            files.map(|it| it.unwrap().file_name().into_string().unwrap()).collect();
        names.sort();
        names
    }
}
