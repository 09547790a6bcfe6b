//! The model's socket and session: what waits for it, what is lost with it.

use cordboard_call::contract::{Action, Ended, Event};
use cordboard_call::{Input, Note, Output};
use cordboard_wire::openai::{AudioFormat, ErrorKind, Rejection, ServerEvent, SessionAudio};

use crate::rig::{Answer, Rig, UPDATE, config, model_info, ms, play, server_event, updated};

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

fn lost(rig: &mut Rig) {
    rig.feed(Input::ModelDown { reason: "reset".to_owned(), retry: true, refused: None });
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
    let mut rig = Rig::with_model(config(), |_, _| Answer::Do(Vec::new()));
    let sent: Vec<u8> = (0..3 * 1024 * 1024).map(|at| (at % 251) as u8).collect();
    let (response, item) = ("r".to_owned(), "i".to_owned());
    let audio = sent.clone();
    rig.feed(Input::Model(ServerEvent::AudioDelta { response, item, content_index: 2, audio }));
    let events = rig.events();
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

fn assert_parted(rig: &mut Rig, reason: Ended) {
    rig.run_for(5_000);
    assert!(is_apology(&rig.frames()), "the apology is heard, and nothing else");
    let (_, summary) = rig.summary.as_ref().expect("the call has ended");
    assert_eq!(summary.reason, reason);
    assert_eq!(rig.told.last().map(|(_, event)| event), Some(&Event::Ended(reason)));
}

#[test]
fn caller_audio_waits_for_the_confirmed_session_and_then_goes_out_in_order() {
    let mut rig = Rig::with(config(), bridging());
    rig.frame(1);
    rig.feed(Input::ModelUp { info: model_info() });
    rig.frame(2);
    assert_eq!(rig.model_events(), ["session.update"]);
    assert!(rig.appended().is_empty());
    rig.feed(Input::Model(updated(AudioFormat::Pcmu)));
    rig.frame(3);
    assert_eq!(rig.appended(), [vec![1; 160], vec![2; 160], vec![3; 160]]);
}

#[test]
fn a_commit_keeps_its_place_among_held_audio_and_an_answer_is_asked_for_at_once() {
    let mut rig = Rig::with(config(), bridging());
    rig.feed(Input::ModelUp { info: model_info() });
    rig.frame(1);
    rig.act(vec![
        Action::ModelEvent(r#"{"type":"input_audio_buffer.commit"}"#.to_owned()),
        Action::ModelEvent(r#"{"type":"response.create"}"#.to_owned()),
    ]);
    rig.frame(2);
    assert_eq!(rig.model_events(), ["session.update", "response.create"]);
    rig.feed(Input::Model(updated(AudioFormat::Pcmu)));
    assert_eq!(
        rig.model_events(),
        ["session.update", "response.create", "input_audio_buffer.commit"]
    );
    assert_eq!(rig.appended(), [vec![1; 160], vec![2; 160]]);
}

#[test]
fn held_audio_is_bounded_and_the_oldest_goes_first() {
    let mut config = config();
    config.limits.held_bytes_max = 480;
    let mut rig = Rig::with(config, bridging());
    for byte in 1..=5 {
        rig.frame(byte);
    }
    assert_eq!(rig.notes, vec![Note::HeldAudioDropped { bytes: 160 }; 2]);
    rig.feed(Input::ModelUp { info: model_info() });
    rig.feed(Input::Model(updated(AudioFormat::Pcmu)));
    assert_eq!(rig.appended(), [vec![3; 160], vec![4; 160], vec![5; 160]]);
    assert_eq!(rig.call.counts().held_bytes_dropped, 320);
    lost(&mut rig);
    for byte in 6..=8 {
        rig.frame(byte);
    }
    assert_eq!(rig.call.counts().held_bytes_dropped, 320, "there is room again");
}

#[test]
fn held_events_are_bounded_with_the_audio() {
    let mut config = config();
    config.limits.held_bytes_max = 1_000;
    let mut rig = Rig::with(config, bridging());
    rig.feed(Input::ModelUp { info: model_info() });
    let commit = format!(r#"{{"type":"input_audio_buffer.commit","x":"{}"}}"#, "y".repeat(400));
    rig.frame(1);
    rig.act(vec![Action::ModelEvent(commit); 3]);
    rig.frame(2);
    rig.feed(Input::Model(updated(AudioFormat::Pcmu)));
    assert_eq!(rig.model_events().len(), 2, "`session.update` and one commit");
    assert_eq!(rig.appended(), [vec![2; 160]]);
    assert_eq!(rig.call.counts().held_bytes_dropped, 160);
}

#[test]
fn a_session_with_other_formats_is_asked_once_more() {
    let mut rig = Rig::with(config(), bridging());
    rig.frame(1);
    rig.feed(Input::ModelUp { info: model_info() });
    rig.feed(Input::Model(updated(AudioFormat::Pcm24k)));
    assert_eq!(rig.model_events(), ["session.update", "session.update"]);
    assert!(rig.appended().is_empty());
    assert!(rig.notes.contains(&Note::FormatMismatch));
    rig.feed(Input::Model(updated(AudioFormat::Pcmu)));
    assert_eq!(rig.appended(), [vec![1; 160]]);
    assert!(rig.summary.is_none());
}

#[test]
fn a_session_that_keeps_other_formats_ends_the_call_with_the_apology_rather_than_noise() {
    let mut rig = Rig::with(config(), bridging());
    rig.frame(1);
    rig.feed(Input::ModelUp { info: model_info() });
    rig.feed(Input::Model(updated(AudioFormat::Pcm24k)));
    rig.feed(Input::Model(updated(AudioFormat::Pcm24k)));
    assert_parted(&mut rig, Ended::ModelLost);
    assert!(rig.appended().is_empty());
}

#[test]
fn a_confirmed_session_that_changes_its_formats_later_is_caught_too() {
    let mut rig = Rig::with_model(config(), bridging());
    rig.feed(Input::Model(updated(AudioFormat::Pcm24k)));
    rig.frame(1);
    assert!(rig.appended().is_empty(), "held until the formats are right again");
    rig.feed(delta());
    assert!(rig.notes.contains(&Note::ModelAudioDropped { bytes: 480 }));
    rig.feed(Input::Model(updated(AudioFormat::Pcmu)));
    assert_eq!(rig.appended(), [vec![1; 160]]);
    rig.feed(delta());
    assert!(matches!(rig.events().last(), Some(Event::ModelAudio(_))));
    rig.feed(Input::Model(updated(AudioFormat::Pcm24k)));
    assert!(rig.summary.is_none(), "an old mismatch that was mended does not count again");
}

#[test]
fn a_commit_to_a_lost_session_is_not_made_to_the_next() {
    let mut rig = Rig::with(config(), bridging());
    rig.feed(Input::ModelUp { info: model_info() });
    rig.frame(1);
    rig.act(vec![Action::ModelEvent(r#"{"type":"input_audio_buffer.commit"}"#.to_owned())]);
    lost(&mut rig);
    rig.feed(Input::ModelUp { info: model_info() });
    rig.feed(Input::Model(updated(AudioFormat::Pcmu)));
    assert_eq!(rig.model_events(), ["session.update", "session.update"]);
    assert_eq!(rig.appended(), [vec![1; 160]], "the caller's words are not lost with it");
}

#[test]
fn formats_the_server_does_not_mention_are_not_confirmed() {
    let mut rig = Rig::with(config(), bridging());
    rig.frame(1);
    rig.feed(Input::ModelUp { info: model_info() });
    let json = r#"{"type":"session.updated"}"#.to_owned();
    rig.feed(Input::Model(ServerEvent::SessionUpdated { audio: SessionAudio::default(), json }));
    assert!(rig.appended().is_empty());
}

#[test]
fn an_update_without_formats_does_not_take_them_back() {
    let mut rig = Rig::with_model(config(), bridging());
    let update = r#"{"type":"session.update","session":{"instructions":"be brief"}}"#;
    rig.act(vec![Action::ModelEvent(update.to_owned())]);
    rig.feed(Input::Model(updated(AudioFormat::Pcm24k)));
    assert!(rig.notes.contains(&Note::FormatMismatch));
}

#[test]
fn with_two_updates_under_way_the_first_answer_is_no_mismatch() {
    let mut rig = Rig::with(config(), bridging());
    rig.feed(Input::ModelUp { info: model_info() });
    rig.frame(1);
    rig.act(vec![Action::ModelEvent(UPDATE.replace("pcmu", "pcma"))]);
    rig.feed(Input::Model(updated(AudioFormat::Pcmu)));
    assert!(rig.appended().is_empty());
    rig.feed(Input::Model(updated(AudioFormat::Pcma)));
    assert_eq!(rig.appended(), [vec![1; 160]]);
    assert!(!rig.notes.contains(&Note::FormatMismatch));
}

#[test]
fn formats_of_an_update_that_was_overtaken_do_not_pass_later() {
    let mut rig = Rig::with(config(), bridging());
    rig.feed(Input::ModelUp { info: model_info() });
    rig.act(vec![Action::ModelEvent(UPDATE.replace("pcmu", "pcma"))]);
    // The first update was refused, the second is confirmed.
    rig.feed(Input::Model(updated(AudioFormat::Pcma)));
    rig.feed(Input::Model(updated(AudioFormat::Pcmu)));
    assert!(rig.notes.contains(&Note::FormatMismatch));
}

#[test]
fn an_update_that_was_refused_does_not_hold_up_the_next() {
    let mut rig = Rig::with(config(), bridging());
    rig.feed(Input::ModelUp { info: model_info() });
    rig.feed(error(ErrorKind::Other, "unknown_parameter"));
    rig.act(vec![Action::ModelEvent(UPDATE.to_owned())]);
    rig.frame(1);
    rig.feed(Input::Model(updated(AudioFormat::Pcmu)));
    assert_eq!(rig.appended(), [vec![1; 160]]);
}

#[test]
fn a_session_that_is_never_confirmed_ends_the_call_with_the_apology() {
    let mut rig = Rig::with(config(), bridging());
    rig.feed(Input::ModelUp { info: model_info() });
    rig.run_to(ms(9_999));
    assert!(rig.frames().is_empty());
    rig.run_to(ms(10_000));
    assert_parted(&mut rig, Ended::ModelLost);
}

#[test]
fn a_lost_socket_is_opened_again_and_the_tenant_hears_of_both() {
    let mut rig = Rig::with_model(config(), bridging());
    rig.run_to(ms(1_000));
    lost(&mut rig);
    assert_eq!(rig.connects, [(ms(1_000), 1)]);
    rig.frame(1);
    rig.feed(Input::ModelUp { info: model_info() });
    rig.frame(2);
    rig.feed(Input::Model(updated(AudioFormat::Pcmu)));
    assert_eq!(rig.appended(), [vec![1; 160], vec![2; 160]]);
    let events = rig.events();
    let lost_at = events.iter().position(|event| matches!(event, Event::ModelLost(_)));
    let restored_at = events.iter().position(|event| matches!(event, Event::ModelRestored(_)));
    assert!(lost_at.is_some() && lost_at < restored_at);
    assert_eq!(rig.model_events(), ["session.update", "session.update"]);
}

#[test]
fn a_client_event_without_a_socket_is_refused() {
    let mut rig = Rig::with_model(config(), bridging());
    lost(&mut rig);
    rig.act(vec![Action::ModelEvent(r#"{"type":"response.create"}"#.to_owned())]);
    assert_eq!(rig.refusals()[0].0, "model-event");
    assert_eq!(rig.model_events(), ["session.update"]);
}

#[test]
fn after_six_attempts_the_caller_hears_the_apology() {
    let mut rig = Rig::with_model(config(), bridging());
    lost(&mut rig);
    while rig.connects.len() < 6 {
        lost(&mut rig);
        rig.run_for(9_000);
    }
    let attempts: Vec<_> = rig.connects.iter().map(|(_, attempt)| *attempt).collect();
    assert_eq!(attempts, [1, 2, 3, 4, 5, 6]);
    lost(&mut rig);
    assert_parted(&mut rig, Ended::ModelLost);
}

#[test]
fn the_waits_between_attempts_double() {
    let mut rig = Rig::with_model(config(), bridging());
    for attempt in 1..=6 {
        lost(&mut rig);
        while rig.connects.len() < attempt {
            rig.run_for(10);
        }
    }
    let times: Vec<_> = rig.connects.iter().map(|(at, _)| at.as_millis()).collect();
    assert_eq!(times, [0, 250, 750, 1_750, 3_750, 7_750]);
}

#[test]
fn a_session_that_held_starts_the_count_of_attempts_again() {
    let mut rig = Rig::with_model(config(), bridging());
    for _ in 0..20 {
        lost(&mut rig);
        rig.run_for(100);
        rig.feed(Input::ModelUp { info: model_info() });
        rig.feed(Input::Model(updated(AudioFormat::Pcmu)));
        rig.run_for(10_000);
    }
    assert!(rig.connects.iter().all(|(_, attempt)| *attempt == 1));
    assert!(rig.summary.is_none());
}

#[test]
fn a_refused_key_is_final() {
    let mut rig = Rig::with(config(), bridging());
    let refused = Some(Rejection::InvalidKey);
    rig.feed(Input::ModelDown { reason: "3000".to_owned(), retry: true, refused });
    assert!(rig.connects.is_empty());
    assert_parted(&mut rig, Ended::ModelLost);
    let (_, summary) = rig.summary.expect("ended");
    assert!(summary.detail.contains("OPENAI_API_KEY"));
}

#[test]
fn a_refusal_that_comes_as_an_error_event_is_final_before_and_after_the_session_began() {
    for is_up in [false, true] {
        let mut rig = Rig::with(config(), bridging());
        if is_up {
            rig.feed(Input::ModelUp { info: model_info() });
        }
        rig.feed(error(ErrorKind::Fatal, "insufficient_quota"));
        assert!(rig.connects.is_empty());
        assert_eq!(rig.closes, 1);
        assert_parted(&mut rig, Ended::ModelLost);
    }
}

#[test]
fn an_expired_session_is_exchanged_at_once() {
    let mut rig = Rig::with_model(config(), bridging());
    rig.feed(error(ErrorKind::Expired, "session_expired"));
    assert_eq!(rig.closes, 1);
    assert_eq!(rig.connects.len(), 1);
    rig.feed(Input::ModelUp { info: model_info() });
    assert!(matches!(rig.events().last(), Some(Event::ModelRestored(_))));
}

#[test]
fn a_session_near_its_greatest_age_is_exchanged_when_nobody_speaks() {
    let mut rig = Rig::with_model(config(), |_, _| Answer::Do(Vec::new()));
    rig.run_to(ms(57 * 60_000 - 1_000));
    rig.act(vec![play("a", 16_000, true)]);
    rig.run_to(ms(57 * 60_000 + 500));
    assert!(rig.connects.is_empty(), "the model is speaking");
    rig.run_to(ms(57 * 60_000 + 1_000));
    assert_eq!(rig.connects.len(), 1);
    assert!(rig.notes.contains(&Note::ModelRenewed));
}

#[test]
fn errors_that_leave_the_session_open_are_the_tenants_business() {
    let mut rig = Rig::with_model(config(), bridging());
    rig.feed(error(ErrorKind::Benign, "response_cancel_not_active"));
    assert!(
        matches!(rig.events().last(), Some(Event::ModelEvent(json)) if json.contains("cancel"))
    );
    assert_eq!(rig.closes, 0);
}

#[test]
fn an_attempt_that_leads_nowhere_is_given_up_and_made_again() {
    let mut rig = Rig::with(config(), bridging());
    rig.run_to(ms(14_999));
    assert!(rig.connects.is_empty());
    rig.run_to(ms(15_000));
    assert_eq!(rig.closes, 1);
    assert_eq!(rig.connects, [(ms(15_000), 1)]);
}

#[test]
fn a_loss_reported_twice_costs_one_attempt() {
    let mut rig = Rig::with_model(config(), bridging());
    lost(&mut rig);
    lost(&mut rig);
    lost(&mut rig);
    assert_eq!(rig.connects.len(), 1);
    assert!(rig.notes.contains(&Note::Unexpected("model down")));
}

#[test]
fn events_and_voice_of_the_model_reach_the_tenant_in_order() {
    let mut rig = Rig::with_model(config(), bridging());
    let before = rig.events().len();
    rig.feed(Input::Model(server_event("response.created")));
    rig.feed(Input::Model(ServerEvent::AudioDelta {
        response: "r".to_owned(),
        item: "i".to_owned(),
        content_index: 2,
        audio: vec![7; 3],
    }));
    rig.feed(Input::Model(server_event("response.done")));
    let events = &rig.events()[before..];
    assert!(matches!(&events[0], Event::ModelEvent(json) if json.contains("response.created")));
    assert!(matches!(&events[1], Event::ModelAudio(audio)
        if (audio.response.as_str(), audio.item.as_str(), audio.content_index) == ("r", "i", 2)
            && audio.data == [7; 3]));
    assert!(matches!(&events[2], Event::ModelEvent(json) if json.contains("response.done")));
}

#[test]
fn malformed_and_forbidden_client_events_are_refused_and_nothing_of_them_is_sent() {
    let mut rig = Rig::with_model(config(), |_, _| Answer::Do(Vec::new()));
    let before = rig.to_model.len();
    let large = format!(r#"{{"type":"response.create","x":"{}"}}"#, "y".repeat(256 * 1024));
    let bad = ["{", "[]", "{}", r#"{"type":"input_audio_buffer.append","audio":""}"#, &large];
    for json in bad {
        rig.act(vec![Action::ModelEvent(json.to_owned())]);
    }
    assert_eq!(rig.refusals().len(), bad.len());
    assert!(
        rig.refusals().iter().all(|(action, reason)| action == "model-event" && !reason.is_empty())
    );
    assert_eq!(rig.to_model.len(), before);
}

#[test]
fn the_model_is_closed_once_when_the_call_ends() {
    let mut rig = Rig::with_model(config(), bridging());
    rig.feed(Input::CarrierClosed);
    rig.feed(Input::ModelDown { reason: "late".to_owned(), retry: true, refused: None });
    assert_eq!(rig.closes, 1);
    assert!(!rig.others.iter().any(|output| matches!(output, Output::ConnectModel { .. })));
}
