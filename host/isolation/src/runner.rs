//! A scenario played from its first step to its last, or to the first one that does not go as it says.

use cordboard_call::contract::Millis;
use cordboard_sim::audio::{tone, ulaw_decode, ulaw_encode};
use cordboard_sim::model::{Answer as Response, Outcome, Part, Voice};
use cordboard_sim::speech;
use serde_json::{Map, Value};

use crate::driver::{Asked, Failure, Meter, Mode};
use crate::expect::{self, Miss, View};
use crate::runtime::Runtime;
use crate::scenario::{
    Answer, Ending, Expectation, Scenario, Script, Spanned, Speech, Step, Until, line_of,
};
use crate::world::{Kind, World};

/// How long a step waits for the model to be asked, where it does not say.
const ANSWER_WITHIN_MS: Millis = 10_000;
/// How long `model_restored` waits.
const RESTORED_WITHIN_MS: Millis = 30_000;
/// How long an answer to a request waits for the request.
const REQUEST_WITHIN_MS: Millis = 5_000;
/// After the last step, so that what it caused can come out.
const AFTERWARDS_MS: Millis = 100;
/// Lines of log that are shown with a failure.
const LAST_LINES: usize = 5;
/// The level of a caller's voice.
const VOICE_DB: f64 = -20.0;

/// What came of a scenario.
pub(crate) struct Played {
    /// Every event, with its answer.
    pub(crate) asked: Vec<Asked>,
    /// What it took.
    pub(crate) meter: Meter,
    /// How the tenant failed.
    pub(crate) failure: Option<Failure>,
    /// The line of the step that was played last.
    pub(crate) line: u64,
    /// The last lines of the tenant's log.
    pub(crate) last_said: Vec<String>,
    /// What did not go as the scenario says.
    pub(crate) missed: Option<Missed>,
    /// Client events the model refused, in its own words.
    pub(crate) refused_by_model: Vec<String>,
    /// Actions the host refused, and why.
    pub(crate) refused_by_host: Vec<String>,
    /// Why the call machine ended the call, if it had to.
    pub(crate) ended_badly: Option<String>,
}

/// A step that did not go as it says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Missed {
    pub(crate) line: u64,
    pub(crate) at_ms: Millis,
    pub(crate) miss: Miss,
}

/// Plays a scenario.
pub(crate) async fn play(runtime: &Runtime, scenario: &Scenario, mode: Mode) -> Played {
    let world = match World::begin(runtime, &scenario.script, mode).await {
        Ok(world) => world,
        Err(failure) => return Played::nothing(failure),
    };
    let mut runner = Runner { world, scenario, answers: 0, before: 0, since_ms: 0 };
    runner.prepare();
    let (mut missed, mut line) = (None, 0);
    for step in &scenario.script.steps {
        line = line_of(step, 0);
        if let Err(miss) = runner.step(step).await {
            missed = Some(Missed { line: miss.0, at_ms: runner.world.now_ms(), miss: miss.1 });
            break;
        }
        if runner.world.failure().is_some() {
            break;
        }
    }
    if missed.is_none() {
        runner.world.pass(AFTERWARDS_MS, |_| false).await;
    }
    let meter = runner.world.meter();
    let (driver, records, failure) = runner.world.conclude();
    let words = |kind, key: &str| -> Vec<String> {
        let of_kind = records.iter().filter(|record| record.kind == kind);
        of_kind
            .map(|record| {
                let what = record.value["action"].as_str().map(|what| format!("{what}: "));
                let why = record.value[key].as_str().unwrap_or("no reason given");
                format!("{}{why}", what.unwrap_or_default())
            })
            .collect()
    };
    let ended = records.iter().find(|record| record.kind == Kind::Ends);
    let ended_badly = ended.and_then(|record| match record.value["reason"].as_str() {
        Some(reason @ ("failed" | "model-lost" | "carrier-lost")) => {
            Some(format!("{reason}, {}", record.value["detail"].as_str().unwrap_or_default()))
        }
        _ => None,
    });
    let lines = driver.log.lines().kept;
    let last_said = lines.iter().skip(lines.len().saturating_sub(LAST_LINES));
    let last_said = last_said.map(|(level, line)| format!("{level:?} {line}")).collect();
    Played {
        line,
        last_said,
        ended_badly,
        meter,
        // A tenant that failed is the reason for whatever was missed then.
        missed: missed.filter(|_| failure.is_none()),
        failure,
        refused_by_model: words(Kind::ModelRefuses, "message"),
        refused_by_host: words(Kind::Refused, "reason"),
        asked: driver.asked,
    }
}

