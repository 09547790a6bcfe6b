//! Builds the guests this repository ships.

use std::env;
use std::fmt::Write as _;
use std::fs;
use std::path::Path;

/// Name and package of every shipped guest; a new one belongs here.
const SHIPPED: [(&str, &str); 4] = [
    ("default", "cordboard-default-tenant"),
    ("keypad", "cordboard-keypad"),
    ("megaphone", "cordboard-megaphone"),
    ("navigator", "cordboard-navigator"),
];

fn main() {
    let mut list = String::from("/// Name and component of every shipped guest.\n");
    writeln!(list, "pub const SHIPPED: [(&str, &str); {}] = [", SHIPPED.len())
        .expect("writing to a string succeeds");
    for (name, package) in SHIPPED {
        let path = cordboard_guest_build::component(package);
        writeln!(list, "    ({name:?}, {path:?}),").expect("writing to a string succeeds");
    }
    list += "];\n";
    let megaphone = cordboard_guest_build::component("cordboard-megaphone");
    writeln!(
        list,
        "/// The component of a tenant that differs from the default one in how it sounds.\n\
         pub const MEGAPHONE: &str = {megaphone:?};"
    )
    .expect("writing to a string succeeds");
    let out = env::var_os("OUT_DIR").expect("cargo sets OUT_DIR");
    fs::write(Path::new(&out).join("shipped.rs"), list).expect("OUT_DIR can be written");
}
