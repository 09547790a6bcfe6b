//! What a guest says: its `log` calls, its stdout and its stderr, line by line, bounded and harmless.
//!
//! A log is read by people in terminals. So control characters and the ones that turn text around are
//! written as escapes, lines are cut, and a guest that says too much is silenced until the next second of its
//! call, with one line about how much was left out.

use std::fmt::Write as _;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use crate::limits::fixed::LOG_LINE_BYTES_MAX;

/// How much a guest thinks a line matters. Stdout is [`LogLevel::Debug`] and stderr [`LogLevel::Warn`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
#[expect(missing_docs, reason = "the five usual levels")]
pub enum LogLevel {
    Trace,
    Debug,
    Info,
    Warn,
    Error,
}

/// Where a guest's lines go.
pub trait LogSink: Send + Sync {
    /// Takes one line, without its newline; nothing in it needs escaping.
    fn line(&self, level: LogLevel, line: &str);
}

/// Guests' lines as `tracing` events of the target `tenant`, so that `RUST_LOG=tenant=info` shows them.
#[derive(Debug, Clone)]
pub struct TracingLog {
    /// Whose line it is.
    pub tenant: String,
    /// In which call.
    pub call_id: String,
}

impl LogSink for TracingLog {
    fn line(&self, level: LogLevel, line: &str) {
        let Self { tenant, call_id } = self;
        match level {
            LogLevel::Trace => tracing::trace!(target: "tenant", tenant, call_id, "{line}"),
            LogLevel::Debug => tracing::debug!(target: "tenant", tenant, call_id, "{line}"),
            LogLevel::Info => tracing::info!(target: "tenant", tenant, call_id, "{line}"),
            LogLevel::Warn => tracing::warn!(target: "tenant", tenant, call_id, "{line}"),
            LogLevel::Error => tracing::error!(target: "tenant", tenant, call_id, "{line}"),
        }
    }
}

/// One of a guest's two output streams.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Stream {
    Stdout,
    Stderr,
}

/// The log of one instance.
///
/// Behind a lock, because WASI's output streams live apart from the rest of the store's state; both are used
/// by one guest on one stack, so nobody ever waits for it.
#[derive(Clone)]
pub(crate) struct GuestLog(Arc<Mutex<Logbook>>);

impl GuestLog {
    pub(crate) fn new(sink: Arc<dyn LogSink>, per_second: usize, total: usize) -> Self {
        Self(Arc::new(Mutex::new(Logbook {
            sink,
            quota: Quota { per_second, total, second: 0, said: 0, said_ever: 0, left_out: 0 },
            stdout: String::new(),
            stderr: String::new(),
            last_words: String::new(),
        })))
    }

    /// Begins an event: the clock moves, and earlier words are no longer the last ones.
    pub(crate) fn begin(&self, now_ms: u64) {
        let mut book = self.lock();
        book.last_words.clear();
        if let Some(left_out) = book.quota.begin(now_ms) {
            book.sink.line(LogLevel::Warn, &format!("{left_out} lines of log left out: too many"));
        }
    }

    /// Takes a whole message from the guest's `log` import.
    pub(crate) fn message(&self, level: LogLevel, message: &str) {
        let mut book = self.lock();
        for line in message.lines().filter(|line| !line.is_empty()) {
            // An interpreter's traceback comes this way: it has no stderr.
            if level == LogLevel::Error {
                book.remember(line);
            }
            // A message of a hundred thousand lines is one message too many.
            if !book.say(level, line) {
                return;
            }
        }
    }

    /// Takes the next bytes of a stream; a line is said once it is whole.
    pub(crate) fn write(&self, stream: Stream, bytes: &[u8]) {
        let text = String::from_utf8_lossy(bytes);
        let mut book = self.lock();
        for piece in text.split_inclusive('\n') {
            let room = LOG_LINE_BYTES_MAX.saturating_sub(book.partial(stream).len());
            let whole = piece.strip_suffix('\n');
            let kept = cut(whole.unwrap_or(piece), room);
            book.partial(stream).push_str(kept);
            if whole.is_some() {
                book.end_line(stream);
            }
        }
    }

