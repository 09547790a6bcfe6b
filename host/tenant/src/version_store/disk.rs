//! What the store asks of a disk, step by step, so that a test can stop between any two of them.

use std::any::Any;
use std::fs::{self, File, OpenOptions, TryLockError};
use std::io::{self, Write as _};
use std::path::Path;

use crate::plain_file;

/// The steps. Each is one request to the operating system or two that belong together.
pub trait Disk: Send + Sync + 'static {
    /// Reads a whole file of at most `max` bytes.
    ///
    /// # Errors
    /// As for [`plain_file::read`].
    fn read(&self, path: &Path, max: usize) -> io::Result<Vec<u8>>;

    /// The names in a folder, in no order; those that are not Unicode are not ours and are left out.
    ///
    /// # Errors
    /// The folder cannot be read.
    fn names(&self, folder: &Path) -> io::Result<Vec<String>>;

    /// Makes a folder, which may exist.
    ///
    /// # Errors
    /// It cannot be made.
    fn make_folder(&self, folder: &Path) -> io::Result<()>;

    /// Writes a file and waits until its bytes are on the medium. A file of that name is replaced.
    ///
    /// # Errors
    /// It cannot be written whole. What was written is removed, as far as the medium does that still.
    fn write(&self, path: &Path, bytes: &[u8]) -> io::Result<()>;

    /// Gives a file or folder a new name, in one step. A file of that name is replaced.
    ///
    /// # Errors
    /// Nothing was renamed.
    fn rename(&self, from: &Path, to: &Path) -> io::Result<()>;

    /// Waits until the names in a folder are on the medium.
    ///
    /// # Errors
    /// They may not be.
    fn sync_folder(&self, folder: &Path) -> io::Result<()>;

    /// Removes a file or a whole folder.
    ///
    /// # Errors
    /// Some of it may be gone.
    fn remove(&self, path: &Path) -> io::Result<()>;

    /// Takes a lock that other processes see, until the answer is dropped or the process ends. None while
    /// another one holds it.
    ///
    /// # Errors
    /// The lock's file cannot be made.
    fn lock(&self, path: &Path) -> io::Result<Option<Lock>>;
}

/// A lock that is held.
pub type Lock = Box<dyn Any + Send>;

/// The operating system's files.
#[derive(Debug, Clone, Copy, Default)]
pub struct RealDisk;

impl Disk for RealDisk {
    fn read(&self, path: &Path, max: usize) -> io::Result<Vec<u8>> {
        plain_file::read(path, max)
    }

    fn names(&self, folder: &Path) -> io::Result<Vec<String>> {
        let mut names = Vec::new();
        for entry in fs::read_dir(folder)? {
            names.extend(entry?.file_name().into_string().ok());
        }
        Ok(names)
    }

    fn make_folder(&self, folder: &Path) -> io::Result<()> {
        fs::create_dir_all(folder)
    }

    fn write(&self, path: &Path, bytes: &[u8]) -> io::Result<()> {
        plain_file::can_be_file(path)?;
        let file = OpenOptions::new().write(true).create(true).truncate(true).open(path)?;
        fill(file, path, bytes)
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        fs::rename(from, to)
    }

    fn sync_folder(&self, folder: &Path) -> io::Result<()> {
        File::open(folder)?.sync_all()
    }

    fn remove(&self, path: &Path) -> io::Result<()> {
        // A link is removed itself, never what it points to.
        if fs::symlink_metadata(path)?.is_dir() {
            fs::remove_dir_all(path)
        } else {
            fs::remove_file(path)
        }
    }

    fn lock(&self, path: &Path) -> io::Result<Option<Lock>> {
        plain_file::can_be_file(path)?;
        let file = OpenOptions::new().write(true).create(true).truncate(false).open(path)?;
        match file.try_lock() {
            Ok(()) => Ok(Some(Box::new(file))),
            Err(TryLockError::WouldBlock) => Ok(None),
            Err(TryLockError::Error(error)) => Err(error),
        }
    }
}

/// Writes a file that was just opened at `path`, whole or not at all.
fn fill(mut file: File, path: &Path, bytes: &[u8]) -> io::Result<()> {
    file.write_all(bytes).and_then(|()| file.sync_all()).inspect_err(|_| {
        // On a full disk the half of a component would be in the way of everybody's next one.
        let _ = fs::remove_file(path);
    })
}

#[cfg(all(test, target_os = "linux"))]
mod tests {
    use super::*;

    #[test]
    fn a_file_that_finds_no_room_leaves_no_half_of_itself() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("component.wasm");
        File::create(&path).unwrap();
        // It opens like any file, and has no room for a byte.
        let full = OpenOptions::new().write(true).open("/dev/full").unwrap();

        let error = fill(full, &path, b"one").unwrap_err();

        assert_eq!(error.kind(), io::ErrorKind::StorageFull);
        assert!(!path.exists(), "it is still there");
    }
}
