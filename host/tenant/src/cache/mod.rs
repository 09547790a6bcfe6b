//! Compiled components, kept on disk: loading one takes a third of a millisecond, compiling it up to half a
//! minute.
//!
//! A compiled component is machine code. **Whoever can write an entry that this module accepts owns the
//! process**, so an entry carries a keyed hash (HMAC-SHA256), and the key lies beside it in a file that only
//! this process's user can read. Somebody who may write the directory, to deploy tenants for instance, can
//! delete entries, but not forge one. An entry is also bound to the component's digest and to wasmtime's
//! full version, settings and CPU, by its name and under the hash. What does not match is compiled again.

mod load;

use std::fs::{self, File, OpenOptions};
use std::io::{self, Read as _, Write as _};
use std::os::unix::fs::{MetadataExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};

use hmac::{Hmac, KeyInit as _, Mac as _};
use sha2::Sha256;

use crate::engine::Engine;
use crate::version_store::Digest;

const KEY_FILE: &str = "key";
const KEY_BYTES: usize = 32;
const SEAL_BYTES: usize = 32;
/// All entries together, in bytes; beyond it the oldest go. 2 GiB: thirty interpreters, or thousands of Rust
/// tenants. Without a bound, every upload that failed its rehearsal would stay for ever.
const BYTES_MAX: u64 = 2 << 30;
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
        Ok(Self { dir: dir.to_owned(), key: key(&dir.join(KEY_FILE))? })
    }

    /// Opens a cache, or says in the log why there is none. Without one components are compiled at every start,
    /// which is slow and no reason to answer no calls.
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
        let entry = fs::read(&path).ok()?;
        let (seal, compiled) = entry.split_at_checked(SEAL_BYTES)?;
        if self.hash(engine, digest, compiled).verify_slice(seal).is_err() {
            tracing::warn!(path = %path.display(), "a compiled component was changed by somebody else; compiling it again");
            return None;
        }
        load::deserialize(engine.wasm(), compiled)
            .inspect_err(|e| tracing::info!(path = %path.display(), "a compiled component does not fit: {e:#}"))
            .ok()
    }

    /// Keeps a compiled component; a cache that cannot be written is said once per deployment and no obstacle.
    pub(crate) fn put(
        &self,
        engine: &Engine,
        digest: &Digest,
        component: &wasmtime::component::Component,
    ) {
        let path = self.entry(engine, digest);
        let written = component.serialize().map_err(io::Error::other).and_then(|compiled| {
            self.write(&path, &self.seal(engine, digest, &compiled), &compiled)
        });
        if let Err(e) = written.and_then(|()| self.make_room(BYTES_MAX)) {
            tracing::warn!(path = %path.display(), "cannot keep a compiled component: {e}");
        }
    }

    /// Removes the oldest entries until the rest takes no more than so many bytes.
    fn make_room(&self, bytes_max: u64) -> io::Result<()> {
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
        let mut bytes: u64 = entries.iter().map(|(_, len, _)| len).sum();
        for (_, len, path) in entries {
            if bytes <= bytes_max {
                break;
            }
            fs::remove_file(path)?;
            bytes -= len;
        }
        Ok(())
    }

    /// Removes the entries of components that are no longer known, and of other versions of the engine, and what
    /// was never written to its end. Somebody who is writing just then writes again at the next start.
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
        let beside = beside(path);
        let mut file = File::create(&beside)?;
        file.write_all(seal)?;
        file.write_all(compiled)?;
        file.sync_all()?;
        fs::rename(beside, path)
    }
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

/// The directory's key. Of several processes that find none at once the first makes it, and all use it.
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
    let beside = beside(path);
    let mut file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(&beside)?;
    file.write_all(&key)?;
    file.sync_all()?;
    // A link and no rename: it never replaces a key that somebody already seals with, and is whole at once.
    let linked = fs::hard_link(&beside, path);
    fs::remove_file(&beside)?;
    match linked {
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
    use std::time::{Duration, SystemTime};

    #[test]
    fn the_oldest_entries_make_room_and_nothing_else_does() {
        let dir = tempfile::tempdir().unwrap();
        let cache = CompiledCache::open(dir.path()).unwrap();
        let newest = SystemTime::now();
        for (age_s, name) in [(30, "a.cwasm"), (20, "b.cwasm"), (10, "c.cwasm")] {
            let file = File::create(dir.path().join(name)).unwrap();
            file.set_len(100).unwrap();
            file.set_modified(newest - Duration::from_secs(age_s)).unwrap();
        }

        cache.make_room(250).unwrap();

        let left = |name| dir.path().join(name).exists();
        assert_eq!(
            ["a.cwasm", "b.cwasm", "c.cwasm", KEY_FILE].map(left),
            [false, true, true, true]
        );
    }
}
