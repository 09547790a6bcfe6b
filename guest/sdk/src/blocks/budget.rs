//! A budget of tokens: counts what the model server says each response has cost, warns, and ends the call politely.
//!
//! Every `response.done` carries `usage`, a cancelled one too, and all of it is billed. Speech is about 10 tokens a second from the
//! caller and 20 from the agent; and as the whole conversation goes in again with every response, a call gets dearer by the minute. With
//! [`Prices`] the budget is in money; without, in tokens. The caller's transcription is billed beside this and not counted here.
//!
//! ```
//! use cordboard_sdk::blocks::budget::{Budget, BudgetSettings};
//! use cordboard_sdk::{Call, CallInfo, Event, Session, Tenant};
//! # use cordboard_sdk::harness::Harness;
//! # use serde_json::json;
//!
//! struct Thrifty {
//!     budget: Budget,
//! }
//!
//! impl Tenant for Thrifty {
//!     fn new(_: &CallInfo) -> Thrifty {
//!         Thrifty { budget: Budget::new(BudgetSettings { limit: 5_000.0, ..BudgetSettings::default() }) }
//!     }
//!
//!     fn session(&self, _: &CallInfo) -> Session {
//!         Session { greeting: None, ..Session::default() }
//!     }
//!
//!     fn event(&mut self, call: &mut Call, event: &Event) {
//!         self.budget.watch(call, event);
//!     }
//! }
//!
//! let mut call = Harness::<Thrifty>::start();
//! call.model_ready();
//! call.model(json!({"type": "response.done", "response": {"id": "r1", "status": "completed",
//!     "usage": {"input_tokens": 4_000, "output_tokens": 1_200}}}));
//! assert_eq!(call.published("budget.spent")[0]["spent"], 5_200.0);
//! call.model_says("I have to end our call here. Goodbye!", 2_000);
//! call.hear_all();
//! assert!(call.has_ended());
//! ```

use std::collections::VecDeque;

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use crate::wire::{ServerEvent, event_type};
use crate::{Call, Event};

/// How much a call may cost, and what happens then.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct BudgetSettings {
    /// The budget: in tokens, or in the unit of the prices.
    pub limit: f64,
    /// What a token of each kind costs.
    pub prices: Prices,
    /// At which shares of the budget to warn, rising, 0 to 1.
    pub warn_at: Vec<f64>,
    /// The last words, said exactly, once the budget is spent.
    pub farewell: String,
}

impl Default for BudgetSettings {
    fn default() -> BudgetSettings {
        BudgetSettings {
            limit: 200_000.0,
            prices: Prices::default(),
            warn_at: vec![0.8, 0.95],
            farewell:
                "I am sorry, I have to end our call here. Thank you for calling, and goodbye!"
                    .into(),
        }
    }
}

/// What one token costs, by kind. By default each counts as 1.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Prices {
    /// Text (and images) in.
    pub input_text: f64,
    /// Audio in.
    pub input_audio: f64,
    /// Text in that was in the server's cache.
    pub cached_text: f64,
    /// Audio in that was in the server's cache.
    pub cached_audio: f64,
    /// Text out.
    pub output_text: f64,
    /// Audio out.
    pub output_audio: f64,
}

impl Default for Prices {
    fn default() -> Prices {
        Prices {
            input_text: 1.0,
            input_audio: 1.0,
            cached_text: 1.0,
            cached_audio: 1.0,
            output_text: 1.0,
            output_audio: 1.0,
        }
    }
}

/// Tokens, by kind. The cached ones are not counted among the others.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Tokens {
    /// Text (and images) in, not cached.
    pub input_text: u64,
    /// Audio in, not cached.
    pub input_audio: u64,
    /// Text in from the cache.
    pub cached_text: u64,
    /// Audio in from the cache.
    pub cached_audio: u64,
    /// Text out.
    pub output_text: u64,
    /// Audio out.
    pub output_audio: u64,
}

impl Tokens {
    /// Reads a `usage` object. Where the details are missing, all counts as text.
    pub fn read(usage: &Value) -> Tokens {
        let number = |value: &Value| value.as_u64().unwrap_or(0);
        let (input, output) = (&usage["input_token_details"], &usage["output_token_details"]);
        let cached = &input["cached_tokens_details"];
        let in_all = number(&usage["input_tokens"]);
        let out_all = number(&usage["output_tokens"]);

        let cached_audio = number(&cached["audio_tokens"]);
        let cached_text = number(&input["cached_tokens"]).saturating_sub(cached_audio);
        let audio = number(&input["audio_tokens"]);
        let text = in_all.saturating_sub(audio);
        let output_audio = number(&output["audio_tokens"]);
        Tokens {
            input_text: text.saturating_sub(cached_text),
            input_audio: audio.saturating_sub(cached_audio),
            cached_text,
            cached_audio,
            output_text: out_all.saturating_sub(output_audio),
            output_audio,
        }
    }

