//! An entity that speaks oneM2M over MQTT (TS-0010), with a client library that others use, too.

use std::time::Duration;

use bytes::Bytes;
use rumqttc::{AsyncClient, Event, MqttOptions, Outgoing, Packet, Publish, QoS};
use serde_json::{Map, Value, json};
use tokio::sync::mpsc;
use tokio::task::JoinHandle;

use crate::form::{Form, text};
use crate::wait::in_time;
use crate::way::Way;

/// Most messages that wait to be looked at.
const WAITING_MAX: usize = 10_000;
/// Pause before the next try to connect.
const RECONNECT: Duration = Duration::from_millis(50);

/// The CSE-ID of every server here, as a topic level.
pub const CSE: &str = "id-in";

/// A message as it came.
#[derive(Clone, Debug)]
pub struct Message {
    /// Where it was published.
    pub topic: String,
    /// The primitive, read as the topic says, else as JSON; null if it is not of that form.
    pub primitive: Value,
    /// As it came.
    pub payload: Bytes,
}

/// A connected entity. Answers to it and requests for it are kept apart, so that a test can wait for either.
#[derive(Debug)]
pub struct Entity {
    originator: String,
    /// Whom it asks, as a topic level.
    cse: String,
    form: Form,
    client: AsyncClient,
    task: JoinHandle<()>,
    answers: mpsc::Receiver<Message>,
    requests: mpsc::Receiver<Message>,
    others: mpsc::Receiver<Message>,
    numbered: u64,
}

impl Entity {
    /// Connects as that AE, subscribed to what TS-0010 §6.3 says.
    pub async fn connect(port: u16, originator: &str) -> Self {
        let filters = [
            format!("/oneM2M/resp/{originator}/{CSE}/#"),
            format!("/oneM2M/reg_resp/{originator}/{CSE}/#"),
            format!("/oneM2M/req/+/{originator}/#"),
        ];
        Self::connect_with(port, originator, &filters).await
    }

    /// Connects as that AE, subscribed to these filters.
    ///
    /// # Panics
    /// If the broker does not let it.
    pub async fn connect_with(port: u16, originator: &str, filters: &[String]) -> Self {
        Self::connect_over(&Way::plain(port), &format!("A::{originator}"), originator, filters).await
    }

    /// Connects to a broker in that way, with that client identifier, subscribed to these filters.
    ///
    /// # Panics
    /// If the broker does not let it.
    pub async fn connect_over(way: &Way, client_id: &str, originator: &str, filters: &[String]) -> Self {
        let mut options = MqttOptions::new(client_id, way.host(), way.port());
        options.set_transport(way.transport());
        if let Some((username, password)) = way.login() {
            options.set_credentials(username, password);
        }
        options.set_clean_session(false);
        options.set_max_packet_size(1 << 20, 1 << 20);
        let (client, mut events) = AsyncClient::new(options, 1000);
        events.network_options.set_tcp_nodelay(true);
        let (answer_sender, answers) = mpsc::channel(WAITING_MAX);
        let (request_sender, requests) = mpsc::channel(WAITING_MAX);
        let (other_sender, others) = mpsc::channel(WAITING_MAX);
        let (ready_sender, mut ready) = mpsc::channel(1);
        let wanted: Vec<String> = filters.to_vec();
        let subscriber = client.clone();
        let task = tokio::spawn(async move {
            let mut missing = wanted.len();
            loop {
                match events.poll().await {
                    Ok(Event::Incoming(Packet::ConnAck(connack))) => {
                        if connack.session_present {
                            missing = 0;
                        } else {
                            missing = wanted.len();
                            for filter in &wanted {
                                subscriber.try_subscribe(filter, QoS::AtLeastOnce).expect("there is room");
                            }
                        }
                        if missing == 0 {
                            let _ = ready_sender.try_send(());
                        }
                    }
                    Ok(Event::Incoming(Packet::SubAck(_))) => {
                        missing = missing.saturating_sub(1);
                        if missing == 0 {
                            let _ = ready_sender.try_send(());
                        }
                    }
                    Ok(Event::Incoming(Packet::Publish(publish))) => {
                        let sender = match publish.topic.as_str() {
                            topic if topic.starts_with("/oneM2M/resp/") => &answer_sender,
                            topic if topic.starts_with("/oneM2M/reg_resp/") => &answer_sender,
                            topic if topic.starts_with("/oneM2M/req/") => &request_sender,
                            _ => &other_sender,
                        };
                        sender.try_send(message(publish)).expect("somebody looks at the messages");
                    }
                    Ok(Event::Outgoing(Outgoing::Disconnect)) => return,
                    Ok(_) => {}
                    Err(_) => tokio::time::sleep(RECONNECT).await,
                }
            }
        });
        in_time("the broker takes the subscriptions", ready.recv()).await.expect("the client runs");
        let (originator, cse) = (originator.into(), CSE.into());
        Self { originator, cse, form: Form::Json, client, task, answers, requests, others, numbered: 0 }
    }

