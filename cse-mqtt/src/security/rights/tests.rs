//! Every kind of client against every topic that can be put together of the levels that matter: what is listed is
//! granted, and nothing else is.

use std::collections::BTreeSet;

use cse_core::id::CseType;

use super::*;

/// Stems, each with the credential it is registered under.
pub(in crate::security) struct Tree(Vec<(&'static str, Option<&'static str>)>);

impl Tree {
    pub(in crate::security) fn of(registered: &[(&'static str, Option<&'static str>)]) -> Self {
        Self(registered.to_vec())
    }
}

impl Registered for Tree {
    fn has_ae(&self, stem: &str) -> bool {
        self.0.iter().any(|(known, _)| *known == stem)
    }

    fn has(&self, identifier: &str) -> bool {
        self.has_ae(identifier)
    }

    fn is_under(&self, stem: &str, credential: &str) -> bool {
        self.0.iter().any(|(known, under)| *known == stem && *under == Some(credential))
    }
}

pub(in crate::security) fn rights(prefix: &str) -> Rights {
    let identity = CseIdentity::new("//cse.example", "/id-in", "cse-in", CseType::In).expect("valid");
    let admin = identity.canonical_originator("CAdmin");
    Rights::new(identity, admin, prefix)
}

fn tree() -> Tree {
    Tree::of(&[
        ("Clamp", Some("lamp-7")),
        ("Clamp2", Some("lamp-7")),
        ("Cother", Some("lamp-8")),
        ("Chttp", None),
        ("Sdoor", None),
    ])
}

const KINDS: [&str; 4] = ["req", "resp", "reg_req", "reg_resp"];

pub(in crate::security) const LEVELS: [&str; 27] = [
    "Clamp",
    "id-in:Clamp",
    ":cse.example:id-in:Clamp",
    "Clamp2",
    "Cother",
    "id-in:Cother",
    "Chttp",
    "Sdoor",
    "id-in:Sdoor",
    "Sgone",
    "Cgone",
    "id-in",
    ":cse.example:id-in",
    "id-mn",
    ":cse.example:id-mn",
    "id-mn:Cx",
    ":cse.example:id-mn:Cx",
    "Cx",
    "id-other",
    "id-other:Cx",
    ":other.example:id-mn",
    "lamp-7",
    "lamp-8",
    "33-Sdoor",
    "32-:id-mn",
    "CAdmin",
    "anonymous",
];

pub(in crate::security) const fn client(credential: &'static str) -> Who<'static> {
    Who { credential, proven: true, ae: None, cse: None }
}

const fn ae(credential: &'static str, ae: &'static str) -> Who<'static> {
    Who { ae: Some(ae), ..client(credential) }
}