impl Played {
    fn nothing(failure: Failure) -> Self {
        Self {
            asked: Vec::new(),
            meter: Meter::default(),
            failure: Some(failure),
            line: 0,
            last_said: Vec::new(),
            missed: None,
            refused_by_model: Vec::new(),
            refused_by_host: Vec::new(),
            ended_badly: None,
        }
    }
}

struct Runner<'a> {
    world: World<'a>,
    scenario: &'a Scenario,
    /// Answers of the model that were waited for.
    answers: usize,
    /// How much had come out when the last step that is no expectation began, and when that was.
    before: usize,
    since_ms: Millis,
}

impl Runner<'_> {
    /// Tells the model all it will have to say and to understand; it says the first thing when it is first asked.
    fn prepare(&mut self) {
        let Script { steps, .. } = &self.scenario.script;
        for step in steps {
            match &step.value {
                Step::ModelAnswers(answer) => self.world.model().plan(response(answer)),
                Step::CallerSays(speech) => {
                    let words =
                        speech.text.clone().or_else(|| clip_words(speech)).unwrap_or_default();
                    self.world.model().understand(words);
                }
                _ => {}
            }
        }
    }

    async fn step(&mut self, step: &Spanned<Step>) -> Result<(), (u64, Miss)> {
        let line = line_of(step, 0);
        if !matches!(step.value, Step::Expect(_) | Step::Never(_)) {
            self.before = self.world.records().len();
            self.since_ms = self.world.now_ms();
        }
        let here = |miss| (line, miss);
        match &step.value {
            Step::CallerSays(speech) => {
                let sound = sound(speech, self.scenario);
                let ms = sound.len() as u64 / 8;
                self.world.speak(&sound);
                self.world.pass(ms, |_| false).await;
            }
            Step::CallerPresses(keys) => {
                self.world.press(keys);
                let all = keys.len() as u64 * 600;
                self.world.pass(all, World::is_done_typing).await;
            }
            Step::CallerHangsUp => self.world.hang_up().await,
            Step::Wait(ms) => {
                self.world.pass(*ms, |_| false).await;
            }
            Step::ModelAnswers(answer) => self.answered(answer).await.map_err(here)?,
            Step::ModelEvent(event) => {
                self.at_model(|engine, _| engine.interject(event.clone())).await.map_err(here)?;
            }
            Step::ModelSpeechStarted => {
                self.at_model(|engine, now| engine.begin_speech(now)).await.map_err(here)?;
            }
            Step::ModelSpeechStopped => {
                self.at_model(|engine, now| engine.end_speech(now)).await.map_err(here)?;
            }
            Step::ModelCancels => {
                self.at_model(|engine, now| engine.cut_off(now)).await.map_err(here)?;
            }
            Step::ModelLost(ms) => self.world.lose_model(*ms).await,
            Step::ModelRestored => {
                if !self.world.pass(RESTORED_WITHIN_MS, |world| world.is_model_up()).await {
                    let got = format!("it was not within {RESTORED_WITHIN_MS} ms");
                    return Err(here(told("that the model's session is there again", got, None)));
                }
                self.world.pass(AFTERWARDS_MS, |_| false).await;
            }
            Step::HttpAnswers(answer) => {
                self.await_request().await.map_err(here)?;
                let headers = texts(&answer.headers);
                let body = match &answer.body {
                    Value::Null => Vec::new(),
                    Value::String(text) => text.clone().into_bytes(),
                    json => json.to_string().into_bytes(),
                };
                self.world.answer_request(answer.status, headers, body).await;
            }
            Step::HttpFails(reason) => {
                self.await_request().await.map_err(here)?;
                self.world.fail_request(0, reason).await;
            }
            Step::OperatorSends(json) => self.world.command(json.to_string()).await,
            Step::OperatorHangsUp => self.world.operator_hangs_up().await,
            Step::Swap => self.world.swap().await,
            Step::Expect(list) => {
                for one in list {
                    self.expect(&one.value).await.map_err(|miss| (line_of(one, line), miss))?;
                }
            }
            Step::Never(list) => {
                for one in list {
                    self.never(&one.value).await.map_err(|miss| (line_of(one, line), miss))?;
                }
            }
        }
        Ok(())
    }

    fn view(&self) -> View<'_> {
        view(&self.world, self.before, self.since_ms)
    }

    async fn expect(&mut self, expectation: &Expectation) -> Result<(), Miss> {
        let (before, since_ms) = (self.before, self.since_ms);
        let watched = self.world.now_ms() - since_ms;
        let silence = expectation.silence.as_ref().map(expect::watch_ms);
        let wait =
            silence.unwrap_or(0).saturating_sub(watched) + expectation.within_ms.unwrap_or(0);
        // What has to happen a number of times, or at most so long, is not judged before the time is over.
        let is_upper = expectation.times.is_some()
            || expectation.hears.as_ref().is_some_and(|sound| sound.at_most_ms.is_some());
        let came = |world: &World<'_>| {
            !is_upper && expect::judge(expectation, &view(world, before, since_ms)).is_ok()
        };
        self.world.pass(wait, came).await;
        expect::judge(expectation, &self.view())
    }

    async fn never(&mut self, expectation: &Expectation) -> Result<(), Miss> {
        self.world.pass(expectation.within_ms.unwrap_or(0), |_| false).await;
        match expect::violation(expectation, &self.view()) {
            Some(miss) => Err(miss),
            None => Ok(()),
        }
    }

    /// Waits until the model gave its next answer.
    async fn answered(&mut self, answer: &Answer) -> Result<(), Miss> {
        self.answers += 1;
        let (nth, until) = (self.answers, answer.until);
        let within = answer.within_ms.unwrap_or(ANSWER_WITHIN_MS);
        let came = |world: &World<'_>| {
            let model = world.model_counts();
            match until {
                Until::Whenever => true,
                Until::Asked => model.asked >= nth,
                Until::Begun => model.begun >= nth,
                Until::Sent => model.over >= nth,
                Until::Heard => model.over >= nth && world.unheard_ms() == 0,
            }
        };
        if self.world.pass(within, came).await || self.world.failure().is_some() {
            return Ok(());
        }
        let model = self.world.model_counts();
        let expected =
            format!("that the model is asked for a response, for the {nth}. time in this call");
        if model.asked < nth {
            let got = format!("within {within} ms it was not asked");
            let hint = match (self.world.is_model_up(), model.asked) {
                (false, _) => {
                    "the model has no session: give it time with `wait`, or `model_restored`"
                }
                (true, 0) => {
                    "send a `session.update` at `model-ready` and, once it is confirmed, a `response.create`; or let \
                     the caller speak first"
                }
                (true, _) => {
                    "after a tool's output send `response.create`; a caller's turn is answered only if the model \
                     hears it: the tenant must pass `caller-audio` on as `model-audio` in the session's format"
                }
            };
            return Err(told(&expected, got, Some(hint)));
        }
        let got = format!("it was asked, and has not come so far within {within} ms");
        Err(told(
            &format!("the model's {nth}. response, {until:?}"),
            got,
            Some("give it a longer `within_ms`"),
        ))
    }

    async fn await_request(&mut self) -> Result<(), Miss> {
        if self.world.pass(REQUEST_WITHIN_MS, World::has_request).await {
            return Ok(());
        }
        let got = format!("none was open, and none came within {REQUEST_WITHIN_MS} ms");
        let hint =
            "answer the event with the action `http`; its `timeout-ms` may be too short as well";
        Err(told("an HTTP request to answer", got, Some(hint)))
    }

    async fn at_model(
        &mut self,
        act: impl FnOnce(&mut cordboard_sim::model::engine::Engine, std::time::Duration),
    ) -> Result<(), Miss> {
        if !self.world.is_model_up() {
            let got = "it has none now".to_owned();
            let hint = "give it time with `wait`, or `model_restored` after it was lost";
            return Err(told("that the model has a session", got, Some(hint)));
        }
        self.world.at_model(act).await;
        Ok(())
    }
}

