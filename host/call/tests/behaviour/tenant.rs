//! The tenant: one event at a time, a bounded line, and what follows when it fails.

use std::cell::RefCell;
use std::rc::Rc;

use cordboard_call::contract::{Action, Ended, Event, HttpRequest, HttpResponse, Timer};
use cordboard_call::{Call, Input, Note, Output, TenantFault, ToCarrier};
use cordboard_wire::openai::ServerEvent;
use cordboard_wire::twilio::{FromCarrier, Track};

use crate::rig::{Answer, Rig, config, model_info, ms, play};

fn trap() -> TenantFault {
    TenantFault::Trapped("unreachable".to_owned())
}

fn frame(byte: u8) -> Input {
    let (track, payload) = (Track::Inbound, vec![byte; 160]);
    Input::Carrier(FromCarrier::Media { track, timestamp_ms: None, payload })
}

fn delta(byte: u8) -> Input {
    let (response, item) = ("r".to_owned(), "i".to_owned());
    Input::Model(ServerEvent::AudioDelta { response, item, content_index: 0, audio: vec![byte; 9] })
}

/// A tenant that traps on the key `1`, and notes how it was started.
fn trapping(starts: Rc<RefCell<Vec<bool>>>) -> impl FnMut(cordboard_call::Now, &Event) -> Answer {
    move |_, event| match event {
        Event::Started(info) => {
            starts.borrow_mut().push(info.restarted);
            Answer::Do(Vec::new())
        }
        Event::CallerKey(key) if key == "1" => Answer::Fail(trap()),
        _ => Answer::Do(Vec::new()),
    }
}

fn press(rig: &mut Rig, digit: char) {
    rig.feed(Input::Carrier(FromCarrier::Dtmf { digit }));
}

/// The tenant events that come out while nobody answers.
fn tenant_outputs(call: &mut Call) -> Vec<Event> {
    let outputs = std::iter::from_fn(|| call.poll_output());
    outputs
        .filter_map(|output| match output {
            Output::Tenant(event) => Some(event),
            _ => None,
        })
        .collect()
}

/// A call with its first event answered and the next one out, so that all others wait in line.
fn busy(config: cordboard_call::CallConfig) -> Call {
    let mut call = Call::new(config).expect("supported");
    call.handle(ms(0), Input::Begin);
    call.handle(ms(0), Input::ModelUp { info: model_info() });
    assert_eq!(tenant_outputs(&mut call).len(), 1);
    call.handle(ms(0), Input::Answered(Vec::new()));
    assert!(matches!(tenant_outputs(&mut call).as_slice(), [Event::ModelReady(_)]));
    call
}

fn answer_all(call: &mut Call) -> Vec<Event> {
    let mut events = Vec::new();
    loop {
        call.handle(ms(0), Input::Answered(Vec::new()));
        match tenant_outputs(call).pop() {
            Some(event) => events.push(event),
            None => return events,
        }
    }
}

#[test]
fn no_second_event_comes_before_the_first_was_answered() {
    let mut call = busy(config());
    for byte in 0..3 {
        call.handle(ms(0), frame(byte));
        assert!(tenant_outputs(&mut call).is_empty());
    }
    assert_eq!(call.events_waiting(), 3);
    let frames: Vec<_> = (0..3).map(|byte| Event::CallerAudio(vec![byte; 160])).collect();
    assert_eq!(answer_all(&mut call), frames);
}

#[test]
fn the_answer_to_a_flush_goes_before_all_that_waits() {
    let mut call = busy(config());
    let actions = vec![play("a", 160, true), play("b", 8_000, true), play("c", 8_000, true)];
    call.handle(ms(0), Input::Answered(actions));
    call.handle(ms(0), frame(1));
    assert_eq!(tenant_outputs(&mut call), [Event::CallerAudio(vec![1; 160])]);
    call.handle(ms(0), delta(1));
    call.handle(ms(0), delta(2));
    // The first item is heard while the tenant is still thinking about the frame.
    let mark = FromCarrier::Mark { name: "g1.1".to_owned() };
    call.handle(ms(20), Input::Carrier(mark));
    call.handle(ms(20), Input::Answered(vec![Action::Flush, Action::Flush]));
    let told: Vec<_> = tenant_outputs(&mut call).into_iter().chain(answer_all(&mut call)).collect();
    assert!(
        matches!(told.as_slice(), [
            Event::Heard(_), Event::Flushed(whole), Event::Flushed(empty), Event::ModelAudio(_),
            Event::ModelAudio(_)
        ] if whole.items.len() == 2 && empty.items.is_empty()),
        "{told:?}"
    );
}

