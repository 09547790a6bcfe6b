//! What every shipped guest promises, whatever else it does.

use cordboard_call::contract::{Action, Event, HttpRequest, Millis, ModelAudio, Publication};
use cordboard_contract_tests::{a_call, guests};
use cordboard_misbehaving_guests::{Stand, call_info, one_event_of_each_kind};
use cordboard_tenant::{Component, Limits};

#[test]
fn a_call_is_answered_to_its_end_without_a_fault() {
    for (name, component) in guests() {
        let answers = run(component, 1, &a_call());

        assert_eq!(answers.len(), a_call().len(), "{name}");
        let plays = answers.iter().flatten().any(|action| matches!(action, Action::Play(_)));
        assert!(plays, "{name} left its caller in silence");
    }
}

#[test]
fn the_same_events_give_the_same_actions() {
    for (name, component) in guests() {
        assert_eq!(run(component, 1, &a_call()), run(component, 1, &a_call()), "{name}");
    }
}

#[test]
fn any_settings_are_survived() {
    let deep = "[".repeat(10_000);
    let long = format!("{{\"instructions\":\"{}\"}}", "x".repeat(60_000));
    let settings =
        ["", "{}", "[]", "null", "{", "{\"voice\":7,\"tools\":{},\"greeting\":[]}", &deep, &long];
    for (name, component) in guests() {
        for settings in settings {
            let started = (20, Event::Started(call_info(settings)));
            let mut call = a_call();
            call[0] = started;
            let answers = run(component, 1, &call);
            assert_eq!(answers.len(), call.len(), "{name} with {:.40}", settings);
        }
    }
}

#[test]
fn what_a_model_has_never_said_before_is_survived() {
    let events = [
        "",
        "not json",
        "null",
        "[]",
        "{}",
        r#"{"type":null}"#,
        r#"{"type":"response.brand_new.thing","x":{"y":[1,2,3]}}"#,
        r#"{"type":"response.done","response":null}"#,
        r#"{"type":"response.done"}"#,
        r#"{"type":"response.created","response":{"id":7}}"#,
        r#"{"type":"session.updated","session":"yes"}"#,
        r#"{"type":"input_audio_buffer.speech_started"}"#,
        r#"{"type":"conversation.item.input_audio_transcription.completed","transcript":null}"#,
        r#"{"type":"response.function_call_arguments.done","arguments":"{","name":1}"#,
        r#"{"type":"error","error":null}"#,
        r#"{"type":"error","error":{"code":"unheard_of","message":"?"}}"#,
    ];
    for (name, component) in guests() {
        let mut call = a_call();
        let goes_on = call.split_off(40);
        let now = call.last().expect("forty events").0;
        call.extend(events.map(|json| (now, Event::ModelEvent(json.into()))));
        call.extend(goes_on);

        assert_eq!(run(component, 1, &call).len(), call.len(), "{name}");
    }
}

#[test]
fn frames_of_any_size_are_survived() {
    for (name, component) in guests() {
        let mut call = a_call();
        let now = call[40].0;
        for bytes in [0, 1, 159, 161, 20_001] {
            call.insert(41, (now, Event::CallerAudio(vec![0x55; bytes])));
            let audio = ModelAudio {
                response: "resp_1".into(),
                item: "item_1".into(),
                content_index: 9,
                data: vec![0x55; bytes],
            };
            call.insert(41, (now, Event::ModelAudio(audio)));
        }

        assert_eq!(run(component, 1, &call).len(), call.len(), "{name}");
    }
}

#[test]
fn events_in_any_order_are_survived() {
    let kinds = one_event_of_each_kind();
    for (name, component) in guests() {
        for from in 0..kinds.len() {
            let (first, rest) = kinds.split_at(from);
            let events = rest.iter().chain(first).map(|(_, event)| (20, event.clone()));
            let call: Vec<_> = events.collect();
            let answers = run(component, 1, &call);
            assert_eq!(answers.len(), kinds.len(), "{name} from {}", kinds[from].0);
        }
    }
}

#[test]
fn after_the_end_only_publishing_and_http_are_asked_for() {
    for (name, component) in guests() {
        let answers = run(component, 1, &a_call());

        for action in answers.last().expect("the call has an end") {
            assert!(
                matches!(action, Action::Publish(_) | Action::Http(_)),
                "{name} wants {action:?} after the end"
            );
        }
    }
}

