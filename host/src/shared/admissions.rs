//! Who may call: places under the caps, calls that are announced, and the end of admitting any.
//!
//! **One rule: whoever has a place holds a [`CallPermit`], and giving it up is dropping it.** So no
//! place can leak, and draining is waiting for the last permit.

use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use cordboard_tenant::{CallSlot, CpuQuota, Deployment, NoCapacity, Spending, Version};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::timeout;
use tokio_util::task::TaskTracker;
use tokio_util::task::task_tracker::TaskTrackerToken;

use super::directory::CallDirectory;
use super::expiring_map::{ExpiringMap, REDEEM_WITHIN, REMEMBER_FOR, StreamToken};
use super::lock;
use crate::model::Connecting;

/// From the command to end until a call is given up: its last words and the closing of its sockets.
const FAREWELL: Duration = Duration::from_secs(10);

/// For the carrier's webhooks after the last call.
const LAST_QUESTIONS: Duration = Duration::from_secs(2);

/// A call the carrier has announced and whose stream has not come yet.
pub struct PendingCall {
    /// The carrier's id of the call.
    pub call_sid: String,
    /// The caller's number, as the carrier gave it.
    pub caller: Option<String>,
    /// The called number.
    pub callee: Option<String>,
    /// Who rang whom.
    pub outbound: bool,
    /// The model's session, opened while the carrier reads our answer.
    pub model: Connecting,
    /// The place under the caps that this call takes, and who answers it.
    pub permit: CallPermit,
}

/// What a stream's token stands for.
pub enum Admission {
    /// The first stream of a call.
    Call(Box<PendingCall>),
    /// The next stream of a call that is live: it was left to press keys.
    Return {
        /// The carrier's id of the call.
        call_sid: String,
    },
}

/// Which cap keeps a call out.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Full {
    /// `calls_max` of the whole process.
    Process,
    /// `calls_max` of the tenant.
    Tenant,
    /// The tenant's share of the CPU: see [`CpuQuota`].
    TenantCpu,
    /// None at all: nothing of the tenant's can answer.
    OutOfService,
    /// The tenant's memory, `limits.memory_mib_all_calls`.
    TenantMemory,
    /// The memory of all tenants, `calls.memory_mib`.
    ProcessMemory,
}

/// A place under the caps, and the version it was given with.
pub struct CallPermit {
    slot: CallSlot,
    _process: OwnedSemaphorePermit,
    _running: TaskTrackerToken,
}

impl CallPermit {
    /// Who answers, pinned at the webhook so that a deployment in between changes nothing.
    #[must_use]
    pub fn version(&self) -> &Arc<Version> {
        self.slot.version()
    }

    /// Takes another version if the one it was given was rolled back since.
    pub fn take_again(&mut self, deployment: &Deployment, call_sid: &str) {
        deployment.admit_again(&mut self.slot, call_sid);
    }

    /// What the calls of the tenant have cost.
    #[must_use]
    pub fn spending(&self) -> &Arc<Spending> {
        self.slot.tenant().spending()
    }

    /// The CPU account of the tenant that answers.
    #[must_use]
    pub fn cpu_quota(&self) -> &Arc<CpuQuota> {
        self.slot.tenant().cpu_quota()
    }
}

/// Places, announced calls, and whether any more are admitted.
pub struct Admissions {
    places: Arc<Semaphore>,
    /// Counts permits, and nothing else: a call whose stream has not come yet is a running one.
    running: TaskTracker,
    /// What each unredeemed token admits.
    pending: Mutex<ExpiringMap<StreamToken, Admission>>,
    /// Answers to webhooks by their idempotency token, in case the carrier asks again.
    answers: Mutex<ExpiringMap<String, String>>,
}

impl Admissions {
    /// Room for so many calls at once, announced ones included.
    #[must_use]
    pub fn new(calls_max: usize, memories_max: usize) -> Self {
        Self {
            places: Arc::new(Semaphore::new(calls_max.min(Semaphore::MAX_PERMITS))),
            running: TaskTracker::new(),
            pending: Mutex::new(ExpiringMap::new(REDEEM_WITHIN, calls_max)),
            answers: Mutex::new(ExpiringMap::new(REMEMBER_FOR, memories_max)),
        }
    }

    /// Takes a place for one more call of this tenant, with the version that answers it.
    ///
    /// # Errors
    /// Which cap is reached.
    pub fn permit(&self, deployment: &Deployment, call_sid: &str) -> Result<CallPermit, Full> {
        let process = Arc::clone(&self.places).try_acquire_owned().map_err(|_| Full::Process)?;
        let slot = deployment.admit(call_sid).map_err(|full| match full {
            NoCapacity::AtCapacity { .. } => Full::Tenant,
            NoCapacity::ThrottledOut { .. } => Full::TenantCpu,
            NoCapacity::OutOfService { .. } => Full::OutOfService,
            NoCapacity::OutOfMemory { .. } => Full::TenantMemory,
            NoCapacity::HostOutOfMemory => Full::ProcessMemory,
        })?;
        Ok(CallPermit { slot, _process: process, _running: self.running.token() })
    }

