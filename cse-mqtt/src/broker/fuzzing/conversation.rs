//! Several clients and a link that talk by a script, through the whole of the broker.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use bytes::{BufMut, Bytes, BytesMut};
use futures_util::FutureExt;
use rumqttc::QoS;
use rumqttc::mqttbytes::v4;
use rumqttc::v5::mqttbytes::v5;
use tokio::io::{AsyncReadExt, AsyncWriteExt, DuplexStream, duplex};
use tokio::sync::watch;
use tokio::task::JoinHandle;
use tokio::time::timeout;

use crate::broker::link::Inbound;
use crate::broker::{Broker, Limits, Link, LinkReceiver, OpenPolicy, Origin};

/// Clients at a time.
const PLACES: usize = 4;
const CLIENT_IDS: [&str; 3] = ["a", "b", ""];
const TOPICS: [&str; 4] = ["to/link", "x", "x/y", "$z"];
const FILTERS: [&str; 6] = ["x", "#", "+/y", "to/#", "$share/g/x", "+/#/x"];
/// Steps of one script; more of the same find nothing else.
const STEPS_MAX: usize = 200;
const STREAM_BYTES: usize = 4096;
/// Longer than anything here takes on the slowest machine.
const PATIENCE: Duration = Duration::from_secs(60);

/// Carries out a script. The broker must send nothing but packets that a client understands, and at the end, with all
/// sessions gone, nothing may be left.
///
/// A step is three bytes (whose turn and what to do, a number, a length) and that many bytes. Packets are put together
/// from them, so that a script of noise still says something; noise itself can be sent, too.
///
/// # Panics
/// If it is not so, or if the broker hangs.
pub fn conversation(script: &[u8]) {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().expect("a runtime");
    runtime.block_on(Talk::new().run(script));
}

/// Small limits, so that they are reached.
fn limits() -> Limits {
    Limits {
        packet_bytes_max: 512,
        connect_bytes_max: 256,
        subscriptions_per_client_max: 5,
        in_flight_max: 3,
        queued_messages_per_client_max: 8,
        queued_bytes_per_client_max: 2048,
        queued_bytes_total_max: 4096,
        unacknowledged_max: 4,
        link_messages_max: 6,
        link_bytes_max: 1024,
        offline_sessions_max: 2,
        ..Limits::default()
    }
}

/// One client as the script plays it.
struct Place {
    stream: DuplexStream,
    /// All that came from the broker.
    received: BytesMut,
    served: JoinHandle<()>,
    version_5: bool,
}

struct Talk {
    broker: Broker,
    link: Link,
    receiver: LinkReceiver,
    /// Messages that the link has not decided on.
    pending: Vec<Inbound>,
    places: [Option<Place>; PLACES],
    ended: Vec<Place>,
    /// The link has dropped a message that it had not accepted, which holds back its connection.
    abandoned: bool,
    stop: watch::Sender<bool>,
    shutdown: watch::Receiver<bool>,
}

impl Talk {
    fn new() -> Self {
        let broker = Broker::new(limits(), Arc::new(OpenPolicy));
        let (link, receiver) = broker.link("link", &["to/#"]).expect("a filter");
        let (stop, shutdown) = watch::channel(false);
        let places = Default::default();
        let (pending, ended) = (Vec::new(), Vec::new());
        Self { broker, link, receiver, pending, places, ended, abandoned: false, stop, shutdown }
    }

    async fn run(mut self, mut script: &[u8]) {
        for _ in 0..STEPS_MAX {
            let Some((&[turn, number, length], rest)) = script.split_first_chunk() else { break };
            let (data, rest) = rest.split_at(rest.len().min(usize::from(length)));
            script = rest;
            self.step(usize::from(turn & 3), turn >> 2, number, data).await;
        }
        self.end().await;
    }

