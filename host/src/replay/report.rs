//! What came of a replay, for a person.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use cordboard_recording::compare::{AudioDifference, How};
use cordboard_recording::{Recording, instance_traces};
use cordboard_tenant::Digest;
use cordboard_tenant::version_store::When;

use super::run::{Difference, Replay, What, seconds};

/// A replay as text: what was replayed, the verdict, the first difference in full, and the others: each in full if
/// `all`, else with those that are audio alone drawn together.
#[must_use]
pub fn report(recording: &Recording, replay: &Replay, all: bool) -> String {
    let mut text = head(recording);
    let mut line = |name: &str, what: String| {
        writeln!(text, "{name:<10} {what}").expect("a String takes all");
    };
    let Replay { instances, answers, states, .. } = replay;
    line("replayed", format!("{instances} instances, {answers} answers, {states} saved states"));
    for left_out in &replay.left_out {
        line("left out", left_out.clone());
    }
    for unprovable in recording.header.redaction.unprovable() {
        line("redacted", unprovable.to_owned());
    }
    if replay.is_empty() {
        text += "nothing to compare\n";
        return text;
    }
    if replay.is_identical() {
        text += "identical\n";
        return text;
    }
    let _ = writeln!(
        text,
        "different: {} of {} answers and states",
        replay.differing,
        answers + states
    );
    text += &kinds(replay);
    if let Some((first, rest)) = replay.differences.split_first() {
        let _ = write!(text, "\nfirst, {first}");
        if all {
            rest.iter().for_each(|difference| text += &format!("\n{difference}"));
        } else if !rest.is_empty() {
            text += "\nthen (--all shows each in full)\n";
            text += &drawn_together(rest);
        }
    }
    let untold = replay.differing - replay.differences.len();
    if untold > 0 {
        let _ = writeln!(text, "\nand {untold} more");
    }
    text
}

/// What a recording is.
pub(crate) fn head(recording: &Recording) -> String {
    let header = &recording.header;
    let began = When::from_unix(header.began_unix_ms / 1_000);
    let mut versions: Vec<String> = Vec::new();
    let traces = instance_traces(&recording.entries);
    for trace in &traces {
        let digest = Digest::from_bytes(*trace.start.component).short();
        let version = format!("{} (component {digest})", trace.start.version);
        if !versions.contains(&version) {
            versions.push(version);
        }
    }
    let mut text = String::new();
    let mut line = |name: &str, what: &dyn std::fmt::Display| {
        let _ = writeln!(text, "{name:<10} {what}");
    };
    line("call", &format!("{} of {}, {began}", header.call_id, header.tenant));
    line("version", &versions.join(", "));
    line("recording", &recording.tail);
    text
}

/// How much of which kind differs.
fn kinds(replay: &Replay) -> String {
    let mut kinds: BTreeMap<&str, (usize, Option<AudioDifference>)> = BTreeMap::new();
    for difference in &replay.differences {
        match &difference.what {
            What::Outcome(..) => kinds.entry("failures").or_default().0 += 1,
            What::Actions(comparison) => {
                for each in &comparison.differences {
                    let (count, audio) = kinds.entry(each.kind).or_default();
                    *count += 1;
                    if let How::Audio(more) = each.how {
                        *audio = Some(audio.map_or(more, |audio| audio.with(more)));
                    }
                }
            }
        }
    }
    let mut text = String::new();
    for (kind, (count, audio)) in kinds {
        let audio = audio.map(|audio| format!(", together: {audio}")).unwrap_or_default();
        let _ = writeln!(text, "  {kind}: {count}{audio}");
    }
    text
}

/// One line for each difference, and one for each run of them that are audio of one kind alone.
fn drawn_together(differences: &[Difference]) -> String {
    let mut text = String::new();
    let mut rest = differences;
    while let Some(first) = rest.first() {
        let Some((kind, _)) = audio_alone(first) else {
            let _ = write!(text, "\n{first}");
            rest = &rest[1..];
            continue;
        };
        let alike = |it: &&Difference| audio_alone(it).is_some_and(|(other, _)| other == kind);
        let run = rest.iter().take_while(alike).count();
        let (run, left) = rest.split_at(run);
        let audio = run.iter().filter_map(audio_alone).map(|(_, audio)| audio);
        let audio = audio.reduce(AudioDifference::with).expect("the run has its first");
        let (from, to) = (seconds(first.now), seconds(run[run.len() - 1].now));
        let _ = writeln!(text, "{from} to {to}: {} times {kind}, {audio}", run.len());
        rest = left;
    }
    text
}

/// The kind and difference of an answer in which nothing but one piece of audio differs.
fn audio_alone(difference: &Difference) -> Option<(&'static str, AudioDifference)> {
    let What::Actions(comparison) = &difference.what else { return None };
    match &comparison.differences[..] {
        [only] => match only.how {
            How::Audio(audio) => Some((only.kind, audio)),
            _ => None,
        },
        _ => None,
    }
}
