//! Builds the one example tenant that a scenario calls with.

fn main() {
    let wasm = cordboard_guest_build::component("cordboard-navigator");
    println!("cargo::rustc-env=CORDBOARD_NAVIGATOR={}", wasm.display());
}
