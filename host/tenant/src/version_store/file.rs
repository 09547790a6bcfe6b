//! `releases.toml`: a [`ReleaseState`] as text that a person can read and repair.
//!
//! **One rule: what is read is either a releases that cannot be wrong, or a line number and what to
//! write there.** The file is written by machine and, on a bad day, by hand.

use std::collections::BTreeSet;
use std::fmt::Display;
use std::ops::Range;
use std::str::FromStr;

use serde::{Deserialize, Serialize};
use toml::Spanned;
use toml::value::Datetime;

use super::ids::{Digest, Share, VersionName, When};
use super::release_state::{Candidate, Entry, ReleaseState};

/// What is wrong with a file, and where.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fault {
    /// From 1; none where the file as a whole is meant.
    pub line: Option<usize>,
    /// What is wrong and what to write.
    pub what: String,
}

/// Writes a releases for the tenant of this name.
pub(super) fn print(releases: &ReleaseState, tenant: &str) -> String {
    let file = File {
        format: Spanned::new(0..0, FORMAT),
        policy: written(releases.policy),
        active: releases.active.map(written),
        earlier: releases.earlier.iter().map(|&version| written(version)).collect(),
        staged: Spanned::new(0..0, releases.staged),
        folder_sha256: releases.folder.map(written),
        canary: releases.candidate.map(Trial::of),
        shadow: releases.shadow.map(Trial::of),
        versions: releases.entries.iter().map(Version::of).collect(),
    };
    let body = toml::to_string(&file).expect("texts, numbers and dates all have a form in TOML");
    format!(
        "# The versions of tenant {tenant}. Written by cordboard after every deployment; {HEADER}\n{body}"
    )
}

/// Reads a releases.
///
/// # Errors
/// The first thing that is wrong, with its line.
pub(super) fn parse(text: &str) -> Result<ReleaseState, Fault> {
    let file: File = toml::from_str(text).map_err(|error| Fault {
        line: error.span().map(|span| line_of(text, &span)),
        what: error.message().trim().to_owned(),
    })?;
    Reader { text }.releases(file)
}

/// Of the file, not of the tenant: raised when an older cordboard could not read it rightly.
const FORMAT: u32 = 1;

const HEADER: &str = "\
read again before the next one.
# To repair it by hand: edit, save, and run `cordboard versions` for this tenant, which reads it again.
#   active    the version of new calls; one of the [[versions]] below
#   earlier   what was active before, the latest last: `cordboard rollback` goes there
#   policy    what running calls do when another version becomes active: \"pin\" or \"migrate\"
#   staged    how many versions there ever were; the next one is called v and one more
#   folder_sha256  what tenant.toml and its component were when they were last deployed from; delete the
#             line to have them deployed again
#   [canary]  a version on trial and its percent of new calls; delete the table to end the trial
#   [shadow]  a version that listens to its percent of new calls and is compared; delete the table to end it
#   rolled_back in a version is why it was taken back; delete the line to allow it again
# Each version is the folder versions/<name> beside this file. To drop one, delete its [[versions]] table;
# its folder is removed at the next start. Its sha256 sums must stay true: a version whose files were
# changed is refused, so deploy changed files as a new version instead.
";

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    format: Spanned<u32>,
    policy: Spanned<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    active: Option<Spanned<String>>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    earlier: Vec<Spanned<String>>,
    staged: Spanned<u32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    folder_sha256: Option<Spanned<String>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    canary: Option<Trial>,
    #[serde(skip_serializing_if = "Option::is_none")]
    shadow: Option<Trial>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    versions: Vec<Version>,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Trial {
    version: Spanned<String>,
    percent: Spanned<u8>,
}

impl Trial {
    fn of(Candidate { version, share }: Candidate) -> Self {
        Self { version: written(version), percent: Spanned::new(0..0, share.as_percent()) }
    }
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Version {
    name: Spanned<String>,
    component_sha256: Spanned<String>,
    settings_sha256: Spanned<String>,
    when: Spanned<Datetime>,
    by: String,
    #[serde(default, skip_serializing_if = "String::is_empty")]
    note: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    rolled_back: Option<String>,
}

impl Version {
    fn of(entry: &Entry) -> Self {
        Self {
            name: written(entry.name),
            component_sha256: written(entry.component),
            settings_sha256: written(entry.settings),
            when: Spanned::new(0..0, entry.when.to_toml()),
            by: entry.by.clone(),
            note: entry.note.clone(),
            rolled_back: entry.rolled_back.clone(),
        }
    }
}

/// Where a value stands matters only to what was read.
fn written(value: impl Display) -> Spanned<String> {
    Spanned::new(0..0, value.to_string())
}

struct Reader<'a> {
    text: &'a str,
}

