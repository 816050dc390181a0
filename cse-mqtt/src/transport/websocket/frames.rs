//! WebSocket frames (RFC 6455 §5) as a decision over bytes: no sockets, no waiting, no buffers.

/// Longest payload of a control frame.
const CONTROL_BYTES_MAX: usize = 125;
/// Longest header: flags, length, 8 bytes of it, and the mask.
const HEADER_BYTES_MAX: usize = 14;

const CONTINUATION: u8 = 0x0;
const TEXT: u8 = 0x1;
const BINARY: u8 = 0x2;
const CLOSE: u8 = 0x8;
const PING: u8 = 0x9;
const PONG: u8 = 0xA;

/// The other side is going away, and so are we.
pub(super) const NORMAL: u16 = 1000;
const PROTOCOL_ERROR: u16 = 1002;
const UNSUPPORTED_DATA: u16 = 1003;

/// Which side of a WebSocket this is: what a client sends is masked, what a server sends is not (RFC 6455 §5.1).
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Side {
    /// The server's.
    Accepting,
    /// The client's.
    Connecting,
}

/// What the other side must not send.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
pub(super) enum Violation {
    #[error("text over WebSocket; MQTT is binary")]
    Text,
    #[error("a WebSocket frame that should be masked and is not, or the reverse")]
    Mask,
    #[error("a WebSocket frame with reserved bits or an unknown opcode")]
    Reserved,
    #[error("a WebSocket control frame that is too long or fragmented")]
    Control,
    #[error("WebSocket fragments out of order")]
    Fragments,
    #[error("a WebSocket frame of impossible length")]
    Length,
}

impl Violation {
    fn close_code(self) -> u16 {
        if self == Self::Text { UNSUPPORTED_DATA } else { PROTOCOL_ERROR }
    }
}

/// A control frame to be sent.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(super) enum Reply {
    Pong(Vec<u8>),
    /// With its code, unless the other side gave none.
    Close(Option<u16>),
}

impl Reply {
    /// Appends the frame.
    pub(super) fn write(&self, output: &mut Vec<u8>, mask: Option<[u8; 4]>) {
        match self {
            Self::Pong(payload) => write_frame(output, PONG, payload, mask),
            Self::Close(None) => write_frame(output, CLOSE, &[], mask),
            Self::Close(Some(code)) => write_frame(output, CLOSE, &code.to_be_bytes(), mask),
        }
    }
}

/// Appends the header of a binary frame with that many bytes, a message of its own, not masked.
pub(super) fn write_binary_header(output: &mut Vec<u8>, length: usize) {
    write_header(output, BINARY, length, None);
}

/// Appends a binary frame, a message of its own.
pub(super) fn write_binary(output: &mut Vec<u8>, payload: &[u8], mask: Option<[u8; 4]>) {
    write_frame(output, BINARY, payload, mask);
}

fn write_frame(output: &mut Vec<u8>, opcode: u8, payload: &[u8], mask: Option<[u8; 4]>) {
    write_header(output, opcode, payload.len(), mask);
    let start = output.len();
    output.extend_from_slice(payload);
    if let Some(mut mask) = mask {
        apply_mask(&mut output[start..], &mut mask);
    }
}

fn write_header(output: &mut Vec<u8>, opcode: u8, length: usize, mask: Option<[u8; 4]>) {
    let masked = if mask.is_some() { 0x80 } else { 0 };
    output.push(0x80 | opcode);
    if let Ok(short) = u8::try_from(length)
        && short < 126
    {
        output.push(masked | short);
    } else if let Ok(medium) = u16::try_from(length) {
        output.push(masked | 126);
        output.extend_from_slice(&medium.to_be_bytes());
    } else {
        output.push(masked | 127);
        output.extend_from_slice(&(length as u64).to_be_bytes());
    }
    output.extend_from_slice(mask.as_ref().map_or(&[], <[u8; 4]>::as_slice));
}

/// A frame whose payload is being read.
#[derive(Clone, Copy, Debug)]
struct Frame {
    opcode: u8,
    left: u64,
    /// Turned so that it begins with the byte for the next byte of payload.
    mask: [u8; 4],
}

/// Takes what the other side sends apart.
#[derive(Debug)]
pub(super) struct Decoder {
    side: Side,
    header: [u8; HEADER_BYTES_MAX],
    header_length: usize,
    frame: Option<Frame>,
    /// A data message has begun, and its last frame has not come yet.
    in_message: bool,
    /// Payload of the control frame being read; it may come between the frames of a message, not within one.
    control: Vec<u8>,
    reply: Option<Reply>,
    closed: bool,
}

impl Decoder {
    /// On that side of a WebSocket.
    pub(super) fn new(side: Side) -> Self {
        Self {
            side,
            header: [0; HEADER_BYTES_MAX],
            header_length: 0,
            frame: None,
            in_message: false,
            control: Vec::new(),
            reply: None,
            closed: false,
        }
    }

    /// Takes bytes as they came, and leaves the data among them at the front; how many they are.
    ///
    /// # Errors
    /// [`Violation`]; then nothing more is to be read, and [`Decoder::take_reply`] says good-bye.
    pub(super) fn decode(&mut self, bytes: &mut [u8]) -> Result<usize, Violation> {
        self.decode_checked(bytes).inspect_err(|violation| self.close(violation.close_code()))
    }

    /// The other side has said good-bye.
    pub(super) fn is_closed(&self) -> bool {
        self.closed
    }

    /// A control frame that is due; a later ping takes the place of an earlier one (RFC 6455 §5.5.3).
    pub(super) fn take_reply(&mut self) -> Option<Reply> {
        self.reply.take()
    }

