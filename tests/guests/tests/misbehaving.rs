//! What must happen to each guest, and that its neighbours notice nothing.
//!
//! One test per guest and by its name; a guest without a test fails the build.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use cordboard_call::contract::{Action, Event};
use cordboard_misbehaving_guests::{
    Stand, call_info, component, engine, for_each_guest, one_event_of_each_kind, patient,
};
use cordboard_tenant::{
    BadAnswer, Blame, CompileLimits, Component, Engine, EngineConfig, Fault, Limits, LogLevel,
    TrapKind, VetError,
};
use rustix::time::{ClockId, clock_gettime};
use tokio::task::JoinHandle;

macro_rules! a_test_of_its_own {
    ($guest:ident) => {
        // Does not compile without a function of the guest's name in this file.
        const _: fn() = $guest;
    };
}
for_each_guest!(a_test_of_its_own);

/// The calls beside a guest that misbehaves.
const NEIGHBOURS: usize = 20;

#[test]
fn echoes() {
    one_worker(async {
        let mut guest = Stand::start("echoes").await.unwrap();

        for _ in 0..50 {
            assert!(guest.echoes().await);
        }
        let state = guest.instance.save(1_000).await.unwrap().expect("it has hand-over");
        let mut successor = Stand::start("echoes").await.unwrap();
        successor.instance.load(1_000, call_info("{}"), &state).await.unwrap().unwrap();

        let counted = successor.handle(Event::Command("{}".into())).await.unwrap();
        assert_eq!(published(&counted), [("frames", "50")]);
    });
}

#[test]
fn loops() {
    for (kind, event) in one_event_of_each_kind() {
        beside_neighbours(async move {
            let mut guest = Stand::start("loops").await.unwrap();

            let fault = guest.handle(event).await.unwrap_err();

            assert!(over_budget(&fault, Limits::default().event_cpu), "{kind}: {fault}");
            assert_eq!(guest.handle(Event::Timer(1)).await, Err(Fault::Gone), "{kind}");
        });
    }
}

#[test]
fn loops_in_start() {
    beside_neighbours(async {
        let fault = Stand::start("loops_in_start").await.unwrap_err();

        assert!(over_budget(&fault, Limits::default().start_cpu), "{fault}");
    });
}

#[test]
fn loops_in_load() {
    beside_neighbours(async {
        let mut guest = Stand::start("loops_in_load").await.unwrap();

        let fault = guest.instance.load(1, call_info("{}"), b"state").await.unwrap_err();

        assert!(over_budget(&fault, Limits::default().handover_cpu), "{fault}");
    });
}

/// Twice the budget is too much, a quarter of it is not: the same work, measured on the thread's own clock.
/// That clock runs up to twice as fast while the neighbouring hardware thread is busy, hence the least and
/// the most of several measurements.
#[test]
fn is_slow() {
    let work = || Event::Command("150000000".into());
    let with_budget = |event_cpu| Limits { event_cpu, ..Limits::default() };
    let costs = one_worker(async move {
        let unlimited = with_budget(Duration::from_secs(100));
        let mut guest = Stand::start_with("is_slow", unlimited, 1).await.unwrap();
        let mut costs = Vec::new();
        for _ in 0..5 {
            let before = thread_cpu();
            guest.handle(work()).await.unwrap();
            costs.push(thread_cpu() - before);
        }
        costs
    });
    let least = *costs.iter().min().expect("there are five");
    let most = *costs.iter().max().expect("there are five");

    beside_neighbours(async move {
        let mut guest = Stand::start_with("is_slow", with_budget(least / 10), 1).await.unwrap();
        let fault = guest.handle(work()).await.unwrap_err();
        assert!(over_budget(&fault, least / 10), "{fault}");
    });
    beside_neighbours(async move {
        let mut guest = Stand::start_with("is_slow", with_budget(most * 4), 1).await.unwrap();
        assert_eq!(guest.handle(work()).await.unwrap().len(), 1);
    });
}