fn view<'a>(world: &'a World<'_>, before: usize, since_ms: Millis) -> View<'a> {
    let (records, heard) = (world.records(), world.heard());
    View { records, before, heard, since_ms, now_ms: world.now_ms() }
}

fn told(expected: &str, got: String, hint: Option<&str>) -> Miss {
    Miss { expected: expected.to_owned(), got, hint: hint.map(str::to_owned) }
}

fn texts(map: &Map<String, Value>) -> Vec<(String, String)> {
    let text = |value: &Value| value.as_str().map_or_else(|| value.to_string(), str::to_owned);
    map.iter().map(|(name, value)| (name.clone(), text(value))).collect()
}

/// How long a text takes to say: about fifteen characters a second.
fn speaking_ms(text: &str) -> u64 {
    400 + text.chars().count() as u64 * 65
}

fn response(answer: &Answer) -> Response {
    let mut parts = Vec::new();
    if let Some(clip) = answer.clip.as_ref().and_then(|name| clip(name, &speech::AGENT)) {
        let text = answer.text.clone().unwrap_or_else(|| clip.words.to_owned());
        parts.push(Part::Speech { text, voice: Voice::Clip(clip) });
    } else if answer.text.is_some() || answer.ms.is_some() {
        let text = answer.text.clone().unwrap_or_default();
        let ms = answer.ms.unwrap_or_else(|| speaking_ms(&text));
        let ms = u32::try_from(ms).unwrap_or(u32::MAX);
        let voice = match ms {
            0 => Voice::Mute,
            ms => Voice::Tone { hertz: answer.tone_hz.unwrap_or(440.0), ms },
        };
        parts.push(Part::Speech { text, voice });
    }
    for call in &answer.calls {
        let arguments = match &call.arguments {
            Value::Null => "{}".to_owned(),
            Value::String(text) => text.clone(),
            json => json.to_string(),
        };
        parts.push(Part::Tool { name: call.name.clone(), arguments });
    }
    let outcome = match answer.ends {
        Ending::Completed => Outcome::Complete,
        Ending::Incomplete => Outcome::OutOfTokens,
        Ending::Failed => {
            Outcome::Fail(answer.code.clone().unwrap_or_else(|| "server_error".to_owned()))
        }
        Ending::Lost => Outcome::BreakConnection,
    };
    Response { parts, delay_ms: answer.delay_ms.unwrap_or(250), outcome, after_tools: None }
}

