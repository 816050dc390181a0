//! `<schedule>`: times in which its parent takes part (TS-0001 §9.6.9, TS-0004 §7.4.9): the CSE itself, the AEs and CSEs
//! on a `<node>`, or the notifications of a `<subscription>`.
//!
//! The parent knows its schedule, so that it is found without a search.

use std::sync::Arc;

use crate::error::Error;
use crate::id::{CseType, Seq};
use crate::node::Node;
use crate::op::{Draft, delete};
use crate::overlay::Effects;
use crate::ports::{Deadline, DeadlineKind};
use crate::resource::Resource;
use crate::schedule::ScheduleEntry;
use crate::schema::{Ty, keys};
use crate::time::Timestamp;
use crate::value::{Map, Name, Value};
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

    /// Whether an AE or a CSE can be reached at this moment, as the schedule of the node says that it runs on. Of nodes
    /// at other CSEs nothing is known.
    pub(crate) async fn reachability_window(&mut self, entity: &Node) -> Result<Window, Error> {
        let Some(link) = entity.attributes.text(keys::NODE_LINK) else {
            return Ok(Window::Open);
        };
        match self.local_resource(link).await?.filter(|node| node.ty == Ty::NODE) {
            Some(node) => self.window_of(&node).await,
            None => Ok(Window::Open),
        }
    }
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