#[test]
fn grows_memory() {
    beside_neighbours(async {
        let mut guest = Stand::start("grows_memory").await.unwrap();

        let fault = loop {
            if let Err(fault) = guest.handle(Event::Timer(1)).await {
                break fault;
            }
        };

        let allowed = Limits::default().memory_bytes;
        assert!(
            matches!(fault, Fault::Memory { asked, allowed: a } if a == allowed && asked > allowed),
            "{fault:?}"
        );
    });
}

#[test]
fn lives_without_memory() {
    beside_neighbours(async {
        let mut guest = Stand::start("lives_without_memory").await.unwrap();

        let answer = guest.handle(Event::Command("{}".into())).await.unwrap();
        assert_eq!(published(&answer), [("refused", "true")], "a refusal is no trap by itself");

        let fault = guest.handle(Event::Timer(1)).await.unwrap_err();
        assert!(trapped(&fault, TrapKind::Unreachable), "a later trap has its own reason: {fault}");
    });
}

#[test]
fn overflows_stack() {
    beside_neighbours(async {
        let mut guest = Stand::start("overflows_stack").await.unwrap();

        let fault = guest.handle(Event::Timer(1)).await.unwrap_err();

        assert!(
            trapped(&fault, TrapKind::StackOverflow) || trapped(&fault, TrapKind::OutOfBounds),
            "its frames meet the end of one of its two stacks first: {fault:?}"
        );
    });
}

#[test]
fn traps() {
    beside_neighbours(async {
        let mut guest = Stand::start("traps").await.unwrap();

        let fault = guest.handle(Event::Timer(1)).await.unwrap_err();

        assert!(trapped(&fault, TrapKind::Unreachable), "{fault:?}");
        assert_eq!(fault.blame(), Blame::Tenant);
        assert_eq!(guest.handle(Event::Timer(1)).await, Err(Fault::Gone));
        assert_eq!(Fault::Gone.blame(), Blame::Host);
    });
}

/// What becomes of calls that it answers is in `tests/e2e/tests/trap_storm.rs`.
#[test]
fn traps_every_second() {
    beside_neighbours(async {
        let mut guest = Stand::start("traps_every_second").await.unwrap();

        for _ in 1..50 {
            assert!(guest.echoes().await);
        }
        let state = guest.instance.save(990).await.unwrap().expect("it has hand-over");
        let fault = guest.handle(Event::CallerAudio(vec![0xff; 160])).await.unwrap_err();

        assert!(trapped(&fault, TrapKind::Unreachable), "at 1,000 ms: {fault:?}");
        let mut successor = Stand::start("echoes").await.unwrap();
        successor.instance.load(990, call_info("{}"), &state).await.unwrap().unwrap();
        let counted = successor.handle(Event::Command("{}".into())).await.unwrap();
        assert_eq!(published(&counted), [("frames", "49")], "another can carry on from its state");
    });
}

#[test]
fn panics() {
    beside_neighbours(async {
        let mut guest = Stand::start("panics").await.unwrap();

        let fault = guest.handle(Event::Timer(1)).await.unwrap_err();

        assert!(trapped(&fault, TrapKind::Unreachable), "{fault:?}");
        let words = fault.to_string();
        assert!(words.contains("the sky is \\u{1b}[31mfalling"), "{words}");
        assert!(words.contains("panics.rs"), "where it panicked: {words}");
    });
}

#[test]
fn reads_out_of_bounds() {
    beside_neighbours(async {
        let mut guest = Stand::start("reads_out_of_bounds").await.unwrap();

        let fault = guest.handle(Event::Timer(1)).await.unwrap_err();

        assert!(trapped(&fault, TrapKind::OutOfBounds), "{fault:?}");
    });
}

#[test]
fn answers_too_often() {
    beside_neighbours(async {
        let allowed = Limits::default().actions_max;
        let mut guest = Stand::start("answers_too_often").await.unwrap();
        let answer = guest.handle(Event::Timer(allowed as u64)).await.unwrap();
        assert_eq!(answer.len(), allowed);

        let fault = guest.handle(Event::Timer(allowed as u64 + 1)).await.unwrap_err();

        let count = allowed + 1;
        assert_eq!(fault, BadAnswer::TooManyActions { count, allowed }.into());

        let mut guest = Stand::start("answers_too_often").await.unwrap();
        let fault = guest.handle(Event::Timer(10_000)).await.unwrap_err();
        assert!(matches!(fault, Fault::BadAnswer(_)), "{fault:?}");
    });
}

