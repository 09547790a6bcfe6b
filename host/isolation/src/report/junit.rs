//! The report as JUnit's XML, as CI servers read it: one `testsuite` for each suite.
//!
//! There are no times in it: virtual time says nothing of a test's cost, and wall time would make every
//! report another.

use quick_xml::escape::escape;
use std::fmt::Write as _;

use super::{Finding, Outcome, Report, Suite};

pub(super) fn write(report: &Report) -> String {
    let mut out = String::from("<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n");
    let count = |wanted: fn(&Outcome) -> bool, suite: Option<Suite>| {
        let cases = report.cases.iter().filter(|case| suite.is_none_or(|it| case.suite == it));
        cases.filter(|case| wanted(&case.outcome)).count()
    };
    let attributes = |suite| {
        format!(
            "tests=\"{}\" failures=\"{}\" errors=\"0\" skipped=\"{}\"",
            count(|_| true, suite),
            count(|it| matches!(it, Outcome::Failed(_)), suite),
            count(|it| matches!(it, Outcome::Skipped(_)), suite),
        )
    };
    let mut line = |text: String| writeln!(out, "{text}").expect("writing to a string succeeds");
    line(format!("<testsuites name=\"{}\" {}>", clean(&report.component), attributes(None)));
    for suite in [Suite::Scenario, Suite::Abuse, Suite::Swap, Suite::Determinism] {
        let cases: Vec<_> = report.cases.iter().filter(|case| case.suite == suite).collect();
        if cases.is_empty() {
            continue;
        }
        line(format!("  <testsuite name=\"{suite}\" {}>", attributes(Some(suite))));
        for case in cases {
            let head = format!(
                "    <testcase classname=\"cordboard.{suite}\" name=\"{}\"",
                clean(&case.name)
            );
            match &case.outcome {
                Outcome::Passed => line(format!("{head}/>")),
                Outcome::Skipped(why) => {
                    line(format!("{head}><skipped message=\"{}\"/></testcase>", clean(why)));
                }
                Outcome::Failed(finding) => line(format!(
                    "{head}><failure message=\"{}\">{}</failure></testcase>",
                    clean(&finding.title),
                    clean(&whole(finding))
                )),
            }
        }
        line("  </testsuite>".to_owned());
    }
    line("</testsuites>".to_owned());
    out
}

fn whole(finding: &Finding) -> String {
    let mut text = format!("where: {}\n", finding.place);
    let hint = finding.hint.iter().map(|hint| ("change", hint));
    for (label, words) in finding.details.iter().map(|(label, words)| (*label, words)).chain(hint) {
        text += &format!("{label}: {words}\n");
    }
    text
}

/// Text with what XML can not hold left out (control characters, even escaped) and the rest escaped.
fn clean(text: &str) -> String {
    let kept: String = text
        .chars()
        .filter(|c| {
            matches!(c, '\n' | '\t') || !(c.is_control() || matches!(c, '\u{fffe}' | '\u{ffff}'))
        })
        .collect();
    escape(kept).replace('\n', "&#10;")
}
