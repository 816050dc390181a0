//! Topic names of TS-0010 §7.4: which message goes from whom to whom, and how it is written.
//!
//! Identifiers are written as one level: without leading slash, every other `/` as `:`. Between service providers
//! (Mcc') they are absolute, and the level begins with `:`; this CSE listens under both of its names. Answers repeat
//! the two levels of the request letter by letter, so a topic keeps the spelling it was received with.

use cse_core::codec::Serialization;
use cse_core::id::{CseIdentity, Originator};

/// What a message is, by the second level of its topic.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub enum TopicKind {
    /// `req`
    Request,
    /// `resp`
    Response,
    /// `reg_req`: a registration under a Credential-ID (TS-0010 §7.4.4).
    RegistrationRequest,
    /// `reg_resp`
    RegistrationResponse,
}

impl TopicKind {
    pub(crate) fn parse(level: &str) -> Option<Self> {
        Some(match level {
            "req" => Self::Request,
            "resp" => Self::Response,
            "reg_req" => Self::RegistrationRequest,
            "reg_resp" => Self::RegistrationResponse,
            _ => return None,
        })
    }

    /// The level as it is written.
    pub fn level(self) -> &'static str {
        match self {
            Self::Request => "req",
            Self::Response => "resp",
            Self::RegistrationRequest => "reg_req",
            Self::RegistrationResponse => "reg_resp",
        }
    }

    /// The kind of the answer; an answer has none.
    pub fn answer(self) -> Option<Self> {
        match self {
            Self::Request => Some(Self::Response),
            Self::RegistrationRequest => Some(Self::RegistrationResponse),
            Self::Response | Self::RegistrationResponse => None,
        }
    }
}

/// The last level: how the payload is written.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Format<'a> {
    /// There is no such level, as in clause 7.4.2 of older releases: JSON.
    Absent,
    /// `json`, `xml` or `cbor`.
    Named(Serialization),
    /// Anything else, further levels included.
    Unknown(&'a str),
}

/// The levels of a topic name, as received.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Topic<'a> {
    /// What stands before `/oneM2M`; mostly empty.
    pub prefix: &'a str,
    /// Request or answer.
    pub kind: TopicKind,
    /// Who sends the request on this hop, or its Credential-ID; also in the topic of the answer.
    pub originator: &'a str,
    /// Who receives the request on this hop.
    pub receiver: &'a str,
    /// How the payload is written.
    pub format: Format<'a>,
}

/// The topics of one CSE: an optional prefix (the path of its point of access) and its own level in two spellings.
#[derive(Clone, Debug)]
pub struct Topics {
    prefix: String,
    own: String,
    own_absolute: String,
    /// What absolute levels of this service provider begin with.
    own_provider: String,
}

impl Topics {
    /// Topics of that CSE. The prefix is a point of access' path; mostly empty.
    pub fn new(identity: &CseIdentity, prefix: &str) -> Self {
        let own_provider = format!(":{}:", identity.sp_id.trim_start_matches('/'));
        Self {
            prefix: normal_prefix(prefix).to_owned(),
            own: identity.base_id().to_owned(),
            own_absolute: format!("{own_provider}{}", identity.base_id()),
            own_provider,
        }
    }

    /// What stands before each topic of this CSE.
    pub fn prefix(&self) -> &str {
        &self.prefix
    }

    /// This CSE as a topic level.
    pub fn own_level(&self) -> &str {
        &self.own
    }

    /// Whether a level is this CSE, in either spelling.
    pub fn is_own(&self, level: &str) -> bool {
        level == self.own || level == self.own_absolute
    }

