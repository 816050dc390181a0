//! The part of `[mqtt]` that concerns topics and older forms of the binding.

use cse_core::value::Text;
use url::Url;

use crate::config::cse::CseConfig;
use crate::config::layers::Section;

/// Clients that speak the early draft of TS-0010.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct EarlyDraftConfig {
    /// Whether they are served. Default: no; their requests are counted and named in the log.
    pub(crate) served: bool,
    /// Entities that get requests in that form before they have sent one themselves; `*` stands for any text.
    /// Default: none.
    pub(crate) entities: Vec<Text>,
}

impl EarlyDraftConfig {
    pub(super) fn read(section: &mut Section<'_>) -> Self {
        let config = Self {
            served: section.value("early-draft", false),
            entities: section.value("early-draft-entities", Vec::new()),
        };
        if !config.served && !config.entities.is_empty() {
            section.problem("early-draft-entities", "has no meaning without mqtt.early-draft");
        }
        config
    }
}

/// What stands before each topic, without slashes around it.
pub(super) fn read_topic_prefix(section: &mut Section<'_>) -> Text {
    let given: Text = section.value("topic-prefix", Text::default());
    if given.contains(|c: char| c.is_control() || matches!(c, '+' | '#')) {
        section.problem("topic-prefix", "must not have '+', '#' or control characters");
    }
    given.trim_matches('/').into()
}

/// Checks that the points of access shown say the same of topics as the binding does: who reads one there puts
/// its path before the topics.
pub(crate) fn check_points_of_access(cse: &CseConfig, topic_prefix: &str, mut section: Section<'_>) {
    for point in &cse.poa {
        let Some(url) = Url::parse(point).ok().filter(|url| matches!(url.scheme(), "mqtt" | "mqtts")) else {
            continue;
        };
        let path = percent_encoding::percent_decode_str(url.path()).decode_utf8_lossy();
        let path = path.trim_matches('/');
        if path != topic_prefix {
            section.problem(
                "topic-prefix",
                format!("is '{topic_prefix}', but cse.poa has '{point}', whose path tells others to use '{path}'"),
            );
        }
    }
}
