//! Which topics are a client's own (TS-0010 §8.4): pure functions of who it is, what is registered, and the topic.
//!
//! Where §8.4 leaves out what the clauses on topics need (§7.4), it is granted, and `docs/mqtt-security.md` says why.
//! One principle decides: whoever publishes on a topic states by it who speaks, so only that one may; and a filter is
//! granted if all it can match is meant for the client.

use cse_core::id::{CseIdentity, Originator};
use cse_core::registrations::Registrations;
use cse_core::value::Text;

use super::identity::{Who, spells_credential, spells_cse};
use crate::topic::{TopicKind, entity_of};

/// What is registered at this CSE now.
pub(crate) trait Registered {
    /// Whether an AE with that stem is registered.
    fn has_ae(&self, stem: &str) -> bool;
    /// Whether an AE with that stem was registered under that credential.
    fn is_under(&self, stem: &str, credential: &str) -> bool;
}

impl Registered for Registrations {
    fn has_ae(&self, stem: &str) -> bool {
        Registrations::has_ae(self, stem)
    }

    fn is_under(&self, stem: &str, credential: &str) -> bool {
        Registrations::is_under(self, stem, credential)
    }
}

/// Nothing is registered, as before the CSE has started.
pub(crate) struct Nobody;

impl Registered for Nobody {
    fn has_ae(&self, _stem: &str) -> bool {
        false
    }

    fn is_under(&self, _stem: &str, _credential: &str) -> bool {
        false
    }
}

/// The topics of one CSE, as rights to them are decided.
#[derive(Clone, Debug)]
pub(crate) struct Rights {
    identity: CseIdentity,
    admin: Originator,
    prefix: Text,
}

/// The levels behind `oneM2M` of a topic name or filter.
struct Levels<'a> {
    kind: TopicKind,
    originator: &'a str,
    receiver: &'a str,
}

impl Rights {
    /// With the topic prefix of the binding, and the originator that may do everything.
    pub(crate) fn new(identity: CseIdentity, admin: Originator, prefix: &str) -> Self {
        Self { identity, admin, prefix: prefix.trim_matches('/').into() }
    }

    pub(crate) fn identity(&self) -> &CseIdentity {
        &self.identity
    }

    pub(crate) fn admin(&self) -> &Originator {
        &self.admin
    }

    /// Whether a client may publish to a topic.
    pub(crate) fn may_publish(&self, who: &Who<'_>, registered: &dyn Registered, topic: &str) -> bool {
        let Some(Levels { kind, originator, receiver }) = self.levels(topic) else { return false };
        let own = self.identity.base_id();
        match kind {
            TopicKind::Request if receiver == own => {
                self.is_ae(who, registered, originator) || self.is_cse(who, originator)
            }
            TopicKind::Request => {
                self.is_distant_ae(who, originator, receiver)
                    || (self.is_cse(who, originator) && self.is_for_cse_to_ask(who, registered, receiver))
            }
            TopicKind::Response => {
                let answers_us = originator == own && self.is_ae(who, registered, receiver);
                // An answer to whoever asked, and by the letter of §8.4 1 c) ii its own level first.
                let as_cse = self.is_cse(who, receiver) || (self.is_cse(who, originator) && receiver == own);
                answers_us || as_cse || self.is_distant_ae(who, receiver, originator)
            }
            TopicKind::RegistrationRequest => self.is_credential(who, originator),
            // An answer to a registration with that CSE.
            TopicKind::RegistrationResponse => self.is_cse(who, receiver),
        }
    }

    /// Whether a client may subscribe to a filter: all that the filter can match must be the client's to read.
    pub(crate) fn may_subscribe(&self, who: &Who<'_>, registered: &dyn Registered, filter: &str) -> bool {
        // What stands for several topics is `+` or, at the end, `#`; the level that says for whom the messages
        // are is neither.
        let Some(Levels { kind, originator, receiver }) = self.levels(filter) else { return false };
        let is_literal = |level: &str| !matches!(level, "+" | "#");
        match kind {
            TopicKind::Request => is_literal(receiver) && self.is_anyone(who, registered, receiver),
            TopicKind::Response => {
                let to_itself = is_literal(originator) && self.is_anyone(who, registered, originator);
                // §8.4 1 b): the answers that it gives to those registered with it.
                let to_registrees = is_literal(originator)
                    && self.is_cse(who, receiver)
                    && who.cse.is_some_and(|cse| self.belongs_to(originator, cse));
                to_itself || to_registrees
            }
            TopicKind::RegistrationRequest => is_literal(receiver) && self.is_cse(who, receiver),
            TopicKind::RegistrationResponse => is_literal(originator) && self.is_credential(who, originator),
        }
    }

