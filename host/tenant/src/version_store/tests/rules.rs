//! What each operation does and refuses.

use std::collections::BTreeSet;

use super::super::*;
use super::version as v;

#[test]
fn a_staged_version_answers_nothing_until_it_is_activated() {
    let releases = store_of(1);
    assert_eq!(releases.choose("CA1"), None);
    let releases = releases.activate(v(1), Force::No).unwrap();
    assert_eq!(releases.choose("CA1"), Some(v(1)));
}

#[test]
fn the_same_bytes_and_settings_are_one_version_and_keep_their_mark() {
    let releases = active(2).rollback("it stuttered").unwrap();
    let (same, staged) = releases.stage(offer(2)).unwrap();
    assert_eq!(staged, Staged::Same(v(2)));
    assert_eq!(same, releases);
    let refused = same.activate(v(2), Force::No).unwrap_err();
    assert_eq!(
        refused.to_string(),
        "v2 was rolled back (it stuttered); deploy a repaired one, or insist with --force"
    );
}

#[test]
fn other_settings_make_another_version_of_the_same_component() {
    let releases = store_of(1);
    let (_, staged) = releases.stage(Offer { settings: Digest::of(b"{}"), ..offer(1) }).unwrap();
    assert_eq!(staged, Staged::New(v(2)));
}

#[test]
fn activating_a_missing_version_names_those_there_are() {
    let refused = store_of(2).activate(v(9), Force::Yes).unwrap_err();
    assert_eq!(refused.to_string(), "there is no version v9; those in the store are v1, v2");
    let refused = ReleaseState::default().activate(v(1), Force::No).unwrap_err();
    assert_eq!(refused.to_string(), "there is no version v1; nothing was deployed yet");
}

#[test]
fn a_roll_back_leads_to_what_was_active_before_and_marks_what_failed() {
    let releases = active(3);
    let once = releases.rollback("one").unwrap();
    assert_eq!((once.active(), once.previous()), (Some(v(2)), Some(v(1))));
    assert_eq!(once.entry(v(3)).unwrap().rolled_back.as_deref(), Some("one"));
    let twice = once.rollback("two").unwrap();
    assert_eq!((twice.active(), twice.previous()), (Some(v(1)), None));
}

#[test]
fn taking_the_last_version_back_leaves_nobody_to_answer_until_one_is_activated() {
    let (releases, _) = active(1).stage(offer(2)).unwrap();
    let releases = releases.cast_shadow(v(2), Share::percent(5).unwrap()).unwrap();
    let releases = releases.rollback("it stuttered").unwrap();
    assert!(releases.is_taken_back());
    assert_eq!((releases.choose("CA1"), releases.shadow()), (None, None));
    assert_eq!(releases.rollback("again"), Err(Refused::NothingEarlier));
    let releases = releases.activate(v(2), Force::No).unwrap();
    assert!(!releases.is_taken_back());
    assert_eq!((releases.active(), releases.previous()), (Some(v(2)), None));
}

#[test]
fn who_answered_last_stands_in_first_and_nobody_who_was_rolled_back() {
    let releases = store_of(5).activate(v(3), Force::No).unwrap();
    let releases = releases.activate(v(1), Force::No).unwrap().activate(v(5), Force::No).unwrap();
    let releases = releases.mark_bad(v(4), "trapped").unwrap();
    assert_eq!(releases.stand_ins(), [v(1), v(3), v(2)]);
}

#[test]
fn a_version_that_was_rolled_back_is_no_place_to_fall_back_to() {
    // v2 fails while v3 is active already: from v3 the way leads to v1.
    let releases = active(3).mark_bad(v(2), "trapped").unwrap();
    assert_eq!(releases.previous(), Some(v(1)));
}

#[test]
fn force_takes_a_rolled_back_version_and_its_mark_away() {
    let releases = active(2).rollback("slow").unwrap();
    let releases = releases.activate(v(2), Force::Yes).unwrap();
    assert_eq!(releases.active(), Some(v(2)));
    assert_eq!(releases.entry(v(2)).unwrap().rolled_back, None);
}

