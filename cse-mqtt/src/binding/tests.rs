//! The receiving side over a link that writes down what happens.

#![expect(clippy::unwrap_used, reason = "tests")]

use std::sync::atomic::{AtomicUsize, Ordering};

use bytes::Bytes;
use cse_core::codec::Serialization;
use cse_core::error::Rsc;
use cse_core::id::{CseType, Peer};
use cse_core::value::{Map, Value};
use parking_lot::Mutex;
use tokio::sync::{Semaphore, mpsc, oneshot};
use tokio::task::JoinHandle;

use super::*;
use crate::form::appearance;
use crate::link::AnswerTaker;
use crate::redelivery::FollowedAnswers;

/// What the link saw: `answer <topic> <rsc> <rqi>`, with `wrapped` if there is a root name around it, or `ack <number>`.
type Log = Arc<Mutex<Vec<String>>>;

#[derive(Clone, Default)]
struct FakePublisher {
    log: Log,
    bytes_max: Option<usize>,
    closed: bool,
}

impl Publisher for FakePublisher {
    fn publish_answer(
        &self,
        topic: String,
        payload: Bytes,
        _expiry: Option<Duration>,
    ) -> Result<Option<Box<dyn Receipt>>, Refused> {
        if self.closed {
            return Err(Refused::Closed);
        }
        if self.bytes_max.is_some_and(|max| payload.len() > max) {
            return Err(Refused::TooLarge(payload.len()));
        }
        let suffix = topic.rsplit('/').next().and_then(Serialization::parse);
        let answer = suffix.unwrap_or_else(|| appearance(&payload)).decode_primitive(&payload).unwrap();
        let parameters = &answer.parameters;
        let (rsc, rqi) = match parameters.text("ri") {
            Some(request_identifier) => (parameters.int("rs").unwrap(), request_identifier),
            None => (parameters.int("rsc").unwrap(), parameters.text("rqi").unwrap()),
        };
        let wrapped = if answer.wrapped { " wrapped" } else { "" };
        self.log.lock().push(format!("answer {topic} {rsc} {rqi}{wrapped}"));
        Ok(None)
    }

    fn listen(&self, _filters: &[String]) -> Result<(), Refused> {
        Ok(())
    }

    fn publish_request(
        &self,
        _topic: String,
        _payload: Bytes,
        _expiry: Option<Duration>,
    ) -> Result<Box<dyn Receipt>, Refused> {
        Err(Refused::Closed)
    }
}

struct FakeAcknowledgement(usize, Log);

impl Acknowledgement for FakeAcknowledgement {
    fn acknowledge(self: Box<Self>) {
        self.1.lock().push(format!("ack {}", self.0));
    }
}

struct FakeLink(mpsc::Receiver<Inbound>);

impl Link for FakeLink {
    async fn receive(&mut self) -> Option<Inbound> {
        self.0.recv().await
    }

    async fn close(self) {}
}

/// Carries out by the resource name in `to`: `wait` needs a permit, `panic` panics, `large` has a large result, the
/// rest is done at once.
#[derive(Clone)]
struct Stub {
    requests: Arc<Mutex<Vec<Request>>>,
    gate: Arc<Semaphore>,
    concurrent: Arc<(AtomicUsize, AtomicUsize)>,
}

impl Dispatch for Stub {
    async fn dispatch(&self, request: Request) -> Response {
        self.requests.lock().push(request.clone());
        let (now, most) = &*self.concurrent;
        most.fetch_max(now.fetch_add(1, Ordering::SeqCst) + 1, Ordering::SeqCst);
        let mut response = Response::new(Rsc::Ok, request.request_identifier.clone());
        response.release_version = request.release_version;
        match request.to.as_str() {
            "wait" | "pch/pcu" => self.gate.acquire().await.unwrap().forget(),
            "panic" => panic!("on purpose"),
            "large" => response.content = Some(Map::single("m2m:cin", Value::from("x".repeat(10_000)))),
            _ => {}
        }
        now.fetch_sub(1, Ordering::SeqCst);
        response
    }
}

struct Bench {
    log: Log,
    stub: Stub,
    stats: Arc<MqttStats>,
    take_answer: AnswerTaker,
    sender: Option<mpsc::Sender<Inbound>>,
    task: JoinHandle<()>,
    stop: Option<oneshot::Sender<()>>,
    sent: usize,
}

