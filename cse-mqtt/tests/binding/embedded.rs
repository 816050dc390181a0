//! The binding with the embedded broker, and clients that come over TCP.

#![expect(clippy::unwrap_used, reason = "tests")]

use std::sync::Arc;
use std::time::Duration;

use bytes::BytesMut;
use cse_core::ports::{Destination, Outbound, OutgoingRequest, Patience, SendError, Sent};
use cse_core::primitive::{Binding, Redelivery};
use cse_mqtt::broker::{Broker, Limits, OpenPolicy};
use cse_mqtt::{BindingOptions, LinkStatus, MqttBinding};
use rumqttc::QoS;
use rumqttc::mqttbytes::v4::{Connect, Publish};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::task::JoinHandle;

use crate::support::{Client, DEADLINE, Running, answer, identity, notification, point_of_access, retrieve, until};

/// A broker, its port, and the binding in it.
pub(crate) struct Node {
    pub(crate) broker: Broker,
    pub(crate) port: u16,
    pub(crate) running: Running,
    stop: watch::Sender<bool>,
    task: JoinHandle<()>,
}

impl Node {
    async fn start() -> Self {
        Self::with(BindingOptions::default(), Limits::default()).await
    }

    pub(crate) async fn with(options: BindingOptions, limits: Limits) -> Self {
        let broker = Broker::new(limits, Arc::new(OpenPolicy));
        let binding = MqttBinding::embedded(&identity(), options, &broker).unwrap();
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let (stop, stopped) = watch::channel(false);
        let serving = broker.clone();
        let task = tokio::spawn(async move { serving.serve(listener, stopped, DEADLINE / 10).await });
        Self { broker, port, running: Running::start(binding), stop, task }
    }

    pub(crate) async fn stop(self) {
        self.running.stop().await;
        self.stop.send(true).unwrap();
        tokio::time::timeout(DEADLINE, self.task).await.unwrap().unwrap();
    }
}

const REQUEST: &str = "/oneM2M/req/Cx/id-in/json";
const RESPONSES: &str = "/oneM2M/resp/Cx/id-in/#";

#[tokio::test]
async fn requests_are_answered_in_every_spelling() {
    let node = Node::start().await;
    assert_eq!(*node.running.status.borrow(), LinkStatus::Up);
    let mut client =
        Client::connect(node.port, "A::Cx", &["/oneM2M/resp/+/id-in/#", "/oneM2M/reg_resp/+/id-in/#"]).await;
    for (topic, from, expected) in [
        (REQUEST, "Cx", ("/oneM2M/resp/Cx/id-in/json", 2000)),
        ("/oneM2M/req/Cx/id-in", "/id-in/Cx", ("/oneM2M/resp/Cx/id-in", 2000)),
        ("/oneM2M/req/id-in:Cx/id-in/json", "Cx", ("/oneM2M/resp/id-in:Cx/id-in/json", 2000)),
        ("/oneM2M/req/Cy/id-in/json", "Cx", ("/oneM2M/resp/Cy/id-in/json", 4103)),
        ("/oneM2M/reg_req/1-a/id-in/json", "Cx", ("/oneM2M/reg_resp/1-a/id-in/json", 4103)),
    ] {
        client.publish(topic, retrieve(from, "cse-in", "r")).await;
        let (topic, payload) = client.next().await;
        assert_eq!((topic.as_str(), answer(&payload)), (expected.0, (expected.1, "r".to_owned())));
    }
    let context = node.running.cse.requests.lock()[0].context.clone();
    assert_eq!(context.binding, Binding::Mqtt);
    assert!(context.peer.address.unwrap().is_loopback() && !context.peer.authenticated);
    node.stop().await;
}

