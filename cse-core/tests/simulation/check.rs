//! What has to hold when a story is over and everything has healed.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use cse_core::error::Rsc;
use cse_core::id::Seq;
use cse_core::ports::{Snapshot, Store};
use cse_core::primitive::{Context, FilterCriteria, FilterUsage, Operation, Request};
use cse_core::schema::{Announced, Ty, keys, type_def};
use cse_core::uplink::UplinkState;
use cse_core::value::{Map, Value};

use crate::clients::{Outcome, Write};
use crate::world::{End, World};

/// Attributes that each CSE gives its own resources.
const OWN: [&str; 7] = ["rn", "ty", "ri", "pi", "ct", "lt", "st"];
/// `<request>` resources: still pending (`m2m:requestStatus`).
const PENDING: i64 = 3;

/// Waits until something holds, looking now and then; `false` if it does not within that time.
pub async fn within(world: &Arc<World>, longest: Duration, holds: impl AsyncFn(&Arc<World>) -> bool) -> bool {
    let end = world.now().plus(longest);
    while !holds(world).await {
        if world.now() >= end {
            return false;
        }
        tokio::time::sleep(Duration::from_secs(1)).await;
    }
    true
}

/// Whether the MN is registered as far as it knows.
pub async fn is_registered(world: &Arc<World>) -> bool {
    let cse = world.cse(End::Mn);
    cse.is_some_and(|cse| matches!(*cse.uplink().borrow(), UplinkState::Registered { .. }))
}

/// Whether there is nothing left to do.
pub async fn is_quiet(world: &Arc<World>) -> bool {
    is_registered(world).await && unfinished(world).await.is_empty()
}

/// What is left to do.
async fn unfinished(world: &Arc<World>) -> Vec<String> {
    let mut left = Vec::new();
    for end in End::BOTH {
        let Some(cse) = world.cse(end) else {
            left.push(format!("{} is down", end.name()));
            continue;
        };
        let counts = [cse.notifications_waiting(), cse.announcements_waiting(), cse.forwarded_waiting()];
        if counts != [0; 3] {
            left.push(format!("{} has notifications, announcements, requests under way: {counts:?}", end.name()));
        }
        let mut snapshot = world.disk(end).snapshot().await.unwrap();
        for entry in snapshot.outbox(Seq::START, 1_000).await.unwrap() {
            left.push(format!("in the outbox of {}: {entry:?}", end.name()));
        }
        for request in snapshot.children(Seq::CSE_BASE, &[Ty::REQUEST], Seq::START, 1_000).await.unwrap() {
            if request.attributes.int("rs") == Some(PENDING) {
                left.push(format!("pending at {}: {}", end.name(), request.id));
            }
        }
    }
    if !world.link.is_quiet() || world.devices.asking() > 0 {
        left.push("something is on its way".into());
    }
    left
}

/// Everything that is wrong.
pub async fn problems(world: &Arc<World>) -> Vec<String> {
    // What is asked regularly may just be on its way.
    within(world, Duration::from_secs(10), async |world| unfinished(world).await.is_empty()).await;
    let mut problems = unfinished(world).await;
    let inspection = Inspection { world };
    inspection.registrations(&mut problems).await;
    inspection.copies(&mut problems).await;
    for end in End::BOTH {
        inspection.instances(end, &mut problems).await;
    }
    problems
}

struct Inspection<'a> {
    world: &'a Arc<World>,
}