    /// Has all further requests go to that CSE, named as a topic level.
    #[must_use]
    pub fn asking(mut self, cse: &str) -> Self {
        self.cse = cse.into();
        self
    }

    /// Connects as that AE and registers it below the CSEBase under the name `name`, with further attributes.
    ///
    /// # Panics
    /// If the CSE refuses.
    pub async fn registered(port: u16, originator: &str, name: &str, attributes: Value) -> Self {
        let mut entity = Self::connect(port, originator).await;
        let mut ae = json!({"rn": name, "api": "N.test", "rr": true, "srv": ["3"]});
        merge(&mut ae, attributes);
        entity.create("cse-in", 2, json!({"m2m:ae": ae})).await.expect(2001);
        entity
    }

    /// Registers as an AE with the CSE of that name under a Credential-ID that is its AE-ID stem (TS-0010 §7.4.4), and
    /// comes back as what it is then. A broker that knows its clients grants the topics of an AE only then.
    ///
    /// # Panics
    /// If the broker does not let it, or the CSE refuses.
    pub async fn registered_over(way: &Way, cse: &str, originator: &str, name: &str) -> Self {
        let filters = [format!("/oneM2M/reg_resp/{originator}/{cse}/#")];
        let mut registrant = Self::connect_over(way, originator, originator, &filters).await;
        let ae = json!({"m2m:ae": {"rn": name, "api": "N.test", "rr": true, "srv": ["3"]}});
        let request = registrant.complete(json!({"op": 1, "to": format!("/{cse}"), "ty": 2, "pc": ae}));
        registrant.publish(&format!("/oneM2M/reg_req/{originator}/{cse}/json"), request.to_string()).await;
        Answer(registrant.next_answer().await.primitive).expect(2001);
        let filters = [format!("/oneM2M/resp/{originator}/{cse}/#"), format!("/oneM2M/req/+/{originator}/#")];
        Self::connect_over(way, &format!("A::{originator}"), originator, &filters).await.asking(cse)
    }

    /// Has all further requests written in that form.
    pub fn speak(&mut self, form: Form) {
        self.form = form;
    }

    /// Publishes a payload.
    ///
    /// # Panics
    /// If the client has ended.
    pub async fn publish(&self, topic: &str, payload: impl Into<Vec<u8>>) {
        self.client.publish(topic, QoS::AtLeastOnce, false, payload).await.expect("the client runs");
    }

    /// Completes a primitive with originator, request identifier and release version, where they are missing.
    pub fn complete(&mut self, mut primitive: Value) -> Value {
        self.numbered += 1;
        let own = json!({"fr": self.originator, "rqi": format!("{}-{}", self.originator, self.numbered), "rvi": "3"});
        for (name, value) in own.as_object().into_iter().flatten() {
            if primitive.get(name).is_none() {
                primitive[name] = value.clone();
            }
        }
        primitive
    }

    /// Sends a request on the usual topic; its request identifier.
    pub async fn send(&mut self, primitive: Value) -> String {
        let primitive = self.complete(primitive);
        let topic = format!("/oneM2M/req/{}/{}/{}", self.originator, self.cse, self.form.name());
        self.publish(&topic, self.form.write_primitive("m2m:rqp", &primitive)).await;
        primitive["rqi"].as_str().unwrap_or_default().to_owned()
    }

    /// Sends a request and waits for the answer to it.
    pub async fn request(&mut self, primitive: Value) -> Answer {
        let identifier = self.send(primitive).await;
        self.answer_to(&identifier).await
    }

