//! The query string: request parameters, filter criteria and attribute conditions (TS-0009 §6.2.2.2).

use std::borrow::Cow;

use cse_core::error::Error;
use cse_core::value::{Map, Value};
use percent_encoding::percent_decode_str;

/// Most parameters in one query.
const PARAMETERS_MAX: usize = 500;

/// Where a parameter belongs and whether it has one value or a list.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Place {
    /// A request parameter with one value.
    Parameter,
    /// A request parameter with a list.
    ParameterList,
    /// A member of `fc` with one value.
    Criterion,
    /// A member of `fc` with a list.
    CriterionList,
    /// A member of `fc` with a list of numbers.
    CriterionNumbers,
    /// The attributes that a partial retrieve asks for, which are content.
    AttributeList,
}

fn place(name: &str) -> Option<Place> {
    Some(match name {
        "rt" | "rp" | "rcn" | "da" | "drt" | "tqi" | "asi" | "auri" | "sqi" => Place::Parameter,
        "rids" | "tids" | "ltids" => Place::ParameterList,
        "crb" | "cra" | "ms" | "us" | "sts" | "stb" | "exb" | "exa" | "sza" | "szb" | "lim" | "fu" | "fo" | "cfs"
        | "cfq" | "lvl" | "ofst" | "lbq" | "arp" | "gmty" | "geom" | "gsf" => Place::Criterion,
        "lbl" | "cty" | "smf" | "clbl" | "palb" => Place::CriterionList,
        "ty" | "chty" | "pty" | "ops" => Place::CriterionNumbers,
        "atrl" => Place::AttributeList,
        _ => return None,
    })
}

/// What a query says.
#[derive(Debug, Default)]
pub(crate) struct Query {
    /// Request parameters, `fc` among them.
    pub(crate) parameters: Map,
    /// Names in `atrl`.
    pub(crate) attributes: Vec<Value>,
}

impl Query {
    /// Reads a raw query. Values stay text: what they must be is the primitive's business.
    ///
    /// # Errors
    /// [`Error::UnknownParameter`] for a name that is neither a parameter nor, by `is_attribute`, an
    /// attribute; [`Error::InvalidParameter`] for a parameter that is repeated, empty or no UTF-8.
    pub(crate) fn parse(query: &str, is_attribute: fn(&str) -> bool) -> Result<Self, Error> {
        let mut parameters = Map::new();
        let mut criteria = Map::new();
        let mut attributes = Vec::new();
        for (index, pair) in query.split('&').filter(|pair| !pair.is_empty()).enumerate() {
            if index == PARAMETERS_MAX {
                return Err(Error::parameter("query", format!("has more than {PARAMETERS_MAX} parameters")));
            }
            let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
            let name = decoded(name)?;
            let value = decoded(value)?;
            // Some client libraries mark repeated parameters so.
            let name = name.strip_suffix("[]").unwrap_or(&name);
            match place(name) {
                Some(Place::Parameter) => set_once(&mut parameters, name, &value)?,
                Some(Place::ParameterList) => append(&mut parameters, name, &value, false)?,
                Some(Place::Criterion) => set_once(&mut criteria, name, &value)?,
                Some(Place::CriterionList) => append(&mut criteria, name, &value, false)?,
                Some(Place::CriterionNumbers) => append(&mut criteria, name, &value, true)?,
                Some(Place::AttributeList) => attributes.extend(items(name, &value, false)?),
                None => add_condition(&mut criteria, name, &value, is_attribute)?,
            }
        }
        if !criteria.is_empty() {
            parameters.push("fc", criteria);
        }
        Ok(Self { parameters, attributes })
    }
}

fn set_once(map: &mut Map, name: &str, value: &str) -> Result<(), Error> {
    if value.is_empty() {
        return Err(Error::parameter(name, "has no value"));
    }
    match map.insert(name, value) {
        None => Ok(()),
        Some(_) => Err(Error::parameter(name, "is given more than once")),
    }
}

