//! CREATE (TS-0004 §7.2.2.2, §7.3.3).

use std::sync::Arc;

use super::{
    Answers, Cx, Decided, Draft, Refusal, answer, delete, expiration_time, renew, resource_at, result_content,
    s_record, s_type,
};
use crate::access::authorize::Permit;
use crate::access::credential;
use crate::access::policy::Access;
use crate::announce::{self, derive, state::Copies};
use crate::behaviour::{self, ae, announced, remote_cse, subscription::EventType};
use crate::cache::newest_type;
use crate::content;
use crate::error::{Error, Rsc};
use crate::id::{CseIdentity, CseType, Originator, Seq, is_resource_name};
use crate::node::{Node, is_instance};
use crate::notify::Happening;
use crate::overlay::Effects;
use crate::primitive::{Operation, Request, Response, ResultContent};
use crate::registrations;
use crate::resource::{Resource, generated_id, seq_of_generated_id};
use crate::schema::{self, Ty, TypeDef, Virtual, keys, type_def};
use crate::time::Timestamp;
use crate::value::{Map, Text, Value};
use crate::view::{Source, View};

pub(super) const RESULT_CONTENTS: [ResultContent; 5] = [
    ResultContent::Nothing,
    ResultContent::Attributes,
    ResultContent::HierarchicalAddress,
    ResultContent::HierarchicalAddressAndAttributes,
    ResultContent::ModifiedAttributes,
];

/// Levels of the tree. Trees are walked, and written into answers, level by level within each other.
const LEVELS_MAX: usize = 100;

/// Decides a CREATE.
pub(crate) async fn decide<Q: Source>(
    view: &mut View<'_, Q>,
    cx: &Cx,
    request: &Request,
    answers: &mut Answers,
) -> Result<Decided, Refusal> {
    let ty = request.resource_type.ok_or(Error::MissingParameter("ty"))?;
    let wanted = result_content(request, ResultContent::Attributes, &RESULT_CONTENTS)?;
    if ty == Ty::AE.announced()
        && let Some(claim) = s_record::Claim::of(&cx.requester.originator, view.identity())
    {
        return s_record::create(view, cx, request, answers, &claim).await;
    }
    let parent = resource_at(view, cx, Operation::Create).await?;
    let (permit, def) = authorize(view, cx, &parent, ty).await?;
    let mut content = request.content.clone().ok_or(Error::MissingParameter("pc"))?;
    if matches!(ty, Ty::AE | Ty::REMOTE_CSE) {
        ae::supplement_release_1(&mut content, cx.release);
    }
    let (typed, sent) = content::typed(&content, ty)?;
    let def = if typed.ty == ty { typed } else { def };
    if ty.is_announced() {
        let copy = announced::existing(view, &parent, ty, &cx.requester.originator, sent).await?;
        if let Some(copy) = copy {
            return renew::decide(view, request, permit, def, sent, &copy).await;
        }
    }
    let mut effects = Effects::new(permit);
    let mut draft = draft(view, cx, &parent, def, sent, answers, &mut effects).await?;
    let parent = effects.current(parent.seq).map_or(parent, Arc::clone);
    behaviour::before_create(view, &cx.requester, &parent, &mut draft, &mut effects).await?;
    if let Some(question) = s_type::question(view, cx, request, &draft, answers).await? {
        return Err(Refusal::Ask(question));
    }
    let node = Arc::new(finish(view, &parent, draft));
    insert(view, &parent, &node, &mut effects).await?;
    if ty == Ty::SUBSCRIPTION {
        view.notify_of_the_past(&parent, &node, &mut effects).await?;
    }
    Ok(Decided { effects, response: created(view, request, wanted, &node, sent) })
}

