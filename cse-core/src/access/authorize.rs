//! May this originator do that? Finds the policies that apply and asks them (TS-0004 §7.3.3.15).

use std::net::IpAddr;
use std::sync::Arc;

use super::policy::{Access, Decision, Location, Policy, Question};
use crate::address::Target;
use crate::behaviour::{announced, polling_channel, remote_cse};
use crate::error::Error;
use crate::id::{CseIdentity, Originator};
use crate::node::Node;
use crate::schema::{Ty, keys, type_def};
use crate::value::{Text, Value};
use crate::view::{Source, View};

/// Who asks, and what is known of it.
#[derive(Clone, Debug)]
pub(crate) struct Requester {
    /// The originator.
    pub(crate) originator: Originator,
    /// Whether it is this CSE itself or its administrator, whom no policy restricts.
    pub(crate) privileged: bool,
    /// Address of the peer.
    pub(crate) address: Option<IpAddr>,
    /// Whether its identity was proven.
    pub(crate) authenticated: bool,
    /// Its Credential-ID.
    pub(crate) credential: Option<Text>,
    /// The only identifier that it may register, see [`crate::id::Peer::identifier`].
    pub(crate) identifier: Option<Text>,
}

/// The proof that an access was decided. Only this module makes one.
#[derive(Clone, Copy, Debug)]
#[must_use]
pub(crate) struct Permit(());

impl Permit {
    /// For what the CSE does by itself; the reason makes each use findable.
    pub(crate) fn internal(_reason: &'static str) -> Self {
        Permit(())
    }
}

/// What an address in `acpi` leads to.
#[derive(Clone, Debug)]
pub(crate) enum PolicyAt {
    /// A policy that this CSE hosts.
    Here(Arc<Node>),
    /// Something that another CSE hosts.
    Elsewhere,
    /// Nothing, or no policy.
    Nowhere,
}

/// An access to decide.
pub(crate) struct AccessQuestion<'a> {
    pub(crate) requester: &'a Requester,
    pub(crate) access: Access,
    pub(crate) target_type: Ty,
    pub(crate) creates: Option<Ty>,
}

