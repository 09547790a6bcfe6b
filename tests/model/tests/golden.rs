//! The reference carrier itself, against the golden cases of the carrier's documentation.

use std::time::Duration;

use cordboard_model_tests::Carrier;
use serde_json::Value;

#[test]
fn the_reference_carrier_answers_as_the_golden_cases_say() {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../fixtures/twilio/golden_playout_cases.json");
    let text = std::fs::read_to_string(path).expect("the fixture is there");
    let fixture: Value = serde_json::from_str(&text).expect("the fixture is JSON");
    let cases = fixture["cases"].as_array().expect("a list of cases");
    assert!(cases.len() >= 5, "cases were lost from the fixture");
    for case in cases {
        assert_eq!(answers(case), expected(case), "case {}", case["id"]);
    }
}

/// Name, time in ms, and whether it was played; or the names that never came back.
#[derive(Debug, PartialEq)]
enum Answer {
    Mark { name: String, at_ms: u64, played: bool },
    Stop { unechoed: Vec<String> },
}

fn answers(case: &Value) -> Vec<Answer> {
    let mut carrier = Carrier::default();
    let mut answers = Vec::new();
    let echo_until = |carrier: &mut Carrier, now: Duration, answers: &mut Vec<Answer>| {
        while let Some(echo) = carrier.echo(now) {
            let at_ms = echo.at.as_millis() as u64;
            answers.push(Answer::Mark { name: echo.name, at_ms, played: echo.played });
        }
    };
    for input in case["input"].as_array().expect("inputs") {
        let now = Duration::from_millis(input["t_ms"].as_u64().expect("a time"));
        echo_until(&mut carrier, now, &mut answers);
        match input["event"].as_str().expect("an event") {
            "media" => {
                let bytes = input["bytes"].as_u64().expect("bytes") as usize;
                carrier.media(now, vec![0; bytes]);
            }
            "mark" => carrier.mark(now, input["name"].as_str().expect("a name").to_owned()),
            "clear" => {
                carrier.clear(now);
                echo_until(&mut carrier, now, &mut answers);
            }
            "hangup" => {
                let unechoed = carrier.unechoed().map(str::to_owned).collect();
                answers.push(Answer::Stop { unechoed });
                return answers;
            }
            other => panic!("an unknown event {other}"),
        }
    }
    echo_until(&mut carrier, Duration::from_secs(3_600), &mut answers);
    answers
}

fn expected(case: &Value) -> Vec<Answer> {
    let expect = case["expect"].as_array().expect("expectations");
    expect
        .iter()
        .map(|answer| match answer["event"].as_str() {
            Some("mark") => Answer::Mark {
                name: answer["name"].as_str().expect("a name").to_owned(),
                at_ms: answer["t_ms"].as_f64().expect("a time") as u64,
                played: answer["played"].as_bool().expect("played or not"),
            },
            Some("stop") => {
                let names = answer["unechoed_marks"].as_array().expect("names");
                let unechoed =
                    names.iter().map(|name| name.as_str().expect("a name").to_owned()).collect();
                Answer::Stop { unechoed }
            }
            other => panic!("an unknown expectation {other:?}"),
        })
        .collect()
}
