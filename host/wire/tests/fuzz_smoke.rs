//! The fuzz targets' checks on stable Rust: recorded messages, mutated from a fixed seed.
//!
//! No substitute for fuzzing, but every change meets some hundred thousand hostile messages without
//! nightly, and a failure names the round that repeats it.

#[path = "../../../tests/fuzz/src/lib.rs"]
#[expect(unreachable_pub, reason = "the file is a library's in the fuzz project")]
mod checks;

const ROUNDS: u64 = 40_000;

#[test]
fn no_carrier_message_breaks_a_promise() {
    let mut seeds = lines_of("twilio/capture_a_connect_stream.jsonl");
    seeds.extend(lines_of("twilio/capture_c_connect_stream_with_mark.jsonl"));
    seeds.push(r#"{"event":"dtmf","streamSid":"MZ00000000000000000000000000000001","sequenceNumber":"5","dtmf":{"track":"inbound_track","digit":"1"}}"#.to_owned());
    storm(&seeds, checks::twilio_stream);
}

#[test]
fn no_model_message_breaks_a_promise() {
    let seeds = [
        r#"{"type":"session.created","session":{"id":"s","model":"m","expires_at":1.5,"audio":{"input":{"format":{"type":"audio/pcm","rate":24000}},"output":{"voice":"x"}}}}"#,
        r#"{"type":"session.updated","session":{"modalities":["text","audio"],"voice":"v","input_audio_format":"pcm16","output_audio_format":"g711_ulaw","turn_detection":null,"client_secret":{"value":"ek_x"},"max_response_output_tokens":"inf","audio":{}}}"#,
        r#"{"type":"response.output_audio.delta","response_id":"r","item_id":"i","content_index":0,"delta":"f39/"}"#,
        r#"{"type":"response.audio.delta","response_id":"r","item_id":"i","content_index":"0","delta":"f38="}"#,
        r#"{"type":"conversation.item.created","previous_item_id":null,"item":{"role":"assistant","status":"completed","content":[{"type":"text","text":"a"},{"type":"audio"}]}}"#,
        r#"{"type":"response.done","response":{"output":[{"role":"user","content":[{"type":"text"}]}],"modalities":["text"],"output_audio_format":"pcm16"}}"#,
        r#"{"type":"error","error":{"code":"invalid_api_key","message":"Incorrect sk-abc*x sk-","event_id":null}}"#,
        r#"{"type":"response.audio_transcript.done","transcript":"h\u00e9\n"}"#,
    ];
    storm(&seeds.map(str::to_owned), checks::openai_server);
}

#[test]
fn no_tenant_event_breaks_a_promise() {
    let seeds = [
        r#"{"type":"session.update","event_id":"u","session":{"type":"realtime","model":"m","output_modalities":["audio"],"audio":{"input":{"format":{"type":"audio/pcmu","rate":8000},"turn_detection":null},"output":{"format":{"type":"audio/pcm"},"voice":{"id":"v"},"speed":1.0}},"temperature":0.8,"max_output_tokens":"inf"}}"#,
        r#"{"type":"response.create","response":{"input":[{"role":"assistant","content":[{"type":"text","text":"a"}]}],"audio":{"output":{"format":{"type":"audio/pcma"}}},"temperature":1}}"#,
        r#"{"type":"conversation.item.create","item":{"id":"i","role":"system","content":[{"type":"text"}]}}"#,
        r#"{"type":"conversation.item.truncate","item_id":"i","content_index":0,"audio_end_ms":-12.75e2}"#,
        r#"{"type":"conversation.item.delete","item_id":"i"}"#,
        r#"{"type":"input_audio_buffer.append","audio":"f39/"}"#,
    ];
    storm(&seeds.map(str::to_owned), checks::openai_client);
}

#[test]
fn no_form_breaks_a_promise() {
    let seeds = [
        "12345\nhttps://mycompany.com/myapp.php?foo=1&bar=2\nCallSid=CA1&Digits=1&Digits=2&From=",
        "t\nwss://user:pa55@[2001:db8::1]:8443/s\n",
        "t\nhttps://h/x?bodySHA256=44136fa355b3678a&y\nSidAccount=AC1&Sid=CA1&AccountSid=AC1",
        "\nhttps://h\nStreamSid=MZ1&CallSid=CA1&StreamEvent=stream-error&StreamError=31920",
    ];
    storm(&seeds.map(str::to_owned), checks::signature_form);
}

#[test]
fn no_parameter_breaks_out_of_its_document() {
    let seeds = [
        "wss://gw.example.com/s\ntenant=t7\na=<b>&\"'\t=]]>",
        "https://h/x?a=1&b=2\nx=</Stream><Hangup/>",
        "sip:bob@example.com\n\u{fffe}=\u{1}",
        "client:a<b>\n=",
        "+14155550100",
        "ww12#*D",
    ];
    storm(&seeds.map(str::to_owned), checks::twiml_params);
}

/// Runs the check over every seed as it is, then over mutations of them.
fn storm(seeds: &[String], check: fn(&[u8])) {
    for seed in seeds {
        check(seed.as_bytes());
    }
    for round in 0..ROUNDS {
        let mut random = Random(round.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1);
        let mut data = random.one_of(seeds).clone().into_bytes();
        for _ in 0..=random.below(4) {
            mutate(&mut data, seeds, &mut random);
        }
        let failed = std::panic::catch_unwind(|| check(&data)).is_err();
        assert!(!failed, "round {round}: {}", String::from_utf8_lossy(&data));
    }
}

fn mutate(data: &mut Vec<u8>, seeds: &[String], random: &mut Random) {
    const TOKENS: [&str; 24] = [
        "null",
        "true",
        "-1",
        "1e999",
        "18446744073709551616",
        "0.5",
        "\"\"",
        "[]",
        "{}",
        "[[[[",
        "\\u0000",
        "\\ud800",
        "\u{1f600}",
        "\"type\":\"text\"",
        "\"item\":",
        "\"error\":\"x\"",
        "=",
        "&",
        "\n",
        "<",
        "\"",
        "\\",
        ":443",
        "sk-",
    ];
    let at = random.below(data.len() + 1);
    let end = (at + random.below(16)).min(data.len());
    match random.below(7) {
        0 => drop(data.drain(at..end)),
        1 => {
            let copy = data[at..end].to_vec();
            data.splice(at..at, copy);
        }
        2 => drop(data.splice(at..at, random.one_of(&TOKENS).bytes())),
        3 => drop(data.splice(at..end, random.one_of(&TOKENS).bytes())),
        4 if at < data.len() => data[at] ^= 1 << random.below(7),
        5 => {
            let other = random.one_of(seeds).as_bytes();
            let from = random.below(other.len() + 1);
            data.truncate(at);
            data.extend_from_slice(&other[from..]);
        }
        _ => data.truncate(at),
    }
}

/// xorshift64*: enough to wander, and the same on every machine.
struct Random(u64);

impl Random {
    fn below(&mut self, bound: usize) -> usize {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        let drawn = self.0.wrapping_mul(0x2545_f491_4f6c_dd1d) >> 33;
        usize::try_from(drawn).expect("31 bits") % bound
    }

    fn one_of<'a, T>(&mut self, all: &'a [T]) -> &'a T {
        &all[self.below(all.len())]
    }
}

fn lines_of(name: &str) -> Vec<String> {
    let path = format!("{}/../../tests/fixtures/{name}", env!("CARGO_MANIFEST_DIR"));
    let text = std::fs::read_to_string(path).expect("the captures are in the tree");
    text.lines().map(str::to_owned).collect()
}