#[tokio::test]
async fn the_order_of_effects_is_the_order_of_arrival() {
    let node = Node::start().await;
    let mut client = Client::connect(node.port, "A::Cx", &[RESPONSES]).await;
    for number in 0..2000 {
        client.publish(REQUEST, retrieve("Cx", "a", &number.to_string())).await;
    }
    for _ in 0..2000 {
        client.next().await;
    }
    assert_eq!(node.running.cse.identifiers(), (0..2000).map(|number| number.to_string()).collect::<Vec<_>>());
    node.stop().await;
}

#[tokio::test]
async fn a_request_is_acknowledged_after_it_is_complete() {
    let node = Node::start().await;
    let mut client = Client::connect(node.port, "A::Cx", &[RESPONSES]).await;
    let other = Client::connect(node.port, "A::Cy", &[]).await;
    client.publish(REQUEST, retrieve("Cx", "wait", "1")).await;
    until("it is carried out", || node.running.cse.identifiers().len() == 1).await;
    other.publish("/oneM2M/req/Cy/id-in/json", retrieve("Cy", "a", "2")).await;
    until("the other request is acknowledged", || other.acknowledged.lock().len() == 1).await;
    assert!(client.acknowledged.lock().is_empty());
    node.running.cse.gate.add_permits(1);
    assert_eq!(answer(&client.next().await.1), (2000, "1".to_owned()));
    until("it is acknowledged", || client.acknowledged.lock().len() == 1).await;
    node.stop().await;
}

#[tokio::test]
async fn a_poll_holds_up_nothing() {
    let node = Node::start().await;
    let mut client = Client::connect(node.port, "A::Cx", &[RESPONSES]).await;
    client.publish(REQUEST, retrieve("Cx", "cse-in/x/pch/pcu", "poll")).await;
    until("it is acknowledged before it is answered", || client.acknowledged.lock().len() == 1).await;
    for number in 1..=3 {
        let create = format!(
            r#"{{"op":1,"to":"cse-in/x","ty":3,"fr":"Cx","rqi":"{number}","rvi":"3","pc":{{"m2m:cnt":{{}}}}}}"#
        );
        client.publish(REQUEST, create).await;
        assert_eq!(answer(&client.next().await.1), (2000, number.to_string()));
    }
    node.running.cse.gate.add_permits(1);
    assert_eq!(answer(&client.next().await.1), (2000, "poll".to_owned()));
    node.stop().await;
}

#[tokio::test]
async fn a_repetition_is_a_redelivery_until_the_answer_has_arrived() {
    let node = Node::start().await;
    let mut client = Client::connect_silent(node.port, "A::Cx", &[RESPONSES]).await;
    let redelivery = |at: usize| node.running.cse.requests.lock()[at].context.redelivery;
    client.publish(REQUEST, retrieve("Cx", "a", "1")).await;
    client.next().await;
    client.publish(REQUEST, retrieve("Cx", "a", "1")).await;
    client.acknowledge().await;
    client.next().await;
    client.acknowledge().await;
    let all_arrived = || node.broker.sessions().iter().all(|session| session.queued_messages + session.in_flight == 0);
    until("the answers have arrived", all_arrived).await;
    client.publish(REQUEST, retrieve("Cx", "a", "1")).await;
    client.next().await;
    client.acknowledge().await;
    assert_eq!([redelivery(0), redelivery(1), redelivery(2)], [Redelivery::New, Redelivery::Possible, Redelivery::New]);
    node.stop().await;
}

#[tokio::test]
async fn who_does_not_listen_for_answers_repeats_nothing() {
    let node = Node::start().await;
    let client = Client::connect(node.port, "A::Cx", &[]).await;
    for count in 1..=3 {
        client.publish(REQUEST, retrieve("Cx", "a", "1")).await;
        until("it is answered", || node.running.stats.answers_unheard.get() == count).await;
    }
    let requests = node.running.cse.requests.lock().clone();
    assert!(requests.iter().all(|request| request.context.redelivery == Redelivery::New));
    assert_eq!(requests.len(), 3);
    node.stop().await;
}

