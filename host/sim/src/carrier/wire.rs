//! The carrier's messages, written as recorded: key order, strings for counters, numbers only in `mediaFormat`.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Map, Value, json};

use crate::audio::FRAME_BYTES;

/// The ids of one stream.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Ids {
    /// `AC` and 32 hex digits.
    pub account_sid: String,
    /// `CA` and 32 hex digits.
    pub call_sid: String,
    /// `MZ` and 32 hex digits.
    pub stream_sid: String,
}

/// Writes one stream's messages and counts them.
#[derive(Debug)]
pub struct Writer {
    ids: Ids,
    sequence: u64,
    chunk: u64,
    first_stamp_ms: u64,
    tail: String,
}

impl Writer {
    /// Starts a stream whose first media message will carry `first_stamp_ms`; recordings show 102 to 171.
    pub fn new(ids: Ids, first_stamp_ms: u64) -> Self {
        let tail = format!("\"}},\"streamSid\":\"{}\"}}", ids.stream_sid);
        Self { ids, sequence: 0, chunk: 0, first_stamp_ms, tail }
    }

    /// `connected`, which has no sequence number.
    pub fn connected(&self) -> String {
        r#"{"event":"connected","protocol":"Call","version":"1.0.0"}"#.into()
    }

    /// `start`.
    pub fn start(&mut self, parameters: &[(String, String)]) -> String {
        let parameters: Map<String, Value> =
            parameters.iter().map(|(k, v)| (k.clone(), Value::from(v.as_str()))).collect();
        let parameters = Value::Object(parameters);
        let sequence = self.next();
        let Ids { account_sid, call_sid, stream_sid } = &self.ids;
        format!(
            concat!(
                r#"{{"event":"start","sequenceNumber":"{}","start":{{"accountSid":"{}","streamSid":"{}","callSid":"{}","#,
                r#""tracks":["inbound"],"mediaFormat":{{"encoding":"audio/x-mulaw","sampleRate":8000,"channels":1}},"#,
                r#""customParameters":{}}},"streamSid":"{}"}}"#
            ),
            sequence, account_sid, stream_sid, call_sid, parameters, stream_sid
        )
    }

    /// `media` for the frame that begins `offset_ms` after the first one.
    pub fn media(&mut self, offset_ms: u64, frame: &[u8; FRAME_BYTES]) -> String {
        use std::fmt::Write as _;
        let sequence = self.next();
        self.chunk += 1;
        let mut text = String::with_capacity(400);
        write!(
            text,
            r#"{{"event":"media","sequenceNumber":"{sequence}","media":{{"track":"inbound","chunk":"{}","timestamp":"{}","payload":""#,
            self.chunk,
            self.first_stamp_ms + offset_ms
        )
        .expect("writing to a String cannot fail");
        STANDARD.encode_string(frame, &mut text);
        text.push_str(&self.tail);
        text
    }

    /// `dtmf`.
    pub fn dtmf(&mut self, key: char) -> String {
        let sequence = self.next();
        format!(
            r#"{{"event":"dtmf","streamSid":"{}","sequenceNumber":"{sequence}","dtmf":{{"track":"inbound_track","digit":"{key}"}}}}"#,
            self.ids.stream_sid
        )
    }

    /// `mark`, on its way back.
    pub fn mark(&mut self, name: &str) -> String {
        let sequence = self.next();
        format!(
            r#"{{"event":"mark","sequenceNumber":"{sequence}","streamSid":"{}","mark":{}}}"#,
            self.ids.stream_sid,
            json!({ "name": name })
        )
    }

    /// `stop`.
    pub fn stop(&mut self) -> String {
        let sequence = self.next();
        let Ids { account_sid, call_sid, stream_sid } = &self.ids;
        format!(
            r#"{{"event":"stop","sequenceNumber":"{sequence}","streamSid":"{stream_sid}","stop":{{"accountSid":"{account_sid}","callSid":"{call_sid}"}}}}"#
        )
    }

    fn next(&mut self) -> u64 {
        self.sequence += 1;
        self.sequence
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn messages_are_byte_for_byte_those_of_a_recorded_call() {
        let recording =
            include_str!("../../../../tests/fixtures/twilio/capture_a_connect_stream.jsonl");
        let lines: Vec<&str> = recording.lines().collect();
        let mut writer = Writer::new(ids('1'), 155);
        assert_eq!(writer.connected(), lines[0]);
        assert_eq!(writer.start(&[]), lines[1]);
        let media: Value = serde_json::from_str(lines[2]).unwrap();
        let payload = media["media"]["payload"].as_str().unwrap();
        let frame: [u8; 160] = STANDARD.decode(payload).unwrap().try_into().unwrap();
        assert_eq!(writer.media(0, &frame), lines[2]);
        writer.sequence = 377;
        assert_eq!(writer.stop(), lines[4]);
    }

    #[test]
    fn marks_are_written_as_recorded_and_share_the_counter() {
        let recording = include_str!(
            "../../../../tests/fixtures/twilio/capture_c_connect_stream_with_mark.jsonl"
        );
        let lines: Vec<&str> = recording.lines().collect();
        let mut writer = Writer::new(ids('3'), 171);
        writer.start(&[]);
        writer.media(0, &[0xFF; 160]);
        assert_eq!(writer.mark("171"), lines[3]);
        assert_eq!(writer.stop(), lines[4]);
    }

    #[test]
    fn names_and_parameters_are_escaped() {
        let mut writer = Writer::new(ids('1'), 100);
        let start = writer.start(&[("a\"b".into(), "c\\d\n".into())]);
        let start: Value = serde_json::from_str(&start).unwrap();
        assert_eq!(start["start"]["customParameters"]["a\"b"], "c\\d\n");
        let mark: Value = serde_json::from_str(&writer.mark("\"")).unwrap();
        assert_eq!(mark["mark"]["name"], "\"");
        assert_eq!(mark["sequenceNumber"], "2");
    }

    fn ids(last: char) -> Ids {
        Ids {
            account_sid: "AC0000000000000000000000000000000a".into(),
            call_sid: format!("CA{}{last}", "0".repeat(31)),
            stream_sid: format!("MZ{}{last}", "0".repeat(31)),
        }
    }
}
