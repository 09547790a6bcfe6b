//! Which names a tenant's project can have.

use anyhow::bail;
use cordboard_tenant::TenantId;

/// Names that a crate can not have, or that would hide one a project depends on.
const TAKEN: [&str; 26] = [
    "abstract",
    "alloc",
    "app",
    "as",
    "async",
    "bindings",
    "box",
    "const",
    "core",
    "crate",
    "do",
    "fn",
    "if",
    "impl",
    "in",
    "loop",
    "mod",
    "move",
    "proc-macro",
    "self",
    "serde",
    "serde-json",
    "std",
    "super",
    "test",
    "type",
];

/// Refuses what can not name a tenant and its crate.
///
/// # Errors
///
/// A sentence that says what a name may look like.
pub(super) fn vet(name: &str) -> anyhow::Result<()> {
    if let Err(reason) = TenantId::parse(name) {
        bail!("{reason}");
    }
    if !name.starts_with(|first: char| first.is_ascii_lowercase()) {
        bail!("{name:?} cannot name a project: a crate's name begins with a letter");
    }
    if TAKEN.contains(&name) || name.starts_with("cordboard") || name.starts_with("wit-") {
        bail!("{name:?} is taken: a language or this project uses that name itself");
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_is_a_tenants_and_a_crates_at_once() {
        for name in ["acme", "front-supervisor", "a2"] {
            assert!(vet(name).is_ok(), "{name}");
        }
        for (name, why) in [
            ("Acme", "a-z"),
            ("../acme", "a-z"),
            ("2acme", "begins with a letter"),
            ("", "1 to 63"),
            ("serde", "taken"),
            ("cordboard-sdk", "taken"),
        ] {
            let said = vet(name).unwrap_err().to_string();
            assert!(said.contains(why), "{name}: {said}");
        }
    }
}
