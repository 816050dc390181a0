//! A load client over MQTT 3.1.1 with QoS 1 both ways: several requests outstanding on a connection.
//!
//! Packets that come for each request are read and written here, byte by byte, since the generator must cost less
//! than what it measures; the few at the beginning go through the library.

use std::net::SocketAddr;
use std::time::Instant;

use bytes::BytesMut;
use rumqttc::QoS;
use rumqttc::mqttbytes::v4::{Connect, Packet, Publish, Subscribe};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use super::http::write_digits;
use super::sample::Latencies;
use crate::Result;

/// Digits of the request identifier, which are written over for each request.
const IDENTIFIER: &str = "0000000000";
const RQI: &[u8] = b"\"rqi\":\"";
/// More than can be outstanding on one connection.
const SLOTS: usize = 4096;

const PUBLISH: u8 = 3;
const PUBACK: u8 = 4;

/// A request, ready to be sent again and again.
pub(crate) struct MqttRequest {
    /// A whole PUBLISH.
    bytes: Vec<u8>,
    packet_id_at: usize,
    identifier_at: usize,
    /// What each answer must contain.
    expected: &'static [u8],
}

impl MqttRequest {
    /// A request primitive, made of the members that are not the same for all; `expected` is the response status code
    /// as it stands in the answer.
    pub(crate) fn new(originator: &str, members: &str, expected: &'static [u8]) -> Result<Self> {
        let topic = format!("/oneM2M/req/{originator}/id-in/json");
        let payload = format!(r#"{{"fr":"{originator}","rqi":"{IDENTIFIER}","rvi":"3",{members}}}"#);
        let mut publish = Publish::new(&topic, QoS::AtLeastOnce, payload.as_bytes());
        publish.pkid = 1;
        let mut bytes = BytesMut::new();
        publish.write(&mut bytes)?;
        let packet_id_at = bytes.len() - payload.len() - 2;
        let identifier_at = identifier(&bytes).ok_or("a request without identifier")?;
        Ok(Self { bytes: bytes.to_vec(), packet_id_at, identifier_at, expected })
    }

    /// A create of a resource type below `to`.
    pub(crate) fn create(to: &str, originator: &str, ty: u32, body: &str) -> Result<Self> {
        Self::new(originator, &format!(r#""op":1,"to":"{to}","ty":{ty},"pc":{body}"#), b"\"rsc\":2001")
    }

    /// A retrieve; `more` is what follows, with a comma, if anything does.
    pub(crate) fn retrieve(to: &str, originator: &str, more: &str) -> Result<Self> {
        Self::new(originator, &format!(r#""op":2,"to":"{to}"{more}"#), b"\"rsc\":2000")
    }

    /// The same, where it comes back as it is.
    pub(crate) fn echoed(mut self) -> Self {
        self.expected = RQI;
        self
    }
}

/// Where the digits of the request identifier begin.
fn identifier(bytes: &[u8]) -> Option<usize> {
    bytes.windows(RQI.len()).position(|window| window == RQI).map(|at| at + RQI.len())
}

/// A connection.
pub(crate) struct MqttClient {
    stream: TcpStream,
    input: BytesMut,
    output: BytesMut,
    packet_id: u16,
    number: u64,
    /// When requests were sent, by the last digits of their number.
    sent: Vec<(u64, Instant)>,
}

impl MqttClient {
    /// Connects and subscribes to the answers for an originator; `kept` says whether the session outlives the
    /// connection.
    pub(crate) async fn connect(address: SocketAddr, originator: &str, kept: bool) -> Result<Self> {
        let stream = TcpStream::connect(address).await?;
        stream.set_nodelay(true)?;
        let mut client = Self {
            stream,
            input: BytesMut::with_capacity(65_536),
            output: BytesMut::with_capacity(65_536),
            packet_id: 0,
            number: 0,
            sent: vec![(0, Instant::now()); SLOTS],
        };
        let mut subscribe = Subscribe::new(format!("/oneM2M/resp/{originator}/id-in/json"), QoS::AtLeastOnce);
        subscribe.pkid = 1;
        let mut connect = Connect::new(originator);
        connect.clean_session = !kept;
        Packet::Connect(connect).write(&mut client.output, usize::MAX)?;
        Packet::Subscribe(subscribe).write(&mut client.output, usize::MAX)?;
        client.stream.write_all_buf(&mut client.output).await?;
        loop {
            match Packet::read(&mut client.input, usize::MAX) {
                Ok(Packet::SubAck(_)) => return Ok(client),
                Ok(_) => {}
                Err(rumqttc::mqttbytes::Error::InsufficientBytes(_)) => client.read().await?,
                Err(error) => return Err(error.into()),
            }
        }
    }

    async fn read(&mut self) -> Result<()> {
        self.input.reserve(16_384);
        match self.stream.read_buf(&mut self.input).await? {
            0 => Err("the broker closed a connection".into()),
            _ => Ok(()),
        }
    }

    /// Keeps so many requests outstanding until that time, then waits for the last answers.
    pub(crate) async fn run(
        &mut self,
        request: &mut MqttRequest,
        outstanding: usize,
        until: Until,
    ) -> Result<Latencies> {
        let mut latencies = Latencies::default();
        let (mut open, mut unacknowledged, mut begun) = (0, 0, 0);
        loop {
            while open < outstanding && until.goes_on(begun) {
                self.send(request);
                (open, unacknowledged, begun) = (open + 1, unacknowledged + 1, begun + 1);
            }
            if !self.output.is_empty() {
                self.stream.write_all_buf(&mut self.output).await?;
            }
            if open == 0 && unacknowledged == 0 {
                return Ok(latencies);
            }
            self.read().await?;
            while let Some(length) = packet_length(&self.input)? {
                let packet = self.input.split_to(length);
                match packet[0] >> 4 {
                    PUBACK => unacknowledged -= 1,
                    PUBLISH => {
                        self.take_answer(&packet, request, &mut latencies)?;
                        open -= 1;
                    }
                    kind => return Err(format!("unexpected MQTT packet of type {kind}").into()),
                }
            }
        }
    }

    fn send(&mut self, request: &mut MqttRequest) {
        self.number += 1;
        self.packet_id = self.packet_id.checked_add(1).unwrap_or(1);
        request.bytes[request.packet_id_at..][..2].copy_from_slice(&self.packet_id.to_be_bytes());
        write_digits(&mut request.bytes[request.identifier_at..][..IDENTIFIER.len()], self.number);
        self.sent[self.number as usize % SLOTS] = (self.number, Instant::now());
        self.output.extend_from_slice(&request.bytes);
    }

    /// Checks an answer, acknowledges it and notes how long it took.
    fn take_answer(&mut self, packet: &[u8], request: &MqttRequest, latencies: &mut Latencies) -> Result<()> {
        let unexpected = || format!("unexpected answer: {}", String::from_utf8_lossy(packet));
        let digits = identifier(packet).and_then(|at| packet.get(at..at + IDENTIFIER.len())).ok_or_else(unexpected)?;
        let number: u64 = std::str::from_utf8(digits)?.parse().map_err(|_| unexpected())?;
        let expected = request.expected;
        let (sent, began) = self.sent[number as usize % SLOTS];
        if sent != number || !packet.windows(expected.len()).any(|window| window == expected) {
            return Err(unexpected().into());
        }
        latencies.add(began);
        // Behind the fixed header and the topic; the broker gave QoS 1, as subscribed.
        let header = 1 + packet[1..].iter().position(|byte| byte & 0x80 == 0).map_or(1, |at| at + 1);
        let topic = usize::from(u16::from_be_bytes([packet[header], packet[header + 1]]));
        let packet_id = packet.get(header + 2 + topic..header + 4 + topic).ok_or_else(unexpected)?;
        self.output.extend_from_slice(&[PUBACK << 4, 2]);
        self.output.extend_from_slice(packet_id);
        Ok(())
    }
}

/// When to send no more.
#[derive(Clone, Copy)]
pub(crate) enum Until {
    Time(Instant),
    Count(u64),
}

impl Until {
    fn goes_on(self, begun: u64) -> bool {
        match self {
            Self::Time(time) => Instant::now() < time,
            Self::Count(count) => begun < count,
        }
    }
}

/// The length of the first packet, when it is there as a whole.
fn packet_length(bytes: &[u8]) -> Result<Option<usize>> {
    let mut length = 0_usize;
    for index in 0..4 {
        let Some(byte) = bytes.get(1 + index) else {
            return Ok(None);
        };
        length |= usize::from(byte & 0x7f) << (7 * index);
        if byte & 0x80 == 0 {
            let whole = 2 + index + length;
            return Ok((bytes.len() >= whole).then_some(whole));
        }
    }
    Err("an MQTT packet with a malformed length".into())
}
