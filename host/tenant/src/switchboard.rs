//! Which version answers which call, for every tenant of this host.
//!
//! **One rule: what may answer a call is compiled before anything is written, and written before any call
//! gets it.** So a component that cannot run never becomes active, and an answer that was given to an
//! operator survives the process.
//!
//! A [`Line`] is one tenant's: its [`Shelf`] on disk, and the versions on it that calls may get, ready
//! in memory. A tenant that never deployed anything answers with what its `tenant.toml` names (its
//! [`Tenant`]); the first deployment puts that on the shelf too, so that a roll-back leads to it.
//!
//! Everything that changes a line blocks, on the disk and the compiler: call it off the call threads.
//! What calls use ([`Line::version_for`]) takes a lock for one clone.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::SystemTime;

use crate::allowance::Allowance;
use crate::cache::CompiledCache;
use crate::component::Component;
use crate::engine::Engine;
use crate::limits::CompileLimits;
use crate::registry::{
    CallSlot, Making, NoPlace, Tenant, TenantError, TenantId, Tenants, Terms, Version,
};
use crate::rehearsal::Flaw;
use crate::shelf::{
    Changed, Digest, Force, Refused, Registry, Shelf, ShelfError, Staged, Upload, VersionName, When,
};
use crate::vet::VetError;

/// What versions are made with.
#[derive(Debug)]
pub struct Parts {
    /// The engine components run on.
    pub engine: Engine,
    /// What a component may cost.
    pub limits: CompileLimits,
    /// Compiled components, where they are kept.
    pub cache: Option<CompiledCache>,
    /// The component of tenants that name none.
    pub default_component: Cow<'static, [u8]>,
    /// Settings that tenants get unless they set the same key.
    pub default_settings: serde_json::Map<String, serde_json::Value>,
    /// Calls at once for tenants that do not say.
    pub max_calls: u32,
}

/// All lines of this host.
pub struct Switchboard {
    tenants: Tenants,
    lines: BTreeMap<TenantId, Arc<Line>>,
}

/// One tenant's line.
pub struct Line {
    tenant: Arc<Tenant>,
    parts: Arc<Parts>,
    /// The tenant's folder, which need not exist; none where the host has no folder of tenants.
    place: Option<Place>,
    /// Replaced whole. A lock, since calls read it while a deployment writes it; held for one clone.
    standing: Mutex<Arc<Standing>>,
    /// Held by the one who deploys; the next one waits. A lock and no task, since deploying blocks anyway.
    deploying: Mutex<()>,
}

struct Place {
    folder: PathBuf,
    shelf: Shelf,
}

impl Place {
    /// The default tenant need not have a folder before something is kept there.
    fn make_folder(&self) -> Result<(), LineError> {
        let failed = |error| LineError::File { path: self.folder.clone(), error };
        fs::create_dir_all(&self.folder).map_err(failed)
    }
}

/// Who may answer, at one moment.
#[derive(Default)]
struct Standing {
    registry: Arc<Registry>,
    ready: BTreeMap<VersionName, Arc<Version>>,
}

