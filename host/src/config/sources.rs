//! Where settings come from, flattened to text: the environment, `.env`, `cordboard.toml`.

use std::collections::BTreeMap;
use std::fmt;
use std::path::Path;

use cordboard_tenant::plain_file;

use super::dotenv;
use super::keys::{self, Key};
use super::problem::{Problem, Problems};

/// The texts that settings are read from. The environment wins over `.env`, `.env` over the file.
///
/// Nothing here touches the process's own environment but [`Sources::from_process`], so that tests
/// hand in maps of their own.
#[derive(Clone, Default)]
pub struct Sources {
    environment: BTreeMap<String, String>,
    dotenv: BTreeMap<String, String>,
    file: BTreeMap<String, String>,
    file_name: String,
    problems: Vec<Problem>,
}

/// A setting's text and where it was found.
#[derive(Debug, Clone)]
pub(super) struct Found {
    pub(super) text: String,
    pub(super) place: Source,
}

/// Where a setting was written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Source {
    Environment,
    Dotenv,
    File(String),
}

impl fmt::Display for Source {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Environment => f.write_str("the environment"),
            Self::Dotenv => f.write_str(".env"),
            Self::File(name) => f.write_str(name),
        }
    }
}

/// Bytes of a configuration file or of `.env`. The example with all its comments has 8 KiB.
const FILE_BYTES_MAX: usize = 1024 * 1024;

impl Sources {
    /// Reads the process's environment, `.env` in the working directory if there is one, and the
    /// configuration file: `config` if given, else `cordboard.toml` if there is one.
    pub fn from_process(config: Option<&Path>) -> Self {
        // A variable that is no text can not be one of ours.
        let environment = std::env::vars_os()
            .filter_map(|(name, value)| Some((name.into_string().ok()?, value.into_string().ok()?)))
            .collect();
        let mut sources = Self { environment, ..Self::default() };
        match plain_file::read_text(Path::new(".env"), FILE_BYTES_MAX) {
            Ok(text) => sources = sources.dotenv(&text),
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => {}
            Err(error) => {
                sources.problems.push(Problem::new(".env", format!("not readable: {error}")))
            }
        }
        let path = config.unwrap_or(Path::new("cordboard.toml"));
        match plain_file::read_text(path, FILE_BYTES_MAX) {
            Ok(text) => sources = sources.file(&path.display().to_string(), &text),
            Err(error) if error.kind() == std::io::ErrorKind::NotFound && config.is_none() => {}
            Err(error) => sources.problems.push(Problem::new(
                path.display().to_string(),
                format!("not readable: {error}. Write the path of a configuration file, or leave --config out"),
            )),
        }
        sources
    }

    /// Sets one environment variable.
    #[must_use]
    pub fn env(mut self, name: &str, value: &str) -> Self {
        self.environment.insert(name.to_owned(), value.to_owned());
        self
    }

    /// Reads the text of a `.env` file.
    #[must_use]
    pub fn dotenv(mut self, text: &str) -> Self {
        for (at, line) in text.lines().enumerate() {
            match dotenv::entry(line) {
                Ok(Some((name, value))) => drop(self.dotenv.insert(name, value)),
                Ok(None) => {}
                // The line itself is not quoted: it may hold a key.
                Err(wrong) => {
                    self.problems.push(Problem::new(".env", format!("line {}: {wrong}", at + 1)));
                }
            }
        }
        self
    }

    /// Reads the text of a configuration file; `name` is what errors call it.
    #[must_use]
    pub fn file(mut self, name: &str, text: &str) -> Self {
        self.file_name = name.to_owned();
        match text.parse::<toml::Table>() {
            Ok(table) => self.flatten("", &table),
            // The message alone: the display form quotes the line, and the line may hold a key.
            Err(error) => {
                let line =
                    error.span().map_or(1, |span| 1 + text[..span.start].matches('\n').count());
                self.problems.push(Problem::new(name, format!("line {line}: {}", error.message())));
            }
        }
        self
    }

