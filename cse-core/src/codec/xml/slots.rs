//! What the tables say about a member: its kind, its cardinality, its form in XML, its place in the order.

use crate::schema::{ComplexDef, Items, Kind, MemberDef, TypeDef, XmlForm, by_root, complex, enums, keys};
use crate::value::Name;

/// What an element is about: a resource or a value.
#[derive(Clone, Copy, Debug)]
pub(super) enum What {
    Resource(&'static TypeDef),
    Value(Kind),
}

/// How many values a member has, and how XML writes several.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Many {
    /// One.
    No,
    /// A list in one element.
    List,
    /// A list, one element for each item.
    Repeated,
    /// Not known: one element is a value, several are a list.
    Loose,
}

impl From<Items> for Many {
    fn from(items: Items) -> Self {
        match items {
            Items::One => Many::No,
            Items::BetweenBlanks => Many::List,
            Items::Repeated => Many::Repeated,
        }
    }
}

/// The place of a member in an object.
#[derive(Clone, Copy, Debug)]
pub(super) struct Slot {
    pub(super) what: What,
    pub(super) many: Many,
    pub(super) form: XmlForm,
    /// The position in the table; what the table does not have comes last.
    pub(super) order: usize,
    /// The name in the table.
    pub(super) key: Option<&'static str>,
}

/// A resource stands before the members of the object that holds it (TS-0004 §6.3.5.25).
const ORDER_GLOBAL: usize = 0;
/// After the attributes of a resource come the references to children, then the children, then what is not known.
const ORDER_REFERENCES: usize = usize::MAX - 2;
const ORDER_CHILDREN: usize = usize::MAX - 1;
const ORDER_UNKNOWN: usize = usize::MAX;

impl Slot {
    const UNKNOWN: Slot = Slot {
        what: What::Value(Kind::Any),
        many: Many::Loose,
        form: XmlForm::Element,
        order: ORDER_UNKNOWN,
        key: None,
    };

    /// Whether the tables have the member.
    pub(super) fn is_known(&self) -> bool {
        self.key.is_some()
    }

    /// The name of the member, without a copy where the table has it.
    pub(super) fn name(&self, name: &str) -> Name {
        match self.key {
            Some(key) if key == name => Name::new_static(key),
            _ => name.into(),
        }
    }

    /// The kind, if this is no resource.
    pub(super) fn kind(&self) -> Option<&Kind> {
        match &self.what {
            What::Resource(_) => None,
            What::Value(kind) => Some(kind),
        }
    }
}

impl What {
    /// The place of the root element of a document.
    pub(super) const DOCUMENT: What = What::Value(Kind::Object);

    /// What is known about the member `name` of this.
    pub(super) fn member(&self, name: &str) -> Slot {
        match self {
            What::Resource(def) => attribute(def, name),
            What::Value(Kind::Complex(def)) => member(def, name),
            What::Value(Kind::SpecializationType) => member(&SPECIALIZATION_TYPE, name),
            What::Value(_) => global(name).unwrap_or(Slot::UNKNOWN),
        }
    }

    /// The place of a local member that is written with a prefix, as some clients do: no global element has the qualified
    /// name, and the table has what stands behind the prefix.
    pub(super) fn member_without_prefix(&self, name: &str) -> Option<Slot> {
        let (_, local) = name.split_once(':')?;
        if self.member(name).is_known() {
            return None;
        }
        Some(self.member(local)).filter(Slot::is_known)
    }

    /// The row that stands for the text of the element, beside its attributes.
    pub(super) fn content_member(&self) -> Option<&'static MemberDef> {
        match self {
            What::Value(Kind::Complex(def)) => def.members.iter().find(|member| member.xml == XmlForm::Content),
            _ => None,
        }
    }

    /// Whether this is an object by its nature.
    pub(super) fn is_object(&self) -> bool {
        matches!(self, What::Resource(_) | What::Value(Kind::Complex(_) | Kind::Object))
    }

    /// Whether this may be an object.
    pub(super) fn may_be_object(&self) -> bool {
        self.is_object() || matches!(self, What::Value(Kind::Any | Kind::SpecializationType))
    }
}

