//! Requests that come back to the CSE of the AE that asked, in its name: from a group elsewhere with members there, and
//! for the original of a copy elsewhere. A CSE speaks for an AE of another while it has a request of it, and never else.

use std::sync::Arc;

use cse_core::error::Rsc;
use cse_core::primitive::{Context, Operation, Request, ResultContent};
use cse_core::schema::Ty;
use cse_core::value::{Map, Value};
use tokio::task::JoinHandle;

use crate::harness::{Actor, Answer, Play, TestClock, TestCse, json};
use crate::tree::{Pair, Plan, from_anywhere, from_cse, shared_container};

/// An IN-CSE, an MN-CSE and another one below that.
struct Tree {
    top: Arc<TestCse>,
    middle: Arc<TestCse>,
    lower: Arc<TestCse>,
}

impl Tree {
    /// Over a binding that knows who sends a request, or over one that does not.
    async fn new(knows_sender: bool) -> Self {
        let clock = TestClock::new();
        let top = Plan::new("in").over("/id-mn", &["/id-mn2"]).start(&clock).await;
        let middle = Plan::new("mn").under("/id-in").over("/id-mn2", &[]).start(&clock).await;
        let lower = Plan::new("mn2").under("/id-mn").start(&clock).await;
        let context = |cse_id| if knows_sender { from_cse(cse_id) } else { from_anywhere() };
        for ((id, cse), (other_id, other)) in
            [(("/id-in", &top), ("/id-mn", &middle)), (("/id-mn", &middle), ("/id-mn2", &lower))]
        {
            cse.network.connect(other_id, other, context(id));
            other.network.connect(id, cse, context(other_id));
        }
        Self { top, middle, lower }
    }

