//! A TCP proxy between an MQTT client and a broker that knows where packets begin, so that a test can lose a certain one.

use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::sync::atomic::{AtomicU16, AtomicUsize, Ordering};

use parking_lot::Mutex;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::task::{JoinHandle, JoinSet};

use crate::wait::in_time;

/// Which way a packet goes.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Way {
    /// From whoever connected.
    Up,
    /// To whoever connected.
    Down,
}

/// A packet on its way.
#[derive(Clone, Debug)]
pub struct Passing {
    /// Which way.
    pub way: Way,
    /// All bytes.
    pub bytes: Vec<u8>,
    header_bytes: usize,
}

impl Passing {
    /// Whether it is a PUBLISH to a topic that begins like this.
    pub fn is_publish(&self, topic: &str) -> bool {
        let body = &self.bytes[self.header_bytes..];
        self.bytes[0] >> 4 == 3 && body.get(2..).is_some_and(|body| body.starts_with(topic.as_bytes()))
    }

    /// Whether that text occurs in it.
    pub fn contains(&self, text: &str) -> bool {
        self.bytes.windows(text.len().max(1)).any(|window| window == text.as_bytes())
    }

    /// Whether it is a PUBACK.
    pub fn is_puback(&self) -> bool {
        self.bytes[0] >> 4 == 4
    }
}

/// What becomes of a packet.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Fate {
    /// It goes on.
    Pass,
    /// It is lost, and so is everything behind it on this connection, which stays open.
    Freeze,
    /// It is lost, and the connection with it.
    Cut,
}

type Rule = Box<dyn FnMut(&Passing) -> Fate + Send>;

struct Shared {
    upstream: AtomicU16,
    rule: Mutex<Rule>,
    /// Connections that came.
    connections: AtomicUsize,
    /// Packets that did not pass.
    lost: watch::Sender<usize>,
    /// Counts up to end all connections.
    epoch: watch::Sender<usize>,
}

/// A proxy that listens on a port of its own; dropped, it is gone with all its connections.
pub struct Proxy {
    port: u16,
    shared: Arc<Shared>,
    task: JoinHandle<()>,
}

impl Proxy {
    /// A proxy to that port of this machine, which lets everything pass.
    ///
    /// # Panics
    /// If it cannot listen.
    pub async fn start(upstream: u16) -> Self {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.expect("bound");
        let port = listener.local_addr().expect("an address").port();
        let shared = Arc::new(Shared {
            upstream: AtomicU16::new(upstream),
            rule: Mutex::new(Box::new(|_| Fate::Pass)),
            connections: AtomicUsize::new(0),
            lost: watch::Sender::new(0),
            epoch: watch::Sender::new(0),
        });
        let task = tokio::spawn(accept(listener, Arc::clone(&shared)));
        Self { port, shared, task }
    }

    /// Where it listens.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// Where it leads from now on.
    pub fn lead_to(&self, upstream: u16) {
        self.shared.upstream.store(upstream, Ordering::SeqCst);
    }

    /// What becomes of packets from now on.
    pub fn rule(&self, rule: impl FnMut(&Passing) -> Fate + Send + 'static) {
        *self.shared.rule.lock() = Box::new(rule);
    }

    /// Lets everything pass on new connections and ends the others.
    pub fn reset(&self) {
        self.rule(|_| Fate::Pass);
        self.cut();
    }

    /// Ends all connections.
    pub fn cut(&self) {
        self.shared.epoch.send_modify(|epoch| *epoch += 1);
    }

    /// Connections so far.
    pub fn connections(&self) -> usize {
        self.shared.connections.load(Ordering::SeqCst)
    }

    /// Waits until that many packets in all have been lost by a rule.
    ///
    /// # Panics
    /// If they are not.
    pub async fn lost(&self, count: usize) {
        let mut lost = self.shared.lost.subscribe();
        in_time("a packet is lost", lost.wait_for(|lost| *lost >= count)).await.expect("the proxy runs");
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        self.task.abort();
    }
}

async fn accept(listener: TcpListener, shared: Arc<Shared>) {
    let mut connections = JoinSet::new();
    while let Ok((stream, _)) = listener.accept().await {
        shared.connections.fetch_add(1, Ordering::SeqCst);
        connections.spawn(connection(stream, Arc::clone(&shared)));
        while connections.try_join_next().is_some() {}
    }
}

async fn connection(client: TcpStream, shared: Arc<Shared>) {
    let upstream = SocketAddr::from((Ipv4Addr::LOCALHOST, shared.upstream.load(Ordering::SeqCst)));
    let mut epoch = shared.epoch.subscribe();
    epoch.mark_unchanged();
    let Ok(broker) = TcpStream::connect(upstream).await else { return };
    let _ = (client.set_nodelay(true), broker.set_nodelay(true));
    let ((client_reads, client_writes), (broker_reads, broker_writes)) = (client.into_split(), broker.into_split());
    // Whichever end comes first ends both ways: everything is dropped.
    tokio::select! {
        () = pass(Way::Up, client_reads, broker_writes, &shared) => {}
        () = pass(Way::Down, broker_reads, client_writes, &shared) => {}
        _ = epoch.changed() => {}
    }
}

async fn pass(way: Way, mut from: OwnedReadHalf, mut to: OwnedWriteHalf, shared: &Shared) {
    let mut frozen = false;
    while let Some(packet) = read(way, &mut from).await {
        let fate = if frozen { Fate::Freeze } else { (*shared.rule.lock())(&packet) };
        match fate {
            Fate::Pass if to.write_all(&packet.bytes).await.is_err() => return,
            Fate::Pass => {}
            Fate::Cut => {
                shared.lost.send_modify(|lost| *lost += 1);
                return;
            }
            Fate::Freeze => {
                if !frozen {
                    shared.lost.send_modify(|lost| *lost += 1);
                }
                frozen = true;
            }
        }
    }
}

async fn read(way: Way, from: &mut OwnedReadHalf) -> Option<Passing> {
    let mut bytes = vec![from.read_u8().await.ok()?];
    let (mut length, mut shift) = (0, 0);
    loop {
        let byte = from.read_u8().await.ok()?;
        bytes.push(byte);
        length |= usize::from(byte & 0x7f) << shift;
        shift += 7;
        if byte & 0x80 == 0 || shift > 21 {
            break;
        }
    }
    let header_bytes = bytes.len();
    bytes.resize(header_bytes + length, 0);
    from.read_exact(&mut bytes[header_bytes..]).await.ok()?;
    Some(Passing { way, bytes, header_bytes })
}
