//! Everything that should never be sent and is, at several points of a conversation.
//!
//! Each trial has an instance of its own, which first hears the conversation up to a point, then what is tried, then a
//! little more of the conversation. What it answers is its own business; that it answers, within its
//! budgets, is what is judged.

use cordboard_call::contract::{CallInfo, Event, Millis};

use super::events::{self, Trial};
use super::{Sound, failed};
use crate::driver::{Asked, Driver, Failure, Mode};
use crate::report::{Case, Outcome, Report, Suite};
use crate::runtime::Runtime;

/// Events of the conversation that a trial is followed by.
const AFTERWARDS: usize = 10;

/// The most points at which the model is lost: the first ones that are no audio.
const LOSSES_MAX: usize = 40;

/// Fuel after which trials are made at the first of the points only: some ten seconds of work. A tenant in an
/// interpreted language, whose every frame is dear, would otherwise be abused for minutes.
const FUEL_MAX: u64 = 30_000_000_000;

/// Abuses the component.
pub(super) async fn run(runtime: &Runtime, sound: &Sound<'_>, report: &mut Report) {
    let Some((_, played)) = sound.first() else {
        let outcome = Outcome::Skipped("no conversation goes well enough to be abused".to_owned());
        return report.cases.push(Case {
            suite: Suite::Abuse,
            name: "all of it".to_owned(),
            outcome,
        });
    };
    let info = info_of(&played.asked);
    let mut abuse = Abuse { runtime, told: &played.asked, info, fuel: 0, was_cut: false };
    for trial in events::trials() {
        let outcome = abuse.try_at_each_point(&trial).await;
        report.cases.push(Case { suite: Suite::Abuse, name: trial.name.to_owned(), outcome });
    }
    let settings = abuse.settings().await;
    for (name, outcome) in settings.into_iter().chain(abuse.states().await) {
        report.cases.push(Case { suite: Suite::Abuse, name: name.to_owned(), outcome });
    }
    let outcome = abuse.every_order().await;
    let name = "events in any order".to_owned();
    report.cases.push(Case { suite: Suite::Abuse, name, outcome });
    let outcome = abuse.losses().await;
    let name = "the model lost at each point of the conversation".to_owned();
    report.cases.push(Case { suite: Suite::Abuse, name, outcome });
    if abuse.was_cut {
        report.observations.push(format!(
            "abuse at later points of the conversation was left out: it had taken {} million units of fuel",
            abuse.fuel / 1_000_000
        ));
    }
}

struct Abuse<'a> {
    runtime: &'a Runtime,
    told: &'a [Asked],
    info: CallInfo,
    /// What all trials took so far.
    fuel: u64,
    was_cut: bool,
}

impl<'a> Abuse<'a> {
    /// When the model is ready, before anything else, in the middle, and near the end.
    fn points(&self) -> [usize; 4] {
        let ready = self.told.iter().position(|it| matches!(it.event, Event::ModelReady(_)));
        let whole = self.told.len();
        [ready.map_or(1, |at| at + 1).min(whole), 0, whole / 2, whole.saturating_sub(1)]
    }

    fn has_fuel(&mut self) -> bool {
        let has_fuel = self.fuel < FUEL_MAX;
        self.was_cut |= !has_fuel;
        has_fuel
    }

    async fn try_at_each_point(&mut self, trial: &Trial) -> Outcome {
        for (nth, point) in self.points().into_iter().enumerate() {
            if nth > 0 && !self.has_fuel() {
                break;
            }
            let goes_on = &self.told[point..(point + AFTERWARDS).min(self.told.len())];
            let outcome = self.hand(point, &trial.events, goes_on).await;
            if let Err(failure) = outcome {
                let place =
                    format!("{} at {} ms: {}", self.after(point), failure.at_ms, trial.name);
                return failed(&failure, place);
            }
        }
        Outcome::Passed
    }

    fn after(&self, point: usize) -> String {
        match point.checked_sub(1).map(|last| &self.told[last]) {
            None => "instead of `started`".to_owned(),
            Some(last) => format!("after {point} events, the last `{}`", last.event.kind()),
        }
    }

