//! A TCP line that a test can cut, slow down, silence and close by half, at once or when certain bytes pass. It knows no
//! protocol; [`crate::proxy`] knows the packets of MQTT.

use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use parking_lot::Mutex;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::task::{JoinHandle, JoinSet};

use crate::proxy::Way;
use crate::wait::in_time;

/// Bytes that are read at a time.
const CHUNK: usize = 4_096;

/// What becomes of what comes in.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Flow {
    /// It goes on after so long; those behind it wait.
    After(Duration),
    /// It waits, and nobody is told: connections stay, new ones are taken. What waits goes on when the line is open again,
    /// as TCP would send it again.
    Silent,
    /// Connections end, and new ones at once.
    Cut,
}

/// What the ways look at.
#[derive(Clone, Copy, Debug)]
struct State {
    flow: Flow,
    /// Connections up to that number are ended.
    ended: usize,
    /// Of connections up to that number nothing is passed on any more.
    forgotten: usize,
    /// Connections up to that number are closed by half.
    half_closed: [usize; 2],
}

/// What happens when certain bytes pass.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Strike {
    /// All connections end, and the bytes with them; new ones are taken.
    CutBefore,
    /// The bytes pass, then all connections end.
    CutAfter,
    /// The line falls silent, and the bytes wait.
    SilenceBefore,
    /// The bytes pass, then the line falls silent.
    SilenceAfter,
}

struct Trap {
    way: Way,
    text: Vec<u8>,
    strike: Strike,
}

struct Shared {
    upstream: u16,
    state: watch::Sender<State>,
    trap: Mutex<Option<Trap>>,
    struck: watch::Sender<usize>,
    /// Connections that came.
    connections: AtomicUsize,
}

/// See the module; dropped, it is gone with all its connections.
pub struct Line {
    port: u16,
    shared: Arc<Shared>,
    task: JoinHandle<()>,
}

impl Line {
    /// An open line to that port of this machine.
    ///
    /// # Panics
    /// If it cannot listen.
    pub async fn to(upstream: u16) -> Self {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.expect("bound");
        let port = listener.local_addr().expect("an address").port();
        let state = State { flow: Flow::After(Duration::ZERO), ended: 0, forgotten: 0, half_closed: [0, 0] };
        let shared = Arc::new(Shared {
            upstream,
            state: watch::Sender::new(state),
            trap: Mutex::new(None),
            struck: watch::Sender::new(0),
            connections: AtomicUsize::new(0),
        });
        let task = tokio::spawn(accept(listener, Arc::clone(&shared)));
        Self { port, shared, task }
    }

    /// Where it begins.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// Connections so far.
    pub fn connections(&self) -> usize {
        self.shared.connections.load(Ordering::SeqCst)
    }

    /// Lets everything pass.
    pub fn open(&self) {
        self.slow(Duration::ZERO);
    }

    /// Lets everything pass after that time in each direction.
    pub fn slow(&self, delay: Duration) {
        self.shared.state.send_modify(|state| state.flow = Flow::After(delay));
    }

    /// Lets nothing pass, and tells nobody.
    pub fn silence(&self) {
        self.shared.state.send_modify(|state| state.flow = Flow::Silent);
    }

    /// Ends all connections, and new ones at once.
    pub fn cut(&self) {
        self.shared.state.send_modify(|state| state.flow = Flow::Cut);
    }

    /// Ends all connections; new ones are taken.
    pub fn cut_once(&self) {
        self.shared.cut_once();
    }

    /// Never lets anything of the present connections pass any more, and tells nobody, as a NAT that has forgotten them.
    pub fn forget(&self) {
        let count = self.connections();
        self.shared.state.send_modify(|state| state.forgotten = count);
    }

    /// Ends the present connections in one direction.
    pub fn half_close(&self, way: Way) {
        let count = self.connections();
        self.shared.state.send_modify(|state| state.half_closed[way as usize] = count);
    }

    /// Strikes when that text passes in that direction, once.
    pub fn strike(&self, way: Way, text: &str, strike: Strike) {
        *self.shared.trap.lock() = Some(Trap { way, text: text.as_bytes().to_vec(), strike });
    }

    /// Waits until it has struck that often in all.
    ///
    /// # Panics
    /// If it does not.
    pub async fn struck(&self, count: usize) {
        let mut struck = self.shared.struck.subscribe();
        in_time("the text passes", struck.wait_for(|struck| *struck >= count)).await.expect("the line is there");
    }
}

