//! From the decoded tree to a primitive, with a refusal for every parameter that is wrong.
//!
//! Numbers and booleans may come as text: that is how HTTP carries them and what many MQTT clients send.

use super::filter::{AttributeCondition, FilterCriteria, FilterOperation, FilterUsage};
use super::{Operation, ReleaseVersion, Request, Response, ResponseType, ResultContent};
use crate::error::{Error, Rsc};
use crate::schema::Ty;
use crate::time::{AbsRelTimestamp, Timestamp};
use crate::value::{Map, Text, Value};

/// Why a tree is no request, with what is needed to answer all the same.
#[derive(Clone, Debug)]
pub struct DecodeFailure {
    /// `rqi`, where it could be found; without it there is nothing to answer to.
    pub request_identifier: Option<Text>,
    /// `fr`, where it could be found.
    pub from: Option<Text>,
    /// `rvi`, where it was valid.
    pub release_version: Option<ReleaseVersion>,
    /// What is wrong.
    pub error: Error,
}

impl DecodeFailure {
    /// The answer, if there is a request identifier to answer to.
    pub fn response(&self) -> Option<Response> {
        Some(Response::error(self.request_identifier.clone()?, &self.error).in_release(self.release_version))
    }
}

/// Longest identifier or address that is accepted, in bytes.
const ADDRESS_BYTES_MAX: usize = 2048;
/// Longest request identifier that is accepted, in bytes.
const REQUEST_IDENTIFIER_BYTES_MAX: usize = 1024;

impl Request {
    /// Makes a request of a decoded primitive.
    ///
    /// # Errors
    /// [`DecodeFailure`] with the first problem found; mandatory parameters are looked at first
    /// (TS-0004 §7.3.2).
    pub fn from_map(map: Map) -> Result<Self, Box<DecodeFailure>> {
        let request_identifier = map.get("rqi").and_then(lenient_text).filter(|rqi| !rqi.is_empty());
        let from = map.get("fr").and_then(lenient_text);
        let release_version = map.get("rvi").and_then(lenient_text).and_then(|text| ReleaseVersion::parse(&text));
        decode(map).map_err(|error| Box::new(DecodeFailure { request_identifier, from, release_version, error }))
    }
}

fn decode(map: Map) -> Result<Request, Error> {
    let operation = required(&map, "op")?;
    let operation = integer("op", operation).ok().and_then(Operation::from_code).ok_or_else(|| {
        Error::parameter("op", "must be 1 (create), 2 (retrieve), 3 (update), 4 (delete) or 5 (notify)")
    })?;
    let to = text("to", required(&map, "to")?, ADDRESS_BYTES_MAX)?;
    let request_identifier = text("rqi", required(&map, "rqi")?, REQUEST_IDENTIFIER_BYTES_MAX)?;
    if request_identifier.is_empty() {
        return Err(Error::parameter("rqi", "must not be empty"));
    }
    let mut request = Request::new(operation, to, "", request_identifier);
    request.from = None;
    request.release_version = None;
    for (name, value) in map {
        if !value.is_null() {
            set_parameter(&mut request, &name, value)?;
        }
    }
    check_presence(&request)?;
    Ok(request)
}

