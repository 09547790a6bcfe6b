use std::io;
use std::net::SocketAddr;

use axum::Extension;
use axum::routing::get;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::time::timeout;

use super::*;

/// Far beyond what anything here takes, and only there to end a test that fails.
const PATIENCE: Duration = Duration::from_secs(30);

const SOON: Duration = Duration::from_millis(50);

#[tokio::test]
async fn half_a_request_is_let_go_after_its_time() {
    let door = Door::open(Limits { headers_within: SOON, ..limits(8, 8) }).await;
    let mut half = door.connect().await;
    half.write_all(b"GET / HTTP/1.1\r\nHost:").await.unwrap();
    closed(&mut half).await;

    let mut idle = door.connect().await;
    assert!(asked(&mut idle, "/").await.starts_with("HTTP/1.1 200"));
    closed(&mut idle).await;
}

#[tokio::test]
async fn headers_that_drip_are_let_go_as_well() {
    let door = Door::open(Limits { headers_within: SOON, ..limits(8, 8) }).await;
    let mut slow = door.connect().await;
    slow.write_all(b"GET / HTTP/1.1\r\n").await.unwrap();

    let dripped = timeout(PATIENCE, async {
        // Each byte in time, the whole never.
        while slow.write_all(b"X").await.is_ok() {
            if timeout(SOON / 10, slow.read_u8()).await.is_ok_and(|read| read.is_err()) {
                break;
            }
        }
    });
    dripped.await.expect("it is closed while it drips");
}

#[tokio::test]
async fn whoever_asks_without_reading_is_let_go() {
    let door = Door::open(Limits { write_within: SOON, ..limits(8, 8) }).await;
    let mut deaf = door.connect().await;

    let asking = timeout(PATIENCE, async {
        while deaf.write_all(b"GET /long HTTP/1.1\r\nHost: a\r\n\r\n").await.is_ok() {}
    });
    asking.await.expect("it is closed while it asks");
}

#[tokio::test]
async fn whoever_asks_for_ever_asks_anew_after_a_time() {
    let door = Door::open(Limits { last_answer_after: SOON, ..limits(8, 8) }).await;
    let mut steady = door.connect().await;

    let asking = timeout(PATIENCE, async {
        while !asked(&mut steady, "/").await.contains("connection: close") {}
        closed(&mut steady).await;
    });
    asking.await.expect("some answer is the last one");
}

#[tokio::test]
async fn no_request_outlives_its_connection() {
    let door = Door::open(Limits { closed_after: SOON, ..limits(8, 8) }).await;
    let mut waiting = door.connect().await;
    waiting.write_all(b"GET /never HTTP/1.1\r\nHost: a\r\n\r\n").await.unwrap();
    closed(&mut waiting).await;
    assert_eq!(door.refused("connection-too-long"), 1);
}

#[tokio::test]
async fn half_requests_in_any_number_hold_no_more_than_their_places() {
    let door = Door::open(Limits::admin()).await;
    let mut strangers = Vec::new();
    for _ in 0..1500 {
        let mut stranger = door.connect().await;
        // An early one may have made room for a later one already.
        let _ = stranger.write_all(b"POST /v1/tenants/a/deploy HTTP/1.1\r\nHost:").await;
        strangers.push(stranger);
        if strangers.len() % 100 == 0 {
            let answer = asked(&mut door.connect().await, "/proven").await;
            assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
        }
    }

    assert!(door.refused("connection-crowded-out") >= 1500 - 64);
    for stranger in &mut strangers[..1400] {
        closed(stranger).await;
    }
}

#[tokio::test]
async fn a_connection_that_proved_itself_stays_whoever_comes() {
    let door = Door::open(limits(4, 4)).await;
    let mut carrier = door.connect().await;
    assert!(asked(&mut carrier, "/proven").await.starts_with("HTTP/1.1 200"));
    let mut strangers = Vec::new();
    for _ in 0..50 {
        let mut stranger = door.connect().await;
        assert!(asked(&mut stranger, "/").await.starts_with("HTTP/1.1 200"), "the newest gets in");
        strangers.push(stranger);
    }

    assert!(asked(&mut carrier, "/proven").await.starts_with("HTTP/1.1 200"));
    assert_eq!(door.refused("connection-crowded-out"), 46);
}

