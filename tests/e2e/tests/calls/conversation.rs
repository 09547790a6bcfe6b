//! Calls in which everybody waits for their turn.

use std::time::Duration;

use cordboard_e2e::{Plan, Shop, World, caller, checks, said, tone};
use cordboard_sim::carrier::{CallPlan, CallerScript, End, Knobs, Step};
use cordboard_sim::model::{Answer, Dialect, Exchange, ModelConfig, ModelScript};
use serde_json::json;

use crate::listening::{Turns, clears, greeted, only, outcomes, received, truncations};

async fn a_caller_is_greeted_answered_three_times_and_hangs_up() {
    let world = Plan::script(tones(800, &[900, 700, 1100])).open().await;

    let call = world.call(greeted().converse(3).hang_up()).await;

    let sessions = world.close().await;
    let session = only(&sessions);
    // The server answers turns by itself: all it is asked for is the greeting.
    assert_eq!(session.received_types(), ["session.update", "response.create"]);
    assert_eq!(
        received(session, "session.update"),
        [json!({
            "type": "session.update",
            "session": {
                "type": "realtime",
                "instructions": "You answer the telephone.",
                "output_modalities": ["audio"],
                "max_output_tokens": "inf",
                "tools": [],
                "tool_choice": "auto",
                "audio": {
                    "input": {
                        "format": {"type": "audio/pcm", "rate": 24000},
                        "transcription": {"model": "gpt-transcribe"},
                        "turn_detection": {
                            "type": "server_vad", "threshold": 0.5, "prefix_padding_ms": 300,
                            "silence_duration_ms": 300, "create_response": true,
                            "interrupt_response": true,
                        },
                    },
                    "output": {"format": {"type": "audio/pcm", "rate": 24000}, "voice": "marin"},
                },
            },
        })]
    );
    assert_eq!(
        received(session, "response.create"),
        [json!({
            "type": "response.create",
            "response": {"instructions": "You answer the telephone.\n\nSay hello."},
        })]
    );
    assert_eq!(outcomes(session), ["completed"; 4]);
    assert_eq!(session.ended.as_deref(), Some("client 1000"));
    assert_eq!((clears(&call), call.stream().bytes_cleared), (0, 0));
    let (spoken_ms, heard_ms) = (800 + 900 + 700 + 1100, call.stream().heard_ms());
    assert!((spoken_ms - 80..=spoken_ms + 80).contains(&heard_ms), "{heard_ms} of {spoken_ms} ms");
    assert_eq!(call.end, End::CallerHungUp);
    // 48 bytes a ms at 24 kHz; the filters hold back less than 20 ms.
    let (given_ms, said_ms) = (session.appended_bytes / 48, call.stream().said.len() as u64 / 8);
    assert!((said_ms - 20..=said_ms).contains(&given_ms), "{given_ms} of {said_ms} ms");
}

async fn a_tenant_in_pcmu_hears_and_says_the_very_bytes_of_the_line() {
    let world = Plan::script(tones(840, &[1000])).open().await;

    let call = world.placed(to_bits(greeted().converse(1).hang_up())).await;

    let sessions = world.close().await;
    checks::caller_reaches_model_bit_by_bit(&call, only(&sessions));
    checks::caller_hears(&call, &[tone(840), tone(1000)]);
}

async fn what_a_caller_says_before_the_model_is_there_is_not_lost() {
    let model = ModelConfig {
        created_delay: Duration::from_millis(1500),
        ..ModelConfig::with_script(tones(600, &[700]))
    };
    // The turn that waited is answered at once, which the greeting may only learn from a refusal.
    let world = Plan { refusals: 1, ..Plan::model(model) }.open().await;

    let call = world.placed(to_bits(caller().wait(200).speak("early").listen().hang_up())).await;

    let sessions = world.close().await;
    checks::caller_reaches_model_bit_by_bit(&call, only(&sessions));
    assert!(!only(&sessions).sent_of("input_audio_buffer.speech_started").is_empty());
}

