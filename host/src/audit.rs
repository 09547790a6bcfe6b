//! The audit log: who asked for what, and what came of it.
//!
//! **One rule: a change that could not be written down is not made**, but for what the gateway does of its own accord, since
//! callers wait for it. Each change has two lines: one before
//! it, and one with its outcome after. A line without its second is a change that the process did not live
//! to finish.

use std::fmt::Display;
use std::fs::{self, File, OpenOptions};
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};
use std::time::{SystemTime, UNIX_EPOCH};

use cordboard_tenant::plain_file;
use cordboard_tenant::version_store::When;
use serde_json::{Value, json};

/// Bytes of the file that is written to; then it moves to `audit.1.jsonl`, that one to `audit.2.jsonl`...
/// About 15,000 lines.
const FILE_BYTES_MAX: u64 = 4 * 1024 * 1024;

/// Older files kept. With the limit above, some 80,000 changes.
const OLD_FILES_MAX: u32 = 9;

/// Who changes something when nobody asked for it.
const THE_HOST: &str = "cordboard";

/// An append-only file of JSON lines in the tenants directory.
pub(crate) struct Audit {
    path: PathBuf,
    file_bytes_max: u64,
    /// Lines must not mix and rotation must not race; there is no task that could own a file so seldom used.
    open: Mutex<Open>,
}

struct Open {
    file: File,
    bytes: u64,
    next: u64,
}

/// A change that was written down and whose outcome is not.
pub(super) struct Asked(u64);

impl Audit {
    /// Opens the log of a tenants directory, which is made where it is missing.
    pub(crate) fn open(dir: &Path) -> io::Result<Self> {
        fs::create_dir_all(dir)?;
        Self::open_bounded(dir, FILE_BYTES_MAX)
    }

    fn open_bounded(dir: &Path, file_bytes_max: u64) -> io::Result<Self> {
        let path = dir.join("audit.jsonl");
        let file = append_to(&path)?;
        let bytes = file.metadata()?.len();
        // Numbers tie two lines together: they need to differ over a restart, not to be without gaps.
        let since_1970 = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        let next = u64::try_from(since_1970.as_millis()).unwrap_or_default();
        Ok(Self { path, file_bytes_max, open: Mutex::new(Open { file, bytes, next }) })
    }

    /// Writes down what is about to be done.
    ///
    /// # Errors
    /// It could not be written, so it must not be done.
    pub(super) fn asked(
        &self,
        who: &str,
        tenant: &str,
        what: &str,
        details: &Value,
    ) -> io::Result<Asked> {
        let mut open = self.open.lock().unwrap_or_else(PoisonError::into_inner);
        open.next += 1;
        let change = open.next;
        let line = json!({
            "when": now(), "change": change, "who": who, "tenant": tenant, "asked": what, "with": details,
        });
        self.append(&mut open, &line)?;
        Ok(Asked(change))
    }

    /// Writes down what came of it.
    pub(super) fn came_of_it(&self, asked: &Asked, outcome: &Value) {
        let mut open = self.open.lock().unwrap_or_else(PoisonError::into_inner);
        let line = json!({ "when": now(), "change": asked.0, "outcome": outcome });
        if let Err(error) = self.append(&mut open, &line) {
            tracing::error!(path = %self.path.display(), %error, %line, "the audit log can not be written");
        }
    }

    /// Writes down what the gateway does of its own accord, a roll-back or the deployment of a saved file, and does it.
    ///
    /// # Errors
    /// What the work itself fails with.
    pub(crate) fn by_the_gateway<T, E: Display>(
        &self,
        tenant: &str,
        what: &str,
        details: &Value,
        work: impl FnOnce() -> Result<T, E>,
    ) -> Result<T, E> {
        let asked = self.asked(THE_HOST, tenant, what, details).inspect_err(|error| {
            tracing::error!(path = %self.path.display(), %error, "the audit log can not be written");
        });
        let done = work();
        if let Ok(asked) = asked {
            let outcome = match &done {
                Ok(_) => json!("done"),
                Err(error) => json!({ "failed": error.to_string() }),
            };
            self.came_of_it(&asked, &outcome);
        }
        done
    }

    /// From now on nothing can be written, as on a full disk.
    #[cfg(test)]
    pub(crate) fn fail_to_write(&self) {
        self.open.lock().unwrap().file = File::open(&self.path).unwrap();
    }

    fn append(&self, open: &mut Open, line: &Value) -> io::Result<()> {
        let text = format!("{line}\n");
        if open.bytes > 0 && open.bytes + text.len() as u64 > self.file_bytes_max {
            self.rotate()?;
            *open = Open { file: append_to(&self.path)?, bytes: 0, next: open.next };
        }
        open.file.write_all(text.as_bytes())?;
        open.bytes += text.len() as u64;
        open.file.sync_data()
    }

    fn rotate(&self) -> io::Result<()> {
        for number in (1..OLD_FILES_MAX).rev() {
            match fs::rename(self.old(number), self.old(number + 1)) {
                Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
                Ok(()) | Err(_) => {}
            }
        }
        fs::rename(&self.path, self.old(1))
    }

    fn old(&self, number: u32) -> PathBuf {
        self.path.with_file_name(format!("audit.{number}.jsonl"))
    }
}

fn append_to(path: &Path) -> io::Result<File> {
    plain_file::can_be_file(path)?;
    OpenOptions::new().append(true).create(true).open(path)
}

fn now() -> String {
    When::from(SystemTime::now()).to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lines(path: &Path) -> Vec<Value> {
        let text = fs::read_to_string(path).unwrap();
        text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
    }

    #[test]
    fn a_change_is_two_lines_that_name_each_other() {
        let dir = tempfile::tempdir().unwrap();
        let audit = Audit::open(dir.path()).unwrap();
        let asked = audit.asked("ops", "acme", "activate", &json!({ "version": "v2" })).unwrap();
        audit.came_of_it(&asked, &json!("done"));

        let lines = lines(&dir.path().join("audit.jsonl"));
        assert_eq!(lines.len(), 2);
        assert_eq!(lines[0]["who"], "ops");
        assert_eq!(lines[0]["tenant"], "acme");
        assert_eq!(lines[0]["with"]["version"], "v2");
        assert_eq!(lines[0]["change"], lines[1]["change"]);
        assert_eq!(lines[1]["outcome"], "done");
    }

    #[test]
    fn a_restart_goes_on_where_the_log_ended() {
        let dir = tempfile::tempdir().unwrap();
        for _ in 0..2 {
            Audit::open(dir.path()).unwrap().asked("ops", "acme", "promote", &Value::Null).unwrap();
        }
        assert_eq!(lines(&dir.path().join("audit.jsonl")).len(), 2);
    }

    #[test]
    fn a_long_log_moves_on_and_the_oldest_part_goes() {
        let dir = tempfile::tempdir().unwrap();
        let audit = Audit::open_bounded(dir.path(), 300).unwrap();
        for change in 0..100 {
            audit.asked("ops", "acme", "promote", &json!(change)).unwrap();
        }
        let files = fs::read_dir(dir.path()).unwrap().count();
        assert_eq!(files, 1 + OLD_FILES_MAX as usize);
        let newest = lines(&dir.path().join("audit.jsonl"));
        assert_eq!(newest.last().unwrap()["with"], 99);
        for number in 1..=OLD_FILES_MAX {
            let old = dir.path().join(format!("audit.{number}.jsonl"));
            assert!(fs::metadata(old).unwrap().len() <= 300);
        }
    }
}
