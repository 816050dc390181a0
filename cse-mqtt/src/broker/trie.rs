//! Subscriptions by topic level, so that a PUBLISH visits only filters that begin like its topic.
//!
//! With thousands of clients that each subscribe to their own corner, a scan of all filters would cost more than
//! everything else the broker does. The depth is bounded by the filters put in, which
//! [`Limits::filter_levels_max`](super::Limits::filter_levels_max) bounds.

use std::collections::{BTreeMap, HashMap};

use super::filter::TopicFilter;

/// A map from topic filters and subscribers to values, searched by topic name.
pub(crate) struct Trie<V> {
    root: Node<V>,
    len: usize,
}

/// One level. Keys of `children` come from clients, hence the keyed default hasher.
struct Node<V> {
    children: HashMap<Box<str>, Node<V>>,
    /// The level `+`.
    any: Option<Box<Node<V>>>,
    /// Subscribers whose filter ends here.
    exact: BTreeMap<u64, V>,
    /// Subscribers whose filter ends with `#` below here.
    rest: BTreeMap<u64, V>,
}

impl<V> Trie<V> {
    pub(crate) fn new() -> Self {
        Self { root: Node::new(), len: 0 }
    }

    /// Number of subscriptions.
    pub(crate) fn len(&self) -> usize {
        self.len
    }

    /// Adds or replaces the subscription of `subscriber` to `filter`.
    pub(crate) fn insert(&mut self, filter: &TopicFilter, subscriber: u64, value: V) {
        if self.root.insert(filter.as_str(), subscriber, value).is_none() {
            self.len += 1;
        }
    }

    /// Removes the subscription of `subscriber` to `filter`, if there is one.
    pub(crate) fn remove(&mut self, filter: &TopicFilter, subscriber: u64) -> Option<V> {
        let removed = self.root.remove(filter.as_str(), subscriber)?;
        self.len -= 1;
        Some(removed)
    }

    /// Appends all subscriptions that match `topic`; several for one subscriber whose filters overlap.
    pub(crate) fn matching<'a>(&'a self, topic: &str, found: &mut Vec<(u64, &'a V)>) {
        if topic.starts_with('$') {
            // MQTT 3.1.1 §4.7.2: filters that begin with a wildcard do not see topics that begin with `$`.
            let (level, below) = split_level(topic);
            if let Some(child) = self.root.children.get(level) {
                child.matching(below, found);
            }
        } else {
            self.root.matching(Some(topic), found);
        }
    }
}

impl<V> Node<V> {
    fn new() -> Self {
        Self { children: HashMap::new(), any: None, exact: BTreeMap::new(), rest: BTreeMap::new() }
    }

    fn is_empty(&self) -> bool {
        self.children.is_empty() && self.any.is_none() && self.exact.is_empty() && self.rest.is_empty()
    }

    fn insert(&mut self, filter: &str, subscriber: u64, value: V) -> Option<V> {
        let (level, below) = split_level(filter);
        let child = match level {
            "#" => return self.rest.insert(subscriber, value),
            "+" => self.any.get_or_insert_with(|| Box::new(Node::new())),
            name => self.children.entry(name.into()).or_insert_with(Node::new),
        };
        match below {
            Some(below) => child.insert(below, subscriber, value),
            None => child.exact.insert(subscriber, value),
        }
    }

    fn remove(&mut self, filter: &str, subscriber: u64) -> Option<V> {
        let (level, below) = split_level(filter);
        let remove_in = |child: &mut Self| match below {
            Some(below) => child.remove(below, subscriber),
            None => child.exact.remove(&subscriber),
        };
        match level {
            "#" => self.rest.remove(&subscriber),
            "+" => {
                let child = self.any.as_mut()?;
                let removed = remove_in(child);
                if child.is_empty() {
                    self.any = None;
                }
                removed
            }
            name => {
                let child = self.children.get_mut(name)?;
                let removed = remove_in(child);
                if child.is_empty() {
                    self.children.remove(name);
                }
                removed
            }
        }
    }

    fn matching<'a>(&'a self, topic: Option<&str>, found: &mut Vec<(u64, &'a V)>) {
        // `a/#` matches `a`, too (MQTT 3.1.1 §4.7.1.2).
        found.extend(self.rest.iter().map(|(subscriber, value)| (*subscriber, value)));
        let Some(topic) = topic else {
            found.extend(self.exact.iter().map(|(subscriber, value)| (*subscriber, value)));
            return;
        };
        let (level, below) = split_level(topic);
        if !self.children.is_empty()
            && let Some(child) = self.children.get(level)
        {
            child.matching(below, found);
        }
        if let Some(child) = &self.any {
            child.matching(below, found);
        }
    }
}

