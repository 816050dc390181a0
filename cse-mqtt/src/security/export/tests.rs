//! The exported rules, evaluated as the brokers do, against the decisions of the strict policy: every topic that can be
//! put together of the levels that matter, for every user.

use std::collections::BTreeSet;

use super::super::identity::Who;
use super::super::naming::identifier_of;
use super::super::rights::tests::{LEVELS, Tree, client, granted, rights, with_all};
use super::*;

const FORMATS: [&str; 5] = ["json", "xml", "cbor", "yaml", ""];

fn exported(users: &[(&str, &str)], prefix: &str, known_by: KnownBy) -> StaticRules {
    let rights = rights("");
    let named = users.iter().map(|(name, identifier)| {
        let entity = identifier_of(rights.identity(), identifier).expect("an identifier");
        NamedUser { name: (*name).into(), entity }
    });
    let named: Vec<_> = named.collect();
    StaticRules::new(rights.identity(), prefix, "the-cse", &named, known_by).expect("valid")
}

/// Users that are told, each with its entity.
const NAMED: [(&str, &str); 6] = [
    ("u-lamp", "Clamp"),
    ("u-door", "Sdoor"),
    ("u-middle", "/id-mn"),
    ("u-far", "//other.example/id-mn"),
    ("u-distant", "/id-mn/Cx"),
    ("u-admin", "CAdmin"),
];

/// Whether a topic name is one that a filter of MQTT matches.
fn matches(filter: &str, topic: &str) -> bool {
    let (mut filter, mut topic) = (filter.split('/'), topic.split('/'));
    loop {
        match (filter.next(), topic.next()) {
            (Some("#"), _) | (None, None) => return true,
            (Some("+"), Some(_)) => {}
            (Some(wanted), Some(level)) if wanted == level => {}
            _ => return false,
        }
    }
}

/// The rules of a file that concern one user, in the order in which they count.
struct Evaluated(Vec<Verdict>);

struct Verdict {
    allows: bool,
    action: String,
    filters: Vec<String>,
}

impl Evaluated {
    /// As mosquitto's manual has it: lines of a user up to the next, and patterns for everybody.
    fn by_mosquitto(file: &str, user: &str) -> Self {
        let mut section = None;
        let mut verdicts = Vec::new();
        for line in file.lines().filter(|line| !line.is_empty() && !line.starts_with('#')) {
            let (keyword, rest) = line.split_once(' ').expect("a keyword and more");
            let name = match keyword {
                "user" => {
                    section = Some(rest);
                    continue;
                }
                // Before any user they would be for the anonymous.
                "topic" if section.expect("a user") == user => "%u",
                "topic" => continue,
                "pattern" => {
                    let alone = |level: &str| !level.contains('%') || matches!(level, "%u" | "%c");
                    assert!(rest.split('/').all(alone), "{line}: a placeholder is a whole level");
                    if user.contains(['+', '#']) {
                        continue;
                    }
                    user
                }
                _ => panic!("{line}"),
            };
            let (access, topic) = rest.split_once(' ').expect("access and topic");
            let action = if access == "read" { "subscribe" } else { "publish" };
            verdicts.push(Verdict { allows: true, action: action.into(), filters: vec![topic.replace("%u", name)] });
        }
        Self(verdicts)
    }

    /// Terms of EMQX: the first that fits decides. A filter is compared level by level, as a name is.
    fn by_emqx(file: &str, user: &str) -> Self {
        let mut verdicts = Vec::new();
        let mut lines = file.lines().filter(|line| !line.is_empty() && !line.starts_with("%%"));
        for line in lines.by_ref().take_while(|line| *line != "{deny, all}.") {
            let (head, topics) = line.split_once(", [\"").expect("topics");
            let (who, action) = head.rsplit_once(", ").expect("an action");
            let concerns = if who.contains("{re, ") {
                user.contains(['/', '+', '#'])
            } else {
                who == "{allow, all" || who.ends_with(&format!("{{username, \"{user}\"}}"))
            };
            if concerns {
                let topics = topics.strip_suffix("\"]}.").expect("the end of a term");
                let filters = topics.split("\", \"").map(|filter| filter.replace("${username}", user)).collect();
                verdicts.push(Verdict { allows: who.starts_with("{allow"), action: action.into(), filters });
            }
        }
        assert!(file.ends_with("\n{deny, all}.\n") && lines.next().is_none());
        Self(verdicts)
    }

    fn allow(&self, action: &str, topic: &str) -> bool {
        let mut verdicts = self.0.iter().filter(|verdict| verdict.action == action || verdict.action == "all");
        let first = verdicts.find(|verdict| verdict.filters.iter().any(|filter| matches(filter, topic)));
        first.is_some_and(|verdict| verdict.allows)
    }
}

/// What mosquitto lets a user do, of all topics.
fn by_mosquitto(rules: &StaticRules, user: &str, action: &str) -> BTreeSet<String> {
    let evaluated = Evaluated::by_mosquitto(&rules.mosquitto(), user);
    granted(&LEVELS, &LEVELS, &FORMATS, |topic| evaluated.allow(action, topic))
}