    /// What the guest wrote to stderr, or logged as an error, since [`GuestLog::begin`], on one line; also says what had no newline yet.
    pub(crate) fn last_words(&self) -> String {
        let mut book = self.lock();
        for stream in [Stream::Stdout, Stream::Stderr] {
            if !book.partial(stream).is_empty() {
                book.end_line(stream);
            }
        }
        std::mem::take(&mut book.last_words)
    }

    fn lock(&self) -> MutexGuard<'_, Logbook> {
        // A sink that panicked has lost its own line and nothing else.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

struct Logbook {
    sink: Arc<dyn LogSink>,
    quota: Quota,
    stdout: String,
    stderr: String,
    last_words: String,
}

impl Logbook {
    fn partial(&mut self, stream: Stream) -> &mut String {
        match stream {
            Stream::Stdout => &mut self.stdout,
            Stream::Stderr => &mut self.stderr,
        }
    }

    fn end_line(&mut self, stream: Stream) {
        let line = std::mem::take(self.partial(stream));
        let level = match stream {
            Stream::Stdout => LogLevel::Debug,
            Stream::Stderr => LogLevel::Warn,
        };
        if stream == Stream::Stderr {
            self.remember(&line);
        }
        if !line.is_empty() {
            self.say(level, &line);
        }
    }

    /// Keeps a line as what may turn out to be the last words.
    fn remember(&mut self, line: &str) {
        if line.is_empty() || self.last_words.len() >= LOG_LINE_BYTES_MAX {
            return;
        }
        if !self.last_words.is_empty() {
            self.last_words.push_str(" / ");
        }
        self.last_words.push_str(&harmless(cut(line, LOG_LINE_BYTES_MAX)));
    }

    /// Passes a line on, if the quota has room for it.
    fn say(&mut self, level: LogLevel, line: &str) -> bool {
        let line = cut(line, LOG_LINE_BYTES_MAX);
        let fits = self.quota.allows(line.len() + LINE_COST);
        if fits {
            self.sink.line(level, &harmless(line));
        }
        fits
    }
}

/// What a line costs beside its text, in bytes of the quota: its time, its target and its fields are written as well,
/// so that a flood of short lines is a flood.
const LINE_COST: usize = 64;

/// How much of a log is let through.
struct Quota {
    per_second: usize,
    total: usize,
    second: u64,
    said: usize,
    said_ever: usize,
    left_out: u64,
}

impl Quota {
    /// Moves the clock; in a new second tells how many lines were left out before.
    fn begin(&mut self, now_ms: u64) -> Option<u64> {
        let second = now_ms / 1_000;
        if second == self.second {
            return None;
        }
        self.second = second;
        self.said = 0;
        match std::mem::take(&mut self.left_out) {
            0 => None,
            left_out => Some(left_out),
        }
    }