impl Reader<'_> {
    fn releases(&self, file: File) -> Result<ReleaseState, Fault> {
        if *file.format.get_ref() != FORMAT {
            let format = file.format.get_ref();
            let what =
                format!("format {format} is a newer cordboard's; this one reads format {FORMAT}");
            return Err(self.fault(&file.format.span(), what));
        }
        let mut entries: Vec<Entry> = Vec::with_capacity(file.versions.len());
        for version in file.versions {
            let place = version.name.span();
            let entry = self.entry(version)?;
            if entries.iter().any(|other| other.name == entry.name) {
                return Err(
                    self.fault(&place, format!("{} stands here twice; delete one", entry.name))
                );
            }
            entries.push(entry);
        }
        entries.sort_by_key(|entry| entry.name);
        let names: BTreeSet<VersionName> = entries.iter().map(|entry| entry.name).collect();
        let known = |field: &str, written: &Spanned<String>| {
            let name: VersionName = self.word(field, written)?;
            if names.contains(&name) {
                return Ok(name);
            }
            let list: Vec<String> = names.iter().map(ToString::to_string).collect();
            let what = format!(
                "{field} is {name}, but there is no [[versions]] table of that name; those in this file are: {}",
                if list.is_empty() { "none".to_owned() } else { list.join(", ") }
            );
            Err(self.fault(&written.span(), what))
        };

        let active = file.active.as_ref().map(|written| known("active", written)).transpose()?;
        let beside = |table: &str, trial: &Trial, share: Result<Share, String>| {
            let version = known(&format!("{table}.version"), &trial.version)?;
            let share = share.map_err(|error| self.fault(&trial.percent.span(), error))?;
            match active {
                Some(active) if active != version => Ok(Candidate { version, share }),
                Some(_) => {
                    let what = format!(
                        "{version} is active, so it cannot be the {table} too; delete [{table}]"
                    );
                    Err(self.fault(&trial.version.span(), what))
                }
                None => {
                    let what = format!(
                        "a {table} needs an active version beside it; write `active = \"..\"` above"
                    );
                    Err(self.fault(&trial.version.span(), what))
                }
            }
        };
        let candidate = file.canary.as_ref().map(|canary| {
            let share = Share::percent(*canary.percent.get_ref());
            beside("canary", canary, share.map_err(|error| error.to_string()))
        });
        let candidate = candidate.transpose()?;
        let shadow = file.shadow.as_ref().map(|shadow| {
            let share = Share::of_shadow(*shadow.percent.get_ref());
            beside("shadow", shadow, share.map_err(|error| error.to_string()))
        });
        let shadow = shadow.transpose()?;
        let mut earlier = Vec::with_capacity(file.earlier.len());
        for written in &file.earlier {
            let name = known("earlier", written)?;
            let marked =
                entries.iter().any(|entry| entry.name == name && entry.rolled_back.is_some());
            // Harmless slips of a hand in a hurry; the next writing puts them right.
            if !marked && Some(name) != active && !earlier.contains(&name) {
                earlier.push(name);
            }
        }
        let latest = names.last().map_or(0, |name| name.number());
        if *file.staged.get_ref() < latest {
            let what = format!("staged must be {latest} or more, since v{latest} stands below");
            return Err(self.fault(&file.staged.span(), what));
        }
        Ok(ReleaseState {
            policy: self.word("policy", &file.policy)?,
            active,
            candidate,
            shadow,
            earlier,
            staged: *file.staged.get_ref(),
            folder: (file.folder_sha256.as_ref())
                .map(|written| self.word("folder_sha256", written))
                .transpose()?,
            entries,
        })
    }

    fn entry(&self, version: Version) -> Result<Entry, Fault> {
        let component: Digest = self.word("component_sha256", &version.component_sha256)?;
        let settings: Digest = self.word("settings_sha256", &version.settings_sha256)?;
        let when = When::from_toml(*version.when.get_ref()).ok_or_else(|| {
            let what = "when needs a date, a time and an offset, for example 2026-11-22T10:00:00Z";
            self.fault(&version.when.span(), what.to_owned())
        })?;
        Ok(Entry {
            name: self.word("name", &version.name)?,
            component,
            settings,
            when,
            by: version.by,
            note: version.note,
            rolled_back: version.rolled_back,
        })
    }

    fn word<T: FromStr<Err: Display>>(
        &self,
        field: &str,
        written: &Spanned<String>,
    ) -> Result<T, Fault> {
        let text = written.get_ref();
        text.parse()
            .map_err(|error| self.fault(&written.span(), format!("{field} is {text:?}: {error}")))
    }

    fn fault(&self, place: &Range<usize>, what: String) -> Fault {
        Fault { line: Some(line_of(self.text, place)), what }
    }
}

fn line_of(text: &str, place: &Range<usize>) -> usize {
    let before = &text.as_bytes()[..place.start.min(text.len())];
    before.iter().filter(|&&byte| byte == b'\n').count() + 1
}
