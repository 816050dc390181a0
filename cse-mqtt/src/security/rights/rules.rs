//! The rules of TS-0010 §8.4 as a table: who may publish and subscribe what. The embedded broker decides by it, and
//! rules for external brokers are written from it, so that the two cannot drift apart.

use crate::topic::TopicKind;

/// What a client wants to do with a topic.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Access {
    Publish,
    Subscribe,
}

/// What stands in a level of a topic.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Slot {
    /// This CSE, SP-relative.
    OwnCse,
    /// An AE of this CSE that the client is, or has registered.
    Ae,
    /// Another CSE that the client is, or has registered.
    Cse,
    /// The AE of another CSE that the client is.
    DistantAe,
    /// The CSE of that AE.
    DistantCse,
    /// An AE of that CSE.
    Registree,
    /// Whom that CSE may ask directly.
    Asked,
    /// The client's Credential-ID, or the identifier that its credential stands for.
    Credential,
    /// Anything; in a filter also `+` and, at the end, `#`.
    Any,
}

/// One right: to topics of that kind with these two levels.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) struct Rule {
    pub(crate) access: Access,
    pub(crate) kind: TopicKind,
    pub(crate) originator: Slot,
    pub(crate) receiver: Slot,
}

const fn publish(kind: TopicKind, originator: Slot, receiver: Slot) -> Rule {
    Rule { access: Access::Publish, kind, originator, receiver }
}

const fn subscribe(kind: TopicKind, originator: Slot, receiver: Slot) -> Rule {
    Rule { access: Access::Subscribe, kind, originator, receiver }
}

/// All rights. What no rule grants is denied.
pub(crate) const RULES: &[Rule] = {
    use Slot::{Ae, Any, Asked, Credential, Cse, DistantAe, DistantCse, OwnCse, Registree};
    use TopicKind::{RegistrationRequest, RegistrationResponse, Request, Response};
    &[
        // AEs of this CSE: §8.4 2 a) and 3.
        publish(Request, Ae, OwnCse),
        publish(Response, OwnCse, Ae),
        subscribe(Response, Ae, Any),
        subscribe(Request, Any, Ae),
        // Everybody: §8.4 2 b) and 4.
        publish(RegistrationRequest, Credential, Any),
        subscribe(RegistrationResponse, Credential, Any),
        // CSEs: §8.4 1, and what §7.4 needs for them to ask and to answer.
        publish(Request, Cse, OwnCse),
        publish(Request, Cse, Asked),
        publish(Response, Any, Cse),
        publish(Response, Cse, OwnCse),
        publish(RegistrationResponse, Any, Cse),
        subscribe(Request, Any, Cse),
        subscribe(Response, Registree, Cse),
        subscribe(Response, Cse, Any),
        subscribe(RegistrationRequest, Any, Cse),
        // AEs of other CSEs, towards these.
        publish(Request, DistantAe, DistantCse),
        publish(Response, DistantCse, DistantAe),
        subscribe(Response, DistantAe, Any),
        subscribe(Request, Any, DistantAe),
    ]
};