/// Adds a resource, of which those are told that watch its parent.
pub(crate) async fn insert<Q: Source>(
    view: &mut View<'_, Q>,
    parent: &Arc<Node>,
    node: &Arc<Node>,
    effects: &mut Effects,
) -> Result<(), Error> {
    effects.inserted.push(Arc::clone(node));
    let happening = Happening { event: EventType::CreateOfDirectChild, subject: node, modified: None };
    view.notify(parent, &happening, effects).await
}

/// The answer to a CREATE with what was sent.
pub(super) fn created<Q: Source>(
    view: &View<'_, Q>,
    request: &Request,
    wanted: ResultContent,
    node: &Arc<Node>,
    sent: &Map,
) -> Response {
    let mut response = answer(request, Rsc::Created, result(view, wanted, node, sent));
    response.created_at = Some(view.identity().sp_relative(&node.path).into());
    response
}

/// May the originator create a resource of the type here, and can it exist here at all?
async fn authorize<Q: Source>(
    view: &mut View<'_, Q>,
    cx: &Cx,
    parent: &Arc<Node>,
    ty: Ty,
) -> Result<(Permit, &'static TypeDef), Error> {
    let def = type_def(ty);
    if ty == Ty::REMOTE_CSE && parent.ty == Ty::CSE_BASE {
        remote_cse::authorize(&cx.requester, view.settings)?;
    }
    let permit = view.authorize_create(&cx.requester, parent, ty).await?;
    if ty == Ty::SUBSCRIPTION {
        let _permit = view.authorize(&cx.requester, Access::RETRIEVE, parent).await?;
    }
    let def = def.ok_or_else(|| Error::parameter("ty", format!("{ty} is no resource type")))?;
    if matches!(ty, Ty::CSE_BASE | Ty::REQUEST) {
        return Err(Error::OperationNotAllowed { operation: "CREATE", target: format!("resource type {}", def.name) });
    }
    if def.in_cse_only && view.identity().cse_type != CseType::In {
        return Err(Error::OperationNotAllowed {
            operation: "CREATE",
            target: format!("resource type {}, which only an IN-CSE hosts", def.name),
        });
    }
    if !def.implemented {
        return Err(Error::NotImplemented(format!("resource type {} ({ty})", def.name)));
    }
    let parent_def = type_def(parent.ty);
    if !parent_def.is_some_and(|parent| parent.allows_child(ty)) {
        let parent_name = parent_def.map_or("an unknown type", |def| def.name);
        if ty == Ty::SUBSCRIPTION {
            return Err(Error::NotSubscribable(parent_name.into()));
        }
        return Err(Error::InvalidChildType { child: def.name.into(), parent: parent_name.into() });
    }
    if parent.path.split('/').count() >= LEVELS_MAX {
        let problem = format!("resources are at most {LEVELS_MAX} levels deep, '{}' is at the last", parent.name);
        return Err(Error::TooLarge(problem));
    }
    Ok((permit, def))
}

/// Checks what was sent and gives the new resource number, identifier, name and times.
async fn draft<Q: Source>(
    view: &mut View<'_, Q>,
    cx: &Cx,
    parent: &Arc<Node>,
    def: &'static TypeDef,
    sent: &Map,
    answers: &mut Answers,
    effects: &mut Effects,
) -> Result<Draft, Error> {
    let mut attributes = schema::check_create(def, sent)?;
    let wanted_expiration = take_expiration(&mut attributes, view.now)?;
    if attributes.contains(keys::CREATOR) {
        attributes.insert(keys::CREATOR, &cx.requester.originator);
    }
    announce_to(&mut attributes, parent, def.ty, &Copies::new(), view.identity())?;
    if matches!(def.ty, Ty::AE | Ty::REMOTE_CSE)
        && let Some(credential) = credential::proven(&cx.requester)
    {
        attributes.insert(registrations::CREDENTIAL, credential.clone());
    }
    let seq = match answers.seq {
        Some(seq) => seq,
        None => *answers.seq.insert(view.source.next_number()?),
    };
    let id = match def.ty {
        Ty::AE => registration_id(view, cx, seq, answers, effects).await?,
        Ty::REMOTE_CSE => cse_registration_id(view, cx, effects).await?,
        _ => generated_id(def.short, seq),
    };
    let name = match attributes.remove(keys::RESOURCE_NAME) {
        Some(Value::Text(name)) => {
            check_name(view, parent, &name, seq, effects).await?;
            name
        }
        _ => {
            let wanted = match def.ty {
                Ty::REMOTE_CSE => remote_cse::default_name(remote_cse::cse_id(&cx.requester, view.settings).as_str()),
                ty if ty.is_announced() => Some(announced::name(&cx.requester.originator, &attributes)),
                _ => None,
            };
            free_name(view, parent, def.ty, &wanted.unwrap_or_else(|| id.clone())).await?
        }
    };
    Ok(Draft {
        ty: def.ty,
        seq,
        id,
        name,
        attributes,
        expiration_time: Some(expiration_time(wanted_expiration, parent.expiration_time, view.now, view.settings)),
        state_tag: def.attribute(keys::STATE_TAG).map(|_| 0),
        content_size: None,
        creator: cx.requester.originator.clone(),
        verified: answers.verified.clone(),
        group: Arc::clone(&answers.group),
    })
}

