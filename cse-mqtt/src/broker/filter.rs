//! Topic filters and topic names: what is well-formed, and which filter matches which topic (MQTT 3.1.1 §4.7).

use std::sync::Arc;

/// A well-formed topic filter that is not a shared subscription.
#[derive(Clone, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub(crate) struct TopicFilter(Arc<str>);

/// Why a text is not a topic filter.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
pub enum InvalidFilter {
    /// Empty, with a NUL, or with a wildcard where none may be.
    #[error("malformed topic filter")]
    Malformed,
    /// Well-formed, but longer or deeper than the limits allow.
    #[error("topic filter too long or too deep")]
    TooLong,
    /// A shared subscription (`$share/...`), which this broker does not offer.
    #[error("shared subscriptions are not supported")]
    Shared,
}

impl TopicFilter {
    /// Parses `text`, of at most `bytes_max` bytes and `levels_max` levels.
    pub(crate) fn parse(text: &str, bytes_max: usize, levels_max: usize) -> Result<Self, InvalidFilter> {
        if text.is_empty() || text.contains('\0') {
            return Err(InvalidFilter::Malformed);
        }
        let mut levels = text.split('/').peekable();
        let mut count = 0;
        while let Some(level) = levels.next() {
            count += 1;
            let wildcard = level.contains(['+', '#']);
            let misplaced = level == "#" && levels.peek().is_some();
            if (wildcard && level.len() > 1) || misplaced {
                return Err(InvalidFilter::Malformed);
            }
        }
        if text.starts_with("$share/") {
            return Err(InvalidFilter::Shared);
        }
        if text.len() > bytes_max || count > levels_max {
            return Err(InvalidFilter::TooLong);
        }
        Ok(Self(text.into()))
    }

    pub(crate) fn as_str(&self) -> &str {
        &self.0
    }

    pub(crate) fn text(&self) -> Arc<str> {
        Arc::clone(&self.0)
    }
}

/// Whether `topic` may stand in a PUBLISH: not empty, no wildcards, no NUL.
pub(crate) fn is_topic_name(topic: &str) -> bool {
    !topic.is_empty() && !topic.bytes().any(|byte| matches!(byte, 0 | b'+' | b'#'))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(text: &str) -> Result<TopicFilter, InvalidFilter> {
        TopicFilter::parse(text, 40, 4)
    }

    #[test]
    fn wildcards_fill_a_level_and_the_multi_level_one_comes_last() {
        for good in ["#", "+", "/", "a", "a/#", "+/b/#", "/+/", "+/+", "$SYS/#", "a//b", "$shared"] {
            assert!(parse(good).is_ok(), "{good}");
        }
        for bad in ["", "a#", "#/a", "a+/b", "a/b+", "##", "++", "a/#/b", "a\0b"] {
            assert_eq!(parse(bad), Err(InvalidFilter::Malformed), "{bad}");
        }
    }

    #[test]
    fn limits_and_shared_subscriptions_are_told_apart_from_malformed_ones() {
        assert_eq!(parse("a/b/c/d/e"), Err(InvalidFilter::TooLong));
        assert_eq!(parse(&"x".repeat(41)), Err(InvalidFilter::TooLong));
        assert_eq!(parse("$share/group/a"), Err(InvalidFilter::Shared));
        assert_eq!(parse("$share/group/a#"), Err(InvalidFilter::Malformed));
    }

    #[test]
    fn a_topic_name_has_no_wildcards() {
        for good in ["a", "/", "a/b", "$SYS", " "] {
            assert!(is_topic_name(good), "{good}");
        }
        for bad in ["", "+", "a/#", "a+b", "a\0"] {
            assert!(!is_topic_name(bad), "{bad}");
        }
    }
}
