//! Places for instances: how many may be alive at once, and who may have the next one.
//!
//! A session takes a place when it first needs an instance of a plugin and keeps it. Sessions that each hold some and wait for more
//! could all wait for each other; so a place is only given when those that have one could still finish one after the other, each with
//! as many as it may want (Dijkstra's banker). Who holds most goes first, then who came first.
//!
//! Cancel safety: who stops waiting gets nothing and loses nothing.

use std::collections::VecDeque;
use std::sync::Arc;

use parking_lot::Mutex;
use tokio::sync::oneshot::{Sender, channel};

/// All places.
#[derive(Debug)]
pub(crate) struct Places {
    limit: u32,
    ledger: Mutex<Ledger>,
}

#[derive(Debug)]
struct Ledger {
    free: u32,
    /// The most places that any holder may come to want.
    want: usize,
    /// How many hold so many places, by that number; those that hold none are not counted.
    holders: Vec<u32>,
    /// Who waits, by how many places they hold.
    waiting: Vec<VecDeque<Sender<Grant>>>,
}

/// A place on its way to who waited for it; when it does not arrive it is free again.
#[derive(Debug)]
struct Grant(Option<(Arc<Places>, usize)>);

/// The places of one session, or of whoever else has instances. Dropping it frees them.
#[derive(Debug)]
pub(crate) struct Tenancy {
    places: Arc<Places>,
    held: usize,
    want: usize,
}

impl Places {
    pub(crate) fn new(limit: u32) -> Arc<Self> {
        let ledger = Ledger { free: limit, want: 1, holders: vec![0; 2], waiting: vec![VecDeque::new()] };
        Arc::new(Self { limit, ledger: Mutex::new(ledger) })
    }

    /// Begins with no place, for one that may come to want so many.
    pub(crate) fn tenancy(self: &Arc<Self>, want: usize) -> Tenancy {
        // Who wants more than there are has to do with all of them.
        let want = want.clamp(1, self.limit as usize);
        Tenancy { places: self.clone(), held: 0, want }
    }

    pub(crate) fn limit(&self) -> u32 {
        self.limit
    }

    /// Whether there is no free place.
    pub(crate) fn is_full(&self) -> bool {
        self.ledger.lock().free == 0
    }

    /// Gives free places to those who wait, as long as that is safe.
    fn serve(self: &Arc<Self>, ledger: &mut Ledger) {
        for held in (0..ledger.waiting.len()).rev() {
            while !ledger.waiting[held].is_empty() && ledger.give(held) {
                let Some(waiter) = ledger.waiting[held].pop_front() else { return };
                if let Err(mut unwanted) = waiter.send(Grant(Some((self.clone(), held)))) {
                    unwanted.0 = None;
                    ledger.take_back(held + 1, 1);
                }
            }
        }
    }
}

impl Ledger {
    /// Makes room for those that may want so many.
    fn expect(&mut self, want: usize) {
        self.want = self.want.max(want);
        self.holders.resize(self.want + 1, 0);
        self.waiting.resize_with(self.want, VecDeque::new);
    }

    /// Gives a place to one that holds so many, if all holders can still finish then.
    fn give(&mut self, held: usize) -> bool {
        if self.free == 0 {
            return false;
        }
        self.free -= 1;
        self.count(held, held + 1);
        if self.is_safe() {
            return true;
        }
        self.free += 1;
        self.count(held + 1, held);
        false
    }

    /// Takes places back from one that holds so many.
    fn take_back(&mut self, held: usize, count: usize) {
        self.free += u32::try_from(count).unwrap_or(u32::MAX);
        self.count(held, held - count);
    }

    fn count(&mut self, before: usize, after: usize) {
        for (held, change) in [(before, -1), (after, 1)] {
            if held > 0 {
                self.holders[held] = self.holders[held].saturating_add_signed(change);
            }
        }
    }

    /// Whether every holder could get all that it may want, those first that need least.
    fn is_safe(&self) -> bool {
        let mut free = u64::from(self.free);
        for held in (1..=self.want).rev().filter(|held| self.holders[*held] > 0) {
            if free < (self.want - held) as u64 {
                return false;
            }
            free += held as u64 * u64::from(self.holders[held]);
        }
        true
    }
}