/// Takes `et` out of the attributes; a time that has passed is refused.
pub(super) fn take_expiration(attributes: &mut Map, now: Timestamp) -> Result<Option<Timestamp>, Error> {
    let Some(value) = attributes.remove(keys::EXPIRATION_TIME) else {
        return Ok(None);
    };
    let time = value.as_text().and_then(Timestamp::parse);
    match time {
        Some(time) if time <= now => {
            Err(Error::attribute(keys::EXPIRATION_TIME, format!("(expirationTime) has passed; it is {now} now")))
        }
        time => Ok(time),
    }
}

/// Brings the announcement targets that an originator wants into the form in which they are stored. Their copies are made
/// after the answer (TS-0004 §7.3.3.10).
///
/// # Errors
/// [`Error::OperationNotAllowed`] for instances whose container is not announced there.
pub(super) fn announce_to(
    attributes: &mut Map,
    parent: &Node,
    ty: Ty,
    copies: &Copies,
    identity: &CseIdentity,
) -> Result<(), Error> {
    let Some(entries) = attributes.get(keys::ANNOUNCE_TO).filter(|entries| !entries.is_null()) else {
        return Ok(());
    };
    let targets = derive::normalized(entries.texts(), copies, identity)?;
    if is_instance(ty) {
        let hosts = announce::state::of(parent);
        let is_free = |target: &Text| {
            identity.cse_id_of(target).is_some_and(|host| host == *target && !hosts.contains_key(&host))
        };
        if let Some(target) = targets.iter().find(|target| is_free(target)) {
            let target = format!(
                "'{}': instances are announced with their container, which is not announced to {target}",
                parent.path
            );
            return Err(Error::OperationNotAllowed { operation: "announcement below", target });
        }
    }
    if targets.is_empty() || announce::copy::variant(ty).is_none() {
        attributes.remove(keys::ANNOUNCE_TO);
    } else {
        attributes.insert(keys::ANNOUNCE_TO, Value::text_list(targets));
    }
    Ok(())
}

async fn check_name<Q: Source>(
    view: &mut View<'_, Q>,
    parent: &Node,
    name: &str,
    seq: Seq,
    effects: &mut Effects,
) -> Result<(), Error> {
    if !is_resource_name(name) {
        return Err(Error::attribute(
            keys::RESOURCE_NAME,
            format!("'{name}' must begin with a letter or digit and have only letters, digits, '-', '.', '_'"),
        ));
    }
    if Virtual::from_short_name(name).is_some() {
        return Err(Error::attribute(keys::RESOURCE_NAME, format!("'{name}' is the name of a virtual resource")));
    }
    if is_reserved_for_instance(parent, name, seq) {
        let problem = format!("'{name}' is kept for an instance to come, which this CSE names so");
        return Err(Error::attribute(keys::RESOURCE_NAME, problem));
    }
    let sibling = view.child(parent, name).await?;
    if is_in_the_way(view, sibling, effects).await? {
        return Err(Error::NameConflict(name.to_owned()));
    }
    Ok(())
}

