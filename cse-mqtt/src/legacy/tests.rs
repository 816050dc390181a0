//! Topics of the draft, and who is known to speak it.

use cse_core::id::CseType;
use proptest::prelude::*;

use super::*;

fn drafts(prefix: &str, served: bool, entities: &[&str]) -> Drafts {
    let identity = CseIdentity::new("//cse.example", "/id-in", "cse-in", CseType::In).expect("valid");
    let options = EarlyDraft { served, entities: entities.iter().map(|entity| (*entity).into()).collect() };
    Drafts::new(&identity, &Topics::new(&identity, prefix), options)
}

fn entity(text: &str) -> Originator {
    Originator::from_canonical(text)
}

fn filters(drafts: &Drafts) -> Vec<String> {
    drafts.subscriptions().into_iter().map(|subscription| subscription.filter).collect()
}

#[test]
fn topics_of_the_draft_are_told_from_all_others() {
    let request = |lead, path| Some(DraftMessage::Request(DraftTopic { lead, path }));
    for (topic, expected) in [
        ("/oneM2M/req/id-in", request("/", "id-in")),
        ("/oneM2M/req/id-in/cse-in/a/b", request("/", "id-in/cse-in/a/b")),
        ("oneM2M/req/id-in/cse-in", request("", "id-in/cse-in")),
        ("/oneM2M/req/id-in/", request("/", "id-in/")),
        ("/oneM2M/resp/id-in", Some(DraftMessage::Answer)),
        ("oneM2M/resp/id-in", Some(DraftMessage::Answer)),
        ("/oneM2M/resp/id-in/Cx", None),
        ("/oneM2M/req/id-inn", None),
        ("/oneM2M/req/Cx/id-in/json", None),
        ("/oneM2M/req", None),
        ("//oneM2M/req/id-in", None),
        ("x/oneM2M/req/id-in", None),
        ("", None),
    ] {
        assert_eq!(drafts("", true, &[]).parse(topic), expected, "{topic}");
    }
    let prefixed = drafts("plant/7", true, &[]);
    assert_eq!(prefixed.parse("plant/7/oneM2M/req/id-in/x"), request("plant/7/", "id-in/x"));
    assert_eq!(prefixed.parse("/oneM2M/req/id-in/x"), None);
    assert_eq!(prefixed.parse("oneM2M/req/id-in/x"), None);
}

#[test]
fn answers_go_to_the_originator_in_the_spelling_of_the_request() {
    for (lead, from, topic) in [
        ("/", "Cx", Some("/oneM2M/resp/Cx")),
        ("", "Cx", Some("oneM2M/resp/Cx")),
        ("/", "/id-in/Cx", Some("/oneM2M/resp/id-in/Cx")),
        ("/", "//sp.example/id-mn", Some("/oneM2M/resp/sp.example/id-mn")),
        ("plant/7/", "Cx", Some("plant/7/oneM2M/resp/Cx")),
        ("/", "", None),
        ("/", "/", None),
        ("/", "C+", None),
        ("/", "a/#", None),
    ] {
        assert_eq!(DraftTopic { lead, path: "id-in" }.answer(from).as_deref(), topic, "{lead} {from}");
    }
    assert_eq!(DraftTopic { lead: "/", path: "id-in/cse-in/a" }.target(), "/id-in/cse-in/a");
}

/// Own requests in today's form are not listened to, unless the draft is served.
#[test]
fn noticing_listens_to_less_than_serving() {
    assert_eq!(
        filters(&drafts("", false, &[])),
        ["/oneM2M/req/id-in", "/oneM2M/req/id-in/+", "/oneM2M/req/id-in/cse-in/+/#", "oneM2M/req/id-in/#"]
    );
    assert_eq!(filters(&drafts("", true, &[])), ["/oneM2M/req/id-in/#", "oneM2M/req/id-in/#", "oneM2M/resp/id-in"]);
    assert_eq!(filters(&drafts("a/b", true, &[])), ["a/b/oneM2M/req/id-in/#"]);
}

