//! The ways a call ends.

use cordboard_call::contract::{
    Action, Ended, Event, HangUp, HangUpWhen, HttpRequest, Publication, Transfer,
};
use cordboard_call::{Call, HangUpBy, Input, Note, Output, Phase, Rest, RestKind, TenantFault};
use cordboard_wire::twilio::FromCarrier;

use crate::rig::{Answer, Rig, config, heard, ms, play};

fn hang_up(when: HangUpWhen, deadline_ms: u32) -> Action {
    Action::HangUp(HangUp { when, deadline_ms, reason: "done".to_owned() })
}

fn now() -> Action {
    hang_up(HangUpWhen::Now, 0)
}

fn when_played(deadline_ms: u32) -> Action {
    hang_up(HangUpWhen::WhenPlayed, deadline_ms)
}

fn stop() -> Input {
    Input::Carrier(FromCarrier::Stop)
}

fn with_rest() -> Rig {
    let mut config = config();
    config.rest = true;
    Rig::with(config, |_, _| Answer::Do(Vec::new()))
}

/// The end's reason and time; the tenant heard the same, once and last.
fn ended(rig: &Rig) -> (Ended, u64) {
    let (at, summary) = rig.summary.as_ref().expect("the call has ended");
    let told = rig.told.iter().filter(|(_, event)| matches!(event, Event::Ended(_))).count();
    assert_eq!(told, 1);
    assert_eq!(rig.told.last().map(|(_, event)| event), Some(&Event::Ended(summary.reason)));
    assert_eq!(rig.call.phase(), Phase::Over);
    assert_eq!(rig.call.wake_at(), None);
    (summary.reason, at.as_millis() as u64)
}

#[test]
fn hanging_up_now_ends_the_call_at_once() {
    let mut rig = Rig::new();
    rig.act(vec![play("a", 80_000, true), now()]);
    assert_eq!(ended(&rig), (Ended::TenantHungUp, 0));
    assert_eq!(rig.summary.map(|(_, summary)| summary.detail), Some("done".to_owned()));
}

#[test]
fn a_farewell_is_heard_to_its_end_before_the_call_ends() {
    let mut rig = Rig::new();
    rig.act(vec![play("bye", 16_000, true), when_played(10_000)]);
    rig.run_to(ms(1_999));
    assert!(rig.summary.is_none());
    rig.run_to(ms(2_000));
    assert_eq!(ended(&rig), (Ended::TenantHungUp, 2_000));
    assert_eq!(rig.events()[0], heard("bye", 2_000, true));
}

#[test]
fn a_farewell_nobody_called_the_last_piece_is_heard_to_its_end_as_well() {
    let mut rig = Rig::new();
    rig.act(vec![play("bye", 16_100, false), when_played(10_000)]);
    rig.run_for(5_000);
    let (reason, at) = ended(&rig);
    assert_eq!(reason, Ended::TenantHungUp);
    assert!((2_000..2_200).contains(&at), "{at}");
    assert_eq!(rig.frames().len(), 16_160);

    let mut rig = Rig::new();
    rig.act(vec![play("bye", 800, false), when_played(10_000)]);
    rig.run_for(5_000);
    assert!(ended(&rig).1 <= 200, "whole frames without an end are played out as well");
}

#[test]
fn with_nothing_to_play_there_is_nothing_to_wait_for() {
    let mut rig = Rig::new();
    rig.act(vec![when_played(10_000)]);
    assert_eq!(ended(&rig), (Ended::TenantHungUp, 0));
}

#[test]
fn the_deadline_ends_a_farewell_that_takes_too_long() {
    let mut rig = Rig::new();
    rig.act(vec![play("bye", 80_000, true), when_played(1_500)]);
    rig.run_for(60_000);
    assert_eq!(ended(&rig), (Ended::TenantHungUp, 1_500));
}

#[test]
fn no_deadline_is_longer_than_a_minute() {
    let mut rig = Rig::new();
    for _ in 0..3 {
        rig.act(vec![play("bye", 8 * 30_000, false)]);
    }
    rig.act(vec![play("bye", 8 * 30_000, true), when_played(u32::MAX)]);
    rig.run_for(200_000);
    assert_eq!(ended(&rig), (Ended::TenantHungUp, 60_000));
}

#[test]
fn a_caller_who_speaks_up_can_stop_the_goodbye() {
    let mut rig = Rig::new();
    rig.act(vec![play("bye", 16_000, true), when_played(10_000)]);
    rig.run_for(500);
    rig.act(vec![Action::Flush, Action::CancelHangUp]);
    rig.run_for(20_000);
    assert!(rig.summary.is_none());
    rig.act(vec![now()]);
    ended(&rig);
}

