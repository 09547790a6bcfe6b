//! What a redacted recording no longer says.

use cordboard_call::contract::{
    Action, Event, HangUp, HangUpWhen, HttpRequest, HttpResponse, ModelAudio, Play, Publication,
};
use cordboard_recording::{Bytes, Failure, Redaction};

const AUDIO: Redaction = Redaction { audio: true, transcripts: false };
const WORDS: Redaction = Redaction { audio: false, transcripts: true };

#[test]
fn audio_becomes_silence_of_the_same_length() {
    let play = Play { item: "i".into(), audio: vec![3; 80], last: true };
    let actions =
        AUDIO.actions(&[Action::Play(play), Action::ModelAudio(vec![4; 960])]).into_owned();
    let Action::Play(play) = &actions[0] else { panic!("{actions:?}") };
    assert_eq!((play.audio.as_slice(), play.last), ([0xff; 80].as_slice(), true));
    assert_eq!(actions[1], Action::ModelAudio(vec![0xff; 960]));

    let heard = AUDIO.event(&Event::CallerAudio(vec![5; 160])).into_owned();
    assert_eq!(heard, Event::CallerAudio(vec![0xff; 160]));
    let said =
        ModelAudio { response: "r".into(), item: "i".into(), content_index: 0, data: vec![6; 9] };
    let Event::ModelAudio(said) = AUDIO.event(&Event::ModelAudio(said)).into_owned() else {
        panic!("another event")
    };
    assert_eq!(said.data, [0xff; 9]);
}

#[test]
fn nobodys_words_are_kept() {
    const WORD: &str = "swordfish";
    let json = format!(
        r#"{{"type":"response.output_audio_transcript.done","item_id":"item_1","transcript":"{WORD}",
            "deep":[{{"arguments":"{{\"pin\":\"{WORD}\"}}","text":["{WORD}"]}}],"n":3}}"#
    );
    let own = format!(r#"{{"type":"{WORD}","name":"{WORD}","item_id":["{WORD}"]}}"#);
    let bytes = WORD.as_bytes().to_vec();
    let headers = vec![("X-Who".to_owned(), WORD.to_owned())];
    let actions = [
        Action::ModelEvent(json.clone()),
        Action::ModelEvent(format!("{WORD} is no JSON")),
        Action::Publish(Publication { topic: "transcript.caller".into(), json: own.clone() }),
        Action::Http(HttpRequest {
            token: 1,
            method: "POST".into(),
            url: format!("https://crm.example.com/find?q={WORD}"),
            headers: headers.clone(),
            body: bytes.clone(),
            timeout_ms: 5,
        }),
        Action::HangUp(HangUp { when: HangUpWhen::Now, deadline_ms: 0, reason: WORD.into() }),
        Action::SendKeys("1234#".into()),
    ];
    let events = [
        Event::ModelEvent(json),
        Event::Command(own),
        Event::CallerKey("7".into()),
        Event::HttpDone(HttpResponse { token: 1, status: 200, headers, body: bytes }),
    ];
    let kept = format!(
        "{:?} {:?}",
        WORDS.actions(&actions),
        events.iter().map(|event| WORDS.event(event)).collect::<Vec<_>>()
    );

    // Byte strings print as numbers.
    for word in [WORD, "1234", "\"7\"", "115, 119, 111"] {
        assert!(!kept.contains(word), "{word} in {kept}");
    }
    for structure in
        ["response.output_audio_transcript.done", "item_1", "[9 characters]", "\\\"n\\\":3"]
    {
        assert!(kept.contains(structure), "no {structure} in {kept}");
    }
}

#[test]
fn any_redaction_withholds_states_and_says_what_it_costs() {
    for redaction in [AUDIO, WORDS] {
        assert_eq!(redaction.state(b"swordfish"), Bytes::Withheld(9));
        assert!(redaction.unprovable().len() == 2, "{:?}", redaction.unprovable());
    }
    assert_eq!(Redaction::default().unprovable(), [""; 0]);
    assert!(matches!(Redaction::default().state(b"x"), Bytes::Kept(_)));
}

#[test]
fn a_panics_words_are_left_out_with_the_transcripts() {
    let failure = Failure { kind: "trap".into(), message: "panicked at swordfish".into() };

    assert_eq!(AUDIO.failure(failure.clone()), failure);
    assert_eq!(WORDS.failure(failure).message, "[21 characters]");
}