/// One answer is within its bounds, so the instance lives; how many of them a call carries out is the call
/// machine's to bound (`publications_per_second_max` and its like).
#[test]
fn floods_actions() {
    beside_neighbours(async {
        let mut guest = Stand::start("floods_actions").await.unwrap();

        for _ in 0..100 {
            let answer = guest.handle(Event::Timer(1)).await.unwrap();
            assert_eq!(answer.len(), Limits::default().actions_max);
        }
    });
}

#[test]
fn plays_too_much() {
    beside_neighbours(async {
        let allowed = Limits::default().answer_bytes_max;
        let mut guest = Stand::start("plays_too_much").await.unwrap();
        assert_eq!(guest.handle(Event::Timer(allowed as u64 - 1_024)).await.unwrap().len(), 1);

        let fault = guest.handle(Event::Timer(1 << 20)).await.unwrap_err();

        assert_eq!(fault, BadAnswer::TooLarge { allowed }.into());
    });
}

#[test]
fn floods_log() {
    beside_neighbours(async {
        let mut guest = Stand::start("floods_log").await.unwrap();

        for _ in 0..100 {
            guest.handle(Event::Timer(1)).await.expect("a talkative guest goes on");
        }

        let lines = guest.lines.all();
        let bytes: usize = lines.iter().map(|(_, line)| line.len()).sum();
        let seconds = 3;
        assert!(bytes < (seconds + 1) * Limits::default().log_bytes_per_second, "{bytes}");
        assert!(lines.iter().all(|(_, line)| !line.contains('\x1b')));
        let said = |level, line: &str| lines.contains(&(level, line.to_owned()));
        assert!(said(LogLevel::Error, "\\u{1b}[2Jlog 0"));
        assert!(said(LogLevel::Debug, "\\u{1b}[2Jout 0"));
        assert!(said(LogLevel::Warn, "\\u{1b}[2Jerr 0"));
        assert!(lines.iter().any(|(_, line)| line.ends_with("lines of log left out: too many")));
    });
}

#[test]
fn logs_a_novel() {
    beside_neighbours(async {
        let mut guest = Stand::start("logs_a_novel").await.unwrap();

        let fault = guest.handle(Event::Timer(1)).await.unwrap_err();

        let allowed = Limits::default().answer_bytes_max;
        assert_eq!(fault, BadAnswer::TooLarge { allowed }.into());
    });
}

#[test]
fn exits() {
    beside_neighbours(async {
        let mut guest = Stand::start("exits").await.unwrap();

        let fault = guest.handle(Event::Timer(1)).await.unwrap_err();

        assert!(matches!(fault, Fault::Exit { .. }), "{fault:?}");
    });
}

#[test]
fn sleeps() {
    beside_neighbours(async {
        let mut guest = Stand::start("sleeps").await.unwrap();

        let fault = guest.handle(Event::CallerKey("1".into())).await.unwrap_err();

        assert_eq!(fault, Fault::Waited);
        assert_eq!(guest.handle(Event::Timer(1)).await, Err(Fault::Gone));
    });
}

#[test]
fn looks_around() {
    let found = |seed| {
        beside_neighbours(async move {
            let mut guest = Stand::start_with("looks_around", patient(), seed).await.unwrap();
            let answer = guest.handle(Event::Command("{}".into())).await.unwrap();
            published(&answer)
                .into_iter()
                .map(|(topic, json)| (topic.to_owned(), json.to_owned()))
                .collect::<Vec<_>>()
        })
    };
    let first = found(1);
    let (random, rest) = first.split_last().expect("it tells of a dozen attempts");
    let rest: Vec<_> = rest.iter().map(|(topic, got)| (topic.as_str(), got.as_str())).collect();

    assert_eq!(
        rest,
        [
            ("wall_ms", "1700000000020"),
            ("clock_stands_still", "true"),
            ("environment", "0"),
            ("arguments", "0"),
            ("root", "false"),
            ("file", "false"),
            ("write", "false"),
            ("stdin", "0"),
            ("tcp", "false"),
            ("listen", "false"),
            ("udp", "false"),
            ("names", "false"),
            ("thread", "false"),
        ]
    );
    assert_eq!(found(1).last(), Some(random), "the same seed gives the same randomness");
    assert_ne!(found(2).last(), Some(random), "and another seed another");
}

