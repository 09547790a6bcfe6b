//! Whether bytes are a tenant, decided by what they say about themselves before anything is compiled.
//!
//! Refusals teach: which name is wrong, and what to do instead. A Python tenant takes half a minute to
//! compile, so nobody should have to wait that long to learn that an export is missing.

use std::time::Duration;

use wasmparser::{ComponentExternalKind, Encoding, Parser, Payload};

use crate::abi::{CONTRACT_VERSION, HANDLER, HANDOVER};
use crate::limits::CompileLimits;

/// Why bytes are not a tenant that this host can run.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum VetError {
    /// Something else than WebAssembly.
    #[error("not WebAssembly: {hint}")]
    NotWasm {
        /// What it looks like instead.
        hint: &'static str,
    },
    /// A core module.
    #[error(
        "this is a core module, not a component: build for the target wasm32-wasip2, or turn it into a component \
         with `wasm-tools component new`"
    )]
    CoreModule,
    /// Bytes that claim to be a component and are none.
    #[error("a broken component: {0}")]
    Malformed(String),
    /// Too big to deploy.
    #[error("the component has {bytes} bytes; {allowed} are allowed")]
    TooBig {
        /// Its size.
        bytes: usize,
        /// The largest size.
        allowed: usize,
    },
    /// A component of some other world.
    #[error(
        "this component is not a tenant: it exports {}, but a tenant exports `{HANDLER}@{CONTRACT_VERSION}` \
         (world `tenant` of wit/tenant.wit)",
        listed(exports)
    )]
    WrongWorld {
        /// What it exports.
        exports: Vec<String>,
    },
    /// A tenant without its one export.
    #[error(
        "the export `{HANDLER}@{CONTRACT_VERSION}` is missing; in Rust it comes from `cordboard_sdk::export!`"
    )]
    MissingExport,
    /// Built for another version of the contract.
    #[error(
        "built for contract version {found} (`{name}`), but this host speaks {CONTRACT_VERSION}: build it again \
         with the wit/ directory of this host"
    )]
    WrongVersion {
        /// The export or import that says so.
        name: String,
        /// The version it names.
        found: String,
    },
    /// Something the host does not give.
    #[error("the import `{name}` is not given to tenants: {advice}")]
    UnknownImport {
        /// The import's full name.
        name: String,
        /// What to do instead.
        advice: &'static str,
    },
    /// The right names with the wrong types.
    #[error("the component's names are right, but not their types: {0}")]
    WrongTypes(String),
    /// More memory, tables, core instances or names than a component is given.
    #[error("the component needs {needs}; {allowed} are allowed")]
    TooGreedy {
        /// What it needs, with the number.
        needs: String,
        /// The most there is.
        allowed: usize,
    },
    /// Wasmtime could not compile it.
    #[error("the component does not compile: {0}")]
    DoesNotCompile(String),
    /// Compiling took too long.
    #[error(
        "compiling took longer than {0:?} ([compile] wall_s of the gateway): split or shrink the \
         component"
    )]
    CompileTimeout(Duration),
    /// Compiling took too much processor time.
    #[error(
        "compiling took more than {0:?} of processor time ([compile] cpu_s of the gateway): split \
         or shrink the component"
    )]
    CompileCpu(Duration),
    /// Compiling took too much memory.
    #[error(
        "compiling took more than {allowed_mib} MiB of memory ([compile] memory_mib of the gateway): \
         split or shrink the component; very many or very large functions take most"
    )]
    CompileMemory {
        /// The most it may take, in MiB.
        allowed_mib: u64,
    },
    /// The compiled form is too big to be kept in the gateway.
    #[error("compiled, the component has more than {allowed} bytes: split or shrink it")]
    CompiledTooBig {
        /// The most it may have, in bytes.
        allowed: u64,
    },
    /// The compiler ended for a reason of its own.
    #[error("the compiler failed: {0}. It may be none of the component's fault: try again")]
    CompilerFailed(String),
    /// The same tenant has too many components waiting.
    #[error(
        "{0} components of this tenant wait for the compiler already: try again when they are done"
    )]
    TooManyWaiting(usize),
    /// Another component was compiled all the while.
    #[error("the compiler has been busy with other components for {0:?}: try again")]
    CompilerBusy(Duration),
}

/// What a component says about itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Names {
    imports: Vec<String>,
    exports: Vec<String>,
}

/// Vets everything that can be seen without compiling.
pub(crate) fn vet(bytes: &[u8], limits: &CompileLimits) -> Result<(), VetError> {
    if bytes.len() > limits.component_bytes_max {
        return Err(VetError::TooBig { bytes: bytes.len(), allowed: limits.component_bytes_max });
    }
    let names = names(bytes)?;
    vet_exports(&names.exports)?;
    names.imports.iter().try_for_each(|name| vet_import(name))
}

