//! The report for programs. The shape is described in this crate's README.

use serde_json::{Map, Value, json};

use super::{Outcome, Report};

pub(super) fn write(report: &Report) -> Value {
    let cases: Vec<Value> = report.cases.iter().map(case).collect();
    let meter = &report.meter;
    let fuel: Map<String, Value> = meter
        .by_kind
        .iter()
        .map(|(kind, tally)| {
            let mean = tally.fuel / tally.calls.max(1);
            let value = json!({"calls": tally.calls, "mean": mean, "max": tally.fuel_max});
            ((*kind).to_owned(), value)
        })
        .collect();
    json!({
        "component": report.component,
        "component_bytes": report.component_bytes,
        "passed": report.has_passed(),
        "cases": cases,
        "observations": report.observations,
        "events": report.events,
        "fuel": fuel,
        "memory_bytes": meter.memory_bytes,
        "state_bytes": meter.state_bytes,
        "log": {
            "lines": meter.log_lines, "bytes": meter.log_bytes, "left_out": meter.log_left_out,
        },
    })
}

fn case(case: &super::Case) -> Value {
    let mut value = json!({"suite": case.suite.to_string(), "name": case.name});
    match &case.outcome {
        Outcome::Passed => value["outcome"] = json!("passed"),
        Outcome::Skipped(why) => {
            value["outcome"] = json!("skipped");
            value["why"] = json!(why);
        }
        Outcome::Failed(finding) => {
            let details: Map<String, Value> = finding
                .details
                .iter()
                .map(|(label, text)| ((*label).to_owned(), json!(text)))
                .collect();
            value["outcome"] = json!("failed");
            value["finding"] = json!({
                "title": finding.title,
                "where": finding.place,
                "details": details,
                "change": finding.hint,
            });
        }
    }
    value
}