    /// Whether the client speaks for itself on a topic of a Credential-ID: its own credential, or the identifier
    /// that its credential stands for.
    fn is_credential(&self, who: &Who<'_>, level: &str) -> bool {
        spells_credential(level, who.credential)
            || who.ae.is_some_and(|ae| entity_of(&self.identity, level).as_str() == ae)
            || self.is_cse(who, level)
    }

    /// Whether a level names an AE of this CSE that the client is, or has registered. The administrator needs no
    /// registration.
    fn is_ae(&self, who: &Who<'_>, registered: &dyn Registered, level: &str) -> bool {
        let ae = entity_of(&self.identity, level);
        if !ae.is_ae_stem() && ae != self.admin {
            return false;
        }
        match who.identifier() {
            Some(_) => who.ae == Some(ae.as_str()) && (ae == self.admin || registered.has_ae(ae.as_str())),
            None => who.proven && registered.is_under(ae.as_str(), who.credential),
        }
    }

    fn is_cse(&self, who: &Who<'_>, level: &str) -> bool {
        who.cse.is_some_and(|cse| spells_cse(&self.identity, level, cse))
    }

    /// Whether a level names an AE of another CSE that the client is, and another that CSE. Its registration is
    /// that CSE's affair.
    fn is_distant_ae(&self, who: &Who<'_>, level: &str, cse_level: &str) -> bool {
        let Some((cse, _)) = who.ae.and_then(|ae| ae.rsplit_once('/')) else { return false };
        spells_cse(&self.identity, cse_level, cse) && self.is_own_distant_level(who, level)
    }

    fn is_own_distant_level(&self, who: &Who<'_>, level: &str) -> bool {
        level.contains(':')
            && who.ae.is_some_and(|ae| ae.contains('/') && entity_of(&self.identity, level).as_str() == ae)
    }

    /// Whether a level is one under which the client receives messages.
    fn is_anyone(&self, who: &Who<'_>, registered: &dyn Registered, level: &str) -> bool {
        self.is_ae(who, registered, level) || self.is_cse(who, level) || self.is_own_distant_level(who, level)
    }

    /// Whether another CSE may ask that receiver directly: CSEs and its own registrees, but no AE of this CSE,
    /// which hears from its registrar only.
    fn is_for_cse_to_ask(&self, who: &Who<'_>, registered: &dyn Registered, level: &str) -> bool {
        if who.cse.is_some_and(|cse| self.belongs_to(level, cse)) {
            return true;
        }
        let entity = entity_of(&self.identity, level);
        // What is left of an identifier behind its CSE-ID is an AE of that one.
        let cse_segments = if entity.as_str().starts_with("//") { 2 } else { 1 };
        let is_ae_of_other = entity.as_str().trim_start_matches('/').split('/').count() > cse_segments;
        let is_ours = entity.is_ae_stem() && (level.contains(':') || registered.has_ae(entity.as_str()));
        !is_ae_of_other && !is_ours && entity != self.admin
    }

    /// Whether a level names an AE of that CSE.
    fn belongs_to(&self, level: &str, cse: &str) -> bool {
        level.rsplit_once(':').is_some_and(|(of, stem)| !stem.is_empty() && spells_cse(&self.identity, of, cse))
    }

    fn levels<'a>(&self, topic: &'a str) -> Option<Levels<'a>> {
        let rest = topic.strip_prefix(self.prefix.as_str())?.strip_prefix("/oneM2M/")?;
        let mut levels = rest.split('/');
        let kind = TopicKind::parse(levels.next()?)?;
        let (originator, receiver) = (levels.next()?, levels.next()?);
        // One more is the serialization, which is not looked at; there are no others.
        let complete = !originator.is_empty() && !receiver.is_empty() && levels.nth(1).is_none();
        complete.then_some(Levels { kind, originator, receiver })
    }
}

#[cfg(test)]
pub(super) mod tests;
