//! The report for people: the first failure first and whole, then the rest, then the figures.

use std::fmt::Write as _;

use cordboard_tenant::FUEL_PER_MS;

use super::{Case, Finding, Outcome, Report, Suite};

/// Failures that are told in full; of the others the titles.
const IN_FULL: usize = 3;

pub(super) fn write(report: &Report) -> String {
    let mut out = String::new();
    let failed = report.findings().count();
    for (nth, (case, finding)) in report.findings().enumerate() {
        if nth < IN_FULL {
            write_finding(&mut out, case, finding);
        } else {
            line(&mut out, format_args!("FAILED {}: {}: {}", case.suite, case.name, finding.title));
        }
    }
    if failed > 0 {
        out.push('\n');
    }
    line(&mut out, format_args!("{} ({} KiB)", report.component, report.component_bytes / 1024));
    for suite in [Suite::Scenario, Suite::Abuse, Suite::Swap, Suite::Determinism] {
        write_suite(&mut out, report, suite);
    }
    for observation in &report.observations {
        line(&mut out, format_args!("  note         {observation}"));
    }
    write_figures(&mut out, report);
    match failed {
        0 => out.push_str("\npassed\n"),
        1 => out.push_str("\n1 failure; it stands at the top\n"),
        n => line(&mut out, format_args!("\n{n} failures; the first to act on stands at the top")),
    }
    out
}

fn line(out: &mut String, text: std::fmt::Arguments<'_>) {
    writeln!(out, "{text}").expect("writing to a string succeeds");
}

fn write_finding(out: &mut String, case: &Case, finding: &Finding) {
    line(out, format_args!("FAILED {}: {}", case.suite, case.name));
    line(out, format_args!("  {}", finding.title));
    let place = [("where", finding.place.as_str())];
    let details = finding.details.iter().map(|(label, text)| (*label, text.as_str()));
    let hint = finding.hint.as_deref().map(|hint| ("change", hint));
    for (label, text) in place.into_iter().chain(details).chain(hint) {
        let mut lines = text.lines();
        line(out, format_args!("    {label:<9} {}", lines.next().unwrap_or_default()));
        for more in lines {
            line(out, format_args!("              {more}"));
        }
    }
}

fn write_suite(out: &mut String, report: &Report, suite: Suite) {
    let cases: Vec<_> = report.cases.iter().filter(|case| case.suite == suite).collect();
    if cases.is_empty() {
        return;
    }
    let passed = cases.iter().filter(|case| case.outcome == Outcome::Passed).count();
    let skipped: Vec<_> = cases
        .iter()
        .filter_map(|case| match &case.outcome {
            Outcome::Skipped(why) => Some(why),
            Outcome::Passed | Outcome::Failed(_) => None,
        })
        .collect();
    let why = match skipped.first() {
        Some(why) => format!(", {} not tried: {why}", skipped.len()),
        None => String::new(),
    };
    line(out, format_args!("  {:<12} {passed} of {} passed{why}", suite.to_string(), cases.len()));
}

fn write_figures(out: &mut String, report: &Report) {
    let meter = &report.meter;
    if meter.by_kind.is_empty() {
        return;
    }
    line(out, format_args!("\n  {:<16}{:>8}{:>14}{:>14}", "fuel for", "calls", "mean", "most"));
    let mut kinds: Vec<_> = meter.by_kind.iter().collect();
    kinds.sort_by_key(|(_, tally)| std::cmp::Reverse(tally.fuel_max));
    for (kind, tally) in kinds {
        let mean = tally.fuel / tally.calls.max(1);
        line(
            out,
            format_args!(
                "  {kind:<16}{:>8}{:>14}{:>14}",
                tally.calls,
                grouped(mean),
                grouped(tally.fuel_max)
            ),
        );
    }
    let kib = |bytes: usize| format!("{} KiB", bytes.div_ceil(1024));
    line(out, format_args!("  (a budget of 1 ms is {} units)", grouped(FUEL_PER_MS)));
    line(out, format_args!("  memory       {} at most", kib(meter.memory_bytes)));
    if let Some(bytes) = meter.state_bytes {
        line(out, format_args!("  state        {bytes} bytes at most"));
    }
    line(out, format_args!("  log          {} lines, {} bytes", meter.log_lines, meter.log_bytes));
}

/// A number with its thousands apart.
pub(super) fn grouped(number: u64) -> String {
    let digits = number.to_string();
    let first = digits.len() % 3;
    let mut out = String::new();
    for (nth, digit) in digits.chars().enumerate() {
        if nth > 0 && nth % 3 == first {
            out.push(',');
        }
        out.push(digit);
    }
    out
}

#[cfg(test)]
mod tests {
    use super::grouped;

    #[test]
    fn thousands_stand_apart() {
        assert_eq!(
            [7, 70, 700, 7_000, 70_000, 7_000_000].map(grouped),
            ["7", "70", "700", "7,000", "70,000", "7,000,000"]
        );
    }
}
