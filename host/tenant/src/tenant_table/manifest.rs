//! What `tenant.toml` says now: the manifest on which the next version is made.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::carrier::CarrierPolicy;
use super::http::HttpPolicy;
use super::manifest_text::ManifestText;
use super::recording::RecordingTerms;
use super::{MANIFEST, MANIFEST_BYTES_MAX, TenantError, manifest_error};
use crate::limits::Limits;
use crate::plain_file;

/// A tenant's file, read afresh for a deployment.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Manifest {
    /// The component the file names, inside the tenant's folder.
    pub component: Option<PathBuf>,
    /// Whether the file has words of its own for the built-in component to go by: `settings.instructions`.
    pub has_instructions: bool,
    /// The tenant's settings, those it left out filled in: a JSON object.
    pub settings: String,
    /// What an instance may use.
    pub limits: Arc<Limits>,
    /// What its HTTP requests may reach, and the secrets they may name.
    pub http: HttpPolicy,
    /// What it may have the carrier do with its calls.
    pub carrier: CarrierPolicy,
    /// Which of its calls are recorded.
    pub recording: RecordingTerms,
}

impl Manifest {
    /// Reads the folder's `tenant.toml`. A folder without one, or no folder, leaves everything to the defaults.
    ///
    /// # Errors
    ///
    /// What is wrong with the file, with the key.
    pub fn read(
        folder: &Path,
        default_settings: &serde_json::Map<String, serde_json::Value>,
    ) -> Result<Self, TenantError> {
        let text = match plain_file::read_text(&folder.join(MANIFEST), MANIFEST_BYTES_MAX) {
            Ok(text) => text,
            Err(error) if error.kind() == io::ErrorKind::NotFound => String::new(),
            Err(error) => return Err(manifest_error(folder, error.to_string())),
        };
        let manifest =
            ManifestText::parse(&text).map_err(|reason| manifest_error(folder, reason))?;
        let has_instructions = manifest.settings.contains_key("instructions");
        let mut settings = default_settings.clone();
        settings.extend(manifest.settings);
        Ok(Self {
            component: manifest.component.map(|file| folder.join(file)),
            has_instructions,
            settings: serde_json::Value::Object(settings).to_string(),
            limits: Arc::new(manifest.limits),
            http: manifest.http,
            carrier: manifest.carrier,
            recording: manifest.recording,
        })
    }
}