impl Bench {
    fn new() -> Self {
        Self::with(BindingOptions::default(), FakePublisher::default(), None)
    }

    fn with(options: BindingOptions, publisher: FakePublisher, recall: Option<Recall>) -> Self {
        let identity = CseIdentity::new("//cse.example", "/id-in", "cse-in", CseType::In).unwrap();
        let recall = recall.unwrap_or(Recall::Window(options.redelivery_window));
        let common = Common::new(&identity, options);
        let (stats, take_answer) = (Arc::clone(&common.stats), common.answer_taker());
        let stub = Stub { requests: Arc::default(), gate: Arc::new(Semaphore::new(0)), concurrent: Arc::default() };
        let (sender, inbound) = mpsc::channel(10_000);
        let (stop, stopped) = oneshot::channel::<()>();
        let log = Arc::clone(&publisher.log);
        let receiver = Receiver::new(common, stub.clone(), Arc::new(publisher), recall);
        let stopped = async move {
            if stopped.await.is_err() {
                std::future::pending::<()>().await;
            }
        };
        let task = tokio::spawn(receiver.serve(FakeLink(inbound), stopped));
        Self { log, stub, stats, take_answer, sender: Some(sender), task, stop: Some(stop), sent: 0 }
    }

    async fn send_with(&mut self, topic: &str, payload: &[u8], duplicate: bool) {
        self.sent += 1;
        let acknowledgement = Box::new(FakeAcknowledgement(self.sent, Arc::clone(&self.log)));
        // As links do.
        if (self.take_answer)(topic, payload) {
            return acknowledgement.acknowledge();
        }
        let inbound = Inbound {
            topic: topic.into(),
            payload: Bytes::copy_from_slice(payload),
            duplicate,
            peer: Peer::default(),
            vouched: None,
            acknowledgement: Some(acknowledgement),
        };
        self.sender.as_ref().unwrap().send(inbound).await.unwrap();
    }

    async fn send(&mut self, topic: &str, payload: impl AsRef<[u8]>) {
        self.send_with(topic, payload.as_ref(), false).await;
    }

    async fn request(&mut self, to: &str, rqi: &str) {
        self.request_of("Cx", to, rqi).await;
    }

    async fn request_of(&mut self, from: &str, to: &str, rqi: &str) {
        self.send(&format!("/oneM2M/req/{from}/id-in/json"), retrieve(from, to, rqi)).await;
    }

    /// Identifiers of the requests that the CSE was given, in order.
    fn begun(&self) -> Vec<String> {
        self.stub.requests.lock().iter().map(|request| request.request_identifier.to_string()).collect()
    }