#[test]
fn hoards_handles() {
    beside_neighbours(async {
        let mut guest = Stand::start("hoards_handles").await.unwrap();

        let fault = guest.handle(Event::Timer(1)).await.unwrap_err();

        assert!(matches!(fault, Fault::TooManyHandles { .. }), "{fault:?}");
        assert_eq!(fault.blame(), Blame::Tenant);
    });
}

#[test]
fn traps_in_load() {
    beside_neighbours(async {
        let mut old = Stand::start("traps_in_load").await.unwrap();
        let state = old.instance.save(1).await.unwrap().expect("it has hand-over");
        let mut new = Stand::start("traps_in_load").await.unwrap();

        let fault = new.instance.load(1, call_info("{}"), &state).await.unwrap_err();

        assert!(trapped(&fault, TrapKind::Unreachable), "{fault:?}");
        assert_eq!(old.handle(Event::Timer(1)).await, Ok(Vec::new()), "the old one is in charge");
    });
}

#[test]
fn saves_rubbish() {
    beside_neighbours(async {
        let mut old = Stand::start("saves_rubbish").await.unwrap();
        let state = old.instance.save(1).await.unwrap().expect("it has hand-over");
        let mut new = Stand::start("saves_rubbish").await.unwrap();

        let refusal = new.instance.load(1, call_info("{}"), &state).await.unwrap().unwrap_err();

        assert!(refusal.contains("utf-8"), "in the tenant's own words: {refusal}");
        assert_eq!(old.handle(Event::Timer(1)).await, Ok(Vec::new()), "the old one is in charge");
    });
}

#[test]
fn forgets() {
    one_worker(async {
        let mut old = Stand::start("forgets").await.unwrap();
        old.handle(Event::CallerAudio(vec![0xff; 160])).await.unwrap();
        let key = || Event::CallerKey("1".into());
        assert_eq!(published(&old.handle(key()).await.unwrap()), [("frames", "1")]);
        let state = old.instance.save(1).await.unwrap().expect("it has hand-over");

        let mut new = Stand::start("forgets").await.unwrap();
        new.instance.load(1, call_info("{}"), &state).await.unwrap().unwrap();

        // No limit is broken; only a comparison of the two shows it (`cordboard test` makes one).
        assert_eq!(published(&new.handle(key()).await.unwrap()), [("frames", "0")]);
    });
}

#[test]
fn saves_more_and_more() {
    beside_neighbours(async {
        let mut guest = Stand::start("saves_more_and_more").await.unwrap();

        let mut last = 0;
        let fault = loop {
            match guest.instance.save(1).await {
                Ok(state) => last = state.expect("it has hand-over").len(),
                Err(fault) => break fault,
            }
        };

        let allowed = Limits::default().answer_bytes_max;
        assert_eq!(fault, BadAnswer::TooLarge { allowed }.into());
        assert_eq!(last, allowed);
    });
}

#[test]
fn has_another_world() {
    let error = refused("has_another_world");

    assert!(matches!(error, VetError::WrongWorld { .. }), "{error}");
    assert!(error.to_string().contains("acme:weather/forecast@1.0.0"), "{error}");
}

#[test]
fn exports_nothing() {
    assert_eq!(refused("exports_nothing"), VetError::MissingExport);
}

#[test]
fn imports_too_much() {
    let error = refused("imports_too_much");

    assert!(matches!(error, VetError::UnknownImport { .. }), "{error}");
    assert!(error.to_string().contains("acme:shop/db@1.0.0"), "{error}");
}