    fn allows(&mut self, bytes: usize) -> bool {
        let fits = self.said + bytes <= self.per_second && self.said_ever + bytes <= self.total;
        if fits {
            self.said += bytes;
            self.said_ever += bytes;
        } else {
            self.left_out += 1;
        }
        fits
    }
}

/// The longest beginning of `text` that is no longer than `bytes` and does not split a character.
fn cut(text: &str, bytes: usize) -> &str {
    &text[..text.floor_char_boundary(bytes)]
}

/// The line with everything that could act on a terminal or on the reader's eyes written as an escape.
fn harmless(line: &str) -> String {
    let mut out = String::with_capacity(line.len());
    for c in line.chars() {
        if c.is_control() || turns_text(c) {
            write!(out, "{}", c.escape_default()).expect("writing to a string succeeds");
        } else {
            out.push(c);
        }
    }
    out
}

/// Characters that change the direction or the lines of the text around them.
fn turns_text(c: char) -> bool {
    matches!(c, '\u{61c}' | '\u{200e}' | '\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Default)]
    struct Kept(Mutex<Vec<(LogLevel, String)>>);

    impl LogSink for Kept {
        fn line(&self, level: LogLevel, line: &str) {
            self.0.lock().unwrap().push((level, line.to_owned()));
        }
    }

    fn log(per_second: usize, total: usize) -> (GuestLog, Arc<Kept>) {
        let kept = Arc::new(Kept::default());
        (GuestLog::new(Arc::clone(&kept) as _, per_second, total), kept)
    }

    fn lines(kept: &Kept) -> Vec<String> {
        kept.0.lock().unwrap().iter().map(|(_, line)| line.clone()).collect()
    }

    #[test]
    fn terminal_escapes_and_turned_text_are_shown_not_obeyed() {
        let (log, kept) = log(1_000, 1_000);

        log.message(LogLevel::Info, "a\x1b[2Jb\u{202e}c\td\nsecond é");

        assert_eq!(lines(&kept), ["a\\u{1b}[2Jb\\u{202e}c\\td", "second é"]);
    }

    #[test]
    fn a_stream_is_said_line_by_line_however_it_is_chunked() {
        let (log, kept) = log(1_000, 1_000);

        for chunk in ["one", " line\ntwo", "\n\nthree"] {
            log.write(Stream::Stdout, chunk.as_bytes());
        }

        assert_eq!(lines(&kept), ["one line", "two"]);
        assert_eq!(log.last_words(), "", "stdout has no last words");
        assert_eq!(lines(&kept), ["one line", "two", "three"]);
    }

    #[test]
    fn a_flood_is_silenced_until_the_next_second_and_counted() {
        let (log, kept) = log(2 * (LINE_COST + 5), 1_000);

        for _ in 0..5 {
            log.message(LogLevel::Info, "12345");
        }
        log.begin(1_000);
        log.message(LogLevel::Info, "again");

        let expected = ["12345", "12345", "3 lines of log left out: too many", "again"];
        assert_eq!(lines(&kept), expected);
    }

    #[test]
    fn a_message_of_nothing_but_newlines_is_nothing_and_one_of_short_lines_a_flood() {
        let (log, kept) = log(3 * (LINE_COST + 1), 1 << 20);

        log.message(LogLevel::Info, &"\n".repeat(1 << 18));
        log.message(LogLevel::Info, &"x\n".repeat(1 << 17));

        assert_eq!(lines(&kept), ["x", "x", "x"]);
    }

    #[test]
    fn a_log_has_an_end() {
        let (log, kept) = log(LINE_COST + 10, 2 * (LINE_COST + 10) + 5);

        for second in 0..100 {
            log.begin(second * 1_000);
            log.message(LogLevel::Info, "1234567890");
        }

        let said = lines(&kept).iter().filter(|line| *line == "1234567890").count();
        assert_eq!(said, 2);
    }

    #[test]
    fn an_interpreters_traceback_is_its_last_words_and_of_that_event_alone() {
        let (log, _) = log(1 << 20, 1 << 20);

        log.begin(0);
        log.message(LogLevel::Error, "Traceback:\n  KeyError: 'hours'");
        log.message(LogLevel::Info, "a line of the day");
        let told = log.last_words();
        log.message(LogLevel::Error, "an earlier event's");
        log.begin(20);

        assert_eq!(told, "Traceback: /   KeyError: 'hours'");
        assert_eq!(log.last_words(), "");
    }

    #[test]
    fn an_endless_line_is_cut() {
        let (log, kept) = log(1 << 20, 1 << 20);

        for _ in 0..10_000 {
            log.write(Stream::Stderr, "endless é".as_bytes());
        }
        log.write(Stream::Stderr, b"\n");

        assert_eq!(lines(&kept).len(), 1);
        assert!(lines(&kept)[0].len() <= LOG_LINE_BYTES_MAX);
    }
}
