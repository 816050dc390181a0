//! The rules of TS-0010 §8.4 for an external broker, as far as they can be written down in advance.
//!
//! A broker of another make knows users and topics, not what is registered. So the rules here are the table of
//! `rights/rules.rs` with everybody's own level in place of the AE and the Credential-ID, and for users that are told
//! with the entity they speak for, in place of that. What remains (is the AE registered, does `fr` agree with the
//! topic) the CSE looks at itself.

mod emqx;
mod mosquitto;
#[cfg(test)]
mod tests;

use cse_core::id::CseIdentity;

use super::identity::Entity;
use super::naming::is_credential;
use super::rights::rules::{Access, RULES, Rule, Slot};
use crate::topic::{TopicKind, level_of, normal_prefix};

/// What an external broker knows everybody by: its value is the topic level that the client speaks under.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub enum KnownBy {
    /// The user name.
    #[default]
    UserName,
    /// The client identifier; only for brokers that do not let clients choose it.
    ClientId,
}

/// A user of the broker and the entity that it speaks for.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct NamedUser {
    /// User name at the broker.
    pub name: String,
    /// The AE or CSE.
    pub entity: Entity,
}

/// Why no rules can be written.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
pub enum InvalidRules {
    /// A user name that rules cannot name, or that would be more than one topic level.
    #[error(
        "'{0}' cannot be a user name here: it must not be empty or have one of / : + # \" \\ and control characters"
    )]
    Name(String),
    /// A user that is this CSE, or an entity that is.
    #[error("'{0}' is this CSE itself, which has its rules anyway")]
    Itself(String),
}

/// Rules for an external broker.
#[derive(Clone, Debug)]
pub struct StaticRules {
    cse_id: String,
    known_by: KnownBy,
    prefix: String,
    own_user: String,
    named: Vec<(NamedUser, Vec<Grant>)>,
    own: Vec<Grant>,
    everybody: Vec<Grant>,
}

/// One right of a user, or of everybody.
#[derive(Clone, Debug, Eq, PartialEq)]
struct Grant {
    access: Access,
    kind: TopicKind,
    originator: Part,
    receiver: Part,
}

/// A level of a topic in a rule.
#[derive(Clone, Debug, Eq, PartialEq)]
enum Part {
    Level(String),
    /// The user name or client identifier of whoever asks.
    OwnName,
    Any,
}

/// Whom a rule is written for.
#[derive(Clone, Copy)]
enum Subject<'a> {
    OwnCse,
    User(&'a NamedUser),
    Everybody,
}

impl StaticRules {
    /// Rules for the broker of that CSE, which is known there as `own_user`, and for these other users.
    ///
    /// # Errors
    /// [`InvalidRules`] if a name cannot be written, or is that of this CSE.
    pub fn new(
        identity: &CseIdentity,
        topic_prefix: &str,
        own_user: &str,
        users: &[NamedUser],
        known_by: KnownBy,
    ) -> Result<Self, InvalidRules> {
        let names = users.iter().map(|user| user.name.as_str());
        if let Some(name) = names.chain([own_user]).find(|name| !is_writable(name)) {
            return Err(InvalidRules::Name(name.to_owned()));
        }
        if let Some(user) = users.iter().find(|user| user.name == own_user || is_own(identity, &user.entity)) {
            return Err(InvalidRules::Itself(format!("{}={}", user.name, user.entity.identifier())));
        }
        let grants = |subject| grants(identity, users, subject);
        Ok(Self {
            cse_id: identity.cse_id.to_string(),
            known_by,
            prefix: normal_prefix(topic_prefix).to_owned(),
            own_user: own_user.to_owned(),
            own: grants(Subject::OwnCse),
            named: users.iter().map(|user| (user.clone(), grants(Subject::User(user)))).collect(),
            everybody: grants(Subject::Everybody),
        })
    }

    /// As an `acl_file` of mosquitto.
    pub fn mosquitto(&self) -> String {
        mosquitto::write(self)
    }

    /// As an `acl.conf` of EMQX 5.
    pub fn emqx(&self) -> String {
        emqx::write(self)
    }

    /// A topic of a grant up to its receiver.
    fn topic(&self, grant: &Grant, own_name: &str) -> String {
        let level = |part: &Part| match part {
            Part::Level(level) => level.clone(),
            Part::OwnName => own_name.to_owned(),
            Part::Any => "+".to_owned(),
        };
        let (originator, receiver) = (level(&grant.originator), level(&grant.receiver));
        format!("{}/oneM2M/{}/{originator}/{receiver}", self.prefix, grant.kind.level())
    }
}

