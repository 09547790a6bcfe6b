//! What a load found out.

use std::collections::BTreeMap;
use std::time::Duration;

use serde::Serialize;

use super::LoadPlan;

/// The figures of a whole load.
#[derive(Debug, Clone, Default, Serialize)]
pub struct LoadReport {
    /// Calls that were to be placed.
    pub calls: u32,
    /// Calls whose stream was opened and went on to its end.
    pub completed: u32,
    /// How long each carried its signal, in s.
    pub seconds: f64,
    /// Frames sent by the carrier.
    pub frames_sent: u64,
    /// Frames of 160 bytes received.
    pub frames_received: u64,
    /// Messages they came in.
    pub messages_received: u64,
    /// Traced frames sent; of these:
    pub traced: u64,
    /// never came back,
    pub lost: u64,
    /// of which in one call in a row,
    pub lost_in_a_row_max: u64,
    /// came back more than once or out of order,
    pub repeated: u64,
    /// came back changed.
    pub changed: u64,
    /// Audible gaps in all calls together.
    pub gaps: u64,
    /// Their length, in ms.
    pub gap_ms: f64,
    /// The longest of them, in ms.
    pub gap_ms_max: f64,
    /// From a frame's sending to its return (trace, click), in ms.
    pub latency_ms: Option<Percentiles>,
    /// How late the carrier's own timer sent frames, in ms: the noise of the measurement.
    pub own_lateness_ms: Option<Percentiles>,
    /// From the first request to the open stream, in ms.
    pub setup_ms: Option<Percentiles>,
    /// Second by second since the load began.
    pub seconds_one_by_one: Vec<Second>,
    /// When the load began, in ms since 1970.
    pub began_unix_ms: u64,
    /// By call, a digest of as many bytes as it carried signal: the first that came. Two loads of one signal heard the same, byte by
    /// byte, where these are the same. `None` where fewer bytes came.
    pub heard: Vec<Option<String>>,
    /// What went wrong, and how often.
    pub errors: BTreeMap<String, u32>,
    /// CPU time of this process, in s.
    pub own_cpu_seconds: Option<f64>,
    /// The observed process.
    pub observed: Option<Observed>,
}

/// What happened in one second of a load.
#[derive(Debug, Clone, Serialize)]
pub struct Second {
    /// From a frame's sending to its return, of those that returned in it, in ms.
    pub latency_ms: Option<Percentiles>,
    /// How late the carrier's own timer sent frames, in ms.
    pub own_lateness_ms: Option<Percentiles>,
}

/// What the observed process used.
#[derive(Debug, Clone, Serialize)]
pub struct Observed {
    /// Its id.
    pub pid: u32,
    /// CPU time, user and system, in s.
    pub cpu_seconds: f64,
    /// CPU time per call and second of call, in ms.
    pub cpu_ms_per_call_second: f64,
    /// Resident memory at its highest, in MiB.
    pub rss_mib_max: f64,
    /// Growth of resident memory per call, in KiB.
    pub rss_kib_per_call: f64,
}

/// The usual quantiles.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct Percentiles {
    /// Half are below.
    pub p50: f64,
    /// 90 in 100 are below.
    pub p90: f64,
    /// 99 in 100 are below.
    pub p99: f64,
    /// The greatest.
    pub max: f64,
}

impl Percentiles {
    /// Sorts the microseconds and picks; `None` if there are none.
    pub fn of_micros(mut micros: Vec<u32>) -> Option<Self> {
        if micros.is_empty() {
            return None;
        }
        micros.sort_unstable();
        let at = |q: f64| {
            let n = ((micros.len() as f64 * q).ceil() as usize).clamp(1, micros.len());
            f64::from(micros[n - 1]) / 1000.0
        };
        Some(Self { p50: at(0.5), p90: at(0.9), p99: at(0.99), max: at(1.0) })
    }
}

/// Durations by the second of the load in which they were measured.
#[derive(Debug, Default)]
pub(super) struct Durations(Vec<(u16, u32)>);

impl Durations {
    pub(super) fn push(&mut self, second: u64, micros: u32) {
        self.0.push((u16::try_from(second).unwrap_or(u16::MAX), micros));
    }

    fn percentiles(&self) -> Option<Percentiles> {
        Percentiles::of_micros(self.0.iter().map(|(_, micros)| *micros).collect())
    }

    fn seconds(&self) -> usize {
        self.0.iter().map(|(second, _)| usize::from(*second) + 1).max().unwrap_or(0)
    }

