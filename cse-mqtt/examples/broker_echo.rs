//! Measures the embedded broker: round trips per second from a client over TCP to a link that echoes, and back.
//!
//! ```text
//! cargo run --release -p cse-mqtt --example broker_echo [seconds per line] [idle sessions]
//! ```
//!
//! Each round trip is a PUBLISH to the link, its PUBACK after the link has answered and accepted, the answer's PUBLISH
//! and its PUBACK from the client: all with QoS 1, or without the PUBACKs with QoS 0. Broker, link and load client share
//! this process and its cores, so the CPU time given per round trip is that of all three. Idle sessions are kept
//! sessions that are offline, each with a wildcard subscription of its own.

use std::error::Error;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::BytesMut;
use cse_mqtt::broker::{Broker, Limits, Link, LinkReceiver, OpenPolicy};
use rumqttc::QoS;
use rumqttc::mqttbytes::v4::{Connect, Packet, PubAck, Publish, Subscribe};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;

const PAYLOAD_BYTES: usize = 200;

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let mut arguments = std::env::args().skip(1);
    let seconds: u64 = arguments.next().map_or(Ok(2), |text| text.parse())?;
    let idle: usize = arguments.next().map_or(Ok(0), |text| text.parse())?;

    let broker = Broker::new(Limits::default(), Arc::new(OpenPolicy));
    let (link, receiver) = broker.link("echo", &["/oneM2M/req/+/echo/#"])?;
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    let address = listener.local_addr()?;
    let (stop, shutdown) = watch::channel(false);
    let serving = broker.clone();
    let server = tokio::spawn(async move { serving.serve(listener, shutdown, Duration::from_secs(1)).await });
    let echo = tokio::spawn(echo(link, receiver));

    for number in 0..idle {
        let filters = [format!("/oneM2M/resp/+/idle-{number}/#"), format!("/oneM2M/req/+/idle-{number}/#")];
        for filter in filters {
            Client::connect(address, &format!("idle-{number}"), false, &filter).await?;
        }
    }

    println!("{:>4} {:>12} {:>16} {:>22}", "QoS", "outstanding", "round trips/s", "CPU µs per round trip");
    for qos in [QoS::AtLeastOnce, QoS::AtMostOnce] {
        for outstanding in [1, 16, 64] {
            let mut client = Client::connect(address, "load", true, "/oneM2M/resp/load/#").await?;
            client.run(qos, outstanding, Duration::from_millis(200)).await?;
            let (began, cpu) = (Instant::now(), cpu_seconds());
            let count = client.run(qos, outstanding, Duration::from_secs(seconds)).await?;
            let per_second = count as f64 / began.elapsed().as_secs_f64();
            let cost = cpu.zip(cpu_seconds()).map(|(before, after)| (after - before) * 1e6 / count as f64);
            let cost = cost.map_or("?".to_owned(), |cost| format!("{cost:.2}"));
            println!("{:>4} {outstanding:>12} {per_second:>16.0} {cost:>22}", qos as u8);
        }
    }
    stop.send(true)?;
    server.await?;
    echo.abort();
    Ok(())
}

/// Answers each request to its publisher, then accepts it.
async fn echo(link: Link, mut receiver: LinkReceiver) {
    let mut requests = Vec::new();
    loop {
        receiver.receive(&mut requests, 256).await;
        for request in requests.drain(..) {
            let topic = format!("/oneM2M/resp/{}/echo/json", request.publisher.client_id);
            if let Err(error) = link.publish(&topic, request.payload, request.qos) {
                eprintln!("{error}");
            }
            request.ack.accept();
        }
    }
}

/// A load client that keeps a number of requests outstanding.
struct Client {
    stream: TcpStream,
    input: BytesMut,
    output: BytesMut,
    request: Publish,
}

impl Client {
    async fn connect(address: SocketAddr, id: &str, clean: bool, filter: &str) -> Result<Self, Box<dyn Error>> {
        let stream = TcpStream::connect(address).await?;
        stream.set_nodelay(true)?;
        let topic = format!("/oneM2M/req/{id}/echo/json");
        let mut client = Self {
            stream,
            input: BytesMut::with_capacity(65_536),
            output: BytesMut::with_capacity(65_536),
            request: Publish::new(topic, QoS::AtMostOnce, vec![b'x'; PAYLOAD_BYTES]),
        };
        let mut connect = Connect::new(id);
        connect.clean_session = clean;
        let mut subscribe = Subscribe::new(filter, QoS::AtLeastOnce);
        subscribe.pkid = 1;
        client.send(&Packet::Connect(connect))?;
        client.send(&Packet::Subscribe(subscribe))?;
        client.stream.write_all_buf(&mut client.output).await?;
        loop {
            if let Packet::SubAck(_) = client.receive().await? {
                return Ok(client);
            }
        }
    }

    fn send(&mut self, packet: &Packet) -> Result<(), Box<dyn Error>> {
        packet.write(&mut self.output, usize::MAX)?;
        Ok(())
    }

    async fn receive(&mut self) -> Result<Packet, Box<dyn Error>> {
        loop {
            if let Some(packet) = self.received()? {
                return Ok(packet);
            }
            if self.stream.read_buf(&mut self.input).await? == 0 {
                return Err("the broker closed the connection".into());
            }
        }
    }

    fn received(&mut self) -> Result<Option<Packet>, Box<dyn Error>> {
        match Packet::read(&mut self.input, usize::MAX) {
            Ok(packet) => Ok(Some(packet)),
            Err(rumqttc::mqttbytes::Error::InsufficientBytes(_)) => Ok(None),
            Err(error) => Err(error.into()),
        }
    }

    /// Runs for `time`, and until the last answer has come. Gives the number of round trips.
    async fn run(&mut self, qos: QoS, outstanding: usize, time: Duration) -> Result<u64, Box<dyn Error>> {
        self.request.qos = qos;
        let until = Instant::now() + time;
        let (mut answered, mut open, mut unacknowledged) = (0, 0, 0_usize);
        let mut asking = true;
        loop {
            while asking && open < outstanding {
                self.request.pkid = self.request.pkid.checked_add(1).unwrap_or(1);
                self.request.write(&mut self.output)?;
                open += 1;
                unacknowledged += usize::from(qos == QoS::AtLeastOnce);
            }
            if !self.output.is_empty() {
                self.stream.write_all_buf(&mut self.output).await?;
                self.output.clear();
            }
            if !asking && open == 0 && unacknowledged == 0 {
                return Ok(answered);
            }
            let mut packet = self.receive().await?;
            loop {
                match packet {
                    Packet::Publish(publish) => {
                        open -= 1;
                        answered += 1;
                        if publish.qos == QoS::AtLeastOnce {
                            PubAck::new(publish.pkid).write(&mut self.output)?;
                        }
                    }
                    Packet::PubAck(_) => unacknowledged -= 1,
                    other => return Err(format!("unexpected {other:?}").into()),
                }
                match self.received()? {
                    Some(next) => packet = next,
                    None => break,
                }
            }
            asking = asking && Instant::now() < until;
        }
    }
}

/// CPU time of this process, where the system has `/proc`.
fn cpu_seconds() -> Option<f64> {
    let stat = std::fs::read_to_string("/proc/self/stat").ok()?;
    let mut fields = stat.rsplit_once(") ")?.1.split(' ').skip(11);
    let user: f64 = fields.next()?.parse().ok()?;
    let system: f64 = fields.next()?.parse().ok()?;
    // The kernel's unit for user space is 1/100 s on all common systems.
    Some((user + system) / 100.0)
}
