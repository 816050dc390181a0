//! One network connection after its CONNECT: a hand-written poll loop that reads, handles and writes in batches.
//!
//! All complete packets of one read are handled before anything is written, and everything that became ready in the
//! meantime goes out in one write. An idle connection holds no buffers: bytes are read into one that all connections
//! of a thread share. Whenever something this connection feeds is full (a link, its own output, the acknowledgements
//! it waits for), it stops reading, and the client feels that as TCP back-pressure.

use std::cell::RefCell;
use std::collections::VecDeque;
use std::future::{Future, poll_fn};
use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU8, AtomicU64, Ordering};
use std::task::{Context, Poll, ready};
use std::time::Duration;

use bytes::{Buf, BytesMut};
use futures_util::task::AtomicWaker;
use parking_lot::Mutex;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, ReadBuf};
use tokio::time::{Instant, Sleep, sleep_until, timeout};

use super::Core;
use super::acks::{AckKind, AckQueue};
use super::codec::{self, Reason, Version, Violation};
use super::hold::Hold;
use super::link::{Inbound, LinkShared, Push};
use super::policy::{Client, Proof};
use super::replies::ReplyQueue;
use super::review::Denials;
use super::session::Session;
use super::terms::Terms;

/// Bytes read at once.
const READ_BYTES: usize = 64 * 1024;
/// Output is collected up to this size before it is written.
const OUTPUT_BYTES: usize = 64 * 1024;
/// Larger buffers are given back when they are empty.
const IDLE_BUFFER_BYTES: usize = 16 * 1024;
/// Longest time for the end of a connection to be told to its client.
const FAREWELL_MAX: Duration = Duration::from_secs(1);
/// Messages collected for links before they are handed over.
const LINK_BATCH: usize = 64;

thread_local! {
    static READ_BUFFER: RefCell<Vec<u8>> = const { RefCell::new(Vec::new()) };
}

/// Why a connection has ended.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Ending {
    TakenOver = 1,
    Expelled = 2,
    /// Its task is gone.
    Over = 3,
    /// What let the client in does not hold any more.
    Revoked = 4,
}

/// What others may do with a connection while its task runs.
pub(crate) struct ConnectionShared {
    pub(crate) client: Arc<Client>,
    pub(crate) terms: Terms,
    /// What the client was let in for.
    pub(crate) proof: Option<Proof>,
    acks: Mutex<AckQueue>,
    replies: Mutex<ReplyQueue>,
    waker: AtomicWaker,
    ending: AtomicU8,
    draining: AtomicBool,
    /// Identifier of the link whose queue was full, or 0.
    waits_for_link: AtomicU64,
}

impl ConnectionShared {
    pub(crate) fn new(client: Arc<Client>, terms: Terms, proof: Option<Proof>) -> Self {
        Self {
            client,
            terms,
            proof,
            acks: Mutex::default(),
            replies: Mutex::default(),
            waker: AtomicWaker::new(),
            ending: AtomicU8::new(0),
            draining: AtomicBool::new(false),
            waits_for_link: AtomicU64::new(0),
        }
    }

    pub(crate) fn wake(&self) {
        self.waker.wake();
    }

    /// Ends the connection; the first reason counts.
    pub(crate) fn end(&self, ending: Ending) {
        let _ = self.ending.compare_exchange(0, ending as u8, Ordering::Release, Ordering::Relaxed);
        self.wake();
    }

    fn ending(&self) -> Option<Closed> {
        match self.ending.load(Ordering::Acquire) {
            0 => None,
            1 => Some(Closed::TakenOver),
            4 => Some(Closed::Revoked),
            _ => Some(Closed::Expelled),
        }
    }

    /// Takes nothing new and ends when everything begun is done.
    pub(crate) fn drain(&self) {
        self.draining.store(true, Ordering::Release);
        self.wake();
    }

    /// Takes a decision about the acknowledgement with this number.
    pub(crate) fn complete(&self, sequence: u64) {
        let is_head = self.acks.lock().complete(sequence);
        if is_head {
            self.wake();
        }
    }