fn clip(name: &str, clips: &[speech::Clip]) -> Option<speech::Clip> {
    clips.iter().find(|clip| clip.name == name).copied()
}

fn clip_words(speech: &Speech) -> Option<String> {
    let clip = clip(speech.clip.as_deref()?, &speech::CALLER)?;
    Some(clip.words.to_owned())
}

/// A sound as mu-law at 8 kHz.
fn sound(speech: &Speech, scenario: &Scenario) -> Vec<u8> {
    let mut ulaw = if let Some(path) = &speech.wav {
        scenario.sounds.get(path).cloned().unwrap_or_default()
    } else if let Some(clip) = speech.clip.as_ref().and_then(|name| clip(name, &speech::CALLER)) {
        clip.ulaw_8k.to_vec()
    } else {
        let text = speech.text.as_deref().unwrap_or_default();
        let ms = u32::try_from(speech.ms.unwrap_or_else(|| speaking_ms(text))).unwrap_or(u32::MAX);
        match speech.tone_hz {
            Some(hertz) => tone(hertz, 8_000, ms).into_iter().map(ulaw_encode).collect(),
            None => voice(ms),
        }
    };
    let is_made = speech.wav.is_none() && speech.clip.is_none();
    if let Some(wanted) = speech.level_db.or(is_made.then_some(VOICE_DB)) {
        set_level(&mut ulaw, wanted);
    }
    ulaw
}

/// A sound with the shape of speech: a low voice with overtones, in syllables of a fifth of a second.
fn voice(ms: u32) -> Vec<u8> {
    const RATE: f64 = 8_000.0;
    let sample = |n: u32| {
        let at = f64::from(n) / RATE;
        let syllable = 0.55 - 0.45 * (std::f64::consts::TAU * at * 5.0).cos();
        let pitch = std::f64::consts::TAU * 130.0 * at;
        let overtones: f64 = (1..=8).map(|k| (pitch * f64::from(k)).sin() / f64::from(k)).sum();
        (overtones * syllable * 6_000.0) as i16
    };
    (0..ms * 8).map(sample).map(ulaw_encode).collect()
}

fn set_level(ulaw: &mut [u8], wanted_db: f64) {
    let level = cordboard_sim::audio::level_db(ulaw.iter().map(|code| ulaw_decode(*code)));
    if level <= -119.0 {
        return;
    }
    let gain = 10_f64.powf((wanted_db - level) / 20.0);
    for code in ulaw {
        let sample = f64::from(ulaw_decode(*code)) * gain;
        *code = ulaw_encode(sample.clamp(-32_767.0, 32_767.0) as i16);
    }
}