    /// All of them.
    pub fn total(&self) -> u64 {
        [self.input_text, self.input_audio, self.cached_text, self.cached_audio]
            .into_iter()
            .chain([self.output_text, self.output_audio])
            .fold(0, u64::saturating_add)
    }

    /// What they cost.
    pub fn cost(&self, prices: &Prices) -> f64 {
        self.input_text as f64 * prices.input_text
            + self.input_audio as f64 * prices.input_audio
            + self.cached_text as f64 * prices.cached_text
            + self.cached_audio as f64 * prices.cached_audio
            + self.output_text as f64 * prices.output_text
            + self.output_audio as f64 * prices.output_audio
    }

    fn add(&mut self, more: Tokens) {
        let pairs = [
            (&mut self.input_text, more.input_text),
            (&mut self.input_audio, more.input_audio),
            (&mut self.cached_text, more.cached_text),
            (&mut self.cached_audio, more.cached_audio),
            (&mut self.output_text, more.output_text),
            (&mut self.output_audio, more.output_audio),
        ];
        for (sum, tokens) in pairs {
            *sum = sum.saturating_add(tokens);
        }
    }
}

/// Something to know about the budget. Each is told once.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Signal {
    /// This share of it is spent.
    Warning(f64),
    /// All of it is.
    Spent,
}

/// Counts tokens against a budget.
#[derive(Debug, Clone, PartialEq)]
pub struct Budget {
    settings: BudgetSettings,
    state: BudgetState,
}

/// All that a [`Budget`] remembers, for a successor.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct BudgetState {
    tokens: Tokens,
    warned: u8,
    spent: bool,
    /// Responses counted last, so that none counts twice.
    counted: VecDeque<String>,
}

impl Budget {
    /// Begins a call, with nothing spent.
    pub fn new(settings: BudgetSettings) -> Budget {
        Budget { settings, state: BudgetState::default() }
    }

    /// Goes on where another left off.
    pub fn resume(settings: BudgetSettings, mut state: BudgetState) -> Budget {
        state.counted.truncate(COUNTED_MAX);
        Budget { settings, state }
    }

    /// What a successor needs.
    pub fn state(&self) -> &BudgetState {
        &self.state
    }

    /// The tokens so far.
    pub fn tokens(&self) -> Tokens {
        self.state.tokens
    }

    /// What they cost, in tokens or in the unit of the prices.
    pub fn spent(&self) -> f64 {
        self.state.tokens.cost(&self.settings.prices)
    }

    /// For [`Tenant::event`](crate::Tenant::event): counts; publishes `budget.warning` and `budget.spent` (spent, limit, tokens); and
    /// once all is spent, says the farewell and hangs up.
    pub fn watch(&mut self, call: &mut Call, event: &Event) -> Option<Signal> {
        let signal = self.event(event)?;
        let topic = match signal {
            Signal::Warning(_) => "budget.warning",
            Signal::Spent => "budget.spent",
        };
        let tokens = serde_json::to_value(self.tokens()).expect("a plain struct has a JSON form");
        let json = json!({"spent": self.spent(), "limit": self.settings.limit, "tokens": tokens});
        call.publish(topic, &json);
        if signal == Signal::Spent {
            call.say_and_hang_up(&self.settings.farewell, "the budget of the call is spent");
        }
        Some(signal)
    }

    /// Counts an event, if it tells of a finished response.
    pub fn event(&mut self, event: &Event) -> Option<Signal> {
        let Event::ModelEvent(json) = event else { return None };
        if event_type(json) != Some("response.done") {
            return None;
        }
        let event = ServerEvent::parse(json);
        let response = event.response?;
        let id = response.id.unwrap_or_default();
        if !id.is_empty() && self.state.counted.contains(&id) {
            return None;
        }
        // Some servers have it beside the response.
        let usage = response.usage.or(event.usage)?;
        let usage: Value = serde_json::from_str(usage.get()).ok()?;
        if self.state.counted.len() >= COUNTED_MAX {
            self.state.counted.pop_front();
        }
        self.state.counted.push_back(id);
        self.count(Tokens::read(&usage))
    }

    /// Counts tokens of any origin.
    pub fn count(&mut self, tokens: Tokens) -> Option<Signal> {
        self.state.tokens.add(tokens);
        let spent = self.spent();
        if self.state.spent {
            return None;
        }
        if spent >= self.settings.limit {
            self.state.spent = true;
            return Some(Signal::Spent);
        }
        let passed =
            self.settings.warn_at.iter().take_while(|at| spent >= **at * self.settings.limit);
        let passed = u8::try_from(passed.count()).unwrap_or(u8::MAX);
        if passed <= self.state.warned {
            return None;
        }
        self.state.warned = passed;
        Some(Signal::Warning(self.settings.warn_at[usize::from(passed) - 1]))
    }
}

