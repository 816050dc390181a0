//! `<schedule>`: times in which its parent takes part (TS-0001 §9.6.9, TS-0004 §7.4.9): the CSE itself, the AEs and CSEs
//! on a `<node>`, or the notifications of a `<subscription>`.
//!
//! The parent knows its schedule, so that it is found without a search.

use std::sync::Arc;

use crate::address::Target;
use crate::cse::Cse;
use crate::elsewhere::{BYTES_MAX, Known, Reading};
use crate::error::Error;
use crate::id::{CseType, Seq};
use crate::node::Node;
use crate::op::{Draft, delete};
use crate::overlay::Effects;
use crate::ports::{Deadline, DeadlineKind, Store};
use crate::primitive::{Response, ResultContent};
use crate::resource::{Resource, approximate_bytes};
use crate::schedule::ScheduleEntry;
use crate::schema::{Ty, keys};
use crate::time::Timestamp;
use crate::value::{Map, Name, Text, Value};
use crate::view::{Source, View};

/// The number of the schedule, in the attributes of its parent.
const SCHEDULE: &str = "@schedule";
/// networkCoordinated: whether the underlying network is told, too.
const NETWORK_COORDINATED: &str = "nco";
/// What a schedule of a subscription is called.
const NOTIFICATION_SCHEDULE: &str = "notificationSchedule";
/// Entries of one schedule: all are looked at for each decision.
const ENTRIES_MAX: usize = 100;

/// The entries of a schedule, ready to be asked: a time is inside if it is inside one of them.
#[derive(Debug)]
pub(crate) struct Schedule(Vec<ScheduleEntry>);

impl Schedule {
    /// Compiles the attributes, which have been checked when they were written.
    pub(crate) fn compile(attributes: &Map) -> Self {
        Self(entries(attributes).filter_map(|entry| ScheduleEntry::parse(entry).ok()).collect())
    }

    /// What it says of a time.
    pub(crate) fn window(&self, now: Timestamp) -> Window {
        if self.0.iter().any(|entry| entry.contains(now)) {
            return Window::Open;
        }
        Window::Closed { until: self.0.iter().filter_map(|entry| entry.next_start(now)).min() }
    }
}

/// Whether something takes part now.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub(crate) enum Window {
    /// Yes.
    #[default]
    Open,
    /// No.
    Closed {
        /// When it does again, as the schedule is now; `None` if never.
        until: Option<Timestamp>,
    },
}

impl Window {
    pub(crate) fn is_open(self) -> bool {
        self == Window::Open
    }
}

fn entries(attributes: &Map) -> impl Iterator<Item = &str> {
    let elements = attributes.get(keys::SCHEDULE_ELEMENT).and_then(Value::as_map);
    elements.into_iter().flat_map(|elements| elements.texts(keys::SCHEDULE_ENTRY))
}

/// The schedule below a resource.
fn of(parent: &Node) -> Option<Seq> {
    parent.attributes.int(SCHEDULE).map(Seq)
}

impl<Q: Source> View<'_, Q> {
    /// What the schedule below a resource says of this moment.
    pub(crate) async fn window_of(&mut self, parent: &Node) -> Result<Window, Error> {
        let Some(seq) = of(parent) else {
            return Ok(Window::Open);
        };
        let schedule = self.node(seq).await?.filter(|schedule| !schedule.is_expired(self.now));
        Ok(schedule.and_then(|node| node.schedule().map(|schedule| schedule.window(self.now))).unwrap_or_default())
    }

    /// Whether an AE or a CSE can be reached at this moment, as the schedule of the node says that it runs on; or the
    /// address of that node, if another CSE hosts it.
    pub(crate) async fn reachability_window<'n>(&mut self, entity: &'n Node) -> Result<Reachability<'n>, Error> {
        let Some(link) = entity.attributes.text(keys::NODE_LINK) else {
            return Ok(Reachability::Says(Window::Open));
        };
        let Target::Local(local, _) = Target::of(link, self.identity()) else {
            return Ok(Reachability::NodeElsewhere(link));
        };
        Ok(Reachability::Says(match self.plain(&local).await?.filter(|node| node.ty == Ty::NODE) {
            Some(node) => self.window_of(&node).await?,
            None => Window::Open,
        }))
    }
}

/// What is known here of when an entity can be reached.
pub(crate) enum Reachability<'n> {
    Says(Window),
    /// The node with the schedule is at another CSE, at that address.
    NodeElsewhere(&'n str),
}

impl<S: Store> Cse<S> {
    /// Whether an AE or a CSE can be reached at this moment. The schedule of a node at another CSE is read there now and
    /// then; whoever finds it being read takes what was known before.
    pub(crate) async fn reachability(&self, entity: &Node) -> Result<Window, Error> {
        let shared = &self.0;
        let reachability = shared.view().reachability_window(entity).await?;
        let address = match reachability {
            Reachability::Says(window) => return Ok(window),
            Reachability::NodeElsewhere(address) => Text::from(address),
        };
        let now = shared.clock.now();
        if matches!(shared.schedules.known(&address, now), Known::Unknown) {
            // The way to the node may be the one that is asked for here.
            if let Ok(_turn) = shared.schedules.reading(&address, now).try_lock() {
                let deadline = now.plus(shared.settings.verification_timeout);
                let answer = self.read_elsewhere(&address, Some(ResultContent::ChildResources), deadline).await;
                let reading = Reading::of(answer, &address, of_node);
                shared.schedules.note(&address, reading, shared.clock.now(), &shared.settings);
            }
        }
        let schedule = shared.schedules.last_known(&address);
        Ok(schedule.map_or(Window::Open, |schedule| schedule.window(shared.clock.now())))
    }
}

