//! Whatever bytes come: no panic, no hang, and the broker serves others.

use std::sync::Arc;

use cse_mqtt::broker::{Broker, Limits, OpenPolicy, Origin};
use proptest::prelude::*;
use proptest::sample::Index;
use rumqttc::QoS;
use tokio::io::{AsyncReadExt, AsyncWriteExt, duplex};

use crate::harness::*;

/// A conversation with every kind of packet.
fn conversation() -> Vec<u8> {
    let mut bytes = connect_with(4, 0xc4, 10, &[b"fuzz", b"will", b"message", b"user", b"pass"]);
    let packets: [&[u8]; 12] = [
        b"\x82\x0a\x00\x01\x00\x01a\x01\x00\x01#\x02",
        b"\x30\x05\x00\x01ahi",
        b"\x32\x07\x00\x01a\x00\x02hi",
        b"\x34\x07\x00\x01a\x00\x03hi",
        b"\x3c\x07\x00\x01a\x00\x03hi",
        b"\x40\x02\x00\x01",
        b"\x50\x02\x00\x02",
        b"\x62\x02\x00\x03",
        b"\x70\x02\x00\x02",
        b"\xa2\x05\x00\x04\x00\x01a",
        b"\xc0\x00",
        b"\xe0\x00",
    ];
    for packet in packets {
        bytes.extend(packet);
    }
    bytes
}

/// The same in version 5, with properties and reasons.
fn conversation5() -> Vec<u8> {
    let connect = b"\x11\x00\x00\x00\x0a\x21\x00\x14\x27\x00\x01\x00\x00\x22\x00\x05\x17\x01\x26\x00\x01k\x00\x01v";
    let mut bytes = connect5_with(0xc0, 10, connect, &[b"fuzz", b"user", b"pass"]);
    let packets: [&[u8]; 13] = [
        b"\x82\x0e\x00\x01\x07\x26\x00\x01k\x00\x01v\x00\x01a\x01",
        b"\x82\x0b\x00\x02\x00\x00\x01b\x2d\x00\x01#\x02",
        b"\x30\x0d\x00\x01a\x07\x02\x00\x00\x00\x0a\x01\x01hi",
        b"\x32\x15\x00\x01a\x00\x02\x0f\x03\x00\x01t\x08\x00\x01b\x26\x00\x01k\x00\x01v",
        b"\x34\x08\x00\x01a\x00\x03\x00hi",
        b"\x40\x02\x00\x01",
        b"\x40\x04\x00\x01\x97\x00",
        b"\x50\x03\x00\x02\x10",
        b"\x62\x02\x00\x03",
        b"\x70\x02\x00\x02",
        b"\xa2\x06\x00\x04\x00\x00\x01a",
        b"\xc0\x00",
        b"\xe0\x07\x04\x05\x11\x00\x00\x00\x05",
    ];
    for packet in packets {
        bytes.extend(packet);
    }
    bytes
}

/// Sends the bytes and the end of the stream; the connection must end, and a proper client be served afterwards.
async fn survives(broker: &Broker, bytes: &[u8], cut: usize) {
    let (mut near, far) = duplex(1 << 20);
    let (_stop, shutdown) = tokio::sync::watch::channel(false);
    let serving = broker.clone();
    let served = tokio::spawn(async move {
        let peer = std::net::SocketAddr::from(([127, 0, 0, 1], 1));
        serving.serve_connection(far, Origin::of(peer), shutdown, DRAIN).await;
    });
    let (first, second) = bytes.split_at(cut);
    let _ = near.write_all(first).await;
    tokio::task::yield_now().await;
    let _ = near.write_all(second).await;
    let _ = near.shutdown().await;
    let mut output = Vec::new();
    within(near.read_to_end(&mut output)).await.expect("a stream in memory");
    within(served).await.expect("no panic");

    let (mut client, _stop, _served) = in_memory(broker);
    client.connect("proper", true).await;
    client.subscribe("proper", QoS::AtMostOnce).await;
    client.publish("proper", "x", QoS::AtMostOnce, 0).await;
    assert_eq!(text(&client.message().await.payload), "x");
}

fn run(bytes: &[u8], cut: usize) {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
    runtime.block_on(async {
        let broker = Broker::new(Limits::default(), Arc::new(OpenPolicy));
        let (_link, mut receiver) = broker.link("cse", &["a"]).expect("a filter");
        let accepting = tokio::spawn(async move {
            let mut received = Vec::new();
            loop {
                receiver.receive(&mut received, 8).await;
                received.drain(..).for_each(|message| message.ack.accept());
            }
        });
        survives(&broker, bytes, cut).await;
        accepting.abort();
    });
}

#[test]
fn the_conversation_itself_is_proper() {
    for bytes in [conversation(), conversation5()] {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
        runtime.block_on(async {
            let broker = Broker::new(Limits::default(), Arc::new(OpenPolicy));
            survives(&broker, &bytes, 3).await;
            assert_eq!(broker.stats().protocol_violations.get(), 0);
            assert!(broker.stats().publishes_received.get() >= 4);
        });
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 600, ..ProptestConfig::default() })]

    #[test]
    fn mutated_conversations(
        changes in prop::collection::vec((any::<Index>(), any::<u8>(), 0_u8..3), 1..6),
        cut in any::<Index>(),
        version_5 in any::<bool>(),
    ) {
        let mut bytes = if version_5 { conversation5() } else { conversation() };
        for (at, byte, kind) in changes {
            let at = at.index(bytes.len());
            match kind {
                0 => bytes[at] = byte,
                1 => bytes.insert(at, byte),
                _ => drop(bytes.remove(at)),
            }
        }
        run(&bytes, cut.index(bytes.len() + 1));
    }

    #[test]
    fn noise_after_connect(
        noise in prop::collection::vec(any::<u8>(), 0..300),
        cut in any::<Index>(),
        version_5 in any::<bool>(),
    ) {
        let mut bytes =
            if version_5 { connect5_with(0, 0, b"", &[b"fuzz"]) } else { connect_bytes("fuzz", false, 0) };
        bytes.extend(noise);
        run(&bytes, cut.index(bytes.len() + 1));
    }

    #[test]
    fn noise_alone(noise in prop::collection::vec(any::<u8>(), 0..300)) {
        run(&noise, 0);
    }
}
