//! A new version on yesterday's calls, before it answers anybody.

use std::fmt::Write as _;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, bail};
use cordboard_recording::{Recording, Tail};

use super::components::Components;
use super::run::{Difference, Replay, seconds, with};

/// What came of a dry run.
#[derive(Debug)]
pub struct DryRun {
    /// What to tell a person.
    pub text: String,
    /// Why the version may not answer calls, for each recording that says so.
    pub objections: usize,
}

/// Recordings that are read in one dry run: 10,000, a few hours of replays.
const RECORDINGS_MAX: usize = 10_000;

/// Tells every recorded call of a tenant below `dir` to a component, within the limits those calls had.
///
/// It objects to a component that fails where an answer was carried out, and to one that sends another amount of
/// audio for the same event, which a caller would hear as a gap or a repeat. Other differences are what a new
/// version is for; they are counted.
///
/// # Errors
/// The component is no tenant, or there is no recording of this tenant.
pub async fn dry_run(tenant: &str, component: &Path, dir: &Path) -> anyhow::Result<DryRun> {
    let mut files = Vec::new();
    find(dir, DEPTH_MAX, &mut files).with_context(|| dir.display().to_string())?;
    files.sort();
    let component = Components::new(None)?.add(component)?;
    let mut run = DryRun { text: String::new(), objections: 0 };
    let (mut calls, mut answers, mut of_others) = (0, 0, 0);
    for file in &files {
        let name = file.strip_prefix(dir).unwrap_or(file).display();
        let bytes = std::fs::read(file).with_context(|| file.display().to_string())?;
        let recording = match Recording::read(&bytes) {
            Ok(recording) if recording.header.tenant == tenant => recording,
            Ok(_) => {
                of_others += 1;
                continue;
            }
            Err(error) => {
                writeln!(run.text, "{name}: not used: {error}")?;
                continue;
            }
        };
        let replay = with(&recording, &component, 1).await;
        if replay.is_empty() {
            writeln!(run.text, "{name}: not used: nothing in it can be compared")?;
            continue;
        }
        if let Tail::Damaged { .. } = recording.tail {
            writeln!(run.text, "{name}: used as far as it goes: {}", recording.tail)?;
        }
        for unprovable in recording.header.redaction.unprovable() {
            writeln!(run.text, "{name}: redacted: {unprovable}")?;
        }
        calls += 1;
        answers += replay.answers;
        let found = objection(&replay);
        run.objections += usize::from(found.is_some());
        let verdict = match (found, replay.differing) {
            (Some(objection), _) => objection,
            (None, 0) => "identical".to_owned(),
            (None, differing) => format!("{differing} of {} answers differ", replay.answers),
        };
        writeln!(run.text, "{name}: {verdict}")?;
    }
    if calls == 0 {
        bail!(
            "no recording of tenant `{tenant}` below {}, so nothing was tried ({} files, {of_others} of other tenants)",
            dir.display(),
            files.len()
        );
    }
    let verdict = match run.objections {
        0 => "nothing to object to".to_owned(),
        objections => format!("{objections} of them object"),
    };
    writeln!(run.text, "dry run on {calls} recorded calls, {answers} answers: {verdict}")?;
    Ok(run)
}

fn objection(replay: &Replay) -> Option<String> {
    if let Some(Difference { now, event, what, .. }) = replay.failures().next() {
        let (at, event) = (seconds(*now), cordboard_recording::describe::cut(event, 60));
        return Some(format!("it fails at {at}, {event}: {}", what.replayed()));
    }
    replay.amount.clone()
}

/// Folders below each other that are looked into: a recordings directory has two.
const DEPTH_MAX: u32 = 4;

fn find(dir: &Path, depth: u32, files: &mut Vec<PathBuf>) -> std::io::Result<()> {
    for entry in std::fs::read_dir(dir)? {
        let path = entry?.path();
        if path.is_dir() && depth > 0 {
            find(&path, depth - 1, files)?;
        } else if path.extension().is_some_and(|ending| ending == "cbr")
            && files.len() < RECORDINGS_MAX
        {
            files.push(path);
        }
    }
    Ok(())
}
