//! Builds the default tenant, so that the binary answers calls with nothing deployed.

fn main() {
    let component = cordboard_guest_build::component("cordboard-default-tenant");
    println!("cargo::rustc-env=DEFAULT_TENANT_COMPONENT={}", component.display());
}
