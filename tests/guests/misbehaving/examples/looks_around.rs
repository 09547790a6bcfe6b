//! Tries everything a guest must not have, and tells what it got.
#![cfg(target_family = "wasm")]

use std::time::{Instant, SystemTime};

cordboard_misbehaving::guest!(handle);

fn handle(_now: u64, event: Event) -> Vec<Action> {
    if !matches!(event, Event::Command(_)) {
        return Vec::new();
    }
    let before = Instant::now();
    let wall = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).expect("after 1970");
    let mut line = String::new();
    let found = [
        ("wall_ms", wall.as_millis().to_string()),
        ("clock_stands_still", (before.elapsed().as_nanos() == 0).to_string()),
        ("environment", std::env::vars().count().to_string()),
        ("arguments", std::env::args().count().to_string()),
        ("root", std::fs::read_dir("/").is_ok().to_string()),
        ("file", std::fs::read("/etc/passwd").is_ok().to_string()),
        ("write", std::fs::write("here.txt", "x").is_ok().to_string()),
        ("stdin", std::io::stdin().read_line(&mut line).unwrap_or(0).to_string()),
        ("tcp", std::net::TcpStream::connect("127.0.0.1:80").is_ok().to_string()),
        ("listen", std::net::TcpListener::bind("127.0.0.1:0").is_ok().to_string()),
        ("udp", std::net::UdpSocket::bind("127.0.0.1:0").is_ok().to_string()),
        ("names", std::net::ToSocketAddrs::to_socket_addrs("localhost:80").is_ok().to_string()),
        ("thread", std::thread::Builder::new().spawn(|| ()).is_ok().to_string()),
        ("random", random().to_string()),
    ];
    found
        .into_iter()
        .map(|(topic, json)| Action::Publish(Publication { topic: topic.into(), json }))
        .collect()
}

/// A number from the standard library's own source of randomness, which is WASI's.
fn random() -> u64 {
    use std::hash::{BuildHasher, Hasher, RandomState};
    RandomState::new().build_hasher().finish()
}
