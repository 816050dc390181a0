//! What a resource type is: [`TypeDef`] and its parts. The tables are made of nothing else.

use super::{Items, Kind, Ty};

/// A resource type, a specialization of `<mgmtObj>` or `<flexContainer>`, or an announced variant.
#[derive(Clone, Copy, Debug)]
pub struct TypeDef {
    /// The type number. All specializations of a type share it.
    pub ty: Ty,
    /// Long name, `container`.
    pub name: &'static str,
    /// Short name, `cnt`.
    pub short: &'static str,
    /// Root element, `m2m:cnt`. Empty for the common part of types of which only specializations exist.
    pub root: &'static str,
    /// The release that brought the type.
    pub release: u8,
    /// All attributes, in the order in which XML writes them.
    pub attributes: &'static [AttrDef],
    /// Types of the children, in ascending order. A specialization is meant by the number that it shares.
    pub children: &'static [Ty],
    /// Types of which it may be a child, in ascending order.
    pub parents: &'static [Ty],
    /// Virtual children.
    pub virtuals: &'static [Virtual],
    /// Whether `<subscription>` may be a child.
    pub subscribable: bool,
    /// Whether only an IN-CSE hosts it.
    pub in_cse_only: bool,
    /// The announced variant, if the type is announceable.
    pub announced: Option<AnnouncedDef>,
    /// Children of which the number or the name is limited.
    pub child_limits: &'static [ChildLimit],
    /// Which specialization this is.
    pub specialization: Option<Specialization>,
    /// Whether this CSE has the behaviour of the type; the others are known as data only.
    pub implemented: bool,
}

impl TypeDef {
    /// The attribute with that short name.
    pub fn attribute(&self, key: &str) -> Option<&'static AttrDef> {
        // A table has about 25 rows; comparing lengths first makes this as quick as an index.
        self.attributes.iter().find(|attr| attr.key == key)
    }

    /// Whether a resource of type `child` may be created in a resource of this type.
    pub fn allows_child(&self, child: Ty) -> bool {
        self.children.binary_search(&child).is_ok()
    }

    /// Whether a resource of this type has the virtual child.
    pub fn has_virtual(&self, child: Virtual) -> bool {
        self.virtuals.contains(&child)
    }

    /// The limit on children of that type, if there is one.
    pub fn child_limit(&self, child: Ty) -> Option<&'static ChildLimit> {
        self.child_limits.iter().find(|limit| limit.child == child)
    }
}

/// What the announced variant of a type has of its own; its attributes follow from the original.
#[derive(Clone, Copy, Debug)]
pub struct AnnouncedDef {
    /// Long name, `containerAnnc`.
    pub name: &'static str,
    /// Root element, `m2m:cntA`. Empty where only specializations have one.
    pub root: &'static str,
    /// Types of the children, in ascending order.
    pub children: &'static [Ty],
}

/// A limit on the children of one type.
#[derive(Clone, Copy, Debug)]
pub struct ChildLimit {
    /// Type of the children.
    pub child: Ty,
    /// How many there may be.
    pub max: u32,
    /// The resource name that the child must have.
    pub name: Option<&'static str>,
}

/// What a specialization is recognized by in its content.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Specialization {
    /// `mgmtDefinition` (`mgd`) of a `<mgmtObj>`.
    MgmtDefinition(u16),
    /// `containerDefinition` (`cnd`) of a `<flexContainer>`.
    ContainerDefinition(&'static str),
}

/// A child that exists in the address only (TS-0001 §9.6.1).
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub enum Virtual {
    /// `la`: the newest instance.
    Latest,
    /// `ol`: the oldest instance.
    Oldest,
    /// `fopt`: all members of a group.
    FanOutPoint,
    /// `sfop`: the semantic descriptors of all members of a group.
    SemanticFanOutPoint,
    /// `pcu`: where requests are polled.
    PollingChannelUri,
    /// `ntsr`: where a notification target removes itself.
    NotificationTargetSelfReference,
    /// `smv`: where semantic descriptors are validated.
    SemanticValidation,
    /// `msp`: where the result of a mashup is retrieved.
    Mashup,
}

impl Virtual {
    /// All of them.
    pub const ALL: [Virtual; 8] = [
        Virtual::Latest,
        Virtual::Oldest,
        Virtual::FanOutPoint,
        Virtual::SemanticFanOutPoint,
        Virtual::PollingChannelUri,
        Virtual::NotificationTargetSelfReference,
        Virtual::SemanticValidation,
        Virtual::Mashup,
    ];