const LAMP: Who<'static> = client("lamp-7");
const FRESH: Who<'static> = client("lamp-9");
const DOOR: Who<'static> = ae("33-Sdoor", "Sdoor");
const S_GONE: Who<'static> = ae("33-Sgone", "Sgone");
const C_GONE: Who<'static> = ae("lamp-8", "Cgone");
const HTTP: Who<'static> = ae("33-Chttp", "Chttp");
const DISTANT: Who<'static> = ae("33-/id-mn/Cx", "/id-mn/Cx");
const MN: Who<'static> = Who { cse: Some("/id-mn"), ..client("32-/id-mn") };
const FOREIGN: Who<'static> = Who { cse: Some("//other.example/id-mn"), ..client("far") };
const ADMIN: Who<'static> = ae("operator", "CAdmin");
const ANYBODY: Who<'static> = Who { proven: false, ..client("anonymous") };
const ALL: [Who<'static>; 11] = [LAMP, FRESH, DOOR, S_GONE, C_GONE, HTTP, DISTANT, MN, FOREIGN, ADMIN, ANYBODY];

/// Puts texts together: `{a|b} {c|d}` is four.
fn expanded(patterns: &[&str]) -> BTreeSet<String> {
    fn expand(pattern: &str, into: &mut BTreeSet<String>) {
        let Some((before, rest)) = pattern.split_once('{') else {
            into.insert(pattern.to_owned());
            return;
        };
        let (choices, after) = rest.split_once('}').expect("closed");
        for choice in choices.split('|') {
            expand(&format!("{before}{choice}{after}"), into);
        }
    }
    let mut into = BTreeSet::new();
    patterns.iter().for_each(|pattern| expand(pattern, &mut into));
    into
}

/// What is granted of all combinations, as `kind originator receiver`. The serialization must not matter.
pub(in crate::security) fn granted(
    first: &[&str],
    second: &[&str],
    formats: &[&str],
    may: impl Fn(&str) -> bool,
) -> BTreeSet<String> {
    let mut granted = BTreeSet::new();
    for kind in KINDS {
        for originator in first {
            for receiver in second {
                let base = format!("/oneM2M/{kind}/{originator}/{receiver}");
                let is_granted = may(&base);
                for format in formats.iter().filter(|_| *receiver != "#") {
                    assert_eq!(may(&format!("{base}/{format}")), is_granted, "{base}/{format}");
                    assert!(!may(&format!("{base}/{format}/x")), "{base}/{format}/x");
                }
                if is_granted {
                    granted.insert(format!("{kind} {originator} {receiver}"));
                }
            }
        }
    }
    granted
}

fn published(who: &Who<'_>) -> BTreeSet<String> {
    let formats = ["json", "xml", "cbor", "yaml", ""];
    granted(&LEVELS, &LEVELS, &formats, |topic| rights("").may_publish(who, &tree(), topic))
}

fn subscribed(who: &Who<'_>) -> BTreeSet<String> {
    let first: Vec<&str> = LEVELS.into_iter().chain(["+"]).collect();
    let second: Vec<&str> = LEVELS.into_iter().chain(["+", "#"]).collect();
    granted(&first, &second, &["json", "+", "#"], |filter| rights("").may_subscribe(who, &tree(), filter))
}

fn all_levels() -> String {
    LEVELS.join("|")
}

/// `*` stands for every level.
pub(in crate::security) fn with_all(patterns: &[&str]) -> BTreeSet<String> {
    let patterns: Vec<String> = patterns.iter().map(|pattern| pattern.replace('*', &all_levels())).collect();
    expanded(&patterns.iter().map(String::as_str).collect::<Vec<_>>())
}

#[track_caller]
fn check(who: &Who<'_>, publish: &[&str], subscribe: &[&str]) {
    for (what, found, expected) in
        [("publish", published(who), with_all(publish)), ("subscribe", subscribed(who), with_all(subscribe))]
    {
        let missing: Vec<_> = expected.difference(&found).collect();
        let surplus: Vec<_> = found.difference(&expected).collect();
        assert!(missing.is_empty() && surplus.is_empty(), "{what} as {who:?}: {missing:?}, too much: {surplus:?}");
    }
}

#[test]
fn a_registered_s_type_ae_has_its_own_topics_and_those_of_its_credential() {
    // §8.4 2 a) and b).
    let own = "{Sdoor|id-in:Sdoor}";
    check(
        &DOOR,
        &[&format!("req {own} id-in"), &format!("resp id-in {own}"), "reg_req {33-Sdoor|Sdoor|id-in:Sdoor} {*}"],
        &[
            &format!("resp {own} {{*|+|#}}"),
            &format!("req {{*|+}} {own}"),
            "reg_resp {33-Sdoor|Sdoor|id-in:Sdoor} {*|+|#}",
        ],
    );
}

#[test]
fn an_ae_that_is_not_registered_has_the_registration_topics_of_its_credential() {
    // §8.4 2 b), and 4: a C-type AE is one when it is registered.
    check(&S_GONE, &["reg_req Sgone {*}"], &["reg_resp Sgone {*|+|#}"]);
    check(&C_GONE, &["reg_req {lamp-8|Cgone} {*}"], &["reg_resp {lamp-8|Cgone} {*|+|#}"]);
}

#[test]
fn a_registered_c_type_ae_has_its_own_topics() {
    // §8.4 3.
    check(
        &HTTP,
        &["req Chttp id-in", "resp id-in Chttp", "reg_req Chttp {*}"],
        &["resp Chttp {*|+|#}", "req {*|+} Chttp", "reg_resp Chttp {*|+|#}"],
    );
}

#[test]
fn a_credential_has_the_topics_of_what_is_registered_under_it() {
    let own = "{Clamp|id-in:Clamp|:cse.example:id-in:Clamp|Clamp2}";
    check(
        &LAMP,
        &[&format!("req {own} id-in"), &format!("resp id-in {own}"), "reg_req lamp-7 {*}"],
        &[&format!("resp {own} {{*|+|#}}"), &format!("req {{*|+}} {own}"), "reg_resp lamp-7 {*|+|#}"],
    );
}

#[test]
fn a_credential_without_registration_has_its_registration_topics() {
    // §8.4 4. The credentials of others are not its own, and nobody's registration is.
    check(&FRESH, &[], &[]);
    let topic = |kind| format!("/oneM2M/{kind}/lamp-9/id-in/json");
    assert!(rights("").may_publish(&FRESH, &tree(), &topic("reg_req")));
    assert!(rights("").may_subscribe(&FRESH, &tree(), "/oneM2M/reg_resp/lamp-9/+"));
    assert!(rights("").may_subscribe(&FRESH, &tree(), "/oneM2M/reg_resp/lamp-9/+/+"));
    assert!(rights("").may_subscribe(&FRESH, &tree(), "/oneM2M/reg_resp/lamp-9/#"));
    assert!(!rights("").may_publish(&FRESH, &tree(), &topic("reg_resp")));
    assert!(!rights("").may_subscribe(&FRESH, &tree(), &topic("reg_req")));
    check(&ANYBODY, &["reg_req anonymous {*}"], &["reg_resp anonymous {*|+|#}"]);
}

#[test]
fn a_cse_has_the_topics_between_it_and_its_registrar_and_registrees() {
    // §8.4 1, and what §7.4 needs beyond it.
    let own = "{id-mn|:cse.example:id-mn}";
    let registrees = "{id-mn:Cx|:cse.example:id-mn:Cx}";
    check(
        &MN,
        &[
            // Requests to its registrar, to its registrees, and to CSEs that may be either. A level that is no
            // AE registered here may be a CSE-ID.
            &format!("req {own} id-in"),
            &format!("req {own} {registrees}"),
            &format!("req {own} {{id-mn|:cse.example:id-mn|:cse.example:id-in|id-other|:other.example:id-mn}}"),
            &format!("req {own} {{Sgone|Cgone|Cx|lamp-7|lamp-8|33-Sdoor|anonymous}}"),
            // Answers to whoever asks it; 1 c) ii.
            &format!("resp {{*}} {own}"),
            &format!("resp {own} id-in"),
            "reg_req {id-mn|:cse.example:id-mn|32-:id-mn} {*}",
            &format!("reg_resp {{*}} {own}"),
        ],
        &[
            // 1 a), b), c) i.
            &format!("req {{*|+}} {own}"),
            &format!("resp {registrees} {own}"),
            &format!("resp {own} {{*|+|#}}"),
            &format!("reg_req {{*|+}} {own}"),
            "reg_resp {id-mn|:cse.example:id-mn|32-:id-mn} {*|+|#}",
        ],
    );
}

#[test]
fn a_credential_has_the_topics_of_the_cse_registered_under_it() {
    // As if the credential stood for the CSE, but for the registration topics, which are those of the credential.
    let tree = Tree::of(&[("/id-mn", Some("middle")), ("Clamp", Some("lamp-7")), ("Cother", None)]);
    let [middle, lamp] = [client("middle"), client("lamp-7")];
    let named = Who { cse: Some("/id-mn"), ..middle };
    let every_second: Vec<&str> = LEVELS.into_iter().chain(["+", "#"]).collect();
    let of = |who: &Who<'_>, tree: &Tree| {
        let publish = granted(&LEVELS, &LEVELS, &[], |topic| rights("").may_publish(who, tree, topic));
        let subscribe =
            granted(&every_second, &every_second, &[], |filter| rights("").may_subscribe(who, tree, filter));
        (publish, subscribe)
    };
    assert_eq!(of(&middle, &tree), of(&named, &tree));
    let (publish, subscribe) = of(&middle, &tree);
    assert!(publish.contains("req id-mn id-in") && subscribe.contains("req + id-mn"), "{publish:?} {subscribe:?}");
    // To others the registration gives nothing.
    let without = Tree::of(&[("Clamp", Some("lamp-7")), ("Cother", None)]);
    let of_other = Tree::of(&[("/id-mn", Some("lamp-8")), ("Clamp", Some("lamp-7")), ("Cother", None)]);
    for (who, tree) in [(&lamp, &tree), (&Who { proven: false, ..middle }, &tree), (&middle, &of_other)] {
        assert_eq!(of(who, tree), of(who, &without), "{who:?}");
    }
    for (who, topic, expected) in [
        (&middle, "/oneM2M/req/id-mn/id-in/json", true),
        (&named, "/oneM2M/req/id-mn/id-in/json", true),
        (&middle, "/oneM2M/req/Clamp/id-in/json", false),
        (&lamp, "/oneM2M/req/Clamp/id-in/json", false),
        (&lamp, "/oneM2M/req/id-mn/id-in/json", false),
    ] {
        assert_eq!(rights("").is_from_cse(who, &tree, topic), expected, "{who:?} {topic}");
    }
}

