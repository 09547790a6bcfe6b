//! Whole calls through real sockets on loopback.