    /// Returns a setting's text. An empty one counts as absent: `OPENAI_API_KEY=` is how compose files
    /// say "not set".
    pub(super) fn find(&self, key: &Key) -> Option<Found> {
        let file = || Source::File(self.file_name.clone());
        let found = |text: &String, place| {
            let text = text.trim().to_owned();
            (!text.is_empty()).then_some(Found { text, place })
        };
        (self.environment.get(key.env).and_then(|text| found(text, Source::Environment)))
            .or_else(|| self.dotenv.get(key.env).and_then(|text| found(text, Source::Dotenv)))
            .or_else(|| self.file.get(key.toml).and_then(|text| found(text, file())))
    }

    /// Returns the entries of a table whose keys the operator chooses.
    pub(super) fn free_table(&self, table: &str) -> impl Iterator<Item = (&str, &str)> {
        self.file.iter().filter_map(move |(path, value)| {
            Some((path.strip_prefix(table)?.strip_prefix('.')?, value.as_str()))
        })
    }

    /// Returns the operator's secrets for tenants, by name; the environment wins over `.env`.
    pub(super) fn secrets(&self) -> impl Iterator<Item = (&str, &str)> {
        let named = |(name, value)| {
            let name: &String = name;
            let value: &String = value;
            Some((name.strip_prefix(keys::SECRET_PREFIX)?, value.as_str()))
        };
        self.dotenv.iter().filter_map(named).chain(self.environment.iter().filter_map(named))
    }

    /// Returns what was wrong with the texts themselves.
    pub(super) fn problems(&self) -> Problems {
        Problems(self.problems.clone())
    }

    /// Returns names in the environment and `.env` that look like ours and mean nothing.
    pub(super) fn stray_names(&self) -> Vec<String> {
        let known = |name: &str| {
            name.starts_with(keys::SECRET_PREFIX)
                || keys::OF_COMMANDS.contains(&name)
                || keys::ALL.iter().any(|key| key.env == name)
        };
        (self.environment.keys().chain(self.dotenv.keys()))
            .filter(|name| name.starts_with("CORDBOARD_") && !known(name))
            .cloned()
            .collect()
    }

    fn flatten(&mut self, parent: &str, table: &toml::Table) {
        for (name, value) in table {
            let path = if parent.is_empty() { name.clone() } else { format!("{parent}.{name}") };
            let known = keys::ALL.iter().any(|key| key.toml == path);
            let free = keys::FREE_TABLES.contains(&parent);
            match value {
                toml::Value::Table(inner) if !known && !free && is_table(&path) => {
                    self.flatten(&path, inner);
                }
                _ if !known && !free => self.unknown(&path),
                toml::Value::Array(values) => {
                    let texts: Option<Vec<String>> = values.iter().map(scalar).collect();
                    match texts {
                        Some(texts) => drop(self.file.insert(path, texts.join(","))),
                        None => self.wrong_kind(&path),
                    }
                }
                value => match scalar(value) {
                    Some(text) => drop(self.file.insert(path, text)),
                    None => self.wrong_kind(&path),
                },
            }
        }
    }

    fn unknown(&mut self, path: &str) {
        let meant = keys::nearest(path, keys::ALL.iter().map(|key| key.toml));
        let what = match meant {
            Some(meant) => format!("there is no such key. Did you mean `{meant}`?"),
            None => "there is no such key. cordboard.example.toml lists all".to_owned(),
        };
        self.problems.push(Problem::new(format!("{path} in {}", self.file_name), what));
    }

    fn wrong_kind(&mut self, path: &str) {
        self.problems.push(Problem::new(
            format!("{path} in {}", self.file_name),
            "not a text, a whole number, true or false",
        ));
    }
}

/// The values may be secrets, so only the names are shown.
impl fmt::Debug for Sources {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Sources").field("file_name", &self.file_name).finish_non_exhaustive()
    }
}

fn is_table(path: &str) -> bool {
    let within = |key: &str| key.strip_prefix(path).is_some_and(|rest| rest.starts_with('.'));
    keys::FREE_TABLES.iter().any(|table| *table == path || within(table))
        || keys::ALL.iter().any(|key| within(key.toml))
}

fn scalar(value: &toml::Value) -> Option<String> {
    match value {
        toml::Value::String(text) => Some(text.clone()),
        toml::Value::Integer(number) => Some(number.to_string()),
        toml::Value::Boolean(truth) => Some(truth.to_string()),
        toml::Value::Float(_)
        | toml::Value::Datetime(_)
        | toml::Value::Array(_)
        | toml::Value::Table(_) => None,
    }
}
