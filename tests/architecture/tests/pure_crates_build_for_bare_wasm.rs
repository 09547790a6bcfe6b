//! A crate that builds for a target without an operating system uses none.

use std::path::Path;
use std::process::Command;

#[test]
fn wire_call_recording_and_audio_build_for_wasm32_unknown_unknown() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    let output = Command::new(env!("CARGO"))
        .args(["check", "--locked", "--offline", "--quiet", "--target", "wasm32-unknown-unknown"])
        .args([
            "-p",
            "cordboard-wire",
            "-p",
            "cordboard-call",
            "-p",
            "cordboard-recording",
            "-p",
            "cordboard-audio",
        ])
        .args(["--target-dir", "target/bare-wasm"])
        .env_remove("RUSTFLAGS")
        .env_remove("CARGO_ENCODED_RUSTFLAGS")
        .current_dir(root)
        .output()
        .expect("cargo runs, since it runs this test");
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(
        output.status.success(),
        "a pure crate does not build for wasm32-unknown-unknown (is the target there? \
         `rustup target add wasm32-unknown-unknown`):\n{said}"
    );
}
