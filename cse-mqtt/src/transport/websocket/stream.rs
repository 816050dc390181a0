//! A WebSocket as a stream of bytes.

use std::io::{self, IoSlice};
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use bytes::BytesMut;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use super::frames::{Decoder, NORMAL, Side, write_binary, write_binary_header};

/// Longest frame of a client, whose payload has to be masked in a buffer of its own.
const MASKED_BYTES_MAX: usize = 16 * 1024;

/// One side of a WebSocket: reads what binary frames carry, and writes binary frames.
///
/// Each write of a server begins a frame as long as the bytes it is given. If the stream below takes only some of
/// them, the next write goes on with that frame: as with any stream of bytes, whoever writes brings the rest.
#[derive(Debug)]
pub(crate) struct WebSocket<S> {
    stream: S,
    side: Side,
    decoder: Decoder,
    /// Came together with the answer to the handshake.
    early: BytesMut,
    /// A header, a control frame or a client's frame, of which `head_written` bytes are written.
    head: Vec<u8>,
    head_written: usize,
    /// Bytes announced in a header and not written yet. While there are any, `head` is that header.
    payload_left: usize,
    /// Control frames may be in a buffer of the stream below.
    unflushed: bool,
}

impl<S: AsyncRead + AsyncWrite + Unpin> WebSocket<S> {
    /// The server's side, after the handshake.
    pub(super) fn accepting(stream: S) -> Self {
        Self::new(stream, Side::Accepting, BytesMut::new())
    }

    /// The client's side, after the handshake, with what came behind it.
    pub(super) fn connecting(stream: S, early: BytesMut) -> Self {
        Self::new(stream, Side::Connecting, early)
    }

    fn new(stream: S, side: Side, early: BytesMut) -> Self {
        Self {
            stream,
            side,
            decoder: Decoder::new(side),
            early,
            head: Vec::new(),
            head_written: 0,
            payload_left: 0,
            unflushed: false,
        }
    }

    /// A new mask for each frame of a client, which nobody can guess (RFC 6455 §5.3).
    fn mask(&self) -> io::Result<Option<[u8; 4]>> {
        if self.side == Side::Accepting {
            return Ok(None);
        }
        let mut mask = [0; 4];
        rustls::crypto::ring::default_provider()
            .secure_random
            .fill(&mut mask)
            .map_err(|_| io::Error::other("the system has no random numbers"))?;
        Ok(Some(mask))
    }

    /// Writes what is in `head` and the control frames that are due; `Ready` if none is left that can be written now.
    fn poll_control(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        // Not within a data frame.
        while self.payload_left == 0 {
            if self.head.is_empty() {
                let Some(reply) = self.decoder.take_reply() else {
                    break;
                };
                let mask = self.mask()?;
                reply.write(&mut self.head, mask);
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
            if this.early.is_empty() {
                ready!(Pin::new(&mut this.stream).poll_read(cx, buf))?;
            } else {
                let here = this.early.len().min(buf.remaining());
                buf.put_slice(&this.early.split_to(here));
            }
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
        if this.payload_left == 0 && this.decoder.is_closed() {
            return Poll::Ready(Err(io::ErrorKind::BrokenPipe.into()));
        }
        if this.side == Side::Connecting {
            let payload = &buf[..buf.len().min(MASKED_BYTES_MAX)];
            let mask = this.mask()?;
            write_binary(&mut this.head, payload, mask);
            // The bytes are ours now; what cannot be written yet goes with the next write or flush.
            if let Poll::Ready(outcome) = this.poll_control(cx) {
                outcome?;
            }
            return Poll::Ready(Ok(payload.len()));
        }
        if this.payload_left == 0 {
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