/// Whether a later instance would be given that name. Instances come in too great numbers to look for a free name
/// for each.
fn is_reserved_for_instance(parent: &Node, name: &str, seq: Seq) -> bool {
    let instance = newest_type(parent.ty).and_then(type_def);
    let number = seq_of_generated_id(name).filter(|number| *number > seq);
    instance.zip(number).is_some_and(|(instance, number)| generated_id(instance.short, number) == name)
}

/// The name of a resource that came without one: the wanted one, if no sibling has it.
pub(crate) async fn free_name<Q: Source>(
    view: &mut View<'_, Q>,
    parent: &Node,
    ty: Ty,
    wanted: &Text,
) -> Result<Text, Error> {
    let mut name = wanted.clone();
    let mut number = 0;
    while !is_instance(ty) && view.child(parent, &name).await?.is_some() {
        number += 1;
        name = smol_str::format_smolstr!("{wanted}-{number}");
    }
    Ok(name)
}

/// Whether the holder of a name or an identifier keeps it; one that has expired is deleted now.
async fn is_in_the_way<Q: Source>(
    view: &mut View<'_, Q>,
    holder: Option<Arc<Node>>,
    effects: &mut Effects,
) -> Result<bool, Error> {
    match holder {
        Some(holder) if effects.deletes(holder.seq) => Ok(false),
        Some(holder) if holder.is_expired(view.now) => {
            delete::remove(view, &holder, effects).await?;
            Ok(false)
        }
        Some(_) => Ok(true),
        None => Ok(false),
    }
}

/// The AE-ID stem of a new registration.
async fn registration_id<Q: Source>(
    view: &mut View<'_, Q>,
    cx: &Cx,
    seq: Seq,
    answers: &Answers,
    effects: &mut Effects,
) -> Result<Text, Error> {
    let settings = view.settings;
    let sent = Some(cx.requester.originator.as_str()).filter(|text| !text.is_empty());
    let wanted = match &answers.stem {
        Some(given) => ae::Wanted::Stem(given.clone()),
        None => ae::Wanted::of(sent, &cx.requester, settings)?,
    };
    let stem = match wanted {
        // Until the IN-CSE has been asked.
        ae::Wanted::Any('S') if s_type::are_given_above(settings) => return Ok(s_record::ANY.into()),
        ae::Wanted::Any(letter) => new_stem(view, letter, seq).await?,
        ae::Wanted::Stem(stem) => {
            check_stem_is_free(view, &stem, effects).await?;
            stem
        }
    };
    credential::check(settings, &cx.requester, &stem, false)?;
    let is_admin = settings.admin.as_str() == stem;
    if !is_admin && !settings.allows_ae(&stem) {
        return Err(Error::RegistrationNotAllowed(stem.to_string()));
    }
    Ok(stem)
}

/// A stem that nobody has.
pub(super) async fn new_stem<Q: Source>(view: &mut View<'_, Q>, letter: char, seq: Seq) -> Result<Text, Error> {
    let mut stem = smol_str::format_smolstr!("{letter}AE{seq}");
    let mut number = 0;
    // Somebody may have asked for that very stem; nobody is given the identity of another.
    while is_taken(view, &stem).await? {
        number += 1;
        stem = smol_str::format_smolstr!("{letter}AE{seq}-{number}");
    }
    Ok(stem)
}

