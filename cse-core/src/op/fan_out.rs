//! `<fanOutPoint>`: the same request to all members of a group (TS-0004 §7.4.14.2).

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use futures_util::StreamExt;
use futures_util::stream;

use super::{Answers, Cx, Refusal, answer};
use crate::access::authorize::AccessQuestion;
use crate::access::policy::Access;
use crate::behaviour::group::{Addressee, GroupAnswers, addressees, is_virtual};
use crate::behaviour::subscription;
use crate::cse::Cse;
use crate::digest;
use crate::error::{Error, Rsc};
use crate::id::Seq;
use crate::node::Node;
use crate::ports::{BoxFuture, ReplyKey, Store};
use crate::primitive::{Operation, Redelivery, Request, Response};
use crate::resource::approximate_bytes;
use crate::schema::{Ty, keys, type_def};
use crate::time::Timestamp;
use crate::value::{Map, Text, Value};
use crate::view::{Source, View};

/// Groups of groups that one request goes through.
const NESTING_MAX: usize = 8;

/// What a request brings along that a group of this CSE sends to a member.
#[derive(Clone, Debug, Default)]
pub(crate) struct Through {
    /// So many groups it came through.
    groups: usize,
    /// Notification targets that have confirmed already.
    pub(crate) verified: Arc<[Text]>,
    /// The `<request>` that gets the result, if one change is all there is to do.
    pub(crate) fulfils: Option<Seq>,
    /// What is known of the members of a group that it changes.
    pub(crate) group: Arc<GroupAnswers>,
    /// By then it has to have ended, however late it expires. Not in the request, so that a repetition is the same.
    pub(crate) until: Option<Timestamp>,
    /// The identifier under which another CSE gets it, however often it is tried; made for it and for nothing else.
    pub(crate) passed_on_as: Option<Text>,
    /// Whether its target is another one than it came with: where an AE is that it names by its S-type AE-ID. That may well
    /// be where it came from.
    pub(crate) is_redirected: bool,
    /// Set when a group was left with members that have not answered: its answer is a success all the same.
    pub(crate) is_partial: Arc<AtomicBool>,
}

impl Through {
    /// Through no group; with the result going to a `<request>`, before some time.
    pub(crate) fn fulfilling(fulfils: Option<Seq>, until: Timestamp) -> Self {
        Self { fulfils, until: Some(until), ..Self::default() }
    }

    /// Through no group, about one.
    pub(crate) fn deciding(group: GroupAnswers) -> Self {
        Self { group: Arc::new(group), ..Self::default() }
    }
}