    /// A level without the service provider, if that is our own: `:cse.example:id-mn` and `id-mn` are the same entity.
    pub fn relative_level<'a>(&self, level: &'a str) -> &'a str {
        level.strip_prefix(self.own_provider.as_str()).unwrap_or(level)
    }

    /// The filters under which requests to this CSE and answers to its own requests arrive (TS-0010 §7.4.5).
    pub fn filters(&self) -> Vec<String> {
        self.filters_of(&self.own)
    }

    /// The same for other service providers, who know this CSE by its absolute identifier.
    pub fn absolute_filters(&self) -> Vec<String> {
        self.filters_of(&self.own_absolute)
    }

    fn filters_of(&self, own: &str) -> Vec<String> {
        let prefix = &self.prefix;
        vec![
            format!("{prefix}/oneM2M/req/+/{own}/#"),
            format!("{prefix}/oneM2M/reg_req/+/{own}/#"),
            format!("{prefix}/oneM2M/resp/{own}/#"),
        ]
    }

    /// The filters under which requests of one entity to this CSE arrive, and its answers; by the entity's level.
    pub fn filters_of_peer(&self, peer: &str) -> [String; 2] {
        let prefix = &self.prefix;
        // Other service providers know this CSE by its absolute identifier.
        let own = if peer.starts_with(':') { &self.own_absolute } else { &self.own };
        [format!("{prefix}/oneM2M/req/{peer}/{own}/#"), format!("{prefix}/oneM2M/resp/{own}/{peer}/#")]
    }

    /// The filters under which answers to this CSE's own requests arrive, if these went out with that prefix.
    pub fn response_filters(&self, prefix: &str) -> [String; 2] {
        [&self.own, &self.own_absolute].map(|own| format!("{prefix}/oneM2M/resp/{own}/#"))
    }

    /// Takes a topic name apart; `None` for one that is not of this form, or has not our prefix.
    pub fn parse<'a>(&self, topic: &'a str) -> Option<Topic<'a>> {
        parse(topic, self.prefix.len()).filter(|topic| topic.prefix == self.prefix)
    }

    /// As [`Topics::parse`], with whatever prefix.
    pub fn parse_any<'a>(&self, topic: &'a str) -> Option<Topic<'a>> {
        self.parse(topic).or_else(|| parse(topic, topic.find("/oneM2M/")?))
    }

    /// The topic for the answer to a request. The payload's serialization names the last level, unless the
    /// request had no such level.
    pub fn answer(&self, request: &Topic<'_>, written_as: Serialization) -> Option<String> {
        let kind = request.kind.answer()?.level();
        let Topic { prefix, originator, receiver, .. } = request;
        Some(match request.format {
            Format::Absent => format!("{prefix}/oneM2M/{kind}/{originator}/{receiver}"),
            _ => format!("{prefix}/oneM2M/{kind}/{originator}/{receiver}/{}", written_as.name()),
        })
    }

    /// The topic for a request of this CSE to an entity. Towards other service providers this CSE is absolute, too.
    pub fn request(&self, prefix: &str, receiver_level: &str, written_as: Serialization) -> String {
        let own = if receiver_level.starts_with(':') { &self.own_absolute } else { &self.own };
        format!("{prefix}/oneM2M/req/{own}/{receiver_level}/{}", written_as.name())
    }
}

/// A prefix as it stands in topics: without slashes around it.
pub fn normal_prefix(path: &str) -> &str {
    path.trim_matches('/')
}

fn parse(topic: &str, prefix_bytes: usize) -> Option<Topic<'_>> {
    let (prefix, rest) = topic.split_at_checked(prefix_bytes)?;
    let mut levels = rest.strip_prefix("/oneM2M/")?.splitn(4, '/');
    let kind = TopicKind::parse(levels.next()?)?;
    let originator = levels.next()?;
    let receiver = levels.next()?;
    if receiver.is_empty() {
        return None;
    }
    let format = match levels.next() {
        None => Format::Absent,
        Some(name) => Serialization::parse(name).map_or(Format::Unknown(name), Format::Named),
    };
    Some(Topic { prefix, kind, originator, receiver, format })
}

/// An identifier as a topic level: `None` if it cannot be one.
///
/// Stems stay as they are, SP-relative identifiers lose their slash, absolute ones (Mcc') begin with `:`.
pub fn level_of(identifier: &str) -> Option<String> {
    let level = match identifier.strip_prefix("//") {
        Some(absolute) => format!(":{}", absolute.replace('/', ":")),
        None => identifier.strip_prefix('/').unwrap_or(identifier).replace('/', ":"),
    };
    let sayable = !level.is_empty() && !level.contains(['+', '#', '\0']);
    sayable.then_some(level)
}

