//! Which version answers which call, for every tenant of this host.
//!
//! **One rule: what may answer a call is compiled before anything is written, and written before any call
//! gets it.** So a component that cannot run never becomes active, and an answer that was given to an
//! operator survives the process.
//!
//! A [`Deployment`] is one tenant's: its [`VersionStore`] on disk, and the versions on it that calls may get, ready
//! in memory. A tenant that never deployed anything answers with what its `tenant.toml` names (its
//! [`Tenant`]); the first deployment puts that in the store too, so that a roll-back leads to it. Once something
//! was deployed only the tenant's own versions answer: where the active one can not run, the last one before it
//! that can stands in, and where none can the tenant is out of service.
//!
//! Everything that changes a deployment blocks, on the disk and the compiler: call it off the call threads.
//! What calls use ([`Deployment::version_for`]) takes a lock for one clone.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::fmt;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::SystemTime;

use crate::component::{Component, Preparation};
use crate::cpu_quota::CpuQuota;
use crate::limits::CompileLimits;
use crate::plain_file;
use crate::rehearsal::Flaw;
use crate::tenant_table::{
    CallSlot, Manifest, Named, NoCapacity, Seen, Tenant, TenantError, TenantId, TenantTable,
    Version, VersionBuilder,
};
use crate::version_store::limits::COMPONENT_BYTES_MAX;
use crate::version_store::{
    Changed, Digest, Force, Refused, ReleaseState, Staged, Upload, VersionName, VersionStore,
    VersionStoreError, When,
};
use crate::vet::{self, VetError};

/// All deployments of this host.
pub struct TenantDirectory {
    tenants: TenantTable,
    deployments: BTreeMap<TenantId, Arc<Deployment>>,
}

/// One tenant's deployment.
pub struct Deployment {
    tenant: Arc<Tenant>,
    builder: Arc<VersionBuilder>,
    /// The tenant's folder, which need not exist; none where the host has no folder of tenants.
    place: Option<TenantFolder>,
    /// Replaced whole. A lock, since calls read it while a deployment writes it; held for one clone.
    snapshot: Mutex<Arc<Snapshot>>,
    /// Held by the one who deploys; the next one waits. A lock and no task, since deploying blocks anyway.
    deploying: Mutex<()>,
}

struct TenantFolder {
    folder: PathBuf,
    store: VersionStore,
}

impl TenantFolder {
    /// The default tenant need not have a folder before something is kept there.
    fn make_folder(&self) -> Result<(), DeploymentError> {
        let failed = |error| DeploymentError::File { path: self.folder.clone(), error };
        fs::create_dir_all(&self.folder).map_err(failed)
    }
}

/// Who may answer, at one moment.
#[derive(Default)]
struct Snapshot {
    releases: Arc<ReleaseState>,
    ready: BTreeMap<VersionName, Arc<Version>>,
    /// Who answers a new call that no canary takes. None: the tenant is out of service.
    answering: Option<Arc<Version>>,
    /// Why it is another version than the active one, or none.
    trouble: Option<String>,
}

