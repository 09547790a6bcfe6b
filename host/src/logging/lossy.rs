//! A bounded buffer between those who log and whoever reads the log.
//!
//! **One rule: who logs never waits.** A line is copied into the buffer or dropped and counted; one
//! thread of its own writes the buffer out, and is the only one to stand still when a pipe is full
//! or a disk hangs.
//!
//! Not `tracing-appender`: its queue is bounded by lines and not by bytes, it can not open its file
//! again, and says nothing in the log about what is missing there.

use std::io::{self, ErrorKind, Write};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

/// Where lines go in the end.
pub(super) trait Sink: Write + Send + 'static {
    /// Opens the same place again, after somebody moved the file away.
    ///
    /// # Errors
    /// It can not be opened; the old one is kept.
    fn reopen(&mut self) -> io::Result<()>;
}

/// Takes lines and never blocks; clones share one buffer.
#[derive(Clone)]
pub(super) struct Lossy(Arc<Shared>);

/// What the thread has to say after a round of writing.
#[derive(Debug, Default)]
pub(super) struct Round {
    /// Lines lost since this was last told; told only after something could be written.
    pub(super) dropped: u64,
    /// Why the place could not be opened again.
    pub(super) not_reopened: Option<io::Error>,
}

/// Shared between those who log and one thread. A lock, for many write and one reads; it is held
/// for copying one line, never while anything is written out.
struct Shared {
    buffer: Mutex<Buffer>,
    filled: Condvar,
    written: Condvar,
}

impl Lossy {
    /// Starts the thread. `after` is called on it after each round, and at least once in `every`;
    /// what it logs itself comes next.
    ///
    /// # Errors
    /// The system has no thread to give.
    pub(super) fn start(
        sink: impl Sink,
        bytes_max: usize,
        every: Duration,
        after: impl FnMut(Round) + Send + 'static,
    ) -> io::Result<Self> {
        let shared = Arc::new(Shared {
            buffer: Mutex::new(Buffer { bytes_max, ..Buffer::default() }),
            filled: Condvar::new(),
            written: Condvar::new(),
        });
        let thread = Arc::clone(&shared);
        std::thread::Builder::new()
            .name("log".to_owned())
            .spawn(move || thread.write_out(sink, every, after))?;
        Ok(Self(shared))
    }

    /// Lines lost since the start.
    pub(super) fn dropped(&self) -> u64 {
        self.0.lock().dropped
    }

    /// Has the thread open its place again, before it writes anything else.
    pub(super) fn reopen(&self) {
        self.0.lock().reopen = true;
        self.0.filled.notify_one();
    }

    /// Waits until all is written, or for `within`.
    pub(super) fn flush(&self, within: Duration) {
        let ends = Instant::now() + within;
        let mut buffer = self.0.lock();
        while buffer.is_pending() {
            let left = ends.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return;
            }
            let waited = self.0.written.wait_timeout(buffer, left);
            buffer = waited.unwrap_or_else(PoisonError::into_inner).0;
        }
    }
}