fn attribute(def: &'static TypeDef, name: &str) -> Slot {
    if let Some(order) = def.attributes.iter().position(|attr| attr.key == name) {
        let attr = &def.attributes[order];
        let many = attr.items().into();
        let form = if attr.key == keys::RESOURCE_NAME { XmlForm::Attribute } else { XmlForm::Element };
        return Slot { what: What::Value(attr.kind), many, form, order, key: Some(attr.key) };
    }
    if name == "ch" {
        return Slot {
            what: What::Value(Kind::Complex(&complex::CHILD_RESOURCE_REF)),
            many: Many::Repeated,
            form: XmlForm::Repeated,
            order: ORDER_REFERENCES,
            key: Some("ch"),
        };
    }
    match global(name) {
        // Children are lists, however few they are.
        Some(slot) if slot.many == Many::Loose => Slot { many: Many::Repeated, order: ORDER_CHILDREN, ..slot },
        Some(slot) => slot,
        None => Slot::UNKNOWN,
    }
}

fn member(def: &'static ComplexDef, name: &str) -> Slot {
    let local = name.rsplit(':').next().unwrap_or(name);
    let position = |key: &str| def.members.iter().position(|member| member.key == key);
    let found = position(name).or_else(|| if local.len() < name.len() { position(local) } else { None });
    let known = found.map(|order| {
        let member = &def.members[order];
        Slot {
            what: What::Value(member.kind),
            many: member.items().into(),
            form: member.xml,
            order: ORDER_GLOBAL + 1 + order,
            key: Some(member.key),
        }
    });
    // A qualified name is that of a global element; the table has its cardinality.
    match (global(name), known) {
        (Some(global), Some(known)) => Slot { many: known.many, order: known.order, ..global },
        (Some(global), None) => Slot { order: ORDER_GLOBAL, ..global },
        (None, Some(known)) => known,
        (None, None) => Slot::UNKNOWN,
    }
}

/// A global element; `None` for a name without prefix.
fn global(name: &str) -> Option<Slot> {
    if !name.contains(':') {
        return None;
    }
    let known = |key, kind, many| {
        Some(Slot { what: What::Value(kind), many, form: XmlForm::Element, order: ORDER_UNKNOWN, key: Some(key) })
    };
    match name {
        "m2m:rqp" => known("m2m:rqp", Kind::Complex(&REQUEST), Many::Loose),
        "m2m:rsp" => known("m2m:rsp", Kind::Complex(&RESPONSE), Many::Loose),
        "m2m:sgn" => known("m2m:sgn", Kind::Complex(&complex::NOTIFICATION), Many::Loose),
        "m2m:agn" => known("m2m:agn", Kind::Complex(&complex::AGGREGATED_NOTIFICATION), Many::Loose),
        "m2m:agr" => known("m2m:agr", Kind::Complex(&complex::AGGREGATED_RESPONSE), Many::Loose),
        "m2m:agrp" => known("m2m:agrp", Kind::Complex(&AGGREGATED_REQUESTS), Many::Loose),
        "m2m:rrl" => known("m2m:rrl", Kind::Complex(&complex::LIST_OF_CHILD_RESOURCE_REF), Many::Loose),
        "m2m:rce" => known("m2m:rce", Kind::Complex(&RESOURCE_WRAPPER), Many::Loose),
        "m2m:tsn" => known("m2m:tsn", Kind::Complex(&TIME_SERIES_NOTIFICATION), Many::Loose),
        "m2m:uril" => known("m2m:uril", Kind::Uri, Many::List),
        "m2m:atrl" => known("m2m:atrl", Kind::NcName, Many::List),
        "m2m:uri" => known("m2m:uri", Kind::Uri, Many::No),
        "m2m:dbg" => known("m2m:dbg", Kind::Text, Many::No),
        "m2m:qres" => known("m2m:qres", Kind::Text, Many::No),
        _ => Some(match by_root(name) {
            Some(def) => Slot {
                what: What::Resource(def),
                many: Many::Loose,
                form: XmlForm::Element,
                order: ORDER_UNKNOWN,
                key: Some(def.root),
            },
            None => Slot::UNKNOWN,
        }),
    }
}

const ANY_INT: Kind = Kind::Int { min: i64::MIN, max: i64::MAX };

const fn row(key: &'static str, name: &'static str, kind: Kind) -> MemberDef {
    MemberDef { key, name, kind, many: false, required: false, xml: XmlForm::Element }
}

const fn list(key: &'static str, name: &'static str, kind: Kind) -> MemberDef {
    MemberDef { many: true, ..row(key, name, kind) }
}

