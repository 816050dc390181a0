//! A WebSocket as a stream of bytes.

use std::io::{self, IoSlice};
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use super::frames::{Decoder, NORMAL, write_binary_header};

/// The accepting side of a WebSocket: reads what binary frames carry, and writes binary frames.
///
/// Each write begins a frame as long as the bytes it is given. If the stream below takes only some of them, the next
/// write goes on with that frame: as with any stream of bytes, whoever writes brings the rest.
#[derive(Debug)]
pub(crate) struct WebSocket<S> {
    stream: S,
    decoder: Decoder,
    /// A header or a control frame of which `head_written` bytes are written.
    head: Vec<u8>,
    head_written: usize,
    /// Bytes announced in a header and not written yet. While there are any, `head` is that header.
    payload_left: usize,
    /// Control frames may be in a buffer of the stream below.
    unflushed: bool,
}

impl<S: AsyncRead + AsyncWrite + Unpin> WebSocket<S> {
    /// After the handshake.
    pub(super) fn new(stream: S) -> Self {
        Self {
            stream,
            decoder: Decoder::default(),
            head: Vec::new(),
            head_written: 0,
            payload_left: 0,
            unflushed: false,
        }
    }

    /// Writes the control frames that are due; `Ready` if none is left that can be written now.
    fn poll_control(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        // Not within a data frame.
        while self.payload_left == 0 {
            if self.head.is_empty() {
                let Some(reply) = self.decoder.take_reply() else {
                    break;
                };
                reply.write(&mut self.head);
                self.unflushed = true;
            }
            while !self.head.is_empty() {
                let written = ready!(Pin::new(&mut self.stream).poll_write(cx, &self.head[self.head_written..]))?;
                self.advance(written)?;
            }
        }
        Poll::Ready(Ok(()))
    }

    /// As [`WebSocket::poll_control`], to the network.
    fn poll_control_out(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        ready!(self.poll_control(cx))?;
        if self.unflushed {
            ready!(Pin::new(&mut self.stream).poll_flush(cx))?;
            self.unflushed = false;
        }
        Poll::Ready(Ok(()))
    }

    /// Counts bytes that the stream below has taken; those of payload are given back.
    fn advance(&mut self, written: usize) -> io::Result<usize> {
        if written == 0 {
            return Err(io::ErrorKind::WriteZero.into());
        }
        let of_head = written.min(self.head.len() - self.head_written);
        self.head_written += of_head;
        if self.head_written == self.head.len() {
            self.head.clear();
            self.head_written = 0;
        }
        Ok(written - of_head)
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin> AsyncRead for WebSocket<S> {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        loop {
            // Replies go out while reading: nobody may have anything to write. If they cannot go now, this task is
            // woken when they can.
            if let Poll::Ready(outcome) = this.poll_control_out(cx) {
                outcome?;
            }
            if this.decoder.is_closed() || buf.remaining() == 0 {
                return Poll::Ready(Ok(()));
            }
            let before = buf.filled().len();
            ready!(Pin::new(&mut this.stream).poll_read(cx, buf))?;
            let came = &mut buf.filled_mut()[before..];
            if came.is_empty() {
                return Poll::Ready(Ok(()));
            }
            let decoded = this.decoder.decode(came);
            let kept = *decoded.as_ref().unwrap_or(&0);
            buf.set_filled(before + kept);
            if let Err(violation) = decoded {
                // Said once, and not waited for.
                let _ = this.poll_control_out(cx)?;
                return Poll::Ready(Err(io::Error::new(io::ErrorKind::InvalidData, violation)));
            }
            if kept > 0 {
                return Poll::Ready(Ok(()));
            }
        }
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin> AsyncWrite for WebSocket<S> {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        let this = self.get_mut();
        ready!(this.poll_control(cx))?;
        if buf.is_empty() {
            return Poll::Ready(Ok(0));
        }
        if this.payload_left == 0 {
            if this.decoder.is_closed() {
                return Poll::Ready(Err(io::ErrorKind::BrokenPipe.into()));
            }
            write_binary_header(&mut this.head, buf.len());
            this.payload_left = buf.len();
        }
        let payload = &buf[..buf.len().min(this.payload_left)];
        loop {
            let stream = Pin::new(&mut this.stream);
            let written = if this.head.is_empty() {
                ready!(stream.poll_write(cx, payload))?
            } else {
                let both = [IoSlice::new(&this.head[this.head_written..]), IoSlice::new(payload)];
                ready!(stream.poll_write_vectored(cx, &both))?
            };
            let of_payload = this.advance(written)?;
            if of_payload > 0 {
                this.payload_left -= of_payload;
                return Poll::Ready(Ok(of_payload));
            }
        }
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        ready!(this.poll_control(cx))?;
        ready!(Pin::new(&mut this.stream).poll_flush(cx))?;
        this.unflushed = false;
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        this.decoder.close(NORMAL);
        ready!(this.poll_control_out(cx))?;
        Pin::new(&mut this.stream).poll_shutdown(cx)
    }
}
