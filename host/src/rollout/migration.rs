//! Moving a tenant's running calls to another version.
//!
//! **One rule: calls move one after the other, and the latest pending migration wins.** A move costs a fraction of a
//! millisecond of CPU time between two frames, and the frames after it are answered twice. In one call
//! nobody notices; a thousand moves in the same millisecond would be a second in which no call is
//! answered. So calls begin to move [`BEGIN_EVERY`], at most [`AT_ONCE`] of them on the way. That takes
//! time, and an operator may think better of it meanwhile: whoever wishes last for a tenant overtakes,
//! in the calls that are on the way as well.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use cordboard_tenant::{Deployment, Version};
use futures_util::{StreamExt as _, stream};
use tokio::sync::oneshot;

use crate::shared::gateway::{CallCommand, Gateway, Live, lock};

/// Between the moves of two calls, in the whole process. 10 ms: a hundred calls a second, for which save,
/// load and the frames answered twice take about a twentieth of one core.
const BEGIN_EVERY: Duration = Duration::from_millis(10);

/// Calls of one tenant on the way at once. A call takes about 110 ms, so this is only reached where calls
/// hear nothing and wait (two seconds at most), or where the machine is behind: then moving waits, too.
const AT_ONCE: usize = 32;

/// For one call to move or to say why not. It decides within two seconds and a bit; this only keeps a call that never
/// does from holding up an operator.
const MOVE_WITHIN: Duration = Duration::from_secs(15);

/// What came of a call's migration.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Migration {
    /// The new version answers.
    Moved {
        /// What the call waited for it.
        pause: Duration,
    },
    /// The old version still answers.
    Failed {
        /// Why.
        reason: String,
    },
    /// The call was over first.
    Ended,
}

/// Who moves when, and who wished last.
#[derive(Debug, Default)]
pub(crate) struct Moves {
    /// How many wishes there have been for a tenant; the tenants of this process, so bounded by them.
    wishes: HashMap<String, u64>,
    /// When the next call may begin.
    next: Option<Instant>,
}

/// The version a call is on its way to.
#[derive(Debug)]
pub(crate) struct OnTheWay {
    to: String,
    wish: u64,
}

impl Moves {
    fn wish(&mut self, tenant: &str) -> u64 {
        let latest = self.wishes.entry(tenant.to_owned()).or_default();
        *latest += 1;
        *latest
    }

    fn is_latest(&self, tenant: &str, wish: u64) -> bool {
        self.wishes.get(tenant) == Some(&wish)
    }

    /// When the next call may begin, and the one after it later; `None` for a pending migration that is out of date.
    fn begin_at(&mut self, now: Instant, tenant: &str, wish: u64) -> Option<Instant> {
        if !self.is_latest(tenant, wish) {
            return None;
        }
        let at = self.next.map_or(now, |next| next.max(now));
        self.next = Some(at + BEGIN_EVERY);
        Some(at)
    }
}

impl Live {
    /// The version that answers it, or will if nothing else is wished.
    fn heads_for(&self) -> &str {
        self.on_the_way.as_ref().map_or(&self.version, |on_the_way| &on_the_way.to)
    }
}

impl Gateway {
    /// Lets the version that a new call of the same id would get take over in every live call of a tenant that another
    /// one answers, or in those that `from` answers or is about to, and says what came of each, by call.
    ///
    /// Returns once every one of them has moved, stayed or ended: after about a second for a hundred calls.
    /// When another version is wished for meanwhile, the calls that have not moved yet stay for it.
    pub async fn migrate(
        &self,
        deployment: &Deployment,
        from: Option<&str>,
    ) -> Vec<(String, Migration)> {
        let tenant = deployment.id().as_str();
        let wish = lock(&self.moves).wish(tenant);
        // One that is on the way there would be there in a moment.
        let is_from =
            |live: &Live| from.is_none_or(|from| live.version == from || live.heads_for() == from);
        let calls: Vec<(String, Arc<Version>)> = lock(&self.live)
            .iter()
            .filter(|(_, live)| live.tenant == tenant && is_from(live))
            .map(|(call_sid, live)| (call_sid, live.heads_for(), deployment.version_for(call_sid)))
            .filter(|(_, heads_for, to)| *heads_for != to.name)
            .map(|(call_sid, _, to)| (call_sid.clone(), to))
            .collect();
        let moving = calls.into_iter().map(async |(call_sid, to)| {
            let outcome = self.move_call(&call_sid, &to, wish).await;
            (call_sid, outcome)
        });
        stream::iter(moving).buffer_unordered(AT_ONCE).collect().await
    }