/// Why a deployment was not changed.
#[derive(Debug, thiserror::Error)]
pub enum DeploymentError {
    /// The component can not be a tenant.
    #[error(transparent)]
    Vet(#[from] VetError),
    /// The store refuses or fails.
    #[error(transparent)]
    VersionStore(#[from] VersionStoreError),
    /// `tenant.toml` is wrong.
    #[error("{}: {}", .0.path.display(), .0.reason)]
    Manifest(TenantError),
    /// The version does not survive its rehearsal.
    #[error(transparent)]
    Flawed(#[from] Flaw),
    /// The host has nowhere to keep versions.
    #[error("this host has no directory of tenants, so nothing can be deployed: set `tenants_dir`")]
    NoCapacity,
    /// A file could not be read or made.
    #[error("{}: {error}", .path.display())]
    File {
        /// Which.
        path: PathBuf,
        /// What the system says.
        error: io::Error,
    },
}

impl From<Refused> for DeploymentError {
    fn from(refused: Refused) -> Self {
        Self::VersionStore(refused.into())
    }
}

/// How a deployment looks from outside at one moment.
#[derive(Debug, Clone)]
pub struct Status {
    /// The state of its releases.
    pub releases: Arc<ReleaseState>,
    /// The name of the version that new calls get, apart from a canary's. None: the tenant is out of service.
    pub active: Option<String>,
    /// Why another version than the one that is to answer does, or none. None: all is well.
    pub trouble: Option<String>,
}

impl TenantDirectory {
    /// Reads all tenants and their version stores, and gets ready what may answer. What is wrong with one tenant is
    /// reported with what answers in its place, and does not touch the others.
    ///
    /// # Errors
    ///
    /// [`VetError`] when the default component itself is not usable.
    pub fn open(
        dir: Option<&Path>,
        builder: VersionBuilder,
    ) -> Result<(Self, Vec<String>), VetError> {
        let (tenants, errors) = TenantTable::open(dir, &builder)?;
        // What keeps a tenant's folder from answering is told with what answers in its place.
        let told_below = |error: &&TenantError| {
            let tenant = tenants.tenant(&error.tenant).map(|tenant| tenant.named());
            tenant.is_some_and(|named| named.is_err_and(|it| it == error.without_name()))
        };
        let others = errors.iter().filter(|error| !told_below(error));
        let mut problems: Vec<String> = others.map(ToString::to_string).collect();
        let builder = Arc::new(builder);
        let mut deployments = BTreeMap::new();
        for tenant in tenants.iter() {
            let folder = dir.map(|dir| dir.join(tenant.id().as_str()));
            let deployment =
                Deployment::open(Arc::clone(tenant), Arc::clone(&builder), folder, &mut problems);
            deployments.insert(tenant.id().clone(), Arc::new(deployment));
        }
        tidy_cache(&builder, &deployments);
        Ok((Self { tenants, deployments }, problems))
    }

    /// Looks at every tenant as [`TenantDirectory::open`] does, but compiles nothing and writes nothing: what
    /// would answer for each, as far as can be seen without, and what else is wrong in the directory.
    #[must_use]
    pub fn survey(dir: &Path, limits: &CompileLimits) -> (Vec<TenantReport>, Vec<TenantError>) {
        let (seen, errors) = TenantTable::survey(dir, limits);
        let reports = seen.into_iter().map(|tenant| TenantReport::of(tenant, dir, limits));
        (reports.collect(), errors)
    }

    /// The deployment of the tenant of this name.
    #[must_use]
    pub fn deployment(&self, tenant: &str) -> Option<&Arc<Deployment>> {
        self.deployments.get(tenant)
    }

    /// The deployment that answers a called number (E.164, as the carrier gives it): see
    /// [`TenantTable::for_number`].
    #[must_use]
    pub fn for_number(&self, number: &str) -> Option<&Arc<Deployment>> {
        let tenant = self.tenants.for_number(number)?;
        self.deployments.get(tenant.id())
    }

    /// All deployments, by their tenants' names.
    pub fn deployments(&self) -> impl Iterator<Item = &Arc<Deployment>> {
        self.deployments.values()
    }
}

/// What would answer for a tenant.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TenantReport {
    /// The tenant.
    pub id: TenantId,
    /// The version, where one of those that were deployed would answer.
    pub version: Option<VersionName>,
    /// Whether anything would.
    pub answers: bool,
    /// Why it is another one than is to answer, or none.
    pub trouble: Option<String>,
}

impl TenantReport {
    fn of(Seen { id, named }: Seen, dir: &Path, limits: &CompileLimits) -> Self {
        let manifest_is_broken =
            matches!(&named, Err(error) if error.path.ends_with("tenant.toml"));
        let (store, broken) = VersionStore::seen(&dir.join(id.as_str()));
        let releases = store.releases();
        let whole = |name| {
            let stored = store.load(name)?;
            Ok(vet::vet(&stored.component, limits)?)
        };
        let deployed = broken.is_some() || releases.active().is_some() || releases.is_taken_back();
        if !deployed || manifest_is_broken {
            let (answers, trouble) = (named.is_ok(), named.err().map(|it| it.without_name()));
            return Self { id, version: None, answers, trouble };
        }
        let Found { version, trouble } = Found::among(&releases, broken.as_ref(), whole);
        let version = version.map(|(name, ())| name);
        let has_own = named == Ok(Named::Own) && !releases.is_taken_back();
        Self { id, version, answers: version.is_some() || has_own, trouble }
    }
}

/// Which of a tenant's own versions answers.
struct Found<T> {
    /// Its name, and it as it was made ready.
    version: Option<(VersionName, T)>,
    /// Why it is not the active one, or none.
    trouble: Option<String>,
}

impl<T> Found<T> {
    /// Tries the active version and then those that may stand in for it, until one is ready to answer.
    fn among(
        releases: &ReleaseState,
        broken: Option<&VersionStoreError>,
        mut ready: impl FnMut(VersionName) -> Result<T, DeploymentError>,
    ) -> Self {
        let mut troubles: Vec<String> = broken.iter().map(ToString::to_string).collect();
        if releases.is_taken_back() {
            troubles
                .push("its versions were taken back; activate one, or deploy another".to_owned());
        }
        // Where none is active somebody took the last one back, and nobody chose among those that are left.
        let names = releases.active().map(|name| [name].into_iter().chain(releases.stand_ins()));
        let mut found = None;
        for name in names.into_iter().flatten() {
            match ready(name) {
                Ok(version) => {
                    found = Some((name, version));
                    break;
                }
                // No other version does without the file either.
                Err(error @ DeploymentError::Manifest(_)) => {
                    troubles.push(error.to_string());
                    break;
                }
                Err(error) => troubles.push(format!("{name} can not answer: {error}")),
            }
        }
        let trouble = (!troubles.is_empty()).then(|| troubles.join("; "));
        Self { version: found, trouble }
    }
}

/// What could be made ready, and why the rest could not.
#[derive(Default)]
struct Readied {
    versions: BTreeMap<VersionName, Arc<Version>>,
    failed: BTreeMap<VersionName, DeploymentError>,
}

impl Deployment {
    fn open(
        tenant: Arc<Tenant>,
        builder: Arc<VersionBuilder>,
        folder: Option<PathBuf>,
        problems: &mut Vec<String>,
    ) -> Self {
        let mut broken = None;
        let place = folder.map(|folder| {
            let store = VersionStore::open(&folder).unwrap_or_else(|error| {
                broken = Some(error);
                VersionStore::recovered(&folder)
            });
            TenantFolder { folder, store }
        });
        let deployment = Self {
            tenant,
            builder,
            place,
            snapshot: Mutex::default(),
            deploying: Mutex::default(),
        };
        let releases = deployment.place.as_ref().map(|place| place.store.releases());
        let releases = releases.unwrap_or_default();
        let readied = deployment.ready_for(&releases);
        let snapshot = deployment.snapshot_of(releases, readied, broken.as_ref());
        let named = deployment.tenant.named().err();
        if let Some(trouble) = snapshot.trouble.as_deref().or(named) {
            problems.push(format!(
                "tenant `{}`: {trouble}. {}",
                deployment.id(),
                Answers(&snapshot)
            ));
        }
        *lock(&deployment.snapshot) = Arc::new(snapshot);
        if let Some(words) = deployment.settings_not_in_force() {
            tracing::warn!(tenant = %deployment.id(), "{words}");
        }
        deployment
    }

    /// What to do where `tenant.toml` has other settings than the version that answers.
    #[must_use]
    pub fn settings_not_in_force(&self) -> Option<String> {
        let answering =
            self.active().filter(|version| version.name.parse::<VersionName>().is_ok())?;
        let manifest = self.manifest().ok().filter(|it| it.settings != answering.settings)?;
        let how = match manifest.component {
            Some(_) => "save its tenant.toml once more and send SIGHUP, or deploy it again",
            None => "deploy it again, or save its tenant.toml once more and send SIGHUP",
        };
        Some(format!(
            "the [settings] in its tenant.toml are not in force: {} answers with those that it was deployed \
             with. To have them, {how}",
            answering.name
        ))
    }

    /// Decides who answers under a state, of which this much is ready.
    fn snapshot_of(
        &self,
        releases: Arc<ReleaseState>,
        readied: Readied,
        broken: Option<&VersionStoreError>,
    ) -> Snapshot {
        let Readied { versions: mut ready, mut failed } = readied;
        let was_taken_back = releases.is_taken_back();
        if broken.is_none() && releases.active().is_none() && !was_taken_back {
            let named = self.tenant.named();
            let (answering, trouble) = (named.ok().cloned(), named.err().map(str::to_owned));
            return Snapshot { releases, ready, answering, trouble };
        }
        let Found { version, trouble } = Found::among(&releases, broken, |name| {
            match (ready.get(&name), failed.remove(&name)) {
                (Some(version), _) => Ok(Arc::clone(version)),
                (None, Some(error)) => Err(error),
                (None, None) => self.ready(name),
            }
        });
        if let Some((name, version)) = &version {
            ready.insert(*name, Arc::clone(version));
        }
        // What its folder names is its own word, too, though not the latest one.
        let has_own = self.tenant.has_own_component() && !was_taken_back;
        let own = self.tenant.named().ok().filter(|_| has_own).cloned();
        let answering = version.map(|(_, version)| version).or(own);
        Snapshot { releases, ready, answering, trouble }
    }

    /// The tenant's name.
    #[must_use]
    pub fn id(&self) -> &TenantId {
        self.tenant.id()
    }

    /// The CPU account of all the tenant's instances.
    #[must_use]
    pub fn cpu_quota(&self) -> &Arc<CpuQuota> {
        self.tenant.cpu_quota()
    }

    /// Calls alive.
    #[must_use]
    pub fn live_calls(&self) -> u32 {
        self.tenant.live_calls()
    }

    /// Takes a place for a new call, with the version that answers it: see [`Deployment::version_for`].
    ///
    /// # Errors
    ///
    /// [`NoCapacity`]: why the tenant gets no other call now.
    pub fn admit(&self, call_id: &str) -> Result<CallSlot, NoCapacity> {
        let out_of_service = || NoCapacity::OutOfService { tenant: self.id().clone() };
        self.tenant.admit(self.version_for(call_id).ok_or_else(out_of_service)?)
    }

    /// The version that answers a new call: the same for the same id, while nothing is deployed. None while the
    /// tenant is out of service.
    #[must_use]
    pub fn version_for(&self, call_id: &str) -> Option<Arc<Version>> {
        let snapshot = self.snapshot();
        let chosen = snapshot.releases.choose(call_id);
        let chosen = chosen.and_then(|name| snapshot.ready.get(&name));
        chosen.or(snapshot.answering.as_ref()).cloned()
    }

    /// Gives a call that has not begun another version, if its own was rolled back since it was admitted and
    /// another one answers now.
    pub fn admit_again(&self, slot: &mut CallSlot, call_id: &str) {
        let releases = Arc::clone(&self.snapshot().releases);
        let name = slot.version().name.parse::<VersionName>().ok();
        let entry = name.and_then(|name| releases.entry(name));
        if entry.is_some_and(|entry| entry.rolled_back.is_some())
            && let Some(version) = self.version_for(call_id)
        {
            slot.answer_with(version);
        }
    }

    /// Who answers a call when this version fails over and over: for the active version the one before it, for any other
    /// the active one.
    #[must_use]
    pub fn before(&self, version: &Version) -> Option<Arc<Version>> {
        if let Some(active) = self.active().filter(|active| active.name != version.name) {
            return Some(active);
        }
        let snapshot = self.snapshot();
        let before = snapshot.ready.get(&snapshot.releases.previous()?);
        before.filter(|before| before.name != version.name).cloned()
    }

    /// The version that is to listen to a new call beside the one that answers it, if any is.
    #[must_use]
    pub fn shadow_for(&self, call_id: &str) -> Option<Arc<Version>> {
        let snapshot = self.snapshot();
        let name = snapshot.releases.choose_shadow(call_id)?;
        snapshot.ready.get(&name).cloned()
    }

    /// The version that new calls get, apart from any canary's. None while the tenant is out of service.
    #[must_use]
    pub fn active(&self) -> Option<Arc<Version>> {
        self.snapshot().answering.clone()
    }

    /// The files of the tenant's folder that a change of means another version: `tenant.toml`, and the component
    /// it names. They need not exist.
    #[must_use]
    pub fn files(&self) -> Vec<PathBuf> {
        let Some(place) = &self.place else { return Vec::new() };
        let component = self.manifest().ok().and_then(|manifest| manifest.component);
        [place.folder.join("tenant.toml")].into_iter().chain(component).collect()
    }

    /// What is in the store, and which version answers.
    #[must_use]
    pub fn status(&self) -> Status {
        let snapshot = self.snapshot();
        Status {
            releases: Arc::clone(&snapshot.releases),
            active: snapshot.answering.as_ref().map(|version| version.name.clone()),
            trouble: snapshot.trouble.clone(),
        }
    }

    /// Vets and compiles a component with the settings and limits that `tenant.toml` has now. The version has no
    /// name yet and stands nowhere: rehearse with it, then stage it.
    ///
    /// # Errors
    ///
    /// The component can not be a tenant, or `tenant.toml` is wrong.
    pub fn try_out(&self, component: &[u8]) -> Result<Version, DeploymentError> {
        let manifest = self.manifest()?;
        let (compiled, settings) = (self.compile(component)?, manifest.settings.clone());
        Ok(self.version("unnamed".to_owned(), compiled, settings, manifest))
    }

    /// Puts a version that was tried out in the store, under a name. It answers nothing yet.
    ///
    /// # Errors
    ///
    /// See [`DeploymentError`]; the store is as it was.
    ///
    /// # Panics
    ///
    /// When the bytes are not those the version was tried out with.
    pub fn stage(
        &self,
        tried: &Version,
        component: &[u8],
        by: &str,
        note: &str,
    ) -> Result<Staged, DeploymentError> {
        assert_eq!(Digest::of(component), *tried.component.digest(), "tried out other bytes");
        let place = self.place.as_ref().ok_or(DeploymentError::NoCapacity)?;
        let _deploying = lock(&self.deploying);
        self.store_what_answers(place)?;
        place.make_folder()?;
        let when = When::from(SystemTime::now());
        let upload = Upload { component, settings: &tried.settings, when, by, note };
        let (changed, staged) = place.store.stage(&upload)?;
        let version = Version {
            name: staged.name().to_string(),
            tenant: tried.tenant.clone(),
            component: tried.component.clone(),
            settings: tried.settings.clone(),
            limits: Arc::clone(&tried.limits),
            http: tried.http.clone(),
            carrier: tried.carrier.clone(),
            recording: tried.recording,
        };
        let before = self.snapshot();
        let mut ready = before.ready.clone();
        ready.retain(|&name, _| changed.after.entry(name).is_some());
        // It is not compiled again when it is activated in a moment.
        ready.insert(staged.name(), Arc::new(version));
        let (answering, trouble) = (before.answering.clone(), before.trouble.clone());
        *lock(&self.snapshot) =
            Arc::new(Snapshot { releases: changed.after, ready, answering, trouble });
        Ok(staged)
    }

    /// Applies one of the [`ReleaseState`]'s rules: gets ready what the new state needs, writes it, and lets new
    /// calls have it.
    ///
    /// # Errors
    ///
    /// See [`DeploymentError`]; the deployment is as it was.
    pub fn change(
        &self,
        rule: impl Fn(&ReleaseState) -> Result<ReleaseState, Refused>,
    ) -> Result<Changed, DeploymentError> {
        let place = self.place.as_ref().ok_or(DeploymentError::NoCapacity)?;
        let _deploying = lock(&self.deploying);
        let before = place.store.reread()?.after;
        let after = rule(&before)?;
        for (version, error) in self.ready_for(&after).failed {
            // What was to answer already and can not is no obstacle to anything else.
            if before.part_of(version) != after.part_of(version) {
                return Err(error);
            }
        }
        place.make_folder()?;
        let changed = place.store.change(rule)?;
        self.stand_by(&changed.after)?;
        Ok(changed)
    }

    /// Reads the store again, after somebody edited `releases.toml` or another process deployed. The last
    /// good state stays when that fails.
    ///
    /// # Errors
    ///
    /// The file is broken, or what it names can not answer.
    pub fn reread(&self) -> Result<Arc<ReleaseState>, DeploymentError> {
        let Some(place) = &self.place else { return Ok(Arc::default()) };
        let _deploying = lock(&self.deploying);
        let changed = place.store.reread()?;
        let snapshot = self.snapshot();
        if changed.after != snapshot.releases || snapshot.trouble.is_some() {
            self.stand_by(&changed.after)?;
        }
        Ok(changed.after)
    }

    /// A version in the store, ready to answer.
    ///
    /// # Errors
    ///
    /// There is none of that name, or its files were changed, or it does not compile any more.
    pub fn ready(&self, name: VersionName) -> Result<Arc<Version>, DeploymentError> {
        if let Some(version) = self.snapshot().ready.get(&name) {
            return Ok(Arc::clone(version));
        }
        let place = self.place.as_ref().ok_or(DeploymentError::NoCapacity)?;
        let stored = place.store.load(name)?;
        let component = self.compile(&stored.component)?;
        Ok(Arc::new(self.version(name.to_string(), component, stored.settings, self.manifest()?)))
    }

    /// Puts what answers now in the store, where nothing was deployed yet, so that a roll-back leads to it.
    ///
    /// # Errors
    ///
    /// See [`DeploymentError`].
    pub fn store_active(&self) -> Result<(), DeploymentError> {
        let place = self.place.as_ref().ok_or(DeploymentError::NoCapacity)?;
        let _deploying = lock(&self.deploying);
        self.store_what_answers(place)
    }

    /// Deploys what the tenant's folder says, if it says something else than when it was last deployed
    /// from: a changed `tenant.toml`, or a changed component that it names. The new version is active then,
    /// unless `rehearse` finds a flaw.
    ///
    /// A tenant that never deployed anything has no store, and its folder is read when the host starts.
    ///
    /// # Errors
    ///
    /// See [`DeploymentError`]; the deployment is as it was, and the same files will not be tried again before they
    /// change.
    pub fn notice_folder(
        &self,
        rehearse: impl FnOnce(&Version) -> Result<(), Flaw>,
    ) -> Result<Option<Arc<Version>>, DeploymentError> {
        let Some(place) = &self.place else { return Ok(None) };
        let releases = place.store.releases();
        let manifest = self.manifest()?;
        let component = match (&manifest.component, releases.active()) {
            (Some(file), _) => read(file)?,
            (None, Some(active)) => place.store.load(active)?.component,
            (None, None) if releases.is_taken_back() => return Ok(None),
            (None, None) => self.builder.default_component.to_vec(),
        };
        let said = said(&manifest, &component);
        if releases.folder() == Some(said) {
            return Ok(None);
        }
        let deployed = self.deploy_folder(&component, rehearse);
        // Whatever came of it: one look at a set of files is enough.
        self.change(|releases| Ok(releases.note_folder(said)))?;
        deployed
    }

    fn deploy_folder(
        &self,
        component: &[u8],
        rehearse: impl FnOnce(&Version) -> Result<(), Flaw>,
    ) -> Result<Option<Arc<Version>>, DeploymentError> {
        let tried = self.try_out(component)?;
        rehearse(&tried)?;
        let staged = self.stage(&tried, component, BY_FOLDER, "its files changed")?;
        let changed = self.change(|releases| releases.activate(staged.name(), Force::No))?;
        let is_new = changed.before.active() != changed.after.active();
        Ok(self.active().filter(|_| is_new))
    }

    fn store_what_answers(&self, place: &TenantFolder) -> Result<(), DeploymentError> {
        // Versions none of which is active are what a crash between the two steps below leaves.
        let releases = place.store.reread()?.after;
        if releases.active().is_some() || releases.is_taken_back() {
            return Ok(());
        }
        // Nobody answered, so there is nothing to go back to.
        let Ok(answering) = self.tenant.named() else { return Ok(()) };
        let manifest = self.manifest()?;
        let component = match &manifest.component {
            Some(file) => Cow::Owned(read(file)?),
            // Without the operator's words it is anybody's assistant, and a roll-back must not lead to it.
            None if !manifest.has_instructions => return Ok(()),
            None => Cow::Borrowed(&*self.builder.default_component),
        };
        // A file that was overwritten since is not what answers, and what answers is nowhere else.
        if Digest::of(&component) != *answering.component.digest() {
            tracing::warn!(
                tenant = %self.id(),
                "the component's file was changed since the start: no roll-back can lead to what answers now"
            );
            return Ok(());
        }
        place.make_folder()?;
        let upload = Upload {
            component: &component,
            settings: &answering.settings,
            when: When::from(SystemTime::now()),
            by: BY_FOLDER,
            note: "what answered before anything was deployed",
        };
        let (_, staged) = place.store.stage(&upload)?;
        let said = said(&manifest, &component);
        let changed = place.store.change(|releases| {
            Ok(releases.activate(staged.name(), Force::No)?.note_folder(said))
        })?;
        self.stand_by(&changed.after)
    }

    /// Lets new calls have what a state says. An active version that can not answer is an error where it was not
    /// active before; otherwise another one goes on in its place.
    fn stand_by(&self, releases: &Arc<ReleaseState>) -> Result<(), DeploymentError> {
        let before = self.snapshot();
        let mut readied = self.ready_for(releases);
        let active = releases.active().filter(|_| releases.active() != before.releases.active());
        if let Some(error) = active.and_then(|active| readied.failed.remove(&active)) {
            return Err(error);
        }
        for (version, error) in &readied.failed {
            tracing::error!(tenant = %self.id(), %version, %error, "a version can not answer");
        }
        let snapshot = self.snapshot_of(Arc::clone(releases), readied, None);
        if let Some(trouble) = &snapshot.trouble {
            let answers = Answers(&snapshot);
            tracing::error!(tenant = %self.id(), "{trouble}. {answers}");
        } else if before.trouble.is_some() {
            tracing::info!(tenant = %self.id(), "all is well again: the active version answers");
        }
        *lock(&self.snapshot) = Arc::new(snapshot);
        Ok(())
    }

    /// Gets the versions ready that have a part under a state. A previous version that can not answer is no
    /// obstacle to anything.
    fn ready_for(&self, releases: &ReleaseState) -> Readied {
        let on_trial = [releases.on_trial(), releases.shadow()];
        let [candidate, shadow] = on_trial.map(|trial| trial.map(|trial| trial.version));
        let mut readied = Readied::default();
        for name in
            [releases.active(), candidate, shadow, releases.previous()].into_iter().flatten()
        {
            match self.ready(name) {
                Ok(version) => drop(readied.versions.insert(name, version)),
                Err(error) if releases.previous() == Some(name) => {
                    tracing::warn!(tenant = %self.id(), version = %name, %error, "no roll-back leads there");
                }
                Err(error) => drop(readied.failed.insert(name, error)),
            }
        }
        readied
    }

    fn compile(&self, component: &[u8]) -> Result<Component, VetError> {
        let VersionBuilder { engine, limits, cache, .. } = &*self.builder;
        let (tenant, cache) = (self.id().as_str(), cache.as_ref());
        Component::prepare(engine, &Preparation { tenant, bytes: component, limits, cache })
    }

    fn version(
        &self,
        name: String,
        component: Component,
        settings: String,
        manifest: Manifest,
    ) -> Version {
        let Manifest { limits, http, carrier, recording, .. } = manifest;
        let tenant = self.id().clone();
        Version { tenant, name, component, settings, limits, http, carrier, recording }
    }

    fn manifest(&self) -> Result<Manifest, DeploymentError> {
        let place = self.place.as_ref().ok_or(DeploymentError::NoCapacity)?;
        Manifest::read(&place.folder, &self.builder.default_settings)
            .map_err(DeploymentError::Manifest)
    }

    fn snapshot(&self) -> Arc<Snapshot> {
        Arc::clone(&lock(&self.snapshot))
    }
}

/// Who answers a tenant's callers while something is wrong, in words.
struct Answers<'a>(&'a Snapshot);

impl fmt::Display for Answers<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.0.answering {
            Some(version) => write!(f, "{} answers in its place", version.name),
            None => f.write_str(
                "The tenant is out of service: its callers hear that the number is not in service",
            ),
        }
    }
}

