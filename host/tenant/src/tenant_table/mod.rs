//! Which tenant answers which number, with which component, settings and limits.
//!
//! A [`Tenant`] has one active [`Version`], which never changes once made. A call takes a [`CallSlot`] and keeps
//! the version it found there until it ends, whatever becomes the active one meanwhile.

mod carrier;
mod http;
mod manifest;
mod manifest_text;
mod recording;

use std::borrow::Cow;
use std::collections::hash_map::Entry;
use std::collections::{BTreeMap, HashMap};
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::{Arc, PoisonError, RwLock};
use std::time::Instant;

pub use carrier::{CarrierPolicy, OverLimit};
pub use http::{HttpBudget, HttpPolicy};
pub use manifest::Manifest;
pub use manifest_text::TenantId;
pub use recording::RecordingTerms;

use crate::cache::CompiledCache;
use crate::component::Component;
use crate::cpu_quota::CpuQuota;
use crate::engine::Engine;
use crate::limits::{CompileLimits, Limits};
use crate::spending::Spending;
use crate::version_store::Digest;
use crate::vet::{self, VetError};
use manifest_text::ManifestText;

/// One immutable version of a tenant: all that a call needs to be answered.
#[derive(Debug)]
pub struct Version {
    /// Whose version it is.
    pub tenant: TenantId,
    /// How the releases names it: twelve digits of a hash over component, settings, limits and HTTP policy.
    pub name: String,
    /// What answers.
    pub component: Component,
    /// The tenant's own settings, a JSON object.
    pub settings: String,
    /// What an instance may use.
    pub limits: Arc<Limits>,
    /// What its HTTP requests may reach, and the secrets they may name.
    pub http: HttpPolicy,
    /// What it may have the carrier do with its calls.
    pub carrier: CarrierPolicy,
    /// Which calls that begin with it are recorded. Not part of its name: it answers the same either way.
    pub recording: RecordingTerms,
}

/// One tenant of this host.
#[derive(Debug)]
pub struct Tenant {
    id: TenantId,
    max_calls: u32,
    /// Counts the calls alive, too.
    cpu_quota: Arc<CpuQuota>,
    spending: Arc<Spending>,
    /// A lock, because a deployment replaces the version while webhooks read it; it is held for one clone.
    active: RwLock<Arc<Version>>,
}

/// Why a tenant gets no other call now.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum NoCapacity {
    /// It has as many calls as it may have.
    #[error("tenant `{tenant}` has its {max_calls} calls already")]
    AtCapacity {
        /// Which tenant.
        tenant: TenantId,
        /// How many calls it may have.
        max_calls: u32,
    },
    /// Its instances have used more CPU time than is theirs, in three of the last thirty seconds.
    #[error(
        "tenant `{tenant}` uses more CPU time than its share: make it cheaper, or raise `limits.cpu_ms_per_call_second`"
    )]
    ThrottledOut {
        /// Which tenant.
        tenant: TenantId,
    },
}

/// One call's place at a tenant, given back when it is dropped, and the version that answers this call.
#[derive(Debug)]
pub struct CallSlot {
    tenant: Arc<Tenant>,
    version: Arc<Version>,
}

impl CallSlot {
    /// The version this call began with.
    pub fn version(&self) -> &Arc<Version> {
        &self.version
    }

    /// Lets another version of the same tenant answer, before anybody has.
    pub(crate) fn answer_with(&mut self, version: Arc<Version>) {
        self.version = version;
    }

    /// The tenant.
    pub fn tenant(&self) -> &Arc<Tenant> {
        &self.tenant
    }
}

impl Drop for CallSlot {
    fn drop(&mut self) {
        self.tenant.cpu_quota.leave();
    }
}

impl Tenant {
    /// The tenant's name.
    pub fn id(&self) -> &TenantId {
        &self.id
    }

    /// Calls alive.
    pub fn live_calls(&self) -> u32 {
        self.cpu_quota.calls()
    }