#[test]
fn the_carriers_stop_ends_the_call_and_nothing_more_is_sent() {
    let mut rig = with_rest();
    rig.act(vec![play("a", 80_000, true)]);
    rig.run_for(500);
    let sent = rig.sent.len();
    rig.feed(stop());
    rig.feed(Input::CarrierClosed);
    rig.run_for(10_000);
    assert_eq!(ended(&rig), (Ended::CallerHungUp, 500));
    assert_eq!(rig.sent.len(), sent);
    assert!(rig.rest.is_empty());
}

#[test]
fn a_socket_that_closes_without_a_stop_is_a_lost_carrier() {
    let mut rig = Rig::new();
    rig.run_for(500);
    rig.feed(Input::CarrierClosed);
    assert_eq!(ended(&rig), (Ended::CarrierLost, 500));
}

#[test]
fn with_rest_credentials_the_carrier_is_asked_first_and_its_stop_suffices() {
    let mut rig = with_rest();
    rig.act(vec![now()]);
    assert_eq!(rig.rest, [Rest::HangUp]);
    assert!(rig.summary.is_none());
    rig.run_for(300);
    rig.feed(stop());
    assert_eq!(ended(&rig), (Ended::TenantHungUp, 300));
}

#[test]
fn the_answer_of_the_rest_interface_suffices_too_whatever_it_is() {
    let answers = [
        Input::RestDone(RestKind::HangUp),
        Input::RestFailed { kind: RestKind::HangUp, reason: "500".to_owned() },
    ];
    for answer in answers {
        let mut rig = with_rest();
        rig.act(vec![now()]);
        rig.run_for(100);
        rig.feed(answer);
        assert_eq!(ended(&rig), (Ended::TenantHungUp, 100));
    }
}

#[test]
fn a_rest_interface_that_does_not_answer_is_waited_for_three_seconds() {
    let mut rig = with_rest();
    rig.act(vec![now()]);
    rig.run_for(10_000);
    assert_eq!(ended(&rig), (Ended::TenantHungUp, 3_000));
}

#[test]
fn an_operator_ends_a_call_now_or_lets_it_finish_its_sentence() {
    let mut rig = Rig::new();
    rig.act(vec![play("a", 8_000, true)]);
    rig.feed(Input::HangUp { by: HangUpBy::Operator, grace: ms(0) });
    assert_eq!(ended(&rig), (Ended::OperatorHungUp, 0));

    let mut rig = Rig::new();
    rig.act(vec![play("a", 8_000, true)]);
    rig.feed(Input::HangUp { by: HangUpBy::Drain, grace: ms(5_000) });
    rig.act(vec![Action::CancelHangUp, when_played(60_000)]);
    rig.run_for(10_000);
    assert_eq!(ended(&rig), (Ended::Drained, 1_000));
}

#[test]
fn a_drain_does_not_wait_longer_than_its_grace() {
    let mut rig = Rig::new();
    rig.act(vec![play("a", 80_000, true)]);
    rig.feed(Input::HangUp { by: HangUpBy::Drain, grace: ms(700) });
    rig.run_for(10_000);
    assert_eq!(ended(&rig), (Ended::Drained, 700));
}

#[test]
fn a_transfer_needs_credentials_and_ends_the_call_as_transferred() {
    let transfer = |to: &str| Action::Transfer(Transfer { to: to.to_owned(), caller_id: None });
    let mut rig = Rig::new();
    rig.act(vec![transfer("+15550100")]);
    assert!(rig.refusals()[0].1.contains("credentials"));

    let mut rig = with_rest();
    rig.act(vec![transfer("next door"), transfer("+15550100"), transfer("sip:a@b")]);
    assert_eq!(rig.rest, [Rest::Transfer { to: "+15550100".to_owned(), caller_id: None }]);
    assert_eq!(rig.refusals().len(), 2);
    rig.feed(Input::RestDone(RestKind::Transfer));
    rig.feed(stop());
    assert_eq!(ended(&rig).0, Ended::Transferred);
}

#[test]
fn a_transfer_that_failed_leaves_the_caller_with_the_tenant() {
    let mut rig = with_rest();
    let to = "+15550100".to_owned();
    rig.act(vec![Action::Transfer(Transfer { to, caller_id: None })]);
    rig.feed(Input::RestFailed { kind: RestKind::Transfer, reason: "21211".to_owned() });
    assert_eq!(rig.refusals(), [("transfer".to_owned(), "21211".to_owned())]);
    rig.feed(stop());
    assert_eq!(ended(&rig).0, Ended::CallerHungUp);
}

