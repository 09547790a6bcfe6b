//! Purity and the direction of dependencies, kept by tests (see `tests/`).