fn set_parameter(request: &mut Request, name: &str, value: Value) -> Result<(), Error> {
    match name {
        "op" | "to" | "rqi" => {}
        "fr" => request.from = Some(text("fr", &value, ADDRESS_BYTES_MAX)?),
        "rvi" => {
            let version = lenient_text(&value).ok_or_else(|| wrong("rvi", "a string", &value))?;
            let parsed = ReleaseVersion::parse(&version);
            request.release_version = Some(parsed.ok_or(Error::ReleaseVersionNotSupported(version.to_string()))?);
        }
        "ty" => {
            let code = integer("ty", &value)?;
            let code =
                u16::try_from(code).map_err(|_| Error::parameter("ty", format!("{code} is no resource type")))?;
            request.resource_type = Some(Ty(code));
        }
        "pc" => match value {
            Value::Map(content) => request.content = Some(content),
            other => return Err(Error::InvalidContent(format!("pc must be an object, not {}", other.kind_name()))),
        },
        "ot" => request.originating_timestamp = Some(timestamp("ot", &value)?),
        "rqet" => request.request_expiration = Some(abs_rel("rqet", &value)?),
        "rset" => request.result_expiration = Some(abs_rel("rset", &value)?),
        "oet" => request.operation_execution_time = Some(abs_rel("oet", &value)?),
        "rp" => request.result_persistence = Some(abs_rel("rp", &value)?),
        "rt" => set_response_type(request, value)?,
        "rcn" => {
            let code = integer("rcn", &value)?;
            let parsed = ResultContent::from_code(code);
            request.result_content =
                Some(parsed.ok_or_else(|| Error::parameter("rcn", format!("must be 0 to 12, not {code}")))?);
        }
        "ec" => request.event_category = Some(event_category(&value)?),
        "da" | "tqi" | "asi" | "auri" | "sqi" => {
            request.passive.insert(name, boolean(name, &value)?);
        }
        "gid" => request.group_request_identifier = Some(text("gid", &value, REQUEST_IDENTIFIER_BYTES_MAX)?),
        "grtm" => request.group_request_target_members = Some(texts("grtm", &value)?),
        "fc" => match value {
            Value::Map(criteria) => request.filter_criteria = Some(Box::new(filter_criteria(&criteria)?)),
            other => return Err(wrong("fc", "an object", &other)),
        },
        "drt" => {
            request.unstructured_addresses = match integer("drt", &value)? {
                1 => false,
                2 => true,
                other => {
                    return Err(Error::parameter(
                        "drt",
                        format!("must be 1 (structured) or 2 (unstructured), not {other}"),
                    ));
                }
            }
        }
        "vsi" => request.vendor_information = Some(text("vsi", &value, ADDRESS_BYTES_MAX)?),
        "rids" | "tkns" | "tids" | "ltids" | "aus" | "msu" | "omr" | "gstn" => {
            request.passive.insert(name, value);
        }
        other => return Err(Error::UnknownParameter(other.chars().take(64).collect())),
    }
    Ok(())
}

/// Which parameters go with which operation (TS-0004 §7.2.1.1).
fn check_presence(request: &Request) -> Result<(), Error> {
    let operation = request.operation;
    let not_allowed = |name| Err(Error::ParameterNotAllowed { name, operation: operation.name().into() });
    let creates_ae = operation == Operation::Create && request.resource_type == Some(Ty::AE);
    if request.from.is_none() && !creates_ae {
        return Err(Error::MissingParameter("fr"));
    }
    match operation {
        Operation::Create => {
            if request.resource_type.is_none() {
                return Err(Error::MissingParameter("ty"));
            }
            if request.filter_criteria.is_some() {
                return not_allowed("fc");
            }
        }
        _ if request.resource_type.is_some() => return not_allowed("ty"),
        _ => {}
    }
    match (operation, &request.content) {
        (Operation::Create | Operation::Update | Operation::Notify, None) => Err(Error::MissingParameter("pc")),
        (Operation::Delete, Some(_)) => not_allowed("pc"),
        (Operation::Notify, _) if request.result_content.is_some() => not_allowed("rcn"),
        (Operation::Notify, _) if request.filter_criteria.is_some() => not_allowed("fc"),
        _ => Ok(()),
    }
}

fn set_response_type(request: &mut Request, value: Value) -> Result<(), Error> {
    let code = match &value {
        Value::Map(info) => {
            if let Some(uris) = info.get("nu") {
                request.notification_uris = Some(texts("rt/nu", uris)?);
            }
            match info.get("rtv") {
                Some(code) => integer("rt/rtv", code)?,
                None => i64::from(ResponseType::Blocking.code()),
            }
        }
        other => integer("rt", other)?,
    };
    request.response_type =
        ResponseType::from_code(code).ok_or_else(|| Error::parameter("rt", format!("must be 1 to 5, not {code}")))?;
    Ok(())
}

