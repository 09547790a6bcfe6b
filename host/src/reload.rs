//! Reads the configuration again while calls run.
//!
//! **One rule: all of it or nothing, and no call notices.** A configuration with a mistake in it changes
//! nothing. What is exchanged is for whoever asks next: a call keeps the model's session and the version it
//! has. What can not change without a restart is named and left.

use std::io;
use std::sync::{Arc, mpsc};

use anyhow::Context as _;
use tokio::runtime::Handle;
use tracing::{error, info, warn};

use crate::admin::{Admin, Folders};
use crate::config::{Config, Problems};
use crate::gateway::Gateway;
use crate::logging::Logging;
use crate::net::tls;

/// Reads the configuration as the process did at its start, command line included.
pub(crate) type Load = Box<dyn Fn() -> Result<Config, Problems> + Send>;

/// What a reload touches.
pub(crate) struct Reload {
    /// Whose settings are exchanged.
    pub(crate) gateway: Arc<Gateway>,
    /// The admin API, where it is served.
    pub(crate) admin: Option<Arc<Admin>>,
    /// The tenants' folders; none where they are watched anyway.
    pub(crate) folders: Option<Folders>,
    /// Whose filter is exchanged.
    pub(crate) log: &'static Logging,
    /// Where the new settings come from.
    pub(crate) load: Load,
}

impl Reload {
    /// Reloads whenever `asked`, on a thread of its own: files may hang, and tenants compile.
    ///
    /// # Errors
    /// The system has no thread to give.
    pub(crate) fn start(mut self, asked: mpsc::Receiver<()>) -> io::Result<()> {
        let calls = Handle::current();
        let work = move || {
            while asked.recv().is_ok() {
                self.configuration();
                if let Some(folders) = &mut self.folders {
                    calls.block_on(folders.deploy_changed(&self.gateway));
                }
            }
        };
        std::thread::Builder::new().name("reload".to_owned()).spawn(work).map(drop)
    }

    fn configuration(&self) {
        let config = match (self.load)() {
            Ok(config) => config,
            Err(problems) => {
                return error!(%problems, "the configuration is wrong; nothing is changed");
            }
        };
        for warning in &config.warnings {
            warn!("{warning}");
        }
        let fixed = self.gateway.config.needs_restart_for(&config);
        // After the roots: whoever connects anew does so with these.
        tls::read_roots_again();
        if let Err(error) = self.gateway.renew(&config) {
            return error!(error = format!("{error:#}"), "the configuration is not taken");
        }
        if let Some(admin) = &self.admin {
            admin.renew(&config.admin.tokens);
        }
        self.log.set_filter(&config.log);
        let secrets = config.secrets.len();
        info!(log = config.log, secrets, "the configuration was read again");
        if !fixed.is_empty() {
            let settings = fixed.join(", ");
            warn!(settings, "changed, and in force only after a restart");
        }
    }
}

impl Gateway {
    /// Takes what may change while calls run: secrets, keys, the model and the carrier's account.
    ///
    /// # Errors
    /// Serving needs a setting that is missing now, or a client can not be built; nothing is changed.
    fn renew(&self, config: &Config) -> anyhow::Result<()> {
        let keys = Self::signing_keys(&config.trust()?);
        let rest = Self::rest_of(config)?;
        let http = Self::http_of(config).context("no client for tenants' requests")?;
        // Whether signatures are checked at all is fixed: a slip in a file must not open the door.
        if self.config.carrier.check_signatures && keys.is_some() {
            self.signing_keys.renew(keys);
        }
        self.rest.renew(rest);
        self.http.renew(http);
        self.model.renew(config.model.clone());
        Ok(())
    }
}