impl Through {
    /// Whether it came through any group.
    pub(crate) fn is_of_group(&self) -> bool {
        self.groups > 0
    }
}

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
            Redelivery::New | Redelivery::Possible | Redelivery::PossibleWithin(_) | Redelivery::UsedOnce => {
                Self::Derived(key)
            }
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
        through: Through,
    ) -> BoxFuture<'a, Result<Response, Error>> {
        Box::pin(async move {
            let mut read = 0;
            loop {
                let mut view = self.0.view();
                let may = may_fan_out(&mut view, &request, &cx, &group).await;
                if !self.learn(view, &mut read, cx.deadline).await {
                    break may?;
                }
            }
            if through.groups >= NESTING_MAX {
                return Err(Error::NotImplemented(format!("a fan-out through more than {NESTING_MAX} nested groups")));
            }
            let wanted = request.group_request_target_members.as_deref();
            let members = addressees(&mut self.0.view(), &group, wanted).await?;
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
            let timeout = self.0.clock.sleep(until.since(now));
            tokio::pin!(timeout);
            let is_partial = Arc::clone(&through.is_partial);
            let mut single = request.clone();
            let through = tokio::select! {
                biased;
                collecting = self.collect_notifications(&mut single, &cx, &group, through) => collecting?,
                () = &mut timeout => return Err(Error::MembersNotResponded),
            };
            single.group_request_identifier = Some(identifier);
            let is_of_members = rest.is_none();
            let answers = self.ask_members(single, members, rest, through, identifiers);
            tokio::pin!(answers);
            let mut collected = Vec::new();
            loop {
                tokio::select! {
                    // Time first: a member whose request ends at the same time has not answered before that.
                    biased;
                    () = &mut timeout => {
                        is_partial.store(true, Ordering::Relaxed);
                        break;
                    }
                    next = answers.next() => match next {
                        Some(answer) => collected.push(answer),
                        None => break,
                    },
                }
            }
            if collected.is_empty() {
                return Err(Error::MembersNotResponded);
            }
            collected.sort_unstable_by_key(|(at, _)| *at);
            if is_of_members && request.operation == Operation::Delete {
                let gone = collected.iter().filter(|(_, response)| response.status == Rsc::Deleted);
                let gone = gone.filter_map(|(_, response)| response.from.clone());
                let gone: Vec<Text> = gone.filter(|member| is_virtual(member).is_none()).collect();
                if !gone.is_empty() {
                    self.forget_members(&group, gone).await;
                }
            }
            Ok(self.aggregate(&request, collected.into_iter().map(|(_, response)| response)))
        })
    }

    /// One answer of all: those contents that exceed the bound of a result are left out, and it says so.
    fn aggregate(&self, request: &Request, responses: impl Iterator<Item = Response>) -> Response {
        let mut bytes = 0;
        let mut is_complete = true;
        let list = responses.map(|mut response| {
            let size = response.content.as_ref().map_or(0, approximate_bytes);
            if bytes + size > self.0.settings.result_bytes_max && bytes > 0 {
                response.content = None;
                is_complete = false;
            } else {
                bytes += size;
            }
            Value::Map(response.into_map())
        });
        let list = Value::List(list.collect());
        let mut response = answer(request, Rsc::Ok, Some(Map::single("m2m:agr", Map::single("m2m:rsp", list))));
        if !is_complete {
            response.content_complete = Some(false);
        }
        response
    }

    /// Puts the group in the place of the targets of a subscription that names who is notified through it (`nfu`),
    /// once that target has confirmed (TS-0004 §7.4.14.2.3).
    async fn collect_notifications(
        &self,
        request: &mut Request,
        cx: &Cx,
        group: &Arc<Node>,
        through: Through,
    ) -> Result<Through, Error> {
        let groups = through.groups + 1;
        let is_subscription = request.operation == Operation::Create && request.resource_type == Some(Ty::SUBSCRIPTION);
        let attributes = request.content.as_mut().and_then(|content| content.get_mut("m2m:sub"));
        let Some(Value::Map(attributes)) = attributes.filter(|_| is_subscription) else {
            return Ok(Through { groups, ..through });
        };
        let forwarding = attributes.text(keys::NOTIFICATION_FORWARDING_URI).map(Text::from);
        // A group within a group leaves it to the outer one, so that there is one notification of all.
        let Some(forwarding) = forwarding.filter(|_| through.groups == 0) else {
            return Ok(Through { groups, ..through });
        };
        let address = self.0.settings.identity.sp_relative(&group.id);
        attributes.insert(keys::NOTIFICATION_URI, Value::text_list([address]));
        let targets = vec![forwarding.clone()];
        let confirmed = subscription::verify(&mut self.0.view(), &cx.requester, &group.id, targets, &[]).await;
        match confirmed {
            Ok(()) => {}
            Err(Refusal::Error(error)) => return Err(error),
            Err(Refusal::Ask(question)) => self.ask(question, &mut Answers::default(), cx.deadline).await?,
        }
        Ok(Through { groups, verified: [forwarding].into(), ..through })
    }

    fn identifier(&self, identifiers: Identifiers, place: usize) -> Text {
        match identifiers {
            Identifiers::New => self.0.new_request_identifier(),
            Identifiers::Derived(ReplyKey(key)) => {
                smol_str::format_smolstr!("{}-{key:x}-{place}", self.0.settings.identity.base_id())
            }
        }
    }

    /// The members' answers with their places, some asked at the same time.
    fn ask_members<'a>(
        &'a self,
        request: Request,
        members: Vec<Addressee>,
        rest: Option<Text>,
        through: Through,
        identifiers: Identifiers,
    ) -> impl stream::Stream<Item = (usize, Response)> + Send + use<'a, S> {
        let width = self.0.settings.fan_out_width.max(1);
        let request = Arc::new(request);
        stream::iter(members.into_iter().enumerate())
            .map(move |(at, addressee)| {
                let (request, rest, through) = (Arc::clone(&request), rest.clone(), through.clone());
                let answer: BoxFuture<'a, (usize, Response)> = Box::pin(async move {
                    // Made only now, so that there are never more copies than members that are asked.
                    let mut single = Request::clone(&request);
                    let member = addressee.member;
                    single.to = match rest {
                        Some(rest) => smol_str::format_smolstr!("{member}/{rest}"),
                        None => member.clone(),
                    };
                    single.request_identifier = self.identifier(identifiers, at + 1);
                    single.group_request_target_members = addressee.of_nested;
                    let result = self.handle_through(single, through).await;
                    let identifier = request.request_identifier.clone();
                    let mut response = result.unwrap_or_else(|error| Response::error(identifier.clone(), &error));
                    response.request_identifier = identifier;
                    response.from = Some(member);
                    (at, response)
                });
                answer
            })
            .buffer_unordered(width)
    }
}

/// The group's own policies decide who may reach its members through it (`macp`, else `acpi`).
async fn may_fan_out<Q: Source>(
    view: &mut View<'_, Q>,
    request: &Request,
    cx: &Cx,
    group: &Arc<Node>,
) -> Result<(), Error> {
    let access = Access::from(request.operation);
    let policies = group.attributes.get(keys::MEMBERS_ACCESS_CONTROL_POLICY_IDS);
    if let Some(policies) = policies
        && !cx.requester.privileged
    {
        let question =
            AccessQuestion { requester: &cx.requester, access, target_type: group.ty, creates: request.resource_type };
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
