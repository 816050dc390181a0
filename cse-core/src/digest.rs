//! What makes two messages the same request: originator, identifier and everything else in the primitive.

use xxhash_rust::xxh3::Xxh3;

use crate::ports::ReplyKey;
use crate::primitive::Request;
use crate::value::{Map, Value};

/// Digest of the whole primitive and, of registrations, who sent it. Stable across restarts; member order in the
/// content counts.
pub(crate) fn of(request: &Request) -> ReplyKey {
    let mut hasher = Xxh3::new();
    add_map(&mut hasher, &request.to_map());
    if let Some(registrant) = &request.context.registrant {
        add_text(&mut hasher, registrant);
    }
    ReplyKey(hasher.digest128())
}

/// Digest of a value; stable across restarts and releases.
pub(crate) fn of_value(value: &Value) -> u64 {
    let mut hasher = Xxh3::new();
    add_value(&mut hasher, value);
    hasher.digest()
}

fn add_map(hasher: &mut Xxh3, map: &Map) {
    hasher.update(&(map.len() as u64).to_le_bytes());
    for (name, value) in map.iter() {
        add_text(hasher, name);
        add_value(hasher, value);
    }
}

fn add_text(hasher: &mut Xxh3, text: &str) {
    hasher.update(&(text.len() as u64).to_le_bytes());
    hasher.update(text.as_bytes());
}

fn add_value(hasher: &mut Xxh3, value: &Value) {
    match value {
        Value::Null => hasher.update(&[0]),
        Value::Bool(flag) => hasher.update(&[1, u8::from(*flag)]),
        Value::Int(int) => {
            hasher.update(&[2]);
            hasher.update(&int.to_le_bytes());
        }
        Value::UInt(int) => {
            hasher.update(&[3]);
            hasher.update(&int.to_le_bytes());
        }
        Value::Float(float) => {
            hasher.update(&[4]);
            hasher.update(&float.to_bits().to_le_bytes());
        }
        Value::Text(text) => {
            hasher.update(&[5]);
            add_text(hasher, text);
        }
        Value::List(list) => {
            hasher.update(&[6]);
            hasher.update(&(list.len() as u64).to_le_bytes());
            for item in list {
                add_value(hasher, item);
            }
        }
        Value::Map(map) => {
            hasher.update(&[7]);
            add_map(hasher, map);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::primitive::Operation;

    #[test]
    fn any_difference_makes_another_request() {
        let request = Request::new(Operation::Create, "cse-in", "Ca", "1");
        let same = of(&request);
        assert_eq!(of(&request), same);
        let mut other = request.clone();
        other.content = Some(Map::single("m2m:cin", Map::single("con", "1")));
        assert_ne!(of(&other), same);
        let mut third = request;
        third.request_identifier = "2".into();
        assert_ne!(of(&third), same);
        let mut registration = Request::new(Operation::Create, "cse-in", "Ca", "1");
        let mut of_registrant = |name: &str| {
            registration.context.registrant = Some(name.into());
            of(&registration)
        };
        let (one, other) = (of_registrant("1-aa"), of_registrant("1-bb"));
        assert!(one == of_registrant("1-aa") && one != other && one != same);
    }
}
