//! Calls somebody's telephone menu, gets through it, waits on hold, and talks to the person at the end.
//!
//! **The model listens to everything and says nothing until a person is there.** Its session writes down what the far end says and
//! answers nothing by itself; this tenant reads the transcripts, finds the way with the SDK's building blocks, and presses
//! keys as tones within the call's own audio, so that the media stream never restarts. On hold nothing goes to the model
//! at all. When a person speaks, the session is told to converse.
//!
//! The settings are in [`settings`]; `README.md` beside this crate shows a whole run.

pub mod settings;

use cordboard_sdk::blocks::budget::{Budget, BudgetState};
use cordboard_sdk::blocks::goodbye::{Goodbye, GoodbyeState};
use cordboard_sdk::blocks::hold::{Change, Hold, HoldPhase, HoldState};
use cordboard_sdk::blocks::menu::{Menu, MenuState, Move};
use cordboard_sdk::blocks::transcript::{
    TranscriptGuard, TranscriptSettings, TranscriptState, Verdict,
};
use cordboard_sdk::blocks::{pack, unpack};
use cordboard_sdk::{
    Call, CallInfo, Ended, Event, Hearing, Role, Session, Speaker, Tenant, Tool, Turn,
    TurnDetection,
};
use serde::{Deserialize, Serialize};
use serde_json::json;

use settings::Settings;

/// The tenant.
pub struct Navigator {
    settings: Settings,
    /// What was wrong with the settings; the call goes on with the defaults.
    complaint: Option<String>,
    menu: Menu,
    hold: Hold,
    guard: TranscriptGuard,
    goodbye: Goodbye,
    budget: Budget,
    progress: Progress,
}

/// What a successor needs, in the order of the fields above.
type Saved = (Progress, MenuState, HoldState, TranscriptState, GoodbyeState, BudgetState);

/// How far a call has come.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
struct Progress {
    stage: Stage,
    /// Every key pressed so far.
    pressed: String,
    /// Ms on hold, of the holds that are over.
    held_ms: u64,
}

/// Who is at the far end.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
enum Stage {
    /// A menu, as far as is known.
    #[default]
    Menu,
    /// Nobody.
    OnHold,
    /// A person.
    Person,
}

const MENU: u64 = 1;
const HOLD: u64 = 2;
const GOODBYE: u64 = 3;

impl Tenant for Navigator {
    fn new(info: &CallInfo) -> Navigator {
        let (settings, complaint) = Settings::of(info);
        Navigator {
            menu: Menu::new(settings.menu()),
            hold: Hold::new(settings.hold()),
            guard: TranscriptGuard::new(TranscriptSettings::default()),
            goodbye: Goodbye::new(settings.goodbye()),
            budget: Budget::new(settings.budget()),
            progress: Progress::default(),
            settings,
            complaint,
        }
    }

    /// Without a greeting: whoever is called speaks first.
    fn session(&self, _: &CallInfo) -> Session {
        self.agent()
    }

    fn started(&mut self, call: &mut Call) {
        if let Some(complaint) = &self.complaint {
            call.publish("settings.refused", &json!({"problems": [complaint]}));
        }
    }

    fn event(&mut self, call: &mut Call, event: &Event) {
        self.guard.event(event);
        self.goodbye.event(call, GOODBYE, event);
        self.budget.watch(call, event);
    }

    fn caller_audio(&mut self, call: &mut Call, frame: &[u8]) -> Hearing {
        self.guard.hear(frame);
        let hearing = self.hold.caller_audio(call, frame);
        self.follow_hold(call, None);
        hearing
    }

    fn turn(&mut self, call: &mut Call, turn: &Turn) {
        if self.progress.stage == Stage::Person {
            self.goodbye.turn(call, GOODBYE, turn);
        }
        if turn.speaker == Speaker::Caller {
            match self.guard.judge(call.now(), &turn.item, &turn.text) {
                Verdict::Keep => self.heard(call, &turn.text),
                // Music makes transcribers write what nobody has said; the model is not to read it either.
                Verdict::Duplicate | Verdict::Repeated | Verdict::Phantom(_) => {
                    call.strike(&turn.item)
                }
            }
        }
    }

    fn timer(&mut self, call: &mut Call, token: u64) {
        match token {
            MENU => {
                // While somebody speaks, a menu is not read out.
                if call.caller_is_speaking() {
                    self.menu.speaking(call.now(), true);
                }
                let step = self.menu.due(call.now());
                self.follow_menu(call, step);
            }
            HOLD => {
                self.hold.due(call.now());
                self.follow_hold(call, None);
            }
            GOODBYE => self.goodbye.timer(call),
            _ => {}
        }
    }

    fn ended(&mut self, call: &mut Call, how: Ended) {
        let Progress { stage, pressed, held_ms } = &self.progress;
        let reached = *stage == Stage::Person;
        call.publish(
            "navigator.ended",
            &json!({"how": format!("{how:?}"), "person": reached, "pressed": pressed, "held_ms": held_ms}),
        );
    }

    fn save(&self) -> Vec<u8> {
        pack(&(
            &self.progress,
            self.menu.state(),
            self.hold.state(),
            self.guard.state(),
            self.goodbye.state(),
            self.budget.state(),
        ))
    }

