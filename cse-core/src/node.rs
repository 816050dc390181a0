//! A resource with what was worked out of it once: its path, its compiled policy or subscription.

use std::ops::Deref;
use std::sync::Arc;

use crate::access::policy::Policy;
use crate::behaviour::schedule::Schedule;
use crate::behaviour::subscription::Subscription;
use crate::id::CseIdentity;
use crate::resource::Resource;
use crate::schema::Ty;
use crate::schema::keys;
use crate::value::{Map, Text, Value};

/// A resource in use. Immutable; a change makes a new one.
#[derive(Debug)]
pub(crate) struct Node {
    /// The resource.
    pub(crate) resource: Arc<Resource>,
    /// Structured CSE-relative address.
    pub(crate) path: Text,
    /// What its type needs at hand.
    pub(crate) compiled: Compiled,
}

/// What is worked out of some types' attributes.
#[derive(Debug)]
pub(crate) enum Compiled {
    /// Nothing.
    Plain,
    /// An access control policy.
    Policy(Box<Policies>),
    /// A subscription.
    Subscription(Arc<Subscription>),
    /// A schedule.
    Schedule(Schedule),
}

/// The two rule sets of an access control policy.
#[derive(Debug)]
pub(crate) struct Policies {
    /// `pv`
    pub(crate) privileges: Policy,
    /// `pvs`
    pub(crate) self_privileges: Policy,
}

impl Policies {
    /// Compiles the attributes of an access control policy.
    pub(crate) fn compile(attributes: &Map, identity: &CseIdentity) -> Self {
        let rules = |key| match attributes.get(key) {
            Some(Value::Map(rules)) => Policy::compile(rules, identity),
            _ => Policy::compile(&Map::new(), identity),
        };
        Self { privileges: rules(keys::PRIVILEGES), self_privileges: rules(keys::SELF_PRIVILEGES) }
    }
}

impl Node {
    /// Works out what the type needs.
    pub(crate) fn new(resource: Resource, path: Text, identity: &CseIdentity) -> Self {
        let compiled = match resource.ty {
            Ty::ACCESS_CONTROL_POLICY => Compiled::Policy(Box::new(Policies::compile(&resource.attributes, identity))),
            Ty::SUBSCRIPTION => Compiled::Subscription(Arc::new(Subscription::compile(&resource, identity))),
            Ty::SCHEDULE => Compiled::Schedule(Schedule::compile(&resource.attributes)),
            _ => Compiled::Plain,
        };
        Self { resource: Arc::new(resource), path, compiled }
    }

    /// The same resource changed; the path cannot change.
    pub(crate) fn changed(&self, resource: Resource, identity: &CseIdentity) -> Self {
        Self::new(resource, self.path.clone(), identity)
    }

    /// The same subscription with other counters (`exc`, `nsi`), on which nothing that was worked out depends.
    pub(crate) fn counted(&self, resource: Resource) -> Self {
        let compiled = match &self.compiled {
            Compiled::Subscription(subscription) => Compiled::Subscription(Arc::clone(subscription)),
            _ => Compiled::Plain,
        };
        Self { resource: Arc::new(resource), path: self.path.clone(), compiled }
    }

    /// The compiled rules, of an access control policy.
    pub(crate) fn policies(&self) -> Option<&Policies> {
        match &self.compiled {
            Compiled::Policy(policies) => Some(policies),
            _ => None,
        }
    }

    /// The compiled schedule, of a schedule.
    pub(crate) fn schedule(&self) -> Option<&Schedule> {
        match &self.compiled {
            Compiled::Schedule(schedule) => Some(schedule),
            _ => None,
        }
    }

    /// The compiled subscription, of a subscription.
    pub(crate) fn subscription(&self) -> Option<&Arc<Subscription>> {
        match &self.compiled {
            Compiled::Subscription(subscription) => Some(subscription),
            _ => None,
        }
    }
}

impl Deref for Node {
    type Target = Resource;

    fn deref(&self) -> &Resource {
        &self.resource
    }
}

/// Whether resources of the type are data that comes and goes in numbers: not kept in the cache.
pub(crate) fn is_instance(ty: Ty) -> bool {
    matches!(ty, Ty::CONTENT_INSTANCE | Ty::TIME_SERIES_INSTANCE | Ty::FLEX_CONTAINER_INSTANCE)
}