fn filter_criteria(map: &Map) -> Result<FilterCriteria, Error> {
    let mut criteria = FilterCriteria::default();
    for (name, value) in map.iter() {
        let parameter = format!("fc/{name}");
        let at = || timestamp(&parameter, value).map(Some);
        let count = || unsigned(&parameter, value).map(Some);
        match name.as_str() {
            "crb" => criteria.created_before = at()?,
            "cra" => criteria.created_after = at()?,
            "ms" => criteria.modified_since = at()?,
            "us" => criteria.unmodified_since = at()?,
            "exb" => criteria.expire_before = at()?,
            "exa" => criteria.expire_after = at()?,
            "sts" => criteria.state_tag_smaller = positive(&parameter, value).map(Some)?,
            "stb" => criteria.state_tag_bigger = count()?,
            "sza" => criteria.size_above = count()?,
            "szb" => criteria.size_below = positive(&parameter, value).map(Some)?,
            "lbl" => criteria.labels = texts(&parameter, value)?,
            "clbl" => criteria.child_labels = texts(&parameter, value)?,
            "palb" => criteria.parent_labels = texts(&parameter, value)?,
            "lbq" => criteria.labels_query = Some(text(&parameter, value, ADDRESS_BYTES_MAX)?),
            "ty" => criteria.resource_type = types(&parameter, value)?,
            "chty" => criteria.child_resource_type = types(&parameter, value)?,
            "pty" => criteria.parent_resource_type = types(&parameter, value)?,
            "cty" => criteria.content_type = texts(&parameter, value)?,
            "atr" => criteria.attribute = conditions(&parameter, value)?,
            "catr" => criteria.child_attribute = conditions(&parameter, value)?,
            "patr" => criteria.parent_attribute = conditions(&parameter, value)?,
            "lim" => criteria.limit = count()?,
            "lvl" => criteria.level = positive(&parameter, value).map(Some)?,
            "ofst" => criteria.offset = positive(&parameter, value).map(Some)?,
            "arp" => criteria.apply_relative_path = Some(text(&parameter, value, ADDRESS_BYTES_MAX)?),
            "fu" => {
                criteria.usage = match integer(&parameter, value)? {
                    1 => FilterUsage::Discovery,
                    2 => FilterUsage::Conditional,
                    3 => FilterUsage::IpeOnDemand,
                    other => return Err(Error::parameter(parameter, format!("must be 1, 2 or 3, not {other}"))),
                }
            }
            "fo" => {
                criteria.operation = match integer(&parameter, value)? {
                    1 => FilterOperation::And,
                    2 => FilterOperation::Or,
                    3 => return Err(Error::NotImplemented("filterOperation 3 (XOR)".into())),
                    other => {
                        return Err(Error::parameter(parameter, format!("must be 1 (AND) or 2 (OR), not {other}")));
                    }
                }
            }
            "smf" => return Err(Error::NotImplemented("filtering by semantics (smf)".into())),
            "cfs" => match integer(&parameter, value)? {
                1 => {}
                other => return Err(Error::parameter(parameter, format!("must be 1 (JSONPath), not {other}"))),
            },
            "cfq" => criteria.content_filter_query = Some(text(&parameter, value, ADDRESS_BYTES_MAX)?),
            "gmty" | "geom" | "gsf" => {
                return Err(Error::NotImplemented("filtering by geometry (gmty, geom, gsf)".into()));
            }
            "ops" => return Err(Error::NotImplemented("filtering by operations (ops)".into())),
            _ => {
                let name: String = parameter.chars().take(64).collect();
                return Err(Error::parameter(name, "is no member of the filter criteria"));
            }
        }
    }
    if map.contains("cfs") != map.contains("cfq") {
        return Err(Error::parameter("fc/cfs", "and cfq must be given together"));
    }
    if criteria.usage == FilterUsage::IpeOnDemand {
        return Err(Error::NotImplemented("IPE on-demand discovery (fu 3)".into()));
    }
    Ok(criteria)
}