    /// The name in addresses.
    pub const fn short_name(self) -> &'static str {
        match self {
            Virtual::Latest => "la",
            Virtual::Oldest => "ol",
            Virtual::FanOutPoint => "fopt",
            Virtual::SemanticFanOutPoint => "sfop",
            Virtual::PollingChannelUri => "pcu",
            Virtual::NotificationTargetSelfReference => "ntsr",
            Virtual::SemanticValidation => "smv",
            Virtual::Mashup => "msp",
        }
    }

    /// The name in the specification.
    pub const fn long_name(self) -> &'static str {
        match self {
            Virtual::Latest => "latest",
            Virtual::Oldest => "oldest",
            Virtual::FanOutPoint => "fanOutPoint",
            Virtual::SemanticFanOutPoint => "semanticFanOutPoint",
            Virtual::PollingChannelUri => "pollingChannelURI",
            Virtual::NotificationTargetSelfReference => "notificationTargetSelfReference",
            Virtual::SemanticValidation => "semanticValidation",
            Virtual::Mashup => "mashup",
        }
    }

    /// The virtual child with that name in addresses.
    pub fn from_short_name(name: &str) -> Option<Virtual> {
        Virtual::ALL.into_iter().find(|candidate| candidate.short_name() == name)
    }
}

/// Whether an originator gives an attribute in a request.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Presence {
    /// It must be there.
    Mandatory,
    /// It may be there.
    Optional,
    /// It must not be there: only the CSE sets it.
    NotPermitted,
}

impl Presence {
    /// The abbreviation in the specification's tables.
    pub const fn abbreviation(self) -> &'static str {
        match self {
            Presence::Mandatory => "M",
            Presence::Optional => "O",
            Presence::NotPermitted => "NP",
        }
    }
}

/// Whether an attribute appears in the announced variant (TS-0001 §9.6.26).
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Announced {
    /// Not announced (NA), or the type is not announceable.
    No,
    /// Announced where `announcedAttribute` names it (OA).
    Optional,
    /// Always announced (MA).
    Mandatory,
}

impl Announced {
    /// The abbreviation in the specification's tables.
    pub const fn abbreviation(self) -> &'static str {
        match self {
            Announced::No => "NA",
            Announced::Optional => "OA",
            Announced::Mandatory => "MA",
        }
    }
}

/// An attribute of a resource type.
#[derive(Clone, Copy, Debug)]
pub struct AttrDef {
    /// Short name, as on the wire.
    pub key: &'static str,
    /// Long name.
    pub name: &'static str,
    /// What values it takes; of each item, if it is a list.
    pub kind: Kind,
    /// Whether it is a list. XML writes a list of complex values as repeated elements, any other list as one element
    /// with the items separated by spaces.
    pub many: bool,
    /// Presence in CREATE.
    pub create: Presence,
    /// Presence in UPDATE.
    pub update: Presence,
    /// Whether every resource has it, so that it cannot be deleted.
    pub required: bool,
    /// Presence in the announced variant.
    pub announced: Announced,
    /// The release that brought it.
    pub release: u8,
    /// Whether only the CSE gives it its value.
    pub by_cse: bool,
}

/// A row: an optional single attribute that is not announced. The methods of [`AttrDef`] say what is different.
pub(super) const fn attr(
    key: &'static str,
    name: &'static str,
    kind: Kind,
    create: Presence,
    update: Presence,
) -> AttrDef {
    AttrDef {
        key,
        name,
        kind,
        many: false,
        create,
        update,
        required: false,
        announced: Announced::No,
        release: 1,
        by_cse: false,
    }
}

impl AttrDef {
    /// How many values there are, and how XML writes them.
    pub(crate) const fn items(&self) -> Items {
        match (self.many, self.kind) {
            (false, _) => Items::One,
            (true, Kind::Complex(_) | Kind::Object) => Items::Repeated,
            (true, _) => Items::BetweenBlanks,
        }
    }

    /// How many values a resource has: `1`, `0..1`, `1(L)` or `0..1(L)`, where `(L)` is a list.
    pub const fn cardinality(&self) -> &'static str {
        match (self.required, self.many) {
            (true, false) => "1",
            (false, false) => "0..1",
            (true, true) => "1(L)",
            (false, true) => "0..1(L)",
        }
    }

    pub(super) const fn list(mut self) -> Self {
        self.many = true;
        self
    }

    pub(super) const fn required(mut self) -> Self {
        self.required = true;
        self
    }

    pub(super) const fn by_cse(mut self) -> Self {
        self.by_cse = true;
        self
    }

    pub(super) const fn oa(mut self) -> Self {
        self.announced = Announced::Optional;
        self
    }

    pub(super) const fn ma(mut self) -> Self {
        self.announced = Announced::Mandatory;
        self
    }

    pub(super) const fn release(mut self, release: u8) -> Self {
        self.release = release;
        self
    }
}

/// The rows that a specialization adds to the common ones of its type.
#[derive(Clone, Copy, Debug)]
pub(super) struct SpecializationDef {
    pub(super) root: &'static str,
    pub(super) announced_root: Option<&'static str>,
    pub(super) name: &'static str,
    pub(super) release: u8,
    pub(super) specialization: Option<Specialization>,
    pub(super) attributes: &'static [AttrDef],
}