    /// An AE of that CSE, for which there is a container at each.
    async fn user(&self, at: &Arc<TestCse>, base: &str, stem: &str) -> Actor {
        let from = base.replacen("cse-", "/id-", 1);
        let originators = format!(r#"["{from}/{stem}","/{stem}"]"#);
        for (cse, base) in [(&self.top, "cse-in"), (&self.middle, "cse-mn"), (&self.lower, "cse-mn2")] {
            shared_container(cse, base, "log", &originators).await;
        }
        register(at, base, stem).await
    }
}

async fn register(cse: &Arc<TestCse>, base: &str, stem: &str) -> Actor {
    let actor = cse.originator(stem);
    let content = format!(r#"{{"m2m:ae":{{"rn":"{stem}","api":"Ntest","rr":true,"srv":["3"]}}}}"#);
    actor.create(base, Ty::AE, &content).await.created();
    actor
}

/// Status codes of an answer of many, sorted.
fn statuses(answer: Answer) -> Vec<i64> {
    let content = answer.ok();
    let list = content.get("m2m:agr").and_then(Value::as_map).and_then(|all| all.get("m2m:rsp")).unwrap();
    let mut statuses: Vec<_> = list.as_list().unwrap().iter().map(|one| one.as_map().unwrap().int("rsc")).collect();
    statuses.sort_unstable();
    statuses.into_iter().map(Option::unwrap).collect()
}

async fn original(user: &Actor, copy: &str) -> Answer {
    let mut request = user.request(Operation::Retrieve, copy);
    request.result_content = Some(ResultContent::OriginalResource);
    Answer(user.cse.send(request).await)
}

#[tokio::test]
async fn a_group_has_members_where_its_user_is() {
    for (knows_sender, at_middle, stem) in [
        (true, true, "Cuser"),
        (true, false, "Cuser"),
        (false, true, "Cuser"),
        (false, false, "Cuser"),
        (true, true, "Suser"),
    ] {
        let tree = Tree::new(knows_sender).await;
        let (at, base) = if at_middle { (&tree.middle, "cse-mn") } else { (&tree.lower, "cse-mn2") };
        let user = tree.user(at, base, stem).await;
        register(&tree.top, "cse-in", "Capp").await;
        let link = r#"{"m2m:ae":{"acpi":["cse-in/acp-log"]}}"#;
        tree.top.admin().update("cse-in/Capp", link).await.updated();
        // What its members are is asked in the name of whoever makes it.
        let members = r#"["cse-in/log","/id-mn/cse-mn/log","/id-mn2/cse-mn2/log"]"#;
        let group = format!(r#"{{"m2m:grp":{{"rn":"g","mnm":9,"mt":3,"mid":{members},"acpi":["cse-in/acp-log"]}}}}"#);
        let group = user.create("/id-in/cse-in/Capp", Ty::GROUP, &group).await.created();
        assert_eq!((group.bool("mtv"), group.int("cnm")), (Some(true), Some(3)), "{group:?}");
        let fan_out = "/id-in/cse-in/Capp/g/fopt";
        assert_eq!(statuses(user.instance(fan_out, "1").await), [2001; 3]);
        assert_eq!(statuses(user.retrieve(&format!("{fan_out}/la")).await), [2000; 3]);
        for (cse, path) in [(&tree.top, "cse-in/log"), (&tree.middle, "cse-mn/log"), (&tree.lower, "cse-mn2/log")] {
            let log = cse.admin().retrieve(path).await.resource();
            assert_eq!(log.int("cni"), Some(1), "{path} {knows_sender} {at_middle}");
        }
        assert_eq!(statuses(user.delete(fan_out).await), [2002; 3]);
        for cse in [&tree.top, &tree.middle, &tree.lower] {
            assert_eq!(cse.cse.forwarded_waiting(), 0);
        }
    }
}

#[tokio::test]
async fn the_original_is_where_the_reader_of_the_copy_is() {
    for knows_sender in [true, false] {
        let tree = Tree::new(knows_sender).await;
        let all = r#"{"m2m:acp":{"rn":"all","pv":{"acr":[{"acor":["all"],"acop":63}]},
            "pvs":{"acr":[{"acor":["CAdmin"],"acop":63}]}}}"#;
        tree.top.admin().create("cse-in", Ty::ACCESS_CONTROL_POLICY, all).await.created();
        let readers =
            [register(&tree.middle, "cse-mn", "Creader").await, register(&tree.lower, "cse-mn2", "Creader").await];
        let stranger = register(&tree.middle, "cse-mn", "Cstranger").await;
        let both = r#"["/id-mn/Creader","/id-mn2/Creader"]"#;
        for (cse, base) in [(&tree.middle, "cse-mn"), (&tree.lower, "cse-mn2")] {
            shared_container(cse, base, "log", both).await;
            let (log, admin) = (format!("{base}/log"), cse.admin());
            let policies = format!(r#"{{"m2m:cnt":{{"acpi":["{base}/acp-log","/id-in/cse-in/all"]}}}}"#);
            admin.update(&log, &policies).await.updated();
            admin.update(&log, r#"{"m2m:cnt":{"at":["/id-in"]}}"#).await.updated();
            crate::announcing::converged(cse).await;
            let resource = admin.retrieve(&log).await.resource();
            let copy = resource.texts("at").next().unwrap();
            assert!(copy.starts_with("/id-in/cntA"), "{copy}");
            for reader in &readers {
                assert_eq!(original(reader, copy).await.resource(), resource, "{base} {knows_sender}");
            }
            original(&stranger, copy).await.refused(Rsc::OriginatorHasNoPrivilege, "Cstranger");
        }
    }
}

#[tokio::test]
async fn originals_are_read_through_a_group_of_copies() {
    let tree = Tree::new(true).await;
    let reader = tree.user(&tree.middle, "cse-mn", "Creader").await;
    let policies = r#"{"m2m:cnt":{"acpi":["cse-mn/acp-log","/id-in/cse-in/acp-log"]}}"#;
    tree.middle.admin().update("cse-mn/log", policies).await.updated();
    tree.middle.admin().update("cse-mn/log", r#"{"m2m:cnt":{"at":["/id-in"]}}"#).await.updated();
    crate::announcing::converged(&tree.middle).await;
    let log = tree.middle.admin().retrieve("cse-mn/log").await.resource();
    let copy = log.texts("at").next().unwrap();
    let group = format!(r#"{{"m2m:grp":{{"rn":"g","mnm":9,"mid":["{copy}"],"acpi":["cse-in/acp-log"]}}}}"#);
    tree.top.admin().create("cse-in", Ty::GROUP, &group).await.created();
    let answer = original(&reader, "/id-in/cse-in/g/fopt").await.ok();
    let list = answer.get("m2m:agr").and_then(Value::as_map).and_then(|all| all.get("m2m:rsp")).unwrap();
    let only = list.as_list().unwrap()[0].as_map().unwrap();
    assert_eq!(only.get("pc").and_then(Value::as_map).map(|content| crate::harness::inner(content.clone())), Some(log));
}

/// A pair with containers and AEs of those stems at the MN-CSE, whose registrar answers no more.
async fn below_a_silent_registrar(stems: &[&str]) -> (Pair, Arc<TestCse>) {
    let pair = Pair::new().await;
    let middle = Arc::clone(&pair.middle);
    shared_container(&middle, "cse-mn", "log", r#"["Csensor","Cother","Ssensor"]"#).await;
    for stem in stems {
        register(&middle, "cse-mn", stem).await;
    }
    middle.network.otherwise(Play::Hang);
    (pair, middle)
}

/// Has an AE wait for an answer from the IN-CSE.
async fn waiting(actor: &Actor) -> JoinHandle<()> {
    let sent = actor.cse.network.count();
    let (cse, request) = (Arc::clone(&actor.cse), actor.request(Operation::Retrieve, "/id-in/x"));
    let waiting = tokio::spawn(async move { drop(cse.send(request).await) });
    actor.cse.network.sent(sent + 1).await;
    waiting
}

async fn end(waiting: JoinHandle<()>) {
    waiting.abort();
    assert!(waiting.await.is_err());
}

/// What a CSE passes on.
fn back(from: &str, context: Context, identifier: &str) -> Request {
    let mut request = Request::new(Operation::Retrieve, "/id-mn/cse-mn/log", from, identifier);
    request.context = context;
    request
}

#[tokio::test]
async fn a_cse_speaks_for_an_ae_of_another_while_it_has_a_request_of_it() {
    for stem in ["Csensor", "Ssensor"] {
        let (_pair, middle) = below_a_silent_registrar(&[stem]).await;
        let sensor = middle.originator(stem);
        for absolute in [false, true] {
            let from = match (stem, absolute) {
                ("Ssensor", false) => "/Ssensor".to_owned(),
                (_, false) => format!("/id-mn/{stem}"),
                (_, true) => format!("//cse.example/id-mn/{stem}"),
            };
            for context in [from_cse("/id-in"), from_anywhere()] {
                let ask = |number| {
                    let request = back(&from, context.clone(), &format!("id-in-1-{number}"));
                    async { Answer(middle.send(request).await) }
                };
                ask(1).await.refused(Rsc::OriginatorHasNoPrivilege, "may not speak for");
                let (one, other) = (waiting(&sensor).await, waiting(&sensor).await);
                ask(2).await.ok();
                end(one).await;
                ask(3).await.ok();
                end(other).await;
                ask(4).await.refused(Rsc::OriginatorHasNoPrivilege, "may not speak for");
            }
        }
    }
}

#[tokio::test]
async fn it_speaks_for_nobody_else_and_registers_nobody() {
    let (_pair, middle) = below_a_silent_registrar(&["Csensor", "Cother", "Sother"]).await;
    let sensor = middle.originator("Csensor");
    let (one, other) = (waiting(&sensor).await, waiting(&middle.admin()).await);
    for (number, (context, from)) in [
        (from_cse("/id-in"), "/id-mn/Cother"),
        (from_cse("/id-in"), "//cse.example/id-mn/Cother"),
        (from_cse("/id-in"), "/Sother"),
        (from_cse("/id-in"), "/id-mn/Cunknown"),
        (from_cse("/id-in"), "/id-mn/CAdmin"),
        (from_cse("/id-in"), "//cse.example/id-mn/CAdmin"),
        (from_cse("/id-in"), "CAdmin"),
        (from_cse("/id-in"), "/id-mn"),
        // Not as is due between CSEs.
        (from_cse("/id-in"), "Csensor"),
        // Not with the CSE that has its request.
        (from_cse("/id-other"), "/id-mn/Csensor"),
        (from_cse("//other.example/id-in"), "//cse.example/id-mn/Csensor"),
        (from_anywhere(), "/id-mn/Cother"),
        (from_anywhere(), "/id-mn/CAdmin"),
    ]
    .into_iter()
    .enumerate()
    {
        for to in ["/id-mn/cse-mn/log", "/id-in/x"] {
            let mut request = back(from, context.clone(), &format!("id-in-2-{number}"));
            request.to = to.into();
            let sent = middle.network.count();
            let answer = Answer(middle.send(request).await);
            answer.refused(Rsc::OriginatorHasNoPrivilege, "may not speak for");
            assert_eq!(middle.network.count(), sent);
        }
    }
    for (ty, content) in [
        (Ty::AE, r#"{"m2m:ae":{"rn":"new","api":"Ntest","rr":true,"srv":["3"]}}"#),
        (Ty::REMOTE_CSE, r#"{"m2m:csr":{"csi":"/id-new","cb":"/id-new/x","rr":true,"srv":["3"]}}"#),
    ] {
        for context in [from_cse("/id-in"), from_anywhere()] {
            let mut request = back("/id-mn/Csensor", context, "id-in-3-1");
            (request.operation, request.resource_type) = (Operation::Create, Some(ty));
            (request.to, request.content) = ("/id-mn/cse-mn".into(), Some(json(content)));
            Answer(middle.send(request).await).refused(Rsc::OriginatorHasNoPrivilege, "may not speak for");
        }
    }
    // Nor does an AE by what a CSE may say.
    let mut of_ae = from_cse("/id-in");
    of_ae.sender = Some("Csensor".into());
    Answer(middle.send(back("/id-mn/Csensor", of_ae, "1")).await).ok();
    end(one).await;
    end(other).await;
}

#[tokio::test]
async fn what_comes_back_twice_under_one_identifier_has_one_effect() {
    let (_pair, middle) = below_a_silent_registrar(&["Csensor"]).await;
    let sensor = middle.originator("Csensor");
    let waiting = waiting(&sensor).await;
    for (expected, context) in [(1, from_cse("/id-in")), (2, from_anywhere())] {
        let mut request = back("/id-mn/Csensor", context, &format!("id-in-4-{expected}"));
        (request.operation, request.resource_type) = (Operation::Create, Some(Ty::CONTENT_INSTANCE));
        request.content = Some(json(r#"{"m2m:cin":{"con":"1"}}"#));
        let first: Map = Answer(middle.send(request.clone()).await).created();
        assert_eq!(Answer(middle.send(request).await).created(), first);
        let log = middle.admin().retrieve("cse-mn/log").await.resource();
        assert_eq!(log.int("cni"), Some(expected));
    }
    end(waiting).await;
}
