//! How the early draft names parameters: `ri`, `cn` and `rs` where later versions have `rqi`, `pc` and `rsc`.
//!
//! Clients of that time mix both, so each name is understood by itself, and the answer follows the request.

use cse_core::value::{Map, Name};

/// Today's name and that of the draft.
const REQUEST: [(&str, &str); 2] = [("rqi", "ri"), ("pc", "cn")];
const RESPONSE: [(&str, &str); 3] = [("rsc", "rs"), ("rqi", "ri"), ("pc", "cn")];

/// Which names are used.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub(crate) enum Names {
    /// Those of TS-0004.
    #[default]
    Current,
    /// Those of the early draft.
    Draft,
}

impl Names {
    /// The parameters of a request under today's names, and which were used.
    pub(crate) fn read_request(parameters: &Map) -> (Self, Map) {
        let names = if parameters.contains("ri") && !parameters.contains("rqi") { Self::Draft } else { Self::Current };
        (names, read(parameters, &REQUEST))
    }

    /// The parameters of a response under today's names.
    pub(crate) fn read_response(parameters: &Map) -> Map {
        read(parameters, &RESPONSE)
    }

    /// The parameters of a request as the receiver names them.
    pub(crate) fn write_request(self, parameters: Map) -> Map {
        self.write(parameters, &REQUEST)
    }

    /// The parameters of a response as the receiver names them.
    pub(crate) fn write_response(self, parameters: Map) -> Map {
        self.write(parameters, &RESPONSE)
    }

    fn write(self, parameters: Map, table: &[(&'static str, &'static str)]) -> Map {
        match self {
            Self::Current => parameters,
            Self::Draft => {
                renamed(&parameters, |name| table.iter().find(|(current, _)| *current == name).map(|(_, draft)| *draft))
            }
        }
    }
}

fn read(parameters: &Map, table: &[(&'static str, &'static str)]) -> Map {
    renamed(parameters, |name| {
        let current = table.iter().find(|(_, draft)| *draft == name).map(|(current, _)| *current);
        current.filter(|current| !parameters.contains(current))
    })
}

fn renamed(parameters: &Map, other: impl Fn(&str) -> Option<&'static str>) -> Map {
    let mut map = Map::with_capacity(parameters.len());
    for (name, value) in parameters.iter() {
        let name = other(name).map_or_else(|| name.clone(), Name::new_static);
        map.push(name, value.clone());
    }
    map
}

#[cfg(test)]
mod tests {
    use cse_core::codec::Serialization;

    use super::*;

    fn map(text: &str) -> Map {
        Serialization::Json.decode_content(text.as_bytes()).expect("an object")
    }

    #[test]
    fn each_name_is_understood_by_itself() {
        for (written, names, read) in [
            (r#"{"op":1,"ri":"1","cn":{"a":1}}"#, Names::Draft, r#"{"op":1,"rqi":"1","pc":{"a":1}}"#),
            (r#"{"op":1,"rqi":"1","pc":{"a":1}}"#, Names::Current, r#"{"op":1,"rqi":"1","pc":{"a":1}}"#),
            (r#"{"rqi":"1","cn":{"a":1}}"#, Names::Current, r#"{"rqi":"1","pc":{"a":1}}"#),
            (r#"{"ri":"1","pc":{"ri":"x"}}"#, Names::Draft, r#"{"rqi":"1","pc":{"ri":"x"}}"#),
            (r#"{"ri":"1","rqi":"2"}"#, Names::Current, r#"{"ri":"1","rqi":"2"}"#),
        ] {
            assert_eq!(Names::read_request(&map(written)), (names, map(read)), "{written}");
        }
        for written in
            [r#"{"rs":2000,"ri":"1","cn":{}}"#, r#"{"rsc":2000,"rqi":"1","pc":{}}"#, r#"{"rs":2000,"rqi":"1","cn":{}}"#]
        {
            assert_eq!(Names::read_response(&map(written)), map(r#"{"rsc":2000,"rqi":"1","pc":{}}"#), "{written}");
        }
    }

    #[test]
    fn the_answer_follows_the_request() {
        let response = || map(r#"{"rsc":2000,"rqi":"1","pc":{"m2m:cin":{"ri":"4","rsc":1}}}"#);
        assert_eq!(Names::Current.write_response(response()), response());
        let draft = map(r#"{"rs":2000,"ri":"1","cn":{"m2m:cin":{"ri":"4","rsc":1}}}"#);
        assert_eq!(Names::Draft.write_response(response()), draft);
        let request = map(r#"{"op":5,"rqi":"1","pc":{}}"#);
        assert_eq!(Names::Draft.write_request(request), map(r#"{"op":5,"ri":"1","cn":{}}"#));
    }
}
