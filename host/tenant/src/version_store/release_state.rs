//! Which versions a tenant has, and which of them answers a call.
//!
//! **One rule: every operation takes a state and gives the next one, or says why not.** Nothing here
//! touches a disk or a clock, so a deployment is a walk over values: what was refused has changed
//! nothing, and what crashed in between was either written whole or not at all.

use super::ids::{Digest, Policy, Share, VersionName, When};
use super::limits;

/// The versions of one tenant and their parts in answering.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct ReleaseState {
    pub(super) policy: Policy,
    pub(super) active: Option<VersionName>,
    pub(super) candidate: Option<Candidate>,
    pub(super) shadow: Option<Candidate>,
    /// Versions that were active before, the latest last; none of them is marked.
    pub(super) earlier: Vec<VersionName>,
    /// How many versions were ever staged.
    pub(super) staged: u32,
    /// What the tenant's folder said when it was last deployed from.
    pub(super) folder: Option<Digest>,
    /// Oldest first.
    pub(super) entries: Vec<Entry>,
}

/// One immutable version in the store.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    /// Its name and the name of its folder.
    pub name: VersionName,
    /// Of `component.wasm`.
    pub component: Digest,
    /// Of `settings.json`.
    pub settings: Digest,
    /// When it was staged.
    pub when: When,
    /// Who staged it, as the admin API knows them.
    pub by: String,
    /// What they said about it.
    pub note: String,
    /// Why it was taken back, if it was. Such a version is not activated again without force.
    pub rolled_back: Option<String>,
}

/// A version on trial: a canary, which answers its share, or a shadow, which listens and is compared.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Candidate {
    /// Which one.
    pub version: VersionName,
    /// How many of the new calls are its.
    pub share: Share,
}

/// What is said about a version when it is staged.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Offer {
    /// Of the component's bytes.
    pub component: Digest,
    /// Of the settings' bytes.
    pub settings: Digest,
    /// Now.
    pub when: When,
    /// Who offers it; at most [`limits::BY_BYTES_MAX`].
    pub by: String,
    /// What they say about it; at most [`limits::NOTE_BYTES_MAX`].
    pub note: String,
}

/// Where an offered version ended up.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Staged {
    /// On the store under a new name.
    New(VersionName),
    /// It stood there already, byte for byte; with its marks, so that a version that was rolled back
    /// does not come back in disguise.
    Same(VersionName),
}

impl Staged {
    /// The version's name, in both cases.
    #[must_use]
    pub fn name(self) -> VersionName {
        match self {
            Self::New(name) | Self::Same(name) => name,
        }
    }
}

/// Whether an operator insists.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Force {
    /// A version that was rolled back is refused.
    No,
    /// It is taken, and its mark is removed.
    Yes,
}

/// Why an operation changed nothing. Every message says what to do instead.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Refused {
    /// No version of that name.
    #[error("there is no version {asked}; {}", stored_versions(.known))]
    NoSuchVersion {
        /// Which was asked for.
        asked: VersionName,
        /// Those that exist.
        known: Vec<VersionName>,
    },
    /// The version is marked.
    #[error("{version} was rolled back ({reason}); deploy a repaired one, or insist with --force")]
    WasRolledBack {
        /// Which.
        version: VersionName,
        /// Why it was.
        reason: String,
    },
    /// A canary or a shadow needs an active version beside it.
    #[error("no version is active yet, so there is nothing to compare with; activate {0}")]
    NothingActive(VersionName),
    /// A canary or a shadow of the active version.
    #[error("{0} is active already and answers every new call")]
    ActiveAlready(VersionName),
    /// Nothing to promote.
    #[error(
        "there is no canary to promote; begin one with `deploy --canary 10%`, or activate a version"
    )]
    NoCandidate,
    /// Nothing to end.
    #[error("there is no shadow to end")]
    NoShadow,
    /// Nothing to take back.
    #[error("no version is active, so there is none to take back; activate one by name")]
    NothingEarlier,
    /// Somebody else took the step back.
    #[error(
        "{asked} neither answers nor is on trial any more; a roll-back would take {latest} back"
    )]
    NotTheLatest {
        /// Which was to be taken back.
        asked: VersionName,
        /// Which would be.
        latest: VersionName,
    },
    /// It is still needed.
    #[error("{version} is the {part} version; {}", .part.instead())]
    InUse {
        /// Which.
        version: VersionName,
        /// As what.
        part: Part,
    },
    /// A text is too long.
    #[error("{what} has {bytes} bytes; at most {max} are kept")]
    TooLong {
        /// Which text.
        what: &'static str,
        /// Its length.
        bytes: usize,
        /// The limit.
        max: usize,
    },
    /// Four thousand million versions were staged.
    #[error("no more version names; move the tenant's folder away and begin a new one")]
    NamesUsedUp,
}

