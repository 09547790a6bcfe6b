//! Files that an operator put somewhere, read only where they are files.
//!
//! **One rule: what is not a file is refused by name and never opened.** Opening a pipe waits for somebody to
//! write into it, and reading a device may never end: a start would hang without a word.

use std::fs::{File, FileType, Metadata};
use std::io::{self, Read as _};
use std::path::Path;

/// Reads a whole file of at most `bytes_max`. A link to a file is a file.
///
/// # Errors
/// It can not be read, is longer ([`io::ErrorKind::FileTooLarge`]), or is no file
/// ([`io::ErrorKind::InvalidInput`]), with what it is instead.
pub fn read(path: &Path, bytes_max: usize) -> io::Result<Vec<u8>> {
    is_file(&path.metadata()?)?;
    let file = File::open(path)?;
    // What was opened may have taken the name meanwhile.
    is_file(&file.metadata()?)?;
    let mut bytes = Vec::new();
    file.take(bytes_max as u64 + 1).read_to_end(&mut bytes)?;
    if bytes.len() > bytes_max {
        let words = format!("longer than {bytes_max} bytes");
        return Err(io::Error::new(io::ErrorKind::FileTooLarge, words));
    }
    Ok(bytes)
}

/// As [`read`], for a file of text.
///
/// # Errors
/// As for [`read`], and for what is not UTF-8 ([`io::ErrorKind::InvalidData`]).
pub fn read_text(path: &Path, bytes_max: usize) -> io::Result<String> {
    let not_text = |_| io::Error::new(io::ErrorKind::InvalidData, "it is not UTF-8 text");
    String::from_utf8(read(path, bytes_max)?).map_err(not_text)
}

/// Refuses what is no file.
///
/// # Errors
/// It is a folder, a pipe, a device or a socket.
pub fn is_file(about: &Metadata) -> io::Result<()> {
    if about.is_file() {
        return Ok(());
    }
    let words = format!("it is {}, and a file is needed here", kind_of(about.file_type()));
    Err(io::Error::new(io::ErrorKind::InvalidInput, words))
}

/// Refuses to write over what is no file. What is not there yet can become one.
///
/// # Errors
/// As for [`is_file`].
pub fn can_be_file(path: &Path) -> io::Result<()> {
    match path.metadata() {
        Ok(about) => is_file(&about),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        Err(error) => Err(error),
    }
}

#[cfg(unix)]
fn kind_of(kind: FileType) -> &'static str {
    use std::os::unix::fs::FileTypeExt as _;
    if kind.is_fifo() {
        "a named pipe"
    } else if kind.is_char_device() || kind.is_block_device() {
        "a device"
    } else if kind.is_socket() {
        "a socket"
    } else {
        other_kind_of(kind)
    }
}

#[cfg(not(unix))]
fn kind_of(kind: FileType) -> &'static str {
    other_kind_of(kind)
}

fn other_kind_of(kind: FileType) -> &'static str {
    if kind.is_dir() { "a folder" } else { "no plain file" }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_folder_a_device_and_a_pipe_are_refused_by_name_without_waiting() {
        let dir = tempfile::tempdir().unwrap();
        let pipe = dir.path().join("pipe");
        let made = std::process::Command::new("mkfifo").arg(&pipe).status().unwrap();
        assert!(made.success());
        for (path, name) in [
            (dir.path(), "a folder"),
            (Path::new("/dev/zero"), "a device"),
            (pipe.as_path(), "a named pipe"),
        ] {
            let error = read(path, 10).unwrap_err();
            assert!(error.to_string().contains(name), "{}: {error}", path.display());
            assert_eq!(can_be_file(path).unwrap_err().to_string(), error.to_string());
        }
    }

    #[test]
    fn a_file_and_a_link_to_one_are_read_up_to_their_limit() {
        let dir = tempfile::tempdir().unwrap();
        let (file, link) = (dir.path().join("file"), dir.path().join("link"));
        std::fs::write(&file, "four").unwrap();
        std::os::unix::fs::symlink(&file, &link).unwrap();
        assert_eq!(read_text(&link, 4).unwrap(), "four");
        assert!(can_be_file(&link).is_ok() && can_be_file(&dir.path().join("new")).is_ok());
        assert_eq!(read(&file, 3).unwrap_err().kind(), io::ErrorKind::FileTooLarge);
    }
}