#[tokio::test]
async fn what_the_client_marks_as_sent_again_may_be_a_redelivery() {
    let node = Node::start().await;
    let mut packets = BytesMut::new();
    Connect::new("A::Cx").write(&mut packets).unwrap();
    for (packet_id, dup) in [(1, false), (2, true)] {
        let mut publish = Publish::new(REQUEST, QoS::AtLeastOnce, retrieve("Cx", "a", &packet_id.to_string()));
        (publish.pkid, publish.dup) = (packet_id, dup);
        publish.write(&mut packets).unwrap();
    }
    let mut stream = TcpStream::connect(("127.0.0.1", node.port)).await.unwrap();
    stream.write_all(&packets).await.unwrap();
    // CONNACK and two PUBACKs.
    let mut answers = [0; 12];
    tokio::time::timeout(DEADLINE, stream.read_exact(&mut answers)).await.unwrap().unwrap();
    let requests = node.running.cse.requests.lock().clone();
    let redeliveries: Vec<_> = requests.iter().map(|request| request.context.redelivery).collect();
    assert_eq!(redeliveries, [Redelivery::New, Redelivery::Possible]);
    assert_eq!(node.running.stats.possible_redeliveries.get(), 1);
    node.stop().await;
}

#[tokio::test]
async fn the_receipt_of_a_notification_suffices_if_asked_for() {
    let node = Node::start().await;
    let mut client = Client::connect_silent(node.port, "A::Cx", &["/oneM2M/req/+/Cx/#"]).await;
    let hour = Duration::from_secs(3600);
    let entity = Destination::MqttEntity("Cx".into());
    let patient = OutgoingRequest { patience: Patience::UntilReceived(hour), ..notification(entity, "Cx", "n1", hour) };
    let sending = tokio::spawn(node.running.outbound.send(patient));
    client.next().await;
    // The broker has it and the receiver has not said so: only now is it received.
    assert!(!sending.is_finished());
    client.acknowledge().await;
    let sent = tokio::time::timeout(DEADLINE, sending).await.expect("in time").unwrap();
    assert!(matches!(sent, Ok(Sent::Unanswered)), "{sent:?}");
    node.stop().await;
}

