//! Which file of `host/src` imports which: no circle of files, and one direction between the folders.
//!
//! An import is a path in the code outside tests, in a `use` or anywhere else, that leads to another
//! file. A re-export is followed to the file that defines what it names, and is an import of the file
//! it stands in. Paths inside macros (`info!(..)`) are not seen, since only the macro knows what they
//! mean.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use syn::visit::{self, Visit};
use syn::{Attribute, Item, UseTree};

/// The rooms of `host/src`, outermost first: an import goes down this list, never up.
///
/// A file beside the folders is a room of its own. A new one takes the lowest place from which it
/// sees what it needs.
const ROOMS: [&str; 25] = [
    "lib",
    "cli",
    "demo",
    "serve",
    "reload",
    "webhook",
    "calls",
    "admin",
    "replay",
    "doctor",
    "gateway",
    "rollout",
    "recorder",
    "twilio",
    "config",
    "shared",
    "model",
    "net",
    "renewable",
    "metrics",
    "signals",
    "logging",
    "audit",
    "secret",
    "new",
];

/// Rooms where `mod.rs` lists the handlers in its router and the handlers use what it defines.
const ROUTES: [&str; 1] = ["admin"];

#[test]
fn rooms_import_downwards_only() {
    let sources = Sources::of_the_host();
    let rank: BTreeMap<_, _> = ROOMS.iter().enumerate().map(|(at, room)| (*room, at)).collect();
    let mut wrong = Vec::new();
    for (from, to) in sources.imports() {
        let (above, below) = (room(&from), room(&to));
        if above == below {
            continue;
        }
        let place = |room: &str| {
            *rank.get(room).unwrap_or_else(|| panic!("`{room}` has no place in ROOMS: give it one"))
        };
        if place(above) > place(below) {
            wrong.push(format!("{from} -> {to}"));
        }
    }
    assert!(wrong.is_empty(), "these imports go up the list ROOMS:\n{}", wrong.join("\n"));
}

#[test]
fn files_import_in_no_circle() {
    let imports = Sources::of_the_host().imports();
    let circles: Vec<_> = imports
        .iter()
        .filter(|(from, to)| !ROUTES.contains(&room(from)) || room(from) != room(to))
        .filter(|(from, to)| reaches(&imports, to, from))
        .map(|(from, to)| format!("{from} -> {to}"))
        .collect();
    assert!(
        circles.is_empty(),
        "each of these imports is part of a circle:\n{}",
        circles.join("\n")
    );
}

#[test]
fn a_re_export_is_followed_to_the_file_that_defines_it() {
    let sources = Sources::parse(&[
        ("lib.rs", "mod a; mod b;"),
        ("a/mod.rs", "mod inner; pub use inner::Thing;"),
        ("a/inner.rs", "pub struct Thing; #[cfg(test)] mod tests { use crate::b::Other; }"),
        ("b.rs", "use crate::a::Thing as Renamed; struct Other(Renamed); fn f() { crate::a::g() }"),
    ]);
    assert_eq!(
        sources.imports(),
        [("a/mod.rs", "a/inner.rs"), ("b.rs", "a/inner.rs"), ("b.rs", "a/mod.rs")]
            .map(|(from, to)| (from.to_owned(), to.to_owned()))
            .into()
    );
}

/// Whether one comes from the file `from` to the file `to` along imports.
fn reaches(imports: &BTreeSet<(String, String)>, from: &str, to: &str) -> bool {
    let (mut seen, mut open) = (BTreeSet::from([from]), vec![from]);
    while let Some(file) = open.pop() {
        if file == to {
            return true;
        }
        let next = imports.iter().filter(|(above, _)| above == file).map(|(_, below)| &**below);
        open.extend(next.filter(|file| seen.insert(file)));
    }
    false
}

/// The folder that a file stands in, or a file beside the folders without its ending.
fn room(file: &str) -> &str {
    file.split('/').next().unwrap_or(file).trim_end_matches(".rs")
}

/// The modules of a crate, by their paths from its root.
struct Sources(BTreeMap<Vec<String>, Module>);

struct Module {
    file: String,
    /// What its `use`s bind, by name, as paths from the crate's root.
    bound: BTreeMap<String, Vec<String>>,
    /// Every path of its code as it stands there, without those of its tests.
    paths: Vec<Vec<String>>,
}

impl Sources {
    fn of_the_host() -> Self {
        let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../host/src");
        let mut files = Vec::new();
        let mut open = vec![root.clone()];
        while let Some(folder) = open.pop() {
            for entry in std::fs::read_dir(&folder).expect("the folder is part of the tree") {
                let path: PathBuf = entry.expect("readable").path();
                if path.is_dir() {
                    open.push(path);
                } else if path.extension().is_some_and(|ending| ending == "rs") {
                    let name = path.strip_prefix(&root).expect("below").display().to_string();
                    files.push((name, std::fs::read_to_string(&path).expect("UTF-8")));
                }
            }
        }
        // The program's `main` only calls the library; a file `tests.rs` is a module of tests.
        files.retain(|(name, _)| name != "main.rs" && !name.ends_with("tests.rs"));
        assert!(files.len() > 20, "{} holds the shell", root.display());
        let files: Vec<_> = files.iter().map(|(name, text)| (&**name, &**text)).collect();
        Self::parse(&files)
    }

