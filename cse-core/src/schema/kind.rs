//! Value kinds of attributes and members: simple types, enumerations and complex types (TS-0004 §6.3).

use std::fmt;

use crate::value::Value;

/// What values an attribute or a member takes.
#[derive(Clone, Copy, Debug)]
pub enum Kind {
    /// `xs:string`: any text that XML can carry.
    Text,
    /// `xs:token`: text of at least one character, without line breaks and outer spaces.
    Token,
    /// `xs:NCName`: a name without colon, such as the short name of an attribute.
    NcName,
    /// `xs:anyURI`: an address or a resource identifier; no spaces.
    Uri,
    /// `m2m:ID` and other identifiers; no spaces.
    Id,
    /// `m2m:resourceName`.
    ResourceName,
    /// `xs:boolean`.
    Bool,
    /// An integer in a range.
    Int {
        /// The smallest value.
        min: i64,
        /// The largest value.
        max: i64,
    },
    /// An integer that is not negative.
    UInt {
        /// The smallest value.
        min: u64,
    },
    /// Any finite number.
    Float,
    /// `m2m:timestamp`.
    Timestamp,
    /// `m2m:absRelTimestamp`: a timestamp or milliseconds from now.
    AbsRelTimestamp,
    /// `xs:duration`.
    Duration,
    /// `m2m:scheduleEntry`: seven fields from seconds to years.
    ScheduleEntry,
    /// `xs:base64Binary`.
    Base64,
    /// `m2m:contentInfo`: media type, encoding, security.
    ContentInfo,
    /// An item of `m2m:serializations`.
    Serialization,
    /// `m2m:releaseVersion`.
    ReleaseVersion,
    /// `m2m:eventCat`: 2 to 4, or 100 to 999 for own categories.
    EventCategory,
    /// `m2m:countryCode`: two letters.
    CountryCode,
    /// `m2m:ipv4`: an address or a network in CIDR notation.
    Ipv4,
    /// `m2m:ipv6`: an address or a network in CIDR notation.
    Ipv6,
    /// `m2m:specializationType`: `mgmtDefinition` or `containerDefinition`, alone or as an object.
    SpecializationType,
    /// An object that is not looked into, such as the content of a primitive.
    Object,
    /// A number of an enumeration.
    Enum(&'static EnumDef),
    /// An object with known members.
    Complex(&'static ComplexDef),
    /// `xs:anyType`: any value.
    Any,
}

impl Kind {
    /// The value that a text of an XML element or of a query string means. What is no value of this kind stays text,
    /// for the check to refuse it.
    pub fn from_text(&self, text: &str) -> Value {
        match self {
            Kind::Bool => match text {
                "true" | "1" => Value::Bool(true),
                "false" | "0" => Value::Bool(false),
                _ => text.into(),
            },
            Kind::Int { .. } | Kind::UInt { .. } | Kind::Enum(_) | Kind::EventCategory | Kind::SpecializationType => {
                match (text.parse::<i64>(), text.parse::<u64>()) {
                    (Ok(int), _) => Value::Int(int),
                    (_, Ok(int)) => Value::UInt(int),
                    _ => text.into(),
                }
            }
            Kind::Float => match (text.parse::<i64>(), text.parse::<u64>(), text.parse::<f64>()) {
                (Ok(int), ..) => Value::Int(int),
                (_, Ok(int), _) => Value::UInt(int),
                (.., Ok(float)) if float.is_finite() => Value::Float(float),
                _ => text.into(),
            },
            _ => text.into(),
        }
    }
}

/// The data type by its name in the specification, with the range of numbers.
impl fmt::Display for Kind {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(match self {
            Kind::Text => "xs:string",
            Kind::Token => "xs:token",
            Kind::NcName => "xs:NCName",
            Kind::Uri => "xs:anyURI",
            Kind::Id => "m2m:ID",
            Kind::ResourceName => "m2m:resourceName",
            Kind::Bool => "xs:boolean",
            Kind::Int { min: i64::MIN, max: i64::MAX } => "xs:integer",
            Kind::Int { min, max } => return write!(formatter, "xs:integer {min} to {max}"),
            Kind::UInt { min: 0 } => "xs:nonNegativeInteger",
            Kind::UInt { min: 1 } => "xs:positiveInteger",
            Kind::UInt { min } => return write!(formatter, "xs:integer from {min}"),
            Kind::Float => "xs:double",
            Kind::Timestamp => "m2m:timestamp",
            Kind::AbsRelTimestamp => "m2m:absRelTimestamp",
            Kind::Duration => "xs:duration",
            Kind::ScheduleEntry => "m2m:scheduleEntry",
            Kind::Base64 => "xs:base64Binary",
            Kind::ContentInfo => "m2m:contentInfo",
            Kind::Serialization => "m2m:serialization",
            Kind::ReleaseVersion => "m2m:releaseVersion",
            Kind::EventCategory => "m2m:eventCat",
            Kind::CountryCode => "m2m:countryCode",
            Kind::Ipv4 => "m2m:ipv4",
            Kind::Ipv6 => "m2m:ipv6",
            Kind::SpecializationType => "m2m:specializationType",
            Kind::Object => "object",
            Kind::Enum(def) => def.name,
            Kind::Complex(def) => def.name,
            Kind::Any => "xs:anyType",
        })
    }
}

/// An enumeration (TS-0004 §6.3.4.2).
#[derive(Debug)]
pub struct EnumDef {
    /// Name of the data type, `m2m:memberType`.
    pub name: &'static str,
    /// Values in ascending order, with their names.
    pub values: &'static [(i64, &'static str)],
    /// Whether values are added up.
    pub bits: bool,
    /// Whether the list is not known to be complete, so that other numbers are taken, too.
    pub open: bool,
}