#[test]
fn the_carrier_is_fed_while_the_tenant_thinks() {
    let mut call = Call::new(config()).expect("supported");
    call.handle(ms(0), Input::Begin);
    assert_eq!(tenant_outputs(&mut call).len(), 1);
    call.handle(ms(0), Input::Answered(vec![play("a", 80_000, true)]));
    call.handle(ms(0), frame(1));
    while call.poll_output().is_some() {}
    // The frame is with the tenant and stays there.
    call.handle(ms(200), Input::Wake);
    let output = call.poll_output();
    assert!(matches!(output, Some(Output::Carrier(ToCarrier::Media { .. }))), "{output:?}");
}

#[test]
fn at_the_bound_the_oldest_caller_audio_goes_first_and_control_events_never() {
    let mut config = config();
    config.limits.events_max = 4;
    let mut call = busy(config);
    call.handle(ms(0), frame(1));
    call.handle(ms(0), Input::Command("a".to_owned()));
    call.handle(ms(0), delta(1));
    call.handle(ms(0), frame(2));
    call.handle(ms(0), Input::Command("b".to_owned()));
    call.handle(ms(0), Input::Command("c".to_owned()));
    call.handle(ms(0), Input::Command("d".to_owned()));
    assert_eq!(call.counts().events_dropped, 3);
    let expected: Vec<_> = ["a", "b", "c", "d"].map(|json| Event::Command(json.to_owned())).into();
    assert_eq!(answer_all(&mut call), expected);
}

#[test]
fn the_line_is_bounded_in_bytes_as_well() {
    let mut config = config();
    config.limits.events_bytes_max = 400;
    let mut call = busy(config);
    for byte in 0..5 {
        call.handle(ms(0), frame(byte));
    }
    let frames: Vec<_> = (3..5).map(|byte| Event::CallerAudio(vec![byte; 160])).collect();
    assert_eq!(answer_all(&mut call), frames);
}

#[test]
fn a_line_of_nothing_but_control_events_ends_the_call_with_the_apology() {
    let mut config = config();
    config.limits.events_max = 2;
    let mut call = busy(config);
    for _ in 0..3 {
        call.handle(ms(0), Input::Command("{}".to_owned()));
    }
    let outputs: Vec<_> = std::iter::from_fn(|| call.poll_output()).collect();
    assert!(
        outputs.iter().any(|output| matches!(output, Output::Carrier(ToCarrier::Media { .. })))
    );
    assert!(call.wake_at().is_some());
    call.handle(ms(60_000), Input::Wake);
    let outputs: Vec<_> = std::iter::from_fn(|| call.poll_output()).collect();
    assert!(
        matches!(outputs.last(), Some(Output::Ended(summary)) if summary.reason == Ended::Failed)
    );
}

#[test]
fn a_trap_ends_an_instance_and_not_the_call() {
    let starts = Rc::new(RefCell::new(Vec::new()));
    let mut rig = Rig::with_model(config(), trapping(starts.clone()));
    rig.act(vec![play("a", 16_000, true)]);
    press(&mut rig, '1');
    rig.frame(7);
    assert_eq!(*starts.borrow(), [false, true]);
    let tail = &rig.told[rig.told.len() - 4..];
    assert!(matches!(tail[0].1, Event::CallerKey(_)), "the event that trapped is not given again");
    assert!(matches!(&tail[1].1, Event::Started(info) if info.restarted));
    assert!(matches!(tail[2].1, Event::ModelReady(_)));
    assert_eq!(tail[3].1, Event::CallerAudio(vec![7; 160]));
    rig.run_for(3_000);
    assert_eq!(rig.frames().len(), 16_000, "what was queued plays on");
    assert!(rig.summary.is_none());
}

#[test]
fn an_instance_that_fails_before_it_answered_anything_has_not_greeted_the_caller() {
    let mut failures = 2;
    let mut rig = Rig::with(config(), move |_, event| match event {
        Event::Started(_) if failures > 0 => {
            failures -= 1;
            Answer::Fail(trap())
        }
        _ => Answer::Do(Vec::new()),
    });
    rig.frame(1);
    let starts = rig.told.iter().filter_map(|(_, event)| match event {
        Event::Started(info) => Some(info.restarted),
        _ => None,
    });
    assert_eq!(starts.collect::<Vec<_>>(), [false, false, false]);
}

