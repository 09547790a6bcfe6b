//! All ports of a gateway: HTTP/1.1 with a limit on whatever a peer can take up.
//!
//! **One rule: a peer gets what it asks for soon, or is let go, and no crowd keeps out those who can
//! prove themselves.** Everybody on the internet can open a connection here before any signature is
//! checked. A connection that has become the stream of a call is no more of this module's business.

use std::convert::Infallible;
use std::net::IpAddr;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use axum::Router;
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::Response;
use hyper::Request;
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::{Service as _, service_fn};
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::service::TowerToHyperService;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::oneshot;
use tokio::time::{Instant, sleep};
use tracing::{debug, warn};

use super::impatient::Impatient;
use super::places::{Bounds, Id, Peer, Places};
use super::proxies::Proxies;
use crate::logging::OUTSIDE;
use crate::metrics::Kind;

/// The pause after the system refused us a socket: it has too many open, and more attempts cost CPU.
const BREATH: Duration = Duration::from_millis(50);

/// Bytes of a request's line and headers, and of what is read ahead of a handler. The carrier's
/// requests have about 2 KiB of headers.
const READ_AHEAD_BYTES_MAX: usize = 64 * 1024;

/// What a peer may take up, of a port and of time. No limit applies to the stream of a call.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Limits {
    /// How many connections there may be.
    pub(crate) places: Bounds,
    /// For a request's line and headers, and for the next request on an idle connection.
    pub(crate) headers_within: Duration,
    /// For taking a byte of an answer, when one waits to be taken.
    pub(crate) write_within: Duration,
    /// The first answer on a connection of this age is its last.
    pub(crate) last_answer_after: Duration,
    /// A connection of this age is closed, whatever it is doing.
    pub(crate) closed_after: Duration,
}

impl Limits {
    /// Of the port the carrier calls.
    pub(crate) fn public(calls_max: usize) -> Self {
        // All calls may begin at once, each with a webhook and a stream, and some peers just look.
        let both = calls_max.saturating_mul(2).saturating_add(64);
        // A look at each is taken whenever one comes, so not more than that takes no time.
        let unproven_max = both.min(4096);
        Self {
            places: Bounds { unproven_max, per_peer_max: unproven_max / 2, proven_max: both },
            last_answer_after: Duration::from_secs(2 * 60),
            // A handler here takes seconds.
            closed_after: Duration::from_secs(3 * 60),
            ..Self::admin()
        }
    }

    /// Of the operators' port.
    pub(crate) fn admin() -> Self {
        Self {
            places: Bounds { unproven_max: 64, per_peer_max: 32, proven_max: 64 },
            headers_within: Duration::from_secs(10),
            write_within: Duration::from_secs(10),
            last_answer_after: Duration::from_secs(10 * 60),
            // An upload and a compilation that waits for its turn take minutes.
            closed_after: Duration::from_secs(40 * 60),
        }
    }

    /// Of the metrics' own port: two scrapers and a person with a browser need fewer places.
    pub(crate) fn metrics() -> Self {
        let places = Bounds { unproven_max: 16, per_peer_max: 8, proven_max: 0 };
        Self { places, closed_after: Duration::from_secs(11 * 60), ..Self::admin() }
    }
}

/// What all connections of a port share.
pub(crate) struct Port {
    router: Router,
    limits: Limits,
    proxies: Proxies,
    /// A lock, since connections are tasks of their own; it is held for a look at the list.
    places: Mutex<Places<oneshot::Sender<()>>>,
    refused: Family<Kind, Counter>,
}

impl Port {
    /// Serves these routes within these limits, and counts in `refused` whom it lets go.
    pub(crate) fn new(
        router: Router,
        limits: Limits,
        proxies: Proxies,
        refused: Family<Kind, Counter>,
    ) -> Self {
        let places = Mutex::new(Places::new(limits.places));
        Self { router, limits, proxies, places, refused }
    }

    /// Serves until dropped.
    pub(crate) async fn serve(self, listener: TcpListener) {
        let port = Arc::new(self);
        loop {
            match listener.accept().await {
                Ok((socket, peer)) => {
                    drop(tokio::spawn(connection(Arc::clone(&port), socket, peer.ip())));
                }
                Err(error) => {
                    warn!(target: OUTSIDE, %error, "a connection could not be accepted");
                    sleep(BREATH).await;
                }
            }
        }
    }

