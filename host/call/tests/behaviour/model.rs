//! The model's socket and session: what waits for it, what is lost with it.

use cordboard_call::contract::{Action, Ended, Event};
use cordboard_call::{Input, Note, Output};
use cordboard_wire::openai::{AudioFormat, ErrorKind, Rejection, ServerEvent, SessionAudio};

use crate::desk::{Answer, Desk, UPDATE, config, model_info, ms, play, server_event, updated};

/// A tenant that hands every frame of the caller to the model.
fn bridging() -> impl FnMut(cordboard_call::Now, &Event) -> Answer {
    |_, event| match event {
        Event::CallerAudio(audio) => Answer::Do(vec![Action::ModelAudio(audio.clone())]),
        Event::ModelReady(_) | Event::ModelRestored(_) => {
            Answer::Do(vec![Action::ModelEvent(UPDATE.to_owned())])
        }
        _ => Answer::Do(Vec::new()),
    }
}

fn lost(desk: &mut Desk) {
    desk.give(Input::ModelDown { reason: "reset".to_owned(), retry: true, refused: None });
}

fn error(kind: ErrorKind, code: &str) -> Input {
    Input::Model(ServerEvent::Error {
        kind,
        code: Some(code.to_owned()),
        message: "told so".to_owned(),
        event_id: None,
        json: format!(r#"{{"type":"error","error":{{"code":"{code}"}}}}"#),
    })
}

fn delta() -> Input {
    let (response, item) = ("r".to_owned(), "i".to_owned());
    Input::Model(ServerEvent::AudioDelta { response, item, content_index: 0, audio: vec![0; 480] })
}

#[test]
fn a_delta_too_large_for_one_event_comes_in_several_with_nothing_lost() {
    let mut desk = Desk::with_model(config(), |_, _| Answer::Do(Vec::new()));
    let sent: Vec<u8> = (0..3 * 1024 * 1024).map(|at| (at % 251) as u8).collect();
    let (response, item) = ("r".to_owned(), "i".to_owned());
    let audio = sent.clone();
    desk.give(Input::Model(ServerEvent::AudioDelta { response, item, content_index: 2, audio }));
    let events = desk.events();
    let pieces: Vec<_> = events
        .iter()
        .filter_map(|event| match event {
            Event::ModelAudio(audio) => Some(audio),
            _ => None,
        })
        .collect();
    assert!(
        pieces.iter().all(|piece| piece.data.len() <= 48 * 1024),
        "more than an answer may hold"
    );
    assert!(pieces.iter().all(|piece| piece.data.len() % 2 == 0), "no sample is cut in two");
    assert!(pieces.iter().all(|piece| piece.item == "i" && piece.content_index == 2));
    let whole: Vec<u8> = pieces.iter().flat_map(|piece| piece.data.iter().copied()).collect();
    assert!(whole == sent, "every byte in its order");
}

fn is_apology(frames: &[u8]) -> bool {
    frames == vec![0x55; 8_000]
}

fn assert_parted(desk: &mut Desk, reason: Ended) {
    desk.run_for(5_000);
    assert!(is_apology(&desk.frames()), "the apology is heard, and nothing else");
    let (_, summary) = desk.summary.as_ref().expect("the call has ended");
    assert_eq!(summary.reason, reason);
    assert_eq!(desk.told.last().map(|(_, event)| event), Some(&Event::Ended(reason)));
}

#[test]
fn caller_audio_waits_for_the_confirmed_session_and_then_goes_out_in_order() {
    let mut desk = Desk::with(config(), bridging());
    desk.frame(1);
    desk.give(Input::ModelUp { info: model_info() });
    desk.frame(2);
    assert_eq!(desk.model_events(), ["session.update"]);
    assert!(desk.appended().is_empty());
    desk.give(Input::Model(updated(AudioFormat::Pcmu)));
    desk.frame(3);
    assert_eq!(desk.appended(), [vec![1; 160], vec![2; 160], vec![3; 160]]);
}

#[test]
fn a_commit_keeps_its_place_among_held_audio_and_an_answer_is_asked_for_at_once() {
    let mut desk = Desk::with(config(), bridging());
    desk.give(Input::ModelUp { info: model_info() });
    desk.frame(1);
    desk.act(vec![
        Action::ModelEvent(r#"{"type":"input_audio_buffer.commit"}"#.to_owned()),
        Action::ModelEvent(r#"{"type":"response.create"}"#.to_owned()),
    ]);
    desk.frame(2);
    assert_eq!(desk.model_events(), ["session.update", "response.create"]);
    desk.give(Input::Model(updated(AudioFormat::Pcmu)));
    assert_eq!(
        desk.model_events(),
        ["session.update", "response.create", "input_audio_buffer.commit"]
    );
    assert_eq!(desk.appended(), [vec![1; 160], vec![2; 160]]);
}

#[test]
fn held_audio_is_bounded_and_the_oldest_goes_first() {
    let mut config = config();
    config.limits.held_bytes_max = 480;
    let mut desk = Desk::with(config, bridging());
    for byte in 1..=5 {
        desk.frame(byte);
    }
    assert_eq!(desk.notes, vec![Note::HeldAudioDropped { bytes: 160 }; 2]);
    desk.give(Input::ModelUp { info: model_info() });
    desk.give(Input::Model(updated(AudioFormat::Pcmu)));
    assert_eq!(desk.appended(), [vec![3; 160], vec![4; 160], vec![5; 160]]);
    assert_eq!(desk.call.counts().held_bytes_dropped, 320);
    lost(&mut desk);
    for byte in 6..=8 {
        desk.frame(byte);
    }
    assert_eq!(desk.call.counts().held_bytes_dropped, 320, "there is room again");
}

#[test]
fn held_events_are_bounded_with_the_audio() {
    let mut config = config();
    config.limits.held_bytes_max = 1_000;
    let mut desk = Desk::with(config, bridging());
    desk.give(Input::ModelUp { info: model_info() });
    let commit = format!(r#"{{"type":"input_audio_buffer.commit","x":"{}"}}"#, "y".repeat(400));
    desk.frame(1);
    desk.act(vec![Action::ModelEvent(commit); 3]);
    desk.frame(2);
    desk.give(Input::Model(updated(AudioFormat::Pcmu)));
    assert_eq!(desk.model_events().len(), 2, "`session.update` and one commit");
    assert_eq!(desk.appended(), [vec![2; 160]]);
    assert_eq!(desk.call.counts().held_bytes_dropped, 160);
}

#[test]
fn a_session_with_other_formats_is_asked_once_more() {
    let mut desk = Desk::with(config(), bridging());
    desk.frame(1);
    desk.give(Input::ModelUp { info: model_info() });
    desk.give(Input::Model(updated(AudioFormat::Pcm24k)));
    assert_eq!(desk.model_events(), ["session.update", "session.update"]);
    assert!(desk.appended().is_empty());
    assert!(desk.notes.contains(&Note::FormatMismatch));
    desk.give(Input::Model(updated(AudioFormat::Pcmu)));
    assert_eq!(desk.appended(), [vec![1; 160]]);
    assert!(desk.summary.is_none());
}

#[test]
fn a_session_that_keeps_other_formats_ends_the_call_with_the_apology_rather_than_noise() {
    let mut desk = Desk::with(config(), bridging());
    desk.frame(1);
    desk.give(Input::ModelUp { info: model_info() });
    desk.give(Input::Model(updated(AudioFormat::Pcm24k)));
    desk.give(Input::Model(updated(AudioFormat::Pcm24k)));
    assert_parted(&mut desk, Ended::ModelLost);
    assert!(desk.appended().is_empty());
}

#[test]
fn a_confirmed_session_that_changes_its_formats_later_is_caught_too() {
    let mut desk = Desk::with_model(config(), bridging());
    desk.give(Input::Model(updated(AudioFormat::Pcm24k)));
    desk.frame(1);
    assert!(desk.appended().is_empty(), "held until the formats are right again");
    desk.give(delta());
    assert!(desk.notes.contains(&Note::ModelAudioDropped { bytes: 480 }));
    desk.give(Input::Model(updated(AudioFormat::Pcmu)));
    assert_eq!(desk.appended(), [vec![1; 160]]);
    desk.give(delta());
    assert!(matches!(desk.events().last(), Some(Event::ModelAudio(_))));
    desk.give(Input::Model(updated(AudioFormat::Pcm24k)));
    assert!(desk.summary.is_none(), "an old mismatch that was mended does not count again");
}

#[test]
fn a_commit_to_a_lost_session_is_not_made_to_the_next() {
    let mut desk = Desk::with(config(), bridging());
    desk.give(Input::ModelUp { info: model_info() });
    desk.frame(1);
    desk.act(vec![Action::ModelEvent(r#"{"type":"input_audio_buffer.commit"}"#.to_owned())]);
    lost(&mut desk);
    desk.give(Input::ModelUp { info: model_info() });
    desk.give(Input::Model(updated(AudioFormat::Pcmu)));
    assert_eq!(desk.model_events(), ["session.update", "session.update"]);
    assert_eq!(desk.appended(), [vec![1; 160]], "the caller's words are not lost with it");
}

#[test]
fn formats_the_server_does_not_mention_are_not_confirmed() {
    let mut desk = Desk::with(config(), bridging());
    desk.frame(1);
    desk.give(Input::ModelUp { info: model_info() });
    let json = r#"{"type":"session.updated"}"#.to_owned();
    desk.give(Input::Model(ServerEvent::SessionUpdated { audio: SessionAudio::default(), json }));
    assert!(desk.appended().is_empty());
}

#[test]
fn an_update_without_formats_does_not_take_them_back() {
    let mut desk = Desk::with_model(config(), bridging());
    let update = r#"{"type":"session.update","session":{"instructions":"be brief"}}"#;
    desk.act(vec![Action::ModelEvent(update.to_owned())]);
    desk.give(Input::Model(updated(AudioFormat::Pcm24k)));
    assert!(desk.notes.contains(&Note::FormatMismatch));
}

#[test]
fn with_two_updates_under_way_the_first_answer_is_no_mismatch() {
    let mut desk = Desk::with(config(), bridging());
    desk.give(Input::ModelUp { info: model_info() });
    desk.frame(1);
    desk.act(vec![Action::ModelEvent(UPDATE.replace("pcmu", "pcma"))]);
    desk.give(Input::Model(updated(AudioFormat::Pcmu)));
    assert!(desk.appended().is_empty());
    desk.give(Input::Model(updated(AudioFormat::Pcma)));
    assert_eq!(desk.appended(), [vec![1; 160]]);
    assert!(!desk.notes.contains(&Note::FormatMismatch));
}

#[test]
fn formats_of_an_update_that_was_overtaken_do_not_pass_later() {
    let mut desk = Desk::with(config(), bridging());
    desk.give(Input::ModelUp { info: model_info() });
    desk.act(vec![Action::ModelEvent(UPDATE.replace("pcmu", "pcma"))]);
    // The first update was refused, the second is confirmed.
    desk.give(Input::Model(updated(AudioFormat::Pcma)));
    desk.give(Input::Model(updated(AudioFormat::Pcmu)));
    assert!(desk.notes.contains(&Note::FormatMismatch));
}

#[test]
fn an_update_that_was_refused_does_not_hold_up_the_next() {
    let mut desk = Desk::with(config(), bridging());
    desk.give(Input::ModelUp { info: model_info() });
    desk.give(error(ErrorKind::Other, "unknown_parameter"));
    desk.act(vec![Action::ModelEvent(UPDATE.to_owned())]);
    desk.frame(1);
    desk.give(Input::Model(updated(AudioFormat::Pcmu)));
    assert_eq!(desk.appended(), [vec![1; 160]]);
}

#[test]
fn a_session_that_is_never_confirmed_ends_the_call_with_the_apology() {
    let mut desk = Desk::with(config(), bridging());
    desk.give(Input::ModelUp { info: model_info() });
    desk.run_to(ms(9_999));
    assert!(desk.frames().is_empty());
    desk.run_to(ms(10_000));
    assert_parted(&mut desk, Ended::ModelLost);
}

#[test]
fn a_lost_socket_is_opened_again_and_the_tenant_hears_of_both() {
    let mut desk = Desk::with_model(config(), bridging());
    desk.run_to(ms(1_000));
    lost(&mut desk);
    assert_eq!(desk.connects, [(ms(1_000), 1)]);
    desk.frame(1);
    desk.give(Input::ModelUp { info: model_info() });
    desk.frame(2);
    desk.give(Input::Model(updated(AudioFormat::Pcmu)));
    assert_eq!(desk.appended(), [vec![1; 160], vec![2; 160]]);
    let events = desk.events();
    let lost_at = events.iter().position(|event| matches!(event, Event::ModelLost(_)));
    let restored_at = events.iter().position(|event| matches!(event, Event::ModelRestored(_)));
    assert!(lost_at.is_some() && lost_at < restored_at);
    assert_eq!(desk.model_events(), ["session.update", "session.update"]);
}

#[test]
fn a_client_event_without_a_socket_is_refused() {
    let mut desk = Desk::with_model(config(), bridging());
    lost(&mut desk);
    desk.act(vec![Action::ModelEvent(r#"{"type":"response.create"}"#.to_owned())]);
    assert_eq!(desk.refusals()[0].0, "model-event");
    assert_eq!(desk.model_events(), ["session.update"]);
}

#[test]
fn after_six_attempts_the_caller_hears_the_apology() {
    let mut desk = Desk::with_model(config(), bridging());
    lost(&mut desk);
    while desk.connects.len() < 6 {
        lost(&mut desk);
        desk.run_for(9_000);
    }
    let attempts: Vec<_> = desk.connects.iter().map(|(_, attempt)| *attempt).collect();
    assert_eq!(attempts, [1, 2, 3, 4, 5, 6]);
    lost(&mut desk);
    assert_parted(&mut desk, Ended::ModelLost);
}

#[test]
fn the_waits_between_attempts_double() {
    let mut desk = Desk::with_model(config(), bridging());
    for attempt in 1..=6 {
        lost(&mut desk);
        while desk.connects.len() < attempt {
            desk.run_for(10);
        }
    }
    let times: Vec<_> = desk.connects.iter().map(|(at, _)| at.as_millis()).collect();
    assert_eq!(times, [0, 250, 750, 1_750, 3_750, 7_750]);
}

#[test]
fn a_session_that_held_starts_the_count_of_attempts_again() {
    let mut desk = Desk::with_model(config(), bridging());
    for _ in 0..20 {
        lost(&mut desk);
        desk.run_for(100);
        desk.give(Input::ModelUp { info: model_info() });
        desk.give(Input::Model(updated(AudioFormat::Pcmu)));
        desk.run_for(10_000);
    }
    assert!(desk.connects.iter().all(|(_, attempt)| *attempt == 1));
    assert!(desk.summary.is_none());
}

#[test]
fn a_refused_key_is_final() {
    let mut desk = Desk::with(config(), bridging());
    let refused = Some(Rejection::InvalidKey);
    desk.give(Input::ModelDown { reason: "3000".to_owned(), retry: true, refused });
    assert!(desk.connects.is_empty());
    assert_parted(&mut desk, Ended::ModelLost);
    let (_, summary) = desk.summary.expect("ended");
    assert!(summary.detail.contains("OPENAI_API_KEY"));
}

#[test]
fn a_refusal_that_comes_as_an_error_event_is_final_before_and_after_the_session_began() {
    for is_up in [false, true] {
        let mut desk = Desk::with(config(), bridging());
        if is_up {
            desk.give(Input::ModelUp { info: model_info() });
        }
        desk.give(error(ErrorKind::Fatal, "insufficient_quota"));
        assert!(desk.connects.is_empty());
        assert_eq!(desk.closes, 1);
        assert_parted(&mut desk, Ended::ModelLost);
    }
}

#[test]
fn an_expired_session_is_exchanged_at_once() {
    let mut desk = Desk::with_model(config(), bridging());
    desk.give(error(ErrorKind::Expired, "session_expired"));
    assert_eq!(desk.closes, 1);
    assert_eq!(desk.connects.len(), 1);
    desk.give(Input::ModelUp { info: model_info() });
    assert!(matches!(desk.events().last(), Some(Event::ModelRestored(_))));
}

#[test]
fn a_session_near_its_greatest_age_is_exchanged_when_nobody_speaks() {
    let mut desk = Desk::with_model(config(), |_, _| Answer::Do(Vec::new()));
    desk.run_to(ms(57 * 60_000 - 1_000));
    desk.act(vec![play("a", 16_000, true)]);
    desk.run_to(ms(57 * 60_000 + 500));
    assert!(desk.connects.is_empty(), "the model is speaking");
    desk.run_to(ms(57 * 60_000 + 1_000));
    assert_eq!(desk.connects.len(), 1);
    assert!(desk.notes.contains(&Note::ModelRenewed));
}

#[test]
fn errors_that_leave_the_session_open_are_the_tenants_business() {
    let mut desk = Desk::with_model(config(), bridging());
    desk.give(error(ErrorKind::Benign, "response_cancel_not_active"));
    assert!(
        matches!(desk.events().last(), Some(Event::ModelEvent(json)) if json.contains("cancel"))
    );
    assert_eq!(desk.closes, 0);
}

#[test]
fn an_attempt_that_leads_nowhere_is_given_up_and_made_again() {
    let mut desk = Desk::with(config(), bridging());
    desk.run_to(ms(14_999));
    assert!(desk.connects.is_empty());
    desk.run_to(ms(15_000));
    assert_eq!(desk.closes, 1);
    assert_eq!(desk.connects, [(ms(15_000), 1)]);
}

#[test]
fn a_loss_reported_twice_costs_one_attempt() {
    let mut desk = Desk::with_model(config(), bridging());
    lost(&mut desk);
    lost(&mut desk);
    lost(&mut desk);
    assert_eq!(desk.connects.len(), 1);
    assert!(desk.notes.contains(&Note::Unexpected("model down")));
}

#[test]
fn events_and_voice_of_the_model_reach_the_tenant_in_order() {
    let mut desk = Desk::with_model(config(), bridging());
    let before = desk.events().len();
    desk.give(Input::Model(server_event("response.created")));
    desk.give(Input::Model(ServerEvent::AudioDelta {
        response: "r".to_owned(),
        item: "i".to_owned(),
        content_index: 2,
        audio: vec![7; 3],
    }));
    desk.give(Input::Model(server_event("response.done")));
    let events = &desk.events()[before..];
    assert!(matches!(&events[0], Event::ModelEvent(json) if json.contains("response.created")));
    assert!(matches!(&events[1], Event::ModelAudio(audio)
        if (audio.response.as_str(), audio.item.as_str(), audio.content_index) == ("r", "i", 2)
            && audio.data == [7; 3]));
    assert!(matches!(&events[2], Event::ModelEvent(json) if json.contains("response.done")));
}

#[test]
fn malformed_and_forbidden_client_events_are_refused_and_nothing_of_them_is_sent() {
    let mut desk = Desk::with_model(config(), |_, _| Answer::Do(Vec::new()));
    let before = desk.to_model.len();
    let large = format!(r#"{{"type":"response.create","x":"{}"}}"#, "y".repeat(256 * 1024));
    let bad = ["{", "[]", "{}", r#"{"type":"input_audio_buffer.append","audio":""}"#, &large];
    for json in bad {
        desk.act(vec![Action::ModelEvent(json.to_owned())]);
    }
    assert_eq!(desk.refusals().len(), bad.len());
    assert!(
        desk.refusals()
            .iter()
            .all(|(action, reason)| action == "model-event" && !reason.is_empty())
    );
    assert_eq!(desk.to_model.len(), before);
}

#[test]
fn the_model_is_closed_once_when_the_call_ends() {
    let mut desk = Desk::with_model(config(), bridging());
    desk.give(Input::CarrierClosed);
    desk.give(Input::ModelDown { reason: "late".to_owned(), retry: true, refused: None });
    assert_eq!(desk.closes, 1);
    assert!(!desk.others.iter().any(|output| matches!(output, Output::ConnectModel { .. })));
}