/// `m2m:requestPrimitive` (TS-0004 §6.4.1).
static REQUEST: ComplexDef = ComplexDef {
    name: "m2m:requestPrimitive",
    members: &[
        row("op", "operation", ANY_INT),
        row("to", "to", Kind::Uri),
        row("fr", "from", Kind::Id),
        row("rqi", "requestIdentifier", Kind::Id),
        row("ty", "resourceType", ANY_INT),
        row("pc", "primitiveContent", Kind::Object),
        list("rids", "roleIDs", Kind::Id),
        row("ot", "originatingTimestamp", Kind::Timestamp),
        row("rqet", "requestExpirationTimestamp", Kind::AbsRelTimestamp),
        row("rset", "resultExpirationTimestamp", Kind::AbsRelTimestamp),
        row("oet", "operationExecutionTime", Kind::AbsRelTimestamp),
        row("rt", "responseType", Kind::Complex(&complex::RESPONSE_TYPE_INFO)),
        row("rp", "resultPersistence", Kind::AbsRelTimestamp),
        row("rcn", "resultContent", ANY_INT),
        row("ec", "eventCategory", Kind::EventCategory),
        row("da", "deliveryAggregation", Kind::Bool),
        row("gid", "groupRequestIdentifier", Kind::Text),
        row("fc", "filterCriteria", Kind::Complex(&complex::FILTER_CRITERIA)),
        row("drt", "desiredIdentifierResultType", ANY_INT),
        list("tkns", "tokens", Kind::Text),
        list("tids", "tokenIDs", Kind::Id),
        row("tqi", "tokenRequestIndicator", Kind::Bool),
        list("ltids", "localTokenIDs", Kind::NcName),
        list("grtm", "groupRequestTargetMembers", Kind::Uri),
        row("asi", "authorSignIndicator", Kind::Bool),
        row("aus", "authorSigns", Kind::Any),
        row("auri", "authorRelIndicator", Kind::Bool),
        row("sqi", "semanticQueryIndicator", Kind::Bool),
        row("rvi", "releaseVersionIndicator", Kind::ReleaseVersion),
        row("vsi", "vendorInformation", Kind::Text),
        row("msu", "m2mServiceUser", Kind::Id),
        list("omr", "ontologyMappingResources", Kind::Any),
        row("gstn", "groupSomecastTargetNumber", ANY_INT),
    ],
    open: true,
};

/// `m2m:responsePrimitive` (TS-0004 §6.4.2).
static RESPONSE: ComplexDef = ComplexDef {
    name: "m2m:responsePrimitive",
    members: &[
        row("rsc", "responseStatusCode", Kind::Enum(&enums::RESPONSE_STATUS_CODE)),
        row("rqi", "requestIdentifier", Kind::Id),
        row("pc", "primitiveContent", Kind::Object),
        row("to", "to", Kind::Uri),
        row("fr", "from", Kind::Id),
        row("ot", "originatingTimestamp", Kind::Timestamp),
        row("rset", "resultExpirationTimestamp", Kind::AbsRelTimestamp),
        row("ec", "eventCategory", Kind::EventCategory),
        row("cnst", "contentStatus", ANY_INT),
        row("cnot", "contentOffset", Kind::UInt { min: 0 }),
        row("ati", "assignedTokenIdentifiers", Kind::Any),
        row("tqf", "tokenRequestInfo", Kind::Any),
        row("asri", "authorSignReqInfo", Kind::Bool),
        row("rvi", "releaseVersionIndicator", Kind::ReleaseVersion),
        row("vsi", "vendorInformation", Kind::Text),
    ],
    open: true,
};

/// What a polling channel with request aggregation gives at once.
static AGGREGATED_REQUESTS: ComplexDef = ComplexDef {
    name: "m2m:aggregatedRequestPrimitives",
    members: &[MemberDef {
        many: true,
        xml: XmlForm::Repeated,
        ..row("m2m:rqp", "m2m:requestPrimitive", Kind::Object)
    }],
    open: false,
};

/// `m2m:resourceWrapper`: a resource with its address.
static RESOURCE_WRAPPER: ComplexDef =
    ComplexDef { name: "m2m:resourceWrapper", members: &[row("uri", "URI", Kind::Uri)], open: true };

/// `m2m:timeSeriesNotification` (TS-0004 §8.2.7).
static TIME_SERIES_NOTIFICATION: ComplexDef = ComplexDef {
    name: "m2m:timeSeriesNotification",
    members: &[
        list("mdlt", "missingDataList", Kind::AbsRelTimestamp),
        row("mdc", "missingDataCurrentNr", Kind::UInt { min: 0 }),
    ],
    open: true,
};

/// `m2m:specializationType`, where it is an object.
static SPECIALIZATION_TYPE: ComplexDef = ComplexDef {
    name: "m2m:specializationType",
    members: &[row("mgd", "mgmtDefinition", ANY_INT), row("cnd", "containerDefinition", Kind::Uri)],
    open: false,
};
