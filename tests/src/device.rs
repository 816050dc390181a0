//! A device that does what MQTT 3.1.1 §4.4 asks of it: a kept session, QoS 1, and after every lost connection it sends
//! again, marked as duplicate, what was not acknowledged. It keeps every answer that it ever got.

use std::collections::BTreeMap;
use std::time::Duration;

use rumqttc::mqttbytes::v4::Packet;
use serde_json::{Value, json};

use crate::mqtt::CSE;
use crate::packets::Packets;
use crate::wait::{in_time, until_some};

/// Pause before the next try to connect.
const RECONNECT: Duration = Duration::from_millis(50);

/// See the module.
pub struct Device {
    port: u16,
    originator: String,
    packets: Option<Packets>,
    /// Sent and not acknowledged, by packet identifier.
    unacknowledged: BTreeMap<u16, Vec<u8>>,
    sent: u16,
    /// Every answer, in the order in which they came.
    pub answers: Vec<Value>,
}

impl Device {
    /// Connects as that AE.
    ///
    /// # Panics
    /// If the broker does not let it.
    pub async fn connect(port: u16, originator: &str) -> Self {
        let mut device = Self {
            port,
            originator: originator.into(),
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
        let filters = [format!("/oneM2M/resp/{}/{CSE}/#", self.originator)];
        let (port, client_id) = (self.port, format!("A::{}", self.originator));
        let mut packets = until_some("the device connects", async || {
            let connected = tokio::time::timeout(Duration::from_secs(5), Packets::connect(port, &client_id, &filters));
            match connected.await {
                Ok(Ok(packets)) => Some(packets),
                _ => {
                    tokio::time::sleep(RECONNECT).await;
                    None
                }
            }
        })
        .await;
        for (packet_id, payload) in &self.unacknowledged {
            // If it fails, the next read does, too.
            let _ = packets.publish(&self.topic(), *packet_id, true, payload).await;
        }
        self.packets = Some(packets);
    }

    fn topic(&self) -> String {
        format!("/oneM2M/req/{}/{CSE}/json", self.originator)
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
        if let Some(packets) = &mut self.packets
            && packets.publish(&topic, self.sent, false, &payload).await.is_err()
        {
            self.packets = None;
        }
        self.unacknowledged.insert(self.sent, payload);
        primitive["rqi"].as_str().unwrap_or_default().to_owned()
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
