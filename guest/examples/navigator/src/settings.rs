//! What may be set, and what it means to the building blocks.

use cordboard_sdk::blocks::Phrases;
use cordboard_sdk::blocks::budget::BudgetSettings;
use cordboard_sdk::blocks::goodbye::GoodbyeSettings;
use cordboard_sdk::blocks::hold::HoldSettings;
use cordboard_sdk::blocks::menu::{LastResort, MenuSettings, MenuWords, Want};
use cordboard_sdk::{CallInfo, Voice};
use serde::Deserialize;

/// `[settings]` of a navigator's `tenant.toml`.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Settings {
    /// What to look for in menus, the most wanted first: `["billing", "invoice", "agent"]`.
    pub goal: Vec<String>,
    /// What to say and ask, once a person is there. Instructions to the model, not a text to read out.
    pub task: String,
    /// A voice by its name or by kind.
    pub voice: Option<String>,
    /// Pressed where no option fits. Empty: hang up then.
    pub last_resort: String,
    /// How long to wait on hold, in minutes.
    pub hold_minutes_max: u32,
    /// How many of the model's tokens a call may cost, in and out, before it is ended politely.
    pub tokens_max: u32,
    /// The silence that ends what the far end says, in ms.
    pub silence_ms: u32,
    /// What tells a person from a machine where no queue came before.
    pub person: Phrases,
    /// What announcements on hold say, in place of the English list.
    pub hold_cues: Option<Phrases>,
    /// The words of menus, for other languages.
    pub menu_words: MenuWords,
}

impl Default for Settings {
    fn default() -> Settings {
        Settings {
            goal: ["operator", "agent", "representative"].map(str::to_owned).into(),
            task: "Ask the person to call back the number this call comes from.".into(),
            voice: None,
            last_resort: "0".into(),
            hold_minutes_max: 20,
            tokens_max: 100_000,
            silence_ms: 500,
            person: Phrases::new([
                "how can i help",
                "how may i help",
                "what can i do for you",
                "who am i speaking",
            ]),
            hold_cues: None,
            menu_words: MenuWords::english(),
        }
    }
}

impl Settings {
    /// Reads a call's settings. What is wrong is told, and the defaults stand in for all of them.
    pub fn of(info: &CallInfo) -> (Settings, Option<String>) {
        let read = match info.settings.trim() {
            "" => Ok(Settings::default()),
            json => serde_json::from_str::<Settings>(json).map_err(|error| error.to_string()),
        };
        let checked = read.and_then(|settings| match &settings.voice {
            Some(name) => Voice::named(name).map(|_| settings).map_err(|error| error.to_string()),
            None => Ok(settings),
        });
        match checked {
            Ok(settings) => (settings, None),
            Err(complaint) => (Settings::default(), Some(complaint)),
        }
    }

    /// Whose voice the agent has.
    pub fn voice(&self) -> Voice {
        let named = self.voice.as_deref().map(Voice::named);
        named.and_then(Result::ok).unwrap_or_default()
    }

    /// The way through menus. What comes first in the goal is wanted a little more, but all of it enough to be pressed at once.
    pub fn menu(&self) -> MenuSettings {
        let wants = self.goal.iter().take(GOALS_MAX).enumerate().map(|(n, goal)| {
            let weight = 1.0 - 0.04 * n as f32 / GOALS_MAX as f32;
            Want::new([goal]).weighing(weight)
        });
        let last_resort = match self.last_resort.as_str() {
            "" => LastResort::HangUp("no option fits the goal".into()),
            keys => LastResort::Press(keys.into()),
        };
        MenuSettings {
            wants: wants.collect(),
            last_resorts: vec![last_resort],
            words: self.menu_words.clone(),
            ..MenuSettings::default()
        }
    }

    /// The end of a conversation: who is called has little to add to a goodbye.
    pub fn goodbye(&self) -> GoodbyeSettings {
        GoodbyeSettings { wait_ms: 2_000, ..GoodbyeSettings::default() }
    }

    /// What the call may cost.
    pub fn budget(&self) -> BudgetSettings {
        let farewell = "I am sorry, I have to end our call here. Thank you, and goodbye!".into();
        let limit = f64::from(self.tokens_max);
        BudgetSettings { limit, farewell, ..BudgetSettings::default() }
    }

    /// The wait on hold.
    pub fn hold(&self) -> HoldSettings {
        let defaults = HoldSettings::default();
        HoldSettings {
            hold_ms_max: u64::from(self.hold_minutes_max) * 60_000,
            cues: self.hold_cues.clone().unwrap_or(defaults.cues),
            ..defaults
        }
    }
}

/// Nobody looks for more things than these; what is beyond them is not looked for.
const GOALS_MAX: usize = 16;
