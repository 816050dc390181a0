//! A device that does what MQTT 3.1.1 §4.4 asks of it: a kept session, QoS 1, and after every lost connection it sends
//! again, marked as duplicate, what was not acknowledged. It keeps every answer that it ever got.

use std::collections::BTreeMap;
use std::time::Duration;

use rumqttc::mqttbytes::v4::Packet;
use serde_json::{Value, json};

use crate::mqtt::CSE;
use crate::packets::Packets;
use crate::wait::in_time;

/// Pause before the next try to connect.
const RECONNECT: Duration = Duration::from_millis(50);

/// Pause before a request is sent again that had no final answer.
const REPEAT: Duration = Duration::from_millis(50);

/// See the module.
pub struct Device {
    port: u16,
    originator: String,
    /// Whom it asks, as a topic level.
    cse: String,
    packets: Option<Packets>,
    /// Sent and not acknowledged, by packet identifier.
    unacknowledged: BTreeMap<u16, Vec<u8>>,
    sent: u16,
    /// Everything sent, with its packet identifier, by request identifier.
    requests: BTreeMap<String, (u16, Vec<u8>)>,
    /// Every answer, in the order in which they came.
    pub answers: Vec<Value>,
}

impl Device {
    /// Connects as that AE.
    ///
    /// # Panics
    /// If the broker does not let it.
    pub async fn connect(port: u16, originator: &str) -> Self {
        Self::connect_to(port, CSE, originator).await
    }

    /// Connects as that AE of the CSE with that CSE-ID, without slash.
    ///
    /// # Panics
    /// If the broker does not let it.
    pub async fn connect_to(port: u16, cse: &str, originator: &str) -> Self {
        let mut device = Self {
            port,
            originator: originator.into(),
            cse: cse.into(),
            requests: BTreeMap::new(),
            packets: None,
            unacknowledged: BTreeMap::new(),
            sent: 0,
            answers: Vec::new(),
        };
        device.reconnect().await;
        device
    }

    /// Connects to that port from now on.
    pub fn lead_to(&mut self, port: u16) {
        (self.port, self.packets) = (port, None);
    }

    async fn reconnect(&mut self) {
        let filters = [format!("/oneM2M/resp/{}/{}/#", self.originator, self.cse)];
        let (port, client_id) = (self.port, format!("A::{}", self.originator));
        let connecting = async {
            loop {
                let connected = Packets::connect(port, &client_id, &filters);
                if let Ok(Ok(packets)) = tokio::time::timeout(Duration::from_secs(5), connected).await {
                    return packets;
                }
                tokio::time::sleep(RECONNECT).await;
            }
        };
        let mut packets = in_time("the device connects", connecting).await;
        for (packet_id, payload) in &self.unacknowledged {
            // If it fails, the next read does, too.
            let _ = packets.publish(&self.topic(), *packet_id, true, payload).await;
        }
        self.packets = Some(packets);
    }

    fn topic(&self) -> String {
        format!("/oneM2M/req/{}/{}/json", self.originator, self.cse)
    }

    /// Sends a request; its request identifier.
    pub async fn send(&mut self, mut primitive: Value) -> String {
        self.sent += 1;
        let identifier = format!("{}-{}", self.originator, self.sent);
        for (name, value) in [("fr", json!(self.originator)), ("rqi", json!(identifier)), ("rvi", json!("3"))] {
            if primitive.get(name).is_none() {
                primitive[name] = value;
            }
        }
        let (topic, payload) = (self.topic(), primitive.to_string().into_bytes());
        let identifier = primitive["rqi"].as_str().unwrap_or_default().to_owned();
        self.requests.insert(identifier.clone(), (self.sent, payload.clone()));
        if let Some(packets) = &mut self.packets
            && packets.publish(&topic, self.sent, false, &payload).await.is_err()
        {
            self.packets = None;
        }
        self.unacknowledged.insert(self.sent, payload);
        identifier
    }

    /// Sends a request again, marked as duplicate, although it may have been acknowledged.
    async fn send_again(&mut self, identifier: &str) {
        let Some((packet_id, payload)) = self.requests.get(identifier).cloned() else { return };
        let topic = self.topic();
        if let Some(packets) = &mut self.packets
            && packets.publish(&topic, packet_id, true, &payload).await.is_err()
        {
            self.packets = None;
        }
        self.unacknowledged.insert(packet_id, payload);
    }

    /// Goes on until there is an answer that says what became of that request: one that could not be passed on, or was
    /// not answered there, is sent again and again.
    ///
    /// # Panics
    /// If there is none.
    pub async fn final_answer_to(&mut self, identifier: &str) -> Value {
        in_time("a final answer to the device", async {
            let mut looked_at = 0;
            loop {
                let Some(answer) = self.answers.get(looked_at) else {
                    self.step().await;
                    continue;
                };
                looked_at += 1;
                if answer["rqi"] != identifier {
                    continue;
                }
                if !matches!(answer["rsc"].as_u64(), Some(4008 | 5000 | 5103)) {
                    return answer.clone();
                }
                tokio::time::sleep(REPEAT).await;
                self.send_again(identifier).await;
            }
        })
        .await
    }

    /// Sends CREATE of an instance.
    pub async fn create_instance(&mut self, to: &str, content: &str) -> String {
        self.send(json!({"op": 1, "to": to, "ty": 4, "pc": {"m2m:cin": {"con": content}}})).await
    }

    /// Goes on until there is an answer to that request, however often the connection is lost; the first one.
    ///
    /// # Panics
    /// If there is none.
    pub async fn answer_to(&mut self, identifier: &str) -> Value {
        in_time("an answer to the device", async {
            loop {
                if let Some(answer) = self.answers.iter().find(|answer| answer["rqi"] == identifier) {
                    return answer.clone();
                }
                self.step().await;
            }
        })
        .await
    }

    /// Goes on until everything sent is acknowledged.
    ///
    /// # Panics
    /// If it never is.
    pub async fn all_acknowledged(&mut self) {
        in_time("everything is acknowledged", async {
            while !self.unacknowledged.is_empty() {
                self.step().await;
            }
        })
        .await;
    }

    async fn step(&mut self) {
        let Some(packets) = &mut self.packets else { return self.reconnect().await };
        match packets.next().await {
            Ok(Packet::Publish(publish)) => {
                self.answers.push(serde_json::from_slice(&publish.payload).expect("JSON"));
            }
            Ok(Packet::PubAck(puback)) => {
                self.unacknowledged.remove(&puback.pkid);
            }
            Ok(_) => {}
            Err(_) => self.packets = None,
        }
    }

    /// The answers to that request, equal ones once.
    pub fn distinct_answers(&self, identifier: &str) -> Vec<&Value> {
        let mut distinct: Vec<&Value> = Vec::new();
        for answer in self.answers.iter().filter(|answer| answer["rqi"] == identifier) {
            if !distinct.contains(&answer) {
                distinct.push(answer);
            }
        }
        distinct
    }
}