impl Tenancy {
    /// One place more; waits for it.
    pub(crate) async fn take(&mut self) {
        if self.held >= self.want {
            return;
        }
        let waiter = {
            let mut ledger = self.places.ledger.lock();
            ledger.expect(self.want);
            // Who came before and holds as many goes first.
            if ledger.waiting[self.held].is_empty() && ledger.give(self.held) {
                self.held += 1;
                return;
            }
            let (sender, receiver) = channel();
            ledger.waiting[self.held].push_back(sender);
            receiver
        };
        if let Ok(mut grant) = waiter.await {
            grant.0 = None;
            self.held += 1;
        }
    }

    /// Gives back what is more than so many.
    pub(crate) fn keep(&mut self, count: usize) {
        if self.held <= count {
            return;
        }
        let mut ledger = self.places.ledger.lock();
        ledger.take_back(self.held, self.held - count);
        self.held = count;
        self.places.serve(&mut ledger);
    }
}

impl Drop for Tenancy {
    fn drop(&mut self) {
        self.keep(0);
    }
}

impl Drop for Grant {
    fn drop(&mut self) {
        if let Some((places, held)) = self.0.take() {
            let mut ledger = places.ledger.lock();
            ledger.take_back(held + 1, 1);
            places.serve(&mut ledger);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::pin::pin;
    use std::task::{Context, Poll, Waker};

    use super::*;

    /// Whether it is there at once.
    fn takes(tenancy: &mut Tenancy) -> bool {
        pin!(tenancy.take()).poll(&mut Context::from_waker(Waker::noop())).is_ready()
    }

    #[test]
    fn two_that_want_two_never_hold_one_each_of_two() {
        let places = Places::new(2);
        let (mut one, mut other) = (places.tenancy(2), places.tenancy(2));
        assert!(takes(&mut one));
        assert!(!takes(&mut other));
        assert!(takes(&mut one));
        drop(one);
        assert!(takes(&mut other) && takes(&mut other));
        assert!(places.is_full());
        drop(other);
        assert_eq!(places.ledger.lock().free, 2);
    }

    #[test]
    fn all_places_are_given_where_nobody_wants_a_second() {
        let places = Places::new(3);
        let mut tenants: Vec<_> = (0..4).map(|_| places.tenancy(1)).collect();
        let got: Vec<_> = tenants.iter_mut().map(takes).collect();
        assert_eq!(got, [true, true, true, false]);
    }

    #[test]
    fn nearly_all_places_are_given_to_many_that_may_want_more() {
        let places = Places::new(100);
        let mut tenants: Vec<_> = (0..100).map(|_| places.tenancy(5)).collect();
        let given = tenants.iter_mut().filter_map(|tenant| takes(tenant).then_some(())).count();
        assert_eq!(given, 96, "four stay for one of them to finish with");
        for _ in 0..4 {
            assert!(takes(&mut tenants[0]));
        }
        assert!(places.is_full());
        assert!(!takes(&mut tenants[1]));
        drop(tenants.remove(0));
        assert!(takes(&mut tenants[0]));
    }

    #[test]
    fn who_stops_waiting_loses_nothing_even_with_the_place_on_its_way() {
        let places = Places::new(1);
        let (mut one, mut two, mut three) = (places.tenancy(1), places.tenancy(1), places.tenancy(1));
        assert!(takes(&mut one));
        let mut context = Context::from_waker(Waker::noop());
        {
            let mut waiting = Box::pin(two.take());
            assert!(waiting.as_mut().poll(&mut context).is_pending());
            drop(one);
            // Granted, and never looked at.
            drop(waiting);
        }
        assert!(takes(&mut three));
        assert!(!takes(&mut two));
    }

    #[test]
    fn who_wants_more_than_there_are_gets_all() {
        let places = Places::new(2);
        let mut one = places.tenancy(9);
        assert!(takes(&mut one) && takes(&mut one));
        assert!(matches!(pin!(one.take()).poll(&mut Context::from_waker(Waker::noop())), Poll::Ready(())));
    }
}
