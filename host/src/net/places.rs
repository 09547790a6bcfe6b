//! Who keeps a connection when there are too many.
//!
//! **One rule: the newest gets in, and the oldest that has proven nothing goes.** Whoever has just
//! connected is about to say what it wants; whoever has long been there and has shown neither a
//! signature nor a token is the likeliest to want nothing. Those who have shown one are counted apart,
//! so that no number of strangers takes their places. A call's stream is no connection any more, and
//! is not counted here.

use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv6Addr};

/// How many connections there may be.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Bounds {
    /// That have proven nothing.
    pub(crate) unproven_max: usize,
    /// Of those, from one peer.
    pub(crate) per_peer_max: usize,
    /// That have shown a valid signature or token.
    pub(crate) proven_max: usize,
}

/// Names a connection, in the order in which they came.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Id(u64);

/// All open connections of a port. `C` is what closes one.
pub(crate) struct Places<C> {
    bounds: Bounds,
    open: BTreeMap<Id, Open<C>>,
    next: u64,
}

struct Open<C> {
    /// Whose share it takes; nobody's for a proxy's own.
    peer: Option<Peer>,
    proven: bool,
    close: C,
}

/// Whoever has one share: an IPv4 address, or a network of 64 bits, which is what one subscriber of
/// IPv6 is given.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Peer(IpAddr);

impl From<IpAddr> for Peer {
    fn from(address: IpAddr) -> Self {
        match address.to_canonical() {
            IpAddr::V4(address) => Self(address.into()),
            IpAddr::V6(address) => {
                let [a, b, c, d, ..] = address.segments();
                Self(Ipv6Addr::new(a, b, c, d, 0, 0, 0, 0).into())
            }
        }
    }
}

impl<C> Places<C> {
    /// No connection yet.
    pub(crate) fn new(bounds: Bounds) -> Self {
        Self { bounds, open: BTreeMap::new(), next: 0 }
    }

    /// Takes a new connection in; `close` is kept for closing it. Returns the one to close for it.
    pub(crate) fn enter(&mut self, peer: Option<Peer>, close: C) -> (Id, Option<C>) {
        let id = Id(self.next);
        self.next += 1;
        let crowded_out = self.make_room(id, peer);
        self.open.insert(id, Open { peer, proven: false, close });
        (id, crowded_out)
    }

    /// Begins or ends a request that a proxy passes on: from now on the connection is this peer's,
    /// and has proven nothing. Returns the one to close for it.
    pub(crate) fn pass_on(&mut self, id: Id, peer: Option<Peer>) -> Option<C> {
        let mut passed = self.open.remove(&id)?;
        (passed.peer, passed.proven) = (peer, false);
        let crowded_out = self.make_room(id, peer);
        self.open.insert(id, passed);
        crowded_out
    }

    /// Moves a connection to those that have shown a valid signature or token. Returns the one to
    /// close for it.
    pub(crate) fn prove(&mut self, id: Id) -> Option<C> {
        if self.open.get(&id).is_none_or(|open| open.proven) {
            return None;
        }
        let full = self.open.values().filter(|open| open.proven).count() >= self.bounds.proven_max;
        let crowded_out = if full { self.close_oldest(|open| open.proven) } else { None };
        if let Some(open) = self.open.get_mut(&id) {
            open.proven = true;
        }
        crowded_out
    }

    /// Forgets a connection that is closed, or has become a stream.
    pub(crate) fn leave(&mut self, id: Id) {
        self.open.remove(&id);
    }

    /// Makes room among the unproven for `id`, which is not among them now.
    fn make_room(&mut self, id: Id, peer: Option<Peer>) -> Option<C> {
        debug_assert!(!self.open.contains_key(&id), "it would make room for itself");
        let unproven = || self.open.values().filter(|open| !open.proven);
        let of_peer = unproven().filter(|open| open.peer == peer).count();
        if peer.is_some() && of_peer >= self.bounds.per_peer_max {
            self.close_oldest(|open| !open.proven && open.peer == peer)
        } else if unproven().count() >= self.bounds.unproven_max {
            self.close_oldest(|open| !open.proven)
        } else {
            None
        }
    }