/// The identifier that a topic level stands for, in canonical form. A level without `:` may be an AE-ID stem or
/// a CSE-ID; this takes it as the stem.
pub fn entity_of(identity: &CseIdentity, level: &str) -> Originator {
    if level.contains(':') {
        let path = level.replace(':', "/");
        identity.canonical_originator(&format!("/{path}"))
    } else {
        identity.canonical_originator(level)
    }
}

/// Whether two levels, or a level and an identifier's level, stand for the same entity.
pub fn same_entity(identity: &CseIdentity, one: &str, other: &str) -> bool {
    one == other || entity_of(identity, one) == entity_of(identity, other)
}

/// Whether a message can be published on the topic (MQTT 3.1.1 §4.7).
pub fn is_publishable(topic: &str) -> bool {
    !topic.is_empty() && topic.len() <= usize::from(u16::MAX) && !topic.contains(['+', '#', '\0'])
}

#[cfg(test)]
mod tests {
    use cse_core::id::CseType;
    use proptest::prelude::*;

    use super::*;

    fn identity() -> CseIdentity {
        CseIdentity::new("//cse.example", "/id-in", "cse-in", CseType::In).expect("valid")
    }

    fn topics() -> Topics {
        Topics::new(&identity(), "")
    }

    #[test]
    fn topics_are_taken_apart() {
        let json = Format::Named(Serialization::Json);
        for (text, expected) in [
            ("/oneM2M/req/Cx/id-in/json", Some((TopicKind::Request, "Cx", "id-in", json))),
            ("/oneM2M/req/Cx/id-in", Some((TopicKind::Request, "Cx", "id-in", Format::Absent))),
            ("/oneM2M/req/id-in:Cx/id-in/json", Some((TopicKind::Request, "id-in:Cx", "id-in", json))),
            (
                "/oneM2M/req/:other.example:id/id-in/json",
                Some((TopicKind::Request, ":other.example:id", "id-in", json)),
            ),
            (
                "/oneM2M/resp/id-in/Sx/cbor",
                Some((TopicKind::Response, "id-in", "Sx", Format::Named(Serialization::Cbor))),
            ),
            (
                "/oneM2M/reg_req/1-abc/id-in/xml",
                Some((TopicKind::RegistrationRequest, "1-abc", "id-in", Format::Named(Serialization::Xml))),
            ),
            ("/oneM2M/reg_resp/1-abc/id-in", Some((TopicKind::RegistrationResponse, "1-abc", "id-in", Format::Absent))),
            ("/oneM2M/req/Cx/id-in/yaml", Some((TopicKind::Request, "Cx", "id-in", Format::Unknown("yaml")))),
            ("/oneM2M/req/Cx/id-in/json/x", Some((TopicKind::Request, "Cx", "id-in", Format::Unknown("json/x")))),
            ("/oneM2M/req/Cx/id-in/", Some((TopicKind::Request, "Cx", "id-in", Format::Unknown("")))),
            ("/oneM2M/req//id-in/json", Some((TopicKind::Request, "", "id-in", json))),
            ("/oneM2M/req/Cx", None),
            ("/oneM2M/req/Cx/", None),
            ("/oneM2M/ask/Cx/id-in/json", None),
            ("oneM2M/req/Cx/id-in/json", None),
            ("/onem2m/req/Cx/id-in/json", None),
            ("x/oneM2M/req/Cx/id-in/json", None),
            ("", None),
        ] {
            let found = topics().parse(text).map(|topic| (topic.kind, topic.originator, topic.receiver, topic.format));
            assert_eq!(found, expected, "{text}");
        }
    }

