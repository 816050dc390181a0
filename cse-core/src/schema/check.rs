//! Is what an originator sent right for the type? Pure functions of the tables (TS-0004 §7.3.3.6).

use super::{
    AttrDef, ComplexDef, Items, Kind, MAX_LIST_ITEMS, MAX_NAME, MAX_TEXT, MAX_TOKEN, MAX_URI, Presence, Specialization,
    TypeDef, keys, syntax,
};
use crate::error::Error;
use crate::time::{AbsRelTimestamp, Timestamp, parse_duration};
use crate::value::{Map, Value};

/// Checks the attributes of a CREATE and returns them normalized: integers that came as `5.0` are integers.
///
/// `creator` may be `null`, which asks the CSE to fill it in, and nothing else.
///
/// # Errors
/// [`Error::UnknownAttribute`], [`Error::AttributeNotPermitted`], [`Error::InvalidAttribute`] or
/// [`Error::MissingAttribute`].
pub fn check_create(def: &'static TypeDef, content: &Map) -> Result<Map, Error> {
    let mut checked = Map::with_capacity(content.len() + 12);
    for (name, value) in content.iter() {
        let attr = permitted(def, name, |attr| attr.create, "CREATE")?;
        if is_creator(attr) {
            if !value.is_null() {
                return Err(invalid(attr, "must be null: the CSE fills in the creator", value));
            }
        } else if value.is_null() {
            return Err(invalid(attr, "cannot be null in CREATE", value));
        } else {
            check_value(attr, value)?;
        }
        checked.push(attr.key, normalized(&attr.kind, value));
    }
    check_mandatory(def, content, |attr| attr.create)?;
    check_specialization(def, &checked)?;
    Ok(checked)
}

/// Checks the attributes of an UPDATE and returns them normalized, as [`check_create`] does.
///
/// `null` deletes an attribute; one that every resource has cannot be deleted. `expirationTime` is the exception:
/// `null` asks the CSE for a new one.
///
/// # Errors
/// As [`check_create`].
pub fn check_update(def: &'static TypeDef, content: &Map) -> Result<Map, Error> {
    let mut checked = Map::with_capacity(content.len());
    for (name, value) in content.iter() {
        let attr = permitted(def, name, |attr| attr.update, "UPDATE")?;
        if !value.is_null() {
            check_value(attr, value)?;
        } else if attr.required && attr.key != keys::EXPIRATION_TIME {
            return Err(invalid(attr, "cannot be deleted", value));
        }
        checked.push(attr.key, normalized(&attr.kind, value));
    }
    check_mandatory(def, content, |attr| attr.update)?;
    check_specialization(def, &checked)?;
    Ok(checked)
}

/// Checks one value against the kind and the cardinality of the attribute.
///
/// # Errors
/// [`Error::InvalidAttribute`] with the path to what is wrong, such as `enc/net[0]`.
pub fn check_value(attr: &AttrDef, value: &Value) -> Result<(), Error> {
    check_items(&attr.kind, attr.items(), value).map_err(|problem| {
        Error::attribute(format!("{}{}", attr.key, problem.path), format!("({}) {}", attr.name, problem.text))
    })
}

fn permitted(
    def: &'static TypeDef,
    name: &str,
    presence: fn(&AttrDef) -> Presence,
    operation: &'static str,
) -> Result<&'static AttrDef, Error> {
    let attr = def
        .attribute(name)
        .ok_or_else(|| Error::UnknownAttribute { resource: def.name, attribute: shortened(name) })?;
    if presence(attr) == Presence::NotPermitted {
        return Err(Error::AttributeNotPermitted {
            resource: def.name,
            attribute: attr.key,
            long_name: attr.name,
            operation,
        });
    }
    Ok(attr)
}

fn check_mandatory(def: &TypeDef, content: &Map, presence: fn(&AttrDef) -> Presence) -> Result<(), Error> {
    let missing =
        def.attributes.iter().find(|attr| presence(attr) == Presence::Mandatory && !content.contains(attr.key));
    match missing {
        Some(attr) => Err(Error::MissingAttribute { resource: def.name, attribute: attr.key, long_name: attr.name }),
        None => Ok(()),
    }
}

/// A specialization cannot call itself another one.
fn check_specialization(def: &TypeDef, content: &Map) -> Result<(), Error> {
    let (key, expected) = match def.specialization {
        Some(Specialization::MgmtDefinition(number)) => ("mgd", Value::from(number)),
        Some(Specialization::ContainerDefinition(definition)) => ("cnd", Value::from(definition)),
        None => return Ok(()),
    };
    match (content.get(key), def.attribute(key)) {
        (Some(value), Some(attr)) if *value != expected => {
            Err(invalid(attr, &format!("must be {} for {}", found(&expected), def.name), value))
        }
        _ => Ok(()),
    }
}

fn is_creator(attr: &AttrDef) -> bool {
    attr.key == keys::CREATOR && attr.name == "creator"
}

