//! What XML is read and written as.

mod documents;
mod hostile;
mod properties;

use crate::value::Map;

/// The object that a JSON text says.
fn json(text: &str) -> Map {
    super::super::json::decode(text.as_bytes()).unwrap_or_else(|error| panic!("{error}: {text}"))
}

fn read(xml: &str) -> Result<Map, String> {
    super::decode(xml.as_bytes()).map_err(|error| error.to_string())
}

fn written(map: &Map) -> String {
    String::from_utf8(super::encode(map)).expect("UTF-8")
}
