//! Barge-in: what is thrown away, and how much was heard of it.

use cordboard_call::contract::{Action, Event, Flushed, Heard};
use cordboard_call::{Input, ToCarrier};

use crate::desk::{Answer, Desk, config, heard, ms, play};

fn flushed(desk: &Desk) -> Flushed {
    let flushed = desk.told.iter().rev().find_map(|(_, event)| match event {
        Event::Flushed(flushed) => Some(flushed.clone()),
        _ => None,
    });
    flushed.expect("a flush is always answered")
}

fn part(item: &str, millis: u32) -> Heard {
    Heard { item: item.to_owned(), millis, complete: false }
}

#[test]
fn caller_hears_nothing_after_barge_in() {
    let mut desk = Desk::new();
    desk.act(vec![play("a", 24_000, true), Action::Mark("end".to_owned())]);
    desk.run_to(ms(1_010));
    desk.sent.clear();
    desk.act(vec![Action::Flush]);
    let kinds: Vec<_> = desk.sent.iter().map(|(_, message)| message.clone()).collect();
    assert!(
        matches!(kinds.as_slice(), [ToCarrier::Clear, ToCarrier::Mark { name }] if name.starts_with("g2."))
    );
    assert_eq!(
        flushed(&desk),
        Flushed { items: vec![part("a", 1_010)], marks: vec!["end".to_owned()] }
    );
    desk.run_for(5_000);
    assert_eq!(desk.sent.len(), 2);
    assert_eq!(desk.events().len(), 1, "no `heard` and no mark of what was thrown away");
}

#[test]
fn a_queued_item_was_not_heard_at_all() {
    let mut desk = Desk::new();
    desk.act(vec![play("a", 4_000, true), play("b", 80_000, false), play("c", 100, true)]);
    desk.run_to(ms(450));
    desk.act(vec![Action::Flush]);
    assert_eq!(flushed(&desk).items, [part("a", 450), part("b", 0), part("c", 0)]);
}

#[test]
fn an_item_heard_whole_is_reported_as_heard_not_as_flushed() {
    let mut desk = Desk::new();
    desk.act(vec![play("a", 4_000, true), play("b", 80_000, false)]);
    desk.run_to(ms(700));
    desk.act(vec![Action::Flush]);
    assert_eq!(desk.events()[0], heard("a", 500, true));
    assert_eq!(flushed(&desk).items, [part("b", 200)]);
}

#[test]
fn an_item_that_lacks_only_its_padding_was_heard_whole() {
    let mut desk = Desk::new();
    desk.act(vec![play("a", 200, true)]);
    desk.run_to(ms(30));
    desk.act(vec![Action::Flush]);
    assert_eq!(desk.events()[0], heard("a", 25, true));
    assert_eq!(flushed(&desk), Flushed::default());
    assert_eq!(desk.clears(), 1);
}

#[test]
fn nothing_is_cleared_when_nothing_is_unplayed() {
    let mut desk = Desk::new();
    desk.act(vec![Action::Flush]);
    assert_eq!(flushed(&desk), Flushed::default());
    desk.act(vec![play("a", 8_000, true)]);
    desk.run_for(1_000);
    desk.act(vec![Action::Flush]);
    assert_eq!(flushed(&desk), Flushed::default());
    assert_eq!(desk.clears(), 0);
}

#[test]
fn a_flush_while_the_last_echo_is_on_its_way_clears_nothing_and_loses_no_report() {
    let mut desk = Desk::new();
    desk.echoes = false;
    desk.act(vec![play("a", 800, true), Action::Mark("m".to_owned())]);
    desk.run_to(ms(110));
    desk.act(vec![Action::Flush]);
    assert_eq!(flushed(&desk), Flushed::default());
    assert_eq!(desk.clears(), 0);
    desk.echoes = true;
    desk.run_for(100);
    assert_eq!(desk.events()[1..], [heard("a", 100, true), Event::Mark("m".to_owned())]);
}

#[test]
fn what_was_never_sent_needs_no_clear() {
    let mut desk = Desk::new();
    let mark = Action::Mark("m".to_owned());
    desk.act(vec![play("a", 8_000, true), mark, Action::Flush]);
    assert_eq!(flushed(&desk), Flushed { items: vec![part("a", 0)], marks: vec!["m".to_owned()] });
    desk.run_for(5_000);
    assert!(desk.sent.is_empty());
}

