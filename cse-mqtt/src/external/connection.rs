//! One connection to an external broker: the handshake, then packets both ways, and whether the other side still
//! lives.

use std::future::poll_fn;
use std::io;
use std::pin::{Pin, pin};
use std::task::{Context, Poll, ready};
use std::time::Duration;

use bytes::{Buf, BytesMut};
use tokio::io::{AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::time::{Instant, timeout};

use super::dial::dial;
use super::wire::{Hello, Malformed, Packet, Reason, Terms, Wire};
use crate::options::ExternalOptions;
use crate::transport::{BoxedStream, explained};

/// Bytes waiting to be written beyond which nothing more is encoded.
const OUTPUT_BYTES_MAX: usize = 64 * 1024;
/// Room made for each read.
const READ_BYTES: usize = 8 * 1024;

/// Why there is no connection, or no more.
#[derive(Debug, thiserror::Error)]
pub(super) enum Failure {
    #[error("{}", explained(.0))]
    Io(#[from] io::Error),
    #[error("the broker closed the connection")]
    Closed,
    #[error("no connection in time")]
    NotInTime,
    #[error("the broker does not answer any more")]
    Silent,
    #[error("the broker did not answer to the subscription in time")]
    NotSubscribed,
    #[error("the broker refuses the connection: {0}")]
    Refused(Reason),
    #[error("the broker ends the connection: {0}")]
    Ended(Reason),
    #[error(transparent)]
    Malformed(#[from] Malformed),
    #[error("too many requests are waiting to be taken")]
    NotTaken,
}

impl Failure {
    /// Whether another client has taken our identifier.
    pub(super) fn is_taken_over(&self) -> bool {
        matches!(self, Self::Ended(reason) if reason.code == 0x8e)
    }
}

/// Who we are to a broker.
pub(super) struct Client {
    pub(super) options: ExternalOptions,
    pub(super) client_id: String,
    /// Messages that the broker may send without acknowledgement (MQTT 5).
    pub(super) receive_maximum: u16,
    pub(super) packet_bytes_max: usize,
}

/// What the broker said when it took us in.
pub(super) struct Welcome {
    pub(super) session_present: bool,
    pub(super) terms: Terms,
}

/// See the module.
pub(super) struct Connection {
    stream: BoxedStream,
    wire: Wire,
    input: BytesMut,
    output: BytesMut,
    unflushed: bool,
    /// Half of the time after which the broker would give us up; none if it never does.
    quiet_max: Option<Duration>,
    /// How long after a PINGREQ nothing may move.
    silence_max: Duration,
    last_read: Instant,
    last_write: Instant,
    pinged: Option<Pinged>,
}

/// A PINGREQ without answer.
#[derive(Clone, Copy)]
struct Pinged {
    at: Instant,
    /// Bytes until its end that the system has not taken.
    left: usize,
    /// When the system had all of it.
    handed_over: Option<Instant>,
}

impl Pinged {
    fn handed_over(&mut self, bytes: usize) {
        self.left = self.left.saturating_sub(bytes);
        if self.left == 0 && self.handed_over.is_none() {
            self.handed_over = Some(Instant::now());
        }
    }
}

impl Connection {
    /// Connects and waits for the broker's welcome, within the connect timeout.
    pub(super) async fn open(client: &Client, clean: bool) -> Result<(Self, Welcome), Failure> {
        let opening = async {
            let stream = dial(&client.options).await?;
            let now = Instant::now();
            let mut connection = Self {
                stream,
                wire: Wire::new(client.options.version, client.packet_bytes_max),
                input: BytesMut::new(),
                output: BytesMut::new(),
                unflushed: false,
                quiet_max: None,
                silence_max: client.options.connect_timeout,
                last_read: now,
                last_write: now,
                pinged: None,
            };
            let welcome = connection.greet(client, clean).await?;
            Ok((connection, welcome))
        };
        timeout(client.options.connect_timeout, opening).await.unwrap_or(Err(Failure::NotInTime))
    }

    async fn greet(&mut self, client: &Client, clean: bool) -> Result<Welcome, Failure> {
        let options = &client.options;
        let seconds = |duration: Duration| u16::try_from(duration.as_secs()).unwrap_or(u16::MAX);
        let session_expiry = if clean { 0 } else { options.session_expiry_seconds() };
        let hello = Hello {
            client_id: &client.client_id,
            clean,
            keep_alive: seconds(options.keep_alive),
            login: options.login.as_ref().map(|login| (login.username.as_str(), login.password.reveal())),
            session_expiry,
            receive_maximum: client.receive_maximum,
            packet_bytes_max: u32::try_from(client.packet_bytes_max).unwrap_or(u32::MAX),
        };
        self.wire.connect(&hello, &mut self.output)?;
        loop {
            match self.wire.read(&mut self.input)? {
                Some(Packet::Welcome { session_present, terms }) => {
                    let keep_alive = terms.keep_alive.unwrap_or(hello.keep_alive);
                    if keep_alive > 0 {
                        let quiet = Duration::from_secs(u64::from(keep_alive)) / 2;
                        self.quiet_max = Some(quiet);
                        self.silence_max = self.silence_max.max(quiet);
                    }
                    return Ok(Welcome { session_present, terms });
                }
                Some(Packet::Unwelcome(reason)) => return Err(Failure::Refused(reason)),
                Some(Packet::Leaving(reason)) => return Err(Failure::Ended(reason)),
                Some(_) => return Err(Failure::Closed),
                None => self.exchange(true).await?,
            }
        }
    }

    /// The next packet that has come completely.
    pub(super) fn packet(&mut self) -> Result<Option<Packet>, Malformed> {
        self.wire.read(&mut self.input)
    }

    /// Where packets are written to, as long as not too much waits there.
    pub(super) fn writer(&mut self) -> Option<(&Wire, &mut BytesMut)> {
        (self.output.len() < OUTPUT_BYTES_MAX).then_some((&self.wire, &mut self.output))
    }

    /// Writes SUBSCRIBE.
    pub(super) fn subscribe(&mut self, filters: &[String]) -> Result<(), Malformed> {
        self.wire.subscribe(filters, &mut self.output)
    }

    /// Whether everything has been handed to the system.
    pub(super) fn is_flushed(&self) -> bool {
        self.output.is_empty() && !self.unflushed
    }

    /// Waits until something was read or written. Cancel safe.
    pub(super) async fn exchange(&mut self, read: bool) -> Result<(), Failure> {
        poll_fn(|context| self.poll_exchange(context, read)).await
    }

    fn poll_exchange(&mut self, context: &mut Context<'_>, read: bool) -> Poll<Result<(), Failure>> {
        let mut moved = false;
        if let Poll::Ready(written) = self.poll_write(context) {
            moved = written?;
        }
        if read && let Poll::Ready(read) = self.poll_read(context) {
            read?;
            moved = true;
        }
        if moved { Poll::Ready(Ok(())) } else { Poll::Pending }
    }

    /// Gives whether anything was written; ready as long as nothing is left to wait for.
    fn poll_write(&mut self, context: &mut Context<'_>) -> Poll<io::Result<bool>> {
        let mut moved = false;
        while !self.output.is_empty() {
            match Pin::new(&mut self.stream).poll_write(context, &self.output)? {
                Poll::Ready(0) => return Poll::Ready(Err(io::ErrorKind::WriteZero.into())),
                Poll::Ready(bytes) => {
                    self.output.advance(bytes);
                    if let Some(pinged) = &mut self.pinged {
                        pinged.handed_over(bytes);
                    }
                    (self.unflushed, moved) = (true, true);
                    self.last_write = Instant::now();
                }
                Poll::Pending if moved => return Poll::Ready(Ok(true)),
                Poll::Pending => return Poll::Pending,
            }
        }
        if self.unflushed && Pin::new(&mut self.stream).poll_flush(context)?.is_ready() {
            (self.unflushed, moved) = (false, true);
        }
        Poll::Ready(Ok(moved))
    }

    fn poll_read(&mut self, context: &mut Context<'_>) -> Poll<Result<(), Failure>> {
        self.input.reserve(READ_BYTES);
        let bytes = ready!(pin!(self.stream.read_buf(&mut self.input)).poll(context))?;
        if bytes == 0 {
            return Poll::Ready(Err(Failure::Closed));
        }
        self.last_read = Instant::now();
        self.pinged = None;
        Poll::Ready(Ok(()))
    }

    /// When [`Connection::keep_alive`] wants to look again.
    pub(super) fn look_again(&self) -> Option<Instant> {
        match self.pinged {
            Some(pinged) => {
                let unmoved = pinged.at.max(self.last_write) + self.silence_max;
                let unanswered = pinged.handed_over.map(|then| then + self.silence_max * 2);
                Some(unanswered.map_or(unmoved, |then| then.min(unmoved)))
            }
            None => self.quiet_max.map(|quiet| self.last_read.min(self.last_write) + quiet),
        }
    }

    /// Sends PINGREQ when it is time, and notices when the other side is gone. A broker that takes bytes up to the PINGREQ,
    /// however slowly, lives. What the system takes behind it says less, since that may only fill its buffers: then the
    /// answer has twice the time. A broker that is not read from (`listening` is false) cannot show that it lives.
    pub(super) fn keep_alive(&mut self, listening: bool) -> Result<(), Failure> {
        let now = Instant::now();
        if self.look_again().is_none_or(|then| now < then) {
            return Ok(());
        }
        if self.pinged.is_none() {
            self.wire.ping(&mut self.output);
            self.pinged = Some(Pinged { at: now, left: self.output.len(), handed_over: None });
        } else if listening {
            return Err(Failure::Silent);
        } else if let Some(pinged) = &mut self.pinged {
            pinged.at = now;
            pinged.handed_over = pinged.handed_over.map(|_| now);
        }
        Ok(())
    }

    /// Takes leave: DISCONNECT, then the end of the connection. The caller limits the time.
    pub(super) async fn leave(mut self) -> Result<(), Failure> {
        self.wire.disconnect(&mut self.output);
        while !self.is_flushed() {
            self.exchange(false).await?;
        }
        Ok(self.stream.shutdown().await?)
    }
}
