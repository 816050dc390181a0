//! The privileges of an access control policy, compiled once and asked often (TS-0003 §7.1.5).
//!
//! Everything fails closed: a rule with a member that is malformed, unknown or not supported here
//! (`acui`, `acec`, `acl`, `aca`) never matches, whatever its other members say.

use std::net::IpAddr;

use super::context::Context;
use super::originators::Originators;
use crate::id::{CseIdentity, Originator};
use crate::primitive::Operation;
use crate::schema::Ty;
use crate::time::Timestamp;
use crate::value::{Map, Text, Value};

/// Most groups that one decision asks the caller to look into; further ones are as if the originator was no member.
const GROUPS_MAX: usize = 64;

/// What is to be done, as one bit of `m2m:accessControlOperations`.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub(crate) struct Access(u8);

impl Access {
    pub(crate) const CREATE: Access = Access(1);
    pub(crate) const RETRIEVE: Access = Access(2);
    pub(crate) const UPDATE: Access = Access(4);
    pub(crate) const DELETE: Access = Access(8);
    pub(crate) const NOTIFY: Access = Access(16);
    pub(crate) const DISCOVERY: Access = Access(32);

    /// The bit, as in `acop`.
    pub(crate) fn bit(self) -> u8 {
        self.0
    }

    const EVERY_BIT: u64 = 63;

    /// The name, as in messages and logs.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::CREATE => "CREATE",
            Self::RETRIEVE => "RETRIEVE",
            Self::UPDATE => "UPDATE",
            Self::DELETE => "DELETE",
            Self::NOTIFY => "NOTIFY",
            _ => "DISCOVERY",
        }
    }
}

impl From<Operation> for Access {
    fn from(operation: Operation) -> Self {
        match operation {
            Operation::Create => Self::CREATE,
            Operation::Retrieve => Self::RETRIEVE,
            Operation::Update => Self::UPDATE,
            Operation::Delete => Self::DELETE,
            Operation::Notify => Self::NOTIFY,
        }
    }
}

/// Where an originator is, in degrees.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Location {
    /// Positive in the north.
    pub(crate) latitude: f64,
    /// Positive in the east.
    pub(crate) longitude: f64,
}

/// All that a decision depends on, besides the policy.
#[derive(Clone, Debug)]
pub(crate) struct Question<'a> {
    /// Who asks.
    pub(crate) originator: &'a Originator,
    /// What for.
    pub(crate) operation: Access,
    /// Address of the originator; `None` if it is not known.
    pub(crate) peer_address: Option<IpAddr>,
    /// Whether the originator's identity was proven.
    pub(crate) authenticated: bool,
    /// When the request was received.
    pub(crate) now: Timestamp,
    /// Where the originator is; `None` if it is not known.
    pub(crate) location: Option<Location>,
    /// Type of the resource to create, for CREATE.
    pub(crate) creates: Option<Ty>,
    /// Type of the target; for CREATE that is the parent.
    pub(crate) target_type: Ty,
}

/// The answer of one policy. Permit overrides: another policy may still allow what this one does not.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) enum Decision<'a> {
    /// A rule matches.
    Allow,
    /// No rule matches.
    Deny,
    /// Rules match if the originator is a member of one of these groups, given by address as written in `acor`.
    DenyUnlessMember(Vec<&'a Text>),
}

/// The compiled value of `pv` or `pvs`.
#[derive(Clone, Debug)]
pub(crate) struct Policy {
    rules: Vec<Rule>,
}

impl Policy {
    /// Compiles `{"acr": [...]}`. Never fails: what cannot be understood never allows anything.
    pub(crate) fn compile(privileges: &Map, identity: &CseIdentity) -> Self {
        let rules = privileges.get("acr").map(one_or_many).unwrap_or_default();
        Self { rules: rules.iter().filter_map(|rule| Rule::compile(rule, identity)).collect() }
    }

    /// Whether no rule can ever match.
    #[cfg(test)]
    pub(crate) fn is_empty(&self) -> bool {
        self.rules.is_empty()
    }

    /// Whether a decision may depend on where the originator is.
    pub(crate) fn needs_location(&self) -> bool {
        let has_regions = |rule: &Rule| rule.contexts.iter().flatten().any(Context::has_regions);
        self.rules.iter().any(has_regions)
    }