/// Most alternatives in one member of the filter criteria, and members in a list parameter.
const LIST_ITEMS_MAX: usize = 1000;

fn conditions(name: &str, value: &Value) -> Result<Vec<AttributeCondition>, Error> {
    let one = |value: &Value| {
        let problem = || Error::parameter(name, "must be a list of objects with nm and val");
        let map = value.as_map().ok_or_else(problem)?;
        let attribute = map.text("nm").ok_or_else(problem)?;
        let value = map.get("val").ok_or_else(problem)?;
        Ok(AttributeCondition { name: attribute.into(), value: value.clone() })
    };
    match value {
        Value::List(list) if list.len() <= LIST_ITEMS_MAX => list.iter().map(one).collect(),
        Value::List(_) => Err(Error::parameter(name, format!("has more than {LIST_ITEMS_MAX} entries"))),
        single => Ok(vec![one(single)?]),
    }
}

fn types(name: &str, value: &Value) -> Result<Vec<Ty>, Error> {
    let one = |value: &Value| {
        let code = integer(name, value)?;
        u16::try_from(code).map(Ty).map_err(|_| Error::parameter(name, format!("{code} is no resource type")))
    };
    match value {
        Value::List(list) if list.len() <= LIST_ITEMS_MAX => list.iter().map(one).collect(),
        Value::List(_) => Err(Error::parameter(name, format!("has more than {LIST_ITEMS_MAX} entries"))),
        single => Ok(vec![one(single)?]),
    }
}

fn texts(name: &str, value: &Value) -> Result<Vec<Text>, Error> {
    match value {
        Value::List(list) if list.len() <= LIST_ITEMS_MAX => {
            list.iter().map(|item| text(name, item, ADDRESS_BYTES_MAX)).collect()
        }
        Value::List(_) => Err(Error::parameter(name, format!("has more than {LIST_ITEMS_MAX} entries"))),
        single => Ok(vec![text(name, single, ADDRESS_BYTES_MAX)?]),
    }
}

fn required<'a>(map: &'a Map, name: &'static str) -> Result<&'a Value, Error> {
    map.get(name).filter(|value| !value.is_null()).ok_or(Error::MissingParameter(name))
}

fn wrong(name: &str, wanted: &str, found: &Value) -> Error {
    Error::parameter(name, format!("must be {wanted}, not {}", found.kind_name()))
}

fn text(name: &str, value: &Value, bytes_max: usize) -> Result<Text, Error> {
    let text = lenient_text(value).ok_or_else(|| wrong(name, "a string", value))?;
    if text.len() > bytes_max {
        return Err(Error::parameter(name, format!("is longer than {bytes_max} bytes")));
    }
    Ok(text)
}

/// Text, or a number that a client did not put in quotes.
fn lenient_text(value: &Value) -> Option<Text> {
    match value {
        Value::Text(text) => Some(text.clone()),
        Value::Int(int) => Some(int.to_string().into()),
        Value::UInt(int) => Some(int.to_string().into()),
        _ => None,
    }
}

fn integer(name: &str, value: &Value) -> Result<i64, Error> {
    match value {
        Value::Text(text) => text
            .trim()
            .parse()
            .map_err(|_| Error::parameter(name, format!("must be an integer, not '{}'", short(text)))),
        other => other.as_int().ok_or_else(|| wrong(name, "an integer", other)),
    }
}

fn unsigned(name: &str, value: &Value) -> Result<u64, Error> {
    let number = integer(name, value)?;
    u64::try_from(number).map_err(|_| Error::parameter(name, format!("must not be negative, as {number} is")))
}

fn positive(name: &str, value: &Value) -> Result<u64, Error> {
    match unsigned(name, value)? {
        0 => Err(Error::parameter(name, "must be positive")),
        number => Ok(number),
    }
}