impl Drop for Line {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl Shared {
    fn cut_once(&self) {
        let count = self.connections.load(Ordering::SeqCst);
        self.state.send_modify(|state| state.ended = count);
    }

    /// What is to be done if the bytes are those that were waited for.
    fn springs(&self, way: Way, bytes: &[u8]) -> Option<Strike> {
        let mut trap = self.trap.lock();
        let strike = trap
            .as_ref()
            .filter(|trap| trap.way == way && bytes.windows(trap.text.len()).any(|window| window == trap.text))?
            .strike;
        *trap = None;
        Some(strike)
    }

    fn strike(&self, strike: Strike) {
        match strike {
            Strike::CutBefore | Strike::CutAfter => self.cut_once(),
            Strike::SilenceBefore | Strike::SilenceAfter => {
                self.state.send_modify(|state| state.flow = Flow::Silent);
            }
        }
        self.struck.send_modify(|struck| *struck += 1);
    }
}

async fn accept(listener: TcpListener, shared: Arc<Shared>) {
    let mut connections = JoinSet::new();
    while let Ok((stream, _)) = listener.accept().await {
        let number = shared.connections.fetch_add(1, Ordering::SeqCst) + 1;
        connections.spawn(connection(number, stream, Arc::clone(&shared)));
        while connections.try_join_next().is_some() {}
    }
}

async fn connection(number: usize, client: TcpStream, shared: Arc<Shared>) {
    let mut state = shared.state.subscribe();
    if passable(number, &mut state).await.is_none() {
        return;
    }
    let upstream = SocketAddr::from((Ipv4Addr::LOCALHOST, shared.upstream));
    let Ok(server) = TcpStream::connect(upstream).await else { return };
    let _ = (client.set_nodelay(true), server.set_nodelay(true));
    let ((client_reads, client_writes), (server_reads, server_writes)) = (client.into_split(), server.into_split());
    // An end in one direction is passed on as such; whatever goes wrong ends both.
    let up = carry(number, Way::Up, client_reads, server_writes, &shared);
    let down = carry(number, Way::Down, server_reads, client_writes, &shared);
    let _ = tokio::try_join!(up, down);
}

/// Waits until bytes may pass; how long they take. `None` if the connection is to end.
async fn passable(number: usize, state: &mut watch::Receiver<State>) -> Option<Duration> {
    loop {
        let now = *state.borrow_and_update();
        if now.flow == Flow::Cut || number <= now.ended {
            return None;
        }
        if let Flow::After(delay) = now.flow
            && number > now.forgotten
        {
            return Some(delay);
        }
        state.changed().await.ok()?;
    }
}

/// What ends a connection in both directions.
struct Ended;

async fn carry(
    number: usize,
    way: Way,
    mut from: OwnedReadHalf,
    mut to: OwnedWriteHalf,
    shared: &Shared,
) -> Result<(), Ended> {
    let mut state = shared.state.subscribe();
    let (mut buffer, mut passed) = (vec![0; CHUNK], Vec::new());
    loop {
        passable(number, &mut state).await.ok_or(Ended)?;
        if number <= state.borrow().half_closed[way as usize] {
            let _ = to.shutdown().await;
            return Ok(());
        }
        let count = tokio::select! {
            count = from.read(&mut buffer) => count.map_err(|_| Ended)?,
            changed = state.changed() => {
                changed.map_err(|_| Ended)?;
                continue;
            }
        };
        let delay = passable(number, &mut state).await.ok_or(Ended)?;
        tokio::time::sleep(delay).await;
        if count == 0 {
            let _ = to.shutdown().await;
            return Ok(());
        }
        let bytes = &buffer[..count];
        passed.extend_from_slice(bytes);
        let strike = shared.springs(way, &passed);
        // The text may come in two parts.
        passed.drain(..passed.len().saturating_sub(CHUNK));
        if let Some(strike @ (Strike::CutBefore | Strike::SilenceBefore)) = strike {
            shared.strike(strike);
        }
        passable(number, &mut state).await.ok_or(Ended)?;
        to.write_all(bytes).await.map_err(|_| Ended)?;
        if let Some(strike @ (Strike::CutAfter | Strike::SilenceAfter)) = strike {
            shared.strike(strike);
        }
    }
}
