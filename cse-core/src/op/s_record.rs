//! Records of AEs with an S-type AE-ID, at the IN-CSE: `<AEAnnc>` resources that have the stem as identifier and say at which CSE
//! the AE is registered (TS-0001 §10.2.2.2, TS-0004 §7.4.5.2.1).
//!
//! The registrar CSE of the AE writes them, as `<its CSE-ID>/<stem>`. A record stays when the AE goes (`lnk` is `INACTIVE` then),
//! so nobody else is given the stem, and the AE may register with it anywhere. While it is registered at one CSE,
//! no other takes it.

use std::sync::Arc;

use super::create::{
    RESULT_CONTENTS, check_stem_is_free, created, free_name, insert, new_stem, result, take_expiration,
};
use super::s_type::CREDENTIAL_LABEL;
use super::{
    Answers, Cx, Decided, Refusal, answer, delete, discover, expiration_time, resource_at, result_content, update,
};
use crate::access::authorize::Permit;
use crate::behaviour::subscription::EventType;
use crate::content;
use crate::error::{Error, Rsc};
use crate::id::{CseIdentity, CseType, Originator, Seq, is_resource_name, is_unreserved};
use crate::node::Node;
use crate::notify::Happening;
use crate::overlay::Effects;
use crate::primitive::{Operation, Request, ResultContent};
use crate::resource::{Resource, generated_id};
use crate::schema::{self, Ty, keys};
use crate::value::{Map, Text, Value};
use crate::view::{Source, View};

/// The stem of a CSE that wants any for an AE.
pub(crate) const ANY: &str = "S";
/// Bytes of a stem.
pub(crate) const STEM_MAX: usize = 128;
/// `lnk` of the record of an AE that is registered nowhere.
pub(crate) const INACTIVE: &str = "INACTIVE";
/// `regs` (m2m:AERegistrationStatus).
const STATUS_ACTIVE: i64 = 1;
const STATUS_INACTIVE: i64 = 2;

/// Whether a resource is the record of an AE-ID, and not just the copy of an `<AE>`: those have other identifiers.
pub(crate) fn is_record(resource: &Resource) -> bool {
    resource.ty == Ty::AE.announced() && resource.id.starts_with('S')
}

/// The address of the AE at its registrar; `None` if it is registered nowhere.
pub(crate) fn registrar_link(record: &Resource) -> Option<Text> {
    record.attributes.text(keys::LINK).filter(|link| *link != INACTIVE).map(Text::from)
}

/// A CSE that speaks for an AE with an S-type stem which registers, or was registered, with it.
pub(super) struct Claim {
    cse: Originator,
    stem: Text,
}

impl Claim {
    /// Reads it from an originator, at an IN-CSE: `/id-mn/Slamp`, or `/id-mn/S` for any stem.
    pub(super) fn of(originator: &Originator, identity: &CseIdentity) -> Option<Self> {
        let (cse, stem) = originator.as_str().rsplit_once('/')?;
        let is_stem = stem.starts_with('S') && is_unreserved(stem) && stem.len() <= STEM_MAX;
        let is_claim = identity.cse_type == CseType::In
            && is_stem
            && !cse.starts_with("//")
            && identity.canonical_cse_id(cse).as_deref() == Some(cse);
        is_claim.then(|| Self { cse: Originator::from_canonical(cse), stem: stem.into() })
    }

    /// Whether it is about that resource: the record, or an AE that is registered here itself.
    pub(super) fn is_about(&self, node: &Node) -> bool {
        node.id == self.stem && (is_record(node) || node.ty == Ty::AE)
    }

    /// Whether only its own CSE may change the record now.
    fn is_kept_by_another(&self, record: &Node) -> bool {
        record.creator != self.cse && registrar_link(record).is_some()
    }

    /// Checks that a link names the AE at the CSE that asks.
    fn check_link(&self, identity: &CseIdentity, link: &str) -> Result<(), Error> {
        let is_its_own = identity.cse_id_of(link).as_deref() == Some(self.cse.as_str())
            && link.rsplit('/').next() == Some(self.stem.as_str());
        if is_its_own {
            return Ok(());
        }
        let problem = format!("(link) must be '{}/{}', found '{link}'", self.cse, self.stem);
        Err(Error::attribute(keys::LINK, problem))
    }

    /// Only a CSE that is registered here, or below one that is, has AEs.
    async fn permit<Q: Source>(&self, view: &mut View<'_, Q>) -> Result<Permit, Error> {
        if view.knows_cse(&self.cse).await? {
            return Ok(Permit::internal("a CSE of this service provider registers an AE"));
        }
        Err(self.no_privilege("CREATE"))
    }