/// The names of a component's exported instances.
pub(crate) fn exports(bytes: &[u8]) -> Result<Vec<String>, VetError> {
    Ok(names(bytes)?.exports)
}

/// The names of a component's imports: what it may ask of its host.
///
/// # Errors
///
/// When the bytes are no component.
pub fn imports_of(bytes: &[u8]) -> Result<Vec<String>, VetError> {
    names(bytes).map(|names| names.imports)
}

/// The component's own imports and exports, without those of what is nested in it.
fn names(bytes: &[u8]) -> Result<Names, VetError> {
    if !bytes.starts_with(b"\0asm") {
        return Err(VetError::NotWasm { hint: not_wasm_hint(bytes) });
    }
    let malformed = |e: wasmparser::BinaryReaderError| VetError::Malformed(e.to_string());
    let mut names = Names { imports: Vec::new(), exports: Vec::new() };
    let mut depth = 0_usize;
    for payload in Parser::new(0).parse_all(bytes) {
        match payload.map_err(malformed)? {
            Payload::Version { encoding: Encoding::Module, .. } if depth == 0 => {
                return Err(VetError::CoreModule);
            }
            Payload::ModuleSection { .. } | Payload::ComponentSection { .. } => {
                depth += 1;
                within(depth, DEPTH_MAX, "components in one another")?;
            }
            Payload::End(_) => depth = depth.saturating_sub(1),
            Payload::ComponentImportSection(section) if depth == 0 => {
                for import in section {
                    remember(&mut names.imports, import.map_err(malformed)?.name.name)?;
                }
            }
            Payload::ComponentExportSection(section) if depth == 0 => {
                for export in section {
                    let export = export.map_err(malformed)?;
                    if export.kind == ComponentExternalKind::Instance {
                        remember(&mut names.exports, export.name.name)?;
                    }
                }
            }
            _ => {}
        }
    }
    Ok(names)
}

// The bytes are a stranger's and the memory is the gateway's, so what grows with them has a bound.

/// Imports of a component, and exports. A Python tenant has some 20 and 3.
const NAMES_MAX: usize = 1_000;
/// Bytes of one of these names. The longest of WASI has 42.
const NAME_BYTES_MAX: usize = 512;
/// Components and modules in one another. A Python tenant has 3; compositions of compositions have
/// some more.
const DEPTH_MAX: usize = 64;
/// Names that are listed in a refusal.
const NAMES_SHOWN_MAX: usize = 8;
/// Words of a compiler's complaint, in bytes: they may quote the component.
const WORDS_BYTES_MAX: usize = 2 << 10;

fn remember(names: &mut Vec<String>, name: &str) -> Result<(), VetError> {
    within(names.len() + 1, NAMES_MAX, "imports or exports")?;
    within(name.len(), NAME_BYTES_MAX, "bytes for a name")?;
    names.push(name.to_owned());
    Ok(())
}

fn within(number: usize, allowed: usize, of_what: &str) -> Result<(), VetError> {
    if number <= allowed {
        return Ok(());
    }
    Err(VetError::TooGreedy { needs: format!("{number} {of_what}"), allowed })
}

/// The beginning of a complaint, as much as anybody would read.
pub(crate) fn shortened(words: &str) -> String {
    let end = words.floor_char_boundary(WORDS_BYTES_MAX);
    if end < words.len() { format!("{}...", &words[..end]) } else { words.to_owned() }
}

fn vet_exports(exports: &[String]) -> Result<(), VetError> {
    let mut has_handler = false;
    for export in exports {
        let (name, version) = split(export);
        if name == HANDLER || name == HANDOVER {
            require_our_version(export, version)?;
            has_handler |= name == HANDLER;
        }
    }
    if has_handler {
        return Ok(());
    }
    if exports.iter().any(|export| export.starts_with("cordboard:tenant/")) || exports.is_empty() {
        return Err(VetError::MissingExport);
    }
    Err(VetError::WrongWorld { exports: exports.to_vec() })
}

