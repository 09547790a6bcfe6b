//! The templates and the sources of ours that `build.rs` found.

include!(concat!(env!("OUT_DIR"), "/embedded.rs"));
