//! `<group>`: members and their types (TS-0004 §7.4.13.2).

use std::sync::Arc;

use rustc_hash::{FxHashMap, FxHashSet};

use crate::access::authorize::Requester;
use crate::access::policy::Access;
use crate::address::{Resolved, Target};
use crate::error::Error;
use crate::id::Seq;
use crate::node::Node;
use crate::op::{Draft, Question, Refusal, members};
use crate::overlay::Effects;
use crate::ports::{Deadline, DeadlineKind};
use crate::schema::{Ty, keys};
use crate::value::{Map, Text, Value};
use crate::view::{Source, View};

/// Groups that are looked through when members of members are looked for.
const NESTED_GROUPS_MAX: usize = 64;

/// What happens to members of the wrong type (`csy`).
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum ConsistencyStrategy {
    AbandonMember,
    AbandonGroup,
    SetMixed,
}

impl ConsistencyStrategy {
    fn of(attributes: &Map) -> Self {
        match attributes.int(keys::CONSISTENCY_STRATEGY) {
            Some(2) => Self::AbandonGroup,
            Some(3) => Self::SetMixed,
            _ => Self::AbandonMember,
        }
    }
}

/// What a member at another CSE is.
#[derive(Clone, Debug)]
pub(crate) enum Elsewhere {
    /// A resource of that type and specialization; of a nested group, those of its members.
    Is(Ty, Option<Value>),
    /// The originator may not read it.
    Forbidden,
    /// It does not exist.
    NotThere,
    /// Its CSE did not answer.
    Unreachable,
}

/// What a decision about a group has to know from elsewhere.
#[derive(Clone, Debug, Default)]
pub(crate) struct GroupAnswers {
    /// Members at other CSEs that were looked at.
    pub(crate) elsewhere: FxHashMap<Text, Elsewhere>,
    /// Members that were deleted through the group.
    pub(crate) deleted: Vec<Text>,
}

/// Whether members of a group are still to be looked at.
pub(crate) fn is_unvalidated(node: &Node) -> bool {
    node.ty == Ty::GROUP && node.attributes.bool(keys::MEMBER_TYPE_VALIDATED) == Some(false)
}

/// The resource and the virtual resource of it that a member is, if it is one.
pub(crate) fn is_virtual(member: &str) -> Option<(&str, &str)> {
    member.rsplit_once('/').filter(|(_, last)| matches!(*last, "fopt" | "la" | "ol"))
}

/// The time of a group that waits for its validation has come: it is handed over, and has its turn again later.
pub(crate) async fn validation_due<Q: Source>(
    view: &mut View<'_, Q>,
    group: Seq,
    unvalidated: &members::Unvalidated,
    effects: &mut Effects,
) -> Result<(), Error> {
    if view.node(group).await?.is_some_and(|node| is_unvalidated(&node)) {
        if unvalidated.try_send(group).is_err() {
            tracing::debug!(%group, "too many groups wait for their validation; this one has its turn later");
        }
        wait_for_validation(view, group, effects);
    } else {
        effects.deadlines_clear.push((DeadlineKind::Validation, group));
    }
    Ok(())
}

fn wait_for_validation<Q: Source>(view: &View<'_, Q>, group: Seq, effects: &mut Effects) {
    let at = view.now.plus(members::AGAIN);
    effects.deadlines_set.push(Deadline { kind: DeadlineKind::Validation, resource: group, at });
}

pub(crate) async fn before_create<Q: Source>(
    view: &mut View<'_, Q>,
    requester: &Requester,
    draft: &mut Draft,
    effects: &mut Effects,
) -> Result<(), Refusal> {
    let attributes = &mut draft.attributes;
    if !attributes.contains(keys::MEMBER_TYPE) {
        attributes.insert(keys::MEMBER_TYPE, 0_i64);
    }
    if !attributes.contains(keys::CONSISTENCY_STRATEGY) {
        attributes.insert(keys::CONSISTENCY_STRATEGY, 1_i64);
    }
    check_members(view, requester, attributes, &draft.group).await?;
    if attributes.bool(keys::MEMBER_TYPE_VALIDATED) == Some(false) {
        wait_for_validation(view, draft.seq, effects);
    }
    Ok(())
}