#[test]
fn speaks_another_version() {
    let error = refused("speaks_another_version");

    assert!(matches!(error, VetError::WrongVersion { .. }), "{error}");
    assert!(error.to_string().contains("cordboard:tenant/handler@0.2.0"), "{error}");
}

#[test]
fn a_newer_patch_of_the_contract_is_spoken() {
    one_worker(async {
        let mut newer = cordboard_misbehaving_guests::bytes("echoes");
        let name = b"cordboard:tenant/";
        let places: Vec<usize> =
            (0..newer.len()).filter(|&at| newer[at..].starts_with(name)).collect();
        for at in places {
            let version =
                newer[at..].windows(6).position(|it| it == b"@0.1.0").expect("it has one");
            newer[at + version..][..6].copy_from_slice(b"@0.1.1");
        }
        let limits = CompileLimits::default();
        let component = Component::vet_and_compile(engine(), &newer, &limits).unwrap();
        assert!(component.has_handover());
    });
}

#[test]
fn has_wrong_types() {
    let error = refused("has_wrong_types");

    assert!(matches!(error, VetError::WrongTypes(_)), "{error}");
    assert!(error.to_string().contains("handle"), "which function: {error}");
}

/// Not a guest, but the bytes somebody may deploy in place of one.
#[test]
fn a_damaged_component_is_refused() {
    let whole = cordboard_misbehaving_guests::bytes("echoes");
    for cut in [8, 100, whole.len() / 2, whole.len() - 1] {
        let vetted = Component::vet_and_compile(engine(), &whole[..cut], &CompileLimits::default());
        assert!(vetted.is_err(), "the first {cut} bytes alone");
    }
}

#[test]
fn a_compilation_ends_at_its_deadline() {
    let limits = CompileLimits { compile_deadline: Duration::ZERO, ..CompileLimits::default() };
    let bytes = cordboard_misbehaving_guests::bytes("echoes");

    let error = Component::vet_and_compile(engine(), &bytes, &limits).unwrap_err();

    assert_eq!(error, VetError::CompileTimeout(Duration::ZERO));
}

/// The host may stop waiting at any tick; what is left half-run is never entered again.
#[test]
fn an_abandoned_event_ends_the_instance() {
    beside_neighbours(async {
        let mut guest = Stand::start("loops").await.unwrap();

        tokio::select! {
            biased;
            answer = guest.handle(Event::Timer(1)) => panic!("it loops: {answer:?}"),
            () = tokio::task::yield_now() => {}
        }

        assert_eq!(guest.handle(Event::Timer(1)).await, Err(Fault::Gone));
    });
}

#[test]
fn a_full_house_is_not_the_tenants_fault_and_empties_again() {
    one_worker(async {
        let small = Engine::new(&EngineConfig { instances_max: 1 }).unwrap();
        let bytes = cordboard_misbehaving_guests::bytes("echoes");
        let echoes = Component::vet_and_compile(&small, &bytes, &CompileLimits::default()).unwrap();
        let start = async || Stand::start_component(&echoes, Limits::default(), 1).await;
        let first = start().await.unwrap();

        let fault = start().await.unwrap_err();
        assert_eq!(fault, Fault::NoRoom);
        assert_eq!(fault.blame(), Blame::Host);

        drop(first);
        // The place is given back on another thread, soon.
        while let Err(fault) = start().await {
            assert_eq!(fault, Fault::NoRoom);
            tokio::task::yield_now().await;
        }
    });
}