fn boolean(name: &str, value: &Value) -> Result<bool, Error> {
    match value {
        Value::Bool(flag) => Ok(*flag),
        Value::Int(1) => Ok(true),
        Value::Int(0) => Ok(false),
        Value::Text(text) if text == "true" || text == "1" => Ok(true),
        Value::Text(text) if text == "false" || text == "0" => Ok(false),
        other => Err(wrong(name, "true or false", other)),
    }
}

fn timestamp(name: &str, value: &Value) -> Result<Timestamp, Error> {
    value
        .as_text()
        .and_then(Timestamp::parse)
        .ok_or_else(|| Error::parameter(name, "must be a timestamp like 20260102T030405 or 20260102T030405,123456"))
}

fn abs_rel(name: &str, value: &Value) -> Result<AbsRelTimestamp, Error> {
    AbsRelTimestamp::from_value(value)
        .ok_or_else(|| Error::parameter(name, "must be a timestamp like 20260102T030405 or a number of milliseconds"))
}

fn event_category(value: &Value) -> Result<u32, Error> {
    match integer("ec", value)? {
        category @ (2..=4 | 100..=999) => Ok(category as u32),
        other => Err(Error::parameter("ec", format!("must be 2 to 4 or 100 to 999, not {other}"))),
    }
}

fn short(text: &str) -> String {
    text.chars().take(40).collect()
}

impl Response {
    /// Makes a response of a decoded primitive, as another entity sent it.
    ///
    /// # Errors
    /// What is missing or malformed; only `rsc` and `rqi` are needed.
    pub fn from_map(map: Map) -> Result<Self, Error> {
        let code = integer("rsc", required(&map, "rsc")?)?;
        let status = u16::try_from(code).ok().and_then(Rsc::from_code);
        let status = status.ok_or_else(|| Error::parameter("rsc", format!("{code} is no response status code")))?;
        let rqi = text("rqi", required(&map, "rqi")?, REQUEST_IDENTIFIER_BYTES_MAX)?;
        let mut response = Response::new(status, rqi);
        for (name, value) in map {
            match (name.as_str(), value) {
                ("pc", Value::Map(content)) => response.content = Some(content),
                ("rvi", Value::Text(version)) => response.release_version = ReleaseVersion::parse(&version),
                ("to", Value::Text(to)) => response.to = Some(to),
                ("fr", Value::Text(from)) => response.from = Some(from),
                ("ot", Value::Text(time)) => response.originating_timestamp = Timestamp::parse(&time),
                ("rset", value) => response.result_expiration = AbsRelTimestamp::from_value(&value),
                ("ec", value) => response.event_category = event_category(&value).ok(),
                ("cnst", value) => response.content_complete = integer("cnst", &value).ok().map(|status| status == 2),
                ("cnot", value) => response.content_offset = unsigned("cnot", &value).ok(),
                ("vsi", Value::Text(info)) => response.vendor_information = Some(info),
                _ => {}
            }
        }
        Ok(response)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn decode_json(text: &str) -> Result<Request, Box<DecodeFailure>> {
        Request::from_map(serde_json::from_str(text).expect("valid JSON"))
    }

    fn refused(text: &str) -> (Rsc, String) {
        let failure = decode_json(text).expect_err("refused");
        (failure.error.rsc(), failure.error.to_string())
    }

    #[test]
    fn a_full_request_is_read() {
        let request = decode_json(
            r#"{"op":2,"to":"cse-in","fr":"Ca","rqi":"1","rvi":"3","rcn":"4","rqet":5000,
                "fc":{"fu":"1","ty":["3",4],"lim":"10","lbl":["a"],"atr":[{"nm":"con","val":"x*"}]},"drt":2}"#,
        )
        .expect("accepted");
        let criteria = request.filter_criteria.as_ref().expect("there");
        assert_eq!(criteria.resource_type, [Ty::CONTAINER, Ty::CONTENT_INSTANCE]);
        assert_eq!(criteria.limit, Some(10));
        assert!(request.is_discovery() && request.unstructured_addresses);
    }

