//! The components of a recording, found by their digests.

use std::collections::HashMap;
use std::fs;
use std::path::{Path, PathBuf};

use cordboard_tenant::version_store::VersionStore;
use cordboard_tenant::{
    CompileLimits, Component, Digest, Engine, EngineConfig, EngineError, Manifest, TenantId,
    VetError,
};

use crate::gateway::DEFAULT_TENANT;

/// Where components come from: one that was given, the version stores below a tenants directory, and the built-in tenant.
pub struct Components {
    engine: Engine,
    tenants_dir: Option<PathBuf>,
    given: Option<Component>,
    ready: HashMap<Digest, Component>,
}

/// A component can not be had.
#[derive(Debug, thiserror::Error)]
pub enum NoComponent {
    /// Nobody has one of this digest.
    #[error(
        "the component {digest} that answered this call is not in the store of tenant `{tenant}` in {dir}: \
         give it with --component, or name the tenants directory with --tenants-dir"
    )]
    Missing {
        /// Its digest.
        digest: Digest,
        /// Whose it was.
        tenant: String,
        /// Where it was looked for.
        dir: String,
    },
    /// What was found is no tenant any more.
    #[error("the component {digest} does not compile with this gateway: {error}")]
    Unusable {
        /// Its digest.
        digest: Digest,
        /// Why.
        error: VetError,
    },
    /// A file can not be read.
    #[error("{}: {error}", .path.display())]
    File {
        /// Which.
        path: PathBuf,
        /// Why.
        error: std::io::Error,
    },
}

impl Components {
    /// Starts an engine for replays.
    ///
    /// # Errors
    /// The machine has no room for one.
    pub fn new(tenants_dir: Option<PathBuf>) -> Result<Self, EngineError> {
        let engine = Engine::new(&EngineConfig { instances_max: 8 })?;
        Ok(Self { engine, tenants_dir, given: None, ready: HashMap::new() })
    }

    /// Adds a component from a file.
    ///
    /// # Errors
    /// It is not there, or no tenant.
    pub fn add(&mut self, path: &Path) -> Result<Component, NoComponent> {
        let bytes =
            fs::read(path).map_err(|error| NoComponent::File { path: path.to_owned(), error })?;
        let component = self.compile(&bytes)?;
        self.given = Some(component.clone());
        Ok(component)
    }

    /// The component of this digest.
    ///
    /// # Errors
    /// See [`NoComponent`].
    pub fn find(&mut self, tenant: &str, digest: &Digest) -> Result<Component, NoComponent> {
        if let Some(component) = self.given.as_ref().filter(|it| it.digest() == digest) {
            return Ok(component.clone());
        }
        if let Some(component) = self.ready.get(digest) {
            return Ok(component.clone());
        }
        let dir = self.tenants_dir.as_ref();
        // The name comes out of a file, and may be no tenant's.
        let folder = TenantId::parse(tenant).ok().zip(dir).map(|(id, dir)| dir.join(id.as_str()));
        let found = folder.and_then(|folder| in_folder(&folder, digest));
        let built_in = || (Digest::of(DEFAULT_TENANT) == *digest).then(|| DEFAULT_TENANT.to_vec());
        let bytes = found.or_else(built_in).ok_or_else(|| NoComponent::Missing {
            digest: *digest,
            tenant: tenant.to_owned(),
            dir: dir.map_or("no directory".to_owned(), |dir| dir.display().to_string()),
        })?;
        let component = self.compile(&bytes)?;
        self.ready.insert(*digest, component.clone());
        Ok(component)
    }

    fn compile(&self, bytes: &[u8]) -> Result<Component, NoComponent> {
        Component::vet_and_compile(&self.engine, bytes, &CompileLimits::default())
            .map_err(|error| NoComponent::Unusable { digest: Digest::of(bytes), error })
    }
}

/// A tenant's component of this digest: on its store, or the file its `tenant.toml` names.
fn in_folder(folder: &Path, digest: &Digest) -> Option<Vec<u8>> {
    let store = folder.is_dir().then(|| VersionStore::open(folder).ok()).flatten();
    let stored = store.and_then(|store| {
        let releases = store.releases();
        let entry = releases.entries().iter().find(|entry| entry.component == *digest)?;
        store.load(entry.name).ok().map(|stored| stored.component)
    });
    stored.or_else(|| {
        let named = Manifest::read(folder, &serde_json::Map::new()).ok()?.component?;
        fs::read(named).ok().filter(|bytes| Digest::of(bytes) == *digest)
    })
}
