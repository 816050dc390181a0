//! A load client over MQTT 3.1.1 with QoS 1 both ways: several requests outstanding on a connection.
//!
//! Packets that come for each request are read and written here, byte by byte, since the generator must cost less
//! than what it measures; the few at the beginning go through the library.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use bytes::BytesMut;
use cse_tests::form::Form;
use rumqttc::QoS;
use rumqttc::mqttbytes::v4::Publish;
use serde_json::{Value, json};
use tokio::time::sleep_until;

use super::http::write_digits;
use super::sample::Latencies;
use super::stamp;
use super::wire::{Door, PUBACK, PUBLISH, Wire, packet_id_at, packet_length};
use crate::Result;

/// Digits of the request identifier, which are written over for each request.
const IDENTIFIER: &str = "0000000000";
const RQI: &[u8] = b"\"rqi\":\"";
/// The CSE that is asked where nothing else is said: its CSE-ID without slash.
const CSE: &str = "id-in";

/// A request, ready to be sent again and again.
pub(crate) struct MqttRequest {
    /// A whole PUBLISH.
    bytes: Vec<u8>,
    packet_id_at: usize,
    identifier_at: usize,
    /// Where the content has a [`stamp`] of its own, written for each request.
    stamp_at: Option<usize>,
    /// What stands before the request identifier.
    before_identifier: &'static [u8],
    /// What each answer must contain.
    expected: &'static [u8],
}

impl MqttRequest {
    /// A request primitive, made of the members that are not the same for all; `expected` is the response status code
    /// as it stands in the answer.
    pub(crate) fn new(originator: &str, members: &str, expected: &'static [u8]) -> Result<Self> {
        Self::at(CSE, originator, members, expected)
    }