#[test]
fn a_cse_of_another_provider_has_the_topics_of_its_absolute_identifier() {
    let own = ":other.example:id-mn";
    let published = published(&FOREIGN);
    assert!(published.contains(&format!("req {own} id-in")) && published.contains(&format!("resp id-in {own}")));
    assert!(published.iter().all(|topic| topic.contains(own)), "{published:?}");
    let subscribed = subscribed(&FOREIGN);
    assert!(subscribed.contains(&format!("req + {own}")) && subscribed.contains(&format!("resp {own} #")));
    assert!(subscribed.iter().all(|topic| topic.contains(own)), "{subscribed:?}");
}

#[test]
fn an_ae_of_another_cse_talks_to_that_one() {
    let own = "{id-mn:Cx|:cse.example:id-mn:Cx}";
    let cse = "{id-mn|:cse.example:id-mn}";
    check(
        &DISTANT,
        &[&format!("req {own} {cse}"), &format!("resp {cse} {own}"), &format!("reg_req {own} {{*}}")],
        &[&format!("resp {own} {{*|+|#}}"), &format!("req {{*|+}} {own}"), &format!("reg_resp {own} {{*|+|#}}")],
    );
}

#[test]
fn the_administrator_needs_no_registration_but_a_credential_that_says_so() {
    check(
        &ADMIN,
        &["req CAdmin id-in", "resp id-in CAdmin", "reg_req CAdmin {*}"],
        &["resp CAdmin {*|+|#}", "req {*|+} CAdmin", "reg_resp CAdmin {*|+|#}"],
    );
    let others = ALL.iter().filter(|who| **who != ADMIN);
    for who in others {
        assert!(!rights("").may_publish(who, &tree(), "/oneM2M/req/CAdmin/id-in/json"), "{who:?}");
        assert!(!rights("").may_subscribe(who, &tree(), "/oneM2M/resp/CAdmin/id-in/json"), "{who:?}");
    }
}