    /// The CPU account of all its instances.
    pub fn cpu_quota(&self) -> &Arc<CpuQuota> {
        &self.cpu_quota
    }

    /// What all its calls have cost.
    pub fn spending(&self) -> &Arc<Spending> {
        &self.spending
    }

    /// The version new calls get.
    pub fn active(&self) -> Arc<Version> {
        Arc::clone(&self.active.read().unwrap_or_else(PoisonError::into_inner))
    }

    /// Takes a place for one call, with the version that is active now.
    ///
    /// # Errors
    ///
    /// [`NoCapacity`]: why the tenant gets no other call now.
    pub fn admit(self: &Arc<Self>) -> Result<CallSlot, NoCapacity> {
        self.admit_to(self.active())
    }

    /// Takes a place for one call that another version of this tenant is to answer.
    ///
    /// # Errors
    ///
    /// As [`Tenant::admit`].
    pub(crate) fn admit_to(
        self: &Arc<Self>,
        version: Arc<Version>,
    ) -> Result<CallSlot, NoCapacity> {
        let tenant = || self.id.clone();
        if self.cpu_quota.is_throttled_out(Instant::now()) {
            return Err(NoCapacity::ThrottledOut { tenant: tenant() });
        }
        if !self.cpu_quota.enter(self.max_calls) {
            return Err(NoCapacity::AtCapacity { tenant: tenant(), max_calls: self.max_calls });
        }
        Ok(CallSlot { version, tenant: Arc::clone(self) })
    }
}

/// A tenant directory that could not be used. The other tenants are not touched by it.
#[derive(Debug, thiserror::Error)]
#[error("tenant `{tenant}` is left out: {path}: {reason}", path = path.display())]
pub struct TenantError {
    /// The directory's name.
    pub tenant: String,
    /// The file at fault.
    pub path: PathBuf,
    /// What is wrong with it, with the key where there is one.
    pub reason: String,
}

/// All tenants of this host.
#[derive(Debug)]
pub struct TenantTable {
    by_id: BTreeMap<TenantId, Arc<Tenant>>,
    /// Whose directory claims a number; a tenant that could not be used keeps its numbers.
    by_number: HashMap<String, String>,
}

/// What versions are made with.
#[derive(Debug)]
pub struct VersionBuilder {
    /// The engine components run on.
    pub engine: Engine,
    /// What a component may cost.
    pub limits: CompileLimits,
    /// Compiled components, where they are kept.
    pub cache: Option<CompiledCache>,
    /// The component of tenants that name none, and of the tenant `default`.
    pub default_component: Cow<'static, [u8]>,
    /// Settings that tenants get unless they set the same key: a JSON object.
    pub default_settings: serde_json::Map<String, serde_json::Value>,
    /// Calls at once for tenants that do not say.
    pub max_calls: u32,
}

impl TenantTable {
    /// Reads every `<dir>/<id>/tenant.toml`. There is always a tenant `default`, which answers what no other
    /// tenant has claimed; `<dir>/default/tenant.toml` gives it settings.
    ///
    /// What is wrong with a directory is reported, and that tenant left out; nobody else answers the numbers it
    /// claims. Blocks while components compile.
    ///
    /// # Errors
    ///
    /// [`VetError`] when the default component itself is not usable.
    pub fn open(
        dir: Option<&Path>,
        builder: &VersionBuilder,
    ) -> Result<(Self, Vec<TenantError>), VetError> {
        let mut maker = Maker { builder, compiled: HashMap::new() };
        maker.component(&builder.default_component)?;
        let mut tenants = Self { by_id: BTreeMap::new(), by_number: HashMap::new() };
        let mut errors = Vec::new();
        let directories = dir.map(|dir| directories(dir, &mut errors)).unwrap_or_default();
        for dir in directories {
            match tenants.manifest(&dir).and_then(|text| maker.read(&dir, &text)) {
                Ok((version, max_calls)) => tenants.insert(version, max_calls),
                Err(error) => errors.push(error),
            }
        }
        let default = TenantId::default_tenant();
        if !tenants.by_id.contains_key(&default) {
            let version =
                maker.version(&default, ManifestText::default(), &builder.default_component)?;
            tenants.insert(version, builder.max_calls);
        }
        Ok((tenants, errors))
    }