/// Why a line was not changed.
#[derive(Debug, thiserror::Error)]
pub enum LineError {
    /// The component can not be a tenant.
    #[error(transparent)]
    Vet(#[from] VetError),
    /// The shelf refuses or fails.
    #[error(transparent)]
    Shelf(#[from] ShelfError),
    /// `tenant.toml` is wrong.
    #[error("{}: {}", .0.path.display(), .0.reason)]
    Terms(TenantError),
    /// The version does not survive its rehearsal.
    #[error(transparent)]
    Flawed(#[from] Flaw),
    /// The host has nowhere to keep versions.
    #[error("this host has no directory of tenants, so nothing can be deployed: set `tenants_dir`")]
    NoPlace,
    /// A file could not be read or made.
    #[error("{}: {error}", .path.display())]
    File {
        /// Which.
        path: PathBuf,
        /// What the system says.
        error: io::Error,
    },
}

impl From<Refused> for LineError {
    fn from(refused: Refused) -> Self {
        Self::Shelf(refused.into())
    }
}

/// How a line looks from outside at one moment.
#[derive(Debug, Clone)]
pub struct Outlook {
    /// The shelf.
    pub registry: Arc<Registry>,
    /// The name of the version that new calls get, apart from a canary's.
    pub active: String,
}

impl Switchboard {
    /// Reads all tenants and their shelves, and gets ready what may answer. What is wrong with one tenant is
    /// reported, and does not touch the others; a tenant whose shelf is broken answers with what its
    /// `tenant.toml` names.
    ///
    /// # Errors
    ///
    /// [`VetError`] when the default component itself is not usable.
    pub fn open(dir: Option<&Path>, parts: Parts) -> Result<(Self, Vec<String>), VetError> {
        let (tenants, errors) = Tenants::open(
            dir,
            Making {
                engine: &parts.engine,
                limits: &parts.limits,
                cache: parts.cache.as_ref(),
                default_component: &parts.default_component,
                default_settings: &parts.default_settings,
                max_calls: parts.max_calls,
            },
        )?;
        let mut problems: Vec<String> = errors.iter().map(ToString::to_string).collect();
        let parts = Arc::new(parts);
        let mut lines = BTreeMap::new();
        for tenant in tenants.iter() {
            let folder = dir.map(|dir| dir.join(tenant.id().as_str()));
            let line = Line::open(Arc::clone(tenant), Arc::clone(&parts), folder, &mut problems);
            lines.insert(tenant.id().clone(), Arc::new(line));
        }
        tidy_cache(&parts, &lines);
        Ok((Self { tenants, lines }, problems))
    }

    /// The line of the tenant of this name.
    #[must_use]
    pub fn line(&self, tenant: &str) -> Option<&Arc<Line>> {
        self.lines.get(tenant)
    }

    /// The line that answers a called number (E.164, as the carrier gives it), else the default tenant's.
    ///
    /// None when the number's own tenant could not be used: see [`Tenants::for_number`].
    #[must_use]
    pub fn for_number(&self, number: &str) -> Option<&Arc<Line>> {
        let tenant = self.tenants.for_number(number)?;
        self.lines.get(tenant.id())
    }

    /// All lines, by their tenants' names.
    pub fn lines(&self) -> impl Iterator<Item = &Arc<Line>> {
        self.lines.values()
    }
}

impl Line {
    fn open(
        tenant: Arc<Tenant>,
        parts: Arc<Parts>,
        folder: Option<PathBuf>,
        problems: &mut Vec<String>,
    ) -> Self {
        let place = folder.map(|folder| {
            let shelf = Shelf::open(&folder).unwrap_or_else(|error| {
                problems.push(error.to_string());
                Shelf::unread(&folder)
            });
            Place { folder, shelf }
        });
        let line =
            Self { tenant, parts, place, standing: Mutex::default(), deploying: Mutex::default() };
        if let Some(place) = &line.place {
            let registry = place.shelf.registry();
            let ready = line.ready_for(&registry, |version, error| {
                problems.push(format!("tenant `{}`: {version} can not answer: {error}", line.id()));
                Ok(())
            });
            let ready = ready.unwrap_or_default();
            *lock(&line.standing) = Arc::new(Standing { registry, ready });
        }
        line
    }

    /// The tenant's name.
    #[must_use]
    pub fn id(&self) -> &TenantId {
        self.tenant.id()
    }

    /// The CPU account of all the tenant's instances.
    #[must_use]
    pub fn allowance(&self) -> &Arc<Allowance> {
        self.tenant.allowance()
    }

    /// Calls alive.
    #[must_use]
    pub fn live_calls(&self) -> u32 {
        self.tenant.live_calls()
    }

    /// Takes a place for a new call, with the version that answers it: see [`Line::version_for`].
    ///
    /// # Errors
    ///
    /// [`NoPlace`]: why the tenant gets no other call now.
    pub fn admit(&self, call_id: &str) -> Result<CallSlot, NoPlace> {
        self.tenant.admit_to(self.version_for(call_id))
    }

    /// The version that answers a new call: the same for the same id, while nothing is deployed.
    #[must_use]
    pub fn version_for(&self, call_id: &str) -> Arc<Version> {
        let standing = self.standing();
        let ready =
            |name: Option<VersionName>| name.and_then(|name| standing.ready.get(&name)).cloned();
        let registry = &standing.registry;
        ready(registry.choose(call_id))
            .or_else(|| ready(registry.active()))
            .or_else(|| ready(registry.previous()))
            .unwrap_or_else(|| self.tenant.active())
    }

    /// Gives a call that has not begun another version, if its own was rolled back since it was admitted.
    pub fn admit_again(&self, slot: &mut CallSlot, call_id: &str) {
        let registry = Arc::clone(&self.standing().registry);
        let name = slot.version().name.parse::<VersionName>().ok();
        let entry = name.and_then(|name| registry.entry(name));
        if entry.is_some_and(|entry| entry.rolled_back.is_some()) {
            slot.answer_with(self.version_for(call_id));
        }
    }

    /// Who answers a call when this version fails over and over: for the active version the one before it, for any other
    /// the active one.
    #[must_use]
    pub fn before(&self, version: &Version) -> Option<Arc<Version>> {
        let active = self.active();
        if active.name != version.name {
            return Some(active);
        }
        let standing = self.standing();
        standing.ready.get(&standing.registry.previous()?).cloned()
    }

    /// The version that is to listen to a new call beside the one that answers it, if any is.
    #[must_use]
    pub fn shadow_for(&self, call_id: &str) -> Option<Arc<Version>> {
        let standing = self.standing();
        let name = standing.registry.choose_shadow(call_id)?;
        standing.ready.get(&name).cloned()
    }

    /// The version that is active, apart from any canary.
    #[must_use]
    pub fn active(&self) -> Arc<Version> {
        let standing = self.standing();
        let active = standing.registry.active().and_then(|name| standing.ready.get(&name));
        active.cloned().unwrap_or_else(|| self.tenant.active())
    }

    /// The files of the tenant's folder that a change of means another version: `tenant.toml`, and the component
    /// it names. They need not exist.
    #[must_use]
    pub fn files(&self) -> Vec<PathBuf> {
        let Some(place) = &self.place else { return Vec::new() };
        let component = self.terms().ok().and_then(|terms| terms.component);
        [place.folder.join("tenant.toml")].into_iter().chain(component).collect()
    }

    /// What is on the shelf, and which version answers.
    #[must_use]
    pub fn outlook(&self) -> Outlook {
        Outlook {
            registry: Arc::clone(&self.standing().registry),
            active: self.active().name.clone(),
        }
    }

    /// Vets and compiles a component with the settings and limits that `tenant.toml` has now. The version has no
    /// name yet and stands nowhere: rehearse with it, then stage it.
    ///
    /// # Errors
    ///
    /// The component can not be a tenant, or `tenant.toml` is wrong.
    pub fn try_out(&self, component: &[u8]) -> Result<Version, LineError> {
        let terms = self.terms()?;
        let (compiled, settings) = (self.compile(component)?, terms.settings.clone());
        Ok(self.version("unnamed".to_owned(), compiled, settings, terms))
    }

    /// Puts a version that was tried out on the shelf, under a name. It answers nothing yet.
    ///
    /// # Errors
    ///
    /// See [`LineError`]; the shelf is as it was.
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
    ) -> Result<Staged, LineError> {
        assert_eq!(Digest::of(component), *tried.component.digest(), "tried out other bytes");
        let place = self.place.as_ref().ok_or(LineError::NoPlace)?;
        let _deploying = lock(&self.deploying);
        self.shelve_what_answers(place)?;
        place.make_folder()?;
        let when = When::from(SystemTime::now());
        let upload = Upload { component, settings: &tried.settings, when, by, note };
        let (changed, staged) = place.shelf.stage(&upload)?;
        let version = Version {
            name: staged.name().to_string(),
            tenant: tried.tenant.clone(),
            component: tried.component.clone(),
            settings: tried.settings.clone(),
            limits: Arc::clone(&tried.limits),
            http: tried.http.clone(),
            recording: tried.recording,
        };
        let mut ready = self.standing().ready.clone();
        ready.retain(|&name, _| changed.after.entry(name).is_some());
        // It is not compiled again when it is activated in a moment.
        ready.insert(staged.name(), Arc::new(version));
        *lock(&self.standing) = Arc::new(Standing { registry: changed.after, ready });
        Ok(staged)
    }

    /// Applies one of the [`Registry`]'s rules: gets ready what the new state needs, writes it, and lets new
    /// calls have it.
    ///
    /// # Errors
    ///
    /// See [`LineError`]; the line is as it was.
    pub fn change(
        &self,
        rule: impl Fn(&Registry) -> Result<Registry, Refused>,
    ) -> Result<Changed, LineError> {
        let place = self.place.as_ref().ok_or(LineError::NoPlace)?;
        let _deploying = lock(&self.deploying);
        let before = place.shelf.reread()?.after;
        let after = rule(&before)?;
        self.ready_for(&after, |version, error| {
            // What was on trial already and can not answer is no obstacle to anything else.
            let new = before.part_of(version) != after.part_of(version);
            if new || after.active() == Some(version) { Err(error) } else { Ok(()) }
        })?;
        place.make_folder()?;
        let changed = place.shelf.change(rule)?;
        self.stand_by(&changed.after)?;
        Ok(changed)
    }

    /// Reads the shelf again, after somebody edited `registry.toml` or another process deployed. The last
    /// good state stays when that fails.
    ///
    /// # Errors
    ///
    /// The file is broken, or what it names can not answer.
    pub fn reread(&self) -> Result<Arc<Registry>, LineError> {
        let Some(place) = &self.place else { return Ok(Arc::default()) };
        let _deploying = lock(&self.deploying);
        let changed = place.shelf.reread()?;
        if changed.after != self.standing().registry {
            self.stand_by(&changed.after)?;
        }
        Ok(changed.after)
    }

    /// A version on the shelf, ready to answer.
    ///
    /// # Errors
    ///
    /// There is none of that name, or its files were changed, or it does not compile any more.
    pub fn ready(&self, name: VersionName) -> Result<Arc<Version>, LineError> {
        if let Some(version) = self.standing().ready.get(&name) {
            return Ok(Arc::clone(version));
        }
        let place = self.place.as_ref().ok_or(LineError::NoPlace)?;
        let stored = place.shelf.load(name)?;
        let component = self.compile(&stored.component)?;
        Ok(Arc::new(self.version(name.to_string(), component, stored.settings, self.terms()?)))
    }

    /// Puts what answers now on the shelf, where nothing was deployed yet, so that a roll-back leads to it.
    ///
    /// # Errors
    ///
    /// See [`LineError`].
    pub fn shelve(&self) -> Result<(), LineError> {
        let place = self.place.as_ref().ok_or(LineError::NoPlace)?;
        let _deploying = lock(&self.deploying);
        self.shelve_what_answers(place)
    }

    /// Deploys what the tenant's folder says, if it says something else than when it was last deployed
    /// from: a changed `tenant.toml`, or a changed component that it names. The new version is active then,
    /// unless `rehearse` finds a flaw.
    ///
    /// A tenant that never deployed anything has no shelf, and its folder is read when the host starts.
    ///
    /// # Errors
    ///
    /// See [`LineError`]; the line is as it was, and the same files will not be tried again before they
    /// change.
    pub fn notice_folder(
        &self,
        rehearse: impl FnOnce(&Version) -> Result<(), Flaw>,
    ) -> Result<Option<Arc<Version>>, LineError> {
        let Some(place) = &self.place else { return Ok(None) };
        let registry = place.shelf.registry();
        let Some(active) = registry.active() else { return Ok(None) };
        let terms = self.terms()?;
        let component = match &terms.component {
            Some(file) => read(file)?,
            None => place.shelf.load(active)?.component,
        };
        let said = said(&terms, &component);
        if registry.folder() == Some(said) {
            return Ok(None);
        }
        let deployed = self.deploy_folder(&component, rehearse);
        // Whatever came of it: one look at a set of files is enough.
        self.change(|registry| Ok(registry.note_folder(said)))?;
        deployed
    }

    fn deploy_folder(
        &self,
        component: &[u8],
        rehearse: impl FnOnce(&Version) -> Result<(), Flaw>,
    ) -> Result<Option<Arc<Version>>, LineError> {
        let tried = self.try_out(component)?;
        rehearse(&tried)?;
        let staged = self.stage(&tried, component, BY_FOLDER, "its files changed")?;
        let changed = self.change(|registry| registry.activate(staged.name(), Force::No))?;
        Ok((changed.before.active() != changed.after.active()).then(|| self.active()))
    }

    fn shelve_what_answers(&self, place: &Place) -> Result<(), LineError> {
        // Versions none of which is active are what a crash between the two steps below leaves.
        if place.shelf.reread()?.after.active().is_some() {
            return Ok(());
        }
        let answering = self.tenant.active();
        let terms = self.terms()?;
        let component = match &terms.component {
            Some(file) => Cow::Owned(read(file)?),
            None => Cow::Borrowed(&*self.parts.default_component),
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
        let (_, staged) = place.shelf.stage(&upload)?;
        let said = said(&terms, &component);
        let changed = place.shelf.change(|registry| {
            Ok(registry.activate(staged.name(), Force::No)?.note_folder(said))
        })?;
        self.stand_by(&changed.after)
    }

    /// Lets new calls have what a registry says.
    fn stand_by(&self, registry: &Arc<Registry>) -> Result<(), LineError> {
        let ready = self.ready_for(registry, |version, error| {
            if registry.active() == Some(version) {
                return Err(error);
            }
            tracing::error!(tenant = %self.id(), %version, %error, "a version on trial can not answer");
            Ok(())
        })?;
        *lock(&self.standing) = Arc::new(Standing { registry: Arc::clone(registry), ready });
        Ok(())
    }

    /// The versions a call may get under a registry, ready to answer. `unready` decides about one that
    /// can not; a previous version that can not is no obstacle to anything.
    fn ready_for(
        &self,
        registry: &Registry,
        mut unready: impl FnMut(VersionName, LineError) -> Result<(), LineError>,
    ) -> Result<BTreeMap<VersionName, Arc<Version>>, LineError> {
        let on_trial = [registry.on_trial(), registry.shadow()];
        let [candidate, shadow] = on_trial.map(|trial| trial.map(|trial| trial.version));
        let mut ready = BTreeMap::new();
        for name in
            [registry.active(), candidate, shadow, registry.previous()].into_iter().flatten()
        {
            match self.ready(name) {
                Ok(version) => drop(ready.insert(name, version)),
                Err(error) if registry.previous() == Some(name) => {
                    tracing::warn!(tenant = %self.id(), version = %name, %error, "no roll-back leads there");
                }
                Err(error) => unready(name, error)?,
            }
        }
        Ok(ready)
    }

    fn compile(&self, component: &[u8]) -> Result<Component, VetError> {
        let Parts { engine, limits, cache, .. } = &*self.parts;
        match cache {
            Some(cache) => Component::load(engine, component, limits, cache),
            None => Component::vet_and_compile(engine, component, limits),
        }
    }

    fn version(
        &self,
        name: String,
        component: Component,
        settings: String,
        terms: Terms,
    ) -> Version {
        let Terms { limits, http, recording, .. } = terms;
        Version { tenant: self.id().clone(), name, component, settings, limits, http, recording }
    }

    fn terms(&self) -> Result<Terms, LineError> {
        let place = self.place.as_ref().ok_or(LineError::NoPlace)?;
        Terms::read(&place.folder, &self.parts.default_settings).map_err(LineError::Terms)
    }

    fn standing(&self) -> Arc<Standing> {
        Arc::clone(&lock(&self.standing))
    }
}

/// Drops the compiled forms of what stands nowhere any more.
fn tidy_cache(parts: &Parts, lines: &BTreeMap<TenantId, Arc<Line>>) {
    let Some(cache) = &parts.cache else { return };
    let mut known = vec![Digest::of(&parts.default_component)];
    for line in lines.values() {
        known.push(*line.tenant.active().component.digest());
        known.extend(line.standing().registry.entries().iter().map(|entry| entry.component));
    }
    if let Err(error) = cache.keep_only(&parts.engine, &known) {
        tracing::warn!("compiled components that nobody needs stay on the disk: {error}");
    }
}

/// Who deploys when the tenant's own files changed.
const BY_FOLDER: &str = "tenant.toml";

/// The digest of what a folder says: which component, with which settings.
fn said(terms: &Terms, component: &[u8]) -> Digest {
    let component = match terms.component {
        Some(_) => Digest::of(component).to_string(),
        None => "none of its own".to_owned(),
    };
    Digest::of(format!("{component}\n{}", terms.settings).as_bytes())
}

fn read(file: &Path) -> Result<Vec<u8>, LineError> {
    fs::read(file).map_err(|error| LineError::File { path: file.to_owned(), error })
}

/// What these locks guard is replaced in one step or is nothing at all, so a panic leaves it whole.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
