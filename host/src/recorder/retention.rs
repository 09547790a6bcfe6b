//! Which recordings leave, so that the rest fit.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use super::place::ENDING;

/// A recording on disk.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Kept {
    path: PathBuf,
    bytes: u64,
    written: SystemTime,
}

/// Deletes recordings that are older than `keep`, then the oldest until all have `bytes_max` at most. Those
/// under way are left alone, and so is every file of another name. What can not be read or removed keeps nothing else
/// from leaving.
///
/// # Errors
/// The disk's own, at the first file or folder it has one for; the rest was swept all the same.
pub(super) fn sweep(
    dir: &Path,
    keep: Duration,
    bytes_max: u64,
    now: SystemTime,
    under_way: impl Fn(&Path) -> bool,
) -> io::Result<usize> {
    let mut all = Vec::new();
    let mut trouble = find(dir, DEPTH, &mut all).err();
    all.sort_by(|one, two| (one.written, &one.path).cmp(&(two.written, &two.path)));
    let mut bytes: u64 = all.iter().map(|kept| kept.bytes).sum();
    let mut gone = 0;
    for kept in all.iter().filter(|kept| !under_way(&kept.path)) {
        let age = now.duration_since(kept.written).unwrap_or_default();
        if age <= keep && bytes <= bytes_max {
            break;
        }
        match fs::remove_file(&kept.path) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => {
                trouble.get_or_insert(error);
                continue;
            }
            Ok(()) | Err(_) => {}
        }
        bytes -= kept.bytes;
        gone += 1;
        // Refused while anything is left in them, which is as it should be.
        if let Some(day) = kept.path.parent()
            && fs::remove_dir(day).is_ok()
            && let Some(tenant) = day.parent()
        {
            let _ = fs::remove_dir(tenant);
        }
    }
    trouble.map_or(Ok(gone), Err)
}

/// Folders above a recording: its tenant's and its day's.
const DEPTH: u32 = 2;

fn find(dir: &Path, depth: u32, all: &mut Vec<Kept>) -> io::Result<()> {
    let entries = match fs::read_dir(dir) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        entries => entries?,
    };
    let mut trouble = None;
    for entry in entries {
        if let Err(error) = entry.and_then(|entry| take(&entry, depth, all)) {
            trouble.get_or_insert(error);
        }
    }
    trouble.map_or(Ok(()), Err)
}

fn take(entry: &fs::DirEntry, depth: u32, all: &mut Vec<Kept>) -> io::Result<()> {
    let (path, kind) = (entry.path(), entry.file_type()?);
    if kind.is_dir() && depth > 0 {
        return find(&path, depth - 1, all);
    }
    if kind.is_file() && depth == 0 && path.extension().is_some_and(|it| it == ENDING) {
        let metadata = fs::symlink_metadata(&path)?;
        all.push(Kept { path, bytes: metadata.len(), written: metadata.modified()? });
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    const DAY: Duration = Duration::from_secs(86_400);

    /// Recordings of 100 bytes by their age in days, and something else.
    fn folder(ages: &[u32]) -> (tempfile::TempDir, SystemTime) {
        let dir = tempfile::tempdir().unwrap();
        let now = SystemTime::now();
        for age in ages {
            let day = dir.path().join("acme").join(format!("day-{age}"));
            fs::create_dir_all(&day).unwrap();
            let file = fs::File::create(day.join("call.cbr")).unwrap();
            file.set_len(100).unwrap();
            file.set_modified(now - DAY * *age).unwrap();
        }
        fs::write(dir.path().join("notes.txt"), "mine").unwrap();
        (dir, now)
    }

    fn left(dir: &Path) -> Vec<String> {
        let mut all = Vec::new();
        find(dir, DEPTH, &mut all).unwrap();
        let day = |kept: Kept| kept.path.parent().unwrap().file_name().unwrap().to_owned();
        let mut days: Vec<_> = all.into_iter().map(|it| day(it).into_string().unwrap()).collect();
        days.sort();
        days
    }

    #[test]
    fn what_is_too_old_goes() {
        let (dir, now) = folder(&[1, 29, 31, 40]);
        assert_eq!(sweep(dir.path(), DAY * 30, u64::MAX, now, |_| false).unwrap(), 2);
        assert_eq!(left(dir.path()), ["day-1", "day-29"]);
        assert!(!dir.path().join("acme/day-31").exists(), "an empty day goes as well");
        assert!(dir.path().join("notes.txt").exists());
    }

    #[test]
    fn the_oldest_go_until_the_rest_fit() {
        let (dir, now) = folder(&[1, 2, 3, 4]);
        assert_eq!(sweep(dir.path(), DAY * 30, 250, now, |_| false).unwrap(), 2);
        assert_eq!(left(dir.path()), ["day-1", "day-2"]);
    }

    #[test]
    fn a_recording_under_way_stays() {
        let (dir, now) = folder(&[1, 50]);
        let under_way = |path: &Path| path.to_string_lossy().contains("day-50");
        sweep(dir.path(), DAY * 30, 0, now, under_way).unwrap();
        assert_eq!(left(dir.path()), ["day-50"]);
    }

    #[test]
    fn what_can_not_be_removed_keeps_nothing_else_from_leaving() {
        let (dir, now) = folder(&[31, 40, 50]);
        // Not even root removes a folder as if it were a file.
        let folder = dir.path().join("acme/day-40/call.cbr");
        fs::remove_file(&folder).unwrap();
        std::os::unix::fs::symlink("nowhere", &folder).unwrap();
        fs::create_dir(dir.path().join("acme/day-50/call2.cbr")).unwrap();

        sweep(dir.path(), DAY * 30, u64::MAX, now, |_| false).unwrap();

        assert_eq!(left(dir.path()), Vec::<String>::new());
        assert!(dir.path().join("acme/day-50/call2.cbr").exists(), "no recording");
    }

    #[test]
    fn no_directory_is_no_mistake() {
        let dir = tempfile::tempdir().unwrap();
        let none = dir.path().join("recordings");
        assert_eq!(sweep(&none, DAY, 0, SystemTime::now(), |_| false).unwrap(), 0);
    }
}
