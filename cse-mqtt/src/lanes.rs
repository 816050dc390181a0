//! The order among the requests of one originator, and independence of all others.
//!
//! The requests of an originator take effect in the order in which they came: what it reads shows what it changed
//! before, and nothing that it changes later. So each originator has a lane. Requests that keep their order by themselves
//! go together; any other waits until those before it are done, and those behind it wait for it. Lanes do not
//! wait for one another. A CSE passes on requests of an AE that may be the parts of one that the AE waits for here, so
//! what comes through a CSE has a lane beside that. How many of a lane run and wait is bounded, so that no originator takes the places of all.
//!
//! What a CSE notifies others of is no order to be kept beyond each of them: one that does not answer would hold up what
//! all the others are told. So these requests have lanes of their own, by target.

use std::collections::hash_map::RandomState;
use std::collections::{HashMap, VecDeque};
use std::hash::BuildHasher;

use cse_core::id::CseIdentity;
use cse_core::primitive::{Operation, Request};
use cse_core::schema::Ty;
use cse_core::value::Text;

/// How a request gets along with those next to it.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Class {
    /// Reads: reads next to it see the same.
    Read,
    /// Adds an instance: never asks the network first, and the CSE keeps the order in which it is given them.
    Append,
    /// Everything else. It may have to ask somebody first (a verification, a blocking update, members of a group), which
    /// takes its time.
    Alone,
}

impl Class {
    /// The class of a request; `None` for one that is to be carried out at a time of its own (`oet`), and for polls.
    pub(crate) fn of(request: &Request) -> Option<Self> {
        if request.operation_execution_time.is_some() || is_poll(request) {
            return None;
        }
        let fans_out = request.to.ends_with("/fopt") || request.to.contains("/fopt/");
        let adds = matches!(request.resource_type, Some(Ty::CONTENT_INSTANCE | Ty::TIME_SERIES_INSTANCE));
        Some(match request.operation {
            Operation::Retrieve => Self::Read,
            Operation::Create if adds && !fans_out => Self::Append,
            _ => Self::Alone,
        })
    }
}

/// Whether this waits at a polling channel until there is a request for its originator, which meanwhile wants to do
/// other things: above all, to answer such requests.
pub(crate) fn is_poll(request: &Request) -> bool {
    request.operation == Operation::Retrieve && request.to.ends_with("/pcu")
}

/// Lanes for the notifications of one CSE. Each target has always the same, which it shares with a few others.
const NOTIFYING: u64 = 64;

/// Which lane a request is in.
#[derive(Clone, Debug, Eq, Hash, PartialEq)]
pub(crate) struct Place {
    originator: Text,
    /// The CSE that passes it on.
    through: Option<Text>,
    /// Of the lanes for notifications.
    notifying: Option<u64>,
}

struct Lane<T> {
    /// Class of those that run.
    class: Class,
    running: usize,
    waiting: VecDeque<(Class, T)>,
}

impl<T> Lane<T> {
    /// Whether one of that class may run beside those that do.
    fn takes(&self, class: Class, running_max: usize) -> bool {
        self.running == 0 || (self.running < running_max && class == self.class && class != Class::Alone)
    }
}

/// See the module. `T` is what waits.
pub(crate) struct Lanes<T> {
    /// Keys come from clients, hence the keyed default hasher.
    lanes: HashMap<Place, Lane<T>>,
    /// How many wait in all lanes of an originator; not listed without any.
    waiting_of: HashMap<Text, usize>,
    waiting: usize,
    running_max: usize,
    waiting_max: usize,
}

impl<T> Lanes<T> {
    /// Lanes in each of which at most `running_max` (at least 1) run; of one originator at most `waiting_max` wait.
    pub(crate) fn new(running_max: usize, waiting_max: usize) -> Self {
        let (lanes, waiting_of) = (HashMap::new(), HashMap::new());
        Self { lanes, waiting_of, waiting: 0, running_max: running_max.max(1), waiting_max }
    }

