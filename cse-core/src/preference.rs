//! Which serialization somebody wants requests in: `csz` of an entity, `ct` of a notification URI
//! (TS-0004 §7.5.1.2.2), else JSON.

use crate::codec::Serialization;
use crate::node::Node;
use crate::schema::keys;
use crate::value::Text;

/// Where nobody says what is wanted.
pub(crate) const DEFAULT: Serialization = Serialization::Json;

/// The first serialization in `csz` of an AE or remoteCSE; `None` without one.
pub(crate) fn of_entity(entity: &Node) -> Option<Serialization> {
    entity.attributes.texts(keys::CONTENT_SERIALIZATION).find_map(named)
}

/// An item of `csz`: a media type or the bare name.
fn named(item: &str) -> Option<Serialization> {
    Serialization::parse(item.rsplit(['/', '+']).next().unwrap_or(item))
}

/// A notification URI without `ct=json|xml|cbor` in its query, and what that asks for. Any other `ct` belongs to the
/// target.
pub(crate) fn of_url(url: &str) -> (Text, Option<Serialization>) {
    let Some((base, query)) = url.split_once('?') else {
        return (url.into(), None);
    };
    let mut wanted = None;
    let rest: Vec<&str> = query
        .split('&')
        .filter(|pair| match pair.strip_prefix("ct=").and_then(Serialization::parse) {
            Some(serialization) => {
                wanted = Some(serialization);
                false
            }
            None => true,
        })
        .collect();
    let url = match (wanted, rest.is_empty()) {
        (None, _) => url.into(),
        (Some(_), true) => base.into(),
        (Some(_), false) => format!("{base}?{}", rest.join("&")).into(),
    };
    (url, wanted)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn items_of_csz_are_names_or_media_types() {
        for (item, expected) in [
            ("xml", Some(Serialization::Xml)),
            ("application/cbor", Some(Serialization::Cbor)),
            ("application/vnd.onem2m-res+json", Some(Serialization::Json)),
            ("application/yaml", None),
            ("", None),
        ] {
            assert_eq!(named(item), expected, "{item}");
        }
    }

    #[test]
    fn only_the_serialization_is_taken_out_of_a_url() {
        use Serialization::{Cbor, Json, Xml};
        for (url, sent_to, wanted) in [
            ("http://a/x", "http://a/x", None),
            ("http://a/x?ct=xml", "http://a/x", Some(Xml)),
            ("http://a/x?y=1&ct=cbor&z=2", "http://a/x?y=1&z=2", Some(Cbor)),
            ("http://a/x?ct=json&y", "http://a/x?y", Some(Json)),
            ("http://a/x?ct=yaml", "http://a/x?ct=yaml", None),
            ("http://a/x?act=xml", "http://a/x?act=xml", None),
            ("http://a/x?", "http://a/x?", None),
            ("mqtt://a/topic?ct=cbor", "mqtt://a/topic", Some(Cbor)),
        ] {
            assert_eq!(of_url(url), (sent_to.into(), wanted), "{url}");
        }
    }
}
