//! Where a recording goes: a folder per tenant and day, a file per call, for nobody else to read.

use std::fs::{DirBuilder, File, OpenOptions};
use std::io;
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};

use cordboard_recording::Header;
use cordboard_tenant::version_store::When;

/// How a recording's name ends.
pub(super) const ENDING: &str = "cbr";

/// Bytes of a call's id in a file's name: 64; the carrier's has 34.
const ID_BYTES_MAX: usize = 64;

/// Files of one name that are told apart by a number: 100. A call's id comes once.
const SAME_MAX: u32 = 100;

/// Makes the file of a recording: readable and writable by its owner alone, and new.
///
/// # Errors
/// The disk's own.
pub(super) fn create(dir: &Path, header: &Header) -> io::Result<(PathBuf, File)> {
    let path = path(dir, header);
    let folder = path.parent().expect("a recording's path has a tenant and a day");
    DirBuilder::new().recursive(true).mode(0o700).create(folder)?;
    for again in 0..SAME_MAX {
        let path = match again {
            0 => path.clone(),
            again => path.with_extension(format!("{again}.{ENDING}")),
        };
        match OpenOptions::new().write(true).create_new(true).mode(0o600).open(&path) {
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
            opened => {
                let file = opened?;
                // A file whose name is lost with the machine is lost.
                File::open(folder)?.sync_all()?;
                return Ok((path, file));
            }
        }
    }
    Err(io::ErrorKind::AlreadyExists.into())
}

/// `acme/2026-11-22/111726Z-CA0123.cbr`, in UTC.
fn path(dir: &Path, header: &Header) -> PathBuf {
    let when = When::from_unix(header.began_unix_ms / 1_000).to_string();
    let (day, time) = when.split_once('T').expect("RFC 3339 has a T between day and time");
    let time = time.replace(':', "");
    dir.join(plain(&header.tenant))
        .join(day)
        .join(format!("{time}-{}.{ENDING}", plain(&header.call_id)))
}

/// The text as a part of a file's name. A tenant's name is one by itself; a call's id is the carrier's word.
fn plain(text: &str) -> String {
    let letter = |c: char| if c.is_ascii_alphanumeric() || c == '-' { c } else { '_' };
    text.chars().take(ID_BYTES_MAX).map(letter).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn header(call_id: &str) -> Header {
        Header {
            call_id: call_id.into(),
            tenant: "acme".into(),
            began_unix_ms: 1_700_000_000_123,
            gateway: "0".into(),
            redaction: Default::default(),
        }
    }

    #[test]
    fn a_file_is_named_by_tenant_day_time_and_call() {
        let path = path(Path::new("r"), &header("CA1"));
        assert_eq!(path, Path::new("r/acme/2023-11-14/221320Z-CA1.cbr"));
    }

    #[test]
    fn an_id_can_not_lead_out_of_the_folder() {
        for id in ["../../etc/passwd", "/etc/passwd", "a\0b", "..", "é\n", &"x".repeat(500)] {
            let path = path(Path::new("r"), &header(id));
            assert_eq!(path.components().count(), 4, "{}", path.display());
            let name = path.file_name().unwrap().to_str().unwrap();
            assert!(name.is_ascii() && name.len() < 100 && name.starts_with("221320Z-"), "{name}");
        }
    }

    #[test]
    fn a_second_recording_of_one_name_does_not_touch_the_first() {
        let dir = tempfile::tempdir().unwrap();
        let (first, _) = create(dir.path(), &header("CA1")).unwrap();
        let (second, _) = create(dir.path(), &header("CA1")).unwrap();
        assert_ne!(first, second);
        assert_eq!(second.extension().unwrap(), ENDING);
    }

    #[test]
    fn nobody_else_may_read_it() {
        use std::os::unix::fs::PermissionsExt as _;

        let dir = tempfile::tempdir().unwrap();
        let (path, file) = create(dir.path(), &header("CA1")).unwrap();
        assert_eq!(file.metadata().unwrap().permissions().mode() & 0o777, 0o600);
        let folder = std::fs::metadata(path.parent().unwrap()).unwrap();
        assert_eq!(folder.permissions().mode() & 0o777, 0o700);
    }
}