    /// The place of a request of that originator, which is canonical.
    pub(crate) fn place_of(&self, originator: Text, request: &Request, identity: &CseIdentity) -> Place {
        let is_cse = || identity.cse_id_of(&originator).is_some_and(|cse_id| cse_id == originator);
        let hasher: &RandomState = self.lanes.hasher();
        let notifying =
            (request.operation == Operation::Notify && is_cse()).then(|| hasher.hash_one(&request.to) % NOTIFYING);
        let sender = request.context.sender.as_ref();
        let through = sender.filter(|sender| sender.starts_with('/') && **sender != originator).cloned();
        Place { originator, through, notifying }
    }

    /// How many wait in all lanes.
    pub(crate) fn waiting(&self) -> usize {
        self.waiting
    }

    /// Whether one more may enter.
    pub(crate) fn has_room(&self, place: &Place, class: Class) -> bool {
        let Some(lane) = self.lanes.get(place) else { return true };
        let waiting = self.waiting_of.get(&place.originator).copied().unwrap_or_default();
        waiting < self.waiting_max || (lane.waiting.is_empty() && lane.takes(class, self.running_max))
    }

    /// Gives the item back if it may run now; else it waits. Each that runs is followed by [`Lanes::leave`]. Asked
    /// before: [`Lanes::has_room`].
    pub(crate) fn enter(&mut self, place: &Place, class: Class, item: T) -> Option<T> {
        let Some(lane) = self.lanes.get_mut(place) else {
            self.lanes.insert(place.clone(), Lane { class, running: 1, waiting: VecDeque::new() });
            return Some(item);
        };
        if lane.waiting.is_empty() && lane.takes(class, self.running_max) {
            lane.running += 1;
            return Some(item);
        }
        lane.waiting.push_back((class, item));
        *self.waiting_of.entry(place.originator.clone()).or_default() += 1;
        self.waiting += 1;
        None
    }

    /// One of that place is done; gives those that may run now, in order.
    pub(crate) fn leave(&mut self, place: &Place, released: &mut VecDeque<T>) {
        let Some(lane) = self.lanes.get_mut(place) else { return };
        lane.running = lane.running.saturating_sub(1);
        let mut count = 0;
        while let Some((class, item)) = lane.waiting.pop_front() {
            if !lane.takes(class, self.running_max) {
                lane.waiting.push_front((class, item));
                break;
            }
            lane.class = class;
            lane.running += 1;
            count += 1;
            released.push_back(item);
        }
        if lane.running == 0 {
            self.lanes.remove(place);
        }
        if count > 0 {
            self.waiting -= count;
            self.no_longer_waiting(&place.originator, count);
        }
    }