/// A neighbour's frame is ready all the time, on a runtime with one worker that an endless loop wants for itself.
/// From one answer to the next, the worker's thread computes for a tick of the loop, which is one millisecond (two
/// when the loop has just begun), and for the frame itself: 3 ms at the very most.
///
/// On the clock of the thread's own CPU time, because a worker that does not run delays everybody alike. Where the
/// ticker does not run, for its turn on a core, the loop goes on without a fault of ours; so a delay in which
/// it was late by its own account is not counted.
#[test]
fn an_endless_loop_delays_a_neighbours_frame_by_three_milliseconds() {
    const TURNS: usize = 100;
    let delays = one_worker(async {
        let mut neighbour = Stand::start("echoes").await.unwrap();
        let (mut delays, mut late) = (Vec::new(), 0);
        while delays.len() < TURNS {
            let looping = tokio::spawn(async {
                let mut guest = Stand::start("loops").await.unwrap();
                guest.handle(Event::Timer(1)).await.unwrap_err()
            });
            while !looping.is_finished() {
                let (ready, began, beats) = (thread_cpu(), Instant::now(), ticks());
                tokio::task::yield_now().await;
                assert!(neighbour.echoes().await);
                let delay = thread_cpu() - ready;
                if delay < Duration::from_micros(500) {
                    continue;
                }
                let missed = began.elapsed().as_millis() as u64 > ticks() - beats + 1;
                if missed { late += 1 } else { delays.push(delay) }
            }
        }
        println!("{late} delays with a late ticker");
        delays
    });

    // A clock of CPU time counts what a hypervisor takes from the core, too: a few delays may be its.
    let mut sorted = delays.clone();
    sorted.sort();
    let most = sorted[TURNS * 9 / 10];
    assert!(most <= Duration::from_millis(3), "nine in ten: {most:?} of {delays:?}");
}

fn ticks() -> u64 {
    engine().heartbeat().ticks
}

/// Why a guest is not even started, vetted where a host vets: where blocking is allowed.
fn refused(name: &'static str) -> VetError {
    beside_neighbours(async move {
        let vetted = tokio::task::spawn_blocking(move || component(name)).await;
        vetted.expect("vetting does not panic").expect_err("it is refused")
    })
}

/// Runs the misdeed on a runtime with one worker, beside calls that answer frames all the time: no frame may be
/// lost, and afterwards they still answer.
fn beside_neighbours<T: Send + 'static>(misdeed: impl Future<Output = T> + Send + 'static) -> T {
    one_worker(async move {
        let echoes = component("echoes").expect("a sound guest");
        let over = Arc::new(AtomicBool::new(false));
        let mut neighbours = Vec::new();
        for _ in 0..NEIGHBOURS {
            let call = Stand::start_component(&echoes, patient(), 1).await.expect("there is room");
            neighbours.push(answer_frames(call, Arc::clone(&over)));
        }
        let result = tokio::spawn(misdeed).await.expect("the misdeed ends as its test says");
        over.store(true, Ordering::Release);
        for neighbour in neighbours {
            neighbour.await.expect("no frame of a neighbour is lost");
        }
        result
    })
}

fn answer_frames(mut call: Stand, over: Arc<AtomicBool>) -> JoinHandle<()> {
    tokio::spawn(async move {
        loop {
            let last = over.load(Ordering::Acquire);
            assert!(call.echoes().await);
            if last {
                return;
            }
            tokio::task::yield_now().await;
        }
    })
}

fn one_worker<T: Send + 'static>(test: impl Future<Output = T> + Send + 'static) -> T {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(1)
        .enable_all()
        .build()
        .expect("a runtime");
    runtime.block_on(async { tokio::spawn(test).await.expect("the test itself does not panic") })
}

fn over_budget(fault: &Fault, allowed: Duration) -> bool {
    matches!(fault, Fault::OverBudget { spent, budget } if *budget == allowed && *spent > allowed)
}

fn trapped(fault: &Fault, as_kind: TrapKind) -> bool {
    matches!(fault, Fault::Trap { kind, .. } if *kind == as_kind)
}

fn published(actions: &[Action]) -> Vec<(&str, &str)> {
    actions
        .iter()
        .map(|action| match action {
            Action::Publish(it) => (it.topic.as_str(), it.json.as_str()),
            other => panic!("this guest publishes only, and does not {other:?}"),
        })
        .collect()
}

fn thread_cpu() -> Duration {
    let now = clock_gettime(ClockId::ThreadCPUTime);
    Duration::new(now.tv_sec as u64, now.tv_nsec as u32)
}
