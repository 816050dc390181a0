//! Who may do what, decided through the tree (TS-0004 §7.3.3.15, TS-0003 §7.1).

use std::sync::Arc;
use std::time::Duration;

use cse_core::error::Rsc;
use cse_core::primitive::{Operation, Request};
use cse_core::schema::Ty;

use crate::harness::{Actor, Answer, TestCse};

const DENIED: Rsc = Rsc::OriginatorHasNoPrivilege;

/// Two AEs; `cse-in/owner/log` has the policy `cse-in/owner/p` with these rules, which `Cowner` may change.
async fn with_rules(rules: &str) -> (Arc<TestCse>, Actor, Actor) {
    let cse = TestCse::new().await;
    let owner = cse.register("Cowner", "owner").await;
    let guest = cse.register("Cguest", "guest").await;
    owner.create("Cowner", Ty::ACCESS_CONTROL_POLICY, &policy("p", rules)).await.created();
    let log = r#"{"m2m:cnt":{"rn":"log","acpi":["cse-in/owner/p"]}}"#;
    owner.create("Cowner", Ty::CONTAINER, log).await.created();
    (cse, owner, guest)
}

fn policy(name: &str, rules: &str) -> String {
    format!(
        r#"{{"m2m:acp":{{"rn":"{name}","pv":{{"acr":[{rules}]}},"pvs":{{"acr":[{{"acor":["Cowner"],"acop":63}}]}}}}}}"#
    )
}

