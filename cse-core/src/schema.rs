//! Resource types as data: what the generic procedures need to know of each type.
//!
//! A type is a [`TypeDef`]: a table of attributes, the children it may have, its virtual children. The tables
//! under `schema/tables` and `schema/flex`, the enumerations, the complex types and [`keys`] are written by
//! `schema-gen/generate.py` from the protocol data and checked in; the compiler sees every row. What the tables
//! imply is computed once at run time (`schema/index.rs`): announced variants from the rows of their originals, and the
//! specializations of `<mgmtObj>` and `<flexContainer>` from the common rows and their own.
//!
//! - [`type_def`] and [`by_root`] find a type, [`check_create`] and [`check_update`] judge what an originator sent.
//! - What a table cannot say is not here: see the behaviours of the types.

pub mod complex;
pub mod docs;
pub mod enums;
pub mod keys;

mod check;
mod definition;
mod flex;
mod index;
mod kind;
pub(crate) mod syntax;
mod tables;

#[cfg(test)]
pub(crate) mod tests;

use std::fmt;

pub use check::{check_create, check_update, check_value};
pub use definition::{Announced, AnnouncedDef, AttrDef, ChildLimit, Presence, Specialization, TypeDef, Virtual};
pub use index::{all_types, by_root, type_def, types};
pub(crate) use kind::Items;
pub use kind::{ComplexDef, EnumDef, Kind, MemberDef, XmlForm};
pub use syntax::{MAX_LIST_ITEMS, MAX_NAME, MAX_TEXT, MAX_TOKEN, MAX_URI, is_resource_name, is_schedule_entry};

/// A resource type number (`m2m:resourceType`, TS-0004 §6.3.4.2.1).
#[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub struct Ty(pub u16);