/// The schedule in a node with its children; without one, the node can be reached always.
fn of_node(response: &Response) -> Option<Schedule> {
    let (root, node) = response.content.as_ref()?.only()?;
    let node = node.as_map().filter(|_| root == "m2m:nod")?;
    if approximate_bytes(node) > BYTES_MAX {
        return None;
    }
    let always = || Schedule(ScheduleEntry::parse("* * * * * * *").into_iter().collect());
    let first = |schedules: &Value| match schedules {
        Value::List(schedules) => schedules.first().and_then(Value::as_map).map(Schedule::compile),
        other => other.as_map().map(Schedule::compile),
    };
    Some(node.get("m2m:sch").and_then(first).unwrap_or_else(always))
}

pub(crate) async fn before_create<Q: Source>(
    view: &mut View<'_, Q>,
    parent: &Arc<Node>,
    draft: &mut Draft,
    effects: &mut Effects,
) -> Result<(), Error> {
    check(&draft.attributes, parent.ty, view.identity().cse_type)?;
    if parent.ty == Ty::SUBSCRIPTION && draft.name != NOTIFICATION_SCHEDULE {
        if draft.name != draft.id {
            let problem = format!("must be '{NOTIFICATION_SCHEDULE}' below a subscription");
            return Err(Error::attribute(keys::RESOURCE_NAME, problem));
        }
        draft.name = NOTIFICATION_SCHEDULE.into();
    }
    if let Some(seq) = of(parent)
        && let Some(existing) = view.node(seq).await?
    {
        if !existing.is_expired(view.now) {
            let problem = format!("is 18, but '{}' has a schedule, and there can be only one", parent.path);
            return Err(Error::parameter("ty", problem));
        }
        delete::remove(view, &existing, effects).await?;
    }
    set(view, parent, Some(draft.seq), effects);
    look_again(view, parent, effects);
    Ok(())
}

pub(crate) async fn before_update<Q: Source>(
    view: &mut View<'_, Q>,
    schedule: &Arc<Node>,
    attributes: &Map,
    effects: &mut Effects,
) -> Result<(), Error> {
    if let Some(parent) = view.parent(schedule).await? {
        check(attributes, parent.ty, view.identity().cse_type)?;
        look_again(view, &parent, effects);
    }
    Ok(())
}

pub(crate) async fn after_delete<Q: Source>(
    view: &mut View<'_, Q>,
    schedule: &Arc<Node>,
    effects: &mut Effects,
) -> Result<(), Error> {
    if let Some(parent) = view.parent(schedule).await?
        && of(&parent) == Some(schedule.seq)
        && !effects.deletes(parent.seq)
    {
        set(view, &parent, None, effects);
        look_again(view, &parent, effects);
    }
    Ok(())
}

fn check(attributes: &Map, parent: Ty, cse_type: CseType) -> Result<(), Error> {
    if attributes.contains(NETWORK_COORDINATED) && parent != Ty::NODE {
        let problem = "nco (networkCoordinated) is for the schedule of a <node> only";
        return Err(Error::ContentsUnacceptable(problem.into()));
    }
    if attributes.bool(NETWORK_COORDINATED) == Some(true) {
        return Err(match cse_type {
            CseType::In => Error::NotImplemented("coordination of schedules with a network (nco)".into()),
            CseType::Mn | CseType::Asn => {
                Error::ContentsUnacceptable("nco (networkCoordinated) is for schedules at an IN-CSE only".into())
            }
        });
    }
    let count = entries(attributes).count();
    if count == 0 || count > ENTRIES_MAX {
        let problem = format!("(scheduleElement) has 1 to {ENTRIES_MAX} entries, not {count}");
        return Err(Error::attribute(keys::SCHEDULE_ELEMENT, problem));
    }
    for entry in entries(attributes) {
        ScheduleEntry::parse(entry).map_err(|problem| Error::attribute(keys::SCHEDULE_ELEMENT, problem))?;
    }
    Ok(())
}

/// Has what a subscription holds back looked at again: the times that it waits for may be others now.
fn look_again<Q: Source>(view: &View<'_, Q>, parent: &Node, effects: &mut Effects) {
    if parent.ty == Ty::SUBSCRIPTION {
        effects.deadlines_set.push(Deadline { kind: DeadlineKind::Schedule, resource: parent.seq, at: view.now });
    }
}

/// Notes at a resource which schedule it has.
fn set<Q: Source>(view: &View<'_, Q>, parent: &Arc<Node>, schedule: Option<Seq>, effects: &mut Effects) {
    let parent = effects.current(parent.seq).unwrap_or(parent);
    let mut changed = Resource::clone(parent);
    match schedule {
        Some(seq) => changed.attributes.insert(Name::new_static(SCHEDULE), Value::Int(seq.0)),
        None => changed.attributes.remove(SCHEDULE),
    };
    let changed = parent.changed(changed, view.identity());
    effects.update(Arc::new(changed));
}