    /// The same, given to the CSE with that CSE-ID (without slash).
    pub(crate) fn at(cse: &str, originator: &str, members: &str, expected: &'static [u8]) -> Result<Self> {
        let payload = format!(r#"{{"fr":"{originator}","rqi":"{IDENTIFIER}","rvi":"3",{members}}}"#);
        Self::of(Form::Json, cse, originator, payload.as_bytes(), expected)
    }

    fn of(form: Form, cse: &str, originator: &str, payload: &[u8], expected: &'static [u8]) -> Result<Self> {
        let topic = format!("/oneM2M/req/{originator}/{cse}/{}", form.name());
        let mut publish = Publish::new(&topic, QoS::AtLeastOnce, payload);
        publish.pkid = 1;
        let mut bytes = BytesMut::new();
        publish.write(&mut bytes)?;
        let packet_id_at = bytes.len() - payload.len() - 2;
        let before_identifier = match form {
            Form::Json => RQI,
            Form::Xml => b"<rqi>",
            // A text of three bytes, then the beginning of one of ten.
            Form::Cbor => b"\x63rqi\x6a",
        };
        let identifier_at = behind(&bytes, before_identifier).ok_or("a request without identifier")?;
        let stamp_at = stamp::find(&bytes);
        Ok(Self { bytes: bytes.to_vec(), packet_id_at, identifier_at, stamp_at, before_identifier, expected })
    }

    /// A request in any serialization; `more` has what [`MqttRequest::new`] has as members.
    fn in_form(form: Form, originator: &str, more: Value, expected: &'static [u8]) -> Result<Self> {
        let mut primitive = json!({ "fr": originator, "rqi": IDENTIFIER, "rvi": "3" });
        if let (Value::Object(primitive), Value::Object(more)) = (&mut primitive, more) {
            primitive.extend(more);
        }
        Self::of(form, CSE, originator, &form.write_primitive("m2m:rqp", &primitive), expected)
    }

    /// A create of a resource type below `to`, in any serialization.
    pub(crate) fn create_in(form: Form, to: &str, originator: &str, ty: u32, body: &str) -> Result<Self> {
        let body: Value = serde_json::from_str(body)?;
        let expected: &[u8] = match form {
            Form::Json => b"\"rsc\":2001",
            Form::Xml => b"<rsc>2001</rsc>",
            Form::Cbor => b"\x63rsc\x19\x07\xd1",
        };
        Self::in_form(form, originator, json!({ "op": 1, "to": to, "ty": ty, "pc": body }), expected)
    }

    /// A retrieve, in any serialization.
    pub(crate) fn retrieve_in(form: Form, to: &str, originator: &str) -> Result<Self> {
        let expected: &[u8] = match form {
            Form::Json => b"\"rsc\":2000",
            Form::Xml => b"<rsc>2000</rsc>",
            Form::Cbor => b"\x63rsc\x19\x07\xd0",
        };
        Self::in_form(form, originator, json!({ "op": 2, "to": to }), expected)
    }

    /// A create of a resource type below `to`.
    pub(crate) fn create(to: &str, originator: &str, ty: u32, body: &str) -> Result<Self> {
        Self::create_at(CSE, to, originator, ty, body)
    }

    /// The same, given to the CSE with that CSE-ID (without slash).
    pub(crate) fn create_at(cse: &str, to: &str, originator: &str, ty: u32, body: &str) -> Result<Self> {
        Self::at(cse, originator, &format!(r#""op":1,"to":"{to}","ty":{ty},"pc":{body}"#), b"\"rsc\":2001")
    }

    /// A retrieve; `more` is what follows, with a comma, if anything does.
    pub(crate) fn retrieve(to: &str, originator: &str, more: &str) -> Result<Self> {
        Self::new(originator, &format!(r#""op":2,"to":"{to}"{more}"#), b"\"rsc\":2000")
    }

    /// A retrieve, given to the CSE with that CSE-ID (without slash).
    pub(crate) fn retrieve_at(cse: &str, to: &str, originator: &str) -> Result<Self> {
        Self::at(cse, originator, &format!(r#""op":2,"to":"{to}""#), b"\"rsc\":2000")
    }

    /// The same, where it comes back as it is.
    pub(crate) fn echoed(mut self) -> Self {
        self.expected = RQI;
        self
    }
}

/// Where that ends for the first time.
fn behind(bytes: &[u8], before: &[u8]) -> Option<usize> {
    bytes.windows(before.len()).position(|window| window == before).map(|at| at + before.len())
}

/// A connection.
pub(crate) struct MqttClient {
    wire: Wire,
    packet_id: u16,
    number: u64,
    /// When the requests without an answer were sent, in order.
    sent: VecDeque<(u64, Instant)>,
    unacknowledged: usize,
}

impl MqttClient {
    /// Connects under a client identifier, and subscribes to the answers for an originator in a serialization. `kept`
    /// says whether the session outlives the connection.
    pub(crate) async fn connect(
        door: &Door,
        client_id: &str,
        originator: &str,
        form: Form,
        kept: bool,
    ) -> Result<Self> {
        Self::connect_to(CSE, door, client_id, originator, form, kept).await
    }

    /// The same, for answers of the CSE with that CSE-ID (without slash).
    pub(crate) async fn connect_to(
        cse: &str,
        door: &Door,
        client_id: &str,
        originator: &str,
        form: Form,
        kept: bool,
    ) -> Result<Self> {
        let filter = format!("/oneM2M/resp/{originator}/{cse}/{}", form.name());
        let wire = Wire::connect(door, client_id, &[filter], kept).await?;
        Ok(Self { wire, packet_id: 0, number: 0, sent: VecDeque::new(), unacknowledged: 0 })
    }

    /// Requests that were sent so far.
    pub(crate) fn sent(&self) -> u64 {
        self.number
    }

    /// Keeps so many requests outstanding until that time, then waits for the last answers.
    pub(crate) async fn run(
        &mut self,
        request: &mut MqttRequest,
        outstanding: usize,
        until: Until,
    ) -> Result<Latencies> {
        let mut latencies = Latencies::default();
        let mut begun = 0;
        loop {
            while self.sent.len() < outstanding && until.goes_on(begun) {
                self.send(request, Instant::now());
                begun += 1;
            }
            self.wire.flush().await?;
            if self.is_quiet() {
                return Ok(latencies);
            }
            self.wire.read().await?;
            self.take_input(request, &mut latencies)?;
        }
    }

    /// Sends a request at each of these times, whether the ones before are answered or not, until the end; then waits
    /// for the last answers. Latencies count from when a request was to be sent.
    pub(crate) async fn run_steadily(
        &mut self,
        request: &mut MqttRequest,
        first: Instant,
        interval: Duration,
        end: Instant,
    ) -> Result<Latencies> {
        let mut latencies = Latencies::default();
        let mut next = first;
        loop {
            let now = Instant::now();
            while next < end && next <= now {
                self.send(request, next);
                next += interval;
            }
            self.wire.flush().await?;
            if next >= end && self.is_quiet() {
                return Ok(latencies);
            }
            tokio::select! {
                read = self.wire.read() => {
                    read?;
                    self.take_input(request, &mut latencies)?;
                }
                () = sleep_until(next.into()), if next < end => {}
            }
        }
    }

    fn is_quiet(&self) -> bool {
        self.sent.is_empty() && self.unacknowledged == 0
    }

    fn take_input(&mut self, request: &MqttRequest, latencies: &mut Latencies) -> Result<()> {
        while let Some(length) = packet_length(&self.wire.input)? {
            let packet = self.wire.input.split_to(length);
            match packet[0] >> 4 {
                PUBACK => self.unacknowledged -= 1,
                PUBLISH => self.take_answer(&packet, request, latencies)?,
                kind => return Err(format!("unexpected MQTT packet of type {kind}").into()),
            }
        }
        Ok(())
    }

    fn send(&mut self, request: &mut MqttRequest, at: Instant) {
        self.number += 1;
        self.unacknowledged += 1;
        self.packet_id = self.packet_id.checked_add(1).unwrap_or(1);
        request.bytes[request.packet_id_at..][..2].copy_from_slice(&self.packet_id.to_be_bytes());
        write_digits(&mut request.bytes[request.identifier_at..][..IDENTIFIER.len()], self.number);
        if let Some(stamp_at) = request.stamp_at {
            stamp::write(&mut request.bytes[stamp_at..], self.number, at);
        }
        self.sent.push_back((self.number, at));
        self.wire.output.extend_from_slice(&request.bytes);
    }

    /// Checks an answer, acknowledges it and notes how long it took.
    fn take_answer(&mut self, packet: &[u8], request: &MqttRequest, latencies: &mut Latencies) -> Result<()> {
        let unexpected = || format!("unexpected answer: {}", String::from_utf8_lossy(packet));
        let digits = behind(packet, request.before_identifier);
        let digits = digits.and_then(|at| packet.get(at..at + IDENTIFIER.len())).ok_or_else(unexpected)?;
        let number: u64 = std::str::from_utf8(digits)?.parse().map_err(|_| unexpected())?;
        let expected = request.expected;
        let place = self.sent.iter().position(|(sent, _)| *sent == number);
        let (_, began) = place.and_then(|place| self.sent.remove(place)).ok_or_else(unexpected)?;
        if !packet.windows(expected.len()).any(|window| window == expected) {
            return Err(unexpected().into());
        }
        latencies.add(began);
        // The broker gave QoS 1, as subscribed.
        let at = packet_id_at(packet);
        let packet_id = packet.get(at..at + 2).ok_or_else(unexpected)?;
        self.wire.acknowledge(packet_id);
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