impl<Q: Source> View<'_, Q> {
    /// Decides an access to a resource.
    ///
    /// # Errors
    /// [`Error::NoPrivilege`].
    pub(crate) async fn authorize(
        &mut self,
        requester: &Requester,
        access: Access,
        node: &Node,
    ) -> Result<Permit, Error> {
        self.decide(requester, access, node, None).await
    }

    /// Decides the creation of a child of a type. Registration of an AE or a CSE asks no policy: the settings say who
    /// may (TS-0004 §7.4.4.2.1, §7.4.5.2.1).
    ///
    /// # Errors
    /// [`Error::NoPrivilege`].
    pub(crate) async fn authorize_create(
        &mut self,
        requester: &Requester,
        parent: &Node,
        child: Ty,
    ) -> Result<Permit, Error> {
        if matches!(child, Ty::AE | Ty::REMOTE_CSE) && parent.ty == Ty::CSE_BASE {
            return Ok(Permit(()));
        }
        if child.is_announced()
            && let Some(allowed) = announced::may_create(self, requester, parent, child).await?
        {
            let refused = || no_privilege(requester, "CREATE of announced resources", parent);
            return allowed.then_some(Permit(())).ok_or_else(refused);
        }
        self.decide(requester, Access::CREATE, parent, Some(child)).await
    }

    async fn decide(
        &mut self,
        requester: &Requester,
        access: Access,
        node: &Node,
        creates: Option<Ty>,
    ) -> Result<Permit, Error> {
        if self.allows(requester, access, node, creates).await? {
            return Ok(Permit(()));
        }
        Err(no_privilege(requester, access.name(), node))
    }

    /// Whether an access to a resource is allowed.
    pub(crate) async fn allows(
        &mut self,
        requester: &Requester,
        access: Access,
        node: &Node,
        creates: Option<Ty>,
    ) -> Result<bool, Error> {
        if requester.privileged {
            return Ok(true);
        }
        if let Some(owner) = polling_channel::owner_only(node, creates) {
            return Ok(requester.originator.as_str() == owner);
        }
        if node.ty == Ty::REMOTE_CSE && matches!(access, Access::UPDATE | Access::DELETE) {
            return Ok(is_registree(requester, node));
        }
        if node.ty.is_announced() {
            let is_of = announced::is_of(node, requester);
            let is_others = access == Access::DELETE || (access == Access::UPDATE && !announced::takes_updates(node));
            if is_of || is_others {
                return Ok(is_of);
            }
        }
        // Types without policies of their own follow the parent (TS-0001 §9.6.1.3.2).
        let mut governing: Option<Arc<Node>> = None;
        loop {
            let current = governing.as_deref().unwrap_or(node);
            if current.ty == Ty::ACCESS_CONTROL_POLICY
                || type_def(current.ty).is_none_or(|def| def.attribute(keys::ACCESS_CONTROL_POLICY_IDS).is_some())
            {
                break;
            }
            match self.parent(current).await? {
                Some(parent) => governing = Some(parent),
                None => break,
            }
        }
        let governing = governing.as_deref().unwrap_or(node);
        let question = AccessQuestion { requester, access, target_type: node.ty, creates };
        if governing.ty == Ty::ACCESS_CONTROL_POLICY {
            return self.policy_allows(governing, true, &question).await;
        }
        if let Some(ids) = governing.attributes.get(keys::ACCESS_CONTROL_POLICY_IDS) {
            return self.any_policy_allows(ids, false, &question).await;
        }
        if governing.ty == Ty::CSE_BASE {
            return self.allows_on_base(requester, access, creates).await;
        }
        Ok(is_owner(&requester.originator, governing, self.identity()))
    }

    /// Decides a change of the policies of a resource: the linked policies' own rules say, and without policies
    /// the owner may (TS-0004 §7.3.3.15).
    ///
    /// # Errors
    /// [`Error::NoPrivilege`].
    pub(crate) async fn authorize_policy_change(
        &mut self,
        requester: &Requester,
        node: &Node,
    ) -> Result<Permit, Error> {
        let allowed = if requester.privileged {
            true
        } else if node.ty == Ty::REMOTE_CSE {
            is_registree(requester, node)
        } else if node.ty.is_announced() {
            announced::is_of(node, requester)
        } else if let Some(ids) = node.attributes.get(keys::ACCESS_CONTROL_POLICY_IDS) {
            let question = AccessQuestion { requester, access: Access::UPDATE, target_type: node.ty, creates: None };
            self.any_policy_allows(ids, true, &question).await?
        } else {
            is_owner(&requester.originator, node, self.identity())
        };
        if allowed { Ok(Permit(())) } else { Err(no_privilege(requester, "UPDATE of accessControlPolicyIDs", node)) }
    }

    /// Whether one of the listed policies allows it (permit overrides). Policies that are not there add nothing. Those of
    /// other CSEs are asked last.
    pub(crate) async fn any_policy_allows(
        &mut self,
        ids: &Value,
        by_self_privileges: bool,
        question: &AccessQuestion<'_>,
    ) -> Result<bool, Error> {
        let mut of_others = Vec::new();
        for id in ids.texts() {
            match self.policy(id).await? {
                PolicyAt::Here(policy) => {
                    if self.policy_allows(&policy, by_self_privileges, question).await? {
                        return Ok(true);
                    }
                }
                PolicyAt::Elsewhere => of_others.push(id),
                PolicyAt::Nowhere => {}
            }
        }
        for id in of_others {
            if let Some(policies) = self.policies_elsewhere(id) {
                let rules = if by_self_privileges { &policies.self_privileges } else { &policies.privileges };
                if self.rules_allow(rules, question).await? {
                    return Ok(true);
                }
            }
        }
        Ok(false)
    }

    /// The policy at an address.
    async fn policy(&mut self, address: &str) -> Result<PolicyAt, Error> {
        if let Some(known) = self.policies.get(address) {
            return Ok(known.clone());
        }
        let found = match Target::of(address, self.identity()) {
            Target::Local(local, _) => match self.plain(&local).await? {
                Some(node) if node.ty == Ty::ACCESS_CONTROL_POLICY => PolicyAt::Here(node),
                _ => PolicyAt::Nowhere,
            },
            Target::Remote => PolicyAt::Elsewhere,
        };
        self.policies.insert(address.into(), found.clone());
        Ok(found)
    }

    async fn policy_allows(
        &mut self,
        policy: &Node,
        by_self_privileges: bool,
        question: &AccessQuestion<'_>,
    ) -> Result<bool, Error> {
        // A view serves one requester, so the same question has the same answer; CREATE depends on more.
        let memo = (policy.seq, by_self_privileges, question.access.bit());
        if question.creates.is_none()
            && let Some(verdict) = self.verdicts.get(&memo)
        {
            return Ok(*verdict);
        }
        let Some(policies) = policy.policies() else {
            return Ok(false);
        };
        let rules = if by_self_privileges { &policies.self_privileges } else { &policies.privileges };
        let verdict = self.rules_allow(rules, question).await?;
        if question.creates.is_none() {
            self.verdicts.insert(memo, verdict);
        }
        Ok(verdict)
    }

    async fn rules_allow(&mut self, rules: &Policy, question: &AccessQuestion<'_>) -> Result<bool, Error> {
        let requester = question.requester;
        let location = match rules.needs_location() {
            true => self.location_of(&requester.originator).await?,
            false => None,
        };
        let decision = rules.decide(&Question {
            originator: &requester.originator,
            operation: question.access,
            peer_address: requester.address,
            authenticated: requester.authenticated,
            now: self.now,
            location,
            creates: question.creates,
            target_type: question.target_type,
        });
        match decision {
            Decision::Allow => Ok(true),
            Decision::Deny => Ok(false),
            Decision::DenyUnlessMember(groups) => {
                for group in groups {
                    if self.is_member(&requester.originator, group).await? {
                        return Ok(true);
                    }
                }
                Ok(false)
            }
        }
    }

    /// Whether the originator's registration is a member of the group at an address.
    async fn is_member(&mut self, originator: &Originator, group: &str) -> Result<bool, Error> {
        let Some(group) = self.local_resource(group).await? else {
            return Ok(false);
        };
        if group.ty != Ty::GROUP {
            return Ok(false);
        }
        for member in group.attributes.texts(keys::MEMBER_IDS) {
            if self.identity().canonical_originator(member) == *originator {
                return Ok(true);
            }
            let Some(node) = self.local_resource(member).await? else { continue };
            let entity = match node.ty {
                Ty::AE => Some(node.id.as_str()),
                Ty::REMOTE_CSE => node.attributes.text(keys::CSE_ID),
                _ => None,
            };
            if entity == Some(originator.as_str()) {
                return Ok(true);
            }
        }
        Ok(false)
    }

    /// Where the originator's registration says it is.
    async fn location_of(&mut self, originator: &Originator) -> Result<Option<Location>, Error> {
        let Some(entity) = self.registration(originator).await? else {
            return Ok(None);
        };
        Ok(entity.attributes.get(keys::LOCATION).and_then(point_of))
    }

    /// The registration of an originator: of an AE, or the `<remoteCSE>` of a CSE, be it the registrar.
    pub(crate) async fn registration(&mut self, originator: &Originator) -> Result<Option<Arc<Node>>, Error> {
        let text = originator.as_str();
        let node = if originator.is_ae_stem() {
            self.by_id(text).await?.filter(|node| node.ty == Ty::AE)
        } else if self.identity().canonical_cse_id(text).as_deref() == Some(text) {
            let id = remote_cse::resource_id(text, self.identity());
            self.by_id(&id).await?.filter(|node| node.ty == Ty::REMOTE_CSE)
        } else {
            None
        };
        Ok(node.filter(|node| !node.is_expired(self.now)))
    }

    /// The CSEBase has no policies: whoever is registered may read it, and create policies if the operator says so.
    async fn allows_on_base(
        &mut self,
        requester: &Requester,
        access: Access,
        creates: Option<Ty>,
    ) -> Result<bool, Error> {
        let wanted = access == Access::RETRIEVE
            || access == Access::DISCOVERY
            || (creates == Some(Ty::ACCESS_CONTROL_POLICY) && self.settings.ae_may_create_policies);
        Ok(wanted && self.registration(&requester.originator).await?.is_some())
    }
}

