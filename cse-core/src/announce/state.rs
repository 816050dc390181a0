//! What is known of the copies of an original: for each CSE that it is announced to, where its copy is and what that has.
//!
//! Kept with the original, in an attribute that only this CSE sees, so that both change in one commit.

use std::collections::BTreeMap;

use crate::id::Seq;
use crate::resource::Resource;
use crate::schema::keys;
use crate::time::Timestamp;
use crate::value::{Map, Text, Value};

/// The attribute that holds the copies.
pub(crate) const COPIES: &str = "@copies";
const PLACE: &str = "place";
const ADDRESS: &str = "address";
const BELOW: &str = "below";
const CONTENT: &str = "content";
const ENTRY: &str = "entry";
const RENEW: &str = "renew";

/// What a copy has: a digest of each attribute.
pub(crate) type Digests = BTreeMap<Text, i64>;

/// The copies of an original, by the CSE-ID of their hosts.
pub(crate) type Copies = BTreeMap<Text, CopyState>;

/// One copy.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub(crate) struct CopyState {
    /// Where the originator wants it, if it named more than the CSE.
    pub(crate) place: Option<Text>,
    /// Where it is; `None` before it is made.
    pub(crate) address: Option<Text>,
    /// The copy of the parent below which it is, if it is.
    pub(crate) below: Option<Text>,
    /// What its host has confirmed that it has.
    pub(crate) content: Digests,
    /// The entry of the outbox that stands for what is to be done for it.
    pub(crate) entry: Option<Seq>,
    /// When its expiration time is to be renewed: its host lets it end before its original.
    pub(crate) renew: Option<Timestamp>,
}

impl CopyState {
    /// The copy is not there any more; returns where it was.
    pub(crate) fn lost(&mut self) -> Option<Text> {
        self.below = None;
        self.renew = None;
        self.content.clear();
        self.address.take()
    }

    /// Its expiration time is to be told to the host again.
    pub(crate) fn renew(&mut self) {
        self.renew = None;
        self.content.remove(keys::EXPIRATION_TIME);
    }

    /// What stands for the copy in `at`: its address, and before it is made what was asked for.
    pub(crate) fn shown(&self, host: &Text) -> Text {
        self.address.as_ref().or(self.place.as_ref()).unwrap_or(host).clone()
    }
}

/// The copies of a resource.
pub(crate) fn of(resource: &Resource) -> Copies {
    let Some(Value::Map(stored)) = resource.attributes.get(COPIES) else {
        return Copies::new();
    };
    let states = stored.iter().filter_map(|(host, state)| Some((Text::from(host.as_str()), read(state.as_map()?))));
    states.collect()
}

/// When the next of the copies is to be renewed.
pub(crate) fn next_renewal(copies: &Copies) -> Option<Timestamp> {
    copies.values().filter_map(|state| state.renew).min()
}

fn read(stored: &Map) -> CopyState {
    let text = |name| stored.text(name).map(Text::from);
    let content = stored.get(CONTENT).and_then(Value::as_map).into_iter().flat_map(Map::iter);
    CopyState {
        place: text(PLACE),
        address: text(ADDRESS),
        below: text(BELOW),
        content: content.filter_map(|(name, digest)| Some((Text::from(name.as_str()), digest.as_int()?))).collect(),
        entry: stored.int(ENTRY).map(Seq),
        renew: stored.int(RENEW).map(Timestamp::from_micros),
    }
}

/// Puts the copies into the attributes of their original.
pub(crate) fn put(copies: &Copies, attributes: &mut Map) {
    if copies.is_empty() {
        attributes.remove(COPIES);
        return;
    }
    let mut stored = Map::with_capacity(copies.len());
    for (host, state) in copies {
        let mut map = Map::new();
        for (name, value) in [(PLACE, &state.place), (ADDRESS, &state.address), (BELOW, &state.below)] {
            if let Some(value) = value {
                map.insert(name, value.clone());
            }
        }
        if !state.content.is_empty() {
            let digests: Map = state.content.iter().map(|(name, digest)| (name.clone(), Value::Int(*digest))).collect();
            map.insert(CONTENT, digests);
        }
        if let Some(entry) = state.entry {
            map.insert(ENTRY, entry.0);
        }
        if let Some(renew) = state.renew {
            map.insert(RENEW, renew.micros());
        }
        stored.insert(host.clone(), map);
    }
    attributes.insert(COPIES, stored);
}