/// What a version is needed for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Part {
    /// It answers new calls.
    Active,
    /// It answers some of the new calls.
    Candidate,
    /// It listens to some of the calls and is compared.
    Shadow,
    /// A roll-back leads to it.
    Previous,
}

impl Part {
    fn instead(self) -> &'static str {
        match self {
            Self::Active => "activate another one before it is retired",
            Self::Candidate => "promote another one or roll back before it is retired",
            Self::Shadow => "end the shadow before it is retired",
            Self::Previous => "a roll-back leads to it, so it stays until a newer one is active",
        }
    }
}

impl std::fmt::Display for Part {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Active => "active",
            Self::Candidate => "canary",
            Self::Shadow => "shadow",
            Self::Previous => "previous",
        })
    }
}

impl ReleaseState {
    /// What happens to running calls when another version becomes active.
    #[must_use]
    pub fn policy(&self) -> Policy {
        self.policy
    }

    /// The version of new calls.
    #[must_use]
    pub fn active(&self) -> Option<VersionName> {
        self.active
    }

    /// The version on trial.
    #[must_use]
    pub fn on_trial(&self) -> Option<Candidate> {
        self.candidate
    }

    /// The version that listens beside the one that answers.
    #[must_use]
    pub fn shadow(&self) -> Option<Candidate> {
        self.shadow
    }

    /// The version that is to listen to a new call, if another one answers it.
    #[must_use]
    pub fn choose_shadow(&self, call_id: &str) -> Option<VersionName> {
        let Candidate { version, share } = self.shadow?;
        (share.takes(call_id) && self.choose(call_id) != Some(version)).then_some(version)
    }

    /// Where a roll-back of the active version leads.
    #[must_use]
    pub fn previous(&self) -> Option<VersionName> {
        self.earlier.last().copied()
    }

    /// Which versions may answer in place of an active one that can not run, the best first: those that were
    /// active before, the latest of them first, then the others from the newest on. None of them was rolled
    /// back.
    #[must_use]
    pub fn stand_ins(&self) -> Vec<VersionName> {
        let mut names: Vec<VersionName> = self.earlier.iter().rev().copied().collect();
        let unmarked = |entry: &&Entry| entry.rolled_back.is_none();
        for entry in self.entries.iter().rev().filter(unmarked) {
            if !names.contains(&entry.name) {
                names.push(entry.name);
            }
        }
        names.retain(|&name| self.active != Some(name));
        names
    }

    /// Whether versions answered and the last of them was taken back: then nobody answers before somebody
    /// activates another one.
    #[must_use]
    pub fn is_taken_back(&self) -> bool {
        self.active.is_none() && self.entries.iter().any(|entry| entry.rolled_back.is_some())
    }

    /// All versions, the oldest first.
    #[must_use]
    pub fn entries(&self) -> &[Entry] {
        &self.entries
    }

    /// One version.
    #[must_use]
    pub fn entry(&self, version: VersionName) -> Option<&Entry> {
        self.entries.iter().find(|entry| entry.name == version)
    }

    /// The version that answers a new call: the same one for the same id as long as the canary and its
    /// share stay, and a larger share only adds calls to the smaller one's. None before anything was
    /// activated.
    #[must_use]
    pub fn choose(&self, call_id: &str) -> Option<VersionName> {
        match self.candidate {
            Some(Candidate { version, share }) if share.takes(call_id) => Some(version),
            _ => self.active,
        }
    }

    /// Puts a version in the store; it answers nothing yet. Beyond [`limits::VERSIONS_KEPT_MAX`] the
    /// oldest ones that nothing needs leave.
    ///
    /// # Errors
    /// A text is too long, or the names are used up.
    pub fn stage(&self, offer: Offer) -> Result<(Self, Staged), Refused> {
        let Offer { component, settings, when, by, note } = offer;
        let same = |entry: &&Entry| entry.component == component && entry.settings == settings;
        // The newest, should a hand-edited file hold two.
        if let Some(entry) = self.entries.iter().rev().find(same) {
            return Ok((self.clone(), Staged::Same(entry.name)));
        }
        for (what, text, max) in [
            ("the note", &note, limits::NOTE_BYTES_MAX),
            ("the name of who deploys", &by, limits::BY_BYTES_MAX),
        ] {
            if text.len() > max {
                return Err(Refused::TooLong { what, bytes: text.len(), max });
            }
        }
        let name = self.next_name().ok_or(Refused::NamesUsedUp)?;
        let mut next = self.clone();
        next.staged = name.number();
        next.entries.push(Entry { name, component, settings, when, by, note, rolled_back: None });
        while next.entries.len() > limits::VERSIONS_KEPT_MAX {
            let oldest = next.entries.iter().map(|entry| entry.name);
            let spare =
                oldest.filter(|&version| version != name && next.part_of(version).is_none()).min();
            next.remove(spare.expect("at most four versions are needed and many more are kept"));
        }
        Ok((next, Staged::New(name)))
    }