    fn no_privilege(&self, operation: &'static str) -> Error {
        let target = format!("the record of '{}'", self.stem);
        Error::NoPrivilege { originator: self.cse.to_string(), operation, target }
    }
}

/// Decides the CREATE of a record.
pub(super) async fn create<Q: Source>(
    view: &mut View<'_, Q>,
    cx: &Cx,
    request: &Request,
    answers: &mut Answers,
    claim: &Claim,
) -> Result<Decided, Refusal> {
    let wanted = result_content(request, ResultContent::Attributes, &RESULT_CONTENTS)?;
    // Either the place is named, or what is to be there.
    if cx.target != claim.stem && resource_at(view, cx, Operation::Create).await?.seq != Seq::CSE_BASE {
        let target = format!("the record of an AE-ID at '{}'; it is below the CSEBase", cx.target);
        return Err(Error::OperationNotAllowed { operation: "CREATE", target }.into());
    }
    let permit = claim.permit(view).await?;
    let content = request.content.as_ref().ok_or(Error::MissingParameter("pc"))?;
    let (def, sent) = content::typed(content, Ty::AE.announced())?;
    let mut attributes = schema::check_create(def, sent)?;
    claim.check_link(view.identity(), attributes.text(keys::LINK).unwrap_or_default())?;
    let mut effects = Effects::new(permit);
    let held = match claim.stem.as_str() {
        ANY => None,
        _ => holder(view, claim, &claim.stem, &mut effects).await?,
    };
    if let Some(record) = held {
        // Its CSE did not learn that there is one, or has forgotten it.
        let taken = take(view, claim, &record, attributes)?;
        return changed(view, request, (Rsc::Created, wanted), taken, sent, effects).await;
    }
    let seq = match answers.seq {
        Some(seq) => seq,
        None => *answers.seq.insert(view.source.next_number()?),
    };
    let stem = match claim.stem.as_str() {
        ANY => new_stem(view, 'S', seq).await?,
        _ => claim.stem.clone(),
    };
    let expiration = take_expiration(&mut attributes, view.now)?;
    attributes.insert(keys::LINK, smol_str::format_smolstr!("{}/{stem}", claim.cse));
    attributes.insert(keys::REGISTRATION_STATUS, STATUS_ACTIVE);
    let parent = view.base().await?;
    let name = if is_resource_name(&stem) { stem.clone() } else { generated_id(def.short, seq) };
    let name = free_name(view, &parent, def.ty, &name).await?;
    let path = smol_str::format_smolstr!("{}/{name}", parent.path);
    let resource = Resource {
        seq,
        parent: Some(parent.seq),
        ty: def.ty,
        id: stem,
        name,
        parent_id: parent.id.clone(),
        creation_time: view.now,
        last_modified_time: view.now,
        expiration_time: Some(expiration_time(expiration, None, view.now, view.settings)),
        state_tag: None,
        content_size: None,
        creator: claim.cse.clone(),
        attributes,
    };
    let node = Arc::new(Node::new(resource, path, view.identity()));
    insert(view, &parent, &node, &mut effects).await?;
    Ok(Decided { effects, response: created(view, request, wanted, &node, sent) })
}

/// The record that there is of a stem and that the CSE may take; `None` if there is none.
///
/// # Errors
/// [`Error::AlreadyRegistered`] for the stem of somebody else.
async fn holder<Q: Source>(
    view: &mut View<'_, Q>,
    claim: &Claim,
    stem: &Text,
    effects: &mut Effects,
) -> Result<Option<Arc<Node>>, Error> {
    let record = view.by_id(stem).await?.filter(|node| is_record(node) && !node.is_expired(view.now));
    match record {
        Some(record) if claim.is_kept_by_another(&record) => Err(Error::AlreadyRegistered(stem.to_string())),
        Some(record) => Ok(Some(record)),
        None if *stem == *view.settings.admin.text() => Err(Error::AlreadyRegistered(stem.to_string())),
        None => check_stem_is_free(view, stem, effects).await.map(|()| None),
    }
}