    /// The answer to that request; answers to others before it are forgotten.
    pub async fn answer_to(&mut self, identifier: &str) -> Answer {
        loop {
            let message = self.next_answer().await;
            if text(&message.primitive["rqi"]) == identifier {
                return Answer(message.primitive);
            }
        }
    }

    /// The next answer, whatever it answers.
    ///
    /// # Panics
    /// If none comes.
    pub async fn next_answer(&mut self) -> Message {
        in_time("an answer over MQTT", self.answers.recv()).await.expect("the client runs")
    }

    /// How many answers have come that nobody has looked at.
    pub fn answers_waiting(&self) -> usize {
        self.answers.len()
    }

    /// The next request of the CSE to this entity.
    ///
    /// # Panics
    /// If none comes.
    pub async fn next_request(&mut self) -> Message {
        in_time("a request over MQTT", self.requests.recv()).await.expect("the client runs")
    }

    /// How many requests have come that nobody has looked at.
    pub fn requests_waiting(&self) -> usize {
        self.requests.len()
    }

    /// The next message on a topic that is not of TS-0010.
    ///
    /// # Panics
    /// If none comes.
    pub async fn next_other(&mut self) -> Message {
        in_time("a message", self.others.recv()).await.expect("the client runs")
    }

    /// Answers a request of the CSE in the form of the request.
    pub async fn respond(&self, request: &Message, rsc: u16) {
        let topic = request.topic.replacen("/req/", "/resp/", 1);
        let response = json!({"rsc": rsc, "rqi": request.primitive["rqi"], "rvi": "3"});
        let form = Form::ending(&topic).unwrap_or_default();
        self.publish(&topic, form.write_primitive("m2m:rsp", &response)).await;
    }

    /// CREATE.
    pub async fn create(&mut self, to: &str, ty: u16, content: Value) -> Answer {
        self.request(json!({"op": 1, "to": to, "ty": ty, "pc": content})).await
    }

    /// RETRIEVE.
    pub async fn retrieve(&mut self, to: &str) -> Answer {
        self.request(json!({"op": 2, "to": to})).await
    }

    /// UPDATE.
    pub async fn update(&mut self, to: &str, content: Value) -> Answer {
        self.request(json!({"op": 3, "to": to, "pc": content})).await
    }

    /// DELETE.
    pub async fn delete(&mut self, to: &str) -> Answer {
        self.request(json!({"op": 4, "to": to})).await
    }
}

impl Drop for Entity {
    fn drop(&mut self) {
        self.task.abort();
    }
}

fn message(publish: Publish) -> Message {
    let form = Form::ending(&publish.topic).unwrap_or_default();
    let primitive = form.read_primitive(&publish.payload).unwrap_or(Value::Null);
    Message { topic: publish.topic, primitive, payload: publish.payload }
}

/// Adds the members of one object to another.
fn merge(object: &mut Value, more: Value) {
    if let Value::Object(more) = more {
        for (name, value) in more {
            object[name] = value;
        }
    }
}

/// A response primitive.
#[derive(Clone, Debug)]
pub struct Answer(pub Value);

impl Answer {
    /// Response status code; 0 without one.
    pub fn rsc(&self) -> u64 {
        text(&self.0["rsc"]).parse().unwrap_or_default()
    }

    /// Itself, if that is its status.
    ///
    /// # Panics
    /// If it is not.
    #[expect(clippy::return_self_not_must_use, reason = "often called for the check alone")]
    pub fn expect(self, rsc: u64) -> Self {
        assert_eq!(self.rsc(), rsc, "{}", self.0);
        self
    }

    /// The explanation of a refusal.
    pub fn explanation(&self) -> &str {
        self.0["pc"]["m2m:dbg"].as_str().unwrap_or_default()
    }

    /// The attributes of the only resource in the content.
    ///
    /// # Panics
    /// If there is none.
    pub fn resource(&self) -> &Map<String, Value> {
        let content = self.0["pc"].as_object().unwrap_or_else(|| panic!("no content: {}", self.0));
        let (_, resource) = content.iter().next().unwrap_or_else(|| panic!("no resource: {}", self.0));
        resource.as_object().unwrap_or_else(|| panic!("no resource: {}", self.0))
    }
}
