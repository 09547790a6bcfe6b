//! A silent caller: asked whether they are there, a few times, then bidden goodbye.
//!
//! This one is part of the turn-taking and needs no events handed in: set [`Session::idle`](crate::Session::idle). The silence
//! counts from when the last word was heard, not from when it was generated; the agent's own speech, a running tool and a
//! call that is ending stop it.
//!
//! ```
//! use cordboard_sdk::{CallInfo, Greeting, Idle, Session, Tenant, harness::Harness};
//!
//! struct Desk;
//!
//! impl Tenant for Desk {
//!     fn new(_: &CallInfo) -> Desk {
//!         Desk
//!     }
//!
//!     fn session(&self, _: &CallInfo) -> Session {
//!         Session {
//!             greeting: Some(Greeting::Say("Front desk.".into())),
//!             idle: Some(Idle {
//!                 nudge_after_ms: 8_000,
//!                 nudge: "Ask whether the caller is still there.".into(),
//!                 nudges_max: 2,
//!                 hang_up_after_ms: Some(6_000),
//!                 farewell: Some("I cannot hear you. Goodbye!".into()),
//!             }),
//!             ..Session::default()
//!         }
//!     }
//! }
//!
//! let mut call = Harness::<Desk>::start();
//! call.model_ready();
//! call.model_says("Front desk.", 1_000);
//! for silence_ms in [9_100, 8_100] {
//!     call.advance(silence_ms);
//!     call.model_says("Are you still there?", 1_000);
//!     call.hear_all();
//! }
//! call.advance(6_100);
//! assert!(call.sent("response.create").pop().unwrap().to_string().contains("I cannot hear you"));
//! call.model_says("I cannot hear you. Goodbye!", 1_500);
//! call.hear_all();
//! assert!(call.has_ended());
//! ```

pub use crate::Idle;

#[cfg(test)]
mod tests {
    use crate::harness::Harness;
    use crate::{CallInfo, Idle, Session, Tenant};

    struct Desk(Idle);

    impl Tenant for Desk {
        fn new(info: &CallInfo) -> Desk {
            Desk(serde_json::from_str(&info.settings).expect("tests write valid settings"))
        }

        fn session(&self, _: &CallInfo) -> Session {
            Session { greeting: None, idle: Some(self.0.clone()), ..Session::default() }
        }
    }

    fn desk(settings: &str) -> Harness<Desk> {
        let mut call = Harness::with_settings(settings);
        call.model_ready();
        call
    }

    /// Lets the silence last, and the agent say what it then asks to say.
    fn asked_after(call: &mut Harness<Desk>, ms: u64) -> bool {
        call.forget();
        call.advance(ms);
        let asked = !call.sent("response.create").is_empty();
        if asked {
            call.model_says("Hello?", 500);
            call.hear_all();
        }
        asked
    }

    #[test]
    fn a_caller_is_asked_so_often_and_anew_after_every_sign_of_life() {
        for swap_every in [0, 1, 3] {
            let mut call =
                desk(r#"{"nudge_after_ms": 5000, "nudges_max": 2, "hang_up_after_ms": 3000}"#);
            call.swap_every(swap_every);
            assert!(asked_after(&mut call, 5_100));
            call.key('5');
            assert!(asked_after(&mut call, 5_100));
            assert!(asked_after(&mut call, 5_100));
            assert!(!asked_after(&mut call, 2_900));
            assert!(!call.has_ended());
            call.advance(200);
            assert!(call.has_ended());
        }
    }

    #[test]
    fn a_caller_need_not_be_asked_nor_hung_up_on() {
        let mut call = desk(r#"{"nudge_after_ms": 1, "nudges_max": 0, "hang_up_after_ms": 3000}"#);
        assert!(!asked_after(&mut call, 2_900));
        call.advance(200);
        assert!(call.has_ended());

        let mut call = desk(r#"{"nudge_after_ms": 1000}"#);
        assert!(asked_after(&mut call, 1_100));
        assert!(!asked_after(&mut call, 600_000), "asked once, for ever");
        assert!(!call.has_ended());
    }
}