    fn close_oldest(&mut self, among: impl Fn(&Open<C>) -> bool) -> Option<C> {
        let id = *self.open.iter().find(|(_, open)| among(open))?.0;
        self.open.remove(&id).map(|open| open.close)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const BOUNDS: Bounds = Bounds { unproven_max: 4, per_peer_max: 2, proven_max: 2 };

    #[test]
    fn one_peer_crowds_out_only_itself() {
        let mut places = Places::new(BOUNDS);
        places.enter(peer("192.0.2.1"), "neighbour");
        places.enter(peer("192.0.2.9"), "first");
        places.enter(peer("192.0.2.9"), "second");
        assert_eq!(places.enter(peer("192.0.2.9"), "third").1, Some("first"));
        assert_eq!(places.enter(peer("::ffff:192.0.2.9"), "fourth").1, Some("second"));
    }

    #[test]
    fn many_peers_crowd_out_the_oldest_and_never_one_that_proved_itself() {
        let mut places = Places::new(BOUNDS);
        let (carrier, _) = places.enter(peer("192.0.2.1"), "carrier");
        assert_eq!(places.prove(carrier), None);
        for last in 2..6 {
            assert_eq!(places.enter(peer(&format!("192.0.2.{last}")), "stranger").1, None);
        }
        for last in 6..99 {
            let entered = places.enter(peer(&format!("192.0.2.{last}")), "stranger");
            assert_eq!(entered.1, Some("stranger"));
        }
    }

    #[test]
    fn those_who_proved_themselves_crowd_out_each_other() {
        let mut places = Places::new(BOUNDS);
        let ids = ["one", "two", "three"].map(|close| places.enter(None, close).0);
        assert_eq!(ids.map(|id| places.prove(id)), [None, None, Some("one")]);
        assert_eq!(places.prove(ids[2]), None, "it has a place already");
    }

    #[test]
    fn one_that_left_or_was_closed_takes_no_place() {
        let mut places = Places::new(BOUNDS);
        let (first, _) = places.enter(peer("192.0.2.9"), "first");
        places.leave(first);
        places.enter(peer("192.0.2.9"), "second");
        assert_eq!(places.enter(peer("192.0.2.9"), "third").1, None);
        assert_eq!((places.prove(first), places.pass_on(first, None)), (None, None));
    }

    #[test]
    fn a_proxy_has_no_share_and_whom_it_asks_for_has_one_during_the_request() {
        let mut places = Places::new(BOUNDS);
        let ids = ["one", "two", "three"].map(|close| places.enter(None, close).0);
        let client = peer("198.51.100.7");
        assert_eq!(ids.map(|id| places.pass_on(id, client)), [None, None, Some("one")]);
        assert_eq!(places.pass_on(ids[1], None), None);
        assert_eq!(places.enter(client, "four").1, None, "two is the proxy's own again");
    }

    #[test]
    fn what_one_request_of_a_proxy_proved_does_not_count_for_the_next() {
        let mut places = Places::new(Bounds { unproven_max: 1, ..BOUNDS });
        let (id, _) = places.enter(None, "proxy");
        places.prove(id);
        assert_eq!(places.enter(None, "second").1, None);
        assert_eq!(places.pass_on(id, peer("198.51.100.7")), Some("second"));
    }

    #[test]
    fn a_network_of_64_bits_is_one_peer() {
        assert_eq!(peer("2001:db8::1"), peer("2001:db8::ffff"));
        assert_ne!(peer("2001:db8::1"), peer("2001:db8:0:1::1"));
    }

    fn peer(text: &str) -> Option<Peer> {
        Some(text.parse::<IpAddr>().unwrap().into())
    }
}