#[test]
fn events_wait_for_the_fresh_instance_and_come_after_its_start() {
    let mut rig = Rig::with(config(), trapping(Rc::default()));
    rig.restarts_by_itself = false;
    press(&mut rig, '1');
    rig.frame(1);
    rig.feed(Input::ModelUp { info: model_info() });
    rig.frame(2);
    let before = rig.told.len();
    rig.feed(Input::TenantReady);
    let events: Vec<_> = rig.told[before..].iter().map(|(_, event)| event).collect();
    assert!(matches!(
        events.as_slice(),
        [Event::Started(_), Event::ModelReady(_), Event::CallerAudio(_), Event::CallerAudio(_)]
    ));
}

#[test]
fn a_model_lost_while_no_instance_exists_is_new_to_the_next_one() {
    let mut rig = Rig::with_model(config(), trapping(Rc::default()));
    rig.restarts_by_itself = false;
    press(&mut rig, '1');
    rig.feed(Input::ModelDown { reason: "reset".to_owned(), retry: true, refused: None });
    let before = rig.told.len();
    rig.feed(Input::TenantReady);
    rig.feed(Input::ModelUp { info: model_info() });
    let events: Vec<_> = rig.told[before..].iter().map(|(_, event)| event).collect();
    assert!(matches!(events.as_slice(), [Event::Started(_), Event::ModelReady(_)]), "{events:?}");
}

#[test]
fn a_tenant_that_fails_too_often_is_replaced_by_the_apology() {
    let mut rig = Rig::with(config(), trapping(Rc::default()));
    for _ in 0..4 {
        press(&mut rig, '1');
        rig.run_for(100);
    }
    assert_eq!(rig.call.counts().restarts, 3);
    rig.run_for(5_000);
    assert_eq!(rig.frames(), vec![0x55; 8_000]);
    let (_, summary) = rig.summary.expect("the call has ended");
    assert_eq!(summary.reason, Ended::Failed);
    assert!(summary.detail.contains("trapped"));
}

#[test]
fn the_apology_follows_what_the_carrier_already_has_and_replaces_the_rest() {
    let mut rig = Rig::with(config(), trapping(Rc::default()));
    rig.act(vec![play("a", 80_000, true)]);
    for _ in 0..4 {
        press(&mut rig, '1');
    }
    rig.run_for(5_000);
    let mut expected = vec![0x11; 3_200];
    expected.extend([0x55; 8_000]);
    assert_eq!(rig.frames(), expected);
    assert!(rig.summary.is_some_and(|(at, _)| at == ms(1_400)));
}

#[test]
fn failures_far_apart_never_add_up() {
    let mut rig = Rig::with(config(), trapping(Rc::default()));
    for _ in 0..20 {
        press(&mut rig, '1');
        rig.run_for(20_000);
        rig.feed(Input::ModelUp { info: model_info() });
    }
    assert_eq!(rig.call.counts().restarts, 20);
}

#[test]
fn without_any_instance_the_caller_hears_the_apology() {
    let mut rig = Rig::with(config(), trapping(Rc::default()));
    rig.restarts_by_itself = false;
    press(&mut rig, '1');
    rig.feed(Input::TenantGone { reason: "no memory".to_owned() });
    rig.run_for(5_000);
    assert_eq!(rig.frames(), vec![0x55; 8_000]);
    assert!(!rig.told.iter().any(|(_, event)| matches!(event, Event::Ended(_))));
    assert!(rig.summary.is_some_and(|(_, summary)| summary.detail == "no memory"));
}

#[test]
fn an_instance_that_never_comes_is_given_up() {
    let mut rig = Rig::with(config(), trapping(Rc::default()));
    rig.restarts_by_itself = false;
    press(&mut rig, '1');
    rig.run_to(ms(4_999));
    assert!(rig.frames().is_empty());
    rig.run_to(ms(10_000));
    assert_eq!(rig.frames(), vec![0x55; 8_000]);
    assert!(rig.summary.is_some());
}

#[test]
fn without_an_apology_the_call_ends_at_once() {
    let mut config = config();
    config.apology = Vec::new().into();
    let mut rig = Rig::with(config, trapping(Rc::default()));
    for _ in 0..4 {
        press(&mut rig, '1');
    }
    assert!(rig.summary.is_some_and(|(at, _)| at == ms(0)));
}

#[test]
fn timers_and_requests_of_a_dead_instance_are_forgotten() {
    let mut rig = Rig::with(config(), trapping(Rc::default()));
    let request = HttpRequest {
        token: 9,
        method: "GET".to_owned(),
        url: "https://example.org".to_owned(),
        headers: Vec::new(),
        body: Vec::new(),
        timeout_ms: 1_000,
    };
    rig.act(vec![Action::SetTimer(Timer { token: 5, at: 1_000 }), Action::Http(request)]);
    press(&mut rig, '1');
    let (status, headers, body) = (200, Vec::new(), Vec::new());
    rig.feed(Input::HttpDone(HttpResponse { token: 9, status, headers, body }));
    rig.run_for(2_000);
    assert!(!rig.events().iter().any(|e| matches!(e, Event::Timer(_) | Event::HttpDone(_))));
    assert!(rig.notes.contains(&Note::OrphanedHttp));
}

