//! Answers and requests of the CSE to clients whose sessions are stored: what waits for the disk.

#![expect(clippy::unwrap_used, reason = "tests")]

use std::sync::Arc;
use std::time::Duration;

use cse_core::ports::{Destination, Outbound, SendError, Sent};
use cse_mqtt::broker::{Broker, Changes, Limits, OpenPolicy, Persistence, PersistenceError};
use cse_mqtt::{BindingOptions, MqttBinding};
use tokio::net::TcpListener;
use tokio::sync::watch;

use crate::support::{Client, DEADLINE, Running, answer, identity, notification, retrieve, until};

/// A disk that keeps nothing and waits while it is told to.
struct Disk(watch::Receiver<bool>);

impl Persistence for Disk {
    async fn commit(&mut self, _changes: &Changes) -> Result<(), PersistenceError> {
        self.0.wait_for(|stuck| !*stuck).await.map(drop).map_err(|error| PersistenceError(error.to_string()))
    }

    async fn close(self) -> Result<(), PersistenceError> {
        Ok(())
    }
}

struct Node {
    broker: Broker,
    port: u16,
    running: Running,
    stuck: watch::Sender<bool>,
    /// The broker runs as long as this lives.
    _stop: watch::Sender<bool>,
}

impl Node {
    async fn start() -> Self {
        let (broker, persister) = Broker::restored(Limits::default(), Arc::new(OpenPolicy), Vec::new());
        let options =
            BindingOptions { own_points_of_access: vec!["mqtt://in.example".to_owned()], ..BindingOptions::default() };
        let binding = MqttBinding::embedded(&identity(), options, &broker).unwrap();
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let (stuck, seen) = watch::channel(false);
        tokio::spawn(persister.run(Disk(seen), std::future::pending()));
        let (stop, stopped) = watch::channel(false);
        let serving = broker.clone();
        tokio::spawn(async move { serving.serve(listener, stopped, DEADLINE).await });
        Self { broker, port, running: Running::start(binding), stuck, _stop: stop }
    }
}

#[tokio::test]
async fn a_request_is_acknowledged_when_its_answer_is_safe() {
    let node = Node::start().await;
    let mut client = Client::connect_silent(node.port, "A::Cx", &["/oneM2M/resp/Cx/id-in/#"]).await;
    let topic = "/oneM2M/req/Cx/id-in/json";
    node.stuck.send_replace(true);
    for (number, rqi) in [(1, "by the client"), (2, "by the disk")] {
        client.publish(topic, retrieve("Cx", "cse-in", rqi)).await;
        let (_, payload) = client.next().await;
        assert_eq!(answer(&payload), (2000, rqi.to_owned()), "the answer does not wait");
        // Something that nobody keeps goes the same way there and back in the meantime.
        client.publish("nobody/listens", "x").await;
        client.publish(topic, retrieve("Cx", "wait", "waits")).await;
        until("everything was read", || node.running.cse.identifiers().len() == 2 * number).await;
        assert_eq!(client.acknowledged.lock().len(), 3 * (number - 1), "not safe yet");
        if number == 1 {
            client.acknowledge().await;
        } else {
            node.stuck.send_replace(false);
        }
        node.running.cse.gate.add_permits(1);
        client.next().await;
        client.acknowledge().await;
        until("acknowledged", || client.acknowledged.lock().len() == 3 * number).await;
    }
    client.leave().await;
    node.running.stop().await;
}

#[tokio::test]
async fn a_notification_is_taken_over_when_it_is_safe() {
    let node = Node::start().await;
    Client::connect(node.port, "dashboard", &["free/topic"]).await.leave().await;
    until("the client is away", || node.broker.sessions().iter().all(|session| !session.connected)).await;
    let send = |rqi, timeout| {
        let destination = Destination::Url("mqtt://in.example/free/topic".into());
        node.running.outbound.send(notification(destination, "x", rqi, timeout))
    };
    node.stuck.send_replace(true);
    let sent = send("n1", Duration::from_millis(100)).await;
    assert!(matches!(sent, Err(SendError::Unconfirmed(_))), "{sent:?}");
    let sending = tokio::spawn(send("n2", DEADLINE));
    until("both are queued", || node.broker.sessions()[0].queued_messages == 2).await;
    assert!(!sending.is_finished());
    node.stuck.send_replace(false);
    let sent = sending.await.unwrap();
    assert!(matches!(sent, Ok(Sent::Unanswerable)), "{sent:?}");
    node.running.stop().await;
}