fn invalid(attr: &AttrDef, problem: &str, value: &Value) -> Error {
    Error::attribute(attr.key, format!("({}) {problem}, found {}", attr.name, found(value)))
}

/// What is wrong with a value, and where inside it.
struct Problem {
    path: String,
    text: String,
}

impl Problem {
    fn expected(what: &str, value: &Value) -> Self {
        Problem { path: String::new(), text: format!("must be {what}, found {}", found(value)) }
    }

    fn inside(mut self, step: &str) -> Self {
        self.path.insert_str(0, step);
        self
    }
}

fn check_items(kind: &Kind, items_of: Items, value: &Value) -> Result<(), Problem> {
    if items_of == Items::One {
        return check_one(kind, value);
    }
    let Value::List(items) = value else {
        return Err(Problem::expected("a list", value));
    };
    if items.len() > MAX_LIST_ITEMS {
        let text = format!("has {} items; at most {MAX_LIST_ITEMS} are accepted", items.len());
        return Err(Problem { path: String::new(), text });
    }
    for (index, item) in items.iter().enumerate() {
        let checked = match items_of {
            Items::BetweenBlanks => check_one(kind, item).and_then(|()| check_blanks(kind, item)),
            Items::One | Items::Repeated => check_one(kind, item),
        };
        checked.map_err(|problem| problem.inside(&format!("[{index}]")))?;
    }
    Ok(())
}

/// An `xs:list` has no place for blanks inside its items. Where the kind is not known, XML is told in another way.
fn check_blanks(kind: &Kind, item: &Value) -> Result<(), Problem> {
    match item {
        Value::Text(text) if !matches!(kind, Kind::Any) && (text.is_empty() || text.contains(char::is_whitespace)) => {
            Err(Problem::expected("an item without blanks, which stand between the items of this list in XML", item))
        }
        _ => Ok(()),
    }
}

fn check_one(kind: &Kind, value: &Value) -> Result<(), Problem> {
    if let (Kind::Complex(def), Value::Map(members)) = (kind, value) {
        return check_members(def, members);
    }
    if accepts(kind, value) { Ok(()) } else { Err(Problem::expected(&expectation(kind), value)) }
}

fn check_members(def: &ComplexDef, members: &Map) -> Result<(), Problem> {
    for (name, value) in members.iter() {
        let step = format!("/{}", shortened(name));
        match def.member(name) {
            Some(member) => {
                check_items(&member.kind, member.items(), value).map_err(|problem| problem.inside(&step))?;
            }
            None if def.open => {}
            None => {
                let text = format!("is not a member of {}", def.name);
                return Err(Problem { path: step, text });
            }
        }
    }
    match def.members.iter().find(|member| member.required && !members.contains(member.key)) {
        Some(member) => {
            let text = format!("lacks the mandatory member '{}' ({})", member.key, member.name);
            Err(Problem { path: String::new(), text })
        }
        None => Ok(()),
    }
}

/// Whether a value that is no object with known members is of that kind.
fn accepts(kind: &Kind, value: &Value) -> bool {
    let text = |check: fn(&str) -> bool| value.as_text().is_some_and(check);
    match kind {
        Kind::Text => text(syntax::is_text),
        Kind::Token => text(syntax::is_token),
        Kind::NcName => text(syntax::is_nc_name),
        Kind::Uri | Kind::Id => text(syntax::is_uri),
        Kind::ResourceName => text(syntax::is_resource_name),
        Kind::Bool => value.as_bool().is_some(),
        Kind::Int { min, max } => value.as_int().is_some_and(|int| (*min..=*max).contains(&int)),
        Kind::UInt { min } => value.as_unsigned().is_some_and(|int| int >= *min),
        Kind::Float => match value {
            Value::Int(_) | Value::UInt(_) => true,
            Value::Float(float) => float.is_finite(),
            _ => false,
        },
        Kind::Timestamp => text(|text| Timestamp::parse(text).is_some()),
        Kind::AbsRelTimestamp => AbsRelTimestamp::from_value(value).is_some(),
        Kind::Duration => text(|text| parse_duration(text).is_some()),
        Kind::ScheduleEntry => text(syntax::is_schedule_entry),
        Kind::Base64 => text(syntax::is_base64),
        Kind::ContentInfo => text(syntax::is_content_info),
        Kind::Serialization => text(syntax::is_serialization),
        Kind::ReleaseVersion => text(syntax::is_release_version),
        Kind::EventCategory => value.as_int().is_some_and(|int| matches!(int, 2..=4 | 100..=999)),
        Kind::CountryCode => text(syntax::is_country_code),
        Kind::Ipv4 => text(syntax::is_ipv4),
        Kind::Ipv6 => text(syntax::is_ipv6),
        Kind::SpecializationType => match value {
            Value::Map(map) => map.only().is_some_and(|(name, value)| match name.as_str() {
                "mgd" => value.as_unsigned().is_some(),
                "cnd" => accepts(&Kind::Uri, value),
                _ => false,
            }),
            other => other.as_unsigned().is_some() || accepts(&Kind::Uri, other),
        },
        Kind::Object => value.as_map().is_some(),
        Kind::Enum(def) => value.as_int().is_some_and(|int| def.contains(int)),
        Kind::Complex(_) => false,
        Kind::Any => true,
    }
}

