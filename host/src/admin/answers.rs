//! What the API tells of tenants, their versions and their running calls.

use cordboard_tenant::version_store::{self, Candidate, Entry, ReleaseState};
use cordboard_tenant::{Deployment, Status};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// The name of a version of one tenant, never used twice
#[derive(Debug, Clone, Copy, Serialize, Deserialize, ToSchema)]
#[serde(into = "String", try_from = "String")]
#[schema(value_type = String, pattern = "^v[1-9][0-9]{0,9}$")]
pub(super) struct VersionName(pub(super) version_store::VersionName);

impl From<VersionName> for String {
    fn from(name: VersionName) -> Self {
        name.0.to_string()
    }
}

impl TryFrom<String> for VersionName {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        text.parse().map(Self).map_err(|error| format!("{text:?}: {error}"))
    }
}

/// What running calls do when another version becomes active
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "kebab-case")]
pub(super) enum Policy {
    /// Each keeps the version it began with
    Pin,
    /// They move to the new one
    Migrate,
}

impl From<version_store::Policy> for Policy {
    fn from(policy: version_store::Policy) -> Self {
        match policy {
            version_store::Policy::Pin => Self::Pin,
            version_store::Policy::Migrate => Self::Migrate,
        }
    }
}

impl From<Policy> for version_store::Policy {
    fn from(policy: Policy) -> Self {
        match policy {
            Policy::Pin => Self::Pin,
            Policy::Migrate => Self::Migrate,
        }
    }
}

/// What a version is needed for
#[derive(Debug, Clone, Copy, Serialize, ToSchema)]
#[serde(rename_all = "kebab-case")]
pub(super) enum Part {
    /// It answers new calls
    Active,
    /// It answers a share of the new calls
    Canary,
    /// It listens to a share of the new calls and is compared
    Shadow,
    /// A roll-back leads to it
    Previous,
    /// It is to answer and can not
    Failed,
    /// It answers in place of one that can not
    StandIn,
}

impl Part {
    pub(super) fn of(version: version_store::VersionName, status: &Status) -> Option<Self> {
        let answers = status.active.as_deref() == Some(version.to_string().as_str());
        match status.releases.part_of(version) {
            Some(version_store::Part::Active) if !answers => Some(Self::Failed),
            Some(version_store::Part::Previous) | None if answers => Some(Self::StandIn),
            Some(version_store::Part::Active) => Some(Self::Active),
            Some(version_store::Part::Candidate) => Some(Self::Canary),
            Some(version_store::Part::Shadow) => Some(Self::Shadow),
            Some(version_store::Part::Previous) => Some(Self::Previous),
            None => None,
        }
    }
}

/// A tenant at one moment
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct Summary {
    /// Its name, which is its folder's
    tenant: String,
    /// The version that new calls get; null while the tenant is out of service
    #[schema(required)]
    active: Option<String>,
    /// Why another version than the one that is to answer does, or none
    #[schema(required)]
    trouble: Option<String>,
    /// Where a roll-back leads
    #[schema(required)]
    previous: Option<VersionName>,
    /// Answers its percent of the new calls
    #[schema(required)]
    canary: Option<Trial>,
    /// Listens to its percent of the new calls and is compared
    #[schema(required)]
    shadow: Option<Trial>,
    policy: Policy,
    /// How many run
    calls: u32,
}

/// A version on trial
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct Trial {
    version: VersionName,
    /// The share of the new calls
    #[schema(minimum = 1, maximum = 100)]
    percent: u8,
}

impl From<Candidate> for Trial {
    fn from(trial: Candidate) -> Self {
        Self { version: VersionName(trial.version), percent: trial.share.as_percent() }
    }
}

impl Summary {
    fn of(deployment: &Deployment) -> (Self, usize) {
        let status = deployment.status();
        let releases = &status.releases;
        let summary = Self {
            tenant: deployment.id().as_str().to_owned(),
            previous: releases.previous().map(VersionName),
            canary: releases.on_trial().map(Trial::from),
            shadow: releases.shadow().map(Trial::from),
            policy: releases.policy().into(),
            calls: deployment.live_calls(),
            active: status.active,
            trouble: status.trouble,
        };
        (summary, releases.entries().len())
    }
}