/// `patch` has nothing when the CSE itself has it validated, or takes members out.
pub(crate) async fn before_update<Q: Source>(
    view: &mut View<'_, Q>,
    requester: &Requester,
    node: &Node,
    attributes: &mut Map,
    patch: &Map,
    answers: &GroupAnswers,
    effects: &mut Effects,
) -> Result<(), Refusal> {
    if !answers.deleted.is_empty() {
        let members = attributes.texts(keys::MEMBER_IDS).map(Text::from);
        let members: Vec<Text> = members.filter(|member| !answers.deleted.contains(member)).collect();
        attributes.insert(keys::CURRENT_NR_OF_MEMBERS, members.len() as i64);
        attributes.insert(keys::MEMBER_IDS, Value::text_list(members));
        return Ok(());
    }
    if patch.contains(keys::MEMBER_IDS) || !answers.elsewhere.is_empty() {
        check_members(view, requester, attributes, answers).await?;
        if attributes.bool(keys::MEMBER_TYPE_VALIDATED) == Some(false) {
            wait_for_validation(view, node.seq, effects);
        }
        return Ok(());
    }
    let count = attributes.texts(keys::MEMBER_IDS).count();
    Ok(check_count(view, attributes, count)?)
}

fn check_count<Q: Source>(view: &View<'_, Q>, attributes: &Map, count: usize) -> Result<(), Error> {
    let max = attributes.unsigned(keys::MAX_NR_OF_MEMBERS).unwrap_or(u64::MAX);
    let max = max.min(view.settings.group_members_max as u64);
    if count as u64 > max { Err(Error::TooManyMembers { count, max }) } else { Ok(()) }
}

async fn check_members<Q: Source>(
    view: &mut View<'_, Q>,
    requester: &Requester,
    attributes: &mut Map,
    answers: &GroupAnswers,
) -> Result<(), Refusal> {
    let mut members: Vec<Text> = Vec::new();
    let mut seen = FxHashSet::default();
    for member in attributes.texts(keys::MEMBER_IDS) {
        if seen.insert(member) {
            members.push(member.into());
        }
    }
    check_count(view, attributes, members.len())?;
    let wanted = Wanted::of(attributes);
    if wanted.ty == Ty(0) {
        // A mixed group takes members unseen, so nothing is validated.
        attributes.remove(keys::MEMBER_TYPE_VALIDATED);
    } else {
        let strategy = ConsistencyStrategy::of(attributes);
        let mut all_known = true;
        let mut unknown = Vec::new();
        let mut fitting = Vec::with_capacity(members.len());
        for member in members {
            let fits = match member_of(view, requester, &member).await? {
                Member::Local(ty, specialization) => wanted.fits(ty, specialization.as_ref()),
                Member::Remote => match answers.elsewhere.get(&member) {
                    Some(Elsewhere::Is(ty, specialization)) => wanted.fits(*ty, specialization.as_ref()),
                    Some(Elsewhere::Forbidden) => return Err(Error::ReceiverHasNoPrivilege(member.to_string()).into()),
                    Some(Elsewhere::NotThere) => return Err(not_there(&member).into()),
                    Some(Elsewhere::Unreachable) => {
                        all_known = false;
                        true
                    }
                    None => {
                        unknown.push(member.clone());
                        true
                    }
                },
            };
            match strategy {
                _ if fits => fitting.push(member),
                ConsistencyStrategy::AbandonGroup => {
                    return Err(Error::MemberTypeInconsistent(member.to_string()).into());
                }
                ConsistencyStrategy::AbandonMember => {}
                ConsistencyStrategy::SetMixed => {
                    attributes.insert(keys::MEMBER_TYPE, 0_i64);
                    fitting.push(member);
                }
            }
        }
        if !unknown.is_empty() {
            return Err(Refusal::Ask(Question::Members { members: unknown, originator: requester.originator.clone() }));
        }
        members = fitting;
        attributes.insert(keys::MEMBER_TYPE_VALIDATED, all_known);
    }
    attributes.insert(keys::CURRENT_NR_OF_MEMBERS, members.len() as i64);
    attributes.insert(keys::MEMBER_IDS, Value::text_list(members));
    Ok(())
}