fn rule(originators: &str, operations: u8) -> String {
    format!(r#"{{"acor":["{originators}"],"acop":{operations}}}"#)
}

const LOG: &str = "cse-in/owner/log";
const LABEL: &str = r#"{"m2m:cnt":{"lbl":["x"]}}"#;

#[track_caller]
fn decided(answer: Answer, allowed: bool, what: &str) {
    let denied = answer.0.status == DENIED;
    assert_eq!(!denied, allowed, "{what}: {:?}", answer.0.content);
}

#[tokio::test]
async fn each_bit_allows_its_operation() {
    for bit in [1, 2, 4, 8, 16, 32, 63, 62, 61, 59, 55, 31] {
        let (cse, owner, guest) = with_rules(&format!("{},{}", rule("Cguest", bit), rule("Cowner", 63))).await;
        owner.instance(LOG, "x").await.created();
        decided(guest.instance(LOG, "y").await, bit & 1 != 0, &format!("C with {bit}"));
        decided(guest.retrieve(LOG).await, bit & 2 != 0, &format!("R with {bit}"));
        decided(guest.retrieve(&format!("{LOG}/la")).await, bit & 2 != 0, &format!("R la with {bit}"));
        decided(guest.update(LOG, LABEL).await, bit & 4 != 0, &format!("U with {bit}"));
        let mut notify = guest.request(Operation::Notify, LOG);
        notify.content = Some(crate::harness::json(r#"{"m2m:sgn":{}}"#));
        decided(Answer(cse.send(notify).await), bit & 16 != 0, &format!("N with {bit}"));
        let found = guest.discover("cse-in", "").await;
        assert_eq!(found.contains(&LOG.to_owned()), bit & 32 != 0, "discovery with {bit}: {found:?}");
        decided(guest.delete(&format!("{LOG}/la")).await, bit & 8 != 0, &format!("D la with {bit}"));
        decided(guest.delete(LOG).await, bit & 8 != 0, &format!("D with {bit}"));
    }
}

#[tokio::test]
async fn a_subscription_needs_create_and_retrieve() {
    for (operations, allowed) in [(1, false), (2, false), (3, true)] {
        let (_cse, _owner, guest) = with_rules(&rule("Cguest", operations)).await;
        let content = r#"{"m2m:sub":{"nu":["Cguest"]}}"#;
        decided(guest.create(LOG, Ty::SUBSCRIPTION, content).await, allowed, &operations.to_string());
    }
}

#[tokio::test]
async fn originators_are_named_in_many_forms() {
    for (entry, allowed) in [
        ("all", true),
        ("Cguest", true),
        ("/id-in/Cguest", true),
        ("//cse.example/id-in/Cguest", true),
        ("Cgue*", true),
        ("*", true),
        ("/id-in/C*", true),
        ("//cse.example", true),
        ("cse-in/owner/friends", true),
        ("/id-in/cse-in/owner/friends", true),
        ("Cowner/friends", false),
        ("cse-in/owner/strangers", false),
        ("cse-in/owner/nothing", false),
        ("Cgues", false),
        ("Cguest2", false),
        ("/id-mn/Cguest", false),
        ("/id-mn/C*", false),
        ("S*", false),
        ("//other.example", false),
        ("/id-in", false),
    ] {
        let (_cse, owner, guest) = with_rules(&format!("{},{}", rule(entry, 2), rule("Cowner", 63))).await;
        for (name, member) in [("friends", "cse-in/guest"), ("strangers", "cse-in/owner")] {
            let group = format!(r#"{{"m2m:grp":{{"rn":"{name}","mnm":9,"mid":["{member}"]}}}}"#);
            owner.create("Cowner", Ty::GROUP, &group).await.created();
        }
        decided(guest.retrieve(LOG).await, allowed, entry);
    }
}

#[tokio::test]
async fn members_come_and_go() {
    let (_cse, owner, guest) = with_rules(&rule("cse-in/owner/friends", 2)).await;
    guest.retrieve(LOG).await.refused(DENIED, "Cguest");
    let group = r#"{"m2m:grp":{"rn":"friends","mnm":9,"mid":["Cowner"]}}"#;
    owner.create("Cowner", Ty::GROUP, group).await.created();
    guest.retrieve(LOG).await.refused(DENIED, "Cguest");
    for member in ["Cguest", "cse-in/guest", "/id-in/Cguest", "//cse.example/id-in/cse-in/guest"] {
        let change = format!(r#"{{"m2m:grp":{{"mid":["{member}"]}}}}"#);
        owner.update("cse-in/owner/friends", &change).await.updated();
        decided(guest.retrieve(LOG).await, true, member);
        owner.update("cse-in/owner/friends", r#"{"m2m:grp":{"mid":[]}}"#).await.updated();
        decided(guest.retrieve(LOG).await, false, "nobody");
    }
}

#[tokio::test]
async fn permits_override_and_policies_that_are_not_there_add_nothing() {
    let cse = TestCse::new().await;
    let owner = cse.register("Cowner", "owner").await;
    let guest = cse.register("Cguest", "guest").await;
    owner.create("Cowner", Ty::ACCESS_CONTROL_POLICY, &policy("nobody", "")).await.created();
    owner.create("Cowner", Ty::ACCESS_CONTROL_POLICY, &policy("all", &rule("all", 2))).await.created();
    for (ids, allowed) in [
        (r#""cse-in/owner/all""#, true),
        (r#""cse-in/owner/nobody","cse-in/owner/all""#, true),
        (r#""cse-in/owner/all","cse-in/owner/nobody""#, true),
        (r#""cse-in/owner/nobody""#, false),
        (r#""cse-in/owner/gone""#, false),
        (r#""/id-mn/acp7""#, false),
        (r#""cse-in/owner/gone","/id-in/cse-in/owner/all""#, true),
        (r#""cse-in/owner""#, false),
    ] {
        let content = format!(r#"{{"m2m:cnt":{{"rn":"log","acpi":[{ids}]}}}}"#);
        owner.create("Cowner", Ty::CONTAINER, &content).await.created();
        decided(guest.retrieve(LOG).await, allowed, ids);
        // Where policies are named, the creator has no more than they say.
        decided(owner.retrieve(LOG).await, allowed, ids);
        cse.admin().delete(LOG).await.deleted();
    }
}

#[tokio::test]
async fn a_policy_takes_effect_when_it_changes_or_goes() {
    let (_cse, owner, guest) = with_rules(&rule("Cguest", 2)).await;
    decided(guest.retrieve(LOG).await, true, "at first");
    owner.update("cse-in/owner/p", r#"{"m2m:acp":{"pv":{"acr":[]}}}"#).await.updated();
    decided(guest.retrieve(LOG).await, false, "no rule");
    let again = r#"{"m2m:acp":{"pv":{"acr":[{"acor":["all"],"acop":2}]}}}"#;
    owner.update("cse-in/owner/p", again).await.updated();
    decided(guest.retrieve(LOG).await, true, "again");
    owner.delete("cse-in/owner/p").await.deleted();
    decided(guest.retrieve(LOG).await, false, "gone");
    decided(owner.retrieve(LOG).await, false, "gone for the creator, too");
}

#[tokio::test]
async fn a_policy_is_guarded_by_its_own_rules() {
    let cse = TestCse::new().await;
    let owner = cse.register("Cowner", "owner").await;
    let guest = cse.register("Cguest", "guest").await;
    let content = r#"{"m2m:acp":{"rn":"p","pv":{"acr":[{"acor":["Cowner"],"acop":63}]},
        "pvs":{"acr":[{"acor":["Cguest"],"acop":63}]}}}"#;
    owner.create("Cowner", Ty::ACCESS_CONTROL_POLICY, content).await.created();
    owner.retrieve("cse-in/owner/p").await.refused(DENIED, "Cowner");
    guest.retrieve("cse-in/owner/p").await.resource();
    let empty = r#"{"m2m:acp":{"pvs":{"acr":[]}}}"#;
    guest.update("cse-in/owner/p", empty).await.refused(Rsc::BadRequest, "'pvs'");
    guest.update("cse-in/owner/p", r#"{"m2m:acp":{"lbl":["x"]}}"#).await.updated();
    let without = r#"{"m2m:acp":{"pv":{"acr":[]},"pvs":{}}}"#;
    owner.create("Cowner", Ty::ACCESS_CONTROL_POLICY, without).await.refused(Rsc::BadRequest, "'pvs'");
    guest.delete("cse-in/owner/p").await.deleted();
}

#[tokio::test]
async fn the_policies_of_a_resource_change_by_their_own_rules() {
    let (_cse, owner, guest) = with_rules(&rule("Cguest", 63)).await;
    let other = r#"{"m2m:cnt":{"acpi":["cse-in/owner/other"]}}"#;
    // The rule for resources does not count here, the one for the policy does.
    guest.update(LOG, other).await.refused(DENIED, "accessControlPolicyIDs");
    let two = r#"{"m2m:cnt":{"acpi":["cse-in/owner/other"],"lbl":["x"]}}"#;
    owner.update(LOG, two).await.refused(Rsc::BadRequest, "only attribute");
    owner.update(LOG, other).await.updated();
    guest.retrieve(LOG).await.refused(DENIED, "Cguest");
    // The new policy does not exist, so nobody but the administrator can change it back.
    owner.update(LOG, r#"{"m2m:cnt":{"acpi":null}}"#).await.refused(DENIED, "Cowner");
    guest.cse.admin().update(LOG, r#"{"m2m:cnt":{"acpi":null}}"#).await.updated();
    owner.retrieve(LOG).await.resource();
    guest.update(LOG, other).await.refused(DENIED, "Cguest");
    owner.update(LOG, other).await.updated();
}

#[tokio::test]
async fn without_policy_only_the_creator_may() {
    let cse = TestCse::new().await;
    let owner = cse.register("Cowner", "owner").await;
    let guest = cse.register("Cguest", "guest").await;
    owner.container("Cowner", "log").await.created();
    owner.instance(LOG, "x").await.created();
    owner.create(LOG, Ty::SUBSCRIPTION, r#"{"m2m:sub":{"rn":"s","nu":["Cowner"]}}"#).await.created();
    for to in ["Cowner", LOG, "cse-in/owner/log/la", "cse-in/owner/log/s"] {
        decided(owner.retrieve(to).await, true, to);
        decided(guest.retrieve(to).await, false, to);
        decided(guest.delete(to).await, false, to);
        decided(cse.originator("Cstranger").retrieve(to).await, false, to);
        decided(cse.originator("/id-in").retrieve(to).await, true, to);
        decided(cse.admin().retrieve(to).await, true, to);
    }
    decided(guest.container("Cowner", "x").await, false, "create");
}

#[tokio::test]
async fn only_requests_from_inside_speak_for_the_cse() {
    let (cse, _owner, _guest) = with_rules("").await;
    for (binding, allowed) in [
        (cse_core::primitive::Binding::Internal, true),
        (cse_core::primitive::Binding::Http, false),
        (cse_core::primitive::Binding::Mqtt, false),
    ] {
        for name in ["/id-in", "//cse.example/id-in"] {
            let mut request = cse.originator(name).request(Operation::Retrieve, LOG);
            request.context.binding = binding;
            decided(Answer(cse.send(request).await), allowed, name);
        }
    }
}

#[tokio::test]
async fn a_parent_gives_nothing_to_its_children_but_instances() {
    let (cse, owner, guest) = with_rules(&rule("all", 63)).await;
    guest.container(LOG, "inner").await.created();
    guest.instance(LOG, "x").await.created();
    decided(owner.retrieve("cse-in/owner/log/inner").await, false, "a container of another");
    decided(owner.retrieve("cse-in/owner/log/la").await, true, "an instance of another");
    decided(cse.originator("Canybody").retrieve("cse-in/owner/log/la").await, true, "all");
    let instance = owner.retrieve("cse-in/owner/log/la").await.resource();
    decided(owner.delete(instance.text("ri").unwrap()).await, true, "an instance of another");
}

#[tokio::test]
async fn the_custodian_takes_the_place_of_the_creator() {
    let cse = TestCse::new().await;
    let owner = cse.register("Cowner", "owner").await;
    let guest = cse.register("Cguest", "guest").await;
    for custodian in ["Cguest", "/id-in/Cguest", "//cse.example/id-in/Cguest"] {
        let content = format!(r#"{{"m2m:cnt":{{"rn":"log","cstn":"{custodian}"}}}}"#);
        owner.create("Cowner", Ty::CONTAINER, &content).await.created();
        decided(guest.retrieve(LOG).await, true, custodian);
        decided(owner.retrieve(LOG).await, false, custodian);
        guest.delete(LOG).await.deleted();
    }
}

/// A retrieval of [`LOG`] with something changed about it.
async fn read(cse: &Arc<TestCse>, from: &str, change: impl FnOnce(&mut Request)) -> Answer {
    let mut request = cse.originator(from).request(Operation::Retrieve, LOG);
    change(&mut request);
    Answer(cse.send(request).await)
}

#[tokio::test]
async fn contexts_limit_when_and_from_where() {
    let context = |context: &str| format!(r#"{{"acor":["Cguest"],"acop":63,"acco":[{context}]}}"#);
    // It is Thursday, the 1st of January 2026, noon.
    for (entries, address, allowed) in [
        (r#"{"acip":{"ipv4":["10.0.0.0/8"]}}"#, Some("10.1.2.3"), true),
        (r#"{"acip":{"ipv4":["10.0.0.0/8"]}}"#, Some("::ffff:10.1.2.3"), true),
        (r#"{"acip":{"ipv4":["10.0.0.0/8"]}}"#, Some("11.1.2.3"), false),
        (r#"{"acip":{"ipv4":["10.0.0.0/8"]}}"#, None, false),
        (r#"{"acip":{"ipv6":["2001:db8::/32"]}}"#, Some("2001:db8::7"), true),
        (r#"{"acip":{"ipv4":["10.0.0.1"]}},{"acip":{"ipv4":["10.0.0.2"]}}"#, Some("10.0.0.2"), true),
        (r#"{"actw":["* * 12 * * * *"]}"#, None, true),
        (r#"{"actw":["* * 13 * * * *"]}"#, None, false),
        (r#"{"actw":["* * 13 * * * *","* * * * * 4 *"]}"#, None, true),
        (r#"{"actw":["* * 12 * * * *"],"acip":{"ipv4":["10.0.0.1"]}}"#, Some("10.0.0.1"), true),
        (r#"{"actw":["* * 13 * * * *"],"acip":{"ipv4":["10.0.0.1"]}}"#, Some("10.0.0.1"), false),
    ] {
        let (cse, _owner, _guest) = with_rules(&context(entries)).await;
        let answer = read(&cse, "Cguest", |request| {
            request.context.peer.address = address.map(|address| address.parse().unwrap());
        });
        decided(answer.await, allowed, &format!("{entries} from {address:?}"));
    }
}

#[tokio::test]
async fn a_time_window_opens_and_closes() {
    let rules = r#"{"acor":["Cguest"],"acop":63,"acco":[{"actw":["* * 13 * * * *"]}]}"#;
    let (cse, _owner, guest) = with_rules(rules).await;
    for (hours, allowed) in [(0, false), (1, true), (1, false)] {
        cse.clock.turn(Duration::from_secs(hours * 3_600));
        decided(guest.retrieve(LOG).await, allowed, "in the window");
    }
}

#[tokio::test]
async fn some_rules_are_for_proven_identities_only() {
    let rules = r#"{"acor":["Cguest"],"acop":63,"acaf":true}"#;
    let (cse, _owner, _guest) = with_rules(rules).await;
    for proven in [true, false] {
        let answer = read(&cse, "Cguest", |request| request.context.peer.authenticated = proven);
        decided(answer.await, proven, "authenticated");
    }
}

#[tokio::test]
async fn a_rule_limits_what_may_be_created_where() {
    for (details, container, instance) in [
        (r#"{"chty":[4]}"#, false, true),
        (r#"{"chty":[3,4]}"#, true, true),
        (r#"{"ty":3,"chty":[3]}"#, true, false),
        (r#"{"ty":2,"chty":[3]}"#, false, false),
        (r#"{"ty":2,"chty":[3]},{"ty":3,"chty":[4]}"#, false, true),
    ] {
        let rules = format!(r#"{{"acor":["Cguest"],"acop":3,"acod":[{details}]}}"#);
        let (_cse, _owner, guest) = with_rules(&rules).await;
        decided(guest.container(LOG, "c").await, container, details);
        decided(guest.instance(LOG, "1").await, instance, details);
        decided(guest.retrieve(LOG).await, true, details);
    }
}

#[tokio::test]
async fn rules_that_are_not_understood_are_refused_or_allow_nothing() {
    let cse = TestCse::new().await;
    let owner = cse.register("Cowner", "owner").await;
    for (rules, hint) in [
        (r#"{"acop":63}"#, "acor"),
        (r#"{"acor":["all"]}"#, "acop"),
        (r#"{"acor":["all"],"acop":64}"#, "acop"),
        (r#"{"acor":"all","acop":63}"#, "acor"),
        (r#"{"acor":["all"],"acop":63,"zzz":1}"#, "zzz"),
        (r#"{"acor":["all"],"acop":63,"acco":[{"actw":["noon"]}]}"#, "actw"),
        (r#"{"acor":["all"],"acop":63,"acod":[{"ty":3}]}"#, "chty"),
    ] {
        let answer = owner.create("Cowner", Ty::ACCESS_CONTROL_POLICY, &policy("p", rules)).await;
        answer.refused(Rsc::BadRequest, hint);
    }
    for rules in [
        r#"{"acor":["all"],"acop":63,"acco":[{"acui":["someone"]}]}"#,
        r#"{"acor":["all"],"acop":63,"aca":["lbl"]}"#,
        r#"{"acor":["1234@roles.example"],"acop":63}"#,
    ] {
        let (_cse, _owner, guest) = with_rules(rules).await;
        decided(guest.retrieve(LOG).await, false, rules);
    }
}

#[tokio::test]
async fn children_that_one_may_not_read_are_left_out() {
    let (_cse, owner, guest) = with_rules(&format!("{},{}", rule("Cguest", 2), rule("Cowner", 63))).await;
    owner.container(LOG, "hidden").await.created();
    owner.create(LOG, Ty::CONTAINER, r#"{"m2m:cnt":{"rn":"seen","acpi":["cse-in/owner/p"]}}"#).await.created();
    owner.instance(LOG, "1").await.created();
    let tree = guest.primitive(&format!(r#"{{"op":2,"to":"{LOG}","rcn":4}}"#)).await.resource();
    let list = |name: &str| tree.get(name).and_then(|value| value.as_list()).map_or(0, <[_]>::len);
    assert_eq!((list("m2m:cnt"), list("m2m:cin")), (1, 1));
    assert!(guest.discover(LOG, "").await.is_empty(), "discovery needs another bit");
}