#[tokio::test]
async fn notifications_are_answered_taken_over_or_impossible() {
    let options =
        BindingOptions { own_points_of_access: vec!["mqtt://in.example".to_owned()], ..BindingOptions::default() };
    let node = Node::with(options, Limits::default()).await;
    let entity = || Destination::MqttEntity("Cx".into());
    let outbound = Arc::clone(&node.running.outbound);
    let sent = outbound.send(notification(entity(), "/id-in/Cx", "n0", DEADLINE)).await;
    assert!(matches!(sent, Err(SendError::Unreachable(_))), "nobody is subscribed: {sent:?}");

    let mut client = Client::connect(node.port, "A::Cx", &["#"]).await;
    for (destination, topic) in [
        (entity(), "/oneM2M/req/id-in/Cx/json"),
        (point_of_access("mqtt://in.example:1883", "Cx"), "/oneM2M/req/id-in/Cx/json"),
        (point_of_access("mqtt://IN.example/", "/id-in/Cx"), "/oneM2M/req/id-in/Cx/json"),
        (point_of_access("mqtt://in.example/plant/7", "Cx"), "plant/7/oneM2M/req/id-in/Cx/json"),
        (point_of_access("mqtt://in.example/plant%207/", "Cx"), "plant 7/oneM2M/req/id-in/Cx/json"),
        (
            point_of_access("mqtt://in.example", "//other.example/id-in"),
            "/oneM2M/req/:cse.example:id-in/:other.example:id-in/json",
        ),
        (
            Destination::Url("mqtt://in.example/plant/8/oneM2M/req/id-in/Cx/json".into()),
            "plant/8/oneM2M/req/id-in/Cx/json",
        ),
    ] {
        let sending = tokio::spawn(outbound.send(notification(destination, "/id-in/Cx", "n1", DEADLINE)));
        assert_eq!(client.next().await.0, topic);
        let answer_topic = topic.replace("oneM2M/req", "oneM2M/resp");
        client.publish(&answer_topic, r#"{"rsc":2000,"rqi":"n1"}"#).await;
        let sent = sending.await.unwrap();
        assert!(matches!(&sent, Ok(Sent::Answered(response)) if response.is_success()), "{sent:?}");
        assert_eq!(client.next().await.0, answer_topic, "the client sees everything");
    }
    assert_eq!(node.running.stats.unknown_topics.get(), 0);
    let free = Destination::Url("mqtt://in.example/free/topic".into());
    let sent = outbound.send(notification(free, "x", "n2", DEADLINE)).await;
    assert!(matches!(sent, Ok(Sent::Unanswerable)), "{sent:?}");
    assert_eq!(client.next().await.0, "free/topic");
    let sent = outbound.send(notification(entity(), "Cx", "n3", Duration::from_millis(100))).await;
    assert!(matches!(sent, Ok(Sent::Unanswered)), "{sent:?}");
    assert_eq!(client.next().await.0, "/oneM2M/req/id-in/Cx/json");
    // Offline, the session of the client keeps the message: it is taken over.
    client.leave().await;
    let sent = outbound.send(notification(entity(), "Cx", "n4", Duration::from_millis(100))).await;
    assert!(matches!(sent, Ok(Sent::Unanswered)), "{sent:?}");
    let mut client = Client::connect(node.port, "A::Cx", &[]).await;
    assert!(client.next().await.1.contains(r#""rqi":"n4""#));
    for refused in [
        "ws://in.example",
        "mqtt://",
        "mqtt:x",
        "http://in.example",
        "mqtt://in.example/a/+",
        "nonsense",
        "mqtt://in.example",
        "mqtt://in.example/%ff",
    ] {
        let sent = outbound.send(notification(Destination::Url(refused.into()), "Cx", "n5", DEADLINE)).await;
        assert!(matches!(sent, Err(SendError::Unsupported(_))), "{refused}: {sent:?}");
    }
    for refused in [
        Destination::MqttEntity("a+b".into()),
        point_of_access("mqtt://in.example/a/%23", "Cx"),
        point_of_access("mqtt://in.example", "C+"),
        point_of_access("http://in.example", "Cx"),
    ] {
        let sent = outbound.send(notification(refused, "Cx", "n6", DEADLINE)).await;
        assert!(matches!(sent, Err(SendError::Unsupported(_))), "{sent:?}");
    }
    node.stop().await;
}

#[tokio::test]
async fn an_entity_that_is_at_our_broker_is_found_there_by_whatever_name() {
    let node = Node::with(BindingOptions::default(), Limits::default()).await;
    let outbound = Arc::clone(&node.running.outbound);
    // Port 9 of this machine serves nobody.
    let place = || point_of_access("mqtts://127.0.0.1:9", "/id-mn");
    // Others who listen there do not count.
    let _observer = Client::connect(node.port, "observer", &["/oneM2M/#"]).await;
    let sent = outbound.send(notification(place(), "/id-mn", "n0", Duration::from_millis(500))).await;
    assert!(matches!(sent, Err(SendError::Unreachable(_))), "{sent:?}");

    let mut client = Client::connect(node.port, "C::id-mn@uplink", &["/oneM2M/req/id-in/id-mn/#"]).await;
    let sending = tokio::spawn(outbound.send(notification(place(), "/id-mn", "n1", DEADLINE)));
    assert_eq!(client.next().await.0, "/oneM2M/req/id-in/id-mn/json");
    client.publish("/oneM2M/resp/id-in/id-mn/json", r#"{"rsc":2000,"rqi":"n1"}"#).await;
    let sent = sending.await.unwrap();
    assert!(matches!(&sent, Ok(Sent::Answered(response)) if response.is_success()), "{sent:?}");
    // Away, it has it in its session.
    client.leave().await;
    let sent = outbound.send(notification(place(), "/id-mn", "n2", Duration::from_millis(100))).await;
    assert!(matches!(sent, Ok(Sent::Unanswered)), "{sent:?}");
    node.stop().await;
}

#[tokio::test]
async fn prefixes_to_listen_under_are_bounded() {
    let options =
        BindingOptions { own_points_of_access: vec!["mqtt://in.example".to_owned()], ..BindingOptions::default() };
    let node = Node::with(options, Limits::default()).await;
    let _client = Client::connect(node.port, "A::Cx", &["+/oneM2M/req/id-in/Cx/#"]).await;
    let send = |prefix: &str| {
        let destination = point_of_access(format!("mqtt://in.example/{prefix}"), "Cx");
        node.running.outbound.send(notification(destination, "Cx", prefix, Duration::from_millis(1)))
    };
    for number in 0..64 {
        let sent = send(&format!("p{number}")).await;
        assert!(matches!(sent, Ok(Sent::Unanswered)), "{sent:?}");
    }
    let sent = send("p64").await;
    assert!(matches!(&sent, Err(SendError::Unreachable(problem)) if problem.contains("prefixes")), "{sent:?}");
    let sent = send("p0").await;
    assert!(matches!(sent, Ok(Sent::Unanswered)), "{sent:?}");
    node.stop().await;
}

#[tokio::test]
async fn a_full_queue_of_the_receiver_is_not_taken_over() {
    let limits = Limits { queued_messages_per_client_max: 1, ..Limits::default() };
    let node = Node::with(BindingOptions::default(), limits).await;
    Client::connect(node.port, "A::Cx", &["/oneM2M/req/id-in/Cx/#"]).await.leave().await;
    let send = |rqi| {
        let request = notification(Destination::MqttEntity("Cx".into()), "Cx", rqi, Duration::from_millis(50));
        node.running.outbound.send(request)
    };
    let (first, second) = (send("n1").await, send("n2").await);
    assert!(matches!(first, Ok(Sent::Unanswered)), "{first:?}");
    assert!(matches!(second, Err(SendError::Unreachable(_))), "{second:?}");
    node.stop().await;
}

#[tokio::test]
async fn pending_requests_are_bounded() {
    let options = BindingOptions { pending_requests_max: 1, ..BindingOptions::default() };
    let node = Node::with(options, Limits::default()).await;
    let _client = Client::connect(node.port, "A::Cx", &["/oneM2M/req/id-in/Cx/#"]).await;
    let entity = || Destination::MqttEntity("Cx".into());
    let first = tokio::spawn(node.running.outbound.send(notification(entity(), "Cx", "n1", DEADLINE)));
    until("the first is sent", || node.running.stats.sent.get() == 1).await;
    let second = node.running.outbound.send(notification(entity(), "Cx", "n2", DEADLINE)).await;
    assert!(matches!(second, Err(SendError::Unreachable(_))), "{second:?}");
    first.abort();
    assert!(first.await.unwrap_err().is_cancelled());
    let third = notification(entity(), "Cx", "n3", Duration::from_millis(50));
    assert!(matches!(node.running.outbound.send(third).await, Ok(Sent::Unanswered)));
    node.stop().await;
}

#[tokio::test]
async fn stopping_answers_what_is_running() {
    let node = Node::start().await;
    let mut client = Client::connect(node.port, "A::Cx", &[RESPONSES]).await;
    client.publish(REQUEST, retrieve("Cx", "wait", "1")).await;
    until("it is carried out", || node.running.cse.identifiers().len() == 1).await;
    let gate = Arc::clone(&node.running.cse.gate);
    let stopping = tokio::spawn(node.stop());
    gate.add_permits(1);
    assert_eq!(answer(&client.next().await.1), (2000, "1".to_owned()));
    until("it is acknowledged", || client.acknowledged.lock().len() == 1).await;
    stopping.await.unwrap();
}