    fn second_by_second(&self, seconds: usize) -> impl Iterator<Item = Option<Percentiles>> {
        let mut by_second = vec![Vec::new(); seconds];
        for (second, micros) in &self.0 {
            by_second[usize::from(*second)].push(*micros);
        }
        by_second.into_iter().map(Percentiles::of_micros)
    }
}

/// What one call found out.
#[derive(Debug, Default)]
pub(super) struct Figures {
    pub(super) n: usize,
    pub(super) completed: bool,
    pub(super) frames_sent: u64,
    pub(super) bytes_received: u64,
    pub(super) messages_received: u64,
    pub(super) traced: u64,
    pub(super) lost: u64,
    pub(super) lost_in_a_row_max: u64,
    pub(super) repeated: u64,
    pub(super) changed: u64,
    pub(super) gaps: u64,
    pub(super) gap_samples: u64,
    pub(super) gap_samples_max: u64,
    pub(super) latency: Durations,
    pub(super) lateness: Durations,
    pub(super) heard: Option<u64>,
    pub(super) setup_micros: Option<u32>,
    pub(super) errors: Vec<String>,
}

impl Figures {
    /// Counts frames that came after one another and are missing.
    pub(super) fn lose(&mut self, in_a_row: u64) {
        self.lost += in_a_row;
        self.lost_in_a_row_max = self.lost_in_a_row_max.max(in_a_row);
    }
}

/// All calls together.
#[derive(Debug, Default)]
pub(super) struct Sum {
    report: LoadReport,
    latency: Durations,
    lateness: Durations,
    setup: Vec<u32>,
    bytes_received: u64,
}

impl Sum {
    pub(super) fn beginning(unix: Duration) -> Self {
        let mut sum = Self::default();
        sum.report.began_unix_ms = u64::try_from(unix.as_millis()).unwrap_or(u64::MAX);
        sum
    }

    pub(super) fn add(&mut self, call: Figures) {
        let report = &mut self.report;
        report.completed += u32::from(call.completed);
        report.frames_sent += call.frames_sent;
        report.messages_received += call.messages_received;
        report.traced += call.traced;
        report.lost += call.lost;
        report.lost_in_a_row_max = report.lost_in_a_row_max.max(call.lost_in_a_row_max);
        report.repeated += call.repeated;
        report.changed += call.changed;
        report.gaps += call.gaps;
        report.gap_ms += call.gap_samples as f64 / 8.0;
        report.gap_ms_max = report.gap_ms_max.max(call.gap_samples_max as f64 / 8.0);
        for error in call.errors {
            *report.errors.entry(error).or_default() += 1;
        }
        self.bytes_received += call.bytes_received;
        self.latency.0.extend(call.latency.0);
        self.lateness.0.extend(call.lateness.0);
        if report.heard.len() <= call.n {
            report.heard.resize(call.n + 1, None);
        }
        report.heard[call.n] = call.heard.map(|digest| format!("{digest:016x}"));
        self.setup.extend(call.setup_micros);
    }

    pub(super) fn finish(
        self,
        plan: &LoadPlan,
        (before, after, peak_rss): (Option<Usage>, Option<Usage>, u64),
        (own_before, own_after): (Option<Usage>, Option<Usage>),
    ) -> LoadReport {
        let mut report = self.report;
        report.calls = plan.calls;
        report.seconds = plan.length.as_secs_f64();
        report.frames_received = self.bytes_received / 160;
        report.latency_ms = self.latency.percentiles();
        report.own_lateness_ms = self.lateness.percentiles();
        let seconds = self.latency.seconds().max(self.lateness.seconds());
        let both =
            self.latency.second_by_second(seconds).zip(self.lateness.second_by_second(seconds));
        report.seconds_one_by_one = both
            .map(|(latency_ms, own_lateness_ms)| Second { latency_ms, own_lateness_ms })
            .collect();
        report.setup_ms = Percentiles::of_micros(self.setup);
        if let (Some(before), Some(after)) = (own_before, own_after) {
            report.own_cpu_seconds = Some(after.cpu_seconds - before.cpu_seconds);
        }
        if let (Some(before), Some(after), Some(pid)) = (before, after, plan.observe_pid) {
            let cpu_seconds = after.cpu_seconds - before.cpu_seconds;
            let call_seconds = (report.frames_sent as f64 / 50.0).max(1.0);
            let growth = peak_rss.saturating_sub(before.rss_bytes) as f64;
            report.observed = Some(Observed {
                pid,
                cpu_seconds,
                cpu_ms_per_call_second: cpu_seconds * 1000.0 / call_seconds,
                rss_mib_max: peak_rss as f64 / f64::from(1 << 20),
                rss_kib_per_call: growth / 1024.0 / f64::from(plan.calls.max(1)),
            });
        }
        report
    }
}