fn no_privilege(requester: &Requester, operation: &'static str, node: &Node) -> Error {
    Error::NoPrivilege { originator: requester.originator.to_string(), operation, target: node.path.to_string() }
}

/// Whether the requester made that `<remoteCSE>`: only a CSE itself says what is registered of it
/// (TS-0004 §7.4.4.2.3).
fn is_registree(requester: &Requester, remote_cse: &Node) -> bool {
    remote_cse.creator == requester.originator
}

/// Whether the originator owns a resource without policies: its custodian, or without one its creator.
fn is_owner(originator: &Originator, node: &Node, identity: &CseIdentity) -> bool {
    match node.attributes.text(keys::CUSTODIAN) {
        Some(custodian) => identity.canonical_originator(custodian) == *originator,
        None => node.creator == *originator,
    }
}

/// The point of a `m2m:geoCoordinates` value, or of a list with one: GeoJSON has the longitude first.
fn point_of(location: &Value) -> Option<Location> {
    const POINT: i64 = 1;
    let location = match location {
        Value::List(list) => list.first()?.as_map()?,
        other => other.as_map()?,
    };
    if location.int(keys::TYPE) != Some(POINT) {
        return None;
    }
    let coordinates: Vec<f64> = match location.get(keys::COORDINATES)? {
        Value::Text(text) => serde_json::from_str(text).ok()?,
        Value::List(list) => list.iter().filter_map(number).collect(),
        _ => return None,
    };
    match coordinates.as_slice() {
        [longitude, latitude, ..] => Some(Location { latitude: *latitude, longitude: *longitude }),
        _ => None,
    }
}

fn number(value: &Value) -> Option<f64> {
    match value {
        Value::Float(float) => Some(*float),
        other => other.as_int().map(|int| int as f64),
    }
}