    async fn move_call(&self, call_sid: &str, to: &Arc<Version>, wish: u64) -> Migration {
        let overtaken =
            || Migration::Failed { reason: "another version was asked for meanwhile".into() };
        let begin_at = lock(&self.moves).begin_at(Instant::now(), to.tenant.as_str(), wish);
        let Some(begin_at) = begin_at else { return overtaken() };
        tokio::time::sleep_until(begin_at.into()).await;
        let Some(outcome) = self.order_move(call_sid, to, wish) else { return overtaken() };
        let outcome = match tokio::time::timeout(MOVE_WITHIN, outcome).await {
            Ok(outcome) => outcome.unwrap_or(Migration::Ended),
            Err(_) => {
                Migration::Failed { reason: format!("nothing came of it in {MOVE_WITHIN:?}") }
            }
        };
        if let Some(live) = lock(&self.live).get_mut(call_sid)
            && live.on_the_way.as_ref().is_some_and(|on_the_way| on_the_way.wish == wish)
        {
            live.on_the_way = None;
        }
        outcome
    }

    /// Orders one call to move, unless somebody wished for another version meanwhile. What is returned is
    /// closed when the call has ended.
    fn order_move(
        &self,
        call_sid: &str,
        to: &Arc<Version>,
        wish: u64,
    ) -> Option<oneshot::Receiver<Migration>> {
        // Held until the command is given, so that no command of an older pending migration comes after a newer one's.
        let moves = lock(&self.moves);
        if !moves.is_latest(to.tenant.as_str(), wish) {
            return None;
        }
        let (outcome, answer) = oneshot::channel();
        if let Some(live) = lock(&self.live).get_mut(call_sid) {
            live.on_the_way = Some(OnTheWay { to: to.name.clone(), wish });
            // A full inbox drops the command and with it `outcome`: that call has ended, or nearly.
            drop(live.commands.try_send(CallCommand::Migrate { to: Arc::clone(to), outcome }));
        }
        Some(answer)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn calls_begin_one_after_the_other_however_many_want_to() {
        let (mut moves, now) = (Moves::default(), Instant::now());
        let wish = moves.wish("acme");

        let begun: Vec<Duration> =
            (0..4).map(|_| moves.begin_at(now, "acme", wish).unwrap() - now).collect();

        assert_eq!(begun, [0, 1, 2, 3].map(|n| BEGIN_EVERY * n));
    }

    #[test]
    fn a_single_call_begins_at_once() {
        let (mut moves, now) = (Moves::default(), Instant::now());
        let wish = moves.wish("acme");
        moves.begin_at(now, "acme", wish);

        let later = now + Duration::from_secs(1);

        assert_eq!(moves.begin_at(later, "acme", wish), Some(later));
    }

    #[test]
    fn the_latest_wish_for_a_tenant_wins_and_others_keep_theirs() {
        let (mut moves, now) = (Moves::default(), Instant::now());
        let (first, other) = (moves.wish("acme"), moves.wish("other"));
        let second = moves.wish("acme");

        assert_eq!(moves.begin_at(now, "acme", first), None, "and takes nobody's turn");
        assert_eq!(moves.begin_at(now, "acme", second), Some(now));
        assert_eq!(moves.begin_at(now, "other", other), Some(now + BEGIN_EVERY));
    }
}