fn append(map: &mut Map, name: &str, value: &str, numbers: bool) -> Result<(), Error> {
    let items = items(name, value, numbers)?;
    match map.get_mut(name) {
        Some(Value::List(list)) => list.extend(items),
        _ => map.push(name, Value::List(items)),
    }
    Ok(())
}

/// The items of a list: a `+` between them is a blank once decoded. Between numbers an escaped `+` can mean
/// nothing else, so it is taken for the same.
fn items(name: &str, value: &str, numbers: bool) -> Result<Vec<Value>, Error> {
    let items: Vec<_> = value
        .split(|c: char| c == ' ' || (numbers && c == '+'))
        .filter(|item| !item.is_empty())
        .map(Value::from)
        .collect();
    if items.is_empty() { Err(Error::parameter(name, "has no value")) } else { Ok(items) }
}

fn add_condition(criteria: &mut Map, name: &str, value: &str, is_attribute: fn(&str) -> bool) -> Result<(), Error> {
    let (member, attribute) = match name.split_once('.') {
        Some(("c", attribute)) => ("catr", attribute),
        Some(("p", attribute)) => ("patr", attribute),
        _ => ("atr", name),
    };
    if !is_attribute(attribute) {
        return Err(Error::UnknownParameter(name.chars().take(64).collect()));
    }
    let mut condition = Map::single("nm", attribute);
    condition.push("val", value);
    match criteria.get_mut(member) {
        Some(Value::List(list)) => list.push(Value::Map(condition)),
        _ => criteria.push(member, Value::List(vec![Value::Map(condition)])),
    }
    Ok(())
}