#[rustfmt::skip]
impl Ty {
    /// `<accessControlPolicy>`
    pub const ACCESS_CONTROL_POLICY: Ty = Ty(1);
    /// `<AE>`
    pub const AE: Ty = Ty(2);
    /// `<container>`
    pub const CONTAINER: Ty = Ty(3);
    /// `<contentInstance>`
    pub const CONTENT_INSTANCE: Ty = Ty(4);
    /// `<CSEBase>`
    pub const CSE_BASE: Ty = Ty(5);
    /// `<delivery>`
    pub const DELIVERY: Ty = Ty(6);
    /// `<eventConfig>`
    pub const EVENT_CONFIG: Ty = Ty(7);
    /// `<execInstance>`
    pub const EXEC_INSTANCE: Ty = Ty(8);
    /// `<group>`
    pub const GROUP: Ty = Ty(9);
    /// `<locationPolicy>`
    pub const LOCATION_POLICY: Ty = Ty(10);
    /// `<m2mServiceSubscriptionProfile>`
    pub const M2M_SERVICE_SUBSCRIPTION_PROFILE: Ty = Ty(11);
    /// `<mgmtCmd>`
    pub const MGMT_CMD: Ty = Ty(12);
    /// `<mgmtObj>`
    pub const MGMT_OBJ: Ty = Ty(13);
    /// `<node>`
    pub const NODE: Ty = Ty(14);
    /// `<pollingChannel>`
    pub const POLLING_CHANNEL: Ty = Ty(15);
    /// `<remoteCSE>`
    pub const REMOTE_CSE: Ty = Ty(16);
    /// `<request>`
    pub const REQUEST: Ty = Ty(17);
    /// `<schedule>`
    pub const SCHEDULE: Ty = Ty(18);
    /// `<serviceSubscribedAppRule>`
    pub const SERVICE_SUBSCRIBED_APP_RULE: Ty = Ty(19);
    /// `<serviceSubscribedNode>`
    pub const SERVICE_SUBSCRIBED_NODE: Ty = Ty(20);
    /// `<statsCollect>`
    pub const STATS_COLLECT: Ty = Ty(21);
    /// `<statsConfig>`
    pub const STATS_CONFIG: Ty = Ty(22);
    /// `<subscription>`
    pub const SUBSCRIPTION: Ty = Ty(23);
    /// `<semanticDescriptor>`
    pub const SEMANTIC_DESCRIPTOR: Ty = Ty(24);
    /// `<notificationTargetMgmtPolicyRef>`
    pub const NOTIFICATION_TARGET_MGMT_POLICY_REF: Ty = Ty(25);
    /// `<notificationTargetPolicy>`
    pub const NOTIFICATION_TARGET_POLICY: Ty = Ty(26);
    /// `<policyDeletionRules>`
    pub const POLICY_DELETION_RULES: Ty = Ty(27);
    /// `<flexContainer>`
    pub const FLEX_CONTAINER: Ty = Ty(28);
    /// `<timeSeries>`
    pub const TIME_SERIES: Ty = Ty(29);
    /// `<timeSeriesInstance>`
    pub const TIME_SERIES_INSTANCE: Ty = Ty(30);
    /// `<role>`
    pub const ROLE: Ty = Ty(31);
    /// `<token>`
    pub const TOKEN: Ty = Ty(32);
    /// `<dynamicAuthorizationConsultation>`
    pub const DYNAMIC_AUTHORIZATION_CONSULTATION: Ty = Ty(34);
    /// `<authorizationDecision>`
    pub const AUTHORIZATION_DECISION: Ty = Ty(35);
    /// `<authorizationPolicy>`
    pub const AUTHORIZATION_POLICY: Ty = Ty(36);
    /// `<authorizationInformation>`
    pub const AUTHORIZATION_INFORMATION: Ty = Ty(37);
    /// `<ontologyRepository>`
    pub const ONTOLOGY_REPOSITORY: Ty = Ty(38);
    /// `<ontology>`
    pub const ONTOLOGY: Ty = Ty(39);
    /// `<semanticMashupJobProfile>`
    pub const SEMANTIC_MASHUP_JOB_PROFILE: Ty = Ty(40);
    /// `<semanticMashupInstance>`
    pub const SEMANTIC_MASHUP_INSTANCE: Ty = Ty(41);
    /// `<semanticMashupResult>`
    pub const SEMANTIC_MASHUP_RESULT: Ty = Ty(42);
    /// `<AEContactList>`
    pub const AE_CONTACT_LIST: Ty = Ty(43);
    /// `<AEContactListPerCSE>`
    pub const AE_CONTACT_LIST_PER_CSE: Ty = Ty(44);
    /// `<localMulticastGroup>`
    pub const LOCAL_MULTICAST_GROUP: Ty = Ty(45);
    /// `<multimediaSession>`
    pub const MULTIMEDIA_SESSION: Ty = Ty(46);
    /// `<triggerRequest>`
    pub const TRIGGER_REQUEST: Ty = Ty(47);
    /// `<crossResourceSubscription>`
    pub const CROSS_RESOURCE_SUBSCRIPTION: Ty = Ty(48);
    /// `<backgroundDataTransfer>`
    pub const BACKGROUND_DATA_TRANSFER: Ty = Ty(49);
    /// `<transactionMgmt>`
    pub const TRANSACTION_MGMT: Ty = Ty(50);
    /// `<transaction>`
    pub const TRANSACTION: Ty = Ty(51);
    /// `<flexContainerInstance>`
    pub const FLEX_CONTAINER_INSTANCE: Ty = Ty(58);
    /// `<timeSyncBeacon>`
    pub const TIME_SYNC_BEACON: Ty = Ty(60);
    /// `<primitiveProfile>`
    pub const PRIMITIVE_PROFILE: Ty = Ty(62);
    /// `<processManagement>`
    pub const PROCESS_MANAGEMENT: Ty = Ty(63);
    /// `<state>`
    pub const STATE: Ty = Ty(64);
    /// `<action>`
    pub const ACTION: Ty = Ty(65);
    /// `<dependency>`
    pub const DEPENDENCY: Ty = Ty(66);
}

impl Ty {
    /// How far announced variants are above their originals.
    pub const ANNOUNCED: u16 = 10_000;

    /// Whether this is an announced variant.
    pub const fn is_announced(self) -> bool {
        self.0 > Self::ANNOUNCED
    }

    /// The announced variant of this type; an announced variant stays what it is.
    pub const fn announced(self) -> Ty {
        if self.is_announced() { self } else { Ty(self.0 + Self::ANNOUNCED) }
    }

    /// The type that this is the announced variant of; any other type stays what it is.
    pub const fn original(self) -> Ty {
        if self.is_announced() { Ty(self.0 - Self::ANNOUNCED) } else { self }
    }
}

impl fmt::Display for Ty {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(formatter)
    }
}