#[test]
fn two_who_take_the_same_version_back_take_one_step() {
    let releases = active(3).rollback_of(v(3), "it stutters").unwrap();
    let refused = releases.rollback_of(v(3), "it stutters").unwrap_err();
    assert_eq!(refused, Refused::NotTheLatest { asked: v(3), latest: v(2) });
}

#[test]
fn a_shadow_listens_and_answers_nobody() {
    let releases = active(1).stage(offer(2)).unwrap().0;
    let releases = releases.cast_shadow(v(2), Share::of_shadow(100).unwrap()).unwrap();
    assert_eq!(releases.choose("CA1"), Some(v(1)));
    assert_eq!(releases.choose_shadow("CA1"), Some(v(2)));
    assert_eq!(
        releases.retire(v(2)).unwrap_err().to_string(),
        "v2 is the shadow version; end the shadow before it is retired"
    );
    assert_eq!(releases.end_shadow().unwrap().choose_shadow("CA1"), None);
    assert_eq!(active(1).end_shadow(), Err(Refused::NoShadow));
}

#[test]
fn no_version_is_its_own_shadow() {
    let whole = Share::of_shadow(100).unwrap();
    assert_eq!(active(1).cast_shadow(v(1), whole), Err(Refused::ActiveAlready(v(1))));
    assert_eq!(store_of(1).cast_shadow(v(1), whole), Err(Refused::NothingActive(v(1))));
    let releases = active(2).cast_shadow(v(1), whole).unwrap();
    assert_eq!(releases.activate(v(1), Force::No).unwrap().shadow(), None);
    assert_eq!(releases.rollback("slow").unwrap().shadow(), None, "v1 answers again");
    // A canary may be the shadow too: then it listens to those calls it does not answer.
    let releases = active(2).cast_shadow(v(1), whole).unwrap();
    let releases = releases.candidate(v(1), Share::percent(50).unwrap(), Force::No).unwrap();
    for call in ["CA1", "CA2", "CA3", "CA4", "CA5", "CA6"] {
        let answers = releases.choose(call) == Some(v(1));
        assert_eq!(releases.choose_shadow(call).is_none(), answers);
    }
}

#[test]
fn the_only_version_stays_in_service_when_it_is_marked() {
    let releases = active(1).mark_bad(v(1), "trapped").unwrap();
    assert_eq!(releases.choose("CA1"), Some(v(1)));
    // And once a better one is there, no roll-back leads to it.
    let (releases, _) = releases.stage(offer(2)).unwrap();
    let releases = releases.activate(v(2), Force::No).unwrap();
    assert_eq!(releases.previous(), None);
}

#[test]
fn a_canary_gets_its_share_and_the_same_calls_each_time() {
    let releases = canary(10);
    let calls: Vec<String> = (0..10_000).map(|call| format!("CA{call:032x}")).collect();
    let taken = |releases: &ReleaseState| -> BTreeSet<&String> {
        calls.iter().filter(|call| releases.choose(call) == Some(v(2))).collect()
    };
    let tenth = taken(&releases);
    assert!((900..1100).contains(&tenth.len()), "{}", tenth.len());
    assert_eq!(tenth, taken(&releases));
    let half = taken(&releases.candidate(v(2), Share::percent(50).unwrap(), Force::No).unwrap());
    assert!(tenth.is_subset(&half), "a larger share took calls away from the canary");
    assert!((4700..5300).contains(&half.len()), "{}", half.len());
}

#[test]
fn promoting_gives_the_canary_everything_and_keeps_the_way_back() {
    let releases = canary(10).promote().unwrap();
    assert_eq!((releases.active(), releases.on_trial()), (Some(v(2)), None));
    assert_eq!(releases.previous(), Some(v(1)));
    assert_eq!(releases.promote(), Err(Refused::NoCandidate));
}

#[test]
fn a_roll_back_during_a_canary_takes_the_canary_back() {
    let releases = canary(10).rollback("too slow").unwrap();
    assert_eq!((releases.active(), releases.on_trial()), (Some(v(1)), None));
    assert_eq!(releases.entry(v(2)).unwrap().rolled_back.as_deref(), Some("too slow"));
}