#[test]
fn what_the_operator_does_not_allow_is_told_and_the_call_goes_on() {
    let mut rig = with_rest();
    let to = "+19005550100".to_owned();
    rig.act(vec![Action::Transfer(Transfer { to, caller_id: None })]);
    rig.feed(Input::RestRefused { kind: RestKind::Transfer, reason: "not allowed".to_owned() });
    rig.act(vec![Action::SendKeys("9".to_owned())]);
    rig.feed(Input::RestRefused { kind: RestKind::Keys, reason: "not allowed".to_owned() });

    let refused = |action: &str| (action.to_owned(), "not allowed".to_owned());
    assert_eq!(rig.refusals(), [refused("transfer"), refused("send-keys")]);
    assert!(!rig.notes.iter().any(|note| matches!(note, Note::RestFailed { .. })));
    let sent = rig.sent.len();
    rig.act(vec![play("words", 1600, true)]);
    assert!(rig.sent.len() > sent, "the caller is still there and hears the tenant");
    rig.feed(stop());
    assert_eq!(ended(&rig).0, Ended::CallerHungUp, "nobody was put through");
}

#[test]
fn keys_replace_the_stream_and_the_call_goes_on() {
    let mut rig = with_rest();
    rig.act(vec![play("a", 80_000, true), Action::SendKeys("1w#".to_owned())]);
    assert_eq!(rig.rest, [Rest::Keys("1w#".to_owned())]);
    rig.run_for(300);
    rig.feed(stop());
    rig.feed(Input::CarrierClosed);
    let sent = rig.sent.len();
    rig.run_for(3_000);
    assert_eq!(rig.sent.len(), sent, "there is no stream to send to");
    rig.carrier_back();
    assert!(rig.sent.len() > sent);
    rig.media(140, vec![9; 160]);
    assert_eq!(rig.caller_audio(), [vec![9; 160]], "its stamps start over, and no gap is filled");
    assert!(rig.summary.is_none());
}

#[test]
fn a_new_stream_counts_even_before_the_end_of_the_old_one_was_heard_of() {
    let mut rig = with_rest();
    rig.act(vec![play("a", 80_000, true), Action::SendKeys("1".to_owned())]);
    rig.run_for(300);
    let sent = rig.sent.len();
    rig.carrier_back();
    assert!(rig.sent.len() > sent, "the new stream is empty and is filled at once");
    assert_eq!(rig.notes, []);
    rig.run_for(20_000);
    assert!(rig.summary.is_none());
    assert_eq!(rig.frames().len(), 80_000);
}

#[test]
fn a_barge_in_between_two_streams_clears_nothing() {
    let mut rig = with_rest();
    rig.act(vec![play("a", 80_000, true), Action::SendKeys("1".to_owned())]);
    rig.run_for(300);
    rig.feed(stop());
    let sent = rig.sent.len();
    rig.act(vec![Action::Flush]);
    assert!(
        matches!(rig.events().last(), Some(Event::Flushed(flushed)) if flushed.items.len() == 1)
    );
    rig.carrier_back();
    rig.run_for(1_000);
    assert_eq!(rig.sent[sent..], []);
}

#[test]
fn a_stream_that_does_not_come_back_after_keys_is_a_lost_carrier() {
    let mut rig = with_rest();
    rig.act(vec![Action::SendKeys("1".to_owned())]);
    rig.feed(stop());
    rig.run_for(20_000);
    assert_eq!(rig.rest, [Rest::Keys("1".to_owned())]);
    assert_eq!(ended(&rig), (Ended::CarrierLost, 15_000));
}

#[test]
fn only_keys_are_pressed_and_one_sequence_at_a_time() {
    let mut rig = with_rest();
    for keys in ["", "E", "1 2", &"1".repeat(33)] {
        rig.act(vec![Action::SendKeys(keys.to_owned())]);
    }
    rig.act(vec![Action::SendKeys("1".to_owned()), Action::SendKeys("2".to_owned())]);
    assert_eq!(rig.refusals().len(), 5);
    assert_eq!(rig.rest, [Rest::Keys("1".to_owned())]);
    rig.feed(Input::RestFailed { kind: RestKind::Keys, reason: "gone".to_owned() });
    assert_eq!(rig.refusals().len(), 6);
    rig.feed(stop());
    assert_eq!(ended(&rig).0, Ended::CallerHungUp);
}

#[test]
fn last_words_are_published_and_posted_and_all_else_is_left_undone() {
    let mut rig = Rig::with(config(), |_, event| match event {
        Event::Ended(_) => Answer::Do(vec![
            play("a", 160, true),
            Action::Publish(Publication { topic: "call.outcome".to_owned(), json: "1".to_owned() }),
            Action::Flush,
            Action::Http(HttpRequest {
                token: 1,
                method: "POST".to_owned(),
                url: "https://example.org".to_owned(),
                headers: Vec::new(),
                body: Vec::new(),
                timeout_ms: 1_000,
            }),
        ]),
        _ => Answer::Do(Vec::new()),
    });
    rig.feed(stop());
    ended(&rig);
    assert!(matches!(rig.others.as_slice(), [Output::Publish(_), Output::Http(_)]));
    assert!(rig.sent.is_empty());
}