    #[test]
    fn each_wrong_parameter_is_named() {
        for (text, rsc, hint) in [
            (r#"{}"#, 4000, "'op'"),
            (r#"{"op":9,"to":"x","fr":"C","rqi":"1"}"#, 4000, "'op'"),
            (r#"{"op":2,"fr":"C","rqi":"1"}"#, 4000, "'to'"),
            (r#"{"op":2,"to":"x","rqi":"1"}"#, 4000, "'fr'"),
            (r#"{"op":2,"to":"x","fr":"C"}"#, 4000, "'rqi'"),
            (r#"{"op":2,"to":7.5,"fr":"C","rqi":"1"}"#, 4000, "'to'"),
            (r#"{"op":1,"to":"x","fr":"C","rqi":"1","pc":{}}"#, 4000, "'ty'"),
            (r#"{"op":1,"to":"x","fr":"C","rqi":"1","ty":3}"#, 4000, "'pc'"),
            (r#"{"op":1,"to":"x","fr":"C","rqi":"1","ty":3,"pc":{},"fc":{"lim":1}}"#, 4000, "'fc'"),
            (r#"{"op":2,"to":"x","fr":"C","rqi":"1","ty":3}"#, 4000, "'ty'"),
            (r#"{"op":4,"to":"x","fr":"C","rqi":"1","pc":{}}"#, 4000, "'pc'"),
            (r#"{"op":3,"to":"x","fr":"C","rqi":"1","pc":[]}"#, 4000, "pc"),
            (r#"{"op":2,"to":"x","fr":"C","rqi":"1","rvi":"9"}"#, 4001, "'9'"),
            (r#"{"op":2,"to":"x","fr":"C","rqi":"1","rcn":13}"#, 4000, "'rcn'"),
            (r#"{"op":2,"to":"x","fr":"C","rqi":"1","rt":6}"#, 4000, "'rt'"),
            (r#"{"op":2,"to":"x","fr":"C","rqi":"1","rqet":"tomorrow"}"#, 4000, "'rqet'"),
            (r#"{"op":2,"to":"x","fr":"C","rqi":"1","rset":true}"#, 4000, "'rset'"),
            (r#"{"op":2,"to":"x","fr":"C","rqi":"1","oet":{}}"#, 4000, "'oet'"),
            (r#"{"op":2,"to":"x","fr":"C","rqi":"1","ot":"2026"}"#, 4000, "'ot'"),
            (r#"{"op":2,"to":"x","fr":"C","rqi":"1","rp":[]}"#, 4000, "'rp'"),
            (r#"{"op":2,"to":"x","fr":"C","rqi":"1","ec":5}"#, 4000, "'ec'"),
            (r#"{"op":2,"to":"x","fr":"C","rqi":"1","da":"perhaps"}"#, 4000, "'da'"),
            (r#"{"op":2,"to":"x","fr":"C","rqi":"1","drt":3}"#, 4000, "'drt'"),
            (r#"{"op":2,"to":"x","fr":"C","rqi":"1","gid":{}}"#, 4000, "'gid'"),
            (r#"{"op":2,"to":"x","fr":"C","rqi":"1","vsi":[]}"#, 4000, "'vsi'"),
            (r#"{"op":2,"to":"x","fr":"C","rqi":"1","fc":3}"#, 4000, "'fc'"),
            (r#"{"op":2,"to":"x","fr":"C","rqi":"1","fc":{"lvl":0}}"#, 4000, "'fc/lvl'"),
            (r#"{"op":2,"to":"x","fr":"C","rqi":"1","fc":{"lim":-1}}"#, 4000, "'fc/lim'"),
            (r#"{"op":2,"to":"x","fr":"C","rqi":"1","fc":{"crb":"x"}}"#, 4000, "'fc/crb'"),
            (r#"{"op":2,"to":"x","fr":"C","rqi":"1","fc":{"fu":4}}"#, 4000, "'fc/fu'"),
            (r#"{"op":2,"to":"x","fr":"C","rqi":"1","fc":{"atr":["x"]}}"#, 4000, "'fc/atr'"),
            (r#"{"op":2,"to":"x","fr":"C","rqi":"1","fc":{"zzz":1}}"#, 4000, "'fc/zzz'"),
            (r#"{"op":2,"to":"x","fr":"C","rqi":"1","fc":{"smf":["x"]}}"#, 5001, "smf"),
            (r#"{"op":2,"to":"x","fr":"C","rqi":"1","fc":{"fu":3}}"#, 5001, "IPE"),
            (r#"{"op":2,"to":"x","fr":"C","rqi":"1","fc":{"cfs":2,"cfq":"$"}}"#, 4000, "'fc/cfs'"),
            (r#"{"op":2,"to":"x","fr":"C","rqi":"1","fc":{"cfq":"$"}}"#, 4000, "'fc/cfs'"),
            (r#"{"op":2,"to":"x","fr":"C","rqi":"1","fc":{"cfs":1,"cfq":7.5}}"#, 4000, "'fc/cfq'"),
            (r#"{"op":2,"to":"x","fr":"C","rqi":"1","zzz":1}"#, 4000, "'zzz'"),
            (r#"{"op":5,"to":"x","fr":"C","rqi":"1","pc":{},"rcn":1}"#, 4000, "'rcn'"),
        ] {
            let (code, message) = refused(text);
            assert_eq!(code.code(), rsc, "{text}: {message}");
            assert!(message.contains(hint), "{text}: {message}");
        }
    }

    /// Where the serialization has no types, or a client does not care for them.
    #[test]
    fn every_parameter_may_come_as_text() {
        let typed = r#"{"op":2,"to":"x","fr":"C","rqi":"1","rvi":"3","rcn":4,"rqet":5000,"rset":7000,"oet":10,"rp":90,
            "rt":{"rtv":3,"nu":["a"]},"ec":100,"da":true,"drt":2,"grtm":["m"],
            "fc":{"fu":1,"fo":2,"ty":[3],"chty":[4],"pty":[2],"lbl":["a"],"lim":10,"lvl":2,"ofst":1,"sts":1,"stb":2,"sza":3,
                  "szb":4,"cfs":1,"cfq":"$","atr":[{"nm":"rn","val":"v"}]}}"#;
        let texts = r#"{"op":"2","to":"x","fr":"C","rqi":1,"rvi":3,"rcn":"4","rqet":"5000","rset":"7000","oet":"10","rp":"90",
            "rt":{"rtv":"3","nu":"a"},"ec":"100","da":"true","drt":"2","grtm":"m",
            "fc":{"fu":"1","fo":"2","ty":"3","chty":"4","pty":["2"],"lbl":"a","lim":"10","lvl":"2","ofst":" 1 ","sts":"1",
                  "stb":"2","sza":"3","szb":"4","cfs":"1","cfq":"$","atr":{"nm":"rn","val":"v"}}}"#;
        let (typed, texts) = (decode_json(typed).expect("accepted"), decode_json(texts).expect("accepted"));
        assert_eq!(texts.to_map(), typed.to_map());
    }

    #[test]
    fn an_ae_may_register_without_originator() {
        assert!(decode_json(r#"{"op":1,"to":"x","rqi":"1","ty":2,"pc":{"m2m:ae":{}}}"#).is_ok());
        assert!(decode_json(r#"{"op":1,"to":"x","rqi":"1","ty":3,"pc":{"m2m:cnt":{}}}"#).is_err());
    }

    #[test]
    fn a_failure_knows_whom_to_answer() {
        let failure = decode_json(r#"{"op":2,"fr":"Ca","rqi":17,"rvi":"3"}"#).expect_err("refused");
        let response = failure.response().expect("there is a request identifier");
        assert_eq!(response.request_identifier, "17");
        assert_eq!(response.status, Rsc::BadRequest);
        assert!(decode_json(r#"{"op":2}"#).expect_err("refused").response().is_none());
    }
}
