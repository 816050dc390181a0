//! A stream that ends when its peer takes too long: to send a request's header, to send the next request, or to
//! take an answer.
//!
//! The deadlines are kept as points in time and looked at only when the stream has nothing to do, so a busy
//! connection never touches the timer.

use std::future::Future;
use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::task::{Context, Poll, ready};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::time::{Instant, Sleep, sleep_until};

/// What the stream and the service on it know of each other.
#[derive(Debug, Default)]
pub(crate) struct Activity {
    /// Counts beginnings and ends of requests, so that none is overlooked: odd while one is worked on.
    turns: AtomicUsize,
    /// The server stops: no further request is wanted.
    stopping: AtomicBool,
}

impl Activity {
    /// A request's header has arrived.
    pub(crate) fn begin(&self) {
        self.turns.fetch_add(1, Ordering::AcqRel);
    }

    /// The request has been answered.
    pub(crate) fn end(&self) {
        self.turns.fetch_add(1, Ordering::AcqRel);
    }

    /// No further request is wanted.
    pub(crate) fn stop(&self) {
        self.stopping.store(true, Ordering::Release);
    }
}

/// How long what may take.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Patience {
    pub(crate) header: Duration,
    pub(crate) idle: Duration,
    pub(crate) write: Duration,
}

/// What is waited for.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Awaited {
    /// The first byte on a new connection.
    FirstRequest,
    /// The rest of a header.
    RestOfHeader,
    /// Nothing: a request is being worked on.
    Answer,
    /// The first byte of another request.
    NextRequest,
}

/// A stream with deadlines.
#[derive(Debug)]
pub(crate) struct Timed<S> {
    inner: S,
    activity: Arc<Activity>,
    patience: Patience,
    /// `turns` as last seen.
    turns: usize,
    awaited: Awaited,
    reading: Deadline,
    writing: Deadline,
}

impl<S> Timed<S> {
    pub(crate) fn new(inner: S, activity: Arc<Activity>, patience: Patience) -> Self {
        let mut reading = Deadline::default();
        reading.set(patience.header);
        Self {
            inner,
            activity,
            patience,
            turns: 0,
            awaited: Awaited::FirstRequest,
            reading,
            writing: Deadline::default(),
        }
    }

    /// Follows what the service reports.
    fn observe(&mut self) {
        let turns = self.activity.turns.load(Ordering::Acquire);
        if turns == self.turns {
            return;
        }
        self.turns = turns;
        if turns % 2 == 1 {
            // While a request is worked on, silence of the peer is in order.
            self.awaited = Awaited::Answer;
            self.reading.clear();
        } else {
            self.awaited = Awaited::NextRequest;
            self.reading.set(self.patience.idle);
        }
    }

    fn bytes_arrived(&mut self) {
        match self.awaited {
            // The clock of the first header runs since the connection was made.
            Awaited::FirstRequest => self.awaited = Awaited::RestOfHeader,
            Awaited::NextRequest => {
                self.awaited = Awaited::RestOfHeader;
                self.reading.set(self.patience.header);
            }
            Awaited::RestOfHeader | Awaited::Answer => {}
        }
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Timed<S> {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buffer: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let this = &mut *self;
        this.observe();
        let before = buffer.filled().len();
        if let Poll::Ready(result) = Pin::new(&mut this.inner).poll_read(cx, buffer) {
            if buffer.filled().len() > before {
                this.bytes_arrived();
            }
            return Poll::Ready(result);
        }
        let between_requests = matches!(this.awaited, Awaited::FirstRequest | Awaited::NextRequest);
        if between_requests && this.activity.stopping.load(Ordering::Acquire) {
            return Poll::Ready(Ok(()));
        }
        ready!(this.reading.poll(cx));
        this.reading.clear();
        // Nothing was begun between requests: to the HTTP side that is an orderly end of the stream.
        Poll::Ready(if between_requests { Ok(()) } else { Err(late("the header did not arrive in time")) })
    }
}

impl<S: AsyncWrite + Unpin> Timed<S> {
    /// Gives up on a peer that takes nothing.
    fn unless_stalled<T>(&mut self, cx: &mut Context<'_>, progress: Poll<io::Result<T>>) -> Poll<io::Result<T>> {
        if progress.is_ready() {
            self.writing.clear();
            return progress;
        }
        if !self.writing.is_set() {
            self.writing.set(self.patience.write);
        }
        ready!(self.writing.poll(cx));
        Poll::Ready(Err(late("the peer takes no data")))
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Timed<S> {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        let progress = Pin::new(&mut self.inner).poll_write(cx, bytes);
        self.unless_stalled(cx, progress)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let this = &mut *self;
        let progress = Pin::new(&mut this.inner).poll_flush(cx);
        this.observe();
        // With an answer on its way the HTTP side may not read again before the peer writes, so this is where
        // the wait for the next request begins.
        if this.awaited == Awaited::NextRequest && this.reading.poll(cx).is_ready() {
            cx.waker().wake_by_ref();
        }
        this.unless_stalled(cx, progress)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let progress = Pin::new(&mut self.inner).poll_shutdown(cx);
        self.unless_stalled(cx, progress)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        slices: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let progress = Pin::new(&mut self.inner).poll_write_vectored(cx, slices);
        self.unless_stalled(cx, progress)
    }

    fn is_write_vectored(&self) -> bool {
        self.inner.is_write_vectored()
    }
}

fn late(what: &'static str) -> io::Error {
    io::Error::new(io::ErrorKind::TimedOut, what)
}

/// A point in time that is cheap to move.
#[derive(Debug, Default)]
struct Deadline {
    at: Option<Instant>,
    /// Armed for some point in time that `at` has had.
    timer: Option<Pin<Box<Sleep>>>,
}

impl Deadline {
    fn set(&mut self, from_now: Duration) {
        self.at = Some(Instant::now() + from_now);
    }