    #[test]
    fn answers_keep_order_and_spelling() {
        for (request, answer) in [
            ("/oneM2M/req/Cx/id-in/json", "/oneM2M/resp/Cx/id-in/json"),
            ("/oneM2M/req/id-in:Cx/id-in/json", "/oneM2M/resp/id-in:Cx/id-in/json"),
            ("/oneM2M/req/Sx/id-in", "/oneM2M/resp/Sx/id-in"),
            ("/oneM2M/req/Sx/id-in/xml", "/oneM2M/resp/Sx/id-in/json"),
            ("/oneM2M/req/Sx/id-in/yaml", "/oneM2M/resp/Sx/id-in/json"),
            ("/oneM2M/reg_req/1-abc/id-in/json", "/oneM2M/reg_resp/1-abc/id-in/json"),
        ] {
            let topics = topics();
            let topic = topics.parse(request).expect("a topic");
            assert_eq!(topics.answer(&topic, Serialization::Json).as_deref(), Some(answer));
        }
        let topics = topics();
        let topic = topics.parse("/oneM2M/resp/id-in/Cx/json").expect("a topic");
        assert_eq!(topics.answer(&topic, Serialization::Json), None);
    }

    #[test]
    fn a_prefix_stands_before_everything() {
        let topics = Topics::new(&identity(), "/plant/7/");
        assert_eq!(topics.filters()[0], "plant/7/oneM2M/req/+/id-in/#");
        assert_eq!(topics.request(topics.prefix(), "Cx", Serialization::Json), "plant/7/oneM2M/req/id-in/Cx/json");
        let topic = topics.parse("plant/7/oneM2M/req/Cx/id-in/json").expect("a topic");
        assert_eq!(topics.answer(&topic, Serialization::Json).as_deref(), Some("plant/7/oneM2M/resp/Cx/id-in/json"));
        for other in ["/oneM2M/req/Cx/id-in/json", "plant/8/oneM2M/req/Cx/id-in/json", "oneM2M/req/Cx/id-in/json"] {
            assert_eq!(topics.parse(other), None, "{other}");
        }
        for (topic, prefix) in [
            ("plant/7/oneM2M/resp/id-in/Cx/json", Some("plant/7")),
            ("/oneM2M/resp/id-in/Cx/json", Some("")),
            ("a/oneM2M/oneM2M/resp/id-in/Cx/json", None),
            ("a/b/oneM2M/resp/id-in/Cx/json", Some("a/b")),
            ("/a/oneM2M/resp/id-in/Cx/json", Some("/a")),
            ("oneM2M/resp/id-in/Cx/json", None),
            ("\u{e9}/oneM2M/resp/id-in/Cx/json", Some("\u{e9}")),
        ] {
            assert_eq!(topics.parse_any(topic).map(|topic| topic.prefix), prefix, "{topic}");
        }
    }

    #[test]
    fn other_service_providers_use_absolute_identifiers() {
        let topics = topics();
        assert!(topics.is_own("id-in") && topics.is_own(":cse.example:id-in"));
        for other in [":other.example:id-in", ":cse.example:id-inn", ":cse.example", "cse.example:id-in", "Cx", ""] {
            assert!(!topics.is_own(other), "{other}");
        }
        assert_eq!(
            topics.absolute_filters(),
            [
                "/oneM2M/req/+/:cse.example:id-in/#",
                "/oneM2M/reg_req/+/:cse.example:id-in/#",
                "/oneM2M/resp/:cse.example:id-in/#"
            ]
        );
        assert_eq!(topics.response_filters("a"), ["a/oneM2M/resp/id-in/#", "a/oneM2M/resp/:cse.example:id-in/#"]);
        let request = topics.request("", ":other.example:id-in", Serialization::Json);
        assert_eq!(request, "/oneM2M/req/:cse.example:id-in/:other.example:id-in/json");
        let topic = topics.parse("/oneM2M/req/:other.example:id-in/:cse.example:id-in/json").expect("a topic");
        let answer = topics.answer(&topic, Serialization::Json);
        assert_eq!(answer.as_deref(), Some("/oneM2M/resp/:other.example:id-in/:cse.example:id-in/json"));
        for (level, relative) in [
            (":cse.example:id-mn", "id-mn"),
            (":cse.example:id-in:Cx", "id-in:Cx"),
            (":cse.example:Sx", "Sx"),
            (":other.example:id-mn", ":other.example:id-mn"),
            ("cse.example:id-mn", "cse.example:id-mn"),
            ("id-mn", "id-mn"),
        ] {
            assert_eq!(topics.relative_level(level), relative, "{level}");
        }
    }

