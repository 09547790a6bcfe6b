//! The gateway as a process: open the port, answer, drain, go.

use std::sync::{Arc, mpsc};
use std::time::Duration;

use anyhow::Context as _;
use axum::Router;
use axum::extract::State;
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use tokio::net::TcpListener;
use tokio::task::JoinSet;
use tracing::{info, warn};

use crate::admin::{self, Admin, Folders};
use crate::config::Config;
use crate::gateway::Gateway;
use crate::logging::Logging;
use crate::metrics::OPENMETRICS;
use crate::net::listen::{Limits, Port};
use crate::reload::{Load, Reload};
use crate::signals;
use crate::webhook;

/// How often promises whose stream never came are dropped.
const SWEEP_EVERY: Duration = Duration::from_secs(5);

/// Whether changed files of tenants are deployed as they change.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Watch {
    /// They are deployed by command.
    No,
    /// For a tenant's author: what was saved is heard in the next sentence.
    Yes,
}

/// What the process brings to a gateway beside its configuration.
pub(crate) struct Process {
    /// Whether tenants' files are watched.
    pub(crate) watch: Watch,
    /// The log, whose file is opened again by SIGHUP.
    pub(crate) log: &'static Logging,
    /// Reads the configuration again.
    pub(crate) load: Load,
}

/// Answers calls until SIGTERM or SIGINT, then drains. SIGHUP reads the configuration again.
///
/// # Errors
/// Whatever keeps the gateway from starting, in words an operator can act on.
pub(crate) async fn serve(config: Config, process: Process) -> anyhow::Result<()> {
    let Process { watch, log, load } = process;
    // One reload waits while another is under way; it will read what a third would.
    let (reload, asked) = mpsc::sync_channel(1);
    let on_hangup = move || {
        log.reopen();
        // Full: see above.
        let _ = reload.try_send(());
    };
    let mut stops = signals::listen(log, config.calls.drain_deadline, on_hangup)
        .context("can not listen to signals")?;
    for warning in &config.warnings {
        warn!("{warning}");
    }
    let gateway = tokio::select! {
        opened = Gateway::open(config) => opened?,
        () = stops.told(1) => return Ok(()),
    };
    let listen = gateway.config.listen;
    let listener = TcpListener::bind(listen).await.with_context(|| {
        format!("can not listen on {listen}: is another program there? (PORT, listen)")
    })?;
    info!(
        listen = %listener.local_addr().unwrap_or(listen),
        public_url = gateway.origin.as_ref().map(|origin| origin.http("")),
        tenants = gateway.tenants.deployments().count(),
        model = gateway.model.now().model,
        "answering calls"
    );
    let mut beside = JoinSet::new();
    let mut administered = None;
    if gateway.config.admin.tokens.is_empty() {
        info!("the admin API is off: set CORDBOARD_ADMIN_TOKEN to deploy while calls run");
    } else {
        let admin = Admin::open(Arc::clone(&gateway))?;
        let listen = gateway.config.admin.listen;
        let listener = TcpListener::bind(listen).await.with_context(|| {
            format!("the admin API can not listen on {listen}: is another program there? (CORDBOARD_ADMIN_LISTEN)")
        })?;
        info!(listen = %listener.local_addr().unwrap_or(listen), "serving the admin API");
        administered = Some(Arc::clone(&admin));
        let port = port(&gateway, admin.router(), Limits::admin());
        beside.spawn(port.serve(listener));
    }
    if let Some(listen) = gateway.config.metrics_listen {
        let listener = TcpListener::bind(listen).await.with_context(|| {
            format!(
                "the metrics can not listen on {listen}: is another program there? \
                 (CORDBOARD_METRICS_LISTEN)"
            )
        })?;
        info!(listen = %listener.local_addr().unwrap_or(listen), "serving /metrics");
        let pages = metrics_router(Arc::clone(&gateway));
        beside.spawn(port(&gateway, pages, Limits::metrics()).serve(listener));
    }
    if watch == Watch::Yes {
        info!(dir = %gateway.config.tenants_dir.display(), "watching the tenants' files");
        beside.spawn(admin::watch(Arc::clone(&gateway)));
    }
    // Those that are watched are deployed without being told.
    let folders = (watch == Watch::No).then(|| Folders::look(&gateway));
    let reload = Reload { gateway: Arc::clone(&gateway), admin: administered, folders, log, load };
    reload.start(asked).context("no thread for reading the configuration again")?;
    let (drained, recorded) = (Arc::clone(&gateway), Arc::clone(&gateway));
    run(gateway, listener, async move {
        stops.told(1).await;
        let deadline = drained.config.calls.drain_deadline;
        info!(calls = drained.calls.len(), ?deadline, "draining: no new calls");
        tokio::select! {
            () = drained.drain(deadline) => info!("all calls are over"),
            () = stops.told(2) => warn!(calls = drained.calls.len(), "told twice: leaving calls behind"),
        }
    })
    .await;
    // Blocks this thread for the last round; nothing else is left to do.
    recorded.recorder.close();
    Ok(())
}

