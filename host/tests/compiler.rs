//! Compiling by a process that can be spared: what a bomb costs, and whom.

use std::fs;
use std::process::Command;
use std::thread;
use std::time::{Duration, Instant};

use cordboard_misbehaving_guests::bombs::{empty_functions, nested_loops};
use cordboard_misbehaving_guests::bytes;
use cordboard_tenant::{
    CompileLimits, Compiler, CompilerProcess, Component, Engine, EngineConfig, VetError,
};

#[test]
fn a_process_compiles_what_this_process_would() {
    let engine = engine(usual());
    assert_eq!(engine.advice(), Vec::<String>::new(), "this system can confine a compiler");

    let component = compile(&engine, &bytes("echoes")).expect("a sound component");

    assert!(!component.was_cached());
}

#[test]
fn a_component_whose_functions_take_too_much_memory_is_refused_and_leaves_no_trace() {
    let engine = engine(CompilerProcess { memory_bytes: 128 << 20, ..usual() });
    let bomb = empty_functions(300_000);
    let before = resident_bytes();

    let refusal = compile(&engine, &bomb).expect_err("it takes more than a gigabyte");

    assert_eq!(refusal, VetError::CompileMemory { allowed_mib: 128 });
    assert!(refusal.to_string().contains("memory_mib"), "{refusal}");
    let grown = resident_bytes().saturating_sub(before);
    assert!(grown < 16 << 20, "{grown} bytes stay in the gateway");
    compile(&engine, &bytes("echoes")).expect("the next one is compiled as ever");
}

#[test]
fn a_component_that_takes_too_much_processor_time_is_refused_with_the_bound_by_name() {
    let engine = engine(CompilerProcess { cpu: Duration::from_secs(1), ..usual() });
    let bomb = nested_loops(900, 4_000);

    let refusal = compile(&engine, &bomb).expect_err("it takes minutes");

    assert_eq!(refusal, VetError::CompileCpu(Duration::from_secs(1)));
    assert!(refusal.to_string().contains("cpu_s"), "{refusal}");
}

#[test]
fn a_compilation_that_takes_too_long_is_killed() {
    // A bound of its own, by which to find the process among those of the other tests.
    let memory_bytes = (1 << 30) + 4_096;
    let engine = engine(CompilerProcess { memory_bytes, ..usual() });
    let bomb = nested_loops(900, 4_000);
    let deadline = Duration::from_millis(200);
    let limits = CompileLimits { compile_deadline: deadline, ..CompileLimits::default() };

    let refusal = Component::vet_and_compile(&engine, &bomb, &limits).expect_err("it is late");

    assert_eq!(refusal, VetError::CompileTimeout(deadline));
    let left = children_of_ours(&format!("compile-worker {memory_bytes}"));
    assert_eq!(left, Vec::<String>::new());
}

#[test]
fn a_compiler_that_somebody_kills_is_an_error_and_nothing_else() {
    // A word of its own, by which to find the process among those of the other tests.
    let mut process = usual();
    process.arguments.push("--".into());
    let engine = engine(process);
    let bomb = nested_loops(900, 4_000);

    let refusal = thread::scope(|scope| {
        let compiling = scope.spawn(|| compile(&engine, &bomb));
        let began = Instant::now();
        while !compiling.is_finished() && began.elapsed() < Duration::from_secs(60) {
            for pid in children_of_ours("compile-worker --") {
                Command::new("kill").args(["-9", &pid]).status().expect("kill is everywhere");
            }
            thread::yield_now();
        }
        compiling.join().expect("nobody panics")
    });

    let refusal = refusal.expect_err("it was killed");
    assert!(matches!(refusal, VetError::CompilerFailed(_)), "{refusal}");
    assert!(refusal.to_string().contains("signal 9"), "{refusal}");
    compile(&engine, &bytes("echoes")).expect("the next one is compiled as ever");
}

#[test]
fn a_program_that_is_no_compiler_is_said_at_the_start_and_refuses_in_words() {
    let engine = engine(CompilerProcess { program: "/bin/false".into(), ..usual() });

    assert!(engine.advice()[0].contains("no component can be compiled"), "{:?}", engine.advice());
    let refusal = compile(&engine, &bytes("echoes")).expect_err("nobody compiles it");
    assert!(matches!(refusal, VetError::CompilerFailed(_)), "{refusal}");
}

fn usual() -> CompilerProcess {
    CompilerProcess {
        program: env!("CARGO_BIN_EXE_cordboard").into(),
        ..CompilerProcess::this_program(["compile-worker"])
    }
}

fn engine(process: CompilerProcess) -> Engine {
    let config = EngineConfig { instances_max: 1 };
    Engine::with_compiler(&config, Compiler::Child(process)).expect("this machine runs guests")
}

fn compile(engine: &Engine, bytes: &[u8]) -> Result<Component, VetError> {
    Component::vet_and_compile(engine, bytes, &CompileLimits::default())
}

fn resident_bytes() -> usize {
    let statm = fs::read_to_string("/proc/self/statm").expect("Linux says it");
    let pages = statm.split(' ').nth(1).expect("the second is the resident set");
    pages.parse::<usize>().expect("a number") * 4096
}

/// Processes that this one started with these words on their command line.
fn children_of_ours(words: &str) -> Vec<String> {
    let parent = std::process::id().to_string();
    let listed = Command::new("pgrep").args(["-P", &parent, "-f", "--", words]).output();
    let listed = listed.expect("pgrep is part of the system");
    String::from_utf8_lossy(&listed.stdout).lines().map(str::to_owned).collect()
}