    /// Looks at every tenant as [`TenantTable::open`] does, but compiles nothing: the names of those that could
    /// answer, as far as can be seen without, and what is wrong with the others.
    pub fn survey(dir: &Path, limits: &CompileLimits) -> (Vec<TenantId>, Vec<TenantError>) {
        let (mut sound, mut errors) = (Vec::new(), Vec::new());
        let mut tenants = Self { by_id: BTreeMap::new(), by_number: HashMap::new() };
        for dir in directories(dir, &mut errors) {
            let vetted = tenants.manifest(&dir).and_then(|text| {
                let Folder { id, component, .. } = Folder::read(&dir, &text)?;
                match component {
                    None => Ok(id),
                    Some((path, bytes)) => vet::vet(&bytes, limits)
                        .map(|_| id)
                        .map_err(|e| component_error(&dir, path, e.to_string())),
                }
            });
            match vetted {
                Ok(id) => sound.push(id),
                Err(error) => errors.push(error),
            }
        }
        (sound, errors)
    }

    /// The tenant of this name.
    pub fn tenant(&self, id: &str) -> Option<&Arc<Tenant>> {
        self.by_id.get(id)
    }

    /// The tenant that answers a called number (E.164, as the carrier gives it), else `default`.
    ///
    /// None when the number's own tenant could not be used: its callers are not `default`'s, and must not be
    /// answered in another's name.
    pub fn for_number(&self, number: &str) -> Option<&Arc<Tenant>> {
        let default = TenantId::default_tenant();
        let id = self.by_number.get(number).map_or(default.as_str(), String::as_str);
        self.by_id.get(id)
    }

    /// All tenants, by name.
    pub fn iter(&self) -> impl Iterator<Item = &Arc<Tenant>> {
        self.by_id.values()
    }

    /// Reads a directory's manifest and gives the directory its numbers, first of all: whatever else is wrong with
    /// it, these are its callers.
    fn manifest(&mut self, dir: &Path) -> Result<String, TenantError> {
        let text = fs::read_to_string(dir.join(MANIFEST))
            .map_err(|error| manifest_error(dir, error.to_string()))?;
        self.claim(dir, manifest_text::numbers(&text))?;
        Ok(text)
    }

    /// Gives a directory its numbers, but for those that an earlier one has.
    fn claim(&mut self, dir: &Path, numbers: Vec<String>) -> Result<(), TenantError> {
        let name = dir.file_name().unwrap_or_default().to_string_lossy().into_owned();
        let mut claimed = Ok(());
        for number in numbers {
            match self.by_number.entry(number) {
                Entry::Vacant(free) => drop(free.insert(name.clone())),
                Entry::Occupied(taken) => {
                    let (number, other) = (taken.key(), taken.get());
                    let reason = format!("numbers: {number} already belongs to tenant `{other}`");
                    claimed = claimed.and(Err(manifest_error(dir, reason)));
                }
            }
        }
        claimed
    }

    fn insert(&mut self, version: Version, max_calls: u32) {
        let tenant = Tenant {
            id: version.tenant.clone(),
            max_calls,
            cpu_quota: Arc::default(),
            spending: Arc::default(),
            active: RwLock::new(Arc::new(version)),
        };
        self.by_id.insert(tenant.id.clone(), Arc::new(tenant));
    }
}

/// What a directory holds, as it stands there.
struct Folder {
    id: TenantId,
    manifest: ManifestText,
    /// Its own component, where it names one.
    component: Option<(PathBuf, Vec<u8>)>,
}

