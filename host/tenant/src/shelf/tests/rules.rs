//! What each operation does and refuses.

use std::collections::BTreeSet;

use super::super::*;
use super::version as v;

#[test]
fn a_staged_version_answers_nothing_until_it_is_activated() {
    let registry = shelf_of(1);
    assert_eq!(registry.choose("CA1"), None);
    let registry = registry.activate(v(1), Force::No).unwrap();
    assert_eq!(registry.choose("CA1"), Some(v(1)));
}

#[test]
fn the_same_bytes_and_settings_are_one_version_and_keep_their_mark() {
    let registry = active(2).rollback("it stuttered").unwrap();
    let (same, staged) = registry.stage(offer(2)).unwrap();
    assert_eq!(staged, Staged::Same(v(2)));
    assert_eq!(same, registry);
    let refused = same.activate(v(2), Force::No).unwrap_err();
    assert_eq!(
        refused.to_string(),
        "v2 was rolled back (it stuttered); deploy a repaired one, or insist with --force"
    );
}

#[test]
fn other_settings_make_another_version_of_the_same_component() {
    let registry = shelf_of(1);
    let (_, staged) = registry.stage(Offer { settings: Digest::of(b"{}"), ..offer(1) }).unwrap();
    assert_eq!(staged, Staged::New(v(2)));
}

#[test]
fn activating_a_missing_version_names_those_there_are() {
    let refused = shelf_of(2).activate(v(9), Force::Yes).unwrap_err();
    assert_eq!(refused.to_string(), "there is no version v9; those on the shelf are v1, v2");
    let refused = Registry::default().activate(v(1), Force::No).unwrap_err();
    assert_eq!(refused.to_string(), "there is no version v1; nothing was deployed yet");
}

#[test]
fn a_roll_back_leads_to_what_was_active_before_and_marks_what_failed() {
    let registry = active(3);
    let once = registry.rollback("one").unwrap();
    assert_eq!((once.active(), once.previous()), (Some(v(2)), Some(v(1))));
    assert_eq!(once.entry(v(3)).unwrap().rolled_back.as_deref(), Some("one"));
    let twice = once.rollback("two").unwrap();
    assert_eq!((twice.active(), twice.previous()), (Some(v(1)), None));
    assert_eq!(twice.rollback("three"), Err(Refused::NothingEarlier));
}

#[test]
fn a_version_that_was_rolled_back_is_no_place_to_fall_back_to() {
    // v2 fails while v3 is active already: from v3 the way leads to v1.
    let registry = active(3).mark_bad(v(2), "trapped").unwrap();
    assert_eq!(registry.previous(), Some(v(1)));
}

#[test]
fn force_takes_a_rolled_back_version_and_its_mark_away() {
    let registry = active(2).rollback("slow").unwrap();
    let registry = registry.activate(v(2), Force::Yes).unwrap();
    assert_eq!(registry.active(), Some(v(2)));
    assert_eq!(registry.entry(v(2)).unwrap().rolled_back, None);
}

#[test]
fn two_who_take_the_same_version_back_take_one_step() {
    let registry = active(3).rollback_of(v(3), "it stutters").unwrap();
    let refused = registry.rollback_of(v(3), "it stutters").unwrap_err();
    assert_eq!(refused, Refused::NotTheLatest { asked: v(3), latest: v(2) });
}

#[test]
fn a_shadow_listens_and_answers_nobody() {
    let registry = active(1).stage(offer(2)).unwrap().0;
    let registry = registry.cast_shadow(v(2), Share::of_shadow(100).unwrap()).unwrap();
    assert_eq!(registry.choose("CA1"), Some(v(1)));
    assert_eq!(registry.choose_shadow("CA1"), Some(v(2)));
    assert_eq!(
        registry.retire(v(2)).unwrap_err().to_string(),
        "v2 is the shadow version; end the shadow before it is retired"
    );
    assert_eq!(registry.end_shadow().unwrap().choose_shadow("CA1"), None);
    assert_eq!(active(1).end_shadow(), Err(Refused::NoShadow));
}

