//! What the fuzz targets call of the broker; see `crate::fuzzing`.

mod conversation;
mod packets;

pub use conversation::conversation;
pub use packets::packets;

use super::filter::TopicFilter;
use super::trie::Trie;

/// Whether a filter matches a topic, as the router decides it. A malformed filter matches nothing.
pub(crate) fn matches(filter: &str, topic: &str) -> bool {
    let Ok(filter) = TopicFilter::parse(filter, usize::MAX, usize::MAX) else { return false };
    let mut trie = Trie::new();
    trie.insert(&filter, 0, ());
    let mut found = Vec::new();
    trie.matching(topic, &mut found);
    !found.is_empty()
}
