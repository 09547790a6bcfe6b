mod crash;
mod disk;
mod kill;
mod rules;
mod text;

use super::*;

fn upload<'a>(component: &'a [u8], settings: &'a str) -> Upload<'a> {
    Upload { component, settings, when: When::from_unix(1_795_341_600), by: "ops", note: "a test" }
}

fn version(number: u32) -> VersionName {
    VersionName::nth(number).unwrap()
}
