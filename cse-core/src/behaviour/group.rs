//! `<group>`: members and their types (TS-0004 §7.4.13.2).

use crate::access::authorize::Requester;
use crate::access::policy::Access;
use crate::address::Resolved;
use crate::error::Error;
use crate::op::Draft;
use crate::schema::{Ty, keys};
use crate::value::{Map, Text, Value};
use crate::view::{Source, View};

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

pub(crate) async fn before_create<Q: Source>(
    view: &mut View<'_, Q>,
    requester: &Requester,
    draft: &mut Draft,
) -> Result<(), Error> {
    let attributes = &mut draft.attributes;
    if !attributes.contains(keys::MEMBER_TYPE) {
        attributes.insert(keys::MEMBER_TYPE, 0_i64);
    }
    if !attributes.contains(keys::CONSISTENCY_STRATEGY) {
        attributes.insert(keys::CONSISTENCY_STRATEGY, 1_i64);
    }
    check_members(view, requester, attributes).await
}

pub(crate) async fn before_update<Q: Source>(
    view: &mut View<'_, Q>,
    requester: &Requester,
    attributes: &mut Map,
    patch: &Map,
) -> Result<(), Error> {
    if patch.contains(keys::MEMBER_IDS) {
        return check_members(view, requester, attributes).await;
    }
    let count = attributes.texts(keys::MEMBER_IDS).count();
    check_count(view, attributes, count)
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
) -> Result<(), Error> {
    let mut members: Vec<Text> = Vec::new();
    let mut seen = rustc_hash::FxHashSet::default();
    for member in attributes.texts(keys::MEMBER_IDS) {
        let member = Text::from(member);
        if seen.insert(member.clone()) {
            members.push(member);
        }
    }
    check_count(view, attributes, members.len())?;
    let wanted = attributes.unsigned(keys::MEMBER_TYPE).and_then(|ty| u16::try_from(ty).ok()).map_or(Ty(0), Ty);
    let strategy = ConsistencyStrategy::of(attributes);
    let mut all_known = true;
    let mut fitting = Vec::with_capacity(members.len());
    for member in &members {
        if wanted == Ty(0) {
            // A mixed group takes members unseen.
            fitting.push(member.clone());
            continue;
        }
        match member_type(view, requester, member).await? {
            Member::Type(ty) if ty == wanted => fitting.push(member.clone()),
            Member::Remote => {
                all_known = false;
                fitting.push(member.clone());
            }
            Member::Type(_) => match strategy {
                ConsistencyStrategy::AbandonGroup => return Err(Error::MemberTypeInconsistent(member.to_string())),
                ConsistencyStrategy::AbandonMember => {}
                ConsistencyStrategy::SetMixed => {
                    attributes.insert(keys::MEMBER_TYPE, 0_i64);
                    fitting.push(member.clone());
                }
            },
        }
    }
    attributes.insert(keys::CURRENT_NR_OF_MEMBERS, fitting.len() as i64);
    attributes.insert(keys::MEMBER_IDS, Value::text_list(fitting));
    if attributes.int(keys::MEMBER_TYPE) == Some(0) {
        attributes.remove(keys::MEMBER_TYPE_VALIDATED);
    } else {
        attributes.insert(keys::MEMBER_TYPE_VALIDATED, all_known);
    }
    Ok(())
}

enum Member {
    Type(Ty),
    /// Of another CSE: its type cannot be known now.
    Remote,
}

async fn member_type<Q: Source>(view: &mut View<'_, Q>, requester: &Requester, member: &str) -> Result<Member, Error> {
    let crate::address::Target::Local(local, _) = crate::address::Target::of(member, view.identity()) else {
        return Ok(Member::Remote);
    };
    let not_there = |_| Error::attribute(keys::MEMBER_IDS, format!("names '{member}', which does not exist"));
    match view.resolve(&local).await.map_err(not_there)? {
        Resolved::Resource(node) => {
            // Who may not read a member may not make it one (TS-0004 §7.4.13.2.1).
            if view.allows(requester, Access::RETRIEVE, &node, None).await? {
                Ok(Member::Type(node.ty))
            } else {
                Err(Error::ReceiverHasNoPrivilege(member.to_owned()))
            }
        }
        // A nested group stands for its members.
        Resolved::FanOut(group, rest) => {
            let ty = group.attributes.unsigned(keys::MEMBER_TYPE).and_then(|ty| u16::try_from(ty).ok());
            Ok(Member::Type(if rest.is_none() { ty.map_or(Ty(0), Ty) } else { Ty(0) }))
        }
        Resolved::Latest(_) | Resolved::Oldest(_) => Ok(Member::Type(Ty::CONTENT_INSTANCE)),
        Resolved::Other(..) => Err(not_there(Error::NoMatch)),
    }
}