/// Whether an AE may have that stem; what has expired is in nobody's way.
///
/// # Errors
/// [`Error::AlreadyRegistered`].
pub(super) async fn check_stem_is_free<Q: Source>(
    view: &mut View<'_, Q>,
    stem: &Text,
    effects: &mut Effects,
) -> Result<(), Error> {
    let holder = view.by_id(stem).await?;
    let holder = s_record::give_way(view, holder, effects).await?;
    if *stem == view.identity().cse_name || is_in_the_way(view, holder, effects).await? {
        return Err(Error::AlreadyRegistered(stem.to_string()));
    }
    if let Some(cse) = remote_cse::namesake(stem, view.identity()) {
        let holder = view.by_id(&cse).await?;
        if is_in_the_way(view, holder, effects).await? {
            return Err(Error::AlreadyRegistered(stem.to_string()));
        }
    }
    Ok(())
}

/// The identifier of a new `<remoteCSE>`.
async fn cse_registration_id<Q: Source>(view: &mut View<'_, Q>, cx: &Cx, effects: &mut Effects) -> Result<Text, Error> {
    let cse_id = remote_cse::cse_id(&cx.requester, view.settings);
    let id = remote_cse::resource_id(cse_id.as_str(), view.identity());
    let holder = view.by_id(&id).await?;
    if is_in_the_way(view, holder, effects).await? {
        return Err(Error::AlreadyRegistered(cse_id.to_string()));
    }
    // An S-type AE-ID and a CSE-ID are unique among both: SP-relative they are one.
    if let Some(stem) = cse_id.as_str().strip_prefix('/').filter(|stem| stem.starts_with('S')) {
        let holder = view.by_id(stem).await?.filter(|node| node.ty == Ty::AE || s_record::is_record(node));
        if is_in_the_way(view, holder, effects).await? {
            return Err(Error::AlreadyRegistered(cse_id.to_string()));
        }
    }
    Ok(id)
}

async fn is_taken<Q: Source>(view: &mut View<'_, Q>, stem: &str) -> Result<bool, Error> {
    // An address that begins with the name of the CSEBase leads there.
    if stem == view.identity().cse_name || view.by_id(stem).await?.is_some() {
        return Ok(true);
    }
    match remote_cse::namesake(stem, view.identity()) {
        Some(cse) => Ok(view.by_id(&cse).await?.is_some()),
        None => Ok(false),
    }
}

fn finish<Q: Source>(view: &View<'_, Q>, parent: &Node, draft: Draft) -> Node {
    let path = smol_str::format_smolstr!("{}/{}", parent.path, draft.name);
    let mut attributes = draft.attributes;
    if draft.ty == Ty::AE && attributes.contains(keys::CREATOR) {
        attributes.insert(keys::CREATOR, Value::from(&draft.creator));
    }
    let resource = Resource {
        seq: draft.seq,
        parent: Some(parent.seq),
        ty: draft.ty,
        id: draft.id,
        name: draft.name,
        parent_id: parent.id.clone(),
        creation_time: view.now,
        last_modified_time: view.now,
        expiration_time: draft.expiration_time,
        state_tag: draft.state_tag,
        content_size: draft.content_size,
        creator: Originator::from_canonical(draft.creator.text().clone()),
        attributes,
    };
    Node::new(resource, path, view.identity())
}

pub(super) fn result<Q: Source>(view: &View<'_, Q>, wanted: ResultContent, node: &Node, sent: &Map) -> Option<Map> {
    let address = || content::address_of(node, false);
    match wanted {
        ResultContent::Nothing => None,
        ResultContent::HierarchicalAddress => Some(Map::single("m2m:uri", address())),
        ResultContent::HierarchicalAddressAndAttributes => {
            let mut wrapper = content::representation(node, view.now);
            wrapper.push("uri", address());
            Some(Map::single("m2m:rce", wrapper))
        }
        ResultContent::ModifiedAttributes => {
            let all = content::attributes_of(node, view.now);
            let changed: Map = all.into_iter().filter(|(name, value)| sent.get(name) != Some(value)).collect();
            (!changed.is_empty()).then(|| Map::single(content::root_of(node), changed))
        }
        _ => Some(content::representation(node, view.now)),
    }
}