#[test]
fn a_tenant_that_answers_its_own_echoes_without_end_is_restarted_and_then_given_up() {
    type Loop = fn(&Event) -> Option<Action>;
    let loops: [Loop; 4] = [
        |event| matches!(event, Event::Flushed(_) | Event::Started(_)).then_some(Action::Flush),
        |event| match event {
            Event::Mark(_) | Event::Started(_) => Some(Action::Mark("m".to_owned())),
            _ => None,
        },
        |event| match event {
            Event::Timer(_) | Event::Started(_) => {
                Some(Action::SetTimer(Timer { token: 1, at: 0 }))
            }
            _ => None,
        },
        |event| match event {
            Event::Refused(_) | Event::Started(_) => Some(Action::SendKeys("bad".to_owned())),
            _ => None,
        },
    ];
    for next in loops {
        let mut rig =
            Rig::with(config(), move |_, event| Answer::Do(next(event).into_iter().collect()));
        rig.run_for(10_000);
        let (_, summary) = rig.summary.expect("the call has ended");
        assert_eq!((summary.reason, summary.counts.restarts), (Ended::Failed, 3));
    }
}

#[test]
fn the_instance_after_a_loop_has_its_own_measure() {
    let mut instances = 0;
    let mut rig = Rig::with(config(), move |_, event| match event {
        Event::Started(_) => {
            instances += 1;
            Answer::Do(vec![Action::Flush])
        }
        Event::Flushed(_) if instances == 1 => Answer::Do(vec![Action::Flush]),
        _ => Answer::Do(Vec::new()),
    });
    rig.run_for(5_000);
    assert_eq!(rig.call.counts().restarts, 1);
    let tail: Vec<_> = rig.told.iter().rev().take(2).map(|(_, event)| event).collect();
    assert!(matches!(tail.as_slice(), [Event::Flushed(_), Event::Started(_)]), "{tail:?}");
}

#[test]
fn a_timer_that_fired_while_the_tenant_thought_can_still_be_cancelled_or_moved() {
    let mut call = busy(config());
    let timers = [1, 2, 3].map(|token| Action::SetTimer(Timer { token, at: 10 }));
    call.handle(ms(0), Input::Answered(timers.into()));
    call.handle(ms(0), frame(1));
    assert_eq!(tenant_outputs(&mut call).len(), 1);
    call.handle(ms(20), Input::Wake);
    assert_eq!(call.events_waiting(), 3);
    let moved = Action::SetTimer(Timer { token: 2, at: 50 });
    call.handle(ms(20), Input::Answered(vec![Action::CancelTimer(1), moved]));
    assert_eq!(tenant_outputs(&mut call), [Event::Timer(3)]);
    assert_eq!(call.events_waiting(), 0);
    call.handle(ms(50), Input::Answered(Vec::new()));
    assert_eq!(tenant_outputs(&mut call), [Event::Timer(2)]);
}

#[test]
fn more_actions_than_an_answer_may_hold_are_refused_in_one_word() {
    let mut rig = Rig::new();
    let timers = (0..40).map(|token| Action::SetTimer(Timer { token, at: 99_999 }));
    let surplus = std::iter::repeat_n(Action::Flush, 300);
    rig.act(timers.chain(surplus).collect());
    assert_eq!(rig.refusals().len(), 1);
    assert!(rig.refusals()[0].1.contains("84"), "{:?}", rig.refusals());
    let flushed = rig.events().iter().filter(|event| matches!(event, Event::Flushed(_))).count();
    assert_eq!(flushed, 216);
}

#[test]
fn an_answer_nobody_asked_for_is_noted_and_not_carried_out() {
    let mut rig = Rig::new();
    rig.feed(Input::Answered(vec![play("a", 160, true)]));
    assert!(rig.frames().is_empty());
    assert_eq!(rig.notes, [Note::Unexpected("answer")]);
}

#[test]
fn an_answer_holds_no_more_audio_than_it_may() {
    let mut rig = Rig::new();
    let whole = 256 * 1024;
    rig.act(vec![play("a", whole, true), play("b", 1, true)]);
    assert_eq!(rig.refusals().len(), 1);
    rig.act(vec![Action::Flush, Action::ModelAudio(vec![0; whole + 1])]);
    assert_eq!(rig.refusals().last().map(|(action, _)| action.as_str()), Some("model-audio"));
}