impl Inspection<'_> {
    async fn ask(&self, end: End, request: Request) -> Option<Map> {
        let response = self.world.carry_out(end, &request, Context::default()).await?;
        response.content.filter(|_| response.status == Rsc::Ok)
    }

    /// The attributes of a resource.
    async fn retrieve(&self, end: End, address: &str) -> Option<Map> {
        let content = self.ask(end, Request::new(Operation::Retrieve, address, "CAdmin", "check")).await?;
        content.only().and_then(|(_, value)| value.as_map().cloned())
    }

    /// The addresses of all resources of some types.
    async fn find(&self, end: End, types: &[Ty]) -> Vec<String> {
        let mut request = Request::new(Operation::Retrieve, end.base(), "CAdmin", "check");
        request.filter_criteria = Some(Box::new(FilterCriteria {
            usage: FilterUsage::Discovery,
            resource_type: types.to_vec(),
            ..FilterCriteria::default()
        }));
        let content = self.ask(end, request).await.unwrap_or_default();
        content.texts("m2m:uril").map(str::to_owned).collect()
    }

    /// Each CSE has one `<remoteCSE>`, that of the other.
    async fn registrations(&self, problems: &mut Vec<String>) {
        if !is_registered(self.world).await {
            problems.push("the MN is not registered as far as it knows".into());
        }
        for end in End::BOTH {
            let found = self.find(end, &[Ty::REMOTE_CSE]).await;
            let [address] = &found[..] else {
                problems.push(format!("{} has these remoteCSEs: {found:?}", end.name()));
                continue;
            };
            let remote = self.retrieve(end, address).await.unwrap_or_default();
            let expected = if end == End::In { self.world.point_of_access() } else { "mqtt://in" };
            let points: Vec<&str> = remote.texts("poa").collect();
            if remote.text("csi") != Some(end.other().cse_id()) || points != [expected] {
                problems.push(format!("{} has this remoteCSE instead of one at {expected}: {remote:?}", end.name()));
            }
        }
    }

    /// Every original that is announced has one copy with what the original says, and there are no others.
    async fn copies(&self, problems: &mut Vec<String>) {
        let mut expected = BTreeMap::new();
        for path in self.find(End::Mn, &[Ty::AE, Ty::CONTAINER, Ty::CONTENT_INSTANCE]).await {
            let Some(original) = self.retrieve(End::Mn, &path).await else { continue };
            for address in original.texts(keys::ANNOUNCE_TO) {
                let Some(copy) = self.retrieve(End::In, address).await else {
                    problems.push(format!("{path} has no copy at {address}"));
                    continue;
                };
                expected.insert(copy.text("ri").unwrap_or_default().to_owned(), path.clone());
                let (wanted, found) = (copy_of(&original), without_own(&copy));
                if wanted != found {
                    problems.push(format!("the copy of {path} has {found:?} instead of {wanted:?}"));
                }
            }
            // Nothing is refused here, so what was asked for stays.
            if original.contains(keys::ANNOUNCE_TO) && original.texts(keys::ANNOUNCE_TO).next().is_none() {
                problems.push(format!("{path} is announced to nobody any more"));
            }
        }
        let announced = [Ty::AE, Ty::CONTAINER, Ty::CONTENT_INSTANCE].map(|ty| ty.announced());
        for path in self.find(End::In, &announced).await {
            let Some(copy) = self.retrieve(End::In, &path).await else { continue };
            if expected.remove(copy.text("ri").unwrap_or_default()).is_none() {
                problems.push(format!("{path} is the copy of nothing: {copy:?}"));
            }
        }
        let bases = self.find(End::In, &[Ty::CSE_BASE.announced()]).await;
        if bases.len() > 1 {
            problems.push(format!("the CSEBase has several copies: {bases:?}"));
        }
    }

    /// What was acknowledged is there, nothing is twice, and the AE at the other end knows of all of it.
    async fn instances(&self, end: End, problems: &mut Vec<String>) {
        let log = self.retrieve(end, &format!("{}/log", end.base())).await.unwrap_or_default();
        let mut contents = Vec::new();
        let mut snapshot = self.world.disk(end).snapshot().await.unwrap();
        if let Some(log) = snapshot.by_id(log.text("ri").unwrap_or_default()).await.unwrap() {
            let children = snapshot.children(log.seq, &[Ty::CONTENT_INSTANCE], Seq::START, 1_000).await.unwrap();
            contents.extend(children.iter().filter_map(|child| child.attributes.text("con").map(str::to_owned)));
        }
        drop(snapshot);
        for write in self.world.devices.writes().into_iter().filter(|write| write.at == end) {
            let count = contents.iter().filter(|content| **content == write.content).count();
            if let Err(problem) = self.fits(&write, count).await {
                problems.push(format!("{} is {count} times at {}: {problem}", write.content, end.name()));
            }
        }
        let mut notified = Vec::new();
        for content in self.world.devices.notified_of(end.other()) {
            if !notified.contains(&content) {
                notified.push(content);
            }
        }
        // What cannot be handed over is tried again, and what was on its way with it may be first.
        if !self.world.link.weather.keeps_order() || self.world.devices.was_away(end.other()) {
            notified.sort();
            contents.sort();
        }
        if notified != contents {
            let ae = end.other().ae();
            problems
                .push(format!("{ae} was notified of\n{notified:?}, and the log of {} is\n{contents:?}", end.name()));
        }
    }

    /// Whether an instance may be there so many times, after what became of its creation.
    async fn fits(&self, write: &Write, count: usize) -> Result<(), String> {
        let status = match &write.outcome {
            Outcome::Unknown => None,
            Outcome::Answered(status) => Some(*status),
            Outcome::Accepted(uri) => {
                let end = if uri.starts_with(End::Mn.cse_id()) { End::Mn } else { End::In };
                let request = self.retrieve(end, uri).await.ok_or_else(|| format!("{uri} is gone"))?;
                let result = request.get("ors").and_then(Value::as_map).and_then(|result| result.int("rsc"));
                let status = result.and_then(|code| u16::try_from(code).ok()).and_then(Rsc::from_code);
                Some(status.ok_or_else(|| format!("{uri} has no result: {request:?}"))?)
            }
        };
        let fits = match status {
            Some(Rsc::Created) => count == 1,
            // Nobody knows whether it has arrived.
            None | Some(Rsc::RequestTimeout | Rsc::InternalServerError) => count <= 1,
            Some(_) if write.came_again => count <= 1,
            Some(_) => count == 0,
        };
        if fits { Ok(()) } else { Err(format!("{:?}, {status:?}", write.outcome)) }
    }
}

/// What the copy of an original says besides what its CSE gives it.
fn copy_of(original: &Map) -> BTreeMap<String, Value> {
    let ty = original.int("ty").and_then(|ty| u16::try_from(ty).ok()).map(Ty);
    let chosen: Vec<&str> = original.texts("aa").collect();
    let mut copy = BTreeMap::new();
    for attr in ty.and_then(type_def).into_iter().flat_map(|def| def.attributes) {
        let is_announced = match attr.announced {
            Announced::Mandatory => true,
            Announced::Optional => chosen.contains(&attr.key),
            Announced::No => attr.key == "lbl" || attr.key == "et",
        };
        if is_announced && let Some(value) = original.get(attr.key) {
            copy.insert(attr.key.to_owned(), value.clone());
        }
    }
    for own in OWN {
        copy.remove(own);
    }
    // Those of the AE hold for all of them.
    copy.insert("acpi".into(), Value::text_list(["/id-mn/cse-mn/all"]));
    copy.insert("lnk".into(), format!("/id-mn/{}", original.text("ri").unwrap_or_default()).into());
    copy
}

fn without_own(copy: &Map) -> BTreeMap<String, Value> {
    let said = copy.iter().filter(|(name, _)| !OWN.contains(&name.as_str()));
    said.map(|(name, value)| (name.to_string(), value.clone())).collect()
}
