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

use hmac::{Hmac, KeyInit as _, Mac as _};
use sha2::Sha256;

use crate::component::Digest;
use crate::engine::Engine;

const KEY_FILE: &str = "key";
const KEY_BYTES: usize = 32;
const SEAL_BYTES: usize = 32;

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
        let path = dir.join(KEY_FILE);
        let key = match read_key(&path)? {
            Some(key) => key,
            None => write_key(&path)?,
        };
        Ok(Self { dir: dir.to_owned(), key })
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
        if let Err(e) = written {
            tracing::warn!(path = %path.display(), "cannot keep a compiled component: {e}");
        }
    }

    /// Removes the entries of components that are no longer known, and of other versions of the engine.
    ///
    /// # Errors
    ///
    /// When the directory cannot be listed or an entry cannot be removed.
    pub fn keep_only(&self, engine: &Engine, digests: &[Digest]) -> io::Result<()> {
        let kept: Vec<PathBuf> = digests.iter().map(|digest| self.entry(engine, digest)).collect();
        for file in fs::read_dir(&self.dir)? {
            let path = file?.path();
            if path.extension().is_some_and(|it| it == "cwasm") && !kept.contains(&path) {
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
        let beside = path.with_extension(format!("{}.part", std::process::id()));
        let mut file = File::create(&beside)?;
        file.write_all(seal)?;
        file.write_all(compiled)?;
        file.sync_all()?;
        fs::rename(beside, path)
    }
}

/// The key, unless it is missing or somebody else could know or have made it.
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
        return Ok(None);
    }
    let mut key = [0; KEY_BYTES];
    file.read_exact(&mut key)?;
    Ok(Some(key))
}

fn write_key(path: &Path) -> io::Result<[u8; KEY_BYTES]> {
    let mut key = [0; KEY_BYTES];
    getrandom::fill(&mut key).map_err(|e| io::Error::other(e.to_string()))?;
    match fs::remove_file(path) {
        Err(e) if e.kind() != io::ErrorKind::NotFound => return Err(e),
        Ok(()) | Err(_) => {}
    }
    let mut file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(path)?;
    file.write_all(&key)?;
    file.sync_all()?;
    Ok(key)
}