/// What members have to be: `mt`, and of specialized types `spty`.
struct Wanted {
    ty: Ty,
    specialization: Option<Value>,
}

impl Wanted {
    fn of(attributes: &Map) -> Self {
        let ty = attributes.unsigned(keys::MEMBER_TYPE).and_then(|ty| u16::try_from(ty).ok());
        Self { ty: ty.map_or(Ty(0), Ty), specialization: attributes.get(keys::SPECIALIZATION_TYPE).cloned() }
    }

    fn fits(&self, ty: Ty, specialization: Option<&Value>) -> bool {
        ty == self.ty && self.specialization.as_ref().is_none_or(|wanted| specialization == Some(wanted))
    }
}

enum Member {
    /// Type and specialization; of a nested group, those of its members.
    Local(Ty, Option<Value>),
    /// Of another CSE: its type cannot be known now.
    Remote,
}

async fn member_of<Q: Source>(view: &mut View<'_, Q>, requester: &Requester, member: &str) -> Result<Member, Error> {
    let Target::Local(local, _) = Target::of(member, view.identity()) else {
        return Ok(Member::Remote);
    };
    let (node, found) = match view.resolve(&local).await.map_err(|_| not_there(member))? {
        Resolved::Resource(node) => {
            let specialization = specialization_of(&node);
            let ty = node.ty;
            (node, Member::Local(ty, specialization))
        }
        // A nested group stands for its members.
        Resolved::FanOut(group, None) => {
            let of_members = Wanted::of(&group.attributes);
            (group, Member::Local(of_members.ty, of_members.specialization))
        }
        Resolved::FanOut(group, Some(_)) => (group, Member::Local(Ty(0), None)),
        Resolved::Latest(parent) | Resolved::Oldest(parent) => (parent, Member::Local(Ty::CONTENT_INSTANCE, None)),
        Resolved::PollingChannelUri(_) | Resolved::Other(..) => return Err(not_there(member)),
    };
    // Who may not read a member may not make it one (TS-0004 §7.4.13.2.1).
    if view.allows(requester, Access::RETRIEVE, &node, None).await? {
        Ok(found)
    } else {
        Err(Error::ReceiverHasNoPrivilege(member.to_owned()))
    }
}

fn not_there(member: &str) -> Error {
    Error::attribute(keys::MEMBER_IDS, format!("names '{member}', which does not exist"))
}

fn specialization_of(node: &Node) -> Option<Value> {
    let name = match node.ty {
        Ty::FLEX_CONTAINER => keys::CONTAINER_DEFINITION,
        Ty::MGMT_OBJ => keys::MGMT_DEFINITION,
        _ => return None,
    };
    node.attributes.get(name).cloned()
}

/// Whether the resource is or is below a member of the group, or of a group that is a member of it.
pub(crate) async fn has_member<Q: Source>(
    view: &mut View<'_, Q>,
    group: &Arc<Node>,
    resource: &Node,
) -> Result<bool, Error> {
    let mut line = Vec::new();
    let mut next = view.node(resource.seq).await?;
    while let Some(node) = next {
        next = view.parent(&node).await?;
        line.push(node);
    }
    let mut groups = vec![Arc::clone(group)];
    let mut at = 0;
    while let Some(group) = groups.get(at).cloned() {
        at += 1;
        for member in group.attributes.texts(keys::MEMBER_IDS) {
            let Target::Local(local, _) = Target::of(member, view.identity()) else {
                continue;
            };
            if let Some(nested) = local.strip_suffix("/fopt") {
                if groups.len() < NESTED_GROUPS_MAX
                    && let Some(nested) = view.plain(nested).await?
                    && groups.iter().all(|known| known.seq != nested.seq)
                {
                    groups.push(nested);
                }
            } else if is_one_of(view, &local, &line).await? {
                return Ok(true);
            }
        }
    }
    Ok(false)
}