impl EnumDef {
    /// Whether the number is a value of the enumeration.
    pub fn contains(&self, number: i64) -> bool {
        if self.bits {
            let all = self.values.iter().fold(0, |all, (bit, _)| all | bit);
            return number > 0 && number & !all == 0;
        }
        (self.open && number >= 0) || self.label(number).is_some()
    }

    /// The name of the value.
    pub fn label(&self, number: i64) -> Option<&'static str> {
        self.values.binary_search_by_key(&number, |(value, _)| *value).ok().map(|index| self.values[index].1)
    }
}

/// A complex data type (TS-0004 §6.3.5).
#[derive(Debug)]
pub struct ComplexDef {
    /// Name of the data type, `m2m:batchNotify`.
    pub name: &'static str,
    /// The members, in the order in which XML writes them.
    pub members: &'static [MemberDef],
    /// Whether the list is not known to be complete, so that other members are taken, too.
    pub open: bool,
}

impl ComplexDef {
    /// The member with that short name.
    pub fn member(&self, key: &str) -> Option<&'static MemberDef> {
        self.members.iter().find(|member| member.key == key)
    }
}

/// A member of a complex data type.
#[derive(Clone, Copy, Debug)]
pub struct MemberDef {
    /// Short name, as on the wire.
    pub key: &'static str,
    /// Long name.
    pub name: &'static str,
    /// What values it takes; of each item, if it is a list.
    pub kind: Kind,
    /// Whether it is a list.
    pub many: bool,
    /// Whether it must be there.
    pub required: bool,
    /// How XML writes it.
    pub xml: XmlForm,
}

/// How XML writes a member.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum XmlForm {
    /// One element; the items of a list stand in it, separated by spaces.
    Element,
    /// One element for each item.
    Repeated,
    /// An attribute of the surrounding element.
    Attribute,
    /// The text of the surrounding element.
    Content,
}

/// How many values a member or an attribute has, and how XML writes them.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Items {
    /// One value.
    One,
    /// `xs:list`: one element, with blanks between the items.
    BetweenBlanks,
    /// One element for each item.
    Repeated,
}

/// A row: an optional single member. The methods of [`MemberDef`] say what is different.
pub(super) const fn member(key: &'static str, name: &'static str, kind: Kind) -> MemberDef {
    MemberDef { key, name, kind, many: false, required: false, xml: XmlForm::Element }
}

impl MemberDef {
    /// How many values there are, and how XML writes them.
    pub(crate) const fn items(&self) -> Items {
        match (self.many, self.xml) {
            (false, _) => Items::One,
            (true, XmlForm::Repeated) => Items::Repeated,
            (true, _) => Items::BetweenBlanks,
        }
    }

    pub(super) const fn list(mut self) -> Self {
        self.many = true;
        self
    }

    pub(super) const fn repeated(mut self) -> Self {
        self.many = true;
        self.xml = XmlForm::Repeated;
        self
    }

    pub(super) const fn required(mut self) -> Self {
        self.required = true;
        self
    }

    pub(super) const fn xml_attribute(mut self) -> Self {
        self.xml = XmlForm::Attribute;
        self
    }

    pub(super) const fn xml_content(mut self) -> Self {
        self.xml = XmlForm::Content;
        self
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::schema::enums;

    #[test]
    fn text_becomes_what_the_kind_says() {
        assert_eq!(Kind::Bool.from_text("1"), Value::Bool(true));
        assert_eq!(Kind::Bool.from_text("false"), Value::Bool(false));
        assert_eq!(Kind::UInt { min: 0 }.from_text("7"), Value::Int(7));
        assert_eq!(Kind::UInt { min: 0 }.from_text("18446744073709551615"), Value::UInt(u64::MAX));
        assert_eq!(Kind::Enum(&enums::MEMBER_TYPE).from_text("3"), Value::Int(3));
        assert_eq!(Kind::Float.from_text("0.5"), Value::Float(0.5));
        assert_eq!(Kind::Float.from_text("5"), Value::Int(5));
        assert_eq!(Kind::Text.from_text("7"), Value::from("7"));
        assert_eq!(Kind::Any.from_text("7"), Value::from("7"));
    }

    #[test]
    fn text_that_is_no_value_of_the_kind_stays_text() {
        for (kind, text) in
            [(Kind::Bool, "yes"), (Kind::UInt { min: 0 }, "1.5"), (Kind::Float, "x"), (Kind::Float, "INF")]
        {
            assert_eq!(kind.from_text(text), Value::from(text));
        }
    }

    #[test]
    fn bit_masks_take_sums_and_open_enumerations_more() {
        let operations = &enums::ACCESS_CONTROL_OPERATIONS;
        assert!(operations.contains(63) && operations.contains(34));
        assert!(!operations.contains(0) && !operations.contains(64) && !operations.contains(i64::MIN));
        assert!(enums::GEOMETRY_TYPE.contains(77) && !enums::GEOMETRY_TYPE.contains(-1));
        assert_eq!(enums::CONSISTENCY_STRATEGY.label(2), Some("ABANDON_GROUP"));
        assert_eq!(enums::CONSISTENCY_STRATEGY.label(4), None);
    }
}