    async fn step(&mut self, at: usize, action: u8, number: u8, data: &[u8]) {
        match action % 12 {
            0 => self.send(at, data).await,
            1 => self.send(at, &framed(number, data)).await,
            2 | 3 => {
                self.close(at);
                self.connect(at, number, data).await;
            }
            4 | 5 => {
                let publish = publish(self.is_version_5(at), number, data);
                self.send(at, &publish).await;
            }
            6 => {
                let subscribe = subscribe(self.is_version_5(at), number);
                self.send(at, &subscribe).await;
            }
            7 => {
                let topic = TOPICS[usize::from(number >> 2) % TOPICS.len()];
                let qos = [QoS::AtMostOnce, QoS::AtLeastOnce, QoS::ExactlyOnce][usize::from(number) % 3];
                let payload = Bytes::copy_from_slice(data);
                self.link.publish(topic, payload, qos).expect("a topic name");
            }
            8 => self.decide(number).await,
            9 => self.close(at),
            10 => {
                if let Some(place) = &mut self.places[at] {
                    let _ = place.stream.shutdown().await;
                }
            }
            _ => {
                self.broker.expel(CLIENT_IDS[usize::from(number) % CLIENT_IDS.len()]);
            }
        }
        self.settle(number & 0x80 == 0).await;
    }

    fn is_version_5(&self, at: usize) -> bool {
        self.places[at].as_ref().is_some_and(|place| place.version_5)
    }

    async fn connect(&mut self, at: usize, number: u8, properties: &[u8]) {
        let (near, far) = duplex(STREAM_BYTES);
        let (broker, shutdown) = (self.broker.clone(), self.shutdown.clone());
        let served = tokio::spawn(async move {
            let origin = Origin::of(SocketAddr::from(([127, 0, 0, 1], 1)));
            broker.serve_connection(far, origin, shutdown, Duration::ZERO).await;
        });
        let version_5 = number & 1 != 0;
        self.places[at] = Some(Place { stream: near, received: BytesMut::new(), served, version_5 });
        let client_id = CLIENT_IDS[usize::from(number >> 2) % CLIENT_IDS.len()];
        let mut body = BytesMut::new();
        text(&mut body, "MQTT");
        body.put_u8(if version_5 { 5 } else { 4 });
        body.put_u8(number & 2);
        body.put_u16(0);
        if version_5 {
            let properties = &properties[..properties.len().min(0x7f)];
            body.put_u8(properties.len() as u8);
            body.put_slice(properties);
        }
        text(&mut body, client_id);
        self.send(at, &framed(0x10, &body)).await;
    }

    /// Sends as much as the stream takes: a broker that does not read may be right.
    async fn send(&mut self, at: usize, mut bytes: &[u8]) {
        let Some(place) = &mut self.places[at] else { return };
        for _ in 0..4 {
            match place.stream.write(bytes).now_or_never() {
                Some(Ok(written)) => bytes = &bytes[written..],
                Some(Err(_)) => return,
                None => {}
            }
            if bytes.is_empty() {
                return;
            }
            tokio::task::yield_now().await;
        }
    }

    /// The link takes what has come, and accepts or drops the oldest, or the newest.
    async fn decide(&mut self, number: u8) {
        self.receiver.receive(&mut self.pending, 4).now_or_never();
        for _ in 0..=number & 3 {
            let message = match number & 4 {
                0 if !self.pending.is_empty() => self.pending.remove(0),
                _ => match self.pending.pop() {
                    Some(message) => message,
                    None => return,
                },
            };
            if number & 8 == 0 {
                message.ack.accept();
            } else {
                self.abandoned = true;
            }
        }
    }

    /// The network connection is gone.
    fn close(&mut self, at: usize) {
        if let Some(mut place) = self.places[at].take() {
            let (gone, _) = duplex(1);
            drop(std::mem::replace(&mut place.stream, gone));
            self.ended.push(place);
        }
    }

    /// Lets the broker work, and the clients read if they are to.
    async fn settle(&mut self, reads: bool) {
        for _ in 0..3 {
            tokio::task::yield_now().await;
            for place in self.places.iter_mut().flatten().filter(|_| reads) {
                place.read();
            }
        }
    }

