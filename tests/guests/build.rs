//! Compiles every guest of `misbehaving/examples` and lists them for the tests.

use std::env;
use std::fmt::Write as _;
use std::fs;
use std::path::Path;

fn main() {
    let guests =
        cordboard_guest_build::examples("cordboard-misbehaving", Path::new("misbehaving/examples"));
    let mut list = String::from("/// Where the guest of this name was built.\n");
    list += "pub fn path(name: &str) -> &'static str {\n    match name {\n";
    for (name, path) in &guests {
        writeln!(list, "        {name:?} => {path:?},").expect("writing to a string succeeds");
    }
    list += "        _ => panic!(\"there is no guest `{name}`\"),\n    }\n}\n\n";
    list += "/// Calls a macro with the name of every guest: a way to insist on a test for each.\n";
    list += "#[macro_export]\nmacro_rules! for_each_guest {\n    ($each:ident) => {\n";
    for (name, _) in &guests {
        writeln!(list, "        $each!({name});").expect("writing to a string succeeds");
    }
    list += "    };\n}\n";
    let out = env::var_os("OUT_DIR").expect("cargo sets OUT_DIR");
    fs::write(Path::new(&out).join("guests.rs"), list).expect("OUT_DIR can be written");
}
