//! Moving a tenant's running calls to another version.
//!
//! **One rule: calls move one after the other, and the latest request wins.** A move costs a fraction of a
//! millisecond of CPU time between two frames, and the frames after it are answered twice. In one call
//! nobody notices; a thousand moves in the same millisecond would be a second in which no call is
//! answered. So calls begin to move [`BEGIN_EVERY`], at most [`AT_ONCE`] of them on the way. That takes
//! time, and an operator may think better of it meanwhile: whoever requests last for a tenant overtakes,
//! in the calls that are on the way as well.

use std::collections::HashMap;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use cordboard_tenant::{Deployment, Version};
use futures_util::{StreamExt as _, stream};
use tokio::sync::oneshot;

use crate::shared::directory::{CallDirectory, Migration};
use crate::shared::lock;

/// Between the moves of two calls, in the whole process. 10 ms: a hundred calls a second, for which save,
/// load and the frames answered twice take about a twentieth of one core.
const BEGIN_EVERY: Duration = Duration::from_millis(10);

/// Calls of one tenant on the way at once. A call takes about 110 ms, so this is only reached where calls
/// hear nothing and wait (two seconds at most), or where the machine is behind: then moving waits, too.
const AT_ONCE: usize = 32;

/// For one call to move or to say why not. It decides within two seconds and a bit; this only keeps a call that never
/// does from holding up an operator.
const MOVE_WITHIN: Duration = Duration::from_secs(15);

/// Who moves when, and who asked last.
#[derive(Debug, Default)]
struct Moves {
    /// How many migrations were asked for, by tenant; the tenants of this process, so bounded by them.
    requests: HashMap<String, u64>,
    /// When the next call may begin.
    next: Option<Instant>,
}

impl Moves {
    fn request(&mut self, tenant: &str) -> u64 {
        let latest = self.requests.entry(tenant.to_owned()).or_default();
        *latest += 1;
        *latest
    }

    fn is_latest(&self, tenant: &str, request: u64) -> bool {
        self.requests.get(tenant) == Some(&request)
    }

    /// When the next call may begin, and the one after it later; `None` for a request that is out of date.
    fn begin_at(&mut self, now: Instant, tenant: &str, request: u64) -> Option<Instant> {
        if !self.is_latest(tenant, request) {
            return None;
        }
        let at = self.next.map_or(now, |next| next.max(now));
        self.next = Some(at + BEGIN_EVERY);
        Some(at)
    }
}

/// Moves running calls to other versions.
pub(super) struct Migrations {
    calls: Arc<CallDirectory>,
    moves: Mutex<Moves>,
}

impl Migrations {
    pub(super) fn new(calls: Arc<CallDirectory>) -> Self {
        Self { calls, moves: Mutex::default() }
    }

    /// See [`super::Rollouts::migrate`].
    pub(super) async fn migrate(
        &self,
        deployment: &Deployment,
        from: Option<&str>,
    ) -> Vec<(String, Migration)> {
        let tenant = deployment.id().as_str();
        let request = lock(&self.moves).request(tenant);
        let calls =
            self.calls.to_be_moved(tenant, from, |call_sid| deployment.version_for(call_sid));
        let moving = calls.into_iter().map(async |(call_sid, to)| {
            let outcome = self.move_call(&call_sid, &to, request).await;
            (call_sid, outcome)
        });
        stream::iter(moving).buffer_unordered(AT_ONCE).collect().await
    }

    async fn move_call(&self, call_sid: &str, to: &Arc<Version>, request: u64) -> Migration {
        let overtaken =
            || Migration::Failed { reason: "another version was asked for meanwhile".into() };
        let begin_at = lock(&self.moves).begin_at(Instant::now(), to.tenant.as_str(), request);
        let Some(begin_at) = begin_at else { return overtaken() };
        tokio::time::sleep_until(begin_at.into()).await;
        let Some(outcome) = self.begin(call_sid, to, request) else { return overtaken() };
        let outcome = match tokio::time::timeout(MOVE_WITHIN, outcome).await {
            Ok(outcome) => outcome.unwrap_or(Migration::Ended),
            Err(_) => {
                Migration::Failed { reason: format!("nothing came of it in {MOVE_WITHIN:?}") }
            }
        };
        self.calls.end_move(call_sid, request);
        outcome
    }

    /// Commands one call to move, unless somebody asked for another version meanwhile.
    fn begin(
        &self,
        call_sid: &str,
        to: &Arc<Version>,
        request: u64,
    ) -> Option<oneshot::Receiver<Migration>> {
        // Held until the command is given, so that no older request's command comes after a newer one's.
        let moves = lock(&self.moves);
        moves
            .is_latest(to.tenant.as_str(), request)
            .then(|| self.calls.begin_move(call_sid, to, request))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn calls_begin_one_after_the_other_however_many_want_to() {
        let (mut moves, now) = (Moves::default(), Instant::now());
        let request = moves.request("acme");

        let begun: Vec<Duration> =
            (0..4).map(|_| moves.begin_at(now, "acme", request).unwrap() - now).collect();

        assert_eq!(begun, [0, 1, 2, 3].map(|n| BEGIN_EVERY * n));
    }

    #[test]
    fn a_single_call_begins_at_once() {
        let (mut moves, now) = (Moves::default(), Instant::now());
        let request = moves.request("acme");
        moves.begin_at(now, "acme", request);

        let later = now + Duration::from_secs(1);

        assert_eq!(moves.begin_at(later, "acme", request), Some(later));
    }

    #[test]
    fn the_latest_request_for_a_tenant_wins_and_others_keep_theirs() {
        let (mut moves, now) = (Moves::default(), Instant::now());
        let (first, other) = (moves.request("acme"), moves.request("other"));
        let second = moves.request("acme");

        assert_eq!(moves.begin_at(now, "acme", first), None, "and takes nobody's turn");
        assert_eq!(moves.begin_at(now, "acme", second), Some(now));
        assert_eq!(moves.begin_at(now, "other", other), Some(now + BEGIN_EVERY));
    }
}
