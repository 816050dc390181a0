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
    /// Whether an AE with that stem or a CSE with that CSE-ID is registered.
    fn has(&self, identifier: &str) -> bool;
    /// Whether an AE with that stem or a CSE with that CSE-ID was registered under that credential.
    fn is_under(&self, identifier: &str, credential: &str) -> bool;
}

impl Registered for Registrations {
    fn has_ae(&self, stem: &str) -> bool {
        Registrations::has_ae(self, stem)
    }

    fn has(&self, identifier: &str) -> bool {
        self.get(identifier).is_some()
    }

    fn is_under(&self, identifier: &str, credential: &str) -> bool {
        Registrations::is_under(self, identifier, credential)
    }
}

/// Nothing is registered, as before the CSE has started.
pub(crate) struct Nobody;

impl Registered for Nobody {
    fn has_ae(&self, _stem: &str) -> bool {
        false
    }

    fn has(&self, _identifier: &str) -> bool {
        false
    }

    fn is_under(&self, _identifier: &str, _credential: &str) -> bool {
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
            Slot::Cse => self.is_cse(who, registered, level),
            Slot::DistantAe => self.is_distant_ae(who, level),
            Slot::DistantCse => self.is_cse_of_distant_ae(who, level),
            Slot::Registree => self.is_ae_of(who, registered, level),
            Slot::Asked => self.is_for_cse_to_ask(who, registered, level),
            Slot::Credential => self.is_credential(who, registered, level),
        }
    }

    /// Whether the client speaks for itself on a topic of a Credential-ID: its own credential, or the identifier
    /// that its credential stands for.
    fn is_credential(&self, who: &Who<'_>, registered: &dyn Registered, level: &str) -> bool {
        spells_credential(level, who.credential)
            || who.ae.is_some_and(|ae| entity_of(&self.identity, level).as_str() == ae)
            || self.is_cse(who, registered, level)
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

    /// Whether a level names another CSE that the client is, or has registered.
    fn is_cse(&self, who: &Who<'_>, registered: &dyn Registered, level: &str) -> bool {
        match who.identifier() {
            Some(_) => who.cse.is_some_and(|cse| spells_cse(&self.identity, level, cse)),
            None if !who.proven => false,
            None => {
                let address = format!("/{}", level.replace(':', "/"));
                let cse = self.identity.canonical_cse_id(&address).filter(|cse| spells_cse(&self.identity, level, cse));
                cse.is_some_and(|cse| registered.is_under(&cse, who.credential))
            }
        }
    }

    /// Whether the sender of a message on that topic is a CSE, if it may publish there at all.
    pub(crate) fn is_from_cse(&self, who: &Who<'_>, registered: &dyn Registered, topic: &str) -> bool {
        who.cse.is_some()
            || self.levels(topic).is_some_and(|levels| {
                let is_request = matches!(levels.kind, TopicKind::Request | TopicKind::RegistrationRequest);
                is_request && self.is_cse(who, registered, levels.originator)
            })
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
        if self.is_ae_of(who, registered, level) {
            return true;
        }
        let entity = entity_of(&self.identity, level);
        // What is left of an identifier behind its CSE-ID is an AE of that one.
        let cse_segments = if entity.as_str().starts_with("//") { 2 } else { 1 };
        let is_ae_of_other = entity.as_str().trim_start_matches('/').split('/').count() > cse_segments;
        let is_ours = entity.is_ae_stem() && (level.contains(':') || registered.has_ae(entity.as_str()));
        !is_ae_of_other && !is_ours && entity != self.admin
    }

    /// Whether a level names an AE of the CSE that the client is, or has registered.
    fn is_ae_of(&self, who: &Who<'_>, registered: &dyn Registered, level: &str) -> bool {
        level.rsplit_once(':').is_some_and(|(of, stem)| !stem.is_empty() && self.is_cse(who, registered, of))
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
