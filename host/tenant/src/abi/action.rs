//! Actions on their way out of a component.

use cordboard_call::contract as ours;

use super::types as theirs;

/// The actions as the call machine has them, in the order they were asked for.
pub(crate) fn actions(actions: Vec<theirs::Action>) -> Vec<ours::Action> {
    actions.into_iter().map(action).collect()
}

fn action(action: theirs::Action) -> ours::Action {
    match action {
        theirs::Action::Play(theirs::Play { item, audio, last }) => {
            ours::Action::Play(ours::Play { item, audio, last })
        }
        theirs::Action::Mark(name) => ours::Action::Mark(name),
        theirs::Action::Flush => ours::Action::Flush,
        theirs::Action::ModelAudio(audio) => ours::Action::ModelAudio(audio),
        theirs::Action::ModelEvent(json) => ours::Action::ModelEvent(json),
        theirs::Action::SetTimer(theirs::Timer { token, at }) => {
            ours::Action::SetTimer(ours::Timer { token, at })
        }
        theirs::Action::CancelTimer(token) => ours::Action::CancelTimer(token),
        theirs::Action::Http(request) => {
            let theirs::HttpRequest { token, method, url, headers, body, timeout_ms } = request;
            ours::Action::Http(ours::HttpRequest { token, method, url, headers, body, timeout_ms })
        }
        theirs::Action::HangUp(theirs::HangUp { when, deadline_ms, reason }) => {
            let when = match when {
                theirs::HangUpWhen::Now => ours::HangUpWhen::Now,
                theirs::HangUpWhen::WhenPlayed => ours::HangUpWhen::WhenPlayed,
            };
            ours::Action::HangUp(ours::HangUp { when, deadline_ms, reason })
        }
        theirs::Action::CancelHangUp => ours::Action::CancelHangUp,
        theirs::Action::Transfer(theirs::Transfer { to, caller_id }) => {
            ours::Action::Transfer(ours::Transfer { to, caller_id })
        }
        theirs::Action::SendKeys(keys) => ours::Action::SendKeys(keys),
        theirs::Action::Publish(theirs::Publication { topic, json }) => {
            ours::Action::Publish(ours::Publication { topic, json })
        }
    }
}