    async fn end(mut self) {
        self.settle(true).await;
        (0..PLACES).for_each(|at| self.close(at));
        if self.abandoned {
            self.stop.send_replace(true);
        }
        for mut place in self.ended {
            let deciding = async {
                loop {
                    self.pending.drain(..).for_each(|message| message.ack.accept());
                    self.receiver.receive(&mut self.pending, 4).await;
                }
            };
            let served = timeout(PATIENCE, &mut place.served);
            tokio::select! {
                ended = served => ended.expect("the connection ends").expect("no panic"),
                () = deciding => {}
            }
            understood(place.version_5, place.received);
        }
        drop(self.pending);
        drop(self.receiver);
        for session in self.broker.sessions() {
            assert!(!session.connected, "{session:?}");
            assert!(self.broker.expel(&session.client.client_id));
        }
        let core = &self.broker.core;
        assert_eq!(core.stats.clients_connected.get(), 0);
        assert_eq!(core.memory.bytes(), 0, "messages are left");
        assert_eq!(core.router.subscriptions(), 0, "subscriptions are left");
    }
}

impl Place {
    fn read(&mut self) {
        while let Some(Ok(1..)) = self.stream.read_buf(&mut self.received).now_or_never() {}
    }
}

/// A packet with that first byte; its length is right.
fn framed(first: u8, body: &[u8]) -> Vec<u8> {
    let mut packet = vec![first];
    let mut length = body.len();
    while length > 0x7f {
        packet.push((length & 0x7f) as u8 | 0x80);
        length >>= 7;
    }
    packet.push(length as u8);
    packet.extend_from_slice(body);
    packet
}

fn text(body: &mut BytesMut, text: &str) {
    body.put_u16(text.len() as u16);
    body.put_slice(text.as_bytes());
}

/// A PUBLISH with few packet identifiers, so that they come again.
fn publish(version_5: bool, number: u8, payload: &[u8]) -> Vec<u8> {
    let qos = number % 3;
    let mut body = BytesMut::new();
    text(&mut body, TOPICS[usize::from(number >> 2) % TOPICS.len()]);
    if qos > 0 {
        body.put_u16(u16::from(number >> 4 & 3) + 1);
    }
    if version_5 {
        body.put_u8(0);
    }
    body.put_slice(payload);
    let dup = if qos > 0 { number >> 6 & 1 } else { 0 };
    framed(0x30 | dup << 3 | qos << 1, &body)
}

fn subscribe(version_5: bool, number: u8) -> Vec<u8> {
    let mut body = BytesMut::new();
    body.put_u16(u16::from(number) + 1);
    if version_5 {
        body.put_u8(0);
    }
    text(&mut body, FILTERS[usize::from(number >> 2) % FILTERS.len()]);
    body.put_u8(number % 3);
    framed(0x82, &body)
}

/// What a client received, read by the library of others: CONNACK first, and nothing that it does not understand. The
/// last packet may be cut off by the end of the connection.
fn understood(version_5: bool, mut received: BytesMut) {
    // Whoever is refused before its version is known is answered in the form of 3.1.1.
    let version_5 = version_5 && received.get(1) != Some(&2);
    let mut first = true;
    while let Some(length) = packet_length(&received) {
        let mut packet = received.split_to(length);
        let described = format!("{packet:?}");
        assert_eq!(packet[0] == 0x20, first, "CONNACK comes first and once: {described}");
        first = false;
        if let [0xe0, 1, _] = packet[..] {
            // DISCONNECT without properties (MQTT 5 §3.14.2.2.1), which the library does not know.
            continue;
        }
        let failure = if version_5 {
            v5::Packet::read(&mut packet, None).err().map(|failure| failure.to_string())
        } else {
            v4::Packet::read(&mut packet, usize::MAX).err().map(|failure| failure.to_string())
        };
        assert_eq!(failure, None, "{described}");
    }
}

/// Length of the first packet; `None` if it is not whole.
fn packet_length(bytes: &[u8]) -> Option<usize> {
    let mut length = 0;
    for (at, byte) in bytes.iter().enumerate().skip(1).take(4) {
        length |= usize::from(byte & 0x7f) << (7 * (at - 1));
        if byte & 0x80 == 0 {
            return (at + 1 + length <= bytes.len()).then_some(at + 1 + length);
        }
    }
    None
}