#[test]
fn an_active_version_that_fails_leaves_a_canary_of_its_predecessor_nothing_to_try() {
    let releases = active(2).candidate(v(1), Share::percent(5).unwrap(), Force::No).unwrap();
    let releases = releases.mark_bad(v(2), "trapped").unwrap();
    assert_eq!((releases.active(), releases.on_trial()), (Some(v(1)), None));
}

#[test]
fn a_canary_needs_another_version_that_is_active() {
    let share = Share::percent(10).unwrap();
    assert_eq!(store_of(1).candidate(v(1), share, Force::No), Err(Refused::NothingActive(v(1))));
    assert_eq!(active(1).candidate(v(1), share, Force::No), Err(Refused::ActiveAlready(v(1))));
}

#[test]
fn a_share_is_one_to_ninety_nine_percent() {
    assert_eq!("10%".parse::<Share>(), Share::percent(10));
    assert_eq!("99".parse::<Share>(), Share::percent(99));
    for wrong in ["0%", "100%", "-1", "10.5%", "ten", ""] {
        assert_eq!(wrong.parse::<Share>(), Err(NotAShare), "{wrong}");
    }
}

#[test]
fn a_version_that_is_needed_is_not_retired() {
    let (releases, _) = canary(10).stage(offer(3)).unwrap();
    let releases = releases.activate(v(3), Force::No).unwrap();
    let releases = releases.candidate(v(2), Share::percent(1).unwrap(), Force::No).unwrap();
    for (number, part) in [(3, Part::Active), (2, Part::Candidate), (1, Part::Previous)] {
        let refused = releases.retire(v(number)).unwrap_err();
        assert_eq!(refused, Refused::InUse { version: v(number), part });
    }
    let (releases, _) = releases.stage(offer(4)).unwrap();
    assert_eq!(releases.retire(v(4)).unwrap().entry(v(4)), None);
}

#[test]
fn a_name_is_never_used_twice() {
    let releases = store_of(2).retire(v(2)).unwrap();
    let (_, staged) = releases.stage(offer(2)).unwrap();
    assert_eq!(staged, Staged::New(v(3)));
}

#[test]
fn the_store_keeps_so_many_versions_and_always_those_that_are_needed() {
    let mut releases = active(2);
    for number in 3..=100 {
        releases = releases.stage(offer(number)).unwrap().0;
        assert!(releases.entries().len() <= limits::VERSIONS_KEPT_MAX);
    }
    assert_eq!(releases.entries().len(), limits::VERSIONS_KEPT_MAX);
    assert!(releases.entry(v(1)).is_some() && releases.entry(v(2)).is_some());
    assert!(releases.entry(v(3)).is_none() && releases.entry(v(100)).is_some());
}

#[test]
fn a_long_note_is_refused_and_a_long_reason_is_cut() {
    let long = "é".repeat(limits::NOTE_BYTES_MAX);
    let refused =
        ReleaseState::default().stage(Offer { note: long.clone(), ..offer(1) }).unwrap_err();
    assert_eq!(refused.to_string(), "the note has 2000 bytes; at most 1000 are kept");
    let releases = active(2).rollback(&long).unwrap();
    assert_eq!(releases.entry(v(2)).unwrap().rolled_back.as_ref().map(String::len), Some(1000));
}

#[test]
fn names_and_sums_have_one_spelling() {
    assert_eq!("v12".parse(), Ok(v(12)));
    for wrong in ["12", "v", "v0", "v01", "V1", "v-1", "v+1", "v1/..", "v4294967296"] {
        assert_eq!(wrong.parse::<VersionName>(), Err(NotAVersionName), "{wrong}");
    }
    // From FIPS 180-4's example.
    let abc = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad";
    assert_eq!(Digest::of(b"abc").to_string(), abc);
    assert_eq!(abc.parse(), Ok(Digest::of(b"abc")));
    assert_eq!(abc[1..].parse::<Digest>(), Err(NotADigest));
    assert_eq!(abc.replace('b', "é").parse::<Digest>(), Err(NotADigest));
}