    #[test]
    fn one_peer_is_heard_and_nobody_else() {
        let topics = Topics::new(&identity(), "plant");
        assert_eq!(
            topics.filters_of_peer("id-up"),
            ["plant/oneM2M/req/id-up/id-in/#", "plant/oneM2M/resp/id-in/id-up/#"]
        );
        assert_eq!(
            topics.filters_of_peer(":other.example:id-up"),
            [
                "plant/oneM2M/req/:other.example:id-up/:cse.example:id-in/#",
                "plant/oneM2M/resp/:cse.example:id-in/:other.example:id-up/#"
            ]
        );
    }

    #[test]
    fn identifiers_become_levels_and_levels_entities() {
        for (identifier, level, entity) in [
            ("Cx", "Cx", "Cx"),
            ("/id-in/Cx", "id-in:Cx", "Cx"),
            ("/Sx", "Sx", "Sx"),
            ("Sx", "Sx", "Sx"),
            ("/id-mn/Cx", "id-mn:Cx", "/id-mn/Cx"),
            ("//other.example/id-mn", ":other.example:id-mn", "//other.example/id-mn"),
        ] {
            assert_eq!(level_of(identifier).as_deref(), Some(level));
            assert_eq!(entity_of(&identity(), level).as_str(), entity, "{level}");
        }
        for refused in ["", "/", "a+b", "/a/#", "x\0"] {
            assert_eq!(level_of(refused), None, "{refused:?}");
        }
        assert!(same_entity(&identity(), "Cx", "id-in:Cx"));
        assert!(!same_entity(&identity(), "Cx", "id-mn:Cx"));
    }

    proptest! {
        #[test]
        fn any_text_is_parsed_or_refused(text in "(/oneM2M/)?(req|resp|reg_req|x)?[a-z:/+#]{0,40}") {
            if let Some(topic) = topics().parse(&text) {
                // Nothing is lost: the levels put together again give the text.
                let format = match topic.format {
                    Format::Absent => String::new(),
                    Format::Named(serialization) => format!("/{}", serialization.name()),
                    Format::Unknown(name) => format!("/{name}"),
                };
                prop_assert_eq!(topic.prefix, "");
                let again = format!("/oneM2M/{}/{}/{}{format}", topic.kind.level(), topic.originator, topic.receiver);
                prop_assert_eq!(again, text);
            }
        }

        #[test]
        fn topics_with_any_prefix_are_parsed_or_refused(text in "[a/]{0,6}(/oneM2M/)?(req|resp|x)?[a-z:/\u{e9}]{0,20}") {
            if let Some(topic) = topics().parse_any(&text) {
                prop_assert!(text.starts_with(topic.prefix));
                prop_assert!(text[topic.prefix.len()..].starts_with("/oneM2M/"));
            }
        }

        #[test]
        fn answers_find_the_way_back(
            prefix in "([a-z]{1,4}(/[a-z]{1,4}){0,2})?", originator in "[A-Za-z0-9:]{0,12}", absolute in any::<bool>(),
            ty in prop::option::of(prop::sample::select(vec!["json", "xml", "cbor"])),
        ) {
            let topics = Topics::new(&identity(), &prefix);
            let own = if absolute { ":cse.example:id-in" } else { "id-in" };
            let last = ty.map(|ty| format!("/{ty}")).unwrap_or_default();
            let request = format!("{prefix}/oneM2M/req/{originator}/{own}{last}");
            let topic = topics.parse(&request).expect("a request");
            prop_assert!(topics.is_own(topic.receiver));
            let written_as = ty.and_then(Serialization::parse).unwrap_or(Serialization::Json);
            prop_assert_eq!(topics.answer(&topic, written_as), Some(request.replace("/oneM2M/req/", "/oneM2M/resp/")));
        }

        #[test]
        fn identifiers_survive_as_levels(cse in "[a-zA-Z0-9-]{1,12}", stem in "[CS][a-zA-Z0-9-]{1,12}") {
            let identity = identity();
            for identifier in [format!("/{cse}/{stem}"), stem, format!("//sp.example/{cse}")] {
                let level = level_of(&identifier).expect("sayable");
                prop_assert!(!level.contains('/'));
                prop_assert_eq!(entity_of(&identity, &level), identity.canonical_originator(&identifier));
            }
        }
    }
}