    fn clear(&mut self) {
        self.at = None;
    }

    fn is_set(&self) -> bool {
        self.at.is_some()
    }

    /// Ready once the deadline has passed; never while there is none.
    fn poll(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        let Some(at) = self.at else {
            return Poll::Pending;
        };
        let timer = self.timer.get_or_insert_with(|| Box::pin(sleep_until(at)));
        if timer.deadline() > at {
            timer.as_mut().reset(at);
        }
        loop {
            ready!(timer.as_mut().poll(cx));
            if timer.deadline() >= at {
                return Poll::Ready(());
            }
            timer.as_mut().reset(at);
        }
    }
}

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncReadExt, AsyncWriteExt, duplex};

    use super::*;

    const PATIENCE: Patience =
        Patience { header: Duration::from_secs(10), idle: Duration::from_secs(60), write: Duration::from_secs(20) };

    fn timed() -> (tokio::io::DuplexStream, Timed<tokio::io::DuplexStream>, Arc<Activity>) {
        let (peer, stream) = duplex(64);
        let activity = Arc::new(Activity::default());
        let timed = Timed::new(stream, Arc::clone(&activity), PATIENCE);
        (peer, timed, activity)
    }

    #[tokio::test(start_paused = true)]
    async fn a_silent_new_connection_ends_in_order() {
        let (_peer, mut stream, _) = timed();
        let start = Instant::now();
        assert_eq!(stream.read(&mut [0; 8]).await.expect("an end"), 0);
        assert_eq!(start.elapsed().as_secs(), PATIENCE.header.as_secs());
    }

    #[tokio::test(start_paused = true)]
    async fn bytes_that_trickle_in_do_not_extend_the_time_for_a_header() {
        let (mut peer, mut stream, _) = timed();
        let start = Instant::now();
        let trickle = async {
            loop {
                if peer.write_all(b"x").await.is_err() {
                    break;
                }
                tokio::time::sleep(Duration::from_secs(1)).await;
            }
        };
        let read = async {
            loop {
                if let Err(error) = stream.read(&mut [0; 8]).await {
                    break error.kind();
                }
            }
        };
        tokio::select! {
            () = trickle => unreachable!("the stream is open"),
            kind = read => assert_eq!(kind, io::ErrorKind::TimedOut),
        }
        assert_eq!(start.elapsed().as_secs(), PATIENCE.header.as_secs());
    }

    #[tokio::test(start_paused = true)]
    async fn the_next_request_has_its_own_time() {
        let (mut peer, mut stream, activity) = timed();
        peer.write_all(b"header").await.expect("written");
        assert_eq!(stream.read(&mut [0; 8]).await.expect("read"), 6);
        activity.begin();
        let silence = tokio::time::timeout(Duration::from_secs(3600), stream.read(&mut [0; 8])).await;
        assert!(silence.is_err(), "while a request is worked on there is no deadline");
        activity.end();
        let start = Instant::now();
        assert_eq!(stream.read(&mut [0; 8]).await.expect("an end"), 0);
        assert_eq!(start.elapsed().as_secs(), PATIENCE.idle.as_secs());
    }

    #[tokio::test(start_paused = true)]
    async fn a_peer_that_takes_nothing_is_given_up() {
        let (_peer, mut stream, _) = timed();
        let start = Instant::now();
        let error = stream.write_all(&[0; 1000]).await.expect_err("stalled");
        assert_eq!(error.kind(), io::ErrorKind::TimedOut);
        assert_eq!(start.elapsed().as_secs(), PATIENCE.write.as_secs());
    }

    #[tokio::test(start_paused = true)]
    async fn a_stop_ends_the_wait_for_a_request() {
        let (_peer, mut stream, activity) = timed();
        activity.stop();
        let start = Instant::now();
        assert_eq!(stream.read(&mut [0; 8]).await.expect("an end"), 0);
        assert_eq!(start.elapsed(), Duration::ZERO);
    }
}