fn vet_import(import: &str) -> Result<(), VetError> {
    let (name, version) = split(import);
    if matches!(name, "cordboard:tenant/log" | "cordboard:tenant/types") {
        return require_our_version(import, version);
    }
    let refuse = |advice| Err(VetError::UnknownImport { name: import.to_owned(), advice });
    if name.starts_with("cordboard:tenant/") {
        return refuse("this host speaks a contract without it; see wit/ of this host's version");
    }
    let Some((package, interface)) = name.split_once('/') else {
        return refuse(
            "tenants get `cordboard:tenant/log` and WASI 0.2 with nothing granted, and no functions besides",
        );
    };
    let known: &[&str] = match package {
        "wasi:cli" => &[
            "environment",
            "exit",
            "stdin",
            "stdout",
            "stderr",
            "terminal-input",
            "terminal-output",
            "terminal-stdin",
            "terminal-stdout",
            "terminal-stderr",
        ],
        "wasi:clocks" => &["monotonic-clock", "wall-clock"],
        "wasi:filesystem" => &["preopens", "types"],
        "wasi:io" => &["error", "poll", "streams"],
        "wasi:random" => &["insecure", "insecure-seed", "random"],
        "wasi:sockets" => &[
            "instance-network",
            "ip-name-lookup",
            "network",
            "tcp",
            "tcp-create-socket",
            "udp",
            "udp-create-socket",
        ],
        "wasi:http" => return refuse("answer with the action `http`; the host makes the request"),
        "wasi:keyvalue" | "wasi:config" | "wasi:blobstore" => {
            return refuse(
                "keep state in the instance (`save` and `load` carry it over a swap), and read \
                 `settings` from `started`",
            );
        }
        "wasi:nn" | "wasi:threads" => {
            return refuse("a tenant computes with one thread of CPU alone");
        }
        _ => {
            return refuse(
                "tenants get `cordboard:tenant/log` and WASI 0.2 with nothing granted; compose other \
                 components in with `wac plug` before deploying",
            );
        }
    };
    if !version.starts_with("0.2.") {
        return refuse("this host speaks WASI 0.2: build for the target wasm32-wasip2");
    }
    if !known.contains(&interface) {
        return refuse("this part of WASI is not there; build for the target wasm32-wasip2");
    }
    Ok(())
}

/// Whether a tenant that was built for this version of the contract can be run by this host, if it needs nothing
/// that is not there: both are on one track of semantic versions, whichever is the newer one.
pub(crate) fn is_compatible(found: &str) -> bool {
    track(found).is_some() && track(found) == track(CONTRACT_VERSION)
}

/// The part of a version that says what it is compatible with: `1` of 1.2.3, `0.1` of 0.1.2, and all of what is
/// not finished. None of what is no version.
fn track(version: &str) -> Option<&str> {
    let mut parts = version.splitn(3, '.');
    let (major, minor, patch) = (parts.next()?, parts.next()?, parts.next()?);
    let is_finished = patch.bytes().all(|b| b.is_ascii_digit());
    Some(match (major, minor) {
        _ if !is_finished => version,
        ("0", "0") => version,
        ("0", minor) => &version[..2 + minor.len()],
        (major, _) => major,
    })
}

/// Splits `package/interface@version`.
pub(crate) fn split(name: &str) -> (&str, &str) {
    name.rsplit_once('@').unwrap_or((name, ""))
}

fn require_our_version(name: &str, found: &str) -> Result<(), VetError> {
    if is_compatible(found) {
        return Ok(());
    }
    Err(VetError::WrongVersion { name: name.to_owned(), found: found.to_owned() })
}

fn not_wasm_hint(bytes: &[u8]) -> &'static str {
    let text = bytes.trim_ascii_start();
    if bytes.is_empty() {
        "the file is empty"
    } else if bytes.starts_with(b"\x7fELF") {
        "this is machine code, perhaps an already compiled .cwasm; deploy the .wasm component itself"
    } else if text.starts_with(b"(") {
        "this is the text format; translate it with `wasm-tools parse` first"
    } else if bytes.starts_with(b"PK\x03\x04") || bytes.starts_with(b"\x1f\x8b") {
        "this is an archive; unpack it and deploy the .wasm component in it"
    } else {
        "deploy the .wasm file that `cargo build --target wasm32-wasip2` makes"
    }
}

