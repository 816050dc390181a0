//! Frames as tables of bytes, and whatever a client may make of a stream.

use proptest::prelude::*;

use super::*;

const MASK: [u8; 4] = [0x37, 0xfa, 0x21, 0x3d];

/// A frame as a client writes it, beginning with that byte.
fn frame(first: u8, payload: &[u8]) -> Vec<u8> {
    let mut bytes = Vec::new();
    write_frame(&mut bytes, 0, payload, Some(MASK));
    bytes[0] = first;
    bytes
}

/// Decodes in pieces of that size; the data.
fn decode(decoder: &mut Decoder, bytes: &[u8], piece: usize) -> Result<Vec<u8>, Violation> {
    let mut data = Vec::new();
    for piece in bytes.chunks(piece) {
        let mut piece = piece.to_vec();
        let kept = decoder.decode(&mut piece)?;
        data.extend_from_slice(&piece[..kept]);
    }
    Ok(data)
}

#[test]
fn data_is_what_binary_frames_carry() {
    let long = vec![7; 70_000];
    let medium: Vec<u8> = (0..=255).cycle().take(300).collect();
    let bytes = [
        frame(0x82, b"one"),
        frame(0x02, b"tw"),
        frame(0x89, b"in between"),
        frame(0x00, b""),
        frame(0x80, b"o"),
        frame(0x82, &medium),
        frame(0x82, &long),
    ];
    let expected = [&b"onetwo"[..], &medium, &long].concat();
    for piece in [1, 2, 3, 7, 64, 100_000] {
        let mut decoder = Decoder::new(Side::Accepting);
        assert_eq!(decode(&mut decoder, &bytes.concat(), piece), Ok(expected.clone()), "in pieces of {piece}");
        assert_eq!(decoder.take_reply(), Some(Reply::Pong(b"in between".to_vec())));
        assert!(!decoder.is_closed() && decoder.take_reply().is_none());
    }
}

#[test]
fn a_later_ping_takes_the_place_of_an_earlier_one() {
    let mut decoder = Decoder::new(Side::Accepting);
    let bytes = [frame(0x89, b"1"), frame(0x8A, b"unasked"), frame(0x89, &[9; 125])].concat();
    assert_eq!(decode(&mut decoder, &bytes, 200), Ok(Vec::new()));
    assert_eq!(decoder.take_reply(), Some(Reply::Pong(vec![9; 125])));
}

#[test]
fn good_bye_is_answered_with_its_code_and_is_the_end() {
    for (payload, reply) in
        [(&b""[..], None), (&[0x03, 0xE8][..], Some(1000)), (&[0x03, 0xE9, b'o', b'k'][..], Some(1001))]
    {
        let mut decoder = Decoder::new(Side::Accepting);
        let bytes = [frame(0x82, b"a"), frame(0x88, payload), frame(0x82, b"b"), frame(0x81, b"c")].concat();
        assert_eq!(decode(&mut decoder, &bytes, 5), Ok(b"a".to_vec()));
        assert!(decoder.is_closed());
        assert_eq!(decoder.take_reply(), Some(Reply::Close(reply)));
        decoder.close(NORMAL);
        assert_eq!(decoder.take_reply(), None, "said once");
    }
}

#[test]
fn violations_are_refused_with_their_code() {
    let mut unmasked = frame(0x82, b"");
    unmasked[1] &= 0x7F;
    let mut impossible = frame(0x82, &[0; 70_000]);
    impossible[2] = 0x80;
    let mut long_ping = frame(0x89, &[0; 126]);
    long_ping.truncate(2);
    for (bytes, violation, code) in [
        (frame(0x81, b"text"), Violation::Text, 1003),
        (frame(0x01, b"te"), Violation::Text, 1003),
        (unmasked, Violation::Mask, 1002),
        (frame(0xC2, b""), Violation::Reserved, 1002),
        (frame(0x83, b""), Violation::Reserved, 1002),
        (frame(0x8B, b""), Violation::Reserved, 1002),
        (frame(0x09, b""), Violation::Control, 1002),
        (frame(0x88, b"x"), Violation::Control, 1002),
        (long_ping, Violation::Control, 1002),
        (frame(0x80, b"x"), Violation::Fragments, 1002),
        ([frame(0x02, b"x"), frame(0x82, b"y")].concat(), Violation::Fragments, 1002),
        (impossible, Violation::Length, 1002),
    ] {
        for piece in [1, 1_000_000] {
            let mut decoder = Decoder::new(Side::Accepting);
            assert_eq!(decode(&mut decoder, &bytes, piece), Err(violation));
            assert_eq!(decoder.take_reply(), Some(Reply::Close(Some(code))), "{violation}");
        }
    }
}

