//! Places for requests that were passed on and are not answered yet: bounded in all and for each next hop, so that one
//! that does not answer takes neither the memory nor the places of the others. They know whose requests these are: as
//! long as one is with another CSE, that may come back in the name of who asked.

use std::collections::HashMap;
use std::sync::Arc;

use parking_lot::Mutex;
use rustc_hash::FxHashMap;

use crate::error::Error;
use crate::id::Originator;
use crate::op::forward::turn::{Line, Turn};
use crate::value::Text;

/// Requests that wait for an answer from other CSEs, in all. Fewer than bindings have carried out at a time (1,024), so
/// that requests for this CSE get by whatever becomes of these.
const REQUESTS_MAX: usize = 768;
/// Those that wait for one next hop.
const REQUESTS_PER_HOP_MAX: usize = 512;
/// Bytes of their contents in all, roughly.
const BYTES_MAX: usize = 64 * 1024 * 1024;

/// See the module.
#[derive(Default)]
pub(crate) struct Places {
    taken: Mutex<Taken>,
}

#[derive(Default)]
struct Taken {
    requests: usize,
    bytes: usize,
    /// Next hops with no request are not listed.
    of_hop: FxHashMap<Text, Waiting>,
}

/// What waits for one next hop.
#[derive(Default)]
struct Waiting {
    requests: usize,
    /// Of whom; not listed without any. The keys come from clients, hence the keyed default hasher.
    of_originator: HashMap<Originator, Theirs>,
}

/// The requests of one originator that wait for one next hop.
#[derive(Default)]
struct Theirs {
    requests: usize,
    line: Line,
}

impl Places {
    /// Takes a place for a request of somebody, with so much content, until what is returned is dropped.
    ///
    /// # Errors
    /// [`Error::Busy`] at a bound.
    pub(crate) fn take(&self, hop: &Text, originator: &Originator, bytes: usize) -> Result<Place<'_>, Error> {
        let mut taken = self.taken.lock();
        if taken.of_hop.get(hop).is_some_and(|waiting| waiting.requests >= REQUESTS_PER_HOP_MAX) {
            return Err(Error::Busy("too many requests wait for an answer from the next CSE"));
        }
        // One alone always fits: what a binding has taken is not too large.
        if taken.requests >= REQUESTS_MAX || (taken.requests > 0 && taken.bytes.saturating_add(bytes) > BYTES_MAX) {
            return Err(Error::Busy("too many requests wait for answers from other CSEs"));
        }
        taken.requests += 1;
        taken.bytes += bytes;
        let waiting = taken.of_hop.entry(hop.clone()).or_default();
        waiting.requests += 1;
        let theirs = waiting.of_originator.entry(originator.clone()).or_default();
        theirs.requests += 1;
        let line = Arc::clone(&theirs.line);
        Ok(Place { places: self, hop: hop.clone(), originator: originator.clone(), bytes, line })
    }

    /// Whether a request of that originator waits for that next hop.
    pub(crate) fn has(&self, hop: &Text, originator: &Originator) -> bool {
        self.taken.lock().of_hop.get(hop).is_some_and(|waiting| waiting.of_originator.contains_key(originator))
    }

    /// How many are taken.
    pub(crate) fn count(&self) -> usize {
        self.taken.lock().requests
    }
}

/// See [`Places::take`].
pub(crate) struct Place<'a> {
    places: &'a Places,
    hop: Text,
    originator: Originator,
    bytes: usize,
    line: Line,
}

impl Place<'_> {
    /// The last place among those of its originator that have not left for the next hop.
    pub(crate) fn turn(&self) -> Turn {
        Turn::last_in(&self.line)
    }
}

impl Drop for Place<'_> {
    fn drop(&mut self) {
        let mut taken = self.places.taken.lock();
        taken.requests -= 1;
        taken.bytes -= self.bytes;
        let Some(waiting) = taken.of_hop.get_mut(&self.hop) else { return };
        waiting.requests -= 1;
        if let Some(theirs) = waiting.of_originator.get_mut(&self.originator) {
            theirs.requests -= 1;
            if theirs.requests == 0 {
                waiting.of_originator.remove(&self.originator);
            }
        }
        if waiting.requests == 0 {
            taken.of_hop.remove(&self.hop);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn hop(number: usize) -> Text {
        smol_str::format_smolstr!("/id-{number}")
    }

    fn ae() -> Originator {
        Originator::from_canonical("Cx")
    }

    #[test]
    fn it_is_known_whose_requests_wait_where() {
        let (places, other) = (Places::default(), Originator::from_canonical("Cy"));
        let first = places.take(&hop(1), &ae(), 1).expect("a place");
        let second = places.take(&hop(1), &ae(), 1).expect("a place");
        let third = places.take(&hop(1), &other, 1).expect("a place");
        let known = || [places.has(&hop(1), &ae()), places.has(&hop(1), &other), places.has(&hop(2), &ae())];
        assert_eq!(known(), [true, true, false]);
        drop(first);
        assert_eq!(known(), [true, true, false], "there is another one");
        drop(second);
        assert_eq!(known(), [false, true, false]);
        assert_eq!(places.taken.lock().of_hop[&hop(1)].of_originator.len(), 1, "nobody is kept");
        drop(third);
        assert_eq!(known(), [false; 3]);
    }

    #[test]
    fn one_next_hop_cannot_take_all_places() {
        let places = Places::default();
        let held: Vec<_> =
            (0..REQUESTS_PER_HOP_MAX).map(|_| places.take(&hop(1), &ae(), 1).expect("a place")).collect();
        assert!(places.take(&hop(1), &ae(), 1).is_err());
        assert!(places.take(&hop(2), &ae(), 1).is_ok());
        drop(held);
        assert_eq!(places.count(), 0);
        assert!(places.take(&hop(1), &ae(), 1).is_ok());
        let taken = places.taken.lock();
        assert!(taken.of_hop.is_empty() && taken.bytes == 0);
    }

    #[test]
    fn there_are_so_many_in_all() {
        let places = Places::default();
        let held: Vec<_> = (0..REQUESTS_MAX).map(|at| places.take(&hop(at), &ae(), 0).expect("a place")).collect();
        assert!(places.take(&hop(REQUESTS_MAX), &ae(), 0).is_err());
        assert_eq!(held.len(), places.count());
    }

    #[test]
    fn their_contents_are_bounded() {
        let places = Places::default();
        let large = places.take(&hop(1), &ae(), BYTES_MAX + 1).expect("one alone always fits");
        assert!(places.take(&hop(2), &ae(), 1).is_err());
        drop(large);
        let most = places.take(&hop(1), &ae(), BYTES_MAX - 1).expect("a place");
        assert!(places.take(&hop(2), &ae(), 1).is_ok());
        assert!(places.take(&hop(2), &ae(), 2).is_err());
        drop(most);
    }
}
