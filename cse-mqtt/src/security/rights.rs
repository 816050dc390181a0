//! Which topics are a client's own (TS-0010 §8.4): pure functions of who it is, what is registered, and the topic.
//!
//! The rules are a table, [`rules`], which rules for external brokers are written from, too.
//!
//! Where §8.4 leaves out what the clauses on topics need (§7.4), it is granted, and `docs/mqtt-security.md` says why.
//! One principle decides: whoever publishes on a topic states by it who speaks, so only that one may; and a filter is
//! granted if all it can match is meant for the client.

pub(crate) mod rules;

use cse_core::id::{CseIdentity, Originator};
use cse_core::registrations::Registrations;
use cse_core::value::Text;

use self::rules::{Access, RULES, Slot};
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
        self.may(Access::Publish, who, registered, topic)
    }

    /// Whether a client may subscribe to a filter: all that the filter can match must be the client's to read.
    pub(crate) fn may_subscribe(&self, who: &Who<'_>, registered: &dyn Registered, filter: &str) -> bool {
        self.may(Access::Subscribe, who, registered, filter)
    }

    fn may(&self, access: Access, who: &Who<'_>, registered: &dyn Registered, topic: &str) -> bool {
        let Some(Levels { kind, originator, receiver }) = self.levels(topic) else { return false };
        RULES.iter().any(|rule| {
            rule.access == access
                && rule.kind == kind
                && self.fits(rule.originator, who, registered, originator)
                && self.fits(rule.receiver, who, registered, receiver)
        })
    }

    /// Whether a level is what a rule wants there.
    fn fits(&self, slot: Slot, who: &Who<'_>, registered: &dyn Registered, level: &str) -> bool {
        // What stands for several entities is `+` or, at the end, `#`: never where one is named.
        let is_literal = !matches!(level, "+" | "#");
        match slot {
            Slot::Any => true,
            _ if !is_literal => false,
            Slot::OwnCse => level == self.identity.base_id(),
            Slot::Ae => self.is_ae(who, registered, level),
            Slot::Cse => self.is_cse(who, level),
            Slot::DistantAe => self.is_distant_ae(who, level),
            Slot::DistantCse => self.is_cse_of_distant_ae(who, level),
            Slot::Registree => who.cse.is_some_and(|cse| self.belongs_to(level, cse)),
            Slot::Asked => self.is_for_cse_to_ask(who, registered, level),
            Slot::Credential => self.is_credential(who, level),
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

    /// Whether a level names the AE of another CSE that the client is. Its registration is that CSE's affair.
    fn is_distant_ae(&self, who: &Who<'_>, level: &str) -> bool {
        level.contains(':')
            && who.ae.is_some_and(|ae| ae.contains('/') && entity_of(&self.identity, level).as_str() == ae)
    }

    fn is_cse_of_distant_ae(&self, who: &Who<'_>, level: &str) -> bool {
        let cse = who.ae.and_then(|ae| ae.rsplit_once('/')).map(|(cse, _)| cse);
        cse.is_some_and(|cse| spells_cse(&self.identity, level, cse))
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