#[test]
fn moments_are_civil_time() {
    // From `date -u -d @N +%FT%TZ`.
    for (seconds, civil) in [
        (0, "1970-01-01T00:00:00Z"),
        (951_782_399, "2000-02-28T23:59:59Z"),
        (951_782_400, "2000-02-29T00:00:00Z"),
        (1_709_251_199, "2024-02-29T23:59:59Z"),
        (4_107_542_400, "2100-03-01T00:00:00Z"),
        (1_795_341_600, "2026-11-22T10:00:00Z"),
    ] {
        assert_eq!(When::from_unix(seconds).to_string(), civil);
    }
}

/// A seeded walk: whatever is asked, in whatever order, the parts fit together and the text form keeps
/// them.
#[test]
fn no_sequence_of_operations_breaks_a_registry() {
    let mut dice = Dice(0x9e37_79b9_7f4a_7c15);
    let (mut done, mut refused) = (0, 0);
    for _ in 0..200 {
        let mut releases = ReleaseState::default();
        for _ in 0..60 {
            let any = v(dice.roll(30) as u32 + 1);
            let force = if dice.roll(4) == 0 { Force::Yes } else { Force::No };
            let share = Share::percent(dice.roll(99) as u8 + 1).unwrap();
            let next = match dice.roll(9) {
                0 | 1 => releases.stage(offer(dice.roll(40) as u32)).map(|(next, _)| next),
                2 | 3 => releases.activate(any, force),
                4 => releases.candidate(any, share, force),
                5 => releases.promote(),
                6 => releases.rollback("reason"),
                7 => releases.mark_bad(any, "reason"),
                _ => releases.retire(any),
            };
            match next {
                Ok(next) => {
                    done += 1;
                    fits_together(&next);
                    assert!(
                        next.active().is_some()
                            || releases.active().is_none()
                            || next.is_taken_back(),
                        "lost the active one"
                    );
                    releases = next;
                }
                Err(_) => refused += 1,
            }
        }
    }
    assert!(done > 1000 && refused > 1000, "the walk is one-sided: {done} done, {refused} refused");
}

fn fits_together(releases: &ReleaseState) {
    let names: BTreeSet<VersionName> = releases.entries().iter().map(|entry| entry.name).collect();
    assert_eq!(names.len(), releases.entries().len());
    assert!(names.len() <= limits::VERSIONS_KEPT_MAX);
    assert!(releases.active.is_none_or(|active| names.contains(&active)));
    if let Some(candidate) = releases.candidate {
        assert!(names.contains(&candidate.version) && releases.active.is_some());
        assert_ne!(Some(candidate.version), releases.active);
    }
    for earlier in &releases.earlier {
        assert!(releases.entry(*earlier).is_some_and(|entry| entry.rolled_back.is_none()));
        assert_ne!(Some(*earlier), releases.active);
    }
    assert_eq!(file::parse(&file::print(releases, "acme")).as_ref(), Ok(releases));
}

/// xorshift64.
struct Dice(u64);

impl Dice {
    fn roll(&mut self, sides: u64) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0 % sides
    }
}

fn offer(number: u32) -> Offer {
    Offer {
        component: Digest::of(&number.to_be_bytes()),
        settings: Digest::of(b""),
        when: When::from_unix(0),
        by: "ops".to_owned(),
        note: String::new(),
    }
}

/// Versions `v1` to `v<last>`, none active.
fn store_of(last: u32) -> ReleaseState {
    (1..=last)
        .fold(ReleaseState::default(), |releases, number| releases.stage(offer(number)).unwrap().0)
}

/// Versions `v1` to `v<last>`, activated one after the other.
fn active(last: u32) -> ReleaseState {
    (1..=last)
        .fold(store_of(last), |releases, number| releases.activate(v(number), Force::No).unwrap())
}

/// `v1` active, `v2` on trial.
fn canary(percent: u8) -> ReleaseState {
    let releases = store_of(2).activate(v(1), Force::No).unwrap();
    releases.candidate(v(2), Share::percent(percent).unwrap(), Force::No).unwrap()
}