    fn no_longer_waiting(&mut self, originator: &Text, count: usize) {
        if let Some(waiting) = self.waiting_of.get_mut(originator) {
            *waiting -= count;
            if *waiting == 0 {
                self.waiting_of.remove(originator);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use cse_core::id::CseType;

    use super::*;

    fn class(operation: Operation, to: &str, ty: Option<Ty>) -> Option<Class> {
        let mut request = Request::new(operation, to, "Cx", "1");
        request.resource_type = ty;
        Class::of(&request)
    }

    #[test]
    fn what_may_have_to_ask_somebody_runs_alone() {
        for (operation, to, ty, expected) in [
            (Operation::Retrieve, "cse-in/a", None, Class::Read),
            (Operation::Create, "cse-in/a", Some(Ty::CONTENT_INSTANCE), Class::Append),
            (Operation::Create, "cse-in/a", Some(Ty::SUBSCRIPTION), Class::Alone),
            (Operation::Create, "cse-in/g/fopt", Some(Ty::CONTENT_INSTANCE), Class::Alone),
            (Operation::Create, "cse-in/g/fopt/log", Some(Ty::CONTENT_INSTANCE), Class::Alone),
            (Operation::Update, "cse-in/a", None, Class::Alone),
            (Operation::Delete, "cse-in/a", None, Class::Alone),
            (Operation::Notify, "cse-in/a", None, Class::Alone),
        ] {
            assert_eq!(class(operation, to, ty), Some(expected), "{operation} {to}");
        }
        // Polls hold nobody up; answers to what they fetched are requests like others.
        assert_eq!(class(Operation::Retrieve, "cse-in/a/pch/pcu", None), None);
        assert_eq!(class(Operation::Notify, "cse-in/a/pch/pcu", None), Some(Class::Alone));
    }

    fn lane(originator: &str) -> Place {
        Place { originator: originator.into(), through: None, notifying: None }
    }

    /// Plays requests named by a letter of their class and a digit; what runs at once, and what with each end.
    fn play(arriving: &[&'static str], ends: usize) -> Vec<String> {
        play_in(Lanes::new(usize::MAX, usize::MAX), arriving, ends)
    }

    fn play_in(mut lanes: Lanes<&'static str>, arriving: &[&'static str], ends: usize) -> Vec<String> {
        let mut seen = Vec::new();
        let originator = lane("Cx");
        let mut now = Vec::new();
        for name in arriving {
            let class = match name.as_bytes()[0] {
                b'r' => Class::Read,
                b'a' => Class::Append,
                _ => Class::Alone,
            };
            assert!(lanes.has_room(&originator, class));
            now.extend(lanes.enter(&originator, class, *name));
        }
        seen.push(now.join(" "));
        for _ in 0..ends {
            let mut released = VecDeque::new();
            lanes.leave(&originator, &mut released);
            seen.push(released.into_iter().collect::<Vec<_>>().join(" "));
        }
        assert_eq!((lanes.waiting(), lanes.lanes.len(), lanes.waiting_of.len()), (0, 0, 0), "all have run");
        seen
    }

    #[test]
    fn nobody_overtakes() {
        assert_eq!(play(&["a1", "a2", "r1"], 3), ["a1 a2", "", "r1", ""]);
        assert_eq!(play(&["r1", "r2", "a1", "r3"], 4), ["r1 r2", "", "a1", "r3", ""]);
        assert_eq!(play(&["x1", "x2", "a1", "a2", "r1"], 5), ["x1", "x2", "a1 a2", "", "r1", ""]);
        assert_eq!(play(&["a1", "x1", "a2", "a3"], 4), ["a1", "x1", "a2 a3", "", ""]);
    }

    #[test]
    fn only_so_many_of_one_lane_run() {
        let lanes = || Lanes::new(2, 10);
        assert_eq!(play_in(lanes(), &["a1", "a2", "a3", "a4", "r1"], 5), ["a1 a2", "a3", "a4", "", "r1", ""]);
        assert_eq!(play_in(lanes(), &["x1", "r1", "r2", "r3", "a1"], 5), ["x1", "r1 r2", "r3", "", "a1", ""]);
        assert_eq!(play_in(lanes(), &["r1", "r2", "r3", "x1", "r4"], 5), ["r1 r2", "r3", "", "x1", "r4", ""]);
        // At least one, whatever the bound says.
        assert_eq!(play_in(Lanes::new(0, 10), &["r1", "r2"], 2), ["r1", "r2", ""]);
    }

    #[test]
    fn only_so_many_of_one_lane_wait() {
        let (cx, cy) = (lane("Cx"), lane("Cy"));
        let mut lanes = Lanes::new(2, 2);
        assert_eq!(lanes.enter(&cx, Class::Alone, 1), Some(1));
        for item in [2, 3] {
            assert!(lanes.has_room(&cx, Class::Read));
            assert_eq!(lanes.enter(&cx, Class::Read, item), None);
        }
        assert!(!lanes.has_room(&cx, Class::Read) && !lanes.has_room(&cx, Class::Alone));
        assert!(lanes.has_room(&cy, Class::Read), "that is no matter of others");
        let mut released = VecDeque::new();
        lanes.leave(&cx, &mut released);
        assert_eq!((released, lanes.waiting()), (VecDeque::from([2, 3]), 0));
        assert!(lanes.has_room(&cx, Class::Read));
        // Where none may wait, those that need not may enter.
        let mut lanes = Lanes::new(2, 0);
        assert_eq!(lanes.enter(&cx, Class::Read, 1), Some(1));
        assert!(lanes.has_room(&cx, Class::Read) && !lanes.has_room(&cx, Class::Append));
    }

    #[test]
    fn originators_do_not_wait_for_one_another() {
        let mut lanes = Lanes::new(10, 10);
        assert_eq!(lanes.enter(&lane("Cx"), Class::Alone, 1), Some(1));
        assert_eq!(lanes.enter(&lane("Cx"), Class::Read, 2), None);
        assert_eq!(lanes.enter(&lane("Cy"), Class::Read, 3), Some(3));
        assert_eq!(lanes.waiting(), 1);
    }

    #[test]
    fn what_comes_back_does_not_wait_for_what_it_is_a_part_of() {
        let identity = CseIdentity::new("//cse.example", "/id-in", "cse-in", CseType::In).expect("valid");
        let mut lanes: Lanes<u32> = Lanes::new(10, 10);
        for (originator, from, sender, through) in [
            ("Cx", "Cx", "Cx", "/id-mn"),
            ("/id-mn/Cx", "/id-mn/Cx", "/id-mn", "/id-mn2"),
            ("/id-mn/Cy", "/id-mn/Cy", "/id-mn/Cy", "/id-mn2"),
        ] {
            let mut request = Request::new(Operation::Update, "/id-mn/cse-mn/g/fopt", from, "1");
            request.context.sender = Some(sender.into());
            let first = lanes.place_of(originator.into(), &request, &identity);
            request.context.sender = Some(through.into());
            let back = lanes.place_of(originator.into(), &request, &identity);
            assert_eq!(lanes.enter(&first, Class::Alone, 1), Some(1));
            assert_eq!(lanes.enter(&back, Class::Alone, 2), Some(2), "{originator}");
            assert_eq!(lanes.enter(&back, Class::Alone, 3), None, "in order among themselves");
            let mut released = VecDeque::new();
            lanes.leave(&back, &mut released);
            assert_eq!(released, [3]);
        }
    }

    #[test]
    fn what_a_cse_notifies_is_in_order_for_each_target() {
        let identity = CseIdentity::new("//cse.example", "/id-in", "cse-in", CseType::In).expect("valid");
        let mut lanes: Lanes<u32> = Lanes::new(10, 2);
        let place = |lanes: &Lanes<u32>, originator: &str, operation, to: &str| {
            lanes.place_of(originator.into(), &Request::new(operation, to, originator, "1"), &identity)
        };
        for originator in ["/id-mn", "//other.example/id-in"] {
            let one = place(&lanes, originator, Operation::Notify, "/id-in/C0");
            assert_eq!(one, place(&lanes, originator, Operation::Notify, "/id-in/C0"));
            let targets = (0..100).map(|number| format!("/id-in/C{number}"));
            assert!(targets.into_iter().any(|to| place(&lanes, originator, Operation::Notify, &to) != one));
            assert_ne!(one, place(&lanes, originator, Operation::Update, "/id-in/C0"));
        }
        // AEs may well mean an order between what they tell and what they change.
        for originator in ["/id-mn/Cx", "Cx"] {
            let notify = place(&lanes, originator, Operation::Notify, "/id-in/C0");
            assert_eq!(notify, place(&lanes, originator, Operation::Update, "/id-in/C1"));
        }
        // The bound is for all lanes of an originator.
        let one = place(&lanes, "/id-mn", Operation::Notify, "/id-in/C0");
        let other = place(&lanes, "/id-mn", Operation::Update, "x");
        assert_eq!(lanes.enter(&one, Class::Alone, 1), Some(1));
        assert_eq!(lanes.enter(&one, Class::Alone, 2), None);
        assert_eq!(lanes.enter(&other, Class::Alone, 3), Some(3));
        assert!(lanes.has_room(&other, Class::Alone));
        assert_eq!(lanes.enter(&other, Class::Alone, 4), None);
        assert!(!lanes.has_room(&one, Class::Alone) && !lanes.has_room(&other, Class::Alone));
        let mut released = VecDeque::new();
        lanes.leave(&one, &mut released);
        assert!(lanes.has_room(&other, Class::Alone));
        lanes.leave(&other, &mut released);
        assert_eq!((released, lanes.waiting(), lanes.waiting_of.len()), (VecDeque::from([2, 4]), 0, 0));
    }
}
