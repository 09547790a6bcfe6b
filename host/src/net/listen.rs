//! The port the carrier calls: HTTP/1.1 with deadlines, over no more sockets than calls can need.
//!
//! **One rule: a peer that has not said what it wants within seconds is let go.** Everybody on the
//! internet can open a connection here before any signature is checked.

use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use hyper::server::conn::http1;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::service::TowerToHyperService;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tracing::{debug, warn};

use crate::logging::OUTSIDE;

/// For a request's line and headers, and for the next request on an idle connection.
const HEADERS_WITHIN: Duration = Duration::from_secs(10);

/// The pause after the system refused us a socket: it has too many open, and more attempts cost CPU.
const BREATH: Duration = Duration::from_millis(50);

/// Serves until dropped. A connection that became a stream of a call no longer counts.
pub(crate) async fn serve(listener: TcpListener, router: Router, connections_max: usize) {
    let places = Arc::new(Semaphore::new(connections_max));
    loop {
        let place = Arc::clone(&places).acquire_owned().await.expect("nobody closes the semaphore");
        match listener.accept().await {
            Ok((socket, _)) => drop(tokio::spawn(connection(socket, router.clone(), place))),
            Err(error) => {
                warn!(target: OUTSIDE, %error, "a connection could not be accepted");
                tokio::time::sleep(BREATH).await;
            }
        }
    }
}

async fn connection(socket: TcpStream, router: Router, _place: OwnedSemaphorePermit) {
    // Without Nagle's algorithm: frames are small, and its 40 ms are two of them.
    if let Err(error) = socket.set_nodelay(true) {
        // The peer is gone already; the next read says so.
        debug!(%error, "TCP_NODELAY refused");
    }
    let served = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(HEADERS_WITHIN)
        .serve_connection(TokioIo::new(socket), TowerToHyperService::new(router))
        .with_upgrades()
        .await;
    if let Err(error) = served {
        debug!(%error, "a connection ended early");
    }
}
