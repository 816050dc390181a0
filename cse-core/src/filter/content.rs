//! Conditions on what is in the content of an instance: a JSONPath (RFC 9535) that must find something
//! (`cfs` and `cfq`, TS-0004 §6.3.5.8).

use serde_json_path::JsonPath;

use crate::resource::Resource;
use crate::schema::keys;
use crate::value::Value;

/// Largest content that is looked into, in bytes; a larger one does not match.
const CONTENT_BYTES_MAX: u64 = 64 * 1024;

/// A parsed query.
#[derive(Clone, Debug)]
pub(super) struct ContentQuery(JsonPath);

impl ContentQuery {
    /// Parses a query; what is wrong with it is the end of a sentence.
    pub(super) fn parse(text: &str) -> Result<Self, String> {
        JsonPath::parse(text).map(Self).map_err(|error| format!("is no JSONPath: {error}"))
    }

    /// Whether the query finds something in the content of the resource. Content that is no JSON has nothing in it.
    pub(super) fn matches(&self, resource: &Resource) -> bool {
        if resource.content_size.is_none_or(|size| size > CONTENT_BYTES_MAX) {
            return false;
        }
        let content = match resource.attributes.get(keys::CONTENT) {
            Some(Value::Text(text)) => serde_json::from_str(text).ok(),
            Some(other) => serde_json::to_value(other).ok(),
            None => None,
        };
        content.is_some_and(|content: serde_json::Value| !self.0.query(&content).is_empty())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_no_path_is_refused() {
        for text in ["", "temperature", "$[", "$.a[?(@.b >)]"] {
            assert!(ContentQuery::parse(text).is_err(), "{text}");
        }
        assert!(ContentQuery::parse("$.readings[?@.value > 20]").is_ok());
    }
}