/// Drops the compiled forms of what stands nowhere any more.
fn tidy_cache(builder: &VersionBuilder, deployments: &BTreeMap<TenantId, Arc<Deployment>>) {
    let Some(cache) = &builder.cache else { return };
    let mut known = vec![Digest::of(&builder.default_component)];
    for deployment in deployments.values() {
        known.extend(deployment.tenant.named().map(|version| *version.component.digest()));
        known.extend(deployment.snapshot().releases.entries().iter().map(|entry| entry.component));
    }
    if let Err(error) = cache.keep_only(&builder.engine, &known) {
        tracing::warn!("compiled components that nobody needs stay on the disk: {error}");
    }
}

/// Who deploys when the tenant's own files changed.
const BY_FOLDER: &str = "tenant.toml";

/// The digest of what a folder says: which component, with which settings.
fn said(manifest: &Manifest, component: &[u8]) -> Digest {
    let component = match manifest.component {
        Some(_) => Digest::of(component).to_string(),
        None => "none of its own".to_owned(),
    };
    Digest::of(format!("{component}\n{}", manifest.settings).as_bytes())
}

fn read(file: &Path) -> Result<Vec<u8>, DeploymentError> {
    plain_file::read(file, COMPONENT_BYTES_MAX)
        .map_err(|error| DeploymentError::File { path: file.to_owned(), error })
}

/// What these locks guard is replaced in one step or is nothing at all, so a panic leaves it whole.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