    fn parse(files: &[(&str, &str)]) -> Self {
        let mut modules = BTreeMap::new();
        for (name, text) in files {
            let at: Vec<String> = name
                .trim_end_matches(".rs")
                .split('/')
                .filter(|part| !["mod", "lib"].contains(part))
                .map(str::to_owned)
                .collect();
            let parsed = syn::parse_file(text).unwrap_or_else(|error| panic!("{name}: {error}"));
            let mut module =
                Module { file: (*name).to_owned(), bound: BTreeMap::new(), paths: Vec::new() };
            module.visit_file(&parsed);
            modules.insert(at, module);
        }
        let places: BTreeSet<Vec<String>> = modules.keys().cloned().collect();
        for (at, module) in &mut modules {
            for path in module.bound.values_mut().chain(&mut module.paths) {
                *path = absolute(path, at, &places);
            }
        }
        Self(modules)
    }

    /// Which file imports which, each pair once.
    fn imports(&self) -> BTreeSet<(String, String)> {
        let mut found = BTreeSet::new();
        for module in self.0.values() {
            for path in module.bound.values().chain(&module.paths) {
                if let Some(file) = self.file_of(path, 0).filter(|file| *file != module.file) {
                    found.insert((module.file.clone(), file.to_owned()));
                }
            }
        }
        found
    }

    /// The file that defines what this path from the root names; None for what is no path of this crate.
    fn file_of(&self, path: &[String], followed: usize) -> Option<&str> {
        let depth = (1..=path.len()).rev().find(|depth| self.0.contains_key(&path[..*depth]))?;
        let module = &self.0[&path[..depth]];
        let re_exported = path.get(depth).and_then(|name| module.bound.get(name));
        match re_exported {
            // A name may be bound to itself in a file that only uses it; nine re-exports are none.
            Some(target) if followed < 9 => self.file_of(target, followed + 1),
            _ => Some(&module.file),
        }
    }
}

/// A path as it stands in the module `at`, from the crate's root on; empty if it leads out of the crate.
fn absolute(path: &[String], at: &[String], places: &BTreeSet<Vec<String>>) -> Vec<String> {
    match path.first().map(String::as_str) {
        Some("crate") => path[1..].to_vec(),
        Some("self") => [at, &path[1..]].concat(),
        Some("super") => {
            let ups = path.iter().take_while(|part| *part == "super").count();
            [&at[..at.len().saturating_sub(ups)], &path[ups..]].concat()
        }
        Some(first) => {
            let child = [at, &[first.to_owned()]].concat();
            if places.contains(&child) { [at, path].concat() } else { Vec::new() }
        }
        None => Vec::new(),
    }
}

impl Module {
    fn take(&mut self, tree: &UseTree, mut before: Vec<String>) {
        match tree {
            UseTree::Path(path) => {
                before.push(path.ident.to_string());
                self.take(&path.tree, before);
            }
            UseTree::Name(name) if name.ident == "self" => {
                let bound = before.last().expect("`self` follows a path").clone();
                self.bound.insert(bound, before);
            }
            UseTree::Name(name) => {
                before.push(name.ident.to_string());
                self.bound.insert(name.ident.to_string(), before);
            }
            UseTree::Rename(renamed) => {
                if renamed.ident != "self" {
                    before.push(renamed.ident.to_string());
                }
                self.bound.insert(renamed.rename.to_string(), before);
            }
            UseTree::Glob(_) => self.paths.push(before),
            UseTree::Group(group) => {
                for tree in &group.items {
                    self.take(tree, before.clone());
                }
            }
        }
    }
}

impl<'ast> Visit<'ast> for Module {
    fn visit_item(&mut self, item: &'ast Item) {
        let attributes: &[Attribute] = match item {
            Item::Mod(of) => &of.attrs,
            Item::Fn(of) => &of.attrs,
            Item::Use(of) => &of.attrs,
            Item::Impl(of) => &of.attrs,
            Item::Struct(of) => &of.attrs,
            Item::Const(of) => &of.attrs,
            _ => &[],
        };
        let for_tests = attributes.iter().any(|attribute| {
            attribute.path().is_ident("cfg")
                && attribute.parse_args::<syn::Path>().is_ok_and(|when| when.is_ident("test"))
        });
        if !for_tests {
            visit::visit_item(self, item);
        }
    }

    fn visit_item_use(&mut self, item: &'ast syn::ItemUse) {
        self.take(&item.tree, Vec::new());
    }

    fn visit_path(&mut self, path: &'ast syn::Path) {
        let parts: Vec<_> = path.segments.iter().map(|part| part.ident.to_string()).collect();
        if parts.len() > 1 {
            self.paths.push(parts);
        }
        visit::visit_path(self, path);
    }
}
