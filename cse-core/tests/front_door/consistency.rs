//! What readers see while the tree changes, and what is left when a change fails half-way.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use cse_core::cse::Cse;
use cse_core::id::{CseIdentity, CseType};
use cse_core::ports::Dispatch;
use cse_core::primitive::{Redelivery, Request, Response};
use cse_core::settings::Settings;
use cse_core::value::Map;
use futures_util::FutureExt;
use tokio::task::JoinHandle;

use crate::faulty::FaultyStore;
use crate::harness::{SharedClock, SharedNetwork, TestClock, TestNetwork, inner, json};

struct Subject {
    cse: Cse<FaultyStore>,
    store: FaultyStore,
    clock: Arc<TestClock>,
    background: JoinHandle<()>,
    requests: AtomicU64,
}

type Answering<'a> = Pin<Box<dyn Future<Output = Response> + Send + 'a>>;

impl Subject {
    async fn new() -> Self {
        Self::on(FaultyStore::new(), TestClock::new(), |_| {}).await
    }

    async fn on(store: FaultyStore, clock: Arc<TestClock>, change: impl FnOnce(&mut Settings)) -> Self {
        let identity = CseIdentity::new("//cse.example", "/id-in", "cse-in", CseType::In).expect("valid");
        let mut settings = Settings::new(identity, "CAdmin");
        change(&mut settings);
        let (cse, background) = Cse::start(
            settings,
            store.clone(),
            Arc::new(SharedClock(Arc::clone(&clock))),
            Arc::new(SharedNetwork(Arc::new(TestNetwork::default()))),
        )
        .await
        .expect("starts");
        Self { cse, store, clock, background: tokio::spawn(background), requests: AtomicU64::new(0) }
    }

    /// Another one on the same store, with nothing in its memory.
    async fn restarted(self) -> Self {
        self.cse.stop();
        self.background.await.expect("ends well");
        Self::on(self.store, self.clock, |_| {}).await
    }

    fn request(&self, members: &str) -> Request {
        let mut map = json(members);
        map.insert("rqi", self.requests.fetch_add(1, Ordering::Relaxed).to_string());
        map.insert("fr", "CAdmin");
        map.insert("rvi", "3");
        Request::from_map(map).expect("valid")
    }

    async fn send(&self, members: &str) -> Response {
        self.finish(self.cse.dispatch(self.request(members))).await
    }

    async fn finish(&self, answer: impl Future<Output = Response>) -> Response {
        tokio::time::timeout(Duration::from_secs(30), answer).await.expect("an answer within the time of the test")
    }

