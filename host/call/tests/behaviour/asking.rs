//! Timers, requests and publications: what a tenant may ask for, and how much of it.

use cordboard_call::contract::{
    Action, Event, HttpFailure, HttpRequest, HttpResponse, Publication, Timer,
};
use cordboard_call::{Input, Note, Output};

use crate::rig::{Answer, Rig, config, ms, play};

fn timer(token: u64, at: u64) -> Action {
    Action::SetTimer(Timer { token, at })
}

fn request(token: u64, timeout_ms: u32) -> Action {
    Action::Http(HttpRequest {
        token,
        method: "GET".to_owned(),
        url: "https://example.org/".to_owned(),
        headers: Vec::new(),
        body: Vec::new(),
        timeout_ms,
    })
}

fn publication(topic: &str, json: &str) -> Action {
    Action::Publish(Publication { topic: topic.to_owned(), json: json.to_owned() })
}

fn requests(rig: &Rig) -> Vec<&HttpRequest> {
    let requests = rig.others.iter().filter_map(|output| match output {
        Output::Http(request) => Some(request),
        _ => None,
    });
    requests.collect()
}

#[test]
fn a_timer_fires_once_at_its_time() {
    let mut rig = Rig::new();
    rig.act(vec![timer(7, 1_000), timer(8, 500), timer(9, 700), Action::CancelTimer(9)]);
    rig.run_for(10_000);
    let fired: Vec<_> =
        rig.told.iter().filter(|(_, event)| matches!(event, Event::Timer(_))).cloned().collect();
    assert_eq!(fired, [(ms(500), Event::Timer(8)), (ms(1_000), Event::Timer(7))]);
}

#[test]
fn the_same_token_moves_its_timer() {
    let mut rig = Rig::new();
    rig.act(vec![timer(7, 1_000)]);
    rig.act(vec![timer(7, 2_000)]);
    rig.run_to(ms(1_999));
    assert_eq!(rig.events(), []);
    rig.run_to(ms(2_000));
    assert_eq!(rig.events(), [Event::Timer(7)]);
}

#[test]
fn a_timer_in_the_past_fires_at_once() {
    let mut rig = Rig::new();
    rig.run_for(5_000);
    rig.act(vec![timer(7, 1)]);
    assert_eq!(rig.events(), [Event::Timer(7)]);
}

#[test]
fn at_most_64_timers_are_set() {
    let mut rig = Rig::new();
    rig.act((0..65).map(|token| timer(token, 99_999)).collect());
    assert_eq!(rig.refusals().len(), 1);
    assert_eq!(rig.refusals()[0].0, "set-timer");
}

#[test]
fn a_request_is_answered_once_and_its_token_is_free_again() {
    let mut rig = Rig::new();
    rig.act(vec![request(1, 500), request(1, 500)]);
    assert_eq!(rig.refusals().len(), 1);
    let response =
        HttpResponse { token: 1, status: 204, headers: Vec::new(), body: b"ok".to_vec() };
    rig.feed(Input::HttpDone(response.clone()));
    rig.feed(Input::HttpDone(response.clone()));
    assert_eq!(rig.events()[1..], [Event::HttpDone(response)]);
    assert!(rig.notes.contains(&Note::OrphanedHttp));
    rig.act(vec![request(1, 500)]);
    let failure = HttpFailure { token: 1, reason: "timeout".to_owned() };
    rig.feed(Input::HttpFailed(failure.clone()));
    assert_eq!(rig.events().last(), Some(&Event::HttpFailed(failure)));
}

#[test]
fn at_most_eight_requests_are_under_way_and_none_longer_than_30_s() {
    let mut rig = Rig::new();
    rig.act((0..9).map(|token| request(token, if token == 0 { 0 } else { 99_999 })).collect());
    assert_eq!(
        rig.refusals(),
        [("http".to_owned(), "at most 8 requests can be under way".to_owned())]
    );
    assert_eq!(requests(&rig).len(), 8);
    assert!(requests(&rig).iter().all(|request| request.timeout_ms == 30_000));
}

#[test]
fn a_request_too_large_is_refused() {
    let mut rig = Rig::new();
    let Action::Http(mut large) = request(1, 500) else { unreachable!() };
    large.body = vec![0; 128 * 1024];
    rig.act(vec![Action::Http(large)]);
    assert_eq!(rig.refusals().len(), 1);
    assert!(requests(&rig).is_empty());
}

#[test]
fn a_publication_needs_a_plain_topic_and_whole_json() {
    let mut rig = Rig::new();
    rig.act(vec![
        publication("transcript.caller", r#"{"text":"hello"}"#),
        publication("Transcript", "1"),
        publication("", "1"),
        publication("a b", "1"),
        publication("a", "{"),
        publication("a", "1 2"),
        publication("a", &format!("\"{}\"", "x".repeat(64 * 1024))),
    ]);
    assert_eq!(rig.refusals().len(), 6);
    assert_eq!(rig.others.len(), 1);
}

#[test]
fn publications_have_a_rate() {
    let mut rig = Rig::new();
    rig.act((0..250).map(|_| publication("a", "1")).collect());
    assert_eq!((rig.others.len(), rig.refusals().len()), (200, 50));
    rig.run_for(1_000);
    rig.act(vec![publication("a", "1")]);
    assert_eq!(rig.others.len(), 201);
}

#[test]
fn more_audio_than_five_minutes_is_refused_whole() {
    let mut rig = Rig::new();
    for _ in 0..10 {
        rig.act(vec![play("a", 240_000, false)]);
    }
    assert_eq!(rig.refusals(), []);
    rig.act(vec![play("a", 3_201, true)]);
    assert_eq!(rig.refusals().len(), 1);
    assert_eq!(rig.call.waiting_ms(), 300_000 - 400);
}

#[test]
fn audio_in_crumbs_is_bounded_by_their_number() {
    let mut config = config();
    config.limits.pieces_max = 1_000;
    let mut rig = Rig::with(config, |_, _| Answer::Do(Vec::new()));
    rig.act(vec![play("a", 8_000, false)]);
    for _ in 0..5 {
        rig.act((0..250).map(|n| play(&format!("i{}", n % 2), 1, false)).collect());
    }
    assert_eq!(rig.refusals().len(), 251);
    rig.run_for(20_000);
    assert_eq!(rig.frames().len(), 8_000 + 1_120, "what was not refused was played");
}

#[test]
fn items_marks_and_their_names_are_bounded() {
    let mut rig = Rig::new();
    rig.act((0..=255).map(|n| play(&format!("i{n}"), 160, false)).collect());
    assert_eq!(rig.refusals(), []);
    rig.act(vec![
        play("one more", 160, false),
        play("i0", 160, true),
        play(&"n".repeat(257), 1, true),
    ]);
    assert_eq!(rig.refusals().len(), 2);
    rig.act((0..=255).map(|n| Action::Mark(format!("m{n}"))).collect());
    assert_eq!(rig.refusals().len(), 2);
    rig.act(vec![Action::Mark("m".to_owned()), Action::Mark("m".repeat(257))]);
    assert_eq!(rig.refusals().len(), 4);
}

#[test]
fn an_operators_command_reaches_the_tenant_unless_it_is_too_large() {
    let mut rig = Rig::new();
    rig.feed(Input::Command("x".repeat(64 * 1024 + 1)));
    rig.feed(Input::Command(r#"{"a":1}"#.to_owned()));
    assert_eq!(rig.notes, [Note::CommandDropped]);
    assert_eq!(rig.told[1..], [(ms(0), Event::Command(r#"{"a":1}"#.to_owned()))]);
}