/// Decides the UPDATE of a record by a CSE that speaks for its AE.
pub(super) async fn update<Q: Source>(
    view: &mut View<'_, Q>,
    request: &Request,
    record: &Arc<Node>,
    claim: &Claim,
) -> Result<Decided, Refusal> {
    if record.ty == Ty::AE {
        return Err(Error::AlreadyRegistered(claim.stem.to_string()).into());
    }
    let wanted = result_content(request, ResultContent::Attributes, &update::RESULT_CONTENTS)?;
    let content = request.content.as_ref().ok_or(Error::MissingParameter("pc"))?;
    let (def, sent) = content::typed(content, record.ty)?;
    let patch = schema::check_update(def, sent)?;
    discover::check_condition(view, request, record).await?;
    let comes = patch.text(keys::LINK).is_some_and(|link| link != INACTIVE);
    if record.creator != claim.cse && !comes {
        return Err(claim.no_privilege("UPDATE").into());
    }
    let permit = claim.permit(view).await?;
    if comes {
        claim.check_link(view.identity(), patch.text(keys::LINK).unwrap_or_default())?;
    }
    if claim.is_kept_by_another(record) {
        return Err(Error::AlreadyRegistered(claim.stem.to_string()).into());
    }
    let taken = take(view, claim, record, patch)?;
    changed(view, request, (Rsc::Updated, wanted), taken, sent, Effects::new(permit)).await
}

/// A record as it is with these attributes, of the CSE that sends them.
fn take<Q: Source>(view: &View<'_, Q>, claim: &Claim, record: &Node, mut patch: Map) -> Result<Node, Error> {
    let mut resource = Resource::clone(&record.resource);
    if patch.contains(keys::EXPIRATION_TIME) {
        let wanted = take_expiration(&mut patch, view.now)?;
        resource.expiration_time = Some(expiration_time(wanted, None, view.now, view.settings));
    }
    if let Some(labels) = patch.get(keys::LABELS).filter(|labels| !labels.is_null()) {
        // That of the credential is replaced; others are not the registrar's alone.
        let kept = record.attributes.texts(keys::LABELS).filter(|label| !label.starts_with(CREDENTIAL_LABEL));
        let mut merged: Vec<Text> = labels.texts().map(Text::from).collect();
        for label in kept {
            if !merged.iter().any(|other| other == label) {
                merged.push(label.into());
            }
        }
        patch.insert(keys::LABELS, Value::text_list(merged));
    }
    for (name, value) in patch.iter() {
        if value.is_null() {
            resource.attributes.remove(name);
        } else {
            resource.attributes.insert(name.clone(), value.clone());
        }
    }
    let is_registered = registrar_link(&resource).is_some();
    let status = if is_registered { STATUS_ACTIVE } else { STATUS_INACTIVE };
    resource.attributes.insert(keys::REGISTRATION_STATUS, status);
    resource.creator = claim.cse.clone();
    resource.last_modified_time = view.now;
    Ok(record.changed(resource, view.identity()))
}

async fn changed<Q: Source>(
    view: &mut View<'_, Q>,
    request: &Request,
    (status, wanted): (Rsc, ResultContent),
    record: Node,
    sent: &Map,
    mut effects: Effects,
) -> Result<Decided, Refusal> {
    let record = Arc::new(record);
    effects.update(Arc::clone(&record));
    let happening = Happening { event: EventType::UpdateOfResource, subject: &record, modified: Some(sent) };
    view.notify(&record, &happening, &mut effects).await?;
    let mut response = answer(request, status, result(view, wanted, &record, sent));
    if status == Rsc::Created {
        response.created_at = Some(view.identity().sp_relative(&record.path).into());
    }
    Ok(Decided { effects, response })
}

/// Lets an AE register at this CSE itself with a stem that it had at another: nobody needs the record then.
pub(super) async fn give_way<Q: Source>(
    view: &mut View<'_, Q>,
    holder: Option<Arc<Node>>,
    effects: &mut Effects,
) -> Result<Option<Arc<Node>>, Error> {
    match holder {
        Some(record) if is_record(&record) && registrar_link(&record).is_none() => {
            delete::remove(view, &record, effects).await?;
            Ok(None)
        }
        holder => Ok(holder),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cse_of_this_provider_speaks_for_its_aes() {
        let of = |text: &str, cse_type| {
            let identity = CseIdentity::new("//cse.example", "/id-in", "cse-in", cse_type).expect("valid");
            let claim = Claim::of(&Originator::from_canonical(text), &identity)?;
            Some(format!("{} {}", claim.cse, claim.stem))
        };
        for (text, expected) in [
            ("/id-mn/S", Some("/id-mn S")),
            ("/id-mn/Slamp", Some("/id-mn Slamp")),
            ("/Smn/Slamp", Some("/Smn Slamp")),
            ("/id-mn/Clamp", None),
            ("/id-mn", None),
            ("/Slamp", None),
            ("Slamp", None),
            ("//other.example/id-mn/Slamp", None),
            ("/id-mn/x/Slamp", None),
            ("/id mn/Slamp", None),
        ] {
            assert_eq!(of(text, CseType::In).as_deref(), expected, "{text}");
            assert_eq!(of(text, CseType::Mn), None, "{text}");
        }
    }
}