    /// Gives a version all new calls. A canary ends with it, whichever version it tried: its question
    /// was about another active version.
    ///
    /// # Errors
    /// It does not exist, or was rolled back and nobody insists.
    pub fn activate(&self, version: VersionName, force: Force) -> Result<Self, Refused> {
        let mut next = self.usable(version, force)?;
        next.candidate = None;
        if let Some(before) = next.active.filter(|&before| before != version) {
            next.earlier.retain(|&earlier| earlier != before);
            // The mark may have come while nothing was there to fall back to.
            if next.entry(before).is_some_and(|entry| entry.rolled_back.is_none()) {
                next.earlier.push(before);
            }
        }
        next.earlier.retain(|&earlier| earlier != version);
        next.shadow = next.shadow.filter(|shadow| shadow.version != version);
        next.active = Some(version);
        Ok(next)
    }

    /// Lets a version listen to a share of the new calls beside the one that answers, or gives the shadow
    /// another share. A version that was rolled back may listen: that is how a repair is watched.
    ///
    /// # Errors
    /// It does not exist, is active, or nothing is active.
    pub fn cast_shadow(&self, version: VersionName, share: Share) -> Result<Self, Refused> {
        self.entry(version).ok_or_else(|| self.no_such(version))?;
        match self.active {
            None => Err(Refused::NothingActive(version)),
            Some(active) if active == version => Err(Refused::ActiveAlready(version)),
            Some(_) => Ok(Self { shadow: Some(Candidate { version, share }), ..self.clone() }),
        }
    }

    /// Lets nobody listen any more.
    ///
    /// # Errors
    /// Nobody does.
    pub fn end_shadow(&self) -> Result<Self, Refused> {
        self.shadow.ok_or(Refused::NoShadow)?;
        Ok(Self { shadow: None, ..self.clone() })
    }

    /// Gives a version a share of the new calls, or the canary another share.
    ///
    /// # Errors
    /// It does not exist, is active, was rolled back and nobody insists, or nothing is active.
    pub fn candidate(
        &self,
        version: VersionName,
        share: Share,
        force: Force,
    ) -> Result<Self, Refused> {
        let mut next = self.usable(version, force)?;
        let active = next.active.ok_or(Refused::NothingActive(version))?;
        if active == version {
            return Err(Refused::ActiveAlready(version));
        }
        next.candidate = Some(Candidate { version, share });
        Ok(next)
    }

    /// Gives the canary all new calls.
    ///
    /// # Errors
    /// There is none.
    pub fn promote(&self) -> Result<Self, Refused> {
        let candidate = self.candidate.ok_or(Refused::NoCandidate)?;
        self.activate(candidate.version, Force::No)
    }

    /// The version that a roll-back takes back: the canary where there is one, else the active version.
    #[must_use]
    pub fn latest_step(&self) -> Option<VersionName> {
        self.candidate.map(|candidate| candidate.version).or(self.active)
    }

    /// Takes the latest step back, which somebody knows to be this version's: two who see the same fault do not take two
    /// steps back.
    ///
    /// # Errors
    /// As [`ReleaseState::rollback`], and when the latest step is another's by now.
    pub fn rollback_of(&self, version: VersionName, reason: &str) -> Result<Self, Refused> {
        match self.latest_step() {
            Some(latest) if latest != version => {
                Err(Refused::NotTheLatest { asked: version, latest })
            }
            Some(_) | None => self.rollback(reason),
        }
    }

    /// Takes the latest step back and marks its version: the canary where there is one, else the active
    /// version, whose place the one before it takes again. Where there is none, nobody answers.
    ///
    /// # Errors
    /// There is no canary, and nothing is active.
    pub fn rollback(&self, reason: &str) -> Result<Self, Refused> {
        let latest = self.latest_step().ok_or(Refused::NothingEarlier)?;
        let mut next = self.mark_bad(latest, reason)?;
        if next.active == Some(latest) {
            // Who takes the last one back does not want it to answer, and there is nothing to try beside it.
            (next.active, next.candidate, next.shadow) = (None, None, None);
        }
        Ok(next)
    }