#[test]
fn what_happened_before_the_end_is_told_before_it_except_audio() {
    let mut call = Call::new(config()).expect("supported");
    call.handle(ms(0), Input::Begin);
    let started = call.poll_output();
    assert!(matches!(started, Some(Output::Tenant(Event::Started(_)))));
    call.handle(ms(0), Input::Command("{}".to_owned()));
    call.handle(ms(0), Input::Carrier(FromCarrier::Dtmf { digit: '1' }));
    call.handle(ms(0), stop());
    let mut told = Vec::new();
    let mut over = false;
    for _ in 0..10 {
        call.handle(ms(0), Input::Answered(vec![play("a", 160, true)]));
        while let Some(output) = call.poll_output() {
            assert!(!over, "{output:?} after the end");
            match output {
                Output::Tenant(event) => told.push(event),
                Output::Ended(_) => over = true,
                Output::Carrier(_) => panic!("nothing is sent any more"),
                _ => {}
            }
        }
    }
    assert!(over);
    assert!(matches!(told.as_slice(), [Event::Command(_), Event::CallerKey(_), Event::Ended(_)]));
}

#[test]
fn a_tenant_that_never_answers_its_end_is_not_waited_for() {
    let mut call = Call::new(config()).expect("supported");
    call.handle(ms(0), Input::Begin);
    assert!(call.poll_output().is_some());
    call.handle(ms(0), stop());
    while call.poll_output().is_some() {}
    assert_eq!(call.wake_at(), Some(ms(2_000)));
    call.handle(ms(2_000), Input::Wake);
    assert!(matches!(call.poll_output(), Some(Output::Ended(_))));
    assert!(call.poll_output().is_none());
    call.handle(ms(2_001), Input::Answered(Vec::new()));
    assert!(call.poll_output().is_none());
}

#[test]
fn a_trap_on_the_end_is_the_end() {
    let mut rig = Rig::with(config(), |_, event| match event {
        Event::Ended(_) => Answer::Fail(TenantFault::OverTime),
        _ => Answer::Do(Vec::new()),
    });
    rig.feed(stop());
    assert_eq!(ended(&rig), (Ended::CallerHungUp, 0));
    assert!(rig.others.is_empty(), "nobody is restarted for nothing");
}

#[test]
fn a_call_has_a_greatest_length_and_ends_with_the_apology() {
    let mut config = config();
    config.limits.call_max = ms(5_000);
    let mut rig = Rig::with_model(config, |_, _| Answer::Do(Vec::new()));
    rig.run_for(60_000);
    assert_eq!(ended(&rig), (Ended::Failed, 6_000));
    assert_eq!(rig.frames(), vec![0x55; 8_000]);
}

#[test]
fn the_caller_may_hang_up_during_the_apology() {
    let mut config = config();
    config.limits.call_max = ms(1_000);
    let mut rig = Rig::with(config, |_, _| Answer::Do(Vec::new()));
    rig.run_for(1_500);
    assert!(matches!(rig.call.phase(), Phase::Closing { .. }));
    rig.feed(stop());
    assert_eq!(ended(&rig), (Ended::Failed, 1_500));
}

#[test]
fn a_call_that_ends_before_it_began_tells_the_tenant_both() {
    let mut call = Call::new(config()).expect("supported");
    call.handle(ms(0), Input::Begin);
    call.handle(ms(0), Input::CarrierClosed);
    let mut told = Vec::new();
    loop {
        match call.poll_output() {
            Some(Output::Tenant(event)) => {
                told.push(event);
                call.handle(ms(0), Input::Answered(Vec::new()));
            }
            Some(Output::Ended(_)) => break,
            Some(_) => {}
            None => panic!("the call never ended"),
        }
    }
    assert!(matches!(told.as_slice(), [Event::Started(_), Event::Ended(Ended::CarrierLost)]));
}

#[test]
fn beginning_twice_is_noted_and_changes_nothing() {
    let mut rig = Rig::new();
    rig.feed(Input::Begin);
    assert_eq!(rig.notes, [Note::Unexpected("begin")]);
    assert_eq!(rig.told.len(), 1);
}

#[test]
fn a_carrier_that_falls_silent_for_a_minute_is_lost() {
    let mut config = config();
    config.limits.carrier_silence_max = cordboard_call::Limits::default().carrier_silence_max;
    let mut rig = Rig::with(config, |_, _| Answer::Do(Vec::new()));
    rig.run_to(ms(30_000));
    rig.feed(Input::Carrier(FromCarrier::Mark { name: "not ours".to_owned() }));
    rig.run_to(ms(89_999));
    assert_eq!(rig.summary, None);
    rig.run_to(ms(90_000));
    assert_eq!(ended(&rig), (Ended::CarrierLost, 90_000));
}