impl Folder {
    fn read(dir: &Path, text: &str) -> Result<Self, TenantError> {
        let wrong = |reason: String| manifest_error(dir, reason);
        let name = dir.file_name().unwrap_or_default().to_string_lossy();
        let id = TenantId::parse(&name).map_err(wrong)?;
        let manifest = ManifestText::parse(text).map_err(wrong)?;
        let component = match &manifest.component {
            None => None,
            Some(file) => {
                let path = dir.join(file);
                let bytes = fs::read(&path)
                    .map_err(|e| component_error(dir, path.clone(), format!("component: {e}")))?;
                Some((path, bytes))
            }
        };
        Ok(Self { id, manifest, component })
    }
}

/// Makes versions, compiling each component once however many tenants share it.
struct Maker<'a> {
    builder: &'a VersionBuilder,
    compiled: HashMap<Digest, Component>,
}

impl Maker<'_> {
    /// Makes what a directory says: the version, and how many calls it may have.
    fn read(&mut self, dir: &Path, text: &str) -> Result<(Version, u32), TenantError> {
        let Folder { id, manifest, component } = Folder::read(dir, text)?;
        let max_calls = manifest.max_calls.unwrap_or(self.builder.max_calls);
        let version = match component {
            None => self
                .version(&id, manifest, &self.builder.default_component)
                .map_err(|e| manifest_error(dir, e.to_string()))?,
            Some((path, bytes)) => self
                .version(&id, manifest, &bytes)
                .map_err(|e| component_error(dir, path, e.to_string()))?,
        };
        Ok((version, max_calls))
    }

    fn version(
        &mut self,
        id: &TenantId,
        manifest: ManifestText,
        component: &[u8],
    ) -> Result<Version, VetError> {
        let component = self.component(component)?;
        let mut settings = self.builder.default_settings.clone();
        settings.extend(manifest.settings);
        let settings = serde_json::Value::Object(settings).to_string();
        let (limits, http, carrier) = (Arc::new(manifest.limits), manifest.http, manifest.carrier);
        let recording = manifest.recording;
        // The debug forms name every field, so that one added later counts by itself.
        let all = format!("{} {settings} {limits:?} {http:?} {carrier:?}", component.digest());
        let name = Digest::of(all.as_bytes()).short();
        let tenant = id.clone();
        Ok(Version { tenant, name, component, settings, limits, http, carrier, recording })
    }

    fn component(&mut self, bytes: &[u8]) -> Result<Component, VetError> {
        let digest = Digest::of(bytes);
        if let Some(component) = self.compiled.get(&digest) {
            return Ok(component.clone());
        }
        let VersionBuilder { engine, limits, cache, .. } = self.builder;
        let component = match cache {
            Some(cache) => Component::load(engine, bytes, limits, cache)?,
            None => Component::vet_and_compile(engine, bytes, limits)?,
        };
        self.compiled.insert(digest, component.clone());
        Ok(component)
    }
}

const MANIFEST: &str = "tenant.toml";

fn component_error(dir: &Path, path: PathBuf, reason: String) -> TenantError {
    TenantError { path, ..manifest_error(dir, reason) }
}

fn manifest_error(dir: &Path, reason: String) -> TenantError {
    let tenant = dir.file_name().unwrap_or_default().to_string_lossy().into_owned();
    TenantError { tenant, path: dir.join(MANIFEST), reason }
}

/// The tenants' directories in the order of their names, without hidden ones (the cache is one).
fn directories(dir: &Path, errors: &mut Vec<TenantError>) -> Vec<PathBuf> {
    let entries = match fs::read_dir(dir) {
        Ok(entries) => entries,
        Err(e) => {
            let (tenant, path) = ("*".to_owned(), dir.to_owned());
            errors.push(TenantError { tenant, path, reason: e.to_string() });
            return Vec::new();
        }
    };
    let mut paths: Vec<PathBuf> = entries
        .filter_map(|entry| Some(entry.ok()?.path()))
        .filter(|path| path.is_dir())
        .filter(|path| !path.file_name().is_some_and(|it| it.to_string_lossy().starts_with('.')))
        .collect();
    paths.sort();
    paths
}