    /// Marks a version as rolled back and takes it out of service: a canary ends, an active version makes
    /// place for the one before it. Where there is none it stays, since a bad answer beats no answer, and a
    /// caller who knows how to make it fail must not silence the line.
    ///
    /// # Errors
    /// It does not exist.
    pub fn mark_bad(&self, version: VersionName, reason: &str) -> Result<Self, Refused> {
        let mut next = self.clone();
        let entry = next.entry_mut(version).ok_or_else(|| self.no_such(version))?;
        entry.rolled_back = Some(shortened(reason));
        next.earlier.retain(|&earlier| earlier != version);
        if next.candidate.is_some_and(|candidate| candidate.version == version) {
            next.candidate = None;
        }
        if next.active == Some(version)
            && let Some(before) = next.earlier.pop()
        {
            next.active = Some(before);
            // What becomes active because the active one failed has nothing to be compared with.
            next.candidate = next.candidate.filter(|candidate| candidate.version != before);
            next.shadow = next.shadow.filter(|shadow| shadow.version != before);
        }
        Ok(next)
    }

    /// Decides about running calls from the next activation on.
    #[must_use]
    pub fn set_policy(&self, policy: Policy) -> Self {
        Self { policy, ..self.clone() }
    }

    /// Remembers what the tenant's folder says, so that the same files are not deployed again over what an
    /// operator chose since.
    #[must_use]
    pub fn note_folder(&self, digest: Digest) -> Self {
        Self { folder: Some(digest), ..self.clone() }
    }

    /// What the tenant's folder said when it was last deployed from.
    #[must_use]
    pub fn folder(&self) -> Option<Digest> {
        self.folder
    }

    /// Takes a version off the store.
    ///
    /// # Errors
    /// It does not exist, or is active, the canary, or what a roll-back leads to.
    pub fn retire(&self, version: VersionName) -> Result<Self, Refused> {
        if self.entry(version).is_none() {
            return Err(self.no_such(version));
        }
        if let Some(part) = self.part_of(version) {
            return Err(Refused::InUse { version, part });
        }
        let mut next = self.clone();
        next.remove(version);
        Ok(next)
    }

    /// What a version is needed for, if for anything.
    #[must_use]
    pub fn part_of(&self, version: VersionName) -> Option<Part> {
        if self.active == Some(version) {
            Some(Part::Active)
        } else if self.candidate.is_some_and(|candidate| candidate.version == version) {
            Some(Part::Candidate)
        } else if self.shadow.is_some_and(|shadow| shadow.version == version) {
            Some(Part::Shadow)
        } else {
            (self.previous() == Some(version)).then_some(Part::Previous)
        }
    }

    /// The name of the version that is staged next.
    pub(super) fn next_name(&self) -> Option<VersionName> {
        self.staged.checked_add(1).and_then(VersionName::nth)
    }

    fn usable(&self, version: VersionName, force: Force) -> Result<Self, Refused> {
        let mut next = self.clone();
        let entry = next.entry_mut(version).ok_or_else(|| self.no_such(version))?;
        match (&entry.rolled_back, force) {
            (Some(reason), Force::No) => {
                Err(Refused::WasRolledBack { version, reason: reason.clone() })
            }
            (_, Force::Yes) | (None, Force::No) => {
                entry.rolled_back = None;
                Ok(next)
            }
        }
    }

    fn entry_mut(&mut self, version: VersionName) -> Option<&mut Entry> {
        self.entries.iter_mut().find(|entry| entry.name == version)
    }

    fn remove(&mut self, version: VersionName) {
        self.entries.retain(|entry| entry.name != version);
        self.earlier.retain(|&earlier| earlier != version);
    }

    pub(super) fn no_such(&self, asked: VersionName) -> Refused {
        Refused::NoSuchVersion {
            asked,
            known: self.entries.iter().map(|entry| entry.name).collect(),
        }
    }
}

fn stored_versions(versions: &[VersionName]) -> String {
    if versions.is_empty() {
        return "nothing was deployed yet".to_owned();
    }
    let names: Vec<String> = versions.iter().map(ToString::to_string).collect();
    format!("those in the store are {}", names.join(", "))
}

/// A reason may quote a trap's message, which a tenant wrote.
fn shortened(reason: &str) -> String {
    reason[..reason.floor_char_boundary(limits::NOTE_BYTES_MAX)].to_owned()
}