#[tokio::test]
async fn behind_a_named_proxy_each_client_has_a_share() {
    let networks = Proxies::parse_networks("127.0.0.0/8").unwrap();
    let proxies = Proxies::new(networks, super::super::proxies::CLIENT_HEADER);
    let door = Door::with(limits(100, 2), proxies).await;
    let mut neighbour = door.connect().await;
    begin(&mut neighbour, "198.51.100.1").await;
    let mut crowd = Vec::new();
    for _ in 0..5 {
        let mut stranger = door.connect().await;
        begin(&mut stranger, "192.0.2.1, 203.0.113.9").await;
        crowd.push(stranger);
    }

    for stranger in &mut crowd[..3] {
        closed(stranger).await;
    }
    assert_eq!(door.refused("connection-crowded-out"), 3);
    door.go_on.add_permits(3);
    assert!(answered(&mut neighbour).await.starts_with("HTTP/1.1 200"));
    assert!(answered(&mut crowd[4]).await.starts_with("HTTP/1.1 200"));
}

/// A port of its own, with routes that do what the tests need.
struct Door {
    address: SocketAddr,
    refused: Family<Kind, Counter>,
    /// Lets requests for `/waits` be answered.
    go_on: Arc<tokio::sync::Semaphore>,
    serving: tokio::task::JoinHandle<()>,
}

impl Door {
    async fn open(limits: Limits) -> Self {
        Self::with(limits, Proxies::default()).await
    }

    async fn with(limits: Limits, proxies: Proxies) -> Self {
        let go_on = Arc::new(tokio::sync::Semaphore::new(0));
        let turns = Arc::clone(&go_on);
        let waits = || async move {
            turns.acquire().await.unwrap().forget();
            "done"
        };
        let router = Router::new()
            .route("/", get(|| async { "short" }))
            .route("/long", get(|| async { "long".repeat(64 * 1024) }))
            .route("/never", get(std::future::pending::<&'static str>))
            .route("/waits", get(waits))
            .route(
                "/proven",
                get(async |Extension(connection): Extension<Connection>| {
                    connection.proven();
                    "proven"
                }),
            );
        let refused = Family::default();
        let port = Port::new(router, limits, proxies, refused.clone());
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        Self { address, refused, go_on, serving: tokio::spawn(port.serve(listener)) }
    }

    async fn connect(&self) -> TcpStream {
        TcpStream::connect(self.address).await.unwrap()
    }

    fn refused(&self, kind: &'static str) -> u64 {
        self.refused.get_or_create(&Kind { kind }).get()
    }
}

impl Drop for Door {
    fn drop(&mut self) {
        self.serving.abort();
    }
}

fn limits(unproven_max: usize, per_peer_max: usize) -> Limits {
    let places = Bounds { unproven_max, per_peer_max, proven_max: 8 };
    Limits {
        places,
        headers_within: PATIENCE,
        write_within: PATIENCE,
        last_answer_after: PATIENCE,
        closed_after: PATIENCE,
    }
}

async fn asked(socket: &mut TcpStream, path: &str) -> String {
    let request = format!("GET {path} HTTP/1.1\r\nHost: a\r\n\r\n");
    socket.write_all(request.as_bytes()).await.unwrap();
    answered(socket).await
}

/// Asks for what waits, through a proxy, and waits until the request has come.
async fn begin(socket: &mut TcpStream, client: &str) {
    let first = format!("GET / HTTP/1.1\r\nHost: a\r\nX-Forwarded-For: {client}\r\n\r\n");
    socket.write_all(first.as_bytes()).await.unwrap();
    answered(socket).await;
    let waits = format!("GET /waits HTTP/1.1\r\nHost: a\r\nX-Forwarded-For: {client}\r\n\r\n");
    socket.write_all(waits.as_bytes()).await.unwrap();
}

/// One answer with a short body, as text.
async fn answered(socket: &mut TcpStream) -> String {
    let mut bytes = Vec::new();
    let whole = |bytes: &[u8]| {
        let text = String::from_utf8_lossy(bytes).into_owned();
        let (head, body) = text.split_once("\r\n\r\n")?;
        let length = head.lines().find_map(|line| line.strip_prefix("content-length: "))?;
        (body.len() >= length.parse().unwrap()).then_some(text)
    };
    loop {
        if let Some(text) = whole(&bytes) {
            return text;
        }
        let read = timeout(PATIENCE, socket.read_buf(&mut bytes)).await.expect("it is answered");
        assert!(read.unwrap() > 0, "closed instead of answered");
    }
}

/// Waits until the other side has closed.
async fn closed(socket: &mut TcpStream) {
    let mut rest = Vec::new();
    let read = timeout(PATIENCE, socket.read_to_end(&mut rest)).await.expect("it is closed");
    assert!(read.is_ok() || read.is_err_and(|e| e.kind() == io::ErrorKind::ConnectionReset));
}
