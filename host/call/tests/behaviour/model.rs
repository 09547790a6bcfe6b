//! The model's socket and session: what waits for it, what is lost with it.

use cordboard_call::contract::{Action, Ended, Event};
use cordboard_call::{Input, Note, Output, TenantFault};
use cordboard_wire::openai::{
    AudioFormat, Dialect, ErrorKind, Rejection, ServerEvent, SessionAudio,
};

use cordboard_wire::twilio::FromCarrier;

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

fn is_mismatched(rig: &Rig) -> bool {
    rig.notes.iter().any(|note| matches!(note, Note::FormatMismatch { .. }))
}

fn said(event: &str) -> Input {
    let events = ServerEvent::parse(event, Dialect::Ga).expect("an event");
    Input::Model(events.first)
}

fn flood(rig: &mut Rig, events: usize) {
    for _ in 0..events {
        rig.feed(Input::Model(server_event("rate_limits.updated")));
    }
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
    assert!(is_mismatched(&rig));
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
    assert!(is_mismatched(&rig));
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
    assert!(!is_mismatched(&rig));
}

#[test]
fn formats_of_an_update_that_was_overtaken_do_not_pass_later() {
    let mut rig = Rig::with(config(), bridging());
    rig.feed(Input::ModelUp { info: model_info() });
    rig.act(vec![Action::ModelEvent(UPDATE.replace("pcmu", "pcma"))]);
    // The first update was refused, the second is confirmed.
    rig.feed(Input::Model(updated(AudioFormat::Pcma)));
    rig.feed(Input::Model(updated(AudioFormat::Pcmu)));
    assert!(is_mismatched(&rig));
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

#[test]
fn other_formats_than_asked_are_noted_with_both() {
    let mut rig = Rig::with(config(), bridging());
    rig.feed(Input::ModelUp { info: model_info() });
    rig.feed(said(
        r#"{"type":"session.updated","session":{"audio":{"input":{"format":{"type":"audio/opus"}},"output":{"format":{"type":"audio/pcm","rate":24000}}}}}"#,
    ));
    let note = Note::FormatMismatch {
        asked: "input audio/pcmu, output audio/pcmu".to_owned(),
        got: "input audio/opus, output audio/pcm at 24000 Hz".to_owned(),
    };
    assert_eq!(rig.notes, [note]);
}

#[test]
fn what_the_server_has_against_an_unconfirmed_session_is_noted_and_named_at_the_end() {
    let mut rig = Rig::with(config(), bridging());
    rig.feed(Input::ModelUp { info: model_info() });
    rig.feed(said(
        r#"{"type":"error","error":{"message":"Voice 'x' is not supported.","code":null,"param":null}}"#,
    ));
    let reason = "Voice 'x' is not supported.".to_owned();
    assert_eq!(rig.notes, [Note::SessionComplaint { reason }], "at once");
    rig.run_for(20_000);
    let (_, summary) = rig.summary.as_ref().expect("the call has ended");
    assert_eq!(summary.reason, Ended::ModelLost);
    assert!(summary.detail.contains("Voice 'x'"), "{}", summary.detail);
}

#[test]
fn an_error_in_a_confirmed_session_is_no_complaint_about_it() {
    let mut rig = Rig::with_model(config(), |_, _| Answer::Do(Vec::new()));
    rig.feed(error(ErrorKind::Other, "invalid_value"));
    assert!(rig.notes.is_empty(), "{:?}", rig.notes);
}

#[test]
fn a_response_nobody_heard_is_noted_with_its_reason() {
    let done = |response: &str| format!(r#"{{"type":"response.done","response":{response}}}"#);
    let call = r#"{"type":"response.output_item.done","item":{"type":"function_call"}}"#;
    for (between, response, reason) in [
        (None, r#"{"status":"completed","output":[]}"#, Some(("completed", None))),
        (None, r#"{"id":"r"}"#, Some(("completed", None))),
        (
            None,
            r#"{"status":"incomplete","status_details":{"reason":"content_filter"}}"#,
            Some(("incomplete", Some("content_filter"))),
        ),
        (Some(delta()), r#"{"status":"completed"}"#, None),
        (Some(said(call)), r#"{"status":"completed"}"#, None),
        (None, r#"{"status":"completed","output":[{"type":"function_call"}]}"#, None),
        (None, r#"{"status":"cancelled"}"#, None),
        (None, r#"{"status":"failed"}"#, None),
    ] {
        let mut rig = Rig::with_model(config(), |_, _| Answer::Do(Vec::new()));
        rig.feed(delta());
        rig.feed(said(r#"{"type":"response.created","response":{"id":"r"}}"#));
        between.into_iter().for_each(|input| rig.feed(input));
        rig.feed(said(&done(response)));
        rig.feed(said(&done(response)));
        let expected = reason.map(|(status, reason): (&str, Option<&str>)| Note::SilentResponse {
            status: status.to_owned(),
            reason: reason.map(str::to_owned),
        });
        assert_eq!(rig.notes, expected.into_iter().collect::<Vec<_>>(), "{response}");
    }
}

#[test]
fn an_event_too_large_for_the_tenant_is_cut_or_dropped_and_the_call_goes_on() {
    let mut rig = Rig::with_model(config(), |_, _| Answer::Do(Vec::new()));
    let audio = "A".repeat(8_500_000);
    let done = format!(
        r#"{{"type":"response.done","response":{{"id":"r","output":[{{"audio":"{audio}"}}]}}}}"#
    );
    let list = format!(r#"{{"type":"x","list":[{}0]}}"#, "0,".repeat(4_250_000));
    for (event, is_dropped) in [(&done, false), (&list, true)] {
        rig.notes.clear();
        rig.told.clear();
        rig.feed(said(event));
        let bytes = event.len();
        assert!(rig.notes.contains(&Note::ModelEventTooLarge { bytes, is_dropped }));
        let told = rig.events();
        match (&told[..], is_dropped) {
            ([], true) => {}
            ([Event::ModelEvent(json)], false) => {
                assert!(json.len() <= 256 * 1024 && json.contains(r#""id":"r""#));
            }
            _ => panic!("{} events", told.len()),
        }
    }
    rig.frame(1);
    assert!(rig.summary.is_none());
}

#[test]
fn a_model_that_floods_the_call_has_its_session_exchanged_and_the_tenant_is_not_to_blame() {
    let mut rig = Rig::with_model(config(), |_, _| Answer::Do(Vec::new()));
    flood(&mut rig, 1_990);
    (0..3_000).for_each(|_| rig.feed(delta()));
    assert!(!rig.notes.contains(&Note::ModelFlooded), "a burst is no flood");
    rig.notes.clear();
    flood(&mut rig, 20);
    assert_eq!(rig.notes[0], Note::ModelFlooded);
    assert_eq!((rig.closes, rig.connects.len()), (1, 1));
    assert!(rig.told.iter().any(|(_, event)| matches!(event, Event::ModelLost(_))));
    rig.feed(Input::ModelUp { info: model_info() });
    assert!(rig.told.iter().any(|(_, event)| matches!(event, Event::ModelRestored(_))));
    flood(&mut rig, 100);
    assert_eq!(rig.closes, 1, "the new session does not pay for the old one");
    assert!(!rig.notes.iter().any(|note| matches!(note, Note::TenantRestarted { .. })));
}

#[test]
fn a_voice_in_crumbs_is_a_flood_too() {
    let mut rig = Rig::with_model(config(), |_, _| Answer::Do(Vec::new()));
    (0..6_000).for_each(|_| rig.feed(delta()));
    assert!(rig.notes.contains(&Note::ModelFlooded));
    assert!(rig.summary.is_none());
}

#[test]
fn a_model_that_floods_every_session_ends_the_call_in_its_own_name() {
    let mut rig = Rig::with_model(config(), |_, _| Answer::Do(Vec::new()));
    for _ in 0..20 {
        flood(&mut rig, 2_100);
        rig.run_for(9_000);
        rig.feed(Input::ModelUp { info: model_info() });
        if rig.summary.is_some() {
            break;
        }
    }
    let (_, summary) = rig.summary.as_ref().expect("the call has ended");
    assert_eq!(summary.reason, Ended::ModelLost);
    assert!(summary.detail.contains("flooded"), "{}", summary.detail);
}

#[test]
fn echoes_that_the_model_has_provoked_are_not_the_tenants_fault() {
    let publishes = |_, event: &Event| match event {
        Event::ModelEvent(_) => {
            Answer::Do(vec![Action::SetTimer(cordboard_call::contract::Timer { token: 7, at: 0 })])
        }
        _ => Answer::Do(Vec::new()),
    };
    let mut rig = Rig::with_model(config(), publishes);
    flood(&mut rig, 1_500);
    assert_eq!(rig.notes, [Note::ModelFlooded, lost_note()]);
    rig.feed(Input::ModelUp { info: model_info() });
    flood(&mut rig, 100);
    assert_eq!(rig.notes.len(), 2, "and the tenant does not pay for the model");
    assert!(rig.summary.is_none());
}

fn lost_note() -> Note {
    Note::ModelLost { reason: "the model flooded the call with events".to_owned() }
}

#[test]
fn a_line_full_of_what_the_model_said_is_emptied_and_the_tenant_is_not_to_blame() {
    let mut config = config();
    config.limits.events_max = 64;
    let mut rig = Rig::with_model(config, |_, event| match event {
        Event::CallerKey(_) => Answer::Fail(TenantFault::OverTime),
        _ => Answer::Do(Vec::new()),
    });
    rig.restarts_by_itself = false;
    rig.feed(Input::Carrier(FromCarrier::Dtmf { digit: '1' }));
    flood(&mut rig, 70);
    assert!(rig.notes.contains(&Note::ModelFlooded));
    assert!(rig.summary.is_none(), "the call lives");
}

#[test]
fn a_turn_that_is_taken_is_over_whether_or_not_the_server_says_so() {
    let mut rig = Rig::with_model(config(), |_, _| Answer::Do(Vec::new()));
    rig.frame(1);
    rig.feed(Input::Model(server_event("input_audio_buffer.speech_started")));
    rig.feed(Input::Model(server_event("input_audio_buffer.committed")));
    rig.run_for(5_000);
    assert!(!rig.notes.contains(&Note::CallerStalled), "nobody is speaking");
}
