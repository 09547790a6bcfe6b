//! Each promise of `.github/SECURITY.md` names the tests that hold it, so those must exist.

use std::fs;
use std::path::{Path, PathBuf};

#[test]
fn every_test_that_a_promise_names_exists() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    let page = fs::read_to_string(root.join(".github/SECURITY.md")).expect("the page is there");
    let promises: Vec<&str> = page.lines().filter_map(tests_of_a_promise).collect();
    let named: Vec<&str> =
        promises.iter().flat_map(|cell| cell.split('`').skip(1).step_by(2)).collect();
    assert!(named.len() > 20, "the page has lost its tests: {named:?}");

    let sources: String =
        ["host", "guest", "tests"].iter().flat_map(|it| sources(&root.join(it))).collect();
    let missing: Vec<&str> =
        named.into_iter().filter(|name| !sources.contains(&format!("fn {name}("))).collect();
    assert_eq!(missing, Vec::<&str>::new(), "SECURITY.md names tests that are not there");
}

#[test]
fn every_promise_names_a_test() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    let page = fs::read_to_string(root.join(".github/SECURITY.md")).expect("the page is there");
    for cell in page.lines().filter_map(tests_of_a_promise) {
        assert!(cell.contains('`'), "a promise without a test: {cell}");
    }
}

/// The last cell of a row in a table of two columns, but for its heading.
fn tests_of_a_promise(line: &str) -> Option<&str> {
    let cells: Vec<&str> = line.strip_prefix("| ")?.strip_suffix(" |")?.split(" | ").collect();
    match cells[..] {
        ["promise", _] => None,
        [_, tests] => Some(tests),
        _ => None,
    }
}

/// The text of every Rust file below a folder, but for what is built.
fn sources(folder: &Path) -> Vec<String> {
    let entries = fs::read_dir(folder).expect("a folder of the tree can be read");
    entries
        .map(|entry| entry.expect("its entries can be read").path())
        .filter(|path| !path.ends_with("target"))
        .flat_map(|path: PathBuf| match path.is_dir() {
            true => sources(&path),
            false if path.extension().is_some_and(|it| it == "rs") => {
                vec![fs::read_to_string(path).expect("sources are text")]
            }
            false => Vec::new(),
        })
        .collect()
}
