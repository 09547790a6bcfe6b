//! What to change in a tenant that did not do what was expected.

use serde_json::Value;

use super::View;
use super::pattern::Mismatch;
use crate::world::Kind;

/// For something that did not come.
pub(super) fn missing(
    kind: Kind,
    pattern: &Value,
    nearest: Option<&Mismatch>,
    view: &View<'_>,
) -> Option<String> {
    // What the host or the model has refused explains more than anything else.
    for refusing in [Kind::Refused, Kind::ModelRefuses] {
        if kind != refusing
            && let Some((_, refused)) = view.of(refusing).last()
        {
            let who = if refusing == Kind::Refused { "the host" } else { "the model" };
            let (what, why) = (&refused.value["action"], &refused.value);
            let reason =
                why["reason"].as_str().or(why["message"].as_str()).unwrap_or("no reason given");
            let what =
                what.as_str().map(|what| format!(" the action `{what}`")).unwrap_or_default();
            return Some(format!("{who} refused{what} at {} ms: {reason}", refused.at_ms));
        }
    }
    if let Some(miss) = nearest.filter(|miss| miss.matched > 0) {
        return Some(near(miss));
    }
    if view.of(Kind::Ends).next().is_some() && kind != Kind::Ends {
        return Some(
            "the call was over by then; after `ended` only `publish` and `http` are carried out"
                .to_owned(),
        );
    }
    let name = |key: &str| pattern[key].as_str().unwrap_or_default();
    let words = match kind {
        Kind::ModelGets => return model_gets(name("type")),
        Kind::Action => return action(name("type")),
        Kind::Publishes => {
            "answer the event with the action `publish`; the topic is compared to the letter"
        }
        Kind::Http => {
            "answer with the action `http`; with the default tenant a tool needs a `url`, and the model has to call \
             it by its name"
        }
        Kind::Ends => {
            "a tenant ends a call with the action `hang-up`; `when-played` waits until all that was played is heard"
        }
        Kind::Logs => {
            "write it with the contract's `log`; standard output counts as level debug, errors as warn"
        }
        Kind::Refused | Kind::ModelRefuses => return None,
    };
    Some(words.to_owned())
}

/// For something that came too often or too seldom.
pub(super) fn times(kind: Kind, came: usize, wanted: usize) -> Option<String> {
    let words = match kind {
        _ if came < wanted => return None,
        Kind::ModelGets => {
            "remember what was sent: one `response.create` at a time, one output for each `call_id`, and nothing \
             again because an event was repeated"
        }
        _ => {
            "remember in the tenant's state what was done, and save it with `save`: an event may come twice in effect"
        }
    };
    Some(words.to_owned())
}

fn near(miss: &Mismatch) -> String {
    let at = if miss.at.is_empty() { "the value" } else { &miss.at };
    match &miss.found {
        None => format!("set {at} to {} where the tenant makes it", miss.expected),
        Some(_) => format!(
            "the tenant makes it, with another {at}: change it there, or in the settings it comes from"
        ),
    }
}

fn model_gets(kind: &str) -> Option<String> {
    let words = match kind {
        "session.update" => {
            "answer `model-ready` (and `model-restored`) with a `model-event` of type session.update that names \
             both audio formats"
        }
        "response.create" => {
            "send it as a `model-event` once the last response is over (`response.done`); with server turn \
             detection the model answers the caller's turns by itself"
        }
        "conversation.item.truncate" => {
            "answer `flushed` with it, one for each item in its list, with `audio_end_ms` = its `millis`"
        }
        "conversation.item.create" => {
            "a tool's result is a `model-event` of type conversation.item.create with an item of type \
             function_call_output and the call's `call_id`"
        }
        "response.cancel" => {
            "needed only where the session's interrupt_response is false and a response is active"
        }
        _ => "send it as the action `model-event`",
    };
    Some(words.to_owned())
}

fn action(kind: &str) -> Option<String> {
    let words = match kind {
        "play" => "answer `model-audio` with `play`, in the line's format",
        "flush" => "answer the model-event input_audio_buffer.speech_started with `flush`",
        "transfer" | "send-keys" => {
            "answer with it; the host carries it out through the carrier's REST interface"
        }
        "set-timer" => {
            "answer with `set-timer`; `at` counts from the call's beginning, not from now"
        }
        "hang-up" => "answer with `hang-up`, `when-played` to let the last words be heard",
        _ => "answer the event with this action",
    };
    Some(words.to_owned())
}