/// Everybody who is told of speaks for its entity just as the strict policy has it, and under its own name besides.
#[test]
fn users_that_are_told_have_the_rights_of_the_strict_policy() {
    let tree = Tree::of(&[("Clamp", None), ("Sdoor", None), ("Cother", None)]);
    let rules = exported(&NAMED, "", KnownBy::UserName);
    for (user, identifier) in NAMED {
        let entity = identifier_of(rights("").identity(), identifier).expect("an identifier");
        let who = match &entity {
            Entity::Ae(ae) => Who { ae: Some(ae), ..client(user) },
            Entity::Cse(cse) => Who { cse: Some(cse), ..client(user) },
        };
        let strict = |access: Access| {
            granted(&LEVELS, &LEVELS, &FORMATS, |topic| match access {
                Access::Publish => rights("").may_publish(&who, &tree, topic),
                Access::Subscribe => rights("").may_subscribe(&who, &tree, topic),
            })
        };
        let read = by_mosquitto(&rules, user, "subscribe");
        assert_eq!(read, strict(Access::Subscribe), "{user}");
        let (written, mut expected) = (by_mosquitto(&rules, user, "publish"), strict(Access::Publish));
        if let Entity::Cse(cse) = &entity {
            // It reaches this CSE, the other ones that were told, and those behind it: no levels that could be AEs.
            let known: &[&str] = if &**cse == "/id-mn" {
                &["id-in", ":cse.example:id-in", ":other.example:id-mn", "id-mn:Cx", ":cse.example:id-mn:Cx"]
            } else {
                &["id-in", ":cse.example:id-in", "id-mn", ":cse.example:id-mn"]
            };
            let is_known = |topic: &String| {
                let asked = topic.strip_prefix("req ").and_then(|levels| levels.split_once(' '));
                asked.is_none_or(|(_, receiver)| known.contains(&receiver))
            };
            expected.retain(is_known);
            assert!(expected.iter().any(|topic| topic.starts_with("req ")));
        }
        assert_eq!(written, expected, "{user}");
    }
}

#[test]
fn everybody_has_the_rights_of_the_entity_of_its_name() {
    let rules = exported(&NAMED, "", KnownBy::UserName);
    for user in ["Cother", "Clamp2", "Sgone", "lamp-7", "id-other"] {
        let write = [format!("req {user} id-in"), format!("resp id-in {user}"), format!("reg_req {user} {{*}}")];
        let read = [format!("req {{*}} {user}"), format!("resp {user} {{*}}"), format!("reg_resp {user} {{*}}")];
        assert_eq!(by_mosquitto(&rules, user, "publish"), with_all(&write.each_ref().map(String::as_str)), "{user}");
        assert_eq!(by_mosquitto(&rules, user, "subscribe"), with_all(&read.each_ref().map(String::as_str)), "{user}");
    }
    // The strict policy grants an AE of that name the same, once it is registered, and longer spellings besides.
    let tree = Tree::of(&[("Cother", None)]);
    let who = Who { ae: Some("Cother"), ..client("Cother") };
    for topic in by_mosquitto(&rules, "Cother", "publish") {
        let topic = format!("/oneM2M/{}", topic.replace(' ', "/"));
        assert!(rights("").may_publish(&who, &tree, &topic), "{topic}");
    }
    for topic in by_mosquitto(&rules, "Cother", "subscribe") {
        let topic = format!("/oneM2M/{}", topic.replace(' ', "/"));
        assert!(rights("").may_subscribe(&who, &tree, &topic), "{topic}");
    }
    for user in ["+", "#", "Cother+"] {
        assert_eq!(by_mosquitto(&rules, user, "subscribe"), BTreeSet::new(), "{user}");
    }
}

#[test]
fn the_cse_has_what_it_needs_and_no_more() {
    let rules = exported(&NAMED, "", KnownBy::UserName);
    let own = "{id-in|:cse.example:id-in}";
    let write = [format!("req {own} {{*}}"), format!("resp {{*}} {own}"), format!("reg_resp {{*}} {own}")];
    let read = [format!("req {{*}} {own}"), format!("resp {own} {{*}}"), format!("reg_req {{*}} {own}")];
    assert_eq!(by_mosquitto(&rules, "the-cse", "publish"), with_all(&write.each_ref().map(String::as_str)));
    assert_eq!(by_mosquitto(&rules, "the-cse", "subscribe"), with_all(&read.each_ref().map(String::as_str)));
    // All that the binding listens under.
    let topics = crate::topic::Topics::new(rights("").identity(), "");
    let evaluated = Evaluated::by_emqx(&rules.emqx(), "the-cse");
    for filter in topics.filters().into_iter().chain(topics.absolute_filters()) {
        assert!(evaluated.allow("subscribe", &filter), "{filter}");
    }
}