#[test]
fn who_speaks_the_draft_is_spoken_to_in_it() {
    let drafts = drafts("", true, &["Cold*"]);
    let manner = |slash, names| Some(Manner { slash, names });
    assert_eq!(drafts.manner_of(&entity("Cx")), None);
    assert_eq!(drafts.manner_of(&entity("Cold-1")), manner(true, Names::Draft));
    drafts.heard("/id-in/Cx", &DraftTopic { lead: "", path: "id-in" }, Names::Current);
    assert_eq!(drafts.manner_of(&entity("Cx")), manner(false, Names::Current));
    drafts.heard("Cold-1", &DraftTopic { lead: "", path: "id-in" }, Names::Draft);
    assert_eq!(drafts.manner_of(&entity("Cold-1")), manner(false, Names::Draft));
    drafts.heard_otherwise("Cx");
    assert_eq!(drafts.manner_of(&entity("Cx")), None);

    for (prefix, slash, to, topic) in [
        ("", true, "Cx", "/oneM2M/req/Cx"),
        ("", false, "Cx", "oneM2M/req/Cx"),
        ("", true, "/id-mn", "/oneM2M/req/id-mn"),
        ("plant/7", false, "Cx", "plant/7/oneM2M/req/Cx"),
    ] {
        let manner = Manner { slash, names: Names::Draft };
        assert_eq!(request_topic(prefix, manner, &entity(to)), topic);
    }
}

#[test]
fn who_does_not_serve_it_does_not_speak_it() {
    let drafts = drafts("", false, &["Cold*"]);
    assert_eq!(drafts.manner_of(&entity("Cold-1")), None);
}

#[test]
fn speakers_are_bounded() {
    let drafts = drafts("", true, &[]);
    let topic = DraftTopic { lead: "/", path: "id-in" };
    for number in 0..SPEAKERS_MAX + 10 {
        drafts.heard(&format!("C{number}"), &topic, Names::Draft);
    }
    drafts.heard(&"C".repeat(SPEAKER_BYTES_MAX + 1), &topic, Names::Draft);
    assert_eq!(drafts.speakers.lock().len(), SPEAKERS_MAX);
    assert!(drafts.manner_of(&entity(&format!("C{}", SPEAKERS_MAX + 9))).is_some(), "the last is remembered");
}

#[test]
fn who_is_not_served_is_counted_always_and_named_once() {
    let (drafts, stats) = (drafts("", false, &[]), MqttStats::default());
    let notice = |payload: &str| drafts.notice("/oneM2M/req/id-in", payload.as_bytes(), &stats);
    for payload in [r#"{"fr":"Cx","ri":"1"}"#, r#"{"fr":"Cx","ri":"2"}"#, r#"{"fr":"Cy"}"#, "{", "", "{}"] {
        notice(payload);
    }
    notice(r#"{"fr":"/id-in","rqi":"what we sent ourselves"}"#);
    notice(&format!(r#"{{"fr":"{}"}}"#, "\u{e9}".repeat(1_000)));
    assert_eq!(stats.early_draft_requests.get(), 7);
    assert_eq!(drafts.noticed.lock().len(), 4, "Cx, Cy, nobody, and one whose name is cut");
    for number in 0..NOTICED_MAX + 10 {
        notice(&format!(r#"{{"fr":"C{number}"}}"#));
    }
    assert_eq!(drafts.noticed.lock().len(), NOTICED_MAX);
    assert_eq!(stats.early_draft_requests.get(), 7 + NOTICED_MAX as u64 + 10);
}

proptest! {
    #[test]
    fn any_topic_is_of_the_draft_or_not(text in "(a/)?/?oneM2M/(req|resp)/(id-in)?[a-z/+#\u{e9}]{0,20}", from in "[/+#a-z\u{e9}]{0,12}") {
        if let Some(DraftMessage::Request(topic)) = drafts("", true, &[]).parse(&text) {
            prop_assert_eq!(format!("{}oneM2M/req/{}", topic.lead, topic.path), text.as_str());
            if let Some(answer) = topic.answer(&from) {
                prop_assert!(is_publishable(&answer) && answer.ends_with(from.trim_start_matches('/')));
            }
        }
    }
}