fn listed(names: &[String]) -> String {
    let shown = names.iter().take(NAMES_SHOWN_MAX).map(|name| format!("`{name}`"));
    let rest = names.len().saturating_sub(NAMES_SHOWN_MAX);
    let rest = (rest > 0).then(|| format!("{rest} more"));
    shown.chain(rest).collect::<Vec<_>>().join(", ")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refusal(bytes: &[u8]) -> String {
        vet(bytes, &CompileLimits::default()).unwrap_err().to_string()
    }

    #[test]
    fn what_is_not_wasm_is_told_what_it_looks_like() {
        assert!(refusal(b"").contains("empty"));
        assert!(refusal(b"\x7fELF\x02").contains("machine code"));
        assert!(refusal(b"  (component)").contains("text format"));
        assert!(refusal(b"PK\x03\x04").contains("archive"));
        assert!(refusal(b"#!/bin/sh").contains("wasm32-wasip2"));
    }

    #[test]
    fn a_core_module_is_told_how_to_become_a_component() {
        assert_eq!(vet(b"\0asm\x01\0\0\0", &CompileLimits::default()), Err(VetError::CoreModule));
    }

    #[test]
    fn an_empty_component_misses_its_export() {
        let empty = b"\0asm\x0d\0\x01\0";
        assert_eq!(vet(empty, &CompileLimits::default()), Err(VetError::MissingExport));
    }

    #[test]
    fn truncated_bytes_are_a_broken_component() {
        let error = vet(b"\0asm\x0d\0\x01\0\x07\xff", &CompileLimits::default()).unwrap_err();
        assert!(matches!(error, VetError::Malformed(_)), "{error}");
    }

    #[test]
    fn a_component_over_the_size_limit_is_not_even_parsed() {
        let limits = CompileLimits { component_bytes_max: 3, ..CompileLimits::default() };
        assert_eq!(vet(b"abcd", &limits), Err(VetError::TooBig { bytes: 4, allowed: 3 }));
    }

    #[test]
    fn imports_of_wasi_0_2_and_the_log_are_given() {
        for name in [
            "cordboard:tenant/log@0.1.0",
            "cordboard:tenant/types@0.1.0",
            "wasi:cli/stderr@0.2.3",
            "wasi:io/streams@0.2.12",
        ] {
            assert_eq!(vet_import(name), Ok(()), "{name}");
        }
    }

    #[test]
    fn other_imports_are_refused_by_name_with_what_to_do_instead() {
        for (name, advice) in [
            ("wasi:http/outgoing-handler@0.2.0", "action `http`"),
            ("wasi:keyvalue/store@0.2.0", "`save` and `load`"),
            ("wasi:cli/stdout@0.3.0", "WASI 0.2"),
            ("wasi:filesystem/watch@0.2.0", "not there"),
            ("acme:db/query@1.0.0", "wac plug"),
            ("frobnicate", "no functions besides"),
        ] {
            let error = vet_import(name).unwrap_err().to_string();
            assert!(error.contains(name) && error.contains(advice), "{error}");
        }
    }

    #[test]
    fn what_a_component_may_have_the_gateway_remember_is_bounded() {
        let exports = |count: usize, name: &str| {
            let mut exports = Vec::new();
            (0..count).try_for_each(|_| remember(&mut exports, name)).map(|()| exports)
        };

        assert!(matches!(exports(NAMES_MAX + 1, "a"), Err(VetError::TooGreedy { .. })));
        let long = "a".repeat(NAME_BYTES_MAX + 1);
        assert!(matches!(exports(1, &long), Err(VetError::TooGreedy { .. })));
        let most = exports(NAMES_MAX, &"a".repeat(NAME_BYTES_MAX)).unwrap();
        let refusal = vet_exports(&most).unwrap_err().to_string();
        assert!(refusal.len() < 8_000 && refusal.contains("992 more"), "{refusal}");
    }

    #[test]
    fn components_nested_without_end_are_refused() {
        let mut nested = b"\0asm\x0d\0\x01\0".to_vec();
        for _ in 0..10_000 {
            let mut outer = b"\0asm\x0d\0\x01\0\x04".to_vec();
            leb128(&mut outer, nested.len());
            outer.extend(nested);
            nested = outer;
        }

        let refusal = refusal(&nested);

        assert!(refusal.contains("components in one another"), "{refusal}");
    }

    fn leb128(to: &mut Vec<u8>, mut number: usize) {
        while number >= 0x80 {
            to.push(number as u8 | 0x80);
            number >>= 7;
        }
        to.push(number as u8);
    }

    #[test]
    fn versions_of_the_contract_on_one_track_are_taken_whichever_is_newer() {
        for version in ["0.1.0", "0.1.1", "0.1.27"] {
            let handler = [format!("cordboard:tenant/handler@{version}")];
            assert_eq!(vet_exports(&handler), Ok(()));
            assert_eq!(vet_import(&format!("cordboard:tenant/types@{version}")), Ok(()));
        }
        for version in ["0.2.0", "0.1.1-rc.1", "1.0.0", "0.1", "", "0.10.0"] {
            let handler = [format!("cordboard:tenant/handler@{version}")];
            assert!(matches!(vet_exports(&handler), Err(VetError::WrongVersion { .. })));
        }
        for (version, of) in [("1.2.3", "1"), ("0.1.2", "0.1"), ("0.0.3", "0.0.3")] {
            assert_eq!(track(version), Some(of));
        }
        let error = vet_import("cordboard:tenant/directory@0.1.1").unwrap_err().to_string();
        assert!(error.contains("cordboard:tenant/directory@0.1.1"), "{error}");
    }

    #[test]
    fn another_contract_version_is_named() {
        let exports = ["cordboard:tenant/handler@0.2.0".to_owned()];
        let error = vet_exports(&exports).unwrap_err().to_string();
        assert!(error.contains("0.2.0") && error.contains(CONTRACT_VERSION), "{error}");
    }
}