    /// Whether the operation is allowed.
    pub(crate) fn decide(&self, question: &Question<'_>) -> Decision<'_> {
        let mut groups: Vec<&Text> = Vec::new();
        for rule in &self.rules {
            let named = rule.originators.contains(question.originator);
            if (!named && rule.originators.groups().is_empty()) || !rule.applies(question) {
                continue;
            }
            if named {
                return Decision::Allow;
            }
            for group in rule.originators.groups() {
                if groups.len() < GROUPS_MAX && !groups.contains(&group) {
                    groups.push(group);
                }
            }
        }
        if groups.is_empty() { Decision::Deny } else { Decision::DenyUnlessMember(groups) }
    }
}

/// One `m2m:accessControlRule`.
#[derive(Clone, Debug)]
struct Rule {
    originators: Originators,
    operations: u8,
    authenticated_only: bool,
    /// One of them must hold; `None` if every context will do.
    contexts: Option<Vec<Context>>,
    /// One of them must hold for CREATE; `None` if every type may be created.
    object_details: Option<Vec<ObjectDetails>>,
}

impl Rule {
    /// `None` if the rule can never match.
    fn compile(rule: &Value, identity: &CseIdentity) -> Option<Self> {
        let mut originators = None;
        let mut operations = 0;
        let mut authenticated_only = false;
        let mut contexts = None;
        let mut object_details = None;
        for (name, value) in rule.as_map()?.iter() {
            match name.as_str() {
                "acor" => originators = Some(Originators::compile(value, identity)?),
                "acop" => {
                    let bits = value.as_unsigned().filter(|bits| *bits <= Access::EVERY_BIT)?;
                    operations = u8::try_from(bits).ok()?;
                }
                "acaf" => authenticated_only = value.as_bool()?,
                "acco" => {
                    contexts = Some(one_or_many(value).iter().map(Context::compile).collect::<Option<Vec<_>>>()?);
                }
                "acod" => {
                    let details = one_or_many(value).iter().map(ObjectDetails::compile);
                    object_details = Some(details.collect::<Option<Vec<_>>>()?);
                }
                _ => return None,
            }
        }
        let rule = Self { originators: originators?, operations, authenticated_only, contexts, object_details };
        let can_match = !rule.originators.is_empty() && operations != 0 && rule.contexts.as_ref() != Some(&Vec::new());
        can_match.then_some(rule)
    }

    /// Whether everything but the originator fits.
    fn applies(&self, question: &Question<'_>) -> bool {
        self.operations & question.operation.0 != 0
            && (question.authenticated || !self.authenticated_only)
            && self.allows_object(question)
            && self.contexts.as_ref().is_none_or(|contexts| contexts.iter().any(|context| context.holds(question)))
    }

    fn allows_object(&self, question: &Question<'_>) -> bool {
        match &self.object_details {
            // TS-0003 §7.1.5: object details say what may be created and do not restrict other operations.
            Some(details) if question.operation == Access::CREATE => {
                details.iter().any(|details| details.allow(question.target_type, question.creates))
            }
            _ => true,
        }
    }
}

/// One entry of `acod`: what may be created where.
#[derive(Clone, Debug)]
struct ObjectDetails {
    target_type: Option<Ty>,
    /// Names a specialization, which is not evaluated here, so the entry never matches.
    specialized: bool,
    child_types: Vec<Ty>,
}

impl ObjectDetails {
    fn compile(details: &Value) -> Option<Self> {
        let mut compiled = Self { target_type: None, specialized: false, child_types: Vec::new() };
        let mut has_child_types = false;
        for (name, value) in details.as_map()?.iter() {
            match name.as_str() {
                "ty" => compiled.target_type = Some(resource_type(value)?),
                "spty" => compiled.specialized = true,
                "chty" => {
                    has_child_types = true;
                    compiled.child_types = one_or_many(value).iter().map(resource_type).collect::<Option<_>>()?;
                }
                _ => return None,
            }
        }
        has_child_types.then_some(compiled)
    }

    fn allow(&self, target_type: Ty, creates: Option<Ty>) -> bool {
        !self.specialized
            && self.target_type.is_none_or(|ty| ty == target_type)
            && creates.is_some_and(|ty| self.child_types.contains(&ty))
    }
}

fn resource_type(value: &Value) -> Option<Ty> {
    value.as_unsigned().and_then(|code| u16::try_from(code).ok()).map(Ty)
}

/// A member that may come as a list or, if there is one only, bare.
pub(super) fn one_or_many(value: &Value) -> &[Value] {
    match value {
        Value::List(list) => list,
        one => std::slice::from_ref(one),
    }
}

#[cfg(test)]
mod tests;