    fn places<T>(&self, change: impl FnOnce(&mut Places<oneshot::Sender<()>>) -> T) -> T {
        change(&mut self.places.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// Tells a connection that another needs its place.
    fn close(&self, crowded_out: Option<oneshot::Sender<()>>) {
        if let Some(close) = crowded_out {
            self.let_go("connection-crowded-out");
            warn!(target: OUTSIDE, "a connection was closed, since there are too many");
            // It is gone already otherwise.
            let _ = close.send(());
        }
    }

    fn let_go(&self, kind: &'static str) {
        self.refused.get_or_create(&Kind { kind }).inc();
    }
}

/// A request's connection, for whoever finds that its signature or token is right.
#[derive(Clone)]
pub(crate) struct Connection {
    port: Arc<Port>,
    id: Id,
    proxied: bool,
}

impl Connection {
    /// Gives it one of the places that are kept for those who prove themselves.
    pub(crate) fn proven(&self) {
        self.port.close(self.port.places(|places| places.prove(self.id)));
    }

    fn begin(&self, request: &mut Request<Incoming>) {
        if self.proxied {
            self.pass_on(self.port.proxies.client(request.headers()));
        }
        request.extensions_mut().insert(self.clone());
    }

    fn end(&self) {
        if self.proxied {
            self.pass_on(None);
        }
    }

    fn pass_on(&self, client: Option<IpAddr>) {
        let peer = client.map(Peer::from);
        self.port.close(self.port.places(|places| places.pass_on(self.id, peer)));
    }
}

/// A connection's place, given up when it is dropped.
struct Place(Connection);

impl Drop for Place {
    fn drop(&mut self) {
        self.0.port.places(|places| places.leave(self.0.id));
    }
}

async fn connection(port: Arc<Port>, socket: TcpStream, peer: IpAddr) {
    let limits = port.limits;
    let proxied = port.proxies.trusts(peer);
    let (close, crowded_out) = oneshot::channel();
    let share = (!proxied).then(|| Peer::from(peer));
    let (id, other) = port.places(|places| places.enter(share, close));
    port.close(other);
    let place = Place(Connection { port: Arc::clone(&port), id, proxied });
    // Without Nagle's algorithm: frames are small, and its 40 ms are two of them.
    if let Err(error) = socket.set_nodelay(true) {
        // The peer is gone already; the next read says so.
        debug!(%error, "TCP_NODELAY refused");
    }
    let (socket, patience) = Impatient::new(socket, limits.write_within);
    let last = Instant::now() + limits.last_answer_after;
    let handlers = TowerToHyperService::new(port.router.clone());
    let connection = place.0.clone();
    let answer = service_fn(move |mut request: Request<Incoming>| {
        connection.begin(&mut request);
        let (connection, answer) = (connection.clone(), handlers.call(request));
        async move {
            let mut answer = answer.await?;
            connection.end();
            if Instant::now() >= last {
                say_last(&mut answer);
            }
            Ok::<_, Infallible>(answer)
        }
    });
    let served = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(limits.headers_within)
        .max_buf_size(READ_AHEAD_BYTES_MAX)
        .serve_connection(TokioIo::new(socket), answer)
        .with_upgrades();
    tokio::select! {
        served = served => match served {
            // It is closed, or a stream from now on.
            Ok(()) => patience.forever(),
            Err(error) => debug!(%error, "a connection ended early"),
        },
        // Nobody else holds the sender, so an error means the same.
        _ = crowded_out => debug!("a connection made room for another"),
        () = sleep(limits.closed_after) => port.let_go("connection-too-long"),
    }
}

/// Has an answer be the last on its connection. One that begins a stream is the last anyway.
fn say_last(answer: &mut Response) {
    if answer.status() != StatusCode::SWITCHING_PROTOCOLS {
        answer.headers_mut().insert(header::CONNECTION, HeaderValue::from_static("close"));
    }
}

#[cfg(test)]
mod tests;