/// Whether a CSE-relative address leads to one of the resources; looks it up only where the text cannot tell.
async fn is_one_of<Q: Source>(view: &mut View<'_, Q>, local: &str, resources: &[Arc<Node>]) -> Result<bool, Error> {
    if resources.iter().any(|node| local == node.path || local == node.id) {
        return Ok(true);
    }
    let is_hybrid = local.contains('/') && local.split('/').next() != Some(view.identity().cse_name.as_str());
    if !is_hybrid {
        return Ok(false);
    }
    Ok(view.plain(local).await?.is_some_and(|found| resources.iter().any(|node| node.seq == found.seq)))
}

/// What a request is sent to through a group: the member, and for a nested group those of its members that are meant.
pub(crate) struct Addressee {
    pub(crate) member: Text,
    pub(crate) of_nested: Option<Vec<Text>>,
}

/// The members that are meant: all, or those that the request names (`grtm`), also members of nested groups.
///
/// # Errors
/// [`Error::NoMembers`]; [`Error::InvalidParameter`] for a name that is no member.
pub(crate) async fn addressees<Q: Source>(
    view: &mut View<'_, Q>,
    group: &Arc<Node>,
    wanted: Option<&[Text]>,
) -> Result<Vec<Addressee>, Error> {
    let members: Vec<Text> = group.attributes.texts(keys::MEMBER_IDS).map(Text::from).collect();
    if members.is_empty() {
        return Err(Error::NoMembers);
    }
    let Some(wanted) = wanted else {
        return Ok(members.into_iter().map(|member| Addressee { member, of_nested: None }).collect());
    };
    let identity = view.identity();
    let form = |address: &str| match Target::of(address, identity) {
        Target::Local(local, _) => local,
        Target::Remote => address.into(),
    };
    let mut missing: FxHashMap<Text, &Text> = wanted.iter().map(|wanted| (form(wanted), wanted)).collect();
    let mut chosen: Vec<Option<Addressee>> = Vec::with_capacity(members.len());
    for member in &members {
        let is_wanted = missing.remove(&form(member)).is_some();
        chosen.push(is_wanted.then(|| Addressee { member: member.clone(), of_nested: None }));
    }
    // What is no member itself may be a member of a nested group.
    for (member, chosen) in members.iter().zip(&mut chosen) {
        if missing.is_empty() {
            break;
        }
        let nested = match form(member).strip_suffix("/fopt") {
            Some(nested) if chosen.is_none() => view.plain(nested).await?.filter(|node| node.ty == Ty::GROUP),
            _ => None,
        };
        let Some(nested) = nested else { continue };
        let mut of_nested = Vec::new();
        for (wanted, as_sent) in &missing {
            if let Some(node) = view.plain(wanted).await?
                && has_member(view, &nested, &node).await?
            {
                of_nested.push((wanted.clone(), (*as_sent).clone()));
            }
        }
        if !of_nested.is_empty() {
            for (wanted, _) in &of_nested {
                missing.remove(wanted);
            }
            let of_nested = of_nested.into_iter().map(|(_, as_sent)| as_sent).collect();
            *chosen = Some(Addressee { member: member.clone(), of_nested: Some(of_nested) });
        }
    }
    match missing.into_values().next() {
        Some(unknown) => Err(Error::parameter("grtm", format!("names '{unknown}', which is no member"))),
        None => Ok(chosen.into_iter().flatten().collect()),
    }
}