#[test]
fn what_is_published_and_sent_has_the_form_the_contract_names() {
    for (name, component) in guests() {
        for action in run(component, 1, &a_call()).into_iter().flatten() {
            match action {
                Action::Publish(Publication { topic, json: _ }) => assert!(
                    topic.bytes().all(|b| b.is_ascii_lowercase() || b"._-".contains(&b)),
                    "{name}: topic {topic}"
                ),
                Action::Http(HttpRequest { timeout_ms, url, .. }) => {
                    assert!(timeout_ms > 0 && url.starts_with("http"), "{name}: {url}");
                }
                Action::Play(play) => assert!(!play.item.is_empty(), "{name}: audio of no item"),
                Action::SendKeys(keys) => {
                    assert!(
                        keys.bytes().all(|b| b"0123456789*#ABCDw".contains(&b)),
                        "{name}: {keys}"
                    );
                }
                _ => {}
            }
        }
    }
}

/// The heart of a hot swap: a successor with the saved state answers exactly as its predecessor would have,
/// wherever in the call it takes over.
#[test]
fn a_successor_answers_as_its_predecessor_would_have() {
    for (name, component) in guests() {
        for at in [1, 12, 20, 34, 60, 90, 120, 140, 160] {
            let call = a_call();
            let answers = on_a_thread(async {
                let mut old = stand(component, 1).await;
                for (now, event) in &call[..at] {
                    old.instance.handle(*now, event.clone()).await.unwrap();
                }
                let now = call[at - 1].0;
                let state = old.instance.save(now).await.unwrap()?;
                let again = old.instance.save(now).await.unwrap();
                assert_eq!(again.as_ref(), Some(&state), "{name}: saving changed what it saved");
                let mut new = stand(component, 2).await;
                new.instance.load(now, call_info("{}"), &state).await.unwrap().unwrap();
                let resaved = new.instance.save(now).await.unwrap();
                assert_eq!(resaved, Some(state), "{name} at {at}: loading lost something");
                let (mut olds, mut news) = (Vec::new(), Vec::new());
                for (now, event) in &call[at..] {
                    olds.push(old.instance.handle(*now, event.clone()).await.unwrap());
                    news.push(new.instance.handle(*now, event.clone()).await.unwrap());
                }
                Some((olds, news))
            });
            if let Some((olds, news)) = answers {
                assert_eq!(olds, news, "{name} taken over after {at} events");
            }
        }
    }
}

#[test]
fn a_state_that_is_not_one_is_refused_in_words() {
    for (name, component) in guests() {
        for state in [&b""[..], b"\xff\xff\xff\xff\xff\xff", &[0; 3], &[0x7b; 5_000]] {
            on_a_thread(async {
                let mut guest = stand(component, 1).await;
                if guest.instance.has_handover() {
                    let answer = guest.instance.load(1, call_info("{}"), state).await;
                    let refusal = answer.expect("a refusal is no fault").unwrap_err();
                    assert!(!refusal.is_empty(), "{name}");
                }
            });
        }
    }
}

/// Ten minutes of caller audio and a hundred responses, in the usual 16 MiB.
#[test]
fn a_long_call_does_not_run_out_of_memory() {
    for (name, component) in guests() {
        on_a_thread(async {
            let mut guest = stand(component, 1).await;
            let call = a_call();
            let whole = call.len() - 1;
            let mut now: Millis = 0;
            for _ in 0..100 {
                for (_, event) in &call[..whole] {
                    now += 20;
                    let answer = guest.instance.handle(now, event.clone()).await;
                    answer.unwrap_or_else(|fault| panic!("{name} at {now} ms: {fault}"));
                }
            }
        });
    }
}

fn run(component: &Component, seed: u8, call: &[(Millis, Event)]) -> Vec<Vec<Action>> {
    on_a_thread(async {
        let mut guest = stand(component, seed).await;
        let mut answers = Vec::new();
        for (now, event) in call {
            let answer = guest.instance.handle(*now, event.clone()).await;
            answers
                .push(answer.unwrap_or_else(|fault| panic!("{event:.80?} at {now} ms: {fault}")));
        }
        answers
    })
}

async fn stand(component: &Component, seed: u8) -> Stand {
    Stand::start_component(component, Limits::default(), seed).await.expect("there is room")
}

fn on_a_thread<T>(test: impl Future<Output = T>) -> T {
    tokio::runtime::Builder::new_current_thread().build().expect("a runtime").block_on(test)
}