/// Kind, level of who publishes, and the other level.
fn speaker(topic: &str) -> (&str, &str, &str) {
    let parts: Vec<&str> = topic.split(' ').collect();
    let [kind, originator, receiver] = parts[..] else { panic!("{topic}") };
    if kind.ends_with("req") { (kind, originator, receiver) } else { (kind, receiver, originator) }
}

#[test]
fn nobody_speaks_for_another_or_reads_what_is_for_another() {
    // Whatever the rules are: two clients never share a level that says who speaks, but one that asks a third.
    let published: Vec<_> = ALL.iter().map(published).collect();
    for (at, topics) in published.iter().enumerate() {
        for others in &published[at + 1..] {
            let shared: Vec<_> = topics.intersection(others).collect();
            assert!(shared.is_empty(), "{:?}: {shared:?}", ALL[at]);
        }
        for topic in topics.iter().filter(|topic| !topic.starts_with("reg_")) {
            let (kind, level, other) = speaker(topic);
            // §8.4 1 c) ii again.
            assert!(level != "id-in" || other.ends_with("id-mn"), "{kind} {topic}");
        }
    }
    for who in &ALL {
        for filter in [
            "#",
            "+/#",
            "/#",
            "/+/#",
            "/oneM2M/#",
            "/oneM2M/+/#",
            "/oneM2M/req/#",
            "/oneM2M/req/+/#",
            "/oneM2M/req/+/+",
            "/oneM2M/req/+/id-in/#",
            "/oneM2M/req/+/id-in",
            "/oneM2M/resp/#",
            "/oneM2M/resp/+/id-in/#",
            "/oneM2M/resp/+/+/+",
            "/oneM2M/+/Clamp/id-in/json",
            "/oneM2M/reg_req/#",
            "/oneM2M/reg_req/+/id-in/#",
            "/oneM2M/reg_resp/#",
            "/oneM2M/reg_resp/+/id-in/#",
            "/+/resp/Clamp/id-in/json",
            "+/oneM2M/resp/Clamp/id-in/json",
            "$SYS/#",
            "$share/g//oneM2M/resp/Clamp/#",
            "",
        ] {
            assert!(!rights("").may_subscribe(who, &tree(), filter), "{filter} {who:?}");
        }
        for topic in [
            "",
            "/oneM2M",
            "/oneM2M/req",
            "/oneM2M/req/Clamp",
            "/oneM2M/req/Clamp/",
            "/oneM2M/req//id-in/json",
            "/oneM2M/req/Clamp/id-in/json/more",
            "/oneM2M/other/Clamp/id-in/json",
            "/onem2m/req/Clamp/id-in/json",
            "oneM2M/req/Clamp/id-in/json",
            "x/oneM2M/req/Clamp/id-in/json",
            "/oneM2M/resp/Clamp/id-in/json",
            "/oneM2M/req/id-in/Clamp/json",
            "/oneM2M/resp/id-mn/id-in/json",
            "/oneM2M/reg_resp/lamp-7/id-in/json",
            "alarms",
        ] {
            let is_1_c_ii = *who == MN && topic == "/oneM2M/resp/id-mn/id-in/json";
            assert_eq!(rights("").may_publish(who, &tree(), topic), is_1_c_ii, "{topic} {who:?}");
        }
    }
}