#[test]
fn no_version_is_its_own_shadow() {
    let whole = Share::of_shadow(100).unwrap();
    assert_eq!(active(1).cast_shadow(v(1), whole), Err(Refused::ActiveAlready(v(1))));
    assert_eq!(shelf_of(1).cast_shadow(v(1), whole), Err(Refused::NothingActive(v(1))));
    let registry = active(2).cast_shadow(v(1), whole).unwrap();
    assert_eq!(registry.activate(v(1), Force::No).unwrap().shadow(), None);
    assert_eq!(registry.rollback("slow").unwrap().shadow(), None, "v1 answers again");
    // A canary may be the shadow too: then it listens to those calls it does not answer.
    let registry = active(2).cast_shadow(v(1), whole).unwrap();
    let registry = registry.candidate(v(1), Share::percent(50).unwrap(), Force::No).unwrap();
    for call in ["CA1", "CA2", "CA3", "CA4", "CA5", "CA6"] {
        let answers = registry.choose(call) == Some(v(1));
        assert_eq!(registry.choose_shadow(call).is_none(), answers);
    }
}

#[test]
fn the_only_version_stays_in_service_when_it_is_marked() {
    let registry = active(1).mark_bad(v(1), "trapped").unwrap();
    assert_eq!(registry.choose("CA1"), Some(v(1)));
    // And once a better one is there, no roll-back leads to it.
    let (registry, _) = registry.stage(offer(2)).unwrap();
    let registry = registry.activate(v(2), Force::No).unwrap();
    assert_eq!(registry.previous(), None);
}

#[test]
fn a_canary_gets_its_share_and_the_same_calls_each_time() {
    let registry = canary(10);
    let calls: Vec<String> = (0..10_000).map(|call| format!("CA{call:032x}")).collect();
    let taken = |registry: &Registry| -> BTreeSet<&String> {
        calls.iter().filter(|call| registry.choose(call) == Some(v(2))).collect()
    };
    let tenth = taken(&registry);
    assert!((900..1100).contains(&tenth.len()), "{}", tenth.len());
    assert_eq!(tenth, taken(&registry));
    let half = taken(&registry.candidate(v(2), Share::percent(50).unwrap(), Force::No).unwrap());
    assert!(tenth.is_subset(&half), "a larger share took calls away from the canary");
    assert!((4700..5300).contains(&half.len()), "{}", half.len());
}

#[test]
fn promoting_gives_the_canary_everything_and_keeps_the_way_back() {
    let registry = canary(10).promote().unwrap();
    assert_eq!((registry.active(), registry.on_trial()), (Some(v(2)), None));
    assert_eq!(registry.previous(), Some(v(1)));
    assert_eq!(registry.promote(), Err(Refused::NoCandidate));
}

#[test]
fn a_roll_back_during_a_canary_takes_the_canary_back() {
    let registry = canary(10).rollback("too slow").unwrap();
    assert_eq!((registry.active(), registry.on_trial()), (Some(v(1)), None));
    assert_eq!(registry.entry(v(2)).unwrap().rolled_back.as_deref(), Some("too slow"));
}

#[test]
fn an_active_version_that_fails_leaves_a_canary_of_its_predecessor_nothing_to_try() {
    let registry = active(2).candidate(v(1), Share::percent(5).unwrap(), Force::No).unwrap();
    let registry = registry.mark_bad(v(2), "trapped").unwrap();
    assert_eq!((registry.active(), registry.on_trial()), (Some(v(1)), None));
}

#[test]
fn a_canary_needs_another_version_that_is_active() {
    let share = Share::percent(10).unwrap();
    assert_eq!(shelf_of(1).candidate(v(1), share, Force::No), Err(Refused::NothingActive(v(1))));
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
    let (registry, _) = canary(10).stage(offer(3)).unwrap();
    let registry = registry.activate(v(3), Force::No).unwrap();
    let registry = registry.candidate(v(2), Share::percent(1).unwrap(), Force::No).unwrap();
    for (number, part) in [(3, Part::Active), (2, Part::Candidate), (1, Part::Previous)] {
        let refused = registry.retire(v(number)).unwrap_err();
        assert_eq!(refused, Refused::InUse { version: v(number), part });
    }
    let (registry, _) = registry.stage(offer(4)).unwrap();
    assert_eq!(registry.retire(v(4)).unwrap().entry(v(4)), None);
}