#[test]
fn frames_are_written_with_the_shortest_header() {
    for (length, header) in [
        (0, vec![0x82, 0]),
        (125, vec![0x82, 125]),
        (126, vec![0x82, 126, 0, 126]),
        (65_535, vec![0x82, 126, 0xFF, 0xFF]),
        (65_536, vec![0x82, 127, 0, 0, 0, 0, 0, 1, 0, 0]),
    ] {
        let mut output = Vec::new();
        write_binary_header(&mut output, length);
        assert_eq!(output, header, "{length}");
    }
    let mut output = Vec::new();
    Reply::Close(Some(1002)).write(&mut output, None);
    Reply::Close(None).write(&mut output, None);
    Reply::Pong(vec![1]).write(&mut output, None);
    assert_eq!(output, [0x88, 2, 0x03, 0xEA, 0x88, 0, 0x8A, 1, 1]);
    let mut output = Vec::new();
    // RFC 6455 §5.7 has this one, with text.
    write_binary(&mut output, b"Hello", Some(MASK));
    assert_eq!(output, [0x82, 0x85, 0x37, 0xfa, 0x21, 0x3d, 0x7f, 0x9f, 0x4d, 0x51, 0x58]);
}

#[test]
fn a_client_hears_what_a_server_says_and_nothing_masked() {
    let mut bytes = Vec::new();
    write_binary(&mut bytes, b"one", None);
    Reply::Pong(b"unasked".to_vec()).write(&mut bytes, None);
    write_binary(&mut bytes, b"", None);
    write_binary(&mut bytes, &[5; 66_000], None);
    let expected = [&b"one"[..], &[5; 66_000]].concat();
    for piece in [1, 2, 3, 100_000] {
        let mut decoder = Decoder::new(Side::Connecting);
        assert_eq!(decode(&mut decoder, &bytes, piece), Ok(expected.clone()), "in pieces of {piece}");
    }
    let mut decoder = Decoder::new(Side::Connecting);
    assert_eq!(decode(&mut decoder, &frame(0x82, b"x"), 1), Err(Violation::Mask));
}

proptest! {
    #[test]
    fn any_bytes_are_decoded_or_refused(bytes in proptest::collection::vec(any::<u8>(), 0..600), piece in 1..64usize) {
        let mut decoder = Decoder::new(Side::Accepting);
        if let Ok(data) = decode(&mut decoder, &bytes, piece) {
            prop_assert!(data.len() <= bytes.len());
            prop_assert!(decoder.control.len() <= CONTROL_BYTES_MAX);
        }
    }

    #[test]
    fn a_message_survives_any_fragments_and_pieces(
        fragments in proptest::collection::vec(proptest::collection::vec(any::<u8>(), 0..300), 1..8),
        piece in 1..64usize,
    ) {
        let last = fragments.len() - 1;
        let mut bytes = Vec::new();
        for (index, fragment) in fragments.iter().enumerate() {
            let opcode = if index == 0 { BINARY } else { CONTINUATION };
            bytes.extend(frame(opcode | if index == last { 0x80 } else { 0 }, fragment));
            bytes.extend(frame(0x80 | PING, b"?"));
        }
        let mut decoder = Decoder::new(Side::Accepting);
        prop_assert_eq!(decode(&mut decoder, &bytes, piece), Ok(fragments.concat()));
    }
}