async fn frames_that_come_in_bursts_reach_the_model_bit_by_bit() {
    let world = Plan::script(tones(600, &[900])).open().await;
    let knobs = Knobs { glue_frames: Some((2, 6)), mark_delay_ms: 250, ..Knobs::default() };

    let plan = to_bits(greeted().converse(1).hang_up());
    let call = world.placed(CallPlan { knobs, ..plan }).await;

    let sessions = world.close().await;
    // The last burst is not delivered when the caller hangs up in the middle of it.
    let (given, said) = (checks::appended(only(&sessions)), &call.stream().said);
    assert!(said.len() - given.len() <= 6 * 160, "{} of {} bytes", given.len(), said.len());
    assert_eq!(given, said[..given.len()]);
    checks::caller_hears(&call, &[tone(600), tone(900)]);
}

async fn lost_frames_are_silence_to_the_model_and_its_clock_stays_right() {
    let world = Plan::script(tones(600, &[700])).open().await;

    let script = greeted().then(Step::Lose { ms: 600 }).wait(1000).converse(1).hang_up();
    let call = world.placed(to_bits(script)).await;

    assert_eq!(world.counted(r#"notes_total{tenant="bits",kind="gap-filled"}"#), 1);
    let sessions = world.close().await;
    let (given, said) = (checks::appended(only(&sessions)), &call.stream().said);
    assert_eq!(given.len(), said.len());
    let differing: Vec<u8> = given
        .iter()
        .zip(said)
        .filter(|(given, said)| given != said)
        .map(|(given, _)| *given)
        .collect();
    // The lost 600 ms of comfort noise (0x7F and 0xFF) are all 0xFF now.
    assert!(differing.iter().all(|&code| code == 0xFF), "other bytes than silence were put in");
    assert!((1..=600 * 8).contains(&differing.len()), "{} bytes", differing.len());
}

async fn a_caller_whose_line_stalls_in_mid_speech_is_answered() {
    let world = Plan::script(tones(600, &[700])).open().await;

    let script = greeted()
        .then(Step::Begin(said("cut off", 3000)))
        .wait(600)
        .then(Step::Stall { ms: 2500 })
        .wait_heard(400)
        .hang_up();
    let call = world.call(script).await;

    let stalled = r#"notes_total{tenant="default",kind="caller-stalled"}"#;
    assert!(world.counted(stalled) >= 1);
    let sessions = world.close().await;
    assert!(!only(&sessions).sent_of("input_audio_buffer.speech_stopped").is_empty());
    assert_eq!(call.end, End::CallerHungUp);
}

async fn a_tool_is_asked_once_and_its_answer_spoken() {
    let shop = Shop::open().await;
    let tool = Answer::tool("repair_status", r#"{"number":"471"}"#).after_tools(Answer::tone(900));
    let script = ModelScript::new(Answer::tone(600), [Exchange::answer(tool)]);
    let world = Plan::script(script)
        .tenant(&tool_toml(&shop.url("/repair-status"), &shop.url("/")))
        .open()
        .await;

    let call = world.call(greeted().converse(1).hang_up()).await;

    assert_eq!(shop.asked(), [r#"{"number":"471"}"#]);
    let sessions = world.close().await;
    let session = only(&sessions);
    let call_id = &session.sent_of("response.function_call_arguments.done")[0].event["call_id"];
    assert_eq!(
        session.received_types(),
        ["session.update", "response.create", "conversation.item.create", "response.create"]
    );
    assert_eq!(
        received(session, "conversation.item.create"),
        [json!({
            "type": "conversation.item.create",
            "item": {"type": "function_call_output", "call_id": call_id, "output": Shop::ANSWER},
        })]
    );
    assert_eq!(received(session, "response.create")[1], json!({"type": "response.create"}));
    assert_eq!(
        received(session, "session.update")[0]["session"]["tools"][0],
        json!({
            "type": "function", "name": "repair_status", "description": "Looks up a repair.",
            "parameters": {"type": "object", "properties": {}},
        })
    );
    assert_eq!(clears(&call), 0);
}

async fn a_tool_whose_server_fails_is_answered_with_the_failure_and_the_call_goes_on() {
    let shop = Shop::open().await;
    let output = tool_output(&shop.url("/broken"), &shop.url("/")).await;
    assert!(output.contains("500") && output.contains("the till is on fire"), "{output}");
}

async fn a_tool_outside_the_allowlist_is_refused_before_anything_is_sent() {
    let (shop, other) = (Shop::open().await, Shop::open().await);
    let output = tool_output(&other.url("/repair-status"), &shop.url("/")).await;
    assert!(output.contains("refused"), "{output}");
    assert!(other.asked().is_empty());
}

async fn a_secret_is_not_sent_to_another_server_that_the_tenant_may_ask() {
    let (shop, other) = (Shop::open().await, Shop::open().await);
    let toml = format!(
        "[[settings.tools]]\nname = \"repair_status\"\nurl = \"{}\"\n\
         headers = {{ authorization = \"Bearer {{{{secret:SHOP_TOKEN}}}}\" }}\n\
         [http]\nallow = [\"{}\", \"{}\"]\n\
         secrets = [{{ name = \"SHOP_TOKEN\", origins = [\"{}\"] }}]\n",
        other.url("/repair-status"),
        shop.url("/"),
        other.url("/"),
        shop.url(""),
    );
    let tool = Answer::tool("repair_status", r#"{"number":"471"}"#).after_tools(Answer::tone(900));
    let script = ModelScript::new(Answer::tone(500), [Exchange::answer(tool)]);
    let plan = Plan::script(script).tenant(&toml);
    let world = plan.setting("CORDBOARD_SECRET_SHOP_TOKEN", "the-token-of-the-shop").open().await;

    let call = world.call(greeted().converse(1).hang_up()).await;

    assert!(other.asked().is_empty(), "nothing was sent, with or without the secret");
    assert!(call.stream().heard_ms() > 500 + 500, "the caller is told something");
    let limit = r#"limits_reached_total{tenant="default",kind="http.secrets"}"#;
    assert_eq!(world.counted(limit), 1);
    let sessions = world.close().await;
    let output = received(only(&sessions), "conversation.item.create")[0]["item"].to_string();
    assert!(output.contains("SHOP_TOKEN is not for"), "{output}");
}

async fn a_tool_whose_server_is_gone_is_answered_with_the_failure() {
    let gone = {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0");
        let listener = listener.await.expect("loopback has a free port");
        format!("http://{}/", listener.local_addr().expect("it is bound"))
    };
    let output = tool_output(&gone, &gone).await;
    assert!(output.contains("could not be reached"), "{output}");
}

/// Plays a call with one tool at `url` where only `allowed` is, and returns what the model was told.
async fn tool_output(url: &str, allowed: &str) -> String {
    let tool = Answer::tool("repair_status", "{}").after_tools(Answer::tone(700));
    let script = ModelScript::new(Answer::tone(600), [Exchange::answer(tool)]);
    let world = Plan::script(script).tenant(&tool_toml(url, allowed)).open().await;
    let call = world.call(greeted().converse(1).hang_up()).await;
    let sessions = world.close().await;
    let session = only(&sessions);
    assert_eq!(outcomes(session), ["completed"; 3], "greeting, tool call, answer");
    assert_eq!(call.end, End::CallerHungUp);
    let outputs = received(session, "conversation.item.create");
    assert_eq!(outputs.len(), 1, "answered once");
    outputs[0]["item"]["output"].as_str().expect("an output is a text").to_owned()
}

async fn two_tools_of_one_response_are_both_answered_before_the_model_is_asked_to_go_on() {
    let shop = Shop::open().await;
    let both = Answer::tool("repair_status", r#"{"number":"1"}"#)
        .and_tool("repair_status", r#"{"number":"2"}"#)
        .after_tools(Answer::tone(700));
    let script = ModelScript::new(Answer::tone(600), [Exchange::answer(both)]);
    let toml = tool_toml(&shop.url("/repair-status"), &shop.url("/"));
    let world = Plan::script(script).tenant(&toml).open().await;

    world.call(greeted().converse(1).hang_up()).await;

    assert_eq!(shop.asked().len(), 2);
    let sessions = world.close().await;
    assert_eq!(
        only(&sessions).received_types(),
        [
            "session.update",
            "response.create",
            "conversation.item.create",
            "conversation.item.create",
            "response.create",
        ]
    );
}

async fn eight_calls_at_once_keep_to_themselves() {
    let world = Plan::script(tones(500, &[700])).open().await;

    let calls: Vec<_> = (1..=8)
        .map(|seed| {
            let plan = to_bits(greeted().converse(1).hang_up());
            world.start(CallPlan { seed, ..plan })
        })
        .collect();
    let mut reports = Vec::new();
    for call in calls {
        reports.push(call.finished().await);
    }

    let sessions = world.close().await;
    assert_eq!(sessions.len(), 8);
    let given: Vec<Vec<u8>> = sessions.iter().map(checks::appended).collect();
    for call in &reports {
        checks::call(call);
        assert_eq!(call.script_failure, None);
        // Every line has noise of its own, so that a session's bytes are one caller's or nobody's.
        let to_model = given.iter().filter(|given| **given == call.stream().said).count();
        assert_eq!(to_model, 1, "sessions that were given exactly what this caller said");
        checks::caller_hears(call, &[tone(500), tone(700)]);
    }
}

async fn keys_reach_the_model_as_one_message_and_are_answered() {
    let world = Plan::script(tones(600, &[800])).open().await;

    let call = world.call(greeted().press("471#").listen().hang_up()).await;

    let sessions = world.close().await;
    let session = only(&sessions);
    assert_eq!(
        session.received_types(),
        ["session.update", "response.create", "conversation.item.create", "response.create"]
    );
    let text = "[The caller typed on the keypad: 471]";
    assert_eq!(
        received(session, "conversation.item.create"),
        [json!({
            "type": "conversation.item.create",
            "item": {
                "type": "message", "role": "user", "content": [{"type": "input_text", "text": text}],
            },
        })]
    );
    assert_eq!((clears(&call), outcomes(session).len()), (0, 2));
}

async fn a_caller_who_hangs_up_in_mid_answer_ends_the_models_session() {
    let world = Plan::script(tones(600, &[5000])).open().await;

    let call = world.call(greeted().speak("a question").wait_heard(700).hang_up()).await;

    let sessions = world.close().await;
    let session = only(&sessions);
    assert_eq!(session.ended.as_deref(), Some("client 1000"));
    // Nobody is left to whom it could matter how much was heard.
    assert_eq!(session.received_types(), ["session.update", "response.create"]);
    assert_eq!((call.end.clone(), clears(&call)), (End::CallerHungUp, 0));
    assert!(!call.stream().unechoed_marks.is_empty(), "the hang-up was not in mid answer");
}

async fn a_line_that_breaks_ends_the_models_session_too() {
    let world = Plan::script(tones(600, &[3000])).open().await;

    let script = greeted().speak("a question").wait_heard(500).then(Step::Drop);
    let call = world.call(script).await;

    let lost = r#"calls_ended_total{tenant="default",kind="carrier-lost"}"#;
    cordboard_e2e::until("the call is over", || world.gateway().calls.is_empty()).await;
    assert_eq!(world.counted(lost), 1);
    let sessions = world.close().await;
    assert_eq!(only(&sessions).ended.as_deref(), Some("client 1000"));
    assert_eq!(call.end, End::Dropped);
}

async fn an_agent_who_hangs_up_is_heard_to_the_last_word() {
    let goodbye = Answer { parts: Answer::tone(1500).parts, ..Answer::tone(0) }
        .and_tool("goodbye", r#"{"reason":"done"}"#);
    let script = ModelScript::new(Answer::tone(600), [Exchange::answer(goodbye)]);
    let tool = r#"
[[settings.tools]]
name = "goodbye"
description = "Ends the call."
does = "hang_up"
"#;
    let world = Plan::script(script).tenant(tool).open().await;

    let call = world.call(greeted().speak("that is all").wait_close()).await;

    let sessions = world.close().await;
    assert_eq!(
        only(&sessions).received_types(),
        ["session.update", "response.create", "conversation.item.create"]
    );
    assert_eq!(truncations(only(&sessions)), []);
    let stream = call.stream();
    assert_eq!(stream.closed.as_ref().map(|(code, _)| *code), Some(1000));
    assert_eq!(stream.unechoed_marks, [] as [String; 0], "closed before all was played");
    assert!((2040..=2180).contains(&stream.heard_ms()), "{} of 2100 ms", stream.heard_ms());
    // The carrier asks what comes next, and that is the end.
    let purposes: Vec<_> = call.requests.iter().map(|request| request.purpose.as_str()).collect();
    assert_eq!(purposes, ["webhook", "stream-started", "stream-stopped", "action"]);
    assert_eq!(call.verbs, ["hangup"]);
    assert_eq!(call.end, End::GatewayHungUp);
}

async fn an_older_server_is_spoken_to_in_its_own_words() {
    let shop = Shop::open().await;
    let tool = Answer::tool("repair_status", r#"{"number":"471"}"#).after_tools(Answer::tone(700));
    let turns = [tool, Answer::tone(4000), Answer::tone(600)].map(Exchange::answer);
    let model = ModelConfig {
        dialect: Dialect::Beta,
        ..ModelConfig::with_script(ModelScript::new(Answer::tone(600), turns))
    };
    let toml = tool_toml(&shop.url("/repair-status"), &shop.url("/"));
    let world = Plan::model(model).tenant(&toml).open().await;

    let script = greeted().converse(1).speak("a question").wait_heard(800).converse(1).press("5#");
    let call = world.call(script.listen().hang_up()).await;

    let sessions = world.close().await;
    let session = only(&sessions);
    assert_eq!(
        session.received_types(),
        [
            "session.update",
            "response.create",
            "conversation.item.create",
            "response.create",
            "conversation.item.truncate",
            "conversation.item.create",
            "response.create",
        ]
    );
    let asked = &received(session, "session.update")[0]["session"];
    assert_eq!(asked["input_audio_format"], "pcm16");
    assert_eq!(asked["output_audio_format"], "pcm16");
    assert_eq!(asked["voice"], "sage", "marin is a voice of the newer dialect alone");
    assert_eq!(asked["turn_detection"]["silence_duration_ms"], 300);
    for newer in ["type", "audio", "output_modalities"] {
        assert!(asked.get(newer).is_none(), "{newer} is no word of the older dialect");
    }
    assert_eq!(clears(&call), 1);
    assert_eq!(shop.asked().len(), 1);
}

async fn events_nobody_knows_pass_by_unnoticed() {
    let model = ModelConfig {
        unknown_events: true,
        late_deltas: 5,
        ..ModelConfig::with_script(tones(600, &[700, 700]))
    };
    let world = Plan::model(model).open().await;

    let strange =
        r#"{"event":"weather","streamSid":"?","sequenceNumber":"9","cloud":{"cover":null}}"#;
    let script = greeted().converse(1).then(Step::SendRaw(strange.into())).converse(1).hang_up();
    let call = world.call(script).await;

    let sessions = world.close().await;
    let session = only(&sessions);
    assert!(!session.sent_of("response.weather.forecast").is_empty());
    assert_eq!(session.received_types(), ["session.update", "response.create"]);
    assert_eq!(call.end, End::CallerHungUp);
}

fn tones(greeting_ms: u32, turns_ms: &[u32]) -> ModelScript {
    let turns = turns_ms.iter().map(|&ms| Exchange::answer(Answer::tone(ms)));
    ModelScript::new(Answer::tone(greeting_ms), turns)
}

fn to_bits(script: CallerScript) -> CallPlan {
    CallPlan { to: World::BITS_NUMBER.into(), ..CallPlan::new(script) }
}

fn tool_toml(url: &str, allowed: &str) -> String {
    format!(
        r#"
[[settings.tools]]
name = "repair_status"
description = "Looks up a repair."
url = "{url}"

[http]
allow = ["{allowed}"]
"#
    )
}

crate::scenarios![
    a_caller_is_greeted_answered_three_times_and_hangs_up,
    a_tenant_in_pcmu_hears_and_says_the_very_bytes_of_the_line,
    what_a_caller_says_before_the_model_is_there_is_not_lost,
    frames_that_come_in_bursts_reach_the_model_bit_by_bit,
    lost_frames_are_silence_to_the_model_and_its_clock_stays_right,
    a_caller_whose_line_stalls_in_mid_speech_is_answered,
    a_tool_is_asked_once_and_its_answer_spoken,
    a_tool_whose_server_fails_is_answered_with_the_failure_and_the_call_goes_on,
    a_tool_outside_the_allowlist_is_refused_before_anything_is_sent,
    a_secret_is_not_sent_to_another_server_that_the_tenant_may_ask,
    a_tool_whose_server_is_gone_is_answered_with_the_failure,
    two_tools_of_one_response_are_both_answered_before_the_model_is_asked_to_go_on,
    eight_calls_at_once_keep_to_themselves,
    keys_reach_the_model_as_one_message_and_are_answered,
    a_caller_who_hangs_up_in_mid_answer_ends_the_models_session,
    a_line_that_breaks_ends_the_models_session_too,
    an_agent_who_hangs_up_is_heard_to_the_last_word,
    an_older_server_is_spoken_to_in_its_own_words,
    events_nobody_knows_pass_by_unnoticed,
];
