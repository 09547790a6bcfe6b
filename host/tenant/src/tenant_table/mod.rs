//! Which tenant answers which number, with which component, settings and limits.
//!
//! **One rule: a number is answered by the tenant that claims it, or by nobody.** A tenant that can not answer
//! keeps its numbers. What no tenant claims goes to the tenant `default` where the operator made one, or where
//! there are no tenants at all.
//!
//! A [`Version`] never changes once made. A call takes a [`CallSlot`] and keeps the version it found there until
//! it ends, whatever becomes the active one meanwhile.

mod carrier;
mod http;
mod manifest;
mod manifest_text;
mod recording;

use std::borrow::Cow;
use std::collections::hash_map::Entry;
use std::collections::{BTreeMap, HashMap};
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
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
use crate::plain_file;
use crate::spending::Spending;
use crate::version_store::limits::COMPONENT_BYTES_MAX;
use crate::version_store::{self, Digest};
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
    /// What its folder names, or why that can not answer.
    named: Result<Arc<Version>, String>,
    /// Whether its folder names a component, and not only settings for the built-in one.
    has_own_component: bool,
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
    /// Its instances hold as much memory together as they may.
    #[error(
        "tenant `{tenant}` holds the {allowed} bytes of memory it may have: make it smaller, or raise \
         `limits.memory_mib_all_calls`"
    )]
    OutOfMemory {
        /// Which tenant.
        tenant: TenantId,
        /// What they may hold together, in bytes.
        allowed: usize,
    },
    /// The instances of all tenants hold as much memory together as they may.
    #[error("the tenants hold all the memory there is for them: see `calls.memory_mib`")]
    HostOutOfMemory,
    /// Its instances have used more CPU time than is theirs, in three of the last thirty seconds.
    #[error(
        "tenant `{tenant}` uses more CPU time than its share: make it cheaper, or raise `limits.cpu_ms_per_call_second`"
    )]
    ThrottledOut {
        /// Which tenant.
        tenant: TenantId,
    },
    /// None of its versions can answer, or all were taken back.
    #[error("tenant `{tenant}` is out of service")]
    OutOfService {
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
    /// A tenant whose folder can not be used, with the reason.
    fn without_folder(id: TenantId, max_calls: u32, reason: String) -> Self {
        Self::new(id, max_calls, Err(reason), true)
    }

    fn new(
        id: TenantId,
        max_calls: u32,
        named: Result<Arc<Version>, String>,
        has_own_component: bool,
    ) -> Self {
        let (cpu_quota, spending) = (Arc::default(), Arc::default());
        Self { id, max_calls, cpu_quota, spending, named, has_own_component }
    }

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

    /// The version that its folder named when the host started: it answers until something is deployed.
    ///
    /// # Errors
    ///
    /// What is wrong with the folder, with the file.
    pub fn named(&self) -> Result<&Arc<Version>, &str> {
        self.named.as_ref().map_err(String::as_str)
    }

    /// Whether its folder names a component, and not only settings for the built-in one.
    pub(crate) fn has_own_component(&self) -> bool {
        self.has_own_component
    }

    /// Takes a place for one call that this version of the tenant is to answer.
    ///
    /// # Errors
    ///
    /// [`NoCapacity`]: why the tenant gets no other call now.
    pub fn admit(self: &Arc<Self>, version: Arc<Version>) -> Result<CallSlot, NoCapacity> {
        let tenant = || self.id.clone();
        if self.cpu_quota.is_throttled_out(Instant::now()) {
            return Err(NoCapacity::ThrottledOut { tenant: tenant() });
        }
        // What one instance began with before; the first of a component is let in on trust.
        let needed = version.component.start_bytes();
        let (memory, of_host) = (self.cpu_quota.memory(), version.component.engine().memory());
        // Of whichever version answers now: a later one may be allowed more or less.
        memory.bound(version.limits.memory_bytes_all_calls.unwrap_or(of_host.max() / 2));
        if !memory.has_room(needed) {
            return Err(NoCapacity::OutOfMemory { tenant: tenant(), allowed: memory.max() });
        }
        if !of_host.has_room(needed) {
            return Err(NoCapacity::HostOutOfMemory);
        }
        if !self.cpu_quota.enter(self.max_calls) {
            return Err(NoCapacity::AtCapacity { tenant: tenant(), max_calls: self.max_calls });
        }
        Ok(CallSlot { version, tenant: Arc::clone(self) })
    }
}

