//! What the tests of the binding share: a CSE that can be told to wait, and a client that sees everything.

#![expect(clippy::unwrap_used, reason = "tests")]

use std::collections::VecDeque;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use cse_core::error::Rsc;
use cse_core::id::{CseIdentity, CseType};
use cse_core::ports::{Destination, Dispatch, Outbound, OutgoingRequest, Patience, Sent};
use cse_core::primitive::{Operation, Request, Response};
use cse_core::value::{Map, Value};
use cse_mqtt::{LinkStatus, MqttBinding, MqttOutbound, MqttStats};
use parking_lot::Mutex;
use rumqttc::{AsyncClient, Event, MqttOptions, Outgoing, Packet, Publish, QoS};
use tokio::sync::{Semaphore, mpsc, oneshot, watch};
use tokio::task::JoinHandle;

/// Long enough for a busy machine; nothing waits so long when all is well.
pub(crate) const DEADLINE: Duration = Duration::from_secs(30);

pub(crate) fn identity() -> CseIdentity {
    CseIdentity::new("//cse.example", "/id-in", "cse-in", CseType::In).unwrap()
}

/// Waits until something holds.
pub(crate) async fn until(what: &str, mut holds: impl FnMut() -> bool) {
    let waiting = async {
        while !holds() {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    assert!(tokio::time::timeout(DEADLINE, waiting).await.is_ok(), "did not happen: {what}");
}

/// Answers 2000 with the request's target as content; requests to `wait` and polls need a permit, those to `ask` an answer of Cz,
/// to a request that has their identifier with `?` behind it.
#[derive(Clone)]
pub(crate) struct StubCse {
    pub(crate) requests: Arc<Mutex<Vec<Request>>>,
    pub(crate) gate: Arc<Semaphore>,
    outbound: Arc<OnceLock<Arc<MqttOutbound>>>,
}

impl Default for StubCse {
    fn default() -> Self {
        Self { requests: Arc::default(), gate: Arc::new(Semaphore::new(0)), outbound: Arc::default() }
    }
}

impl StubCse {
    pub(crate) fn identifiers(&self) -> Vec<String> {
        self.requests.lock().iter().map(|request| request.request_identifier.to_string()).collect()
    }
}

impl Dispatch for StubCse {
    async fn dispatch(&self, request: Request) -> Response {
        self.requests.lock().push(request.clone());
        if request.to == "wait" || request.to.ends_with("/pcu") {
            self.gate.acquire().await.unwrap().forget();
        }
        let mut status = Rsc::Ok;
        if request.to == "ask" {
            let question = format!("{}?", request.request_identifier);
            let question = notification(Destination::MqttEntity("Cz".into()), "/id-in/Cz", &question, DEADLINE);
            status = match self.outbound.get().unwrap().send(question).await {
                Ok(Sent::Answered(answer)) => answer.status,
                _ => Rsc::TargetNotReachable,
            };
        }
        let mut response = Response::new(status, request.request_identifier);
        response.content = Some(Map::single("m2m:uri", Value::from(request.to)));
        response
    }
}

pub(crate) fn retrieve(from: &str, to: &str, rqi: &str) -> String {
    format!(r#"{{"op":2,"to":"{to}","fr":"{from}","rqi":"{rqi}","rvi":"3"}}"#)
}

pub(crate) fn point_of_access(url: impl Into<cse_core::value::Text>, entity: &str) -> Destination {
    Destination::PointOfAccess { url: url.into(), entity: entity.into() }
}

pub(crate) fn notification(destination: Destination, to: &str, rqi: &str, timeout: Duration) -> OutgoingRequest {
    let mut request = Request::new(Operation::Notify, to, "/id-in", rqi);
    request.content = Some(Map::single("m2m:sgn", Value::Map(Map::single("sur", "/id-in/sub1"))));
    let serialization = cse_core::codec::Serialization::Json;
    OutgoingRequest { destination, request, serialization, timeout, patience: Patience::default(), in_order: false }
}

/// A running binding.
pub(crate) struct Running {
    pub(crate) cse: StubCse,
    pub(crate) outbound: Arc<MqttOutbound>,
    pub(crate) stats: Arc<MqttStats>,
    pub(crate) status: watch::Receiver<LinkStatus>,
    pub(crate) problem: Arc<dyn Fn() -> Option<String> + Send + Sync>,
    stop: Option<oneshot::Sender<()>>,
    task: JoinHandle<()>,
}

impl Running {
    /// Runs a binding with a stub of a CSE.
    pub(crate) fn start(binding: MqttBinding) -> Self {
        let (outbound, stats, status) = (binding.outbound(), binding.stats(), binding.status());
        let problem = binding.problem();
        let cse = StubCse::default();
        assert!(cse.outbound.set(Arc::clone(&outbound)).is_ok());
        let (stop, stopped) = oneshot::channel::<()>();
        let task = tokio::spawn(binding.run(cse.clone(), async move {
            let _ = stopped.await;
        }));
        Self { cse, outbound, stats, status, problem, stop: Some(stop), task }
    }

    pub(crate) async fn up(&mut self) {
        tokio::time::timeout(DEADLINE, self.status.wait_for(|status| *status == LinkStatus::Up))
            .await
            .unwrap()
            .unwrap();
    }

    pub(crate) async fn down(&mut self) {
        tokio::time::timeout(DEADLINE, self.status.wait_for(|status| *status == LinkStatus::Down))
            .await
            .unwrap()
            .unwrap();
    }

    pub(crate) async fn stop(mut self) {
        drop(self.stop.take());
        tokio::time::timeout(DEADLINE, self.task).await.unwrap().unwrap();
    }

    /// As if the process had crashed.
    pub(crate) async fn crash(self) {
        self.task.abort();
        assert!(self.task.await.unwrap_err().is_cancelled());
    }
}

/// A client of a broker that keeps a session, and everything that happens to it.
pub(crate) struct Client {
    client: AsyncClient,
    task: JoinHandle<()>,
    publishes: mpsc::Receiver<Publish>,
    last: Option<Publish>,
    pub(crate) acknowledged: Arc<Mutex<VecDeque<u16>>>,
}

impl Client {
    /// Connects and subscribes.
    pub(crate) async fn connect(port: u16, client_id: &str, filters: &[&str]) -> Self {
        Self::connect_with(MqttOptions::new(client_id, "127.0.0.1", port), filters).await
    }

    /// As [`Client::connect`], but acknowledges only by [`Client::acknowledge`].
    pub(crate) async fn connect_silent(port: u16, client_id: &str, filters: &[&str]) -> Self {
        let mut options = MqttOptions::new(client_id, "127.0.0.1", port);
        options.set_manual_acks(true);
        Self::connect_with(options, filters).await
    }

    async fn connect_with(mut options: MqttOptions, filters: &[&str]) -> Self {
        options.set_clean_session(false);
        options.set_max_packet_size(1 << 20, 1 << 20);
        let (client, mut events) = AsyncClient::new(options, 1000);
        let (sender, publishes) = mpsc::channel(10_000);
        let (ready_sender, mut ready) = mpsc::channel(1);
        let acknowledged = Arc::<Mutex<VecDeque<u16>>>::default();
        let seen = Arc::clone(&acknowledged);
        for filter in filters {
            client.subscribe(*filter, QoS::AtLeastOnce).await.unwrap();
        }
        let mut missing = filters.len();
        let task = tokio::spawn(async move {
            loop {
                match events.poll().await {
                    Ok(Event::Incoming(Packet::ConnAck(_))) if missing == 0 => {
                        let _ = ready_sender.try_send(());
                    }
                    Ok(Event::Incoming(Packet::SubAck(_))) => {
                        missing = missing.saturating_sub(1);
                        if missing == 0 {
                            let _ = ready_sender.try_send(());
                        }
                    }
                    Ok(Event::Incoming(Packet::Publish(publish))) => sender.send(publish).await.unwrap(),
                    Ok(Event::Incoming(Packet::PubAck(puback))) => seen.lock().push_back(puback.pkid),
                    Ok(Event::Outgoing(Outgoing::Disconnect)) => return,
                    Ok(_) => {}
                    Err(_) => tokio::time::sleep(Duration::from_millis(50)).await,
                }
            }
        });
        tokio::time::timeout(DEADLINE, ready.recv()).await.unwrap().unwrap();
        Self { client, task, publishes, last: None, acknowledged }
    }

    pub(crate) async fn publish(&self, topic: &str, payload: impl Into<Vec<u8>>) {
        self.client.publish(topic, QoS::AtLeastOnce, false, payload).await.unwrap();
    }

    pub(crate) async fn publish_retained(&self, topic: &str, payload: impl Into<Vec<u8>>) {
        self.client.publish(topic, QoS::AtLeastOnce, true, payload).await.unwrap();
    }

    /// Acknowledges the message that [`Client::next`] gave last.
    pub(crate) async fn acknowledge(&mut self) {
        self.client.ack(&self.last.take().unwrap()).await.unwrap();
    }

    /// The next message.
    pub(crate) async fn next(&mut self) -> (String, String) {
        let publish = tokio::time::timeout(DEADLINE, self.publishes.recv()).await.expect("a message").unwrap();
        self.last = Some(publish.clone());
        (publish.topic, String::from_utf8(publish.payload.to_vec()).unwrap())
    }

    /// Leaves; the broker keeps the session.
    pub(crate) async fn leave(self) {
        self.client.disconnect().await.unwrap();
        tokio::time::timeout(DEADLINE, self.task).await.unwrap().unwrap();
    }
}

/// The parts of an answer that tests look at.
pub(crate) fn answer(payload: &str) -> (i64, String) {
    let map = cse_core::codec::Serialization::Json.decode_content(payload.as_bytes()).unwrap();
    (map.int("rsc").unwrap(), map.text("rqi").unwrap().to_owned())
}