#[test]
fn both_formats_say_the_same() {
    let rules = exported(&NAMED, "", KnownBy::UserName);
    for user in ["u-lamp", "u-middle", "u-distant", "the-cse", "Cother", "+"] {
        let emqx = Evaluated::by_emqx(&rules.emqx(), user);
        for action in ["publish", "subscribe"] {
            let (mut differences, mosquitto) = (Vec::new(), by_mosquitto(&rules, user, action));
            for (kind, one, two) in all_topics() {
                let is_granted = emqx.allow(action, &format!("/oneM2M/{kind}/{one}/{two}/json"));
                assert_eq!(is_granted, emqx.allow(action, &format!("/oneM2M/{kind}/{one}/{two}")));
                let topic = format!("{kind} {one} {two}");
                if is_granted != mosquitto.contains(&topic) {
                    differences.push(topic);
                }
            }
            assert!(differences.is_empty(), "{user} {action}: {differences:?}");
        }
    }
}

fn all_topics() -> impl Iterator<Item = (&'static str, &'static str, &'static str)> {
    let pairs = LEVELS.into_iter().flat_map(|one| LEVELS.into_iter().map(move |two| (one, two)));
    pairs.flat_map(|(one, two)| ["req", "resp", "reg_req", "reg_resp"].map(|kind| (kind, one, two)))
}

#[test]
fn emqx_refuses_filters_that_reach_further() {
    let file = exported(&NAMED, "", KnownBy::UserName).emqx();
    for (user, filter, granted) in [
        ("Cother", "/oneM2M/resp/Cother/#", true),
        ("Cother", "/oneM2M/resp/Cother/+/+", true),
        ("Cother", "/oneM2M/req/+/Cother/#", true),
        ("Cother", "/oneM2M/req/id-in/Cother/json", true),
        ("Cother", "/oneM2M/reg_resp/Cother/#", true),
        ("u-lamp", "/oneM2M/resp/id-in:Clamp/#", true),
        ("Cother", "#", false),
        ("Cother", "/oneM2M/#", false),
        ("Cother", "/oneM2M/+/Cother/#", false),
        ("Cother", "/oneM2M/resp/#", false),
        ("Cother", "/oneM2M/resp/+/id-in/#", false),
        ("Cother", "/oneM2M/req/#", false),
        ("Cother", "/oneM2M/req/+/#", false),
        ("Cother", "/oneM2M/req/+/+/#", false),
        ("Cother", "/oneM2M/resp/Clamp/#", false),
        ("+", "/oneM2M/resp/+/#", false),
        ("#", "/oneM2M/resp/#", false),
    ] {
        let evaluated = Evaluated::by_emqx(&file, user);
        assert_eq!(evaluated.allow("subscribe", filter), granted, "{user} {filter}");
    }
}

#[test]
fn everything_is_below_the_prefix() {
    let rules = exported(&NAMED, "/plant/7/", KnownBy::UserName);
    let lines = rules.mosquitto();
    let topics = lines.lines().filter(|line| line.starts_with("topic ") || line.starts_with("pattern "));
    for line in topics {
        assert_eq!(line.split(' ').nth(2).map(|topic| topic.starts_with("plant/7/oneM2M/")), Some(true), "{line}");
    }
    let evaluated = Evaluated::by_mosquitto(&lines, "Cother");
    assert!(evaluated.allow("publish", "plant/7/oneM2M/req/Cother/id-in/json"));
    assert!(!evaluated.allow("publish", "/oneM2M/req/Cother/id-in/json"));
}

#[test]
fn clients_may_be_known_by_their_identifier() {
    let rules = exported(&[], "", KnownBy::ClientId);
    let (mosquitto, emqx) = (rules.mosquitto(), rules.emqx());
    assert!(mosquitto.contains("pattern write /oneM2M/req/%c/id-in/+\n") && !mosquitto.contains("%u"), "{mosquitto}");
    assert!(emqx.contains("\"/oneM2M/req/${clientid}/id-in/+\"") && !emqx.contains("${username}"), "{emqx}");
    assert!(emqx.contains("{deny, {clientid, {re, \"[/+#]\"}}, all, [\"#\"]}.\n"), "{emqx}");
}

#[test]
fn names_that_rules_cannot_say_are_refused() {
    let rights = rights("");
    let rules = |own: &str, name: &str, entity: Entity| {
        let user = NamedUser { name: name.into(), entity };
        StaticRules::new(rights.identity(), "", own, &[user], KnownBy::UserName).map(|_| ())
    };
    let lamp = || Entity::Ae("Clamp".into());
    assert_eq!(rules("id-in", "lamp 7", lamp()), Ok(()));
    for name in ["", "a/b", "a:b", "+", "a#", "a\nb", " a", "a\"b", "a\\b"] {
        assert_eq!(rules("id-in", name, lamp()), Err(InvalidRules::Name(name.into())));
        assert_eq!(rules(name, "lamp", lamp()), Err(InvalidRules::Name(name.into())));
    }
    assert_eq!(rules("id-in", "id-in", lamp()), Err(InvalidRules::Itself("id-in=Clamp".into())));
    let own = Entity::Cse("/id-in".into());
    assert_eq!(rules("id-in", "x", own), Err(InvalidRules::Itself("x=/id-in".into())));
}