    /// Waits until something holds; time is virtual.
    async fn until(&self, what: &str, mut holds: impl FnMut(&Self) -> bool) {
        for _ in 0..10_000 {
            if holds(self) {
                return;
            }
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
        panic!("did not happen: {what}; log: {:?}", self.log.lock());
    }

    /// Ends the link, and gives what it saw.
    async fn end(mut self) -> Vec<String> {
        self.sender = None;
        self.task.await.unwrap();
        let log = self.log.lock();
        log.clone()
    }
}

fn retrieve(from: &str, to: &str, rqi: &str) -> String {
    format!(r#"{{"op":2,"to":"{to}","fr":"{from}","rqi":"{rqi}","rvi":"3"}}"#)
}

fn register(from: &str) -> String {
    format!(r#"{{"op":1,"to":"cse-in","fr":"{from}","rqi":"1","rvi":"3","ty":2,"pc":{{"m2m:ae":{{}}}}}}"#)
}

#[tokio::test(start_paused = true)]
async fn every_message_gets_the_right_answer_on_the_right_topic() {
    for (topic, payload, expected) in [
        ("/oneM2M/req/Cx/id-in/json", retrieve("Cx", "a", "1").into(), Some("/oneM2M/resp/Cx/id-in/json 2000 1")),
        ("/oneM2M/req/Cx/id-in", retrieve("Cx", "a", "1").into(), Some("/oneM2M/resp/Cx/id-in 2000 1")),
        (
            "/oneM2M/req/id-in:Cx/id-in/json",
            retrieve("Cx", "a", "1").into(),
            Some("/oneM2M/resp/id-in:Cx/id-in/json 2000 1"),
        ),
        ("/oneM2M/req/Sx/id-in/json", retrieve("/Sx", "a", "1").into(), Some("/oneM2M/resp/Sx/id-in/json 2000 1")),
        (
            "/oneM2M/req/id-mn/id-in/json",
            retrieve("/id-mn/Cx", "a", "1").into(),
            Some("/oneM2M/resp/id-mn/id-in/json 2000 1"),
        ),
        (
            "/oneM2M/req/:other.example:id-in/:cse.example:id-in/json",
            retrieve("//other.example/id-in/Cx", "a", "1").into(),
            Some("/oneM2M/resp/:other.example:id-in/:cse.example:id-in/json 2000 1"),
        ),
        (
            "/oneM2M/req/:other.example:id-in/id-in",
            retrieve("//other.example/id-in", "a", "1").into(),
            Some("/oneM2M/resp/:other.example:id-in/id-in 2000 1"),
        ),
        (
            "/oneM2M/req/:other.example:id-in/:cse.example:id-in/json",
            retrieve("/id-in/Cx", "a", "1").into(),
            Some("/oneM2M/resp/:other.example:id-in/:cse.example:id-in/json 4103 1"),
        ),
        (
            "/oneM2M/req/:cse.example:id-in/:cse.example:id-in/json",
            retrieve("/id-in", "a", "1").into(),
            Some("/oneM2M/resp/:cse.example:id-in/:cse.example:id-in/json 4103 1"),
        ),
        (
            "/oneM2M/req/:cse.example:id-mn/id-in/json",
            retrieve("/id-mn", "a", "1").into(),
            Some("/oneM2M/resp/:cse.example:id-mn/id-in/json 2000 1"),
        ),
        ("/oneM2M/req/C/id-in/json", register("C").into(), Some("/oneM2M/resp/C/id-in/json 2000 1")),
        ("/oneM2M/req/any/id-in/json", register("").into(), Some("/oneM2M/resp/any/id-in/json 2000 1")),
        ("/oneM2M/reg_req/1-abc/id-in/json", register("S").into(), Some("/oneM2M/reg_resp/1-abc/id-in/json 2000 1")),
        (
            "/oneM2M/reg_req/1-abc/id-in/json",
            retrieve("Cx", "a", "1").into(),
            Some("/oneM2M/reg_resp/1-abc/id-in/json 4103 1"),
        ),
        ("/oneM2M/req/Cy/id-in/json", retrieve("Cx", "a", "1").into(), Some("/oneM2M/resp/Cy/id-in/json 4103 1")),
        ("/oneM2M/req/id-mn/id-in/json", retrieve("Cx", "a", "1").into(), Some("/oneM2M/resp/id-mn/id-in/json 4103 1")),
        ("/oneM2M/req/Cx/id-in/json", br#"{"op":9,"rqi":"1"}"#.to_vec(), Some("/oneM2M/resp/Cx/id-in/json 4000 1")),
        ("/oneM2M/req/Cx/id-in/json", br#"{"op":2,"rqi":"1","to"#.to_vec(), Some("/oneM2M/resp/Cx/id-in/json 4000 1")),
        ("/oneM2M/req/Cx/id-in/json", retrieve("Cx", "panic", "1").into(), Some("/oneM2M/resp/Cx/id-in/json 5000 1")),
        ("/oneM2M/req/Cx/id-in/json", b"nonsense".to_vec(), None),
        ("/oneM2M/req/Cx/id-in/json", Vec::new(), None),
        ("/oneM2M/req/Cx/id-in/json", br#"{"op":2}"#.to_vec(), None),
        ("/oneM2M/resp/id-in/Cx/json", br#"{"rsc":2000,"rqi":"1"}"#.to_vec(), None),
        ("/oneM2M/req/Cx/id-other/json", retrieve("Cx", "a", "1").into(), None),
        ("/some/other/topic", retrieve("Cx", "a", "1").into(), None),
    ] {
        let mut bench = Bench::new();
        bench.send(topic, &payload).await;
        let log = bench.end().await;
        // The answer first, then the acknowledgement; and an acknowledgement in any case.
        let expected: Vec<String> =
            expected.map(|answer| format!("answer {answer}")).into_iter().chain(["ack 1".to_owned()]).collect();
        assert_eq!(log, expected, "{topic} {:?}", String::from_utf8_lossy(&payload));
    }
}

#[tokio::test(start_paused = true)]
async fn what_is_not_answered_is_counted() {
    let mut bench = Bench::new();
    bench.send("/oneM2M/req/Cx/id-in/json", "nonsense").await;
    bench.send("/oneM2M/req/Cx/id-in/json", r#"{"op":2,"rqi":"1"}"#).await;
    bench.send("/oneM2M/req/Cx/id-in/yaml", "<rqi>1</rqi>").await;
    bench.send("/oneM2M/req/Cy/id-in/json", retrieve("Cx", "a", "1")).await;
    bench.send("/oneM2M/resp/id-in/Cx/json", r#"{"rsc":2000,"rqi":"1"}"#).await;
    bench.send("/elsewhere", "").await;
    let stats = Arc::clone(&bench.stats);
    bench.end().await;
    assert_eq!((stats.received.get(), stats.dispatched.get(), stats.answered.get()), (6, 0, 3));
    assert_eq!((stats.undecodable.get(), stats.undecodable_unanswered.get()), (3, 1));
    assert_eq!((stats.unsupported_serializations.get(), stats.originator_mismatches.get()), (1, 1));
    assert_eq!((stats.responses_unmatched.get(), stats.unknown_topics.get()), (1, 1));
}

#[tokio::test(start_paused = true)]
async fn no_response_means_no_response() {
    let mut bench = Bench::new();
    bench.send("/oneM2M/req/Cx/id-in/json", r#"{"op":2,"to":"a","fr":"Cx","rqi":"1","rt":{"rtv":5}}"#).await;
    let requests = Arc::clone(&bench.stub.requests);
    assert_eq!(bench.end().await, ["ack 1"]);
    assert_eq!(requests.lock().len(), 1);
}

#[tokio::test(start_paused = true)]
async fn requests_begin_in_the_order_of_arrival_and_end_in_any() {
    let mut bench = Bench::new();
    for number in 1..=200 {
        let to = if number % 3 == 0 { "wait" } else { "a" };
        bench.request(to, &number.to_string()).await;
    }
    bench.until("all but the waiting are answered", |bench| bench.stats.answered.get() == 134).await;
    assert_eq!(bench.begun(), (1..=200).map(|number| number.to_string()).collect::<Vec<_>>());
    assert_eq!(bench.stats.acknowledged_early.get(), 0);
    bench.stub.gate.add_permits(66);
    bench.until("all are answered", |bench| bench.stats.answered.get() == 200).await;
    let log = bench.end().await;
    for number in 1..=200 {
        let answer = format!("answer /oneM2M/resp/Cx/id-in/json 2000 {number}");
        let answered = log.iter().position(|entry| *entry == answer).unwrap();
        assert_eq!(log[answered + 1], format!("ack {number}"));
    }
}

#[tokio::test(start_paused = true)]
async fn a_slow_request_is_acknowledged_early_and_answered_later() {
    let options = BindingOptions { acknowledge_after: Some(Duration::from_secs(5)), ..BindingOptions::default() };
    let mut bench = Bench::with(options, FakePublisher::default(), None);
    bench.request("wait", "1").await;
    bench.until("taken", |bench| bench.stats.dispatched.get() == 1).await;
    tokio::time::sleep(Duration::from_millis(4900)).await;
    assert!(bench.log.lock().is_empty());
    tokio::time::sleep(Duration::from_millis(700)).await;
    assert_eq!(*bench.log.lock(), ["ack 1"]);
    bench.stub.gate.add_permits(1);
    bench.until("answered", |bench| bench.stats.answered.get() == 1).await;
    assert_eq!(bench.stats.acknowledged_early.get(), 1);
    assert_eq!(bench.end().await, ["ack 1", "answer /oneM2M/resp/Cx/id-in/json 2000 1"]);
}

#[tokio::test(start_paused = true)]
async fn stopping_ends_what_runs_and_leaves_the_rest_unacknowledged() {
    let options = BindingOptions { concurrent_requests_max: 2, ..BindingOptions::default() };
    let mut bench = Bench::with(options, FakePublisher::default(), None);
    for (from, rqi) in [("Cx", "1"), ("Cy", "2"), ("Cx", "3"), ("Cy", "4")] {
        bench.request_of(from, "wait", rqi).await;
    }
    bench.until("all taken", |bench| bench.stats.received.get() == 4).await;
    bench.stop.take().unwrap().send(()).unwrap();
    tokio::task::yield_now().await;
    bench.stub.gate.add_permits(4);
    let log = bench.end().await;
    assert_eq!(
        log,
        ["answer /oneM2M/resp/Cx/id-in/json 2000 1", "ack 1", "answer /oneM2M/resp/Cy/id-in/json 2000 2", "ack 2"]
    );
}

#[tokio::test(start_paused = true)]
async fn stopping_does_not_wait_for_ever() {
    let mut bench = Bench::new();
    bench.request("wait", "1").await;
    bench.until("taken", |bench| bench.stats.received.get() == 1).await;
    bench.stop.take().unwrap().send(()).unwrap();
    let began = Instant::now();
    assert_eq!(bench.end().await, Vec::<String>::new());
    assert!(began.elapsed() < Duration::from_secs(11));
}

#[tokio::test(start_paused = true)]
async fn a_result_too_large_for_the_broker_is_an_error() {
    let publisher = FakePublisher { bytes_max: Some(1000), ..FakePublisher::default() };
    let mut bench = Bench::with(BindingOptions::default(), publisher, None);
    bench.request("large", "1").await;
    let code = Error::TooLarge(String::new()).rsc().code();
    assert_eq!(bench.end().await, [format!("answer /oneM2M/resp/Cx/id-in/json {code} 1"), "ack 1".to_owned()]);
}

#[tokio::test(start_paused = true)]
async fn an_answer_that_cannot_be_published_leaves_the_request_unacknowledged() {
    let publisher = FakePublisher { closed: true, ..FakePublisher::default() };
    let mut bench = Bench::with(BindingOptions::default(), publisher, None);
    bench.request("a", "1").await;
    bench.until("refused", |bench| bench.stats.answers_refused.get() == 1).await;
    assert_eq!(bench.end().await, Vec::<String>::new());
}

#[tokio::test(start_paused = true)]
async fn redeliveries_are_told_to_the_cse() {
    let window = Duration::from_secs(10);
    let followed = || Recall::Followed(FollowedAnswers::new(10));
    for (recall, duplicate, expected) in [
        (None, false, Redelivery::PossibleWithin(window)),
        (None, true, Redelivery::Possible),
        (Some(followed()), false, Redelivery::New),
        (Some(followed()), true, Redelivery::Possible),
    ] {
        let mut bench = Bench::with(BindingOptions::default(), FakePublisher::default(), recall);
        bench.send_with("/oneM2M/req/Cx/id-in/json", retrieve("Cx", "a", "1").as_bytes(), duplicate).await;
        bench.until("dispatched", |bench| bench.stats.dispatched.get() == 1).await;
        let context = bench.stub.requests.lock()[0].context.clone();
        assert_eq!((context.redelivery, context.binding), (expected, Binding::Mqtt));
    }
}

mod drafts;
mod floods;
mod forms;

#[tokio::test(start_paused = true)]
async fn polls_leave_places_for_others() {
    let options = BindingOptions { concurrent_requests_max: 8, ..BindingOptions::default() };
    let mut bench = Bench::with(options, FakePublisher::default(), None);
    for number in 1..=3 {
        bench.request_of(&format!("C{number}"), "pch/pcu", &number.to_string()).await;
    }
    bench.until("one is refused", |bench| bench.stats.polls_refused.get() == 1).await;
    bench.request("a", "4").await;
    bench.until("the other request is answered", |bench| bench.stats.answered.get() == 2).await;
    bench.stub.gate.add_permits(3);
    bench.until("the polls are answered", |bench| bench.stats.answered.get() == 4).await;
    bench.request_of("C3", "pch/pcu", "5").await;
    bench.until("there is room again", |bench| bench.stats.answered.get() == 5).await;
    let log = bench.end().await;
    assert!(log.contains(&"answer /oneM2M/resp/C3/id-in/json 5000 3".to_owned()), "{log:?}");
    assert!(log.contains(&"answer /oneM2M/resp/C3/id-in/json 2000 5".to_owned()), "{log:?}");
}
