//! `serve --watch`: what an author saves is heard in the next sentence.
//!
//! **One rule: a file that is still being written is left alone.** Every second the tenants' files are looked
//! at; one that changed and is the same a second later is rehearsed and deployed, and running calls move to it. Polling, because it works on every file system there is and costs two `stat`s per tenant.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use cordboard_tenant::{Deployment, rehearse};
use serde_json::json;
use tokio::runtime::Handle;

use super::deploy::migrate_all;
use crate::gateway::Gateway;

/// What the audit log says about such a deployment.
const SAVED: &str = "its files changed";

/// How often the files are looked at.
const EVERY: Duration = Duration::from_secs(1);

/// Watches the files of all tenants, for ever.
pub async fn watch(gateway: Arc<Gateway>) {
    let deployments: Vec<Arc<Deployment>> = gateway.tenants.deployments().cloned().collect();
    let mut watched: Vec<Observed> = Vec::new();
    for deployment in deployments {
        let stored = Arc::clone(&deployment);
        // What answers now goes in the store while its file is still what answers.
        match tokio::task::spawn_blocking(move || stored.store_active()).await {
            Ok(Ok(())) => {}
            Ok(Err(error)) => tracing::warn!(tenant = %deployment.id(), %error, "not watched"),
            Err(error) => tracing::error!(tenant = %deployment.id(), %error, "not watched"),
        }
        watched.push(Observed { seen: look(&deployment), settled: true, deployment });
    }
    let mut every = tokio::time::interval(EVERY);
    loop {
        every.tick().await;
        for one in &mut watched {
            if one.has_settled() {
                deploy(&gateway, &one.deployment).await;
            }
        }
    }
}

/// The tenants' folders as they were last looked at, for a gateway that is told when to look.
pub(crate) struct Folders(Vec<Observed>);

impl Folders {
    /// Looks at all of them.
    pub(crate) fn look(gateway: &Gateway) -> Self {
        let observed = |deployment: &Arc<Deployment>| Observed {
            seen: look(deployment),
            settled: true,
            deployment: Arc::clone(deployment),
        };
        Self(gateway.tenants.deployments().map(observed).collect())
    }

    /// Deploys the tenants whose files changed since. A tenant that never deployed anything is put in the
    /// store first, and only then: its folder is what answers after a restart as long as it is not.
    pub(crate) async fn deploy_changed(&mut self, gateway: &Arc<Gateway>) {
        for one in &mut self.0 {
            let now = look(&one.deployment);
            if now == one.seen {
                continue;
            }
            one.seen = now;
            let deployment = Arc::clone(&one.deployment);
            match tokio::task::spawn_blocking(move || deployment.store_active()).await {
                Ok(Ok(())) => deploy(gateway, &one.deployment).await,
                Ok(Err(error)) => {
                    tracing::warn!(tenant = %one.deployment.id(), %error, "changed and not deployed");
                }
                Err(error) => {
                    tracing::error!(tenant = %one.deployment.id(), %error, "changed and not deployed");
                }
            }
        }
    }
}

/// When each file was last written, and its length.
type Seen = BTreeMap<PathBuf, Option<(SystemTime, u64)>>;

struct Observed {
    deployment: Arc<Deployment>,
    seen: Seen,
    settled: bool,
}

impl Observed {
    /// True once for every change, when it has been there for two looks.
    fn has_settled(&mut self) -> bool {
        let now = look(&self.deployment);
        let changed = now != self.seen;
        let just_settled = !changed && !self.settled;
        (self.seen, self.settled) = (now, !changed);
        just_settled
    }
}

fn look(deployment: &Deployment) -> Seen {
    let stat = |path: &PathBuf| {
        let about = std::fs::metadata(path).ok()?;
        Some((about.modified().ok()?, about.len()))
    };
    deployment.files().into_iter().map(|path| (path.clone(), stat(&path))).collect()
}

async fn deploy(gateway: &Arc<Gateway>, deployment: &Arc<Deployment>) {
    let noticing = Arc::clone(deployment);
    let audit = gateway.audit.clone();
    let calls = Handle::current();
    let noticed = tokio::task::spawn_blocking(move || {
        let rehearsed = |version: &_| calls.block_on(rehearse(version)).map(drop);
        let notice = || noticing.notice_folder(rehearsed);
        match audit {
            Some(audit) => {
                audit.by_the_gateway(noticing.id().as_str(), "deploy", &SAVED.into(), notice)
            }
            None => notice(),
        }
    });
    match noticed.await {
        Ok(Ok(Some(version))) => {
            let migration = migrate_all(gateway, deployment, None).await;
            let migration = json!(migration);
            tracing::info!(tenant = %deployment.id(), version = version.name, %migration, "saved and deployed");
        }
        Ok(Ok(None)) => {}
        Ok(Err(error)) => {
            tracing::warn!(tenant = %deployment.id(), %error, "saved and not deployed")
        }
        Err(error) => tracing::error!(tenant = %deployment.id(), %error, "saved and not deployed"),
    }
}