fn decoded(text: &str) -> Result<Cow<'_, str>, Error> {
    let not_utf8 = |_| Error::parameter("query", "has percent-encoded bytes that are not UTF-8");
    if text.contains('+') {
        let blanks = text.replace('+', " ");
        return Ok(Cow::Owned(percent_decode_str(&blanks).decode_utf8().map_err(not_utf8)?.into_owned()));
    }
    percent_decode_str(text).decode_utf8().map_err(not_utf8)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn is_attribute(name: &str) -> bool {
        ["con", "cnf", "rn", "et", "aei"].contains(&name)
    }

    fn read(query: &str) -> Query {
        Query::parse(query, is_attribute).expect("a query")
    }

    fn as_json(map: &Map) -> String {
        serde_json::to_string(map).expect("JSON")
    }

    #[test]
    fn each_parameter_goes_to_its_place() {
        for (query, json) in [
            ("", "{}"),
            ("&&", "{}"),
            ("rt=3", r#"{"rt":"3"}"#),
            ("rp=5000", r#"{"rp":"5000"}"#),
            ("rcn=4&drt=2&da=1", r#"{"rcn":"4","drt":"2","da":"1"}"#),
            ("tqi=true&asi=0&auri=1&sqi=false", r#"{"tqi":"true","asi":"0","auri":"1","sqi":"false"}"#),
            ("rids=a+b&tids=t&ltids=l&ltids=m", r#"{"rids":["a","b"],"tids":["t"],"ltids":["l","m"]}"#),
            ("fu=1", r#"{"fc":{"fu":"1"}}"#),
            (
                "crb=20260101T000000&cra=20250101T000000,5",
                r#"{"fc":{"crb":"20260101T000000","cra":"20250101T000000,5"}}"#,
            ),
            ("ms=a&us=b&exb=c&exa=d", r#"{"fc":{"ms":"a","us":"b","exb":"c","exa":"d"}}"#),
            ("sts=1&stb=2&sza=3&szb=4", r#"{"fc":{"sts":"1","stb":"2","sza":"3","szb":"4"}}"#),
            ("lim=1&fo=2&lvl=3&ofst=4", r#"{"fc":{"lim":"1","fo":"2","lvl":"3","ofst":"4"}}"#),
            ("cfs=1&cfq=2&lbq=3&arp=4", r#"{"fc":{"cfs":"1","cfq":"2","lbq":"3","arp":"4"}}"#),
            ("gmty=1&geom=%5B1,2%5D&gsf=1", r#"{"fc":{"gmty":"1","geom":"[1,2]","gsf":"1"}}"#),
            ("ty=2+3+4", r#"{"fc":{"ty":["2","3","4"]}}"#),
            ("ty=2&ty=3", r#"{"fc":{"ty":["2","3"]}}"#),
            ("ty[]=2&ty[]=3", r#"{"fc":{"ty":["2","3"]}}"#),
            ("ty=2%203", r#"{"fc":{"ty":["2","3"]}}"#),
            ("ty=2%2B3", r#"{"fc":{"ty":["2","3"]}}"#),
            ("chty=3&pty=2&ops=1+2", r#"{"fc":{"chty":["3"],"pty":["2"],"ops":["1","2"]}}"#),
            ("lbl=a+b", r#"{"fc":{"lbl":["a","b"]}}"#),
            ("lbl=a%2Bb:c", r#"{"fc":{"lbl":["a+b:c"]}}"#),
            ("clbl=a&palb=b", r#"{"fc":{"clbl":["a"],"palb":["b"]}}"#),
            ("cty=text/plain:0&smf=x", r#"{"fc":{"cty":["text/plain:0"],"smf":["x"]}}"#),
            ("con=2*&rn=a", r#"{"fc":{"atr":[{"nm":"con","val":"2*"},{"nm":"rn","val":"a"}]}}"#),
            ("rn=a&rn=b", r#"{"fc":{"atr":[{"nm":"rn","val":"a"},{"nm":"rn","val":"b"}]}}"#),
            ("con=a+b%20c", r#"{"fc":{"atr":[{"nm":"con","val":"a b c"}]}}"#),
            ("con=", r#"{"fc":{"atr":[{"nm":"con","val":""}]}}"#),
            ("c.con=1&p.rn=x", r#"{"fc":{"catr":[{"nm":"con","val":"1"}],"patr":[{"nm":"rn","val":"x"}]}}"#),
            ("con=a|b[1]{2}^", r#"{"fc":{"atr":[{"nm":"con","val":"a|b[1]{2}^"}]}}"#),
            ("con=a=b", r#"{"fc":{"atr":[{"nm":"con","val":"a=b"}]}}"#),
        ] {
            assert_eq!(as_json(&read(query).parameters), json, "{query}");
        }
    }

    #[test]
    fn wanted_attributes_are_content() {
        let query = read("atrl=ri+lbl&atrl=con");
        assert_eq!(query.attributes, [Value::from("ri"), Value::from("lbl"), Value::from("con")]);
        assert!(query.parameters.is_empty());
    }

    #[test]
    fn what_is_wrong_is_refused() {
        let many = "con=1&".repeat(PARAMETERS_MAX + 1);
        for (query, hint) in [
            ("zzz=1", "'zzz'"),
            ("atr=con", "'atr'"),
            ("c.zzz=1", "'c.zzz'"),
            ("p.=1", "'p.'"),
            ("fr=Cx", "'fr'"),
            ("rcn=1&rcn=4", "'rcn' is given more than once"),
            ("lim=1&lim=1", "'lim' is given more than once"),
            ("rcn=", "'rcn' has no value"),
            ("fu", "'fu' has no value"),
            ("ty=", "'ty' has no value"),
            ("atrl=+", "'atrl' has no value"),
            ("con=%FF", "UTF-8"),
            ("%FF=1", "UTF-8"),
            (many.as_str(), "more than 500"),
        ] {
            let error = Query::parse(query, is_attribute).expect_err("refused");
            assert_eq!(error.rsc().code(), 4000);
            assert!(error.to_string().contains(hint), "{query}: {error}");
        }
    }

    proptest! {
        #[test]
        fn any_text_is_read_or_refused(query in "[a-z.%+=&\\[\\]A-F0-9é]{0,60}") {
            let _ = Query::parse(&query, is_attribute);
        }
    }
}
