//! Barge-in: what is thrown away, and how much was heard of it.

use cordboard_call::contract::{Action, Event, Flushed, Heard};
use cordboard_call::{Input, ToCarrier};

use crate::rig::{Answer, Rig, config, heard, ms, play};

fn flushed(rig: &Rig) -> Flushed {
    let flushed = rig.told.iter().rev().find_map(|(_, event)| match event {
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
    let mut rig = Rig::new();
    rig.act(vec![play("a", 24_000, true), Action::Mark("end".to_owned())]);
    rig.run_to(ms(1_010));
    rig.sent.clear();
    rig.act(vec![Action::Flush]);
    let kinds: Vec<_> = rig.sent.iter().map(|(_, message)| message.clone()).collect();
    assert!(
        matches!(kinds.as_slice(), [ToCarrier::Clear, ToCarrier::Mark { name }] if name.starts_with("g2."))
    );
    assert_eq!(
        flushed(&rig),
        Flushed { items: vec![part("a", 1_010)], marks: vec!["end".to_owned()] }
    );
    rig.run_for(5_000);
    assert_eq!(rig.sent.len(), 2);
    assert_eq!(rig.events().len(), 1, "no `heard` and no mark of what was thrown away");
}

#[test]
fn a_queued_item_was_not_heard_at_all() {
    let mut rig = Rig::new();
    rig.act(vec![play("a", 4_000, true), play("b", 80_000, false), play("c", 100, true)]);
    rig.run_to(ms(450));
    rig.act(vec![Action::Flush]);
    assert_eq!(flushed(&rig).items, [part("a", 450), part("b", 0), part("c", 0)]);
}

#[test]
fn an_item_heard_whole_is_reported_as_heard_not_as_flushed() {
    let mut rig = Rig::new();
    rig.act(vec![play("a", 4_000, true), play("b", 80_000, false)]);
    rig.run_to(ms(700));
    rig.act(vec![Action::Flush]);
    assert_eq!(rig.events()[0], heard("a", 500, true));
    assert_eq!(flushed(&rig).items, [part("b", 200)]);
}

#[test]
fn an_item_that_lacks_only_its_padding_was_heard_whole() {
    let mut rig = Rig::new();
    rig.act(vec![play("a", 200, true)]);
    rig.run_to(ms(30));
    rig.act(vec![Action::Flush]);
    assert_eq!(rig.events()[0], heard("a", 25, true));
    assert_eq!(flushed(&rig), Flushed::default());
    assert_eq!(rig.clears(), 1);
}

#[test]
fn nothing_is_cleared_when_nothing_is_unplayed() {
    let mut rig = Rig::new();
    rig.act(vec![Action::Flush]);
    assert_eq!(flushed(&rig), Flushed::default());
    rig.act(vec![play("a", 8_000, true)]);
    rig.run_for(1_000);
    rig.act(vec![Action::Flush]);
    assert_eq!(flushed(&rig), Flushed::default());
    assert_eq!(rig.clears(), 0);
}

#[test]
fn a_flush_while_the_last_echo_is_on_its_way_clears_nothing_and_loses_no_report() {
    let mut rig = Rig::new();
    rig.echoes = false;
    rig.act(vec![play("a", 800, true), Action::Mark("m".to_owned())]);
    rig.run_to(ms(110));
    rig.act(vec![Action::Flush]);
    assert_eq!(flushed(&rig), Flushed::default());
    assert_eq!(rig.clears(), 0);
    rig.echoes = true;
    rig.run_for(100);
    assert_eq!(rig.events()[1..], [heard("a", 100, true), Event::Mark("m".to_owned())]);
}

#[test]
fn what_was_never_sent_needs_no_clear() {
    let mut rig = Rig::new();
    let mark = Action::Mark("m".to_owned());
    rig.act(vec![play("a", 8_000, true), mark, Action::Flush]);
    assert_eq!(flushed(&rig), Flushed { items: vec![part("a", 0)], marks: vec!["m".to_owned()] });
    rig.run_for(5_000);
    assert!(rig.sent.is_empty());
}

#[test]
fn the_echoes_of_cleared_marks_are_not_taken_for_played() {
    let mut rig = Rig::new();
    rig.act(vec![play("a", 8_000, true)]);
    rig.run_to(ms(150));
    rig.act(vec![Action::Flush, play("b", 8_000, true)]);
    rig.run_to(ms(160));
    assert!(rig.call.counts().stale_marks >= 2, "the old generation's echoes came back");
    rig.run_to(ms(1_149));
    assert!(!rig.events().contains(&heard("b", 1_000, true)));
    rig.run_to(ms(1_150));
    assert!(rig.events().contains(&heard("b", 1_000, true)));
}

#[test]
fn audio_after_a_flush_plays_again_under_the_same_name_from_nothing() {
    let mut rig = Rig::new();
    rig.act(vec![play("a", 8_000, false)]);
    rig.run_to(ms(300));
    rig.act(vec![Action::Flush]);
    rig.act(vec![play("a", 1_600, true)]);
    rig.run_for(1_000);
    assert_eq!(rig.events().last(), Some(&heard("a", 200, true)));
}

#[test]
fn an_item_that_goes_on_after_all_of_it_was_heard_keeps_its_account() {
    let mut rig = Rig::new();
    rig.act(vec![play("a", 1_600, false)]);
    rig.run_for(1_000);
    rig.act(vec![play("b", 8_000, true), Action::Flush]);
    assert_eq!(flushed(&rig).items, [part("b", 0)]);
    rig.act(vec![play("a", 1_600, true)]);
    rig.run_for(1_000);
    assert_eq!(rig.events().last(), Some(&heard("a", 400, true)));
}

#[test]
fn heard_is_never_more_than_was_sent_however_late_the_clock() {
    let mut rig = Rig::new();
    rig.act(vec![play("a", 80_000, true)]);
    // No wake-up came for three seconds: only the first 400 ms were ever sent.
    rig.now = ms(3_000);
    rig.act(vec![Action::Flush]);
    let [item] = flushed(&rig).items.try_into().expect("one item");
    assert!(item.millis <= 400, "{item:?}");
}

#[test]
fn what_was_heard_follows_the_echoes_and_not_our_clock() {
    let mut rig = Rig::new();
    rig.echo_delay = ms(300);
    rig.act(vec![play("a", 80_000, true)]);
    rig.run_to(ms(1_000));
    rig.act(vec![Action::Flush]);
    // The echo of 600 ms came at 900 ms; the clock alone would say 1000.
    assert_eq!(flushed(&rig).items, [part("a", 700)]);
}

#[test]
fn a_flush_of_what_was_not_sent_leaves_the_reports_of_what_was_to_their_echoes() {
    let mut rig = Rig::new();
    rig.echo_delay = ms(100);
    rig.act(vec![play("a", 800, true)]);
    rig.run_to(ms(110));
    rig.act(vec![play("b", 800, true), Action::Flush]);
    assert_eq!(flushed(&rig).items, [part("b", 0)]);
    assert_eq!(rig.events().len(), 1);
    rig.run_to(ms(200));
    assert_eq!(rig.events().last(), Some(&heard("a", 100, true)));
}

#[test]
fn marks_that_were_thrown_away_make_room_for_others() {
    let mut rig = Rig::new();
    for round in 0..200 {
        rig.act(vec![
            play("a", 1_600, false),
            Action::Mark("sent".to_owned()),
            play("a", 8_000, true),
        ]);
        rig.run_for(round % 90);
        rig.act(vec![Action::Mark("unsent".to_owned()), Action::Flush]);
        rig.run_for(10);
    }
    assert_eq!(rig.refusals(), []);
}

#[test]
fn a_second_flush_right_after_the_first_finds_nothing() {
    let mut rig = Rig::new();
    rig.act(vec![play("a", 8_000, true)]);
    rig.run_to(ms(100));
    rig.act(vec![Action::Flush, Action::Flush]);
    assert_eq!(flushed(&rig), Flushed::default());
    assert_eq!(rig.clears(), 1);
}

#[test]
fn a_flush_is_answered_before_the_next_thing_the_tenant_hears() {
    let mut rig = Rig::with(config(), |_, event| match event {
        Event::CallerKey(_) => Answer::Do(vec![Action::Flush]),
        _ => Answer::Do(Vec::new()),
    });
    rig.act(vec![play("a", 8_000, true)]);
    rig.run_to(ms(100));
    rig.feed(Input::Carrier(cordboard_wire::twilio::FromCarrier::Dtmf { digit: '1' }));
    rig.frame(1);
    let events = rig.events();
    assert!(matches!(
        events.as_slice(),
        [Event::CallerKey(_), Event::Flushed(_), Event::CallerAudio(_)]
    ));
}
