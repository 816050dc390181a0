//! `<fanOutPoint>`: the same request to all members of a group (TS-0004 §7.4.14.3).

use std::sync::Arc;

use futures_util::StreamExt;
use futures_util::stream;

use super::{Cx, answer};
use crate::access::authorize::AccessQuestion;
use crate::access::policy::Access;
use crate::cse::Cse;
use crate::digest;
use crate::error::{Error, Rsc};
use crate::node::Node;
use crate::ports::{BoxFuture, ReplyKey, Store};
use crate::primitive::{Operation, Redelivery, Request, Response};
use crate::schema::{Ty, keys, type_def};
use crate::value::{Map, Text, Value};

/// Where the identifiers of the requests to members come from.
#[derive(Clone, Copy)]
enum Identifiers {
    /// New ones each time.
    New,
    /// From the request, so that a redelivery asks the members the same, and each answers from its record.
    Derived(ReplyKey),
}

impl Identifiers {
    fn of(request: &Request, key: ReplyKey) -> Self {
        match request.context.redelivery {
            Redelivery::Never => Self::New,
            Redelivery::New | Redelivery::Possible | Redelivery::PossibleWithin(_) => Self::Derived(key),
        }
    }
}

impl<S: Store> Cse<S> {
    /// Sends a request to all members and puts their answers together.
    pub(crate) fn fan_out<'a>(
        &'a self,
        request: Request,
        cx: Cx,
        group: Arc<Node>,
        rest: Option<Text>,
    ) -> BoxFuture<'a, Result<Response, Error>> {
        Box::pin(async move {
            self.may_fan_out(&request, &cx, &group).await?;
            let members = members_of(&group, &request)?;
            check_child_type(&group, &request, rest.as_ref())?;
            let key = digest::of(&request);
            let identifiers = Identifiers::of(&request, key);
            let identifier = match &request.group_request_identifier {
                Some(identifier) => identifier.clone(),
                None => self.identifier(identifiers, 0),
            };
            if !self.note_group_request(&identifier, group.seq, key) {
                return Err(Error::GroupRequestIdentifierExists(identifier.to_string()));
            }
            let now = self.0.clock.now();
            let until = request.result_expiration.map_or(cx.deadline, |time| time.at(now).min(cx.deadline));
            let answers = self.ask_members(&request, members, rest.as_ref(), &identifier, identifiers);
            tokio::pin!(answers);
            let mut collected = Vec::new();
            let timeout = self.0.clock.sleep(until.since(now));
            tokio::pin!(timeout);
            loop {
                tokio::select! {
                    biased;
                    next = answers.next() => match next {
                        Some(answer) => collected.push(answer),
                        None => break,
                    },
                    () = &mut timeout => break,
                }
            }
            if collected.is_empty() {
                return Err(Error::MembersNotResponded);
            }
            let content = Map::single("m2m:agr", Map::single("m2m:rsp", Value::List(collected)));
            Ok(answer(&request, Rsc::Ok, Some(content)))
        })
    }

    /// The group's own policies decide who may reach its members through it (`macp`, else `acpi`).
    async fn may_fan_out(&self, request: &Request, cx: &Cx, group: &Arc<Node>) -> Result<(), Error> {
        let mut view = self.0.view();
        let access = Access::from(request.operation);
        let policies = group.attributes.get(keys::MEMBERS_ACCESS_CONTROL_POLICY_IDS);
        if let Some(policies) = policies
            && !cx.requester.privileged
        {
            let question = AccessQuestion {
                requester: &cx.requester,
                access,
                target_type: group.ty,
                creates: request.resource_type,
            };
            if view.any_policy_allows(policies, false, &question).await? {
                return Ok(());
            }
            return Err(Error::NoPrivilege {
                originator: cx.requester.originator.to_string(),
                operation: access.name(),
                target: format!("members of '{}'", group.path),
            });
        }
        let _permit = match request.resource_type {
            Some(child) if request.operation == Operation::Create => {
                view.authorize_create(&cx.requester, group, child).await?
            }
            _ => view.authorize(&cx.requester, access, group).await?,
        };
        Ok(())
    }

    fn identifier(&self, identifiers: Identifiers, place: usize) -> Text {
        match identifiers {
            Identifiers::New => self.0.new_request_identifier(),
            Identifiers::Derived(ReplyKey(key)) => {
                smol_str::format_smolstr!("{}-{key:x}-{place}", self.0.settings.identity.base_id())
            }
        }
    }

    /// The members' answers, in their order, some of them asked at the same time.
    fn ask_members<'a>(
        &'a self,
        request: &Request,
        members: Vec<Text>,
        rest: Option<&Text>,
        identifier: &Text,
        identifiers: Identifiers,
    ) -> impl stream::Stream<Item = Value> + Send + use<'a, S> {
        let width = self.0.settings.fan_out_width.max(1);
        let requests: Vec<(Text, Request)> = members
            .into_iter()
            .zip(1..)
            .map(|(member, place)| {
                let mut single = request.clone();
                single.to = match rest {
                    Some(rest) => smol_str::format_smolstr!("{member}/{rest}"),
                    None => member.clone(),
                };
                single.request_identifier = self.identifier(identifiers, place);
                single.group_request_identifier = Some(identifier.clone());
                single.group_request_target_members = None;
                (member, single)
            })
            .collect();
        let of_request = request.request_identifier.clone();
        stream::iter(requests)
            .map(move |(member, single)| {
                let of_request = of_request.clone();
                let answer: BoxFuture<'a, Value> = Box::pin(async move {
                    let result = self.handle(single).await;
                    let mut response = result.unwrap_or_else(|error| Response::error(of_request.clone(), &error));
                    response.request_identifier = of_request;
                    response.from = Some(member);
                    Value::Map(response.into_map())
                });
                answer
            })
            .buffered(width)
    }
}

/// The members that are meant: all, or those that the request names (`grtm`).
fn members_of(group: &Node, request: &Request) -> Result<Vec<Text>, Error> {
    let members: Vec<Text> = group.attributes.texts(keys::MEMBER_IDS).map(Text::from).collect();
    if members.is_empty() {
        return Err(Error::NoMembers);
    }
    let Some(wanted) = &request.group_request_target_members else {
        return Ok(members);
    };
    if let Some(unknown) = wanted.iter().find(|wanted| !members.contains(wanted)) {
        return Err(Error::parameter("grtm", format!("names '{unknown}', which is no member")));
    }
    Ok(members.into_iter().filter(|member| wanted.contains(member)).collect())
}

/// What no member can have as a child need not be tried.
fn check_child_type(group: &Node, request: &Request, rest: Option<&Text>) -> Result<(), Error> {
    let member_type = group.attributes.unsigned(keys::MEMBER_TYPE).and_then(|ty| u16::try_from(ty).ok()).map(Ty);
    if let (Some(child), Some(member), None) = (request.resource_type, member_type, rest)
        && request.operation == Operation::Create
        && member != Ty(0)
        && let (Some(member), Some(child_def)) = (type_def(member), type_def(child))
        && !member.allows_child(child)
    {
        return Err(Error::InvalidChildType { child: child_def.name.into(), parent: member.name.into() });
    }
    Ok(())
}
