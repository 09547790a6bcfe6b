//! `cordboard doctor` as a process.

use std::process::{Command, Stdio};

#[test]
fn a_reader_who_has_seen_enough_is_no_panic() {
    let folder = tempfile::tempdir().expect("a folder of ours");
    for arguments in [&["doctor"][..], &["doctor", "--json"]] {
        let (reader, writer) = std::io::pipe().expect("a pipe");
        drop(reader);
        let done = Command::new(env!("CARGO_BIN_EXE_cordboard"))
            .args(arguments)
            .env_clear()
            .current_dir(folder.path())
            .stdout(writer)
            .stderr(Stdio::piped())
            .output()
            .expect("the program starts");
        let said = String::from_utf8_lossy(&done.stderr);
        assert_eq!(done.status.code(), Some(1), "no key is set: {said}");
        assert!(!said.contains("panicked"), "{said}");
    }
}