    /// Sends a request, and returns when it waits for the writer or the store.
    fn begin<'a>(&'a self, members: &str) -> Answering<'a> {
        self.begin_request(self.request(members))
    }

    fn begin_request(&self, request: Request) -> Answering<'_> {
        let mut answer: Answering<'_> = Box::pin(self.cse.dispatch(request));
        assert!((&mut answer).now_or_never().is_none(), "the answer came at once");
        answer
    }

    /// Has the writer wait in a commit, so that what is sent now comes into one group afterwards.
    async fn busy(&self) -> Answering<'_> {
        self.store.faults.commits.shut();
        let number = self.requests.load(Ordering::Relaxed);
        let busy = self.begin(&create("cse-in", 3, &format!(r#"{{"m2m:cnt":{{"rn":"busy{number}"}}}}"#)));
        self.store.faults.commits.reached().await;
        busy
    }

    async fn status(&self, members: &str) -> u16 {
        self.send(members).await.status.code()
    }

    async fn resource(&self, to: &str) -> Map {
        let response = self.send(&retrieve(to)).await;
        assert_eq!(response.status.code(), 2000, "{to}: {:?}", response.content);
        inner(response.content.expect("a resource"))
    }

    async fn created(&self, members: &str) {
        let response = self.send(members).await;
        assert_eq!(response.status.code(), 2001, "{:?}", response.content);
    }
}

fn create(to: &str, ty: u16, content: &str) -> String {
    format!(r#"{{"op":1,"to":"{to}","ty":{ty},"pc":{content}}}"#)
}

fn container(to: &str, name: &str) -> String {
    create(to, 3, &format!(r#"{{"m2m:cnt":{{"rn":"{name}"}}}}"#))
}

fn instance(to: &str, content: &str) -> String {
    create(to, 4, &format!(r#"{{"m2m:cin":{{"con":"{content}"}}}}"#))
}

fn retrieve(to: &str) -> String {
    format!(r#"{{"op":2,"to":"{to}"}}"#)
}

fn delete(to: &str) -> String {
    format!(r#"{{"op":4,"to":"{to}"}}"#)
}

/// A change that is refused after it has looked at the children in the database, with all that the group did before.
fn look_at_children(to: &str) -> String {
    format!(r#"{{"op":4,"to":"{to}","fc":{{"chty":[99]}}}}"#)
}

fn fail_once(counter: &std::sync::atomic::AtomicUsize) {
    counter.store(1, Ordering::Relaxed);
}

#[tokio::test]
async fn a_failed_commit_leaves_nothing_behind() {
    let subject = Subject::new().await;
    subject.created(&container("cse-in", "a")).await;
    let busy = subject.busy().await;
    let inside = subject.begin(&container("cse-in/a", "b"));
    let looking = subject.begin(&look_at_children("cse-in/a"));
    subject.store.faults.commits.open();
    subject.finish(busy).await;
    fail_once(&subject.store.faults.failing_commits);
    assert_eq!(subject.finish(inside).await.status.code(), 5000);
    assert_eq!(subject.finish(looking).await.status.code(), 5000);
    assert_eq!(subject.status(&retrieve("cse-in/a/b")).await, 4004);
    subject.created(&container("cse-in/a", "b")).await;
}

#[tokio::test]
async fn nobody_sees_what_is_not_committed() {
    let subject = Subject::new().await;
    subject.created(&container("cse-in", "a")).await;
    let busy = subject.busy().await;
    let inside = subject.begin(&container("cse-in/a", "b"));
    let looking = subject.begin(&look_at_children("cse-in/a"));
    subject.store.faults.commits.open();
    subject.finish(busy).await;
    subject.store.faults.commits.shut();
    subject.store.faults.commits.reached().await;
    assert_eq!(subject.status(&retrieve("cse-in/a/b")).await, 4004);
    subject.store.faults.commits.open();
    assert_eq!(subject.finish(inside).await.status.code(), 2001);
    assert_eq!(subject.finish(looking).await.status.code(), 4004);
    assert_eq!(subject.status(&retrieve("cse-in/a/b")).await, 2000);
}

#[tokio::test]
async fn instances_are_counted_right_after_failures() {
    let subject = Subject::new().await;
    subject.created(&create("cse-in", 3, r#"{"m2m:cnt":{"rn":"log","mni":3}}"#)).await;
    for round in 0..6_usize {
        let faults = &subject.store.faults;
        for value in 0..5 {
            subject.created(&instance("cse-in/log", &format!("{round}.{value}"))).await;
        }
        fail_once([&faults.failing_begins, &faults.failing_writes, &faults.failing_commits][round % 3]);
        assert_eq!(subject.status(&instance("cse-in/log", "lost")).await, 5000);
        let log = subject.resource("cse-in/log").await;
        assert_eq!((log.int("cni"), log.int("cbs")), (Some(3), Some(9)));
        assert_eq!(subject.resource("cse-in/log/la").await.text("con"), Some(&*format!("{round}.4")));
        assert_eq!(subject.resource("cse-in/log/ol").await.text("con"), Some(&*format!("{round}.2")));
    }
    let found = subject.send(r#"{"op":2,"to":"cse-in/log","fc":{"fu":1,"ty":[4]}}"#).await;
    assert_eq!(found.content.expect("a list").texts("m2m:uril").count(), 3);
}

#[tokio::test]
async fn a_panic_while_writing_loses_no_half_of_a_group() {
    let subject = Subject::new().await;
    subject.created(&container("cse-in", "a")).await;
    let busy = subject.busy().await;
    let inside = subject.begin(&container("cse-in/a", "b"));
    let looking = subject.begin(&look_at_children("cse-in/a"));
    let after = subject.begin(&container("cse-in", "c"));
    subject.store.faults.commits.open();
    subject.finish(busy).await;
    fail_once(&subject.store.faults.panicking_writes);
    for answer in [inside, looking, after] {
        assert_eq!(subject.finish(answer).await.status.code(), 5000);
    }
    for name in ["cse-in/a/b", "cse-in/c"] {
        assert_eq!(subject.status(&retrieve(name)).await, 4004);
    }
    let subject = subject.restarted().await;
    subject.created(&container("cse-in/a", "b")).await;
}

#[tokio::test]
async fn an_answer_is_remembered_though_nothing_else_changed() {
    let subject = Subject::new().await;
    subject.created(&container("cse-in", "a")).await;
    let mut request = subject.request(&container("cse-in/later", "b"));
    request.context.redelivery = Redelivery::New;
    let busy = subject.busy().await;
    let refused = subject.begin_request(request.clone());
    let looking = subject.begin(&look_at_children("cse-in/a"));
    subject.store.faults.commits.open();
    subject.finish(busy).await;
    assert_eq!(subject.finish(refused).await.status.code(), 4004);
    subject.finish(looking).await;
    let subject = subject.restarted().await;
    subject.created(&container("cse-in", "later")).await;
    request.context.redelivery = Redelivery::Possible;
    let again = subject.finish(subject.cse.dispatch(request)).await;
    assert_eq!(again.status.code(), 4004);
}

#[tokio::test]
async fn a_failure_is_not_remembered() {
    let subject = Subject::new().await;
    let mut request = subject.request(&container("cse-in", "a"));
    request.context.redelivery = Redelivery::Possible;
    fail_once(&subject.store.faults.failing_begins);
    let first = subject.finish(subject.cse.dispatch(request.clone())).await;
    assert_eq!(first.status.code(), 5000);
    let second = subject.finish(subject.cse.dispatch(request.clone())).await;
    assert_eq!(second.status.code(), 2001);
    let third = subject.finish(subject.cse.dispatch(request)).await;
    assert_eq!((third.status.code(), third.content), (2001, second.content));
}

#[tokio::test]
async fn a_redelivery_in_the_same_group_has_no_second_effect() {
    let subject = Subject::new().await;
    subject.created(&container("cse-in", "a")).await;
    let mut request = subject.request(&instance("cse-in/a", "1"));
    request.context.redelivery = Redelivery::Possible;
    let busy = subject.busy().await;
    let answers = [subject.begin_request(request.clone()), subject.begin_request(request)];
    subject.store.faults.commits.open();
    subject.finish(busy).await;
    let [first, second] = answers;
    let (first, second) = (subject.finish(first).await, subject.finish(second).await);
    assert_eq!((first.status.code(), second.status.code()), (2001, 2001));
    assert_eq!(first.content, second.content);
    assert_eq!(subject.resource("cse-in/a").await.int("cni"), Some(1));
}

#[tokio::test]
async fn a_late_reader_brings_nothing_back() {
    let subject = Subject::new().await;
    for name in ["gone", "changed", "log"] {
        subject.created(&container("cse-in", name)).await;
    }
    subject.created(&instance("cse-in/log", "old")).await;
    // So that nothing is in memory.
    let subject = subject.restarted().await;
    subject.store.faults.reads.shut();
    let mut late: Vec<Answering<'_>> = Vec::new();
    for to in ["cse-in/gone", "cse-in/changed", "cse-in/log/la"] {
        late.push(subject.begin(&retrieve(to)));
    }
    let update = r#"{"op":3,"to":"cse-in/changed","pc":{"m2m:cnt":{"lbl":["new"]}}}"#;
    for (change, status) in [(&*delete("cse-in/gone"), 2002), (update, 2004), (&*instance("cse-in/log", "new"), 2001)] {
        assert_eq!(subject.status(change).await, status);
    }
    // So that the cache has to ask for them again.
    let restarted = {
        subject.store.faults.reads.open();
        for answer in late {
            // It began before the change, so it may see what was.
            assert!([2000, 4004].contains(&subject.finish(answer).await.status.code()));
        }
        subject
    };
    assert_eq!(restarted.status(&retrieve("cse-in/gone")).await, 4004);
    let changed = restarted.resource("cse-in/changed").await;
    assert_eq!(changed.texts("lbl").collect::<Vec<_>>(), ["new"]);
    assert_eq!(restarted.resource("cse-in/log/la").await.text("con"), Some("new"));
}

#[tokio::test]
async fn what_has_expired_makes_room_at_once() {
    let subject = Subject::new().await;
    let ae =
        |rn: &str| format!(r#"{{"m2m:ae":{{"rn":"{rn}","api":"Nx","rr":true,"srv":["3"],"et":"20260101T120005"}}}}"#);
    let register = |rn: &str| {
        let mut request = subject.request(&create("cse-in", 2, &ae(rn)));
        request.from = Some("Cdevice".into());
        request
    };
    let first = subject.finish(subject.cse.dispatch(register("device"))).await;
    assert_eq!(first.status.code(), 2001);
    subject.created(&create("cse-in", 3, r#"{"m2m:cnt":{"rn":"a","et":"20260101T120005"}}"#)).await;
    subject.created(&container("cse-in/a", "below")).await;
    subject.created(&container("cse-in", "log")).await;
    subject.created(&create("cse-in/log", 4, r#"{"m2m:cin":{"rn":"x","con":"1","et":"20260101T120005"}}"#)).await;
    let busy = subject.busy().await;
    let (again, mut request) = (subject.begin(&container("cse-in", "a")), register("device"));
    request.content = Some(json(r#"{"m2m:ae":{"rn":"device","api":"Nx","rr":true,"srv":["3"]}}"#));
    let registered = subject.begin_request(request);
    let instance = subject.begin(&create("cse-in/log", 4, r#"{"m2m:cin":{"rn":"x","con":"23"}}"#));
    subject.clock.turn(Duration::from_secs(6));
    subject.store.faults.commits.open();
    for answer in [busy, again, registered, instance] {
        assert_eq!(subject.finish(answer).await.status.code(), 2001);
    }
    assert_eq!(subject.status(&retrieve("cse-in/a/below")).await, 4004);
    assert_eq!(subject.resource("cse-in/a").await.int("cni"), Some(0));
    assert_eq!(subject.resource("cse-in/log/x").await.text("con"), Some("23"));
    let log = subject.resource("cse-in/log").await;
    assert_eq!((log.int("cni"), log.int("cbs")), (Some(1), Some(2)));
    assert_eq!(subject.resource("Cdevice").await.text("rn"), Some("device"));
}

/// Each worker has names of its own and must see its own changes; everybody reads everything, so that the cache is
/// filled from all snapshots there are, and is small, so that it forgets all the time.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn everybody_reads_their_own_writes() {
    const WORKERS: usize = 6;
    const ROUNDS: usize = 60;
    let subject = Subject::on(FaultyStore::new(), TestClock::new(), |settings| settings.cache_bytes_max = 6_000).await;
    let subject = Arc::new(subject);
    let mut workers = tokio::task::JoinSet::new();
    for worker in 0..WORKERS {
        let subject = Arc::clone(&subject);
        workers.spawn(async move {
            let name = format!("w{worker}");
            let path = format!("cse-in/{name}");
            for round in 0..ROUNDS {
                let content = format!(r#"{{"m2m:cnt":{{"rn":"{name}","lbl":["{round}"],"mni":2}}}}"#);
                subject.created(&create("cse-in", 3, &content)).await;
                let own = subject.resource(&path).await;
                assert_eq!(own.texts("lbl").collect::<Vec<_>>(), [round.to_string()]);
                for value in 0..4 {
                    subject.created(&instance(&path, &format!("{round}.{value}"))).await;
                    let latest = subject.resource(&format!("{path}/la")).await;
                    assert_eq!(latest.text("con"), Some(&*format!("{round}.{value}")));
                }
                assert_eq!(subject.resource(&path).await.int("cni"), Some(2));
                let update = format!(r#"{{"op":3,"to":"{path}","pc":{{"m2m:cnt":{{"lbl":["u{round}"]}}}}}}"#);
                assert_eq!(subject.status(&update).await, 2004);
                let own = subject.resource(&path).await;
                assert_eq!(own.texts("lbl").collect::<Vec<_>>(), [format!("u{round}")]);
                let found =
                    subject.send(&format!(r#"{{"op":2,"to":"cse-in","fc":{{"fu":1,"lbl":["u{round}"]}}}}"#)).await;
                assert!(found.content.expect("a list").texts("m2m:uril").any(|address| address == path));
                for other in 0..WORKERS {
                    subject.send(&retrieve(&format!("cse-in/w{other}"))).await;
                    subject.send(&retrieve(&format!("cse-in/w{other}/la"))).await;
                }
                assert_eq!(subject.status(&delete(&path)).await, 2002);
                assert_eq!(subject.status(&retrieve(&path)).await, 4004);
                assert_eq!(subject.status(&retrieve(&format!("{path}/la"))).await, 4004);
            }
        });
    }
    while let Some(ended) = workers.join_next().await {
        ended.expect("a worker that saw what it should");
    }
}