    /// What the reply with this number waited for is stored.
    pub(crate) fn complete_reply(&self, sequence: u64) {
        let is_head = self.replies.lock().complete(sequence);
        if is_head {
            self.wake();
        }
    }

    /// Changes the reason of an acknowledgement that waits for nobody, and so has not been sent.
    pub(crate) fn set_reason(&self, sequence: u64, reason: Reason) {
        self.acks.lock().set_reason(sequence, reason);
    }

    /// `true` if the connection was not waiting for this link yet.
    pub(crate) fn begin_waiting(&self, link: u64) -> bool {
        self.waits_for_link.swap(link, Ordering::AcqRel) != link
    }

    pub(crate) fn end_waiting(&self, link: u64) {
        let _ = self.waits_for_link.compare_exchange(link, 0, Ordering::AcqRel, Ordering::Relaxed);
        self.wake();
    }
}

impl std::fmt::Debug for ConnectionShared {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("ConnectionShared").field("client_id", &self.client.client_id).finish_non_exhaustive()
    }
}

/// How a connection came to its end.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Closed {
    #[error("the client disconnected")]
    ByClient,
    #[error("the network connection was lost: {0}")]
    Lost(#[from] io::Error),
    #[error("protocol violation: {0}")]
    Violation(#[from] Violation),
    #[error("the client was silent too long")]
    KeepAlive,
    #[error("another connection took over the client identifier")]
    TakenOver,
    #[error("the client was expelled")]
    Expelled,
    #[error("the client's credential does not hold any more")]
    Revoked,
    #[error("the client kept publishing to topics that it is denied")]
    Denied,
    #[error("the broker is stopping")]
    Drained,
}

impl Closed {
    /// What a client of version 5 is told in DISCONNECT, if anything.
    fn reason(&self) -> Option<Reason> {
        match self {
            Self::ByClient | Self::Lost(_) => None,
            Self::Violation(violation) => Some(violation.reason()),
            Self::KeepAlive => Some(Reason::KeepAliveTimeout),
            Self::TakenOver => Some(Reason::TakenOver),
            Self::Expelled => Some(Reason::AdministrativeAction),
            Self::Revoked | Self::Denied => Some(Reason::NotAuthorized),
            Self::Drained => Some(Reason::ShuttingDown),
        }
    }
}

/// Detaches the session however the task of the connection ends.
pub(crate) struct Attachment {
    pub(crate) core: Arc<Core>,
    pub(crate) session: Arc<Session>,
    pub(crate) shared: Arc<ConnectionShared>,
}

impl Attachment {
    pub(crate) fn new(core: Arc<Core>, session: Arc<Session>, shared: Arc<ConnectionShared>) -> Self {
        core.stats.clients_connected.increment();
        Self { core, session, shared }
    }
}

impl Drop for Attachment {
    fn drop(&mut self) {
        self.shared.end(Ending::Over);
        self.core.stats.clients_connected.decrement();
        self.core.detach(&self.session, &self.shared);
    }
}

/// A connection and its buffers.
pub(crate) struct Connection<S> {
    pub(super) attachment: Attachment,
    stream: S,
    /// Bytes of packets that are not complete, or not handled because of back-pressure.
    input: BytesMut,
    /// `input` may have complete packets.
    paused: bool,
    pub(super) output: BytesMut,
    /// A stream with buffers of its own (TLS) may hold bytes that were written.
    unflushed: bool,
    /// Messages that links have not taken yet.
    pub(super) to_links: VecDeque<(Arc<LinkShared>, Inbound)>,
    /// Acknowledgements not written yet.
    unacknowledged: usize,
    /// Replies that wait for being stored.
    unreplied: usize,
    silence: Option<Silence>,
    pub(super) denials: Denials,
}

/// Watches over the keep-alive.
struct Silence {
    allowed: Duration,
    last_input: Instant,
    timer: Pin<Box<Sleep>>,
}

impl<S: AsyncRead + AsyncWrite + Unpin> Connection<S> {
    /// A connection whose first input, after CONNECT, is `input`. `output` is written first.
    pub(crate) fn new(attachment: Attachment, stream: S, input: BytesMut, output: BytesMut, keep_alive: u16) -> Self {
        // MQTT 3.1.1 §3.1.2.10: one and a half times; zero switches it off.
        let silence = (keep_alive > 0).then(|| {
            let allowed = Duration::from_millis(u64::from(keep_alive) * 1500);
            let last_input = Instant::now();
            Silence { allowed, last_input, timer: Box::pin(sleep_until(last_input + allowed)) }
        });
        Self {
            attachment,
            stream,
            paused: !input.is_empty(),
            input,
            output,
            unflushed: false,
            to_links: VecDeque::new(),
            unacknowledged: 0,
            unreplied: 0,
            silence,
            denials: Denials::new(),
        }
    }

    /// Serves the connection to its end. When this future is dropped, the session is free for another connection.
    pub(crate) async fn run(mut self) -> Closed {
        let closed = poll_fn(|cx| self.poll_run(cx)).await;
        let stats = &self.attachment.core.stats;
        match &closed {
            Closed::Violation(_) => stats.protocol_violations.increment(),
            Closed::KeepAlive => stats.keep_alive_timeouts.increment(),
            Closed::Revoked => stats.clients_revoked.increment(),
            Closed::Denied => stats.denied_disconnects.increment(),
            _ => {}
        }
        let Self { attachment, mut stream, mut output, .. } = self;
        let terms = attachment.shared.terms;
        // The session need not wait for the good-byes.
        drop(attachment);
        match closed.reason() {
            Some(reason) if terms.version == Version::V5 => {
                codec::write_disconnect(&mut output, reason, &closed.to_string(), terms.packet_bytes_max);
                // On the heap, so that connections that live need no room for it.
                let _ = timeout(FAREWELL_MAX, Box::pin(farewell(stream, output))).await;
            }
            _ if matches!(closed, Closed::Lost(_)) => {}
            _ => {
                let _ = timeout(FAREWELL_MAX, stream.shutdown()).await;
            }
        }
        closed
    }

    pub(super) fn version(&self) -> Version {
        self.attachment.shared.terms.version
    }

    fn poll_run(&mut self, cx: &mut Context<'_>) -> Poll<Closed> {
        match self.poll_steps(cx) {
            Poll::Ready(Err(closed)) => Poll::Ready(closed),
            Poll::Ready(Ok(never)) => match never {},
            Poll::Pending => Poll::Pending,
        }
    }

    fn poll_steps(&mut self, cx: &mut Context<'_>) -> Poll<Result<std::convert::Infallible, Closed>> {
        self.attachment.shared.waker.register(cx.waker());
        loop {
            if let Some(closed) = self.attachment.shared.ending() {
                return Poll::Ready(Err(closed));
            }
            let mut progress = self.resume_input()?;
            progress |= self.poll_input(cx)?.is_ready();
            progress |= self.collect_output();
            progress |= self.poll_output(cx)?.is_ready();
            if !progress {
                if self.attachment.shared.draining.load(Ordering::Acquire) && self.is_drained() {
                    return Poll::Ready(Err(Closed::Drained));
                }
                ready!(self.poll_silence(cx));
                return Poll::Ready(Err(Closed::KeepAlive));
            }
        }
    }

    // === input ===

    /// Goes on with what back-pressure had stopped. `true` if it went on at all.
    fn resume_input(&mut self) -> Result<bool, Closed> {
        let had_for_links = self.to_links.len();
        self.flush_links();
        let mut progress = self.to_links.len() < had_for_links;
        if self.paused && !self.must_pause() {
            if let Some(silence) = &mut self.silence {
                // The client was not heard because nobody listened.
                silence.last_input = Instant::now();
            }
            let input = std::mem::take(&mut self.input);
            self.handle_own_input(input)?;
            progress = true;
        }
        Ok(progress)
    }

    fn poll_input(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Closed>> {
        if self.paused || self.must_pause() {
            return Poll::Pending;
        }
        // Taken out of its cell: a panic in a policy must not leave it borrowed.
        let mut buffer = READ_BUFFER.take();
        buffer.resize(READ_BYTES, 0);
        let outcome = self.poll_input_into(cx, &mut buffer);
        READ_BUFFER.set(buffer);
        outcome
    }

    fn poll_input_into(&mut self, cx: &mut Context<'_>, buffer: &mut [u8]) -> Poll<Result<(), Closed>> {
        let mut read = ReadBuf::new(buffer);
        ready!(Pin::new(&mut self.stream).poll_read(cx, &mut read))?;
        let bytes = read.filled();
        if bytes.is_empty() {
            return Poll::Ready(Err(Closed::Lost(io::ErrorKind::UnexpectedEof.into())));
        }
        if let Some(silence) = &mut self.silence {
            silence.last_input = Instant::now();
        }
        if self.input.is_empty() {
            let handled = self.handle_input(bytes)?;
            self.input.extend_from_slice(&bytes[handled..]);
        } else {
            self.input.extend_from_slice(bytes);
            let input = std::mem::take(&mut self.input);
            self.handle_own_input(input)?;
        }
        Poll::Ready(Ok(()))
    }

    fn handle_own_input(&mut self, mut input: BytesMut) -> Result<(), Closed> {
        let handled = self.handle_input(&input)?;
        input.advance(handled);
        if !input.is_empty() || input.capacity() <= IDLE_BUFFER_BYTES {
            self.input = input;
        }
        Ok(())
    }

    /// Handles complete packets until there is none, or back-pressure. Gives the number of bytes done.
    fn handle_input(&mut self, bytes: &[u8]) -> Result<usize, Closed> {
        let packet_bytes_max = self.attachment.core.limits.packet_bytes_max;
        let version = self.version();
        let mut handled = 0;
        self.paused = false;
        loop {
            let rest = &bytes[handled..];
            if self.must_pause() {
                self.paused = !rest.is_empty();
                break;
            }
            let Some((packet, length)) = codec::decode(rest, packet_bytes_max, version)? else {
                break;
            };
            handled += length;
            if packet.is_new_work() && self.attachment.shared.draining.load(Ordering::Relaxed) {
                // Not answered, so the client brings it again later. Read past, to hear what comes behind it.
                continue;
            }
            self.handle(packet)?;
            if self.to_links.len() >= LINK_BATCH {
                self.flush_links();
            }
        }
        self.flush_links();
        Ok(handled)
    }

    fn must_pause(&self) -> bool {
        self.to_links.len() >= LINK_BATCH
            || self.unreplied >= self.attachment.core.limits.unacknowledged_max
            || (self.unacknowledged >= self.attachment.core.limits.unacknowledged_max
                // Version 5 has been told, and what comes beyond it is a violation.
                && self.version() == Version::V311)
            || self.output.len() >= OUTPUT_BYTES
    }

    fn flush_links(&mut self) {
        let (core, shared) = (&self.attachment.core, &self.attachment.shared);
        while let Some((link, inbound)) = self.to_links.pop_front() {
            match link.push(inbound, Some(shared)) {
                Push::Taken => core.stats.link_deliveries.increment(),
                Push::Full { inbound, first } => {
                    if first {
                        core.stats.link_stalls.increment();
                    }
                    self.to_links.push_front((link, inbound));
                    break;
                }
            }
        }
    }

    /// Appends an acknowledgement that waits for `decisions`; gives its sequence number.
    pub(super) fn push_ack(&mut self, packet_id: u16, kind: AckKind, reason: Reason, decisions: u32) -> u64 {
        self.unacknowledged += 1;
        self.attachment.shared.acks.lock().push(packet_id, kind, reason, decisions)
    }

    /// Whether a client of version 5 has sent all that it may send without acknowledgement.
    pub(super) fn has_reached_receive_max(&self) -> bool {
        self.unacknowledged >= self.attachment.core.limits.receive_max()
    }

    /// Writes a packet that says that something is stored: now, if it is, or as soon as it is.
    pub(super) fn reply_when_stored(&mut self, write: impl FnOnce(&mut BytesMut)) -> Result<(), Violation> {
        let Attachment { session, shared, .. } = &self.attachment;
        let is_stored = self.unreplied == 0 && session.is_up_to_date();
        let mut waiting = BytesMut::new();
        let out = if is_stored { &mut self.output } else { &mut waiting };
        let before = out.len();
        write(out);
        if out.len() - before > shared.terms.packet_bytes_max {
            out.truncate(before);
            return Err(Violation::AnswerTooLarge);
        }
        if !is_stored {
            self.unreplied += 1;
            let sequence = shared.replies.lock().push(waiting.freeze());
            session.when_stored(Hold::reply(Arc::clone(shared), sequence));
        }
        Ok(())
    }

    // === output ===

    fn collect_output(&mut self) -> bool {
        let Attachment { core, session, shared } = &self.attachment;
        let before = self.output.len();
        if self.unacknowledged > 0 {
            let mut acks = shared.acks.lock();
            while let Some((packet_id, kind, reason)) = acks.pop_ready() {
                codec::write_ack(&mut self.output, shared.terms.version, packet_id, kind, reason);
                self.unacknowledged -= 1;
            }
        }
        if self.unreplied > 0 {
            let mut replies = shared.replies.lock();
            while let Some(packet) = replies.pop_ready() {
                self.output.extend_from_slice(&packet);
            }
            self.unreplied = replies.len();
        }
        if self.output.len() < OUTPUT_BYTES {
            session.take_output(core, shared, &mut self.output, OUTPUT_BYTES);
        }
        self.output.len() > before
    }

    fn poll_output(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Closed>> {
        if self.output.is_empty() {
            return self.poll_flush(cx);
        }
        let written = ready!(Pin::new(&mut self.stream).poll_write(cx, &self.output))?;
        if written == 0 {
            return Poll::Ready(Err(Closed::Lost(io::ErrorKind::WriteZero.into())));
        }
        if written < self.output.len() {
            self.output.advance(written);
        } else {
            self.output.clear();
            if self.output.capacity() > IDLE_BUFFER_BYTES {
                self.output = BytesMut::new();
            }
            self.unflushed = true;
        }
        Poll::Ready(Ok(()))
    }

    fn poll_flush(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Closed>> {
        if self.unflushed {
            ready!(Pin::new(&mut self.stream).poll_flush(cx))?;
            self.unflushed = false;
        }
        Poll::Pending
    }

    fn is_drained(&self) -> bool {
        let Attachment { session, shared, .. } = &self.attachment;
        self.output.is_empty()
            && !self.unflushed
            && self.to_links.is_empty()
            && self.unreplied == 0
            && shared.acks.lock().is_empty()
            && session.is_drained()
    }

    // === keep-alive ===

    /// Ready when the client was silent too long.
    fn poll_silence(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        let not_listening = self.paused || self.must_pause();
        let Some(Silence { allowed, last_input, timer }) = &mut self.silence else {
            return Poll::Pending;
        };
        loop {
            ready!(timer.as_mut().poll(cx));
            let now = Instant::now();
            if not_listening {
                *last_input = now;
            }
            let due = *last_input + *allowed;
            if due <= now {
                return Poll::Ready(());
            }
            timer.as_mut().reset(due);
        }
    }
}

/// Writes what is left and ends. Input is read over until the client ends, too: unread input would reset the
/// connection, and the client might not see what was written.
async fn farewell<S: AsyncRead + AsyncWrite + Unpin>(mut stream: S, output: BytesMut) -> io::Result<()> {
    stream.write_all(&output).await?;
    stream.shutdown().await?;
    let mut ignored = [0; 2048];
    while stream.read(&mut ignored).await? > 0 {}
    Ok(())
}
