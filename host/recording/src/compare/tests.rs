use cordboard_call::contract::Encoding;
use cordboard_call::contract::{Play, Publication, Timer};

use super::*;

fn formats() -> AudioFormats {
    AudioFormats::new(AudioFormat { encoding: Encoding::Mulaw, sample_rate: 8_000, channels: 1 })
}

fn play(item: &str, byte: u8) -> Action {
    Action::Play(Play { item: item.into(), audio: vec![byte; 160], last: false })
}

fn pcm(samples: &[i16]) -> Action {
    Action::ModelAudio(samples.iter().flat_map(|sample| sample.to_le_bytes()).collect())
}

fn event(json: &str) -> Action {
    Action::ModelEvent(json.into())
}

#[test]
fn equal_answers_have_no_differences() {
    let answer = [play("a", 1), event("{}"), Action::Flush];

    assert!(compare(&answer, &answer, &formats()).is_identical());
    assert!(compare(&[], &[], &formats()).is_identical());
}

#[test]
fn an_action_too_many_is_one_difference_wherever_it_stands() {
    let rest = [play("a", 1), event("{}"), Action::Mark("m".into()), play("b", 2)];
    for at in 0..=rest.len() {
        let mut longer = rest.to_vec();
        longer.insert(at, Action::Flush);
        let comparison = compare(&rest, &longer, &formats());
        let [difference] = &comparison.differences[..] else { panic!("{comparison:?}") };
        assert_eq!((difference.kind, &difference.how), ("flush", &How::OneSided));
        assert_eq!((&difference.original, difference.other.as_deref()), (&None, Some("flush")));
        let back = compare(&longer, &rest, &formats());
        assert_eq!(back.differences[0].other, None);
    }
}

#[test]
fn actions_of_one_kind_are_laid_beside_each_other() {
    let timer = |at| Action::SetTimer(Timer { token: 7, at });
    let comparison =
        compare(&[timer(100), Action::Flush], &[Action::Flush, timer(200)], &formats());

    // Order matters: what moved is gone here and new there.
    assert_eq!(comparison.differences.len(), 2);
    let comparison = compare(&[timer(100)], &[timer(200)], &formats());
    let [difference] = &comparison.differences[..] else { panic!("{comparison:?}") };
    assert_eq!(difference.original.as_deref(), Some("set-timer 7 at 100 ms"));
    assert_eq!(difference.other.as_deref(), Some("set-timer 7 at 200 ms"));
    assert_eq!(difference.how, How::Fields);
}

#[test]
fn a_half_as_loud_echo_differs_by_six_decibels() {
    let loud: Vec<i16> = (0..480).map(|n| if n % 2 == 0 { 8_000 } else { -8_000 }).collect();
    let soft: Vec<i16> = loud.iter().map(|sample| sample / 2).collect();
    let comparison = compare(&[pcm(&loud)], &[pcm(&soft)], &formats());

    let db = comparison.audio().unwrap().relative_db().unwrap();
    assert!((db + 6.02).abs() < 0.01, "{db}");
}

#[test]
fn audio_that_is_cut_off_says_by_how_much() {
    let comparison = compare(&[pcm(&[1_000; 480])], &[pcm(&[1_000; 240])], &formats());

    let difference = comparison.audio().unwrap();
    assert_eq!((difference.original_bytes, difference.other_bytes), (960, 480));
    assert!((difference.relative_db().unwrap() + 3.01).abs() < 0.01);
    assert!(difference.to_string().contains("960 bytes became 480"), "{difference}");
}

#[test]
fn sound_where_the_original_is_silent_is_measured_against_full_scale() {
    let comparison = compare(&[pcm(&[0; 480])], &[pcm(&[3_276; 480])], &formats());

    let difference = comparison.audio().unwrap();
    assert_eq!(difference.relative_db(), None);
    assert!((difference.full_scale_db() + 20.0).abs() < 0.01);
}

