//! Whatever is asked for in whatever order, what is stored stays consistent.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use cse_core::error::Rsc;
use cse_core::id::Seq;
use cse_core::ports::{Search, Snapshot, Store};
use cse_core::resource::Resource;
use cse_core::schema::Ty;
use proptest::prelude::*;
use proptest::sample::select;

use crate::harness::{Actor, Answer, TestCse};

/// One thing to do. Places are picked from those that could exist, so that many of them do.
#[derive(Clone, Debug)]
enum Step {
    Create { to: String, ty: Ty, content: String },
    Update { to: String, content: String },
    Delete { to: String },
    Retrieve { members: String },
    Pass { seconds: u64 },
}

/// Where containers are, those of which most happens first. One may be gone, or not be there yet.
const CONTAINERS: [&str; 6] = ["cse-in/x/a", "cse-in/x/a", "cse-in/x/a", "cse-in/x/a/b", "cse-in/x/b", "cse-in/y/a"];

fn container() -> impl Strategy<Value = String> {
    select(CONTAINERS.to_vec()).prop_map(str::to_owned)
}

/// A container or an AE.
fn place() -> impl Strategy<Value = String> {
    prop_oneof![4 => container(), 1 => select(vec!["cse-in/x", "cse-in/y"]).prop_map(str::to_owned)]
}

fn maybe(strategy: impl Strategy<Value = String> + 'static) -> impl Strategy<Value = String> {
    prop_oneof![2 => Just(String::new()), 1 => strategy]
}