/// What a process has used so far.
#[derive(Debug, Clone, Copy)]
pub(super) struct Usage {
    cpu_seconds: f64,
    pub(super) rss_bytes: u64,
}

impl Usage {
    /// Reads `/proc`; `None` where there is none, or no such process.
    pub(super) fn read(pid: Option<u32>) -> Option<Self> {
        /// Linux counts CPU time in hundredths of a second for every user program.
        const TICKS_PER_SECOND: f64 = 100.0;
        let pid = pid?;
        let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
        // The name, in parentheses, may contain spaces: fields are counted from behind it.
        let fields: Vec<&str> = stat.rsplit_once(')')?.1.split_whitespace().collect();
        let ticks = fields.get(11)?.parse::<f64>().ok()? + fields.get(12)?.parse::<f64>().ok()?;
        let status = std::fs::read_to_string(format!("/proc/{pid}/status")).ok()?;
        let rss = status.lines().find_map(|line| line.strip_prefix("VmRSS:"))?;
        let kib: u64 = rss.trim().trim_end_matches("kB").trim().parse().ok()?;
        Some(Self { cpu_seconds: ticks / TICKS_PER_SECOND, rss_bytes: kib * 1024 })
    }
}

impl std::fmt::Display for LoadReport {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let line = |p: &Percentiles| {
            format!("p50 {:.2}  p90 {:.2}  p99 {:.2}  max {:.2} ms", p.p50, p.p90, p.p99, p.max)
        };
        writeln!(f, "calls          {} placed, {} went well", self.calls, self.completed)?;
        writeln!(
            f,
            "frames         {} sent, {} received in {} messages",
            self.frames_sent, self.frames_received, self.messages_received
        )?;
        if self.traced > 0 {
            writeln!(
                f,
                "traced         {} sent: {} lost, {} repeated, {} changed",
                self.traced, self.lost, self.repeated, self.changed
            )?;
        }
        writeln!(f, "audible gaps   {} ({:.0} ms in all)", self.gaps, self.gap_ms)?;
        if let Some(latency) = &self.latency_ms {
            writeln!(f, "there and back {}", line(latency))?;
        }
        if let Some(lateness) = &self.own_lateness_ms {
            writeln!(f, "own timer late {}", line(lateness))?;
        }
        if let Some(setup) = &self.setup_ms {
            writeln!(f, "set up in      {}", line(setup))?;
        }
        if let Some(cpu) = self.own_cpu_seconds {
            writeln!(f, "own CPU        {cpu:.2} s")?;
        }
        if let Some(observed) = &self.observed {
            writeln!(
                f,
                "process {:<6} {:.2} s CPU, {:.2} ms per call-second, {:.1} MiB at most, {:.0} KiB more per call",
                observed.pid,
                observed.cpu_seconds,
                observed.cpu_ms_per_call_second,
                observed.rss_mib_max,
                observed.rss_kib_per_call
            )?;
        }
        for (error, count) in &self.errors {
            writeln!(f, "error          {count} x {error}")?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn percentiles_are_values_that_occurred() {
        let p = Percentiles::of_micros((1..=1000).rev().map(|n| n * 1000).collect()).unwrap();
        assert_eq!((p.p50, p.p90, p.p99, p.max), (500.0, 900.0, 990.0, 1000.0));
        assert_eq!(Percentiles::of_micros(Vec::new()), None);
    }

    #[test]
    fn a_slow_second_is_found_again() {
        let mut latency = Durations::default();
        for (second, micros) in [(0, 1000), (2, 9000), (0, 3000)] {
            latency.push(second, micros);
        }
        let max: Vec<_> =
            latency.second_by_second(latency.seconds()).map(|it| it.map(|it| it.max)).collect();
        assert_eq!(max, [Some(3.0), None, Some(9.0)]);
    }

    #[test]
    fn the_usage_of_this_process_can_be_read() {
        let usage = Usage::read(Some(std::process::id()));
        assert!(usage.is_none_or(|usage| usage.rss_bytes > 0));
    }
}