    fn load(info: &CallInfo, state: &[u8]) -> Result<Navigator, String> {
        let (progress, menu, hold, guard, goodbye, budget) = unpack::<Saved>(state)?;
        let (settings, complaint) = Settings::of(info);
        Ok(Navigator {
            menu: Menu::resume(settings.menu(), menu),
            hold: Hold::resume(settings.hold(), hold),
            guard: TranscriptGuard::resume(TranscriptSettings::default(), guard),
            goodbye: Goodbye::resume(settings.goodbye(), goodbye),
            budget: Budget::resume(settings.budget(), budget),
            progress,
            settings,
            complaint,
        })
    }
}

impl Navigator {
    /// The agent as this stage needs it: mute towards machines, in conversation with a person.
    fn agent(&self) -> Session {
        let converses = self.progress.stage == Stage::Person;
        Session {
            instructions: format!(
                "You have called somebody on behalf of a customer, by telephone. What the far end says before a person is there \
                comes from machines: menus, announcements. With the person, be brief and polite.\n\n{}\n\n\
                When that is done, thank them and say goodbye.",
                self.settings.task
            ),
            voice: self.settings.voice(),
            greeting: None,
            tools: if converses { vec![Tool::hang_up("hang_up", HANG_UP)] } else { Vec::new() },
            // A tone that a machine talks over must not be cut off.
            barge_in: converses,
            turn_detection: Some(TurnDetection::ServerVad {
                threshold: 0.5,
                prefix_padding_ms: 300,
                silence_duration_ms: self.settings.silence_ms,
                idle_timeout_ms: None,
                create_response: converses,
                interrupt_response: converses,
            }),
            ..Session::default()
        }
    }

    /// The far end has said something.
    fn heard(&mut self, call: &mut Call, text: &str) {
        let now = call.now();
        if self.hold.phase() == HoldPhase::Talking && self.progress.stage != Stage::Person {
            if self.is_menu(call, text) {
                // "Or stay on the line" is part of a menu, not of a wait.
                return;
            }
            if !self.progress.pressed.is_empty() && self.settings.person.occur_in(text) {
                return self.person(call, text);
            }
        }
        self.hold.words(now, text);
        self.follow_hold(call, Some(text));
    }

    /// Presses a key, or gives up.
    fn follow_menu(&mut self, call: &mut Call, step: Option<Move>) {
        match &step {
            Some(Move::Press { keys, why }) => {
                self.progress.pressed.push_str(keys);
                call.publish("navigator.pressed", &json!({"keys": keys, "why": why}));
            }
            Some(Move::HangUp { why }) => call.publish("navigator.gave-up", &json!({"why": why})),
            None => {}
        }
        if let Some(step) = step {
            step.carry_out(call);
        }
        call.wake_at(MENU, self.menu.wake_at());
    }

    /// Acts on what the hold has become; `text` is what was just said, if anything.
    fn follow_hold(&mut self, call: &mut Call, text: Option<&str>) {
        let Some(change) = self.hold.take_change() else { return };
        match change {
            Change::Held { why } => {
                call.publish("navigator.on-hold", &json!({"why": why}));
                self.enter(call, Stage::OnHold);
            }
            Change::Voice => call.publish("navigator.voice", &json!({})),
            Change::TooLong => {
                let why = format!("nobody came in {} minutes", self.settings.hold_minutes_max);
                call.publish("navigator.gave-up", &json!({"why": why}));
                call.hang_up(&why);
            }
            Change::Person { held_ms } => {
                self.progress.held_ms += held_ms;
                self.after_hold(call, text.unwrap_or_default());
            }
        }
        call.wake_at(HOLD, self.hold.wake_at());
    }

    /// Somebody speaks who does not say what announcements say: a person, or a further menu.
    fn after_hold(&mut self, call: &mut Call, text: &str) {
        self.enter(call, Stage::Menu);
        if !self.is_menu(call, text) {
            self.person(call, text);
        }
    }

    /// Whether this offers keys; if so, it is acted on.
    fn is_menu(&mut self, call: &mut Call, text: &str) -> bool {
        let known = self.menu.choices();
        let step = self.menu.heard(call.now(), text);
        let choices = self.menu.choices();
        let offers = choices != known && choices.iter().any(|choice| !choice.keys.is_empty());
        let is_menu = step.is_some() || offers;
        self.follow_menu(call, step);
        is_menu
    }

    /// A person is there: from now on the model converses, and answers what was just said.
    fn person(&mut self, call: &mut Call, text: &str) {
        let held_ms = self.progress.held_ms;
        call.publish("navigator.human", &json!({"words": text, "held_ms": held_ms}));
        call.cancel_timer(MENU);
        self.enter(call, Stage::Person);
        call.tell(Role::System, "A person is on the line now. Speak with them.");
        call.respond();
    }

    fn enter(&mut self, call: &mut Call, stage: Stage) {
        let converses = |stage| stage == Stage::Person;
        let before = std::mem::replace(&mut self.progress.stage, stage);
        if converses(before) != converses(stage) {
            let agent = self.agent();
            call.update_session(|session| *session = agent);
        }
    }
}

const HANG_UP: &str = "Ends the call. Use it once you have said goodbye.";

cordboard_sdk::export!(Navigator);

#[cfg(test)]
mod tests;