/// Attributes of a container, each with a comma before it.
fn limits(nullable: bool) -> impl Strategy<Value = String> {
    let number = move |name: &'static str, max: u64| {
        let number = (0..=max).prop_map(move |number| format!(r#","{name}":{number}"#));
        maybe(if nullable {
            prop_oneof![3 => number, 1 => Just(format!(r#","{name}":null"#))].boxed()
        } else {
            number.boxed()
        })
    };
    let disabled = maybe(any::<bool>().prop_map(|disabled| format!(r#","disr":{disabled}"#)));
    (number("mni", 4), number("mbs", 12), number("mia", 30), disabled, expiration())
        .prop_map(|(mni, mbs, mia, disr, et)| format!("{mni}{mbs}{mia}{disr}{et}"))
}

fn expiration() -> impl Strategy<Value = String> {
    maybe((0..3_u32, 0..60_u32).prop_map(|(minute, second)| format!(r#","et":"20260101T12{minute:02}{second:02}""#)))
}

fn step() -> impl Strategy<Value = Step> {
    let create = (container(), limits(false)).prop_map(|(at, limits)| {
        let (to, name) = at.rsplit_once('/').expect("a path");
        let content = format!(r#"{{"m2m:cnt":{{"rn":"{name}"{limits}}}}}"#);
        Step::Create { to: to.to_owned(), ty: Ty::CONTAINER, content }
    });
    let odd = (place(), select(vec!["la", "cin9", "cin50", "cnt20"])).prop_map(|(to, name)| {
        let content = format!(r#"{{"m2m:cnt":{{"rn":"{name}"}}}}"#);
        Step::Create { to, ty: Ty::CONTAINER, content }
    });
    let instance = (container(), "[a-z]{0,6}", expiration()).prop_map(|(to, content, et)| {
        let content = format!(r#"{{"m2m:cin":{{"con":"{content}"{et}}}}}"#);
        Step::Create { to, ty: Ty::CONTENT_INSTANCE, content }
    });
    let unnamed = place().prop_map(|to| {
        let content = r#"{"m2m:cnt":{}}"#.to_owned();
        Step::Create { to, ty: Ty::CONTAINER, content }
    });
    let register = (select(vec!["x", "y"]), expiration()).prop_map(|(name, et)| {
        let content = format!(r#"{{"m2m:ae":{{"rn":"{name}","api":"N","rr":false,"srv":["3"]{et}}}}}"#);
        Step::Create { to: "cse-in".into(), ty: Ty::AE, content }
    });
    let update = (place(), limits(true)).prop_map(|(to, limits)| {
        let root = if to.matches('/').count() == 1 { "m2m:ae" } else { "m2m:cnt" };
        Step::Update { to, content: format!(r#"{{"{root}":{{"lbl":["x"]{limits}}}}}"#) }
    });
    let renew = place().prop_map(|to| {
        let root = if to.matches('/').count() == 1 { "m2m:ae" } else { "m2m:cnt" };
        Step::Update { to, content: format!(r#"{{"{root}":{{"et":null}}}}"#) }
    });
    let delete = place().prop_map(|to| Step::Delete { to });
    let delete_instance =
        (container(), select(vec!["la", "ol"])).prop_map(|(to, end)| Step::Delete { to: format!("{to}/{end}") });
    let retrieve = (place(), select(vec![1, 4, 5, 6, 8]), select(vec!["", "/la", "/ol"]))
        .prop_map(|(to, rcn, end)| Step::Retrieve { members: format!(r#"{{"op":2,"to":"{to}{end}","rcn":{rcn}}}"#) });
    let pass = (0..15_u64).prop_map(|seconds| Step::Pass { seconds });
    prop_oneof![
        3 => create,
        1 => odd,
        12 => instance,
        1 => unnamed,
        2 => register,
        3 => update,
        1 => renew,
        1 => delete,
        2 => delete_instance,
        2 => retrieve,
        2 => pass,
    ]
}

async fn take(admin: &Actor, step: &Step) -> Option<Answer> {
    match step {
        Step::Create { to, ty: Ty::AE, content } => {
            let stem = if content.contains(r#""rn":"x""#) { "Cx" } else { "Cy" };
            Some(admin.cse.originator(stem).create(to, Ty::AE, content).await)
        }
        Step::Create { to, ty, content } => Some(admin.create(to, *ty, content).await),
        Step::Update { to, content } => Some(admin.update(to, content).await),
        Step::Delete { to } => Some(admin.delete(to).await),
        Step::Retrieve { members } => Some(admin.primitive(members).await),
        Step::Pass { seconds } => {
            admin.cse.pass(Duration::from_secs(*seconds)).await;
            None
        }
    }
}

/// Everything that is stored, the CSEBase first.
async fn stored(cse: &TestCse) -> Vec<Resource> {
    let mut snapshot = cse.store.snapshot().await.unwrap();
    let everything =
        Search { root: Seq::CSE_BASE, levels: None, clauses: Vec::new(), after: Seq::START, limit: usize::MAX };
    let mut seqs = vec![Seq::CSE_BASE];
    seqs.extend(snapshot.search(&everything).await.unwrap());
    snapshot.resources(&seqs).await.unwrap()
}

/// What always holds. Also notes the state tags, which never go down.
fn check(resources: &[Resource], state_tags: &mut BTreeMap<Seq, u64>) {
    let by_seq: BTreeMap<Seq, &Resource> = resources.iter().map(|resource| (resource.seq, resource)).collect();
    let mut names = BTreeSet::new();
    let mut identifiers = BTreeSet::new();
    let mut contained: BTreeMap<Seq, (u64, u64)> = BTreeMap::new();
    for resource in resources {
        assert!(identifiers.insert(resource.id.as_str()), "identifier twice: {}", resource.id);
        let before = state_tags.insert(resource.seq, resource.state_tag.unwrap_or(0)).unwrap_or(0);
        assert!(resource.state_tag.unwrap_or(0) >= before, "the state tag of {} went down", resource.id);
        let Some(parent) = resource.parent else {
            assert_eq!(resource.seq, Seq::CSE_BASE);
            continue;
        };
        let parent = by_seq.get(&parent).unwrap_or_else(|| panic!("{} has no parent", resource.id));
        assert_eq!(resource.parent_id, parent.id);
        assert!(names.insert((parent.seq, resource.name.as_str())), "name twice: {}", resource.name);
        assert!(resource.creation_time <= resource.last_modified_time);
        let expires = resource.expiration_time.expect("everything but the CSEBase expires");
        assert!(parent.expiration_time.is_none_or(|limit| expires <= limit), "{} outlives its parent", resource.id);
        if resource.ty == Ty::CONTENT_INSTANCE {
            let (count, bytes) = contained.entry(parent.seq).or_default();
            *count += 1;
            *bytes += resource.content_size.expect("instances have a size");
        }
    }
    for container in resources.iter().filter(|resource| resource.ty == Ty::CONTAINER) {
        let attributes = &container.attributes;
        let counted = contained.get(&container.seq).copied().unwrap_or_default();
        let claimed = (attributes.unsigned("cni").unwrap(), attributes.unsigned("cbs").unwrap());
        assert_eq!(claimed, counted, "counters of {}", container.id);
        assert!(attributes.unsigned("mni").is_none_or(|max| counted.0 <= max.max(1)), "too many in {}", container.id);
        assert!(attributes.unsigned("mbs").is_none_or(|max| counted.1 <= max), "too much in {}", container.id);
    }
}

/// After a long time nothing is left but the CSEBase.
async fn everything_ends(cse: &Arc<TestCse>) {
    cse.clock.turn(Duration::from_secs(50 * 365 * 86_400));
    cse.until(async || stored(cse).await.len() == 1).await;
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 64, max_shrink_iters: 2_000, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn what_is_stored_is_consistent(steps in prop::collection::vec(step(), 1..200), together in 1..6_usize) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(async {
            let cse = TestCse::new().await;
            cse.register("Cx", "x").await;
            cse.register("Cy", "y").await;
            cse.admin().container("cse-in/x", "a").await.created();
            cse.admin().container("cse-in/x/a", "b").await.created();
            let admin = cse.admin();
            let mut state_tags = BTreeMap::new();
            // Steps that are taken together share commits.
            for group in steps.chunks(together) {
                let answers = futures_util::future::join_all(group.iter().map(|step| take(&admin, step))).await;
                for (step, answer) in group.iter().zip(answers) {
                    let failed = answer.is_some_and(|answer| answer.0.status == Rsc::InternalServerError);
                    assert!(!failed, "{step:?} made the CSE fail");
                }
                check(&stored(&cse).await, &mut state_tags);
            }
            everything_ends(&cse).await;
        });
    }
}