/// Serves on an open listener until `stop` is ready.
pub async fn run(
    gateway: Arc<Gateway>,
    listener: TcpListener,
    stop: impl Future<Output = ()> + Send + 'static,
) {
    let sweeper = tokio::spawn(sweep(Arc::clone(&gateway)));
    let limits = Limits::public(gateway.config.calls.max);
    let port = port(&gateway, router(Arc::clone(&gateway)), limits);
    tokio::select! {
        () = port.serve(listener) => {}
        () = stop => {}
    };
    sweeper.abort();
}

fn port(gateway: &Gateway, router: Router, limits: Limits) -> Port {
    Port::new(router, limits, gateway.config.proxies.clone(), gateway.metrics.refused.clone())
}

/// All routes of one gateway's public port. None says anything about tenants without a signature.
pub fn router(gateway: Arc<Gateway>) -> Router {
    Router::new()
        .route("/health", get(|| async { "ok\n" }))
        .route("/ready", get(ready))
        .merge(webhook::routes())
        .with_state(gateway)
}

/// The pages of the metrics' own port, which name tenants. Whoever reaches that port may read them.
fn metrics_router(gateway: Arc<Gateway>) -> Router {
    let page = |State(gateway): State<Arc<Gateway>>| async move {
        ([(header::CONTENT_TYPE, OPENMETRICS)], gateway.metrics_text())
    };
    Router::new()
        .route("/metrics", get(page))
        .route("/ready", get(ready_with_names))
        .with_state(gateway)
}

async fn ready(State(gateway): State<Arc<Gateway>>) -> Response {
    let (status, mut text, troubles) = readiness(&gateway);
    if troubles > 0 {
        // Not which: that is for those who may know the tenants' names.
        text = format!(
            "{text}{troubles} of the tenants in trouble; /ready beside /metrics says which\n"
        );
    }
    (status, text).into_response()
}

async fn ready_with_names(State(gateway): State<Arc<Gateway>>) -> Response {
    let (status, mut text, _) = readiness(&gateway);
    for deployment in gateway.tenants.deployments() {
        let tenant = deployment.id();
        let state = deployment.status();
        text += &match (state.active, state.trouble) {
            (Some(_), None) => continue,
            (Some(version), Some(trouble)) => {
                format!("{tenant}: {version} answers in its place: {trouble}\n")
            }
            (None, trouble) => {
                format!("{tenant}: out of service: {}\n", trouble.unwrap_or_default())
            }
        };
    }
    (status, text).into_response()
}

/// Whether calls are answered here, and how many tenants have something else answer than what is to, or
/// nothing. One tenant's trouble takes no call from the others; where all are out of service nobody is answered.
fn readiness(gateway: &Gateway) -> (StatusCode, String, usize) {
    let states: Vec<_> =
        gateway.tenants.deployments().map(|deployment| deployment.status()).collect();
    let troubles = states.iter().filter(|state| state.trouble.is_some()).count();
    if gateway.admissions.is_draining() {
        return (StatusCode::SERVICE_UNAVAILABLE, "draining\n".to_owned(), troubles);
    }
    if states.iter().all(|state| state.active.is_none()) {
        let words = "no tenant is in service\n".to_owned();
        return (StatusCode::SERVICE_UNAVAILABLE, words, troubles);
    }
    (StatusCode::OK, "ready\n".to_owned(), troubles)
}

async fn sweep(gateway: Arc<Gateway>) {
    let mut every = tokio::time::interval(SWEEP_EVERY);
    loop {
        every.tick().await;
        gateway.forget_expired();
        gateway.rollouts.judge_cpu();
    }
}