    /// Leads an instance to a point, hands it some events, and goes on.
    async fn hand(
        &mut self,
        point: usize,
        events: &[Event],
        goes_on: &[Asked],
    ) -> Result<(), Failure> {
        let mut driver = self.open().await?;
        let handed = self.lead(&mut driver, point, events, goes_on).await;
        self.fuel += driver.fuel();
        handed
    }

    async fn lead(
        &self,
        driver: &mut Driver<'_>,
        point: usize,
        events: &[Event],
        goes_on: &[Asked],
    ) -> Result<(), Failure> {
        for it in &self.told[..point] {
            driver.handle(it.now, it.event.clone()).await?;
        }
        let now: Millis = point.checked_sub(1).map_or(0, |last| self.told[last].now);
        for event in events {
            driver.handle(now, event.clone()).await?;
        }
        for it in goes_on {
            driver.handle(it.now, it.event.clone()).await?;
        }
        Ok(())
    }

    async fn settings(&mut self) -> Vec<(&'static str, Outcome)> {
        let mut outcomes = Vec::new();
        for (name, settings) in events::settings() {
            let started = [Event::Started(events::info(&settings))];
            let goes_on = &self.told[1.min(self.told.len())..self.told.len().min(60)];
            let outcome = match self.hand(0, &started, goes_on).await {
                Ok(()) => Outcome::Passed,
                Err(failure) => failed(&failure, format!("with {name}")),
            };
            outcomes.push((name, outcome));
        }
        outcomes
    }

    /// A tenant refuses a state it does not know; it does not fail over it.
    async fn states(&self) -> Vec<(&'static str, Outcome)> {
        let mut outcomes = Vec::new();
        if !self.runtime.has_handover() {
            return outcomes;
        }
        for (name, state) in events::states() {
            let outcome = match self.load(&state).await {
                // Some states of some tenants are empty, or take anything.
                Ok(_) => Outcome::Passed,
                Err(failure) => failed(&failure, format!("when it is to load {name}")),
            };
            outcomes.push((name, outcome));
        }
        outcomes
    }

    async fn load(&self, state: &[u8]) -> Result<Result<(), String>, Failure> {
        self.open().await?.load(1, state).await
    }

    async fn every_order(&mut self) -> Outcome {
        let events = events::one_of_each(&self.info);
        for from in 0..events.len() {
            let (first, rest) = events.split_at(from);
            let turned: Vec<_> = rest.iter().chain(first).cloned().collect();
            if let Err(failure) = self.hand(0, &turned, &[]).await {
                let place =
                    format!("one event of each kind, beginning with `{}`", events[from].kind());
                return failed(&failure, place);
            }
        }
        Outcome::Passed
    }

    async fn losses(&mut self) -> Outcome {
        let is_point =
            |it: &Asked| !matches!(it.event, Event::CallerAudio(_) | Event::ModelAudio(_));
        let points = (0..self.told.len()).filter(|at| is_point(&self.told[*at]));
        let points: Vec<_> = points.map(|at| at + 1).take(LOSSES_MAX).collect();
        for point in points {
            if !self.has_fuel() {
                break;
            }
            let Some(Asked { event: Event::ModelReady(model), .. }) =
                self.told[..point].iter().find(|it| matches!(it.event, Event::ModelReady(_)))
            else {
                continue;
            };
            let lost = [Event::ModelLost("reset".to_owned()), Event::ModelRestored(model.clone())];
            let goes_on = &self.told[point..(point + AFTERWARDS).min(self.told.len())];
            if let Err(failure) = self.hand(point, &lost, goes_on).await {
                return failed(&failure, self.after(point));
            }
        }
        Outcome::Passed
    }

    async fn open(&self) -> Result<Driver<'a>, Failure> {
        Driver::open(self.runtime, self.info.clone(), Mode::default()).await
    }
}

/// What the conversation told the tenant of the call.
fn info_of(told: &[Asked]) -> CallInfo {
    match told.first() {
        Some(Asked { event: Event::Started(info), .. }) => info.clone(),
        _ => events::info("{}"),
    }
}
