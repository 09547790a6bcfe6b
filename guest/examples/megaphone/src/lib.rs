//! The default tenant, speaking through a megaphone.
//!
//! Everything the default tenant does, settings included, and one thing more: the agent's voice is made loud
//! and harsh on its way to the caller. The two have the same state, so a running call can be handed from one
//! to the other and back, in the middle of a word.

use cordboard_audio::{decode_twilio_audio, encode_twilio_audio};
use cordboard_default_tenant::DefaultTenant;
use cordboard_sdk::{Call, CallInfo, Session, Tenant};

/// The default tenant with another voice.
pub struct Megaphone(DefaultTenant);

impl Tenant for Megaphone {
    fn new(info: &CallInfo) -> Megaphone {
        Megaphone(DefaultTenant::new(info))
    }

    fn session(&self, info: &CallInfo) -> Session {
        self.0.session(info)
    }

    fn started(&mut self, call: &mut Call) {
        self.0.started(call);
    }

    fn caller_key(&mut self, call: &mut Call, key: char) {
        self.0.caller_key(call, key);
    }

    fn timer(&mut self, call: &mut Call, token: u64) {
        self.0.timer(call, token);
    }

    fn command(&mut self, call: &mut Call, json: &str) {
        self.0.command(call, json);
    }

    fn agent_audio(&mut self, audio: &mut [u8]) {
        let mut pcm = decode_twilio_audio(audio);
        for sample in &mut pcm {
            *sample = shout(*sample);
        }
        audio.copy_from_slice(&encode_twilio_audio(&pcm));
    }

    fn save(&self) -> Vec<u8> {
        self.0.save()
    }

    fn load(info: &CallInfo, state: &[u8]) -> Result<Megaphone, String> {
        DefaultTenant::load(info, state).map(Megaphone)
    }
}

/// A horn's way with a sample: the root of its share of full scale, so that what is quiet becomes loud. It looks at
/// one sample at a time and so has no state of its own to hand over.
fn shout(sample: i16) -> i16 {
    let share = f32::from(sample.unsigned_abs()) / 32_768.0;
    let loud = (share.sqrt() * 24_000.0) as i16;
    if sample < 0 { -loud } else { loud }
}

cordboard_sdk::export!(Megaphone);

#[cfg(test)]
mod tests {
    use cordboard_sdk::harness::{Harness, call_info};
    use cordboard_sdk::{Action, Event};

    use super::*;

    #[test]
    fn silence_stays_silence() {
        assert_eq!(shout(0), 0);
    }

    #[test]
    fn what_is_quiet_becomes_loud_and_nothing_wraps() {
        assert!(shout(300) > 2_000);
        assert!(shout(i16::MAX) > 23_000 && shout(i16::MIN) < -23_000);
    }

    #[test]
    fn a_call_of_the_default_tenant_goes_on_here_and_back() {
        let mut harness = Harness::<DefaultTenant>::with_settings(r#"{"audio": "pcmu"}"#);
        harness.model_ready();
        let state = harness.save();
        let info = CallInfo { settings: r#"{"audio": "pcmu"}"#.into(), ..call_info() };
        let mut louder =
            cordboard_sdk::Instance::<Megaphone>::load(harness.now(), info.clone(), &state)
                .expect("the same state");
        let soft = Event::ModelAudio(cordboard_sdk::ModelAudio {
            response: "resp_1".into(),
            item: "item_1".into(),
            content_index: 0,
            data: encode_twilio_audio(&[300; 160]),
        });
        let played = louder.handle(harness.now(), soft);
        let Some(Action::Play(play)) = played.iter().find(|it| matches!(it, Action::Play(_)))
        else {
            panic!("nothing is played: {played:?}")
        };
        assert!(decode_twilio_audio(&play.audio).iter().all(|sample| *sample > 2_000));
        cordboard_sdk::Instance::<DefaultTenant>::load(harness.now(), info, &louder.save())
            .expect("and back");
    }
}