#[test]
fn a_name_is_never_used_twice() {
    let registry = shelf_of(2).retire(v(2)).unwrap();
    let (_, staged) = registry.stage(offer(2)).unwrap();
    assert_eq!(staged, Staged::New(v(3)));
}

#[test]
fn the_shelf_keeps_so_many_versions_and_always_those_that_are_needed() {
    let mut registry = active(2);
    for number in 3..=100 {
        registry = registry.stage(offer(number)).unwrap().0;
        assert!(registry.entries().len() <= limits::VERSIONS_KEPT_MAX);
    }
    assert_eq!(registry.entries().len(), limits::VERSIONS_KEPT_MAX);
    assert!(registry.entry(v(1)).is_some() && registry.entry(v(2)).is_some());
    assert!(registry.entry(v(3)).is_none() && registry.entry(v(100)).is_some());
}

#[test]
fn a_long_note_is_refused_and_a_long_reason_is_cut() {
    let long = "é".repeat(limits::NOTE_BYTES_MAX);
    let refused = Registry::default().stage(Offer { note: long.clone(), ..offer(1) }).unwrap_err();
    assert_eq!(refused.to_string(), "the note has 2000 bytes; at most 1000 are kept");
    let registry = active(2).rollback(&long).unwrap();
    assert_eq!(registry.entry(v(2)).unwrap().rolled_back.as_ref().map(String::len), Some(1000));
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
        let mut registry = Registry::default();
        for _ in 0..60 {
            let any = v(dice.roll(30) as u32 + 1);
            let force = if dice.roll(4) == 0 { Force::Yes } else { Force::No };
            let share = Share::percent(dice.roll(99) as u8 + 1).unwrap();
            let next = match dice.roll(9) {
                0 | 1 => registry.stage(offer(dice.roll(40) as u32)).map(|(next, _)| next),
                2 | 3 => registry.activate(any, force),
                4 => registry.candidate(any, share, force),
                5 => registry.promote(),
                6 => registry.rollback("reason"),
                7 => registry.mark_bad(any, "reason"),
                _ => registry.retire(any),
            };
            match next {
                Ok(next) => {
                    done += 1;
                    fits_together(&next);
                    assert!(
                        next.active().is_some() || registry.active().is_none(),
                        "lost the active one"
                    );
                    registry = next;
                }
                Err(_) => refused += 1,
            }
        }
    }
    assert!(done > 1000 && refused > 1000, "the walk is one-sided: {done} done, {refused} refused");
}

fn fits_together(registry: &Registry) {
    let names: BTreeSet<VersionName> = registry.entries().iter().map(|entry| entry.name).collect();
    assert_eq!(names.len(), registry.entries().len());
    assert!(names.len() <= limits::VERSIONS_KEPT_MAX);
    assert!(registry.active.is_none_or(|active| names.contains(&active)));
    if let Some(candidate) = registry.candidate {
        assert!(names.contains(&candidate.version) && registry.active.is_some());
        assert_ne!(Some(candidate.version), registry.active);
    }
    for earlier in &registry.earlier {
        assert!(registry.entry(*earlier).is_some_and(|entry| entry.rolled_back.is_none()));
        assert_ne!(Some(*earlier), registry.active);
    }
    assert_eq!(file::parse(&file::print(registry, "acme")).as_ref(), Ok(registry));
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
fn shelf_of(last: u32) -> Registry {
    (1..=last)
        .fold(Registry::default(), |registry, number| registry.stage(offer(number)).unwrap().0)
}

/// Versions `v1` to `v<last>`, activated one after the other.
fn active(last: u32) -> Registry {
    (1..=last)
        .fold(shelf_of(last), |registry, number| registry.activate(v(number), Force::No).unwrap())
}

/// `v1` active, `v2` on trial.
fn canary(percent: u8) -> Registry {
    let registry = shelf_of(2).activate(v(1), Force::No).unwrap();
    registry.candidate(v(2), Share::percent(percent).unwrap(), Force::No).unwrap()
}
