//! What happened in a call, turn by turn, for people.

use std::fmt::Write as _;

use cordboard_sim::carrier::CallReport;
use cordboard_sim::model::SessionLog;

/// Tells a call as both simulators saw it.
pub(super) fn story(call: &CallReport, model: &SessionLog) -> String {
    let stream = call.stream();
    let mut lines: Vec<(f64, String)> = Vec::new();
    // The model's session began before the stream; its first sound is the same moment on both clocks,
    // give or take the way through the gateway.
    let first_delta = model.sent_of("response.output_audio.delta").first().map(|sent| sent.at_ms);
    let offset = stream.first_heard_ms().unwrap_or(0.0) - first_delta.unwrap_or(0.0);
    for spoken in &stream.spoken {
        let from = ms(spoken.span.from);
        lines.push((from, format!("caller   \"{}\"", words_of(&spoken.name))));
    }
    for sent in model.sent_of("response.output_audio_transcript.done") {
        let text = sent.event["transcript"].as_str().unwrap_or_default();
        let response = &sent.event["response_id"];
        let began = model
            .sent_of("response.output_audio.delta")
            .iter()
            .find(|delta| delta.event["response_id"] == *response)
            .map_or(sent.at_ms, |delta| delta.at_ms);
        lines.push((began + offset, format!("agent    \"{text}\"")));
    }
    for tool in model.sent_of("response.function_call_arguments.done") {
        let (name, arguments) = (&tool.event["name"], &tool.event["arguments"]);
        let call = format!("{}({})", text(name), text(arguments));
        lines.push((tool.at_ms + offset, format!("tool     {call}")));
    }
    for item in model.received_of("conversation.item.create") {
        if item.event["item"]["type"] == "function_call_output" {
            let output = text(&item.event["item"]["output"]);
            lines.push((item.at_ms + offset, format!("tool     answers {output}")));
        }
    }
    for barge_in in stream.barge_ins() {
        if let (Some(cleared), Some(stop)) = (barge_in.cleared_ms, barge_in.stop_after_clear_ms) {
            let onset = barge_in.stop_after_onset_ms;
            lines.push((
                cleared,
                format!("gateway  clears the line: silence {stop:.0} ms later, {onset:.0} ms after the caller's first sound"),
            ));
        }
    }
    for truncated in model.received_of("conversation.item.truncate") {
        let heard = &truncated.event["audio_end_ms"];
        lines.push((
            truncated.at_ms + offset,
            format!("gateway  tells the model that {heard} ms of its answer were heard"),
        ));
    }
    lines.sort_by(|(one, _), (other, _)| one.total_cmp(other));

    let mut story = String::new();
    for (at_ms, line) in lines {
        // Writing to a String can not fail.
        let _ = writeln!(story, "{:7.2} s  {line}", at_ms / 1000.0);
    }
    story.push_str(&figures(call, model));
    story
}

fn figures(call: &CallReport, model: &SessionLog) -> String {
    let stream = call.stream();
    let mut text = String::from("\n");
    let webhook = call.requests.first().map_or(0.0, |request| request.elapsed_ms);
    let _ = writeln!(text, "  webhook answered in        {webhook:7.1} ms");
    let _ = writeln!(
        text,
        "  first word after pick-up   {:7.0} ms",
        stream.first_heard_ms().unwrap_or(0.0)
    );
    for turn in stream.turns() {
        if let Some(latency) = turn.latency_ms {
            let _ =
                writeln!(text, "  answer to {:<17}{latency:7.0} ms", format!("\"{}\"", turn.said));
        }
    }
    let _ = writeln!(text, "  frames to the gateway      {:7}", stream.frames_sent);
    let _ = writeln!(text, "  frames from the gateway    {:7}", stream.bytes_received / 160);
    let _ = writeln!(text, "  gaps in what was heard     {:7}", stream.gaps.len());
    let _ = writeln!(text, "  events the model refused   {:7}", model.refusals().len());
    text
}

/// The words of one of the caller's clips; anything else is called by its name.
fn words_of(name: &str) -> &str {
    use cordboard_sim::speech::{CALLER_GOODBYE, CALLER_HOURS, CALLER_INTERRUPTION, CALLER_READY};
    [CALLER_HOURS, CALLER_INTERRUPTION, CALLER_READY, CALLER_GOODBYE]
        .into_iter()
        .find(|clip| clip.name == name)
        .map_or(name, |clip| clip.words)
}

fn text(value: &serde_json::Value) -> &str {
    value.as_str().unwrap_or_default()
}

/// Samples of 8 kHz audio as milliseconds.
fn ms(samples: u64) -> f64 {
    samples as f64 / 8.0
}