    /// Says good-bye, unless that was said.
    pub(super) fn close(&mut self, code: u16) {
        if !self.closed {
            self.closed = true;
            self.reply = Some(Reply::Close(Some(code)));
        }
    }

    fn decode_checked(&mut self, bytes: &mut [u8]) -> Result<usize, Violation> {
        let (mut read, mut kept) = (0, 0);
        while !self.closed {
            let Some(frame) = &mut self.frame else {
                read += self.take_header(&bytes[read..])?;
                match self.frame {
                    Some(_) => continue,
                    None => break,
                }
            };
            let rest = bytes.len() - read;
            let here = usize::try_from(frame.left).unwrap_or(usize::MAX).min(rest);
            apply_mask(&mut bytes[read..read + here], &mut frame.mask);
            frame.left -= here as u64;
            let (opcode, ended) = (frame.opcode, frame.left == 0);
            if opcode < CLOSE {
                bytes.copy_within(read..read + here, kept);
                kept += here;
            } else {
                self.control.extend_from_slice(&bytes[read..read + here]);
            }
            read += here;
            if !ended {
                break;
            }
            self.frame = None;
            if opcode >= CLOSE {
                self.on_control(opcode)?;
            }
        }
        Ok(kept)
    }

    /// Takes bytes of a header; how many. When it is complete there is a frame.
    fn take_header(&mut self, bytes: &[u8]) -> Result<usize, Violation> {
        let mut taken = 0;
        loop {
            let needed = match self.header_length {
                0 | 1 => 2,
                _ => self.header_bytes(),
            };
            let missing = needed - self.header_length;
            let here = missing.min(bytes.len() - taken);
            self.header[self.header_length..self.header_length + here].copy_from_slice(&bytes[taken..taken + here]);
            self.header_length += here;
            taken += here;
            if here < missing {
                return Ok(taken);
            }
            if self.header_length == 2 {
                // Said as early as it is known: what follows may never come.
                self.check_start()?;
            }
            if self.header_length == self.header_bytes() {
                self.frame = Some(self.begin_frame(needed)?);
                self.header_length = 0;
                return Ok(taken);
            }
        }
    }

    /// Checks the first two bytes of a header.
    fn check_start(&mut self) -> Result<(), Violation> {
        let (flags, length) = (self.header[0], self.header[1] & 0x7F);
        let (last, opcode) = (flags & 0x80 != 0, flags & 0x0F);
        if flags & 0x70 != 0 {
            return Err(Violation::Reserved);
        }
        match opcode {
            TEXT => return Err(Violation::Text),
            BINARY if self.in_message => return Err(Violation::Fragments),
            CONTINUATION if !self.in_message => return Err(Violation::Fragments),
            BINARY | CONTINUATION => self.in_message = !last,
            CLOSE | PING | PONG if !last || usize::from(length) > CONTROL_BYTES_MAX => return Err(Violation::Control),
            CLOSE | PING | PONG => {}
            _ => return Err(Violation::Reserved),
        }
        let masked = self.header[1] & 0x80 != 0;
        if masked == (self.side == Side::Accepting) { Ok(()) } else { Err(Violation::Mask) }
    }

    /// Length of the header, by its second byte.
    fn header_bytes(&self) -> usize {
        let extended = match self.header[1] & 0x7F {
            126 => 2,
            127 => 8,
            _ => 0,
        };
        let mask = if self.side == Side::Accepting { 4 } else { 0 };
        2 + extended + mask
    }

    fn begin_frame(&self, header_length: usize) -> Result<Frame, Violation> {
        let mask_length = if self.side == Side::Accepting { 4 } else { 0 };
        let (between, mask_bytes) = self.header[2..header_length].split_at(header_length - 2 - mask_length);
        let left = match self.header[1] & 0x7F {
            126 | 127 => between.iter().fold(0, |length, byte| length << 8 | u64::from(*byte)),
            short => u64::from(short),
        };
        if left > i64::MAX.unsigned_abs() {
            return Err(Violation::Length);
        }
        let mut mask = [0; 4];
        mask[..mask_length].copy_from_slice(mask_bytes);
        Ok(Frame { opcode: self.header[0] & 0x0F, left, mask })
    }

    fn on_control(&mut self, opcode: u8) -> Result<(), Violation> {
        let payload = std::mem::take(&mut self.control);
        match (opcode, payload.as_slice()) {
            (PING, _) => self.reply = Some(Reply::Pong(payload)),
            (CLOSE, [_]) => return Err(Violation::Control),
            (CLOSE, [high, low, ..]) => self.close(u16::from_be_bytes([*high, *low])),
            (CLOSE, []) => {
                self.closed = true;
                self.reply = Some(Reply::Close(None));
            }
            _ => {}
        }
        Ok(())
    }
}

/// Puts a mask on or takes it off, and turns it to where the next bytes begin.
fn apply_mask(bytes: &mut [u8], mask: &mut [u8; 4]) {
    if *mask == [0; 4] {
        return;
    }
    let [a, b, c, d] = *mask;
    // Twice: words of eight bytes are what the compiler makes fast.
    let wide = [a, b, c, d, a, b, c, d];
    let mut words = bytes.chunks_exact_mut(8);
    for word in &mut words {
        for (byte, key) in word.iter_mut().zip(wide) {
            *byte ^= key;
        }
    }
    for (byte, key) in words.into_remainder().iter_mut().zip(wide) {
        *byte ^= key;
    }
    mask.rotate_left(bytes.len() % 4);
}

#[cfg(test)]
mod tests;