#[test]
fn the_two_zeros_of_mulaw_are_the_same_sound() {
    let comparison = compare(&[play("a", 0xff)], &[play("a", 0x7f)], &formats());

    assert_eq!(comparison.differences[0].how.to_string(), "the same sound in other bytes");
}

#[test]
fn companded_bytes_decode_to_the_values_of_the_recommendation() {
    assert_eq!([0x00, 0x80, 0xff, 0x7f, 0xf0].map(audio::mulaw), [-32_124, 32_124, 0, 0, 120]);
    assert_eq!([0xd5, 0x55, 0xaa, 0x2a].map(audio::alaw), [8, -8, 32_256, -32_256]);
}

#[test]
fn the_format_a_session_asks_for_is_followed() {
    let mut formats = formats();
    formats.follow(&[event(
        r#"{"type":"session.update","session":{"audio":{"input":{"format":{"type":"audio/pcmu"}}}}}"#,
    )]);

    assert_eq!(formats.to_model().encoding, Encoding::Mulaw);
    assert_eq!(formats.to_model().sample_rate, 8_000);
}

#[test]
fn json_differs_by_path_and_not_by_the_order_of_its_keys() {
    let publish =
        |json: &str| Action::Publish(Publication { topic: "t".into(), json: json.into() });
    let one = publish(r#"{"a":1,"b":{"c/d":[1,2]},"e":"x"}"#);
    let two = publish(r#"{"b":{"c/d":[1,3,4]},"a":1,"f":null}"#);
    let comparison = compare(std::slice::from_ref(&one), &[two], &formats());

    let How::Json(paths) = &comparison.differences[0].how else { panic!("{comparison:?}") };
    let told: Vec<String> = paths.iter().map(ToString::to_string).collect();
    assert_eq!(
        told,
        ["/b/c~1d/1: 2 -> 3", "/b/c~1d/2: 4 is new", "/e: \"x\" is gone", "/f: null is new"]
    );
    let respelled = publish(r#"{ "e":"x", "b":{"c/d":[1,2]}, "a":1 }"#);
    assert_eq!(compare(&[one], &[respelled], &formats()).differences[0].how, How::Spelling);
}

#[test]
fn what_is_no_json_differs_as_text() {
    let comparison = compare(&[event("{")], &[event("}")], &formats());

    assert_eq!(comparison.differences[0].how, How::Fields);
}

#[test]
fn the_table_reads_like_this() {
    let original = [
        play("item_1", 0x80),
        event(r#"{"type":"response.create","response":{"voice":"cedar"}}"#),
        Action::Mark("end".into()),
    ];
    let other = [
        play("item_1", 0x90),
        Action::Flush,
        event(r#"{"type":"response.create","response":{"voice":"marin"}}"#),
    ];
    let table = compare(&original, &other, &formats()).table(["recorded", "replayed"]);

    assert_eq!(table, "\
recorded                                                 | replayed
play item_1: 20 ms, 160 bytes                            | play item_1: 20 ms, 160 bytes
    audio differs by -6.0 dB relative to the original
-                                                        | flush
model-event {\"type\":\"response.create\",\"response\":{\"voic… | model-event {\"type\":\"response.create\",\"response\":{\"voic…
    /response/voice: \"cedar\" -> \"marin\"
mark end                                                 | -
");
}

#[test]
fn answers_far_beyond_any_limit_are_still_compared() {
    let many: Vec<Action> = (0..5_000).map(Action::CancelTimer).collect();
    let others: Vec<Action> = (0..5_000).map(|n| Action::CancelTimer(n + 1)).collect();

    assert_eq!(compare(&many, &others, &formats()).differences.len(), 5_000);
}

#[test]
fn a_hostile_text_can_not_move_the_cursor() {
    let comparison = compare(&[Action::Mark("\x1b[2J".into())], &[], &formats());

    assert!(!comparison.table(["a", "b"]).contains('\x1b'));
}
