//! Packets of a broker that is not ours.

use bytes::BytesMut;

use super::wire::{Malformed, Packet, Wire};
use crate::options::ProtocolVersion;

/// Small, so that messages that are too large come often.
const PACKET_BYTES_MAX: usize = 64;

/// Reads bytes as packets of a broker; the first byte says of which version, and in what pieces they come. The pieces
/// make no difference, and no more is kept than allowed.
///
/// # Panics
/// If it is not so.
pub fn server_packets(bytes: &[u8]) {
    let Some((first, bytes)) = bytes.split_first() else { return };
    let version = if first & 1 == 0 { ProtocolVersion::V311 } else { ProtocolVersion::V5 };
    let whole = read(version, bytes, bytes.len());
    for piece in [1, 1 + usize::from(first >> 1)] {
        assert_eq!(read(version, bytes, piece), whole, "in pieces of {piece} bytes");
    }
}

/// All packets in order, up to the first that is malformed.
fn read(version: ProtocolVersion, bytes: &[u8], piece: usize) -> (Vec<Packet>, Option<Malformed>) {
    let mut wire = Wire::new(version, PACKET_BYTES_MAX);
    let mut input = BytesMut::new();
    let mut packets = Vec::new();
    for piece in bytes.chunks(piece.max(1)) {
        input.extend_from_slice(piece);
        loop {
            match wire.read(&mut input) {
                Ok(Some(packet)) => packets.push(packet),
                Ok(None) => break,
                Err(malformed) => return (packets, Some(malformed)),
            }
        }
    }
    (packets, None)
}