/// What a value of that kind is, for messages.
fn expectation(kind: &Kind) -> String {
    match kind {
        Kind::Text => format!("text of at most {MAX_TEXT} bytes without control characters"),
        Kind::Token => format!("a token of 1 to {MAX_TOKEN} bytes without outer spaces and line breaks"),
        Kind::NcName => format!("a name of at most {MAX_NAME} bytes that begins with a letter"),
        Kind::Uri => format!("an address or identifier of 1 to {MAX_URI} bytes without spaces"),
        Kind::Id => format!("an identifier of 1 to {MAX_URI} bytes without spaces"),
        Kind::ResourceName => {
            format!("a name of 1 to {MAX_NAME} letters, digits, '-', '.' and '_' that begins with a letter or digit")
        }
        Kind::Bool => "true or false".into(),
        Kind::Int { min: i64::MIN, max: i64::MAX } => "an integer".into(),
        Kind::Int { min, max } => format!("an integer from {min} to {max}"),
        Kind::UInt { min } => format!("an integer of at least {min}"),
        Kind::Float => "a number".into(),
        Kind::Timestamp => "a timestamp (YYYYMMDDThhmmss, UTC)".into(),
        Kind::AbsRelTimestamp => "a timestamp (YYYYMMDDThhmmss, UTC) or a number of milliseconds".into(),
        Kind::Duration => "a duration such as PT60S".into(),
        Kind::ScheduleEntry => {
            "a schedule of seven fields (second, minute, hour, day, month, day of the week, year)".into()
        }
        Kind::Base64 => "base64 text".into(),
        Kind::ContentInfo => "a media type with encoding and security, such as application/json:0".into(),
        Kind::Serialization => "json, xml or cbor".into(),
        Kind::ReleaseVersion => "one of the texts 1, 2, 2a, 3, 4, 5".into(),
        Kind::EventCategory => "2, 3, 4 or a number from 100 to 999".into(),
        Kind::CountryCode => "a country code of two letters".into(),
        Kind::Ipv4 => "an IPv4 address or network".into(),
        Kind::Ipv6 => "an IPv6 address or network".into(),
        Kind::SpecializationType => "a mgmtDefinition number or a containerDefinition".into(),
        Kind::Object => "an object".into(),
        Kind::Enum(def) if def.bits => {
            format!("a sum of {} ({})", numbers(def.values.iter().map(|(value, _)| *value)), def.name)
        }
        Kind::Enum(def) => {
            format!("one of {} ({})", numbers(def.values.iter().map(|(value, _)| *value)), def.name)
        }
        Kind::Complex(def) => format!("an object ({})", def.name),
        Kind::Any => "any value".into(),
    }
}

/// Numbers, with runs written as ranges.
fn numbers(values: impl Iterator<Item = i64>) -> String {
    let mut runs: Vec<(i64, i64)> = Vec::new();
    for value in values {
        match runs.last_mut() {
            Some((_, last)) if *last + 1 == value => *last = value,
            _ => runs.push((value, value)),
        }
    }
    let runs = runs.iter().map(|(from, to)| if from == to { from.to_string() } else { format!("{from}-{to}") });
    runs.collect::<Vec<_>>().join(", ")
}

/// A value for messages: short, whatever was sent.
fn found(value: &Value) -> String {
    match value {
        Value::Text(text) => format!("the string '{}'", shortened(text)),
        Value::Int(int) => int.to_string(),
        Value::UInt(int) => int.to_string(),
        Value::Float(float) => float.to_string(),
        Value::Bool(flag) => flag.to_string(),
        Value::Null | Value::List(_) | Value::Map(_) => value.kind_name().to_owned(),
    }
}

fn shortened(text: &str) -> String {
    const SHOWN: usize = 64;
    match text.char_indices().nth(SHOWN) {
        Some((end, _)) => format!("{}...", &text[..end]),
        None => text.to_owned(),
    }
}

/// The value with every number of an integer kind as an integer.
fn normalized(kind: &Kind, value: &Value) -> Value {
    match (kind, value) {
        (
            Kind::Int { .. } | Kind::UInt { .. } | Kind::Enum(_) | Kind::EventCategory | Kind::SpecializationType,
            Value::Float(_),
        ) => value.as_int().map_or_else(|| value.clone(), Value::Int),
        (Kind::Any | Kind::Object, _) => value.clone(),
        (_, Value::List(items)) => Value::List(items.iter().map(|item| normalized(kind, item)).collect()),
        (Kind::Complex(def), Value::Map(members)) => {
            let mut map = Map::with_capacity(members.len());
            for (name, value) in members.iter() {
                let kind = def.member(name).map_or(Kind::Any, |member| member.kind);
                map.push(name.clone(), normalized(&kind, value));
            }
            Value::Map(map)
        }
        _ => value.clone(),
    }
}
