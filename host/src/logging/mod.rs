//! The gateway's log: which events, in what form, and where to.
//!
//! **One rule: logging never holds a call.** Lines go through a bounded buffer ([`lossy`]); what
//! somebody outside can provoke at will has one line in a minute ([`rate`]).

mod lossy;
mod rate;

use std::fs::{File, OpenOptions};
use std::io::{self, IsTerminal as _, Write};
use std::os::fd::AsFd as _;
use std::path::{Path, PathBuf};
use std::str::FromStr;
use std::sync::OnceLock;
use std::time::{Duration, Instant};

use anyhow::Context as _;
use tracing::Subscriber;
use tracing_subscriber::fmt::MakeWriter;
use tracing_subscriber::layer::SubscriberExt as _;
use tracing_subscriber::registry::LookupSpan;
use tracing_subscriber::util::SubscriberInitExt as _;
use tracing_subscriber::{EnvFilter, Layer, Registry, fmt, reload};

use lossy::{Lossy, Round, Sink};
pub(crate) use rate::OUTSIDE;
use rate::RateLimit;

/// How an event is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, clap::ValueEnum)]
pub enum LogFormat {
    /// A line for people.
    #[default]
    Text,
    /// A JSON object on a line, each field under its own name.
    Json,
}

impl FromStr for LogFormat {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text {
            "text" => Ok(Self::Text),
            "json" => Ok(Self::Json),
            _ => Err("neither text nor json".to_owned()),
        }
    }
}

/// The log of a gateway that is running.
pub(crate) struct Logging {
    lossy: Lossy,
    filter: reload::Handle<EnvFilter, Registry>,
}

/// The one log of the process, as there is one global subscriber.
static LOGGING: OnceLock<Logging> = OnceLock::new();

/// Starts the gateway's log, for the whole process.
///
/// # Errors
/// The file can not be opened, or logging was started before.
pub(crate) fn start(
    filter: &str,
    format: LogFormat,
    file: Option<&Path>,
) -> anyhow::Result<&'static Logging> {
    let place = Place::open(file)?;
    // Colours are for people; a file or a collector gets plain text.
    let colours = file.is_none() && io::stdout().is_terminal() && io::stderr().is_terminal();
    let limit = RateLimit::default();
    let telling = limit.clone();
    let lossy = Lossy::start(place, BUFFER_BYTES, EVERY, move |round| tell(round, &telling))
        .context("no thread for the log")?;
    let writer = lossy.clone();
    let (filter, handle) = reload::Layer::new(parse_filter(filter));
    tracing_subscriber::registry()
        .with(filter)
        .with(limit)
        .with(lines(format, colours, move || writer.clone()))
        .try_init()
        .context("the log was started before")?;
    log_panics();
    Ok(LOGGING.get_or_init(|| Logging { lossy, filter: handle }))
}

/// Lines that were lost since the start, because nobody read them or they could not be written.
pub(crate) fn lines_dropped() -> u64 {
    LOGGING.get().map_or(0, |logging| logging.lossy.dropped())
}

/// Reads a filter; one that the configuration took is right.
pub(crate) fn parse_filter(text: &str) -> EnvFilter {
    EnvFilter::try_new(text).unwrap_or_else(|_| EnvFilter::new("info"))
}

impl Logging {
    /// Opens the log's file again. Returns at once.
    pub(crate) fn reopen(&self) {
        self.lossy.reopen();
    }

    /// Logs by another filter from now on.
    pub(crate) fn set_filter(&self, filter: &str) {
        // It fails only when the subscriber is gone, and that one lives as long as the process.
        drop(self.filter.reload(parse_filter(filter)));
    }

    /// Gives the last lines a moment to be written. A reader that stands still does not get more.
    pub(crate) fn close(&self) {
        self.lossy.flush(LAST_LINES);
    }
}

/// On the log's thread, where waiting for the log would be in vain: both go through the buffer as
/// well.
fn tell(round: Round, limit: &RateLimit) {
    if let Some(error) = round.not_reopened {
        tracing::warn!(%error, "the log's file can not be opened again; the old one is written on");
    }
    if round.dropped > 0 {
        let lines = round.dropped;
        tracing::warn!(lines, "the log was not read, or not writable: lines were dropped");
    }
    limit.tell(Instant::now());
}

/// Writes events as lines of a format.
fn lines<S, W>(format: LogFormat, colours: bool, writer: W) -> Box<dyn Layer<S> + Send + Sync>
where
    S: Subscriber + for<'a> LookupSpan<'a>,
    W: for<'a> MakeWriter<'a> + Send + Sync + 'static,
{
    // Its complaints would go to standard error, where somebody may have stopped reading as well.
    let layer = fmt::layer().with_writer(writer).log_internal_errors(false);
    match format {
        LogFormat::Text => layer.with_ansi(colours).boxed(),
        LogFormat::Json => layer.json().flatten_event(true).with_span_list(false).boxed(),
    }
}