/// A tenant directory that could not be used. The other tenants are not touched by it.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("tenant `{tenant}`: {path}: {reason}", path = path.display())]
pub struct TenantError {
    /// The directory's name.
    pub tenant: String,
    /// The file at fault.
    pub path: PathBuf,
    /// What is wrong with it, with the key where there is one.
    pub reason: String,
}

impl TenantError {
    /// What is wrong, for where the tenant is named already.
    pub(crate) fn without_name(&self) -> String {
        format!("{}: {}", self.path.display(), self.reason)
    }
}

/// All tenants of this host.
#[derive(Debug)]
pub struct TenantTable {
    by_id: BTreeMap<TenantId, Arc<Tenant>>,
    /// Whose directory claims a number; a tenant that could not be used keeps its numbers.
    by_number: HashMap<String, String>,
    /// Whether the tenant `default` answers what nobody claims.
    has_catch_all: bool,
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
    /// Reads every `<dir>/<id>/tenant.toml`. Where there is no tenant there is one, `default`, which answers
    /// every number with the built-in component. The folder `<dir>/default` is the operator's own `default`.
    ///
    /// What is wrong with a directory is reported, and its tenant has nothing to answer with from there; nobody
    /// else answers the numbers it claims. Blocks while components compile.
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
        let (mut claims, mut errors) = (Claims::default(), Vec::new());
        let directories = dir.map(|dir| directories(dir, &mut errors)).unwrap_or_default();
        let mut by_id = BTreeMap::new();
        let mut insert = |tenant: Tenant| by_id.insert(tenant.id.clone(), Arc::new(tenant));
        for dir in directories {
            let folder = claims.manifest(&dir).and_then(|text| Folder::read(&dir, &text));
            match folder.and_then(|folder| maker.tenant(&dir, folder)) {
                Ok(tenant) => drop(insert(tenant)),
                Err(error) => {
                    let id = TenantId::parse(&error.tenant).ok();
                    if let Some(id) = id.filter(|_| is_tenant(&dir)) {
                        insert(Tenant::without_folder(id, builder.max_calls, error.without_name()));
                    }
                    errors.push(error);
                }
            }
        }
        let default = TenantId::default_tenant();
        if by_id.is_empty() && claims.folders == 0 {
            let folder = Folder::empty(default.clone());
            by_id.insert(default.clone(), Arc::new(maker.vetted(folder)?));
        }
        let has_catch_all = by_id.contains_key(&default) && claims.lost.is_empty();
        for dir in claims.lost {
            let reason = "as long as nobody knows which numbers are its own, those that no tenant claims \
                          are answered by nobody: put the file right, or move the folder away";
            errors.push(manifest_error(&dir, reason.to_owned()));
        }
        Ok((Self { by_id, by_number: claims.by_number, has_catch_all }, errors))
    }

    /// Looks at every tenant as [`TenantTable::open`] does, but compiles nothing: which could answer with what
    /// its folder names, as far as can be seen without, and what is wrong with the others.
    pub(crate) fn survey(dir: &Path, limits: &CompileLimits) -> (Vec<Seen>, Vec<TenantError>) {
        let (mut claims, mut seen, mut errors) = (Claims::default(), Vec::new(), Vec::new());
        for dir in directories(dir, &mut errors) {
            let folder = claims.manifest(&dir).and_then(|text| Folder::read(&dir, &text));
            let named = folder.and_then(|Folder { component, .. }| match component {
                None => Ok(Named::BuiltIn),
                Some((path, bytes)) => vet::vet(&bytes, limits)
                    .map(|()| Named::Own)
                    .map_err(|e| component_error(&dir, path, e.to_string())),
            });
            let name = dir.file_name().unwrap_or_default().to_string_lossy();
            match (TenantId::parse(&name), named) {
                (Ok(id), named) if is_tenant(&dir) => seen.push(Seen { id, named }),
                (_, Err(error)) => errors.push(error),
                (_, Ok(_)) => {}
            }
        }
        (seen, errors)
    }

    /// The tenant of this name.
    pub fn tenant(&self, id: &str) -> Option<&Arc<Tenant>> {
        self.by_id.get(id)
    }

    /// The tenant that answers a called number (E.164, as the carrier gives it): the one that claims it, else
    /// `default`, where the operator made one or there is no other.
    ///
    /// None when nobody answers it. The tenant need not be in service: its callers are nobody else's.
    pub fn for_number(&self, number: &str) -> Option<&Arc<Tenant>> {
        match self.by_number.get(number) {
            Some(owner) => self.by_id.get(owner.as_str()),
            None if self.has_catch_all => self.by_id.get(&TenantId::default_tenant()),
            None => None,
        }
    }

    /// All tenants, by name.
    pub fn iter(&self) -> impl Iterator<Item = &Arc<Tenant>> {
        self.by_id.values()
    }
}