#[test]
fn everything_is_below_the_prefix() {
    let rights = rights("/plant/7/");
    for (topic, expected) in [
        ("plant/7/oneM2M/req/Clamp/id-in/json", true),
        ("/oneM2M/req/Clamp/id-in/json", false),
        ("plant/8/oneM2M/req/Clamp/id-in/json", false),
        ("plant/+/oneM2M/req/Clamp/id-in/json", false),
        ("plant/7oneM2M/req/Clamp/id-in/json", false),
    ] {
        assert_eq!(rights.may_publish(&LAMP, &tree(), topic), expected, "{topic}");
        let filter = topic.replace("req", "resp");
        assert_eq!(rights.may_subscribe(&LAMP, &tree(), &filter), expected, "{filter}");
    }
}

#[test]
fn what_ends_is_granted_no_longer() {
    let topic = "/oneM2M/req/Clamp/id-in/json";
    assert!(rights("").may_publish(&LAMP, &tree(), topic));
    for tree in [Tree::of(&[]), Tree::of(&[("Clamp", Some("lamp-8"))]), Tree::of(&[("Clamp", None)])] {
        assert!(!rights("").may_publish(&LAMP, &tree, topic));
        assert!(!rights("").may_subscribe(&LAMP, &tree, "/oneM2M/resp/Clamp/#"));
    }
    assert!(!rights("").may_publish(&LAMP, &Nobody, topic));
    let unproven = Who { proven: false, ..LAMP };
    assert!(!rights("").may_publish(&unproven, &tree(), topic));
}
