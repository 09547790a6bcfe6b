//! What is found of a shadow, and that whatever it does the call only ever puts something into a queue.

use std::time::Duration;

use cordboard_misbehaving_guests::{Lines, call_info, component};
use cordboard_tenant::{CarrierPolicy, HttpPolicy, Limits, TenantId};

use super::*;

#[test]
fn what_it_answers_otherwise_is_counted_and_the_first_few_are_shown() {
    let shadows = Shadows::new().unwrap();
    let shadow = shadow_of("echoes", &shadows);
    for frame in 1..=20 {
        assert!(shadow.hears(20 * frame, caller_audio(), &[]));
    }
    assert!(shadow.hears(410, Event::CallerKey("1".into()), &[]));

    let found = once(&shadows, "echoes", |found| found.events == 21);

    assert_eq!((found.calls, found.differing), (1, 20));
    assert_eq!(found.by_event, BTreeMap::from([("caller-audio", 20)]));
    assert_eq!(found.differences.len(), TOLD_PER_CALL);
    assert_eq!(found.differences[0].at_ms, 20);
    assert!(found.differences[0].difference.contains("play"), "{:?}", found.differences[0]);
}

#[test]
fn one_that_answers_the_same_has_nothing_to_show() {
    let shadows = Shadows::new().unwrap();
    let shadow = shadow_of("is_slow", &shadows);
    assert!(shadow.hears(20, caller_audio(), &[]));

    let found = once(&shadows, "is_slow", |found| found.events == 1);

    assert_eq!((found.differing, found.differences.len()), (0, 0));
}

#[test]
fn one_that_traps_or_overruns_is_dropped_and_says_why() {
    let shadows = Shadows::new().unwrap();
    for (guest, kind) in
        [("traps", "trap"), ("loops", "over_budget"), ("loops_in_start", "over_budget")]
    {
        let shadow = shadow_of(guest, &shadows);
        // A guest that dies in its start may be gone already.
        let _ = shadow.hears(20, caller_audio(), &[]);

        let found = once(&shadows, guest, |found| !found.dropped.is_empty());

        assert_eq!(found.dropped, BTreeMap::from([(kind, 1)]), "{guest}");
        assert!(found.last_dropped.is_some_and(|why| why.contains("the tenant")), "{guest}");
        while shadow.hears(40, caller_audio(), &[]) {
            std::thread::yield_now();
        }
    }
}

#[test]
fn one_that_cannot_keep_up_is_dropped() {
    let shadows = Shadows::new().unwrap();
    let shadow = shadow_of("echoes", &shadows);
    // Much faster than an instance can answer.
    while shadow.hears(20, caller_audio(), &[]) {}
    drop(shadow);

    let found = once(&shadows, "echoes", |found| !found.dropped.is_empty());

    assert_eq!(found.dropped, BTreeMap::from([("behind", 1)]));
}

#[test]
fn a_new_trial_begins_with_nothing_found() {
    let shadows = Shadows::new().unwrap();
    let shadow = shadow_of("echoes", &shadows);
    assert!(shadow.hears(20, caller_audio(), &[]));
    once(&shadows, "echoes", |found| found.events == 1);

    shadows.forget(&which("echoes"));

    assert_eq!(shadows.findings(&which("echoes")).events, 0);
}

fn shadow_of(guest: &str, shadows: &Shadows) -> Shadow {
    let version = Version {
        tenant: TenantId::parse("test").unwrap(),
        name: guest.to_owned(),
        component: component(guest).unwrap(),
        settings: "{}".to_owned(),
        limits: Arc::new(Limits::default()),
        http: HttpPolicy::default(),
        carrier: CarrierPolicy::default(),
        recording: Default::default(),
    };
    let factory = CallInstanceFactory {
        seed: [1; 32],
        began_unix_ms: 0,
        log: Arc::new(Lines::default()),
        observer: None,
        cpu_quota: Arc::default(),
    };
    shadows.follow(factory, Arc::new(version), &call_info("{}"))
}

fn which(guest: &str) -> Which {
    Which { tenant: "test".to_owned(), version: guest.to_owned() }
}

/// Waits for the thread of the lowest priority to have found something.
fn once(shadows: &Shadows, guest: &str, enough: impl Fn(&Findings) -> bool) -> Findings {
    let began = std::time::Instant::now();
    loop {
        let found = shadows.findings(&which(guest));
        if enough(&found) {
            return found;
        }
        assert!(began.elapsed() < Duration::from_secs(60), "{found:?}");
        std::thread::yield_now();
    }
}

fn caller_audio() -> Event {
    Event::CallerAudio(vec![0x55; 160])
}