const COUNTED_MAX: usize = 8;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::blocks::{pack, unpack};

    fn done(id: &str, usage: Value) -> Event {
        let response = json!({"id": id, "status": "cancelled", "usage": usage});
        Event::ModelEvent(json!({"type": "response.done", "response": response}).to_string())
    }

    fn flat(input: u64, output: u64) -> Value {
        json!({"input_tokens": input, "output_tokens": output})
    }

    /// As the server's own documentation has it.
    fn detailed() -> Value {
        json!({
            "total_tokens": 253, "input_tokens": 132, "output_tokens": 121,
            "input_token_details": {"text_tokens": 119, "audio_tokens": 13, "image_tokens": 0,
                "cached_tokens": 64, "cached_tokens_details": {"text_tokens": 60, "audio_tokens": 4}},
            "output_token_details": {"text_tokens": 30, "audio_tokens": 91},
        })
    }

    #[test]
    fn tokens_are_counted_by_kind_and_none_twice() {
        let tokens = Tokens::read(&detailed());
        let expected = Tokens {
            input_text: 59,
            input_audio: 9,
            cached_text: 60,
            cached_audio: 4,
            output_text: 30,
            output_audio: 91,
        };
        assert_eq!(tokens, expected);
        assert_eq!(tokens.total(), 253);
        let mut budget = Budget::new(BudgetSettings::default());
        budget.event(&done("r1", detailed()));
        budget.event(&done("r1", detailed()));
        assert_eq!(budget.tokens(), tokens);
    }

    #[test]
    fn prices_make_it_money() {
        let prices = Prices { cached_audio: 0.5, output_audio: 2.0, ..Prices::default() };
        assert_eq!(Tokens::read(&detailed()).cost(&prices), 253.0 - 2.0 + 91.0);
    }

    #[test]
    fn usage_that_is_missing_null_or_odd_counts_as_nothing_and_without_details_as_text() {
        for usage in
            [json!(null), json!(7), json!({"input_tokens": "many"}), json!({"input_tokens": -4})]
        {
            assert_eq!(Tokens::read(&usage), Tokens::default(), "{usage}");
        }
        let tokens = Tokens::read(&flat(10, 20));
        assert_eq!((tokens.input_text, tokens.output_text), (10, 20));
        let mut budget = Budget::new(BudgetSettings::default());
        let beside = json!({"type": "response.done", "response": {"id": "x"}, "usage": flat(1, 2)});
        budget.event(&Event::ModelEvent(beside.to_string()));
        assert_eq!(budget.tokens().total(), 3);
    }

    #[test]
    fn each_warning_comes_once_and_then_the_end_once() {
        let settings = BudgetSettings { limit: 1_000.0, ..BudgetSettings::default() };
        let mut budget = Budget::new(settings);
        let signals: Vec<Option<Signal>> = [500, 299, 1, 100, 60, 39, 1, 50]
            .iter()
            .enumerate()
            .map(|(n, tokens)| budget.event(&done(&format!("r{n}"), flat(*tokens, 0))))
            .collect();
        let (warn, none) = (|at| Some(Signal::Warning(at)), None);
        assert_eq!(
            signals,
            [none, none, warn(0.8), none, warn(0.95), none, Some(Signal::Spent), none]
        );
    }

    #[test]
    fn a_leap_over_all_warnings_is_the_end_and_over_two_is_the_higher() {
        let settings = BudgetSettings { limit: 100.0, ..BudgetSettings::default() };
        assert_eq!(
            Budget::new(settings.clone()).event(&done("a", flat(150, 0))),
            Some(Signal::Spent)
        );
        assert_eq!(
            Budget::new(settings).event(&done("a", flat(96, 0))),
            Some(Signal::Warning(0.95))
        );
    }

    #[test]
    fn a_successor_after_every_kth_response_warns_the_same() {
        let settings = BudgetSettings { limit: 1_000.0, ..BudgetSettings::default() };
        let run = |every: usize| {
            let mut budget = Budget::new(settings.clone());
            let mut signals = Vec::new();
            for n in 0..40usize {
                signals.push(budget.event(&done(&format!("r{}", n / 2), flat(30, 25))));
                if n % every == 0 {
                    let bytes = pack(budget.state());
                    assert!(bytes.len() < 256);
                    let state = unpack(&bytes).expect("it was just packed");
                    budget = Budget::resume(settings.clone(), state);
                }
            }
            signals
        };
        let unswapped = run(usize::MAX);
        assert_eq!(unswapped.iter().flatten().count(), 3);
        for every in [1, 2, 3, 7] {
            assert_eq!(run(every), unswapped, "every {every}");
        }
    }
}