/// Without this a panic is printed to standard error by the thread that panicked, which waits for
/// the reader there.
fn log_panics() {
    std::panic::set_hook(Box::new(|panic| {
        let place = panic.location().map(ToString::to_string);
        let why = panic.payload_as_str().unwrap_or("no text");
        tracing::error!(place, why, "a bug: a task of this host panicked");
    }));
}

/// Standard output or a file.
enum Place {
    /// Not `std::io::Stdout`: its lock and its buffer are the process's, and are looked at as it
    /// ends.
    Stdout(File),
    File(PathBuf, File),
}

impl Place {
    fn open(path: Option<&Path>) -> anyhow::Result<Self> {
        let Some(path) = path else {
            let stdout = io::stdout().as_fd().try_clone_to_owned();
            return Ok(Self::Stdout(stdout.context("standard output is closed")?.into()));
        };
        let file = append(path).with_context(|| {
            format!("the log can not be written to {} (log_file)", path.display())
        })?;
        Ok(Self::File(path.to_owned(), file))
    }

    fn file(&mut self) -> &mut File {
        match self {
            Self::Stdout(file) | Self::File(_, file) => file,
        }
    }
}

impl Write for Place {
    fn write(&mut self, text: &[u8]) -> io::Result<usize> {
        self.file().write(text)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.file().flush()
    }
}

impl Sink for Place {
    fn reopen(&mut self) -> io::Result<()> {
        match self {
            Self::Stdout(_) => {}
            Self::File(path, file) => *file = append(path)?,
        }
        Ok(())
    }
}

fn append(path: &Path) -> io::Result<File> {
    // Opening a named pipe waits for its reader.
    if path.metadata().is_ok_and(|about| !about.is_file()) {
        return Err(io::Error::other("it is there and no ordinary file"));
    }
    OpenOptions::new().append(true).create(true).open(path)
}

/// Some 5,000 lines: a second of a reader that is slow, in the worst minute of a busy gateway. As
/// much again may be on its way out.
const BUFFER_BYTES: usize = 1 << 20;

/// How often held-back events are looked at.
const EVERY: Duration = Duration::from_secs(1);

/// For the last lines, as the process ends.
const LAST_LINES: Duration = Duration::from_millis(500);

#[cfg(test)]
mod tests {
    use std::sync::{Arc, Mutex};

    use super::*;

    #[derive(Clone, Default)]
    struct Written(Arc<Mutex<Vec<u8>>>);

    impl Write for Written {
        fn write(&mut self, text: &[u8]) -> io::Result<usize> {
            self.0.lock().unwrap().write(text)
        }
        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    fn logged(format: LogFormat, events: impl FnOnce()) -> String {
        let written = Written::default();
        let writer = written.clone();
        let subscriber = tracing_subscriber::registry().with(RateLimit::default()).with(lines(
            format,
            false,
            move || writer.clone(),
        ));
        tracing::subscriber::with_default(subscriber, events);
        String::from_utf8(std::mem::take(&mut *written.0.lock().unwrap())).unwrap()
    }

    #[test]
    fn a_line_of_json_has_each_field_under_its_own_name_and_the_call_it_is_about() {
        let line = logged(LogFormat::Json, || {
            let _call = tracing::info_span!("call", call = "CA1", tenant = "acme").entered();
            tracing::info!(reason = "caller-hung-up", frames_sent = 7_u64, "the call is over");
        });

        let line: serde_json::Value = serde_json::from_str(&line).unwrap();
        assert_eq!(line["message"], "the call is over");
        assert_eq!(line["reason"], "caller-hung-up");
        assert_eq!(line["frames_sent"], 7);
        assert_eq!(line["span"]["call"], "CA1");
        assert_eq!(line["span"]["tenant"], "acme");
    }

    #[test]
    fn events_from_outside_have_one_line_and_all_others_each_their_own() {
        let text = logged(LogFormat::Text, || {
            for _ in 0..100 {
                tracing::warn!(target: OUTSIDE, "a request was refused");
                tracing::warn!("the model is lost");
            }
        });

        assert_eq!(text.matches("a request was refused").count(), 1);
        assert_eq!(text.matches("the model is lost").count(), 100);
    }

    #[test]
    fn a_named_pipe_or_a_directory_is_no_log_file() {
        let place = tempfile::tempdir().unwrap();
        let pipe = place.path().join("pipe");
        let made = std::process::Command::new("mkfifo").arg(&pipe).status().unwrap();
        assert!(made.success());

        assert!(Place::open(Some(&pipe)).is_err());
        assert!(Place::open(Some(place.path())).is_err());
    }

    #[test]
    fn a_log_file_that_was_moved_away_is_begun_anew() {
        let place = tempfile::tempdir().unwrap();
        let (path, moved) = (place.path().join("log"), place.path().join("log.1"));
        let mut log = Place::open(Some(&path)).unwrap();
        log.write_all(b"old\n").unwrap();
        std::fs::rename(&path, &moved).unwrap();
        log.reopen().unwrap();
        log.write_all(b"new\n").unwrap();

        assert_eq!(std::fs::read_to_string(path).unwrap(), "new\n");
        assert_eq!(std::fs::read_to_string(moved).unwrap(), "old\n");
    }
}