fn split_level(text: &str) -> (&str, Option<&str>) {
    match text.split_once('/') {
        Some((level, below)) => (level, Some(below)),
        None => (text, None),
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use proptest::prelude::*;

    use super::*;

    fn filter(text: &str) -> TopicFilter {
        TopicFilter::parse(text, 1000, 100).expect("a filter")
    }

    fn matched(trie: &Trie<()>, topic: &str) -> BTreeSet<u64> {
        let mut found = Vec::new();
        trie.matching(topic, &mut found);
        found.into_iter().map(|(subscriber, ())| subscriber).collect()
    }

    /// The definition, written for reading.
    fn matches_by_definition(filter: &str, topic: &str) -> bool {
        if topic.starts_with('$') && filter.starts_with(['+', '#']) {
            return false;
        }
        let (filter, topic): (Vec<_>, Vec<_>) = (filter.split('/').collect(), topic.split('/').collect());
        for (at, level) in filter.iter().enumerate() {
            match (*level, topic.get(at)) {
                ("#", _) => return true,
                ("+", Some(_)) => {}
                (name, Some(found)) if name == *found => {}
                _ => return false,
            }
        }
        filter.len() == topic.len()
    }

    #[test]
    fn examples_of_the_standard() {
        let cases = [
            ("sport/tennis/#", "sport/tennis/player1/ranking", true),
            ("sport/#", "sport", true),
            ("#", "/", true),
            ("sport/+", "sport", false),
            ("sport/+", "sport/", true),
            ("+/+", "/finance", true),
            ("/+", "/finance", true),
            ("+", "/finance", false),
            ("#", "$SYS/a", false),
            ("+/monitor", "$SYS/monitor", false),
            ("$SYS/#", "$SYS/monitor", true),
            ("$SYS/+", "$SYS/monitor", true),
        ];
        for (text, topic, expected) in cases {
            let mut trie = Trie::new();
            trie.insert(&filter(text), 1, ());
            assert_eq!(!matched(&trie, topic).is_empty(), expected, "{text} {topic}");
            assert_eq!(matches_by_definition(text, topic), expected, "{text} {topic}");
        }
    }

    #[test]
    fn overlapping_filters_of_one_subscriber_are_all_found() {
        let mut trie = Trie::new();
        trie.insert(&filter("a/#"), 1, 0);
        trie.insert(&filter("a/+"), 1, 1);
        trie.insert(&filter("a/b"), 1, 2);
        trie.insert(&filter("a/b"), 1, 3);
        let mut found = Vec::new();
        trie.matching("a/b", &mut found);
        let mut values: Vec<_> = found.into_iter().map(|(_, value)| *value).collect();
        values.sort_unstable();
        assert_eq!(values, [0, 1, 3]);
        assert_eq!(trie.len(), 3);
    }

    fn level() -> impl Strategy<Value = &'static str> {
        prop_oneof![Just("a"), Just("b"), Just(""), Just("$s"), Just("é")]
    }

    fn filter_text() -> impl Strategy<Value = String> {
        let inner = prop_oneof![3 => level(), 1 => Just("+")];
        (prop::collection::vec(inner, 0..4), any::<bool>()).prop_filter_map("empty", |(mut levels, multi)| {
            if multi {
                levels.push("#");
            }
            Some(levels.join("/")).filter(|text| !text.is_empty())
        })
    }

    fn topic_text() -> impl Strategy<Value = String> {
        prop::collection::vec(level(), 1..5)
            .prop_map(|levels| levels.join("/"))
            .prop_filter("empty", |text| !text.is_empty())
    }

    proptest! {
        #[test]
        fn finds_what_the_definition_says(
            filters in prop::collection::vec((filter_text(), 0_u64..6), 0..20),
            removed in prop::collection::vec(any::<prop::sample::Index>(), 0..10),
            topics in prop::collection::vec(topic_text(), 1..10),
        ) {
            let mut trie = Trie::new();
            let mut model: BTreeSet<(String, u64)> = BTreeSet::new();
            for (text, subscriber) in &filters {
                trie.insert(&filter(text), *subscriber, ());
                model.insert((text.clone(), *subscriber));
            }
            for index in removed {
                if let Some((text, subscriber)) = filters.get(index.index(filters.len().max(1))) {
                    let was_there = model.remove(&(text.clone(), *subscriber));
                    prop_assert_eq!(trie.remove(&filter(text), *subscriber).is_some(), was_there);
                }
            }
            prop_assert_eq!(trie.len(), model.len());
            for topic in topics {
                let expected: BTreeSet<u64> = model
                    .iter()
                    .filter(|(text, _)| matches_by_definition(text, &topic))
                    .map(|(_, subscriber)| *subscriber)
                    .collect();
                prop_assert_eq!(matched(&trie, &topic), expected, "{}", topic);
            }
            for (text, subscriber) in &model {
                trie.remove(&filter(text), *subscriber);
            }
            prop_assert!(trie.root.is_empty(), "empty nodes are pruned");
        }
    }
}