/// A tenant as it is seen without compiling.
pub(crate) struct Seen {
    pub(crate) id: TenantId,
    /// What its folder names, as far as it is sound.
    pub(crate) named: Result<Named, TenantError>,
}

/// Which component a folder names.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Named {
    /// One of the tenant's own.
    Own,
    /// None, which leaves the built-in one.
    BuiltIn,
}

/// Whether a directory is a tenant's, however broken, and no stray one.
fn is_tenant(dir: &Path) -> bool {
    dir.join(MANIFEST).symlink_metadata().is_ok() || version_store::has_versions(dir)
}

/// Whose numbers are whose, while the directories are read.
#[derive(Default)]
struct Claims {
    by_number: HashMap<String, String>,
    /// Directories of tenants.
    folders: usize,
    /// Those of them whose numbers nobody knows.
    lost: Vec<PathBuf>,
}

impl Claims {
    /// Reads a directory's manifest and gives the directory its numbers, first of all: whatever else is wrong with
    /// it, these are its callers.
    fn manifest(&mut self, dir: &Path) -> Result<String, TenantError> {
        let is_tenant = is_tenant(dir);
        self.folders += usize::from(is_tenant);
        match plain_file::read_text(&dir.join(MANIFEST), MANIFEST_BYTES_MAX) {
            Ok(text) => {
                let numbers = manifest_text::numbers(&text);
                if numbers.is_empty() && !manifest_text::is_toml(&text) {
                    self.lost.push(dir.to_owned());
                }
                self.claim(dir, numbers)?;
                Ok(text)
            }
            // Something was deployed for it before anybody wrote a file: it answers what nobody claims.
            Err(error)
                if error.kind() == io::ErrorKind::NotFound && is_tenant && is_default(dir) =>
            {
                Ok(String::new())
            }
            Err(error) => {
                if is_tenant {
                    self.lost.push(dir.to_owned());
                }
                Err(manifest_error(dir, error.to_string()))
            }
        }
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
}

fn is_default(dir: &Path) -> bool {
    dir.file_name().is_some_and(|name| name == TenantId::default_tenant().as_str())
}

/// What a directory holds, as it stands there.
struct Folder {
    id: TenantId,
    manifest: ManifestText,
    /// Its own component, where it names one.
    component: Option<(PathBuf, Vec<u8>)>,
}

impl Folder {
    fn empty(id: TenantId) -> Self {
        Self { id, manifest: ManifestText::default(), component: None }
    }

    fn read(dir: &Path, text: &str) -> Result<Self, TenantError> {
        let wrong = |reason: String| manifest_error(dir, reason);
        let name = dir.file_name().unwrap_or_default().to_string_lossy();
        let id = TenantId::parse(&name).map_err(wrong)?;
        let manifest = ManifestText::parse(text).map_err(wrong)?;
        let component = match &manifest.component {
            None => None,
            Some(file) => {
                let path = dir.join(file);
                let bytes = plain_file::read(&path, COMPONENT_BYTES_MAX)
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
    /// Makes the tenant that a directory describes.
    fn tenant(&mut self, dir: &Path, folder: Folder) -> Result<Tenant, TenantError> {
        let path = folder.component.as_ref().map(|(path, _)| path.clone());
        self.vetted(folder).map_err(|error| match path {
            Some(path) => component_error(dir, path, error.to_string()),
            None => manifest_error(dir, error.to_string()),
        })
    }

    fn vetted(&mut self, folder: Folder) -> Result<Tenant, VetError> {
        let Folder { id, manifest, component } = folder;
        let max_calls = manifest.max_calls.unwrap_or(self.builder.max_calls);
        let version = match &component {
            Some((_, bytes)) => self.version(&id, manifest, bytes)?,
            None => self.version(&id, manifest, &self.builder.default_component)?,
        };
        Ok(Tenant::new(id, max_calls, Ok(Arc::new(version)), component.is_some()))
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

/// Bytes of a `tenant.toml`: settings are at most 64 KiB, and the rest is a page.
const MANIFEST_BYTES_MAX: usize = 1024 * 1024;

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
