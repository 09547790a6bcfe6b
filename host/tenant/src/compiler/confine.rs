//! What the compiler's process takes from itself.
//!
//! Each measure stands by itself, because systems differ in what they offer: what one of them can
//! not do is returned in words, for the operator, and the others hold all the same.

use rustix::process::{Resource, Rlimit, setrlimit};

use super::worker::Bounds;

/// How much the compiler gives way to the calls: with equal claims the kernel lets it have about a
/// tenth of a core.
const NICENESS: i32 = 10;

/// Bounds memory and processor time, and sees to it that the kernel takes this process before the
/// gateway.
pub(super) fn limit(bounds: &Bounds) -> Vec<String> {
    let mut missing = Vec::new();
    let mut limit = |resource, soft: u64, hard: u64, what: &str| {
        let limit = Rlimit { current: Some(soft), maximum: Some(hard) };
        if let Err(e) = setrlimit(resource, limit) {
            missing.push(format!("{what} is not bounded: {e}"));
        }
    };
    // Of the address space only what is written to counts: an allocator reserves far more than it
    // uses.
    let memory = bounds.memory_bytes;
    limit(Resource::Data, memory, memory, "the memory of a compilation");
    // At the first the kernel sends SIGXCPU, which says why; at the second SIGKILL.
    limit(Resource::Cpu, bounds.cpu_s, bounds.cpu_s + 1, "the processor time of a compilation");
    // A component that crashes the compiler must not leave its memory on the disk.
    limit(Resource::Core, 0, 0, "the size of a core dump");
    limit(Resource::Fsize, 0, 0, "what a compilation may write to files");
    if let Err(e) = rustix::process::nice(NICENESS) {
        missing.push(format!("the compiler competes with the calls for processors: {e}"));
    }
    missing.extend(os::limit());
    missing
}

/// Takes files, network and other processes away. Nothing can be opened afterwards; what is open
/// stays so.
pub(super) fn shut_in() -> Vec<String> {
    // In this order: the first opens a file itself, and the last forbids the other two.
    let mut missing = os::without_files();
    let none = Rlimit { current: Some(0), maximum: Some(0) };
    if let Err(e) = setrlimit(Resource::Nofile, none) {
        missing.push(format!("a compilation may open files: {e}"));
    }
    missing.extend(os::without_system_calls());
    missing
}

#[cfg(not(target_os = "linux"))]
mod os {
    pub(super) fn limit() -> Vec<String> {
        vec!["this system may not bound the memory of a compilation; Linux does".to_owned()]
    }

    pub(super) fn without_files() -> Vec<String> {
        Vec::new()
    }

    pub(super) fn without_system_calls() -> Vec<String> {
        vec!["this system does not keep the compiler from system calls; Linux does".to_owned()]
    }
}

#[cfg(target_os = "linux")]
mod os {
    use std::collections::BTreeMap;
    use std::fs;

    use landlock::{
        ABI, Access as _, AccessFs, AccessNet, Ruleset, RulesetAttr as _, RulesetStatus, Scope,
    };
    use rustix::process::{Signal, set_parent_process_death_signal};
    use seccompiler::{
        BackendError, BpfProgram, SeccompAction, SeccompCmpArgLen, SeccompCmpOp, SeccompCondition,
        SeccompFilter, SeccompRule,
    };

    /// The newest Landlock that is asked for; an older kernel gives what it has.
    const LANDLOCK: ABI = ABI::V6;

    pub(super) fn limit() -> Vec<String> {
        let mut missing = Vec::new();
        if let Err(e) = set_parent_process_death_signal(Some(Signal::KILL)) {
            missing.push(format!("a compilation may outlive the gateway: {e}"));
        }
        // Where memory runs out all the same, in a container for instance, it is not the gateway
        // that goes.
        if let Err(e) = fs::write("/proc/self/oom_score_adj", "1000") {
            missing.push(format!("the kernel may end the gateway for the compiler's memory: {e}"));
        }
        missing
    }

    pub(super) fn without_files() -> Vec<String> {
        let mut missing = Vec::new();
        if let Err(e) = rustix::thread::set_no_new_privs(true) {
            missing.push(format!("the compiler may gain privileges: {e}"));
        }
        match landlocked() {
            Ok(RulesetStatus::FullyEnforced | RulesetStatus::PartiallyEnforced) => {}
            Ok(RulesetStatus::NotEnforced) => missing.push(
                "this kernel has no Landlock to keep a compilation from files (Linux 5.13 has)"
                    .to_owned(),
            ),
            Err(e) => missing.push(format!("Landlock does not keep a compilation from files: {e}")),
        }
        missing
    }

    pub(super) fn without_system_calls() -> Vec<String> {
        let words = |e| format!("a compilation may use any system call: {e}");
        filtered().err().map(words).into_iter().collect()
    }