impl Write for Lossy {
    /// Takes a whole line at once: the formatter writes each with one call.
    fn write(&mut self, line: &[u8]) -> io::Result<usize> {
        self.0.lock().push(line);
        self.0.filled.notify_one();
        Ok(line.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, Buffer> {
        // Every change is whole before anything in it can panic.
        self.buffer.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn write_out(&self, mut sink: impl Sink, every: Duration, mut after: impl FnMut(Round)) -> ! {
        let mut text = Vec::new();
        loop {
            let work = self.wait(&mut text, every);
            let mut round = Round::default();
            if work.reopen {
                round.not_reopened = sink.reopen().err();
            }
            let written = write_whole(&mut sink, &text);
            {
                let mut buffer = self.lock();
                buffer.writing = false;
                match written {
                    Ok(()) if work.lines > 0 => round.dropped = buffer.take_untold(),
                    Ok(()) => {}
                    Err(_) => buffer.lose(work.lines),
                }
            }
            self.written.notify_all();
            after(round);
        }
    }

    fn wait(&self, text: &mut Vec<u8>, every: Duration) -> Work {
        let buffer = self.lock();
        let waited = self.filled.wait_timeout_while(buffer, every, |buffer| !buffer.has_work());
        waited.unwrap_or_else(PoisonError::into_inner).0.take(text)
    }
}

/// What the thread is to do, beside the text.
struct Work {
    lines: u64,
    reopen: bool,
}

/// The lines that wait, and what became of the others.
#[derive(Default)]
struct Buffer {
    text: Vec<u8>,
    bytes_max: usize,
    lines: u64,
    dropped: u64,
    told: u64,
    reopen: bool,
    /// Whether the thread has lines in its hands.
    writing: bool,
}

impl Buffer {
    fn push(&mut self, line: &[u8]) {
        if self.text.len() + line.len() > self.bytes_max {
            self.lose(1);
        } else {
            self.text.extend_from_slice(line);
            self.lines += 1;
        }
    }

    fn lose(&mut self, lines: u64) {
        self.dropped += lines;
    }

    fn has_work(&self) -> bool {
        self.lines > 0 || self.reopen
    }

    fn is_pending(&self) -> bool {
        self.has_work() || self.writing
    }

    /// Exchanges the full buffer for the empty one in `text`, so that at most twice the bound is
    /// kept.
    fn take(&mut self, text: &mut Vec<u8>) -> Work {
        text.clear();
        std::mem::swap(text, &mut self.text);
        self.writing = true;
        Work { lines: std::mem::take(&mut self.lines), reopen: std::mem::take(&mut self.reopen) }
    }

    fn take_untold(&mut self) -> u64 {
        let untold = self.dropped - self.told;
        self.told = self.dropped;
        untold
    }
}

/// A pipe that another program made non-blocking says `WouldBlock`; on this thread one may wait for
/// it.
fn write_whole(sink: &mut impl Write, mut text: &[u8]) -> io::Result<()> {
    while !text.is_empty() {
        match sink.write(text) {
            Ok(0) => return Err(ErrorKind::WriteZero.into()),
            Ok(count) => text = &text[count..],
            Err(error) if error.kind() == ErrorKind::Interrupted => {}
            Err(error) if error.kind() == ErrorKind::WouldBlock => std::thread::sleep(BREATH),
            Err(error) => return Err(error),
        }
    }
    sink.flush()
}

/// The pause before a non-blocking pipe is tried again.
const BREATH: Duration = Duration::from_millis(20);

#[cfg(test)]
mod tests {
    use std::sync::mpsc;

    use super::*;

    /// Writes only what it is let, and shows what it wrote.
    struct Gate {
        open: mpsc::Receiver<io::Result<()>>,
        entered: mpsc::Sender<()>,
        wrote: mpsc::Sender<String>,
    }

    impl Write for Gate {
        fn write(&mut self, text: &[u8]) -> io::Result<usize> {
            let _ = self.entered.send(());
            self.open.recv().unwrap_or(Ok(()))?;
            let _ = self.wrote.send(String::from_utf8_lossy(text).into_owned());
            Ok(text.len())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    impl Sink for Gate {
        fn reopen(&mut self) -> io::Result<()> {
            let _ = self.wrote.send("reopened".to_owned());
            Ok(())
        }
    }

    struct Gated {
        lossy: Lossy,
        open: mpsc::Sender<io::Result<()>>,
        entered: mpsc::Receiver<()>,
        wrote: mpsc::Receiver<String>,
        told: mpsc::Receiver<u64>,
    }

    fn gated(bytes_max: usize) -> Gated {
        let (open, gate) = mpsc::channel();
        let (enter, entered) = mpsc::channel();
        let (write, wrote) = mpsc::channel();
        let (tell, told) = mpsc::channel();
        let sink = Gate { open: gate, entered: enter, wrote: write };
        let after = move |round: Round| {
            if round.dropped > 0 {
                let _ = tell.send(round.dropped);
            }
        };
        let lossy = Lossy::start(sink, bytes_max, Duration::from_secs(3600), after).unwrap();
        Gated { lossy, open, entered, wrote, told }
    }

    #[test]
    fn a_reader_that_stands_still_costs_lines_and_no_time_and_hears_how_many() {
        let mut gated = gated(8);
        gated.lossy.write_all(b"first\n").unwrap();
        gated.entered.recv().unwrap();

        for line in [b"kept 1\n", b"lost 1\n", b"lost 2\n"] {
            gated.lossy.write_all(line).unwrap();
        }
        assert_eq!(gated.lossy.dropped(), 2);
        gated.lossy.flush(Duration::ZERO);
        gated.open.send(Ok(())).unwrap();
        gated.open.send(Ok(())).unwrap();

        assert_eq!(gated.wrote.recv().unwrap(), "first\n");
        assert_eq!(gated.told.recv().unwrap(), 2);
        assert_eq!(gated.wrote.recv().unwrap(), "kept 1\n");
        gated.lossy.flush(Duration::from_secs(60));
        assert_eq!(gated.told.try_recv(), Err(mpsc::TryRecvError::Empty), "told twice");
    }

    #[test]
    fn lines_that_can_not_be_written_are_counted_and_told_with_the_next_that_can() {
        let mut gated = gated(100);
        gated.open.send(Err(ErrorKind::StorageFull.into())).unwrap();
        gated.lossy.write_all(b"lost\n").unwrap();
        gated.lossy.flush(Duration::from_secs(60));
        assert_eq!(gated.lossy.dropped(), 1);
        assert!(gated.told.try_recv().is_err());

        gated.open.send(Ok(())).unwrap();
        gated.lossy.write_all(b"there is room again\n").unwrap();

        assert_eq!(gated.told.recv().unwrap(), 1);
    }

    #[test]
    fn a_file_is_opened_again_before_anything_else_is_written() {
        let mut gated = gated(100);
        gated.lossy.write_all(b"old\n").unwrap();
        gated.entered.recv().unwrap();
        gated.lossy.write_all(b"new\n").unwrap();
        gated.lossy.reopen();
        gated.open.send(Ok(())).unwrap();
        gated.open.send(Ok(())).unwrap();

        let wrote: Vec<String> = gated.wrote.iter().take(3).collect();
        assert_eq!(wrote, ["old\n", "reopened", "new\n"]);
    }

    #[test]
    fn a_pipe_that_is_full_for_a_moment_gets_the_rest_of_the_line_later() {
        struct Slow(Vec<u8>, u32);
        impl Write for Slow {
            fn write(&mut self, text: &[u8]) -> io::Result<usize> {
                self.1 += 1;
                if self.1 % 2 == 1 {
                    return Err(ErrorKind::WouldBlock.into());
                }
                self.0.push(text[0]);
                Ok(1)
            }
            fn flush(&mut self) -> io::Result<()> {
                Ok(())
            }
        }
        let mut slow = Slow(Vec::new(), 0);

        write_whole(&mut slow, b"abc").unwrap();

        assert_eq!(slow.0, b"abc");
    }
}