/// Whether a name is one topic level that every format can write.
fn is_writable(name: &str) -> bool {
    is_credential(name) && !name.contains(['/', ':', '"', '\\'])
}

fn is_own(identity: &CseIdentity, entity: &Entity) -> bool {
    *entity == Entity::Cse(identity.cse_id.clone())
}

fn grants(identity: &CseIdentity, users: &[NamedUser], subject: Subject<'_>) -> Vec<Grant> {
    let mut grants: Vec<Grant> = Vec::new();
    for Rule { access, kind, originator, receiver } in RULES {
        let receivers = parts(identity, users, subject, *receiver);
        for originator in parts(identity, users, subject, *originator) {
            for receiver in &receivers {
                let (originator, receiver) = (originator.clone(), receiver.clone());
                let grant = Grant { access: *access, kind: *kind, originator, receiver };
                if !grants.contains(&grant) {
                    grants.push(grant);
                }
            }
        }
    }
    grants
}

/// What may stand in a level for that subject; nothing if the rule is not for it.
fn parts(identity: &CseIdentity, users: &[NamedUser], subject: Subject<'_>, slot: Slot) -> Vec<Part> {
    let levels = |levels: Vec<String>| levels.into_iter().map(Part::Level).collect();
    let entities = || users.iter().map(|user| &user.entity);
    let own_level = || vec![Part::Level(identity.base_id().to_owned())];
    match (subject, slot) {
        (_, Slot::Any) => vec![Part::Any],
        (Subject::Everybody, Slot::Ae | Slot::Credential) => vec![Part::OwnName],
        (Subject::Everybody | Subject::User(_), Slot::OwnCse) => own_level(),
        (Subject::OwnCse, Slot::Cse) => levels(spellings(identity, &Entity::Cse(identity.cse_id.clone()))),
        // It asks AEs and CSEs, and only it knows which there are.
        (Subject::OwnCse, Slot::Asked) => vec![Part::Any],
        (Subject::User(user), Slot::Credential) => levels(spellings(identity, &user.entity)),
        (Subject::User(NamedUser { entity: entity @ Entity::Ae(ae), .. }), _) => {
            let cse = ae.rsplit_once('/').map(|(cse, _)| Entity::Cse(cse.into()));
            match (slot, cse) {
                (Slot::Ae, None) | (Slot::DistantAe, Some(_)) => levels(spellings(identity, entity)),
                (Slot::DistantCse, Some(cse)) => levels(spellings(identity, &cse)),
                _ => Vec::new(),
            }
        }
        (Subject::User(NamedUser { entity: entity @ Entity::Cse(cse), .. }), _) => {
            let is_registree = |other: &&Entity| is_registree(other, cse);
            let of = |entity: &Entity| spellings(identity, entity);
            match slot {
                Slot::Cse => levels(of(entity)),
                Slot::Registree => levels(entities().filter(is_registree).flat_map(of).collect()),
                // Unlike on the embedded broker, CSEs that nobody has told are not reached: their level could be
                // that of an AE, which hears from its registrar only.
                Slot::Asked => {
                    let own = Entity::Cse(identity.cse_id.clone());
                    let others = entities()
                        .filter(|other| matches!(other, Entity::Cse(_)) && *other != entity || is_registree(other));
                    levels([&own].into_iter().chain(others).flat_map(of).collect())
                }
                _ => Vec::new(),
            }
        }
        (Subject::OwnCse | Subject::Everybody, _) => Vec::new(),
    }
}

/// Whether an entity is an AE of that CSE.
fn is_registree(entity: &Entity, cse: &str) -> bool {
    matches!(entity, Entity::Ae(ae) if ae.rsplit_once('/').is_some_and(|(of, _)| of == cse))
}

/// An entity as topic levels: as §7.4 has it, and the longer forms of the same.
fn spellings(identity: &CseIdentity, entity: &Entity) -> Vec<String> {
    let identifier = entity.identifier().as_str();
    let (sp_id, cse_id) = (&identity.sp_id, &identity.cse_id);
    let identifiers = if identifier.starts_with("//") {
        vec![identifier.to_owned()]
    } else if identifier.starts_with('/') {
        vec![identifier.to_owned(), format!("{sp_id}{identifier}")]
    } else {
        vec![identifier.to_owned(), format!("{cse_id}/{identifier}"), format!("{sp_id}{cse_id}/{identifier}")]
    };
    identifiers.iter().filter_map(|identifier| level_of(identifier)).collect()
}