/// A tenant as it is now
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct Tenant {
    #[serde(flatten)]
    summary: Summary,
    /// How many there are
    versions: usize,
}

impl Tenant {
    pub(super) fn of(deployment: &Deployment) -> Self {
        let (summary, versions) = Summary::of(deployment);
        Self { summary, versions }
    }
}

/// The tenants this token may see
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct Tenants {
    pub(super) tenants: Vec<Tenant>,
}

/// A tenant and its versions
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct Versions {
    #[serde(flatten)]
    summary: Summary,
    /// The oldest first
    versions: Vec<Version>,
}

impl Versions {
    pub(super) fn of(deployment: &Deployment, releases: &ReleaseState) -> Self {
        let (summary, _) = Summary::of(deployment);
        let status = deployment.status();
        let versions = releases.entries().iter().map(|entry| Version::of(entry, &status));
        Self { summary, versions: versions.collect() }
    }
}

/// One version in the store
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct Version {
    version: VersionName,
    #[schema(required)]
    part: Option<Part>,
    #[schema(pattern = "^[0-9a-f]{64}$")]
    component_sha256: String,
    #[schema(pattern = "^[0-9a-f]{64}$")]
    settings_sha256: String,
    /// When it was stored
    #[schema(format = DateTime)]
    when: String,
    /// Who stored it
    by: String,
    /// What they said about it
    note: String,
    /// Why it was taken back
    #[schema(required)]
    rolled_back: Option<String>,
}

impl Version {
    fn of(entry: &Entry, status: &Status) -> Self {
        Self {
            version: VersionName(entry.name),
            part: Part::of(entry.name, status),
            component_sha256: entry.component.to_string(),
            settings_sha256: entry.settings.to_string(),
            when: entry.when.to_string(),
            by: entry.by.clone(),
            note: entry.note.clone(),
            rolled_back: entry.rolled_back.clone(),
        }
    }
}

/// What became of an upload
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct Deployed {
    pub(super) tenant: String,
    pub(super) version: VersionName,
    /// False where the same bytes and settings were stored already
    pub(super) new: bool,
    #[schema(required)]
    pub(super) part: Option<Part>,
    /// Whether running calls can move to it with their state
    pub(super) has_handover: bool,
    pub(super) compiled_in_ms: u64,
    pub(super) rehearsed_in_ms: u64,
    /// From the whole upload to the first new call that could get it; where it was activated
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    pub(super) live_in_ms: Option<u64>,
    /// Where running calls were to move
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    pub(super) migration: Option<Migration>,
}

/// The tenant as it is after another version became active
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct Switched {
    #[serde(flatten)]
    pub(super) tenant: Tenant,
    /// Which version was active before
    #[schema(required)]
    pub(super) before: Option<VersionName>,
    /// Where running calls were to move
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    pub(super) migration: Option<Migration>,
}

/// The tenant whose running calls were moved
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct Migrated {
    #[serde(flatten)]
    pub(super) tenant: Tenant,
    pub(super) migration: Migration,
}

/// What came of moving running calls to another version
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct Migration {
    /// The version they were to move to
    #[schema(required)]
    pub(super) to: Option<String>,
    /// How many did
    pub(super) moved: usize,
    /// How many ended meanwhile
    pub(super) ended: usize,
    /// From the first request to the last call's outcome; calls move one after the other
    pub(super) took_ms: u64,
    pub(super) pause_us: Pauses,
    pub(super) stayed: Vec<Stayed>,
}

/// What the calls that moved waited, in microseconds
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct Pauses {
    #[schema(required)]
    pub(super) p50: Option<u64>,
    #[schema(required)]
    pub(super) p99: Option<u64>,
    #[schema(required)]
    pub(super) max: Option<u64>,
}

/// A call that goes on with its old version
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct Stayed {
    pub(super) call: String,
    pub(super) reason: String,
}