    /// Admits the stream that brings this token. False when there is no room.
    #[must_use]
    pub fn admit(&self, token: StreamToken, admission: Admission) -> bool {
        lock(&self.pending).insert(Instant::now(), token, admission).is_ok()
    }

    /// What this token admits; a second time nothing.
    #[must_use]
    pub fn redeem(&self, token: &StreamToken) -> Option<Admission> {
        lock(&self.pending).take(Instant::now(), token)
    }

    /// The answer given to a webhook with this idempotency token, if it came before.
    #[must_use]
    pub fn earlier_answer(&self, idempotency: &str) -> Option<String> {
        lock(&self.answers).peek(Instant::now(), &idempotency.to_owned()).cloned()
    }

    /// Remembers the answer to a webhook, in case the carrier asks again.
    pub fn remember_answer(&self, idempotency: String, twiml: String) {
        // Without room a repeated webhook is answered afresh, which costs one announced call.
        drop(lock(&self.answers).insert(Instant::now(), idempotency, twiml));
    }

    /// Drops what was announced of a call whose stream will not come: its place and its model
    /// session. Says how many announcements those were.
    pub fn forget_pending(&self, call_sid: &str) -> usize {
        lock(&self.pending).forget_where(|admission| match admission {
            Admission::Call(pending) => pending.call_sid == call_sid,
            Admission::Return { .. } => false,
        })
    }

    /// Drops announced calls whose stream never came, each with its model session; says how many.
    pub fn forget_expired(&self, now: Instant) -> usize {
        lock(&self.answers).forget_expired(now);
        lock(&self.pending).forget_expired(now)
    }

    /// Whether new calls are refused because the process is going away.
    #[must_use]
    pub fn is_draining(&self) -> bool {
        self.running.is_closed()
    }

    /// Refuses new calls, gives running ones until `deadline`, then tells them to end, and returns
    /// when none is left or those that are left do not end.
    pub async fn drain(&self, directory: &CallDirectory, deadline: Duration) {
        self.running.close();
        if self.running.is_empty() {
            return;
        }
        if timeout(deadline, self.running.wait()).await.is_err() {
            directory.end_all();
            // A told call still says goodbye and closes its sockets, each with a deadline.
            if timeout(FAREWELL, self.running.wait()).await.is_err() {
                return;
            }
        }
        // The carrier asks once more, what comes after the stream.
        tokio::time::sleep(LAST_QUESTIONS).await;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn a_return() -> Admission {
        Admission::Return { call_sid: "CA1".into() }
    }

    #[test]
    fn a_token_admits_one_stream_once() {
        let (admissions, token) = (Admissions::new(1, 1), StreamToken::presented("t"));
        assert!(admissions.admit(token.clone(), a_return()));
        assert!(admissions.redeem(&token).is_some());
        assert!(admissions.redeem(&token).is_none());
    }

    #[test]
    fn announced_calls_are_bounded_and_forgotten_in_time() {
        let admissions = Admissions::new(1, 1);
        assert!(admissions.admit(StreamToken::presented("a"), a_return()));
        assert!(!admissions.admit(StreamToken::presented("b"), a_return()));
        assert_eq!(admissions.forget_expired(Instant::now() + REDEEM_WITHIN), 1);
    }

    #[tokio::test(start_paused = true)]
    async fn draining_without_calls_ends_at_once() {
        let admissions = Admissions::new(1, 1);
        let began = tokio::time::Instant::now();
        admissions.drain(&directory(), Duration::from_secs(60)).await;
        assert!(admissions.is_draining());
        assert_eq!(began.elapsed(), Duration::ZERO);
    }

    #[tokio::test(start_paused = true)]
    async fn draining_waits_for_the_last_permit_and_then_for_the_carriers_question() {
        let admissions = Admissions::new(1, 1);
        let call = admissions.running.token();
        let began = tokio::time::Instant::now();
        let directory = directory();
        let over = async {
            tokio::time::sleep(Duration::from_secs(7)).await;
            drop(call);
        };
        tokio::join!(admissions.drain(&directory, Duration::from_secs(60)), over);
        assert_eq!(began.elapsed(), Duration::from_secs(7) + LAST_QUESTIONS);
    }

    #[tokio::test(start_paused = true)]
    async fn a_call_that_does_not_end_is_left_behind() {
        let admissions = Admissions::new(1, 1);
        let _call = admissions.running.token();
        let began = tokio::time::Instant::now();
        admissions.drain(&directory(), Duration::from_secs(60)).await;
        assert_eq!(began.elapsed(), Duration::from_secs(60) + FAREWELL);
    }

    fn directory() -> CallDirectory {
        CallDirectory::new(1, prometheus_client::metrics::gauge::Gauge::default())
    }
}
