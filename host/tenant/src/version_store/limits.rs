//! Every limit of the store: unit, value and reason.

/// Bytes of one component. As many as are compiled: a Python tenant has 18 MB, a Rust tenant 65 KB to 600 KB.
pub const COMPONENT_BYTES_MAX: usize = 32 * 1024 * 1024;

/// Bytes of one version's settings, which every call carries in its first event.
pub const SETTINGS_BYTES_MAX: usize = 64 * 1024;

/// Versions in the store. Twenty deployments is a day of a busy author; each costs a component on disk.
pub const VERSIONS_KEPT_MAX: usize = 20;

/// Bytes of a note or of a reason. A commit message's subject and body fit.
pub const NOTE_BYTES_MAX: usize = 1000;

/// Bytes of the name of who deploys.
pub const BY_BYTES_MAX: usize = 100;

/// Bytes of a `releases.toml`. Twenty versions with the longest notes, escaped, stay far below.
pub const STATE_BYTES_MAX: usize = 1024 * 1024;