#[test]
fn the_echoes_of_cleared_marks_are_not_taken_for_played() {
    let mut desk = Desk::new();
    desk.act(vec![play("a", 8_000, true)]);
    desk.run_to(ms(150));
    desk.act(vec![Action::Flush, play("b", 8_000, true)]);
    desk.run_to(ms(160));
    assert!(desk.call.counts().stale_marks >= 2, "the old generation's echoes came back");
    desk.run_to(ms(1_149));
    assert!(!desk.events().contains(&heard("b", 1_000, true)));
    desk.run_to(ms(1_150));
    assert!(desk.events().contains(&heard("b", 1_000, true)));
}

#[test]
fn audio_after_a_flush_plays_again_under_the_same_name_from_nothing() {
    let mut desk = Desk::new();
    desk.act(vec![play("a", 8_000, false)]);
    desk.run_to(ms(300));
    desk.act(vec![Action::Flush]);
    desk.act(vec![play("a", 1_600, true)]);
    desk.run_for(1_000);
    assert_eq!(desk.events().last(), Some(&heard("a", 200, true)));
}

#[test]
fn an_item_that_goes_on_after_all_of_it_was_heard_keeps_its_account() {
    let mut desk = Desk::new();
    desk.act(vec![play("a", 1_600, false)]);
    desk.run_for(1_000);
    desk.act(vec![play("b", 8_000, true), Action::Flush]);
    assert_eq!(flushed(&desk).items, [part("b", 0)]);
    desk.act(vec![play("a", 1_600, true)]);
    desk.run_for(1_000);
    assert_eq!(desk.events().last(), Some(&heard("a", 400, true)));
}

#[test]
fn heard_is_never_more_than_was_sent_however_late_the_clock() {
    let mut desk = Desk::new();
    desk.act(vec![play("a", 80_000, true)]);
    // No wake-up came for three seconds: only the first 400 ms were ever sent.
    desk.now = ms(3_000);
    desk.act(vec![Action::Flush]);
    let [item] = flushed(&desk).items.try_into().expect("one item");
    assert!(item.millis <= 400, "{item:?}");
}

#[test]
fn what_was_heard_follows_the_echoes_and_not_our_clock() {
    let mut desk = Desk::new();
    desk.echo_delay = ms(300);
    desk.act(vec![play("a", 80_000, true)]);
    desk.run_to(ms(1_000));
    desk.act(vec![Action::Flush]);
    // The echo of 600 ms came at 900 ms; the clock alone would say 1000.
    assert_eq!(flushed(&desk).items, [part("a", 700)]);
}

#[test]
fn a_flush_of_what_was_not_sent_leaves_the_reports_of_what_was_to_their_echoes() {
    let mut desk = Desk::new();
    desk.echo_delay = ms(100);
    desk.act(vec![play("a", 800, true)]);
    desk.run_to(ms(110));
    desk.act(vec![play("b", 800, true), Action::Flush]);
    assert_eq!(flushed(&desk).items, [part("b", 0)]);
    assert_eq!(desk.events().len(), 1);
    desk.run_to(ms(200));
    assert_eq!(desk.events().last(), Some(&heard("a", 100, true)));
}

#[test]
fn marks_that_were_thrown_away_make_room_for_others() {
    let mut desk = Desk::new();
    for round in 0..200 {
        desk.act(vec![
            play("a", 1_600, false),
            Action::Mark("sent".to_owned()),
            play("a", 8_000, true),
        ]);
        desk.run_for(round % 90);
        desk.act(vec![Action::Mark("unsent".to_owned()), Action::Flush]);
        desk.run_for(10);
    }
    assert_eq!(desk.refusals(), []);
}

#[test]
fn a_second_flush_right_after_the_first_finds_nothing() {
    let mut desk = Desk::new();
    desk.act(vec![play("a", 8_000, true)]);
    desk.run_to(ms(100));
    desk.act(vec![Action::Flush, Action::Flush]);
    assert_eq!(flushed(&desk), Flushed::default());
    assert_eq!(desk.clears(), 1);
}

#[test]
fn a_flush_is_answered_before_the_next_thing_the_tenant_hears() {
    let mut desk = Desk::with(config(), |_, event| match event {
        Event::CallerKey(_) => Answer::Do(vec![Action::Flush]),
        _ => Answer::Do(Vec::new()),
    });
    desk.act(vec![play("a", 8_000, true)]);
    desk.run_to(ms(100));
    desk.give(Input::Carrier(cordboard_wire::twilio::FromCarrier::Dtmf { digit: '1' }));
    desk.frame(1);
    let events = desk.events();
    assert!(matches!(
        events.as_slice(),
        [Event::CallerKey(_), Event::Flushed(_), Event::CallerAudio(_)]
    ));
}