    /// Forbids every file, every TCP port and signals to others.
    fn landlocked() -> Result<RulesetStatus, landlock::RulesetError> {
        let rules = Ruleset::default()
            .handle_access(AccessFs::from_all(LANDLOCK))?
            .handle_access(AccessNet::from_all(LANDLOCK))?
            .scope(Scope::from_all(LANDLOCK))?
            .create()?;
        Ok(rules.restrict_self()?.ruleset)
    }

    /// Lets through the system calls that compiling takes; every other one fails with EPERM.
    ///
    /// An error and no kill, because a C library tries things that it can do without.
    fn filtered() -> Result<(), Box<dyn std::error::Error>> {
        let arch = std::env::consts::ARCH.try_into()?;
        let filter = |rules, otherwise, then| -> Result<BpfProgram, BackendError> {
            SeccompFilter::new(rules, otherwise, then, arch)?.try_into()
        };
        // `clone3` hides its flags behind a pointer, where no filter can look. Where it is not
        // there at all, the C library starts its threads with `clone`.
        let not_there = filter(
            BTreeMap::from([(libc::SYS_clone3, Vec::new())]),
            SeccompAction::Allow,
            SeccompAction::Errno(libc::ENOSYS.unsigned_abs()),
        )?;
        let needed = filter(
            allowed()?,
            SeccompAction::Errno(libc::EPERM.unsigned_abs()),
            SeccompAction::Allow,
        )?;
        // Of two filters the stricter one counts, and the second forbids to install another, so it
        // is the last.
        seccompiler::apply_filter(&not_there)?;
        seccompiler::apply_filter(&needed)?;
        Ok(())
    }

    fn allowed() -> Result<BTreeMap<i64, Vec<SeccompRule>>, BackendError> {
        let mut rules: BTreeMap<i64, Vec<SeccompRule>> =
            FREELY.iter().map(|number| (*number, Vec::new())).collect();
        let only = |argument, how, value: u64| {
            let width = SeccompCmpArgLen::Qword;
            SeccompCondition::new(argument, width, how, value)
                .and_then(|condition| SeccompRule::new(vec![condition]))
        };
        // Threads, but no processes.
        let thread = u64::from(libc::CLONE_THREAD.unsigned_abs());
        rules.insert(libc::SYS_clone, vec![only(0, SeccompCmpOp::MaskedEq(thread), thread)?]);
        // A thread's name.
        let name = u64::from(libc::PR_SET_NAME.unsigned_abs());
        rules.insert(libc::SYS_prctl, vec![only(0, SeccompCmpOp::Eq, name)?]);
        // Limits may be read, not set.
        rules.insert(libc::SYS_prlimit64, vec![only(2, SeccompCmpOp::Eq, 0)?]);
        Ok(rules)
    }

    /// Memory, threads, time, the three open pipes, and the way out.
    const FREELY: &[i64] = &[
        libc::SYS_read,
        libc::SYS_readv,
        libc::SYS_write,
        libc::SYS_writev,
        libc::SYS_close,
        libc::SYS_brk,
        libc::SYS_mmap,
        libc::SYS_mprotect,
        libc::SYS_mremap,
        libc::SYS_munmap,
        libc::SYS_madvise,
        libc::SYS_futex,
        // The first filter answers it: where both refuse, the later one's error counts.
        libc::SYS_clone3,
        libc::SYS_set_robust_list,
        libc::SYS_rseq,
        libc::SYS_sched_yield,
        libc::SYS_sched_getaffinity,
        libc::SYS_gettid,
        libc::SYS_getpid,
        libc::SYS_rt_sigaction,
        libc::SYS_rt_sigprocmask,
        libc::SYS_rt_sigreturn,
        libc::SYS_sigaltstack,
        libc::SYS_tgkill,
        libc::SYS_clock_gettime,
        libc::SYS_clock_nanosleep,
        libc::SYS_nanosleep,
        libc::SYS_restart_syscall,
        libc::SYS_getrandom,
        libc::SYS_exit,
        libc::SYS_exit_group,
    ];
}

#[cfg(all(test, target_os = "linux"))]
mod tests {
    use std::fs::File;
    use std::io::ErrorKind;
    use std::net::UdpSocket;
    use std::process::Command;
    use std::thread;

    use super::os;

    #[test]
    fn a_compiler_opens_no_file_no_socket_and_starts_no_program_but_has_threads() {
        // The filter holds for the thread that installs it and for those it starts.
        let tried = thread::spawn(|| {
            let missing = os::without_system_calls();
            let errors = [
                File::open("/dev/null").err().map(|e| e.kind()),
                UdpSocket::bind("127.0.0.1:0").err().map(|e| e.kind()),
                Command::new("/bin/true").spawn().err().map(|e| e.kind()),
            ];
            (missing, errors, thread::spawn(|| 7).join().ok())
        });
        let (missing, errors, from_thread) = tried.join().unwrap();

        assert_eq!(missing, Vec::<String>::new());
        assert_eq!(errors, [Some(ErrorKind::PermissionDenied); 3]);
        assert_eq!(from_thread, Some(7));
    }
}
