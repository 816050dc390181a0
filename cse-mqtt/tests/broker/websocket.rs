//! MQTT over WebSocket, with a client library that is not ours.

use bytes::{Bytes, BytesMut};
use futures_util::{SinkExt, StreamExt};
use rumqttc::QoS;
use rumqttc::mqttbytes::v4::{Packet, Publish, Subscribe};
use tokio::net::TcpStream;
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::tungstenite::protocol::frame::coding::CloseCode;
use tokio_tungstenite::tungstenite::protocol::frame::coding::{Data, OpCode};
use tokio_tungstenite::tungstenite::protocol::frame::{Frame, FrameHeader};

use crate::harness::*;
use crate::tls::*;

type Socket = WebSocketStream<TcpStream>;

fn bytes_of(packets: &[Packet]) -> Vec<u8> {
    let mut bytes = BytesMut::new();
    for packet in packets {
        packet.write(&mut bytes, usize::MAX).expect("a packet");
    }
    bytes.to_vec()
}

async fn open(broker: &TestBroker) -> Socket {
    let (address, _) = listen(broker, |listener| listener.with_websocket(Default::default())).await;
    websocket(TcpStream::connect(address).await.expect("connected")).await
}

async fn send(socket: &mut Socket, message: Message) {
    within(socket.send(message)).await.expect("sent");
}

async fn next(socket: &mut Socket) -> Option<Message> {
    match within(socket.next()).await {
        Some(Ok(message)) => Some(message),
        Some(Err(_)) | None => None,
    }
}

/// Collects binary messages until there are that many bytes.
async fn bytes(socket: &mut Socket, count: usize) -> Vec<u8> {
    let mut bytes = Vec::new();
    while bytes.len() < count {
        match next(socket).await {
            Some(Message::Binary(message)) => bytes.extend_from_slice(&message),
            other => panic!("no binary message: {other:?}"),
        }
    }
    bytes
}

const CONNACK: [u8; 4] = [0x20, 2, 0, 0];

#[tokio::test]
async fn packets_and_frames_need_not_agree() {
    let broker = TestBroker::start().await;
    let mut socket = open(&broker).await;
    let mut subscribe = Subscribe::new("to/a", QoS::AtLeastOnce);
    subscribe.pkid = 7;
    let publish = Publish::new("to/a", QoS::AtMostOnce, "hello");
    // Three packets in one message.
    let packets = bytes_of(&[Packet::Subscribe(subscribe), Packet::Publish(publish), Packet::PingReq]);
    let all = [&connect_bytes("a", true, 0)[..], &packets].concat();
    send(&mut socket, Message::binary(all)).await;
    let expected = [&CONNACK[..], &[0x90, 3, 0, 7, 1], &[0x30, 11, 0, 4], b"to/ahello", &[0xd0, 0]].concat();
    let mut received = bytes(&mut socket, expected.len()).await;
    received.sort_unstable();
    let mut sorted = expected.clone();
    sorted.sort_unstable();
    assert_eq!(received, sorted, "whatever the order of PINGRESP and PUBLISH");

    // One packet in many messages, and in many frames of one message.
    let ping = bytes_of(&[Packet::PingReq]);
    for byte in &ping {
        send(&mut socket, Message::binary(vec![*byte])).await;
    }
    assert_eq!(bytes(&mut socket, 2).await, [0xd0, 0]);
    let publish = bytes_of(&[Packet::Publish(Publish::new("to/a", QoS::AtMostOnce, "x".repeat(500)))]);
    for (index, piece) in publish.chunks(100).enumerate() {
        let opcode = OpCode::Data(if index == 0 { Data::Binary } else { Data::Continue });
        let is_final = (index + 1) * 100 >= publish.len();
        let header = FrameHeader { is_final, opcode, mask: Some([1, 2, 3, 4]), ..FrameHeader::default() };
        send(&mut socket, Message::Frame(Frame::from_payload(header, Bytes::copy_from_slice(piece)))).await;
        // Control frames may come in between.
        send(&mut socket, Message::Ping(Bytes::from_static(b"?"))).await;
    }
    let (mut pongs, mut received) = (0, Vec::new());
    while received.len() < publish.len() || pongs == 0 {
        match next(&mut socket).await {
            Some(Message::Binary(message)) => received.extend_from_slice(&message),
            Some(Message::Pong(payload)) => {
                assert_eq!(&payload[..], b"?");
                pongs += 1;
            }
            other => panic!("neither data nor pong: {other:?}"),
        }
    }
    assert_eq!(received, publish);
}

#[tokio::test]
async fn large_messages_pass_both_ways() {
    let broker = TestBroker::start().await;
    let mut socket = open(&broker).await;
    send(&mut socket, Message::binary(connect_bytes("a", true, 0))).await;
    assert_eq!(bytes(&mut socket, 4).await, CONNACK);
    let mut subscribe = Subscribe::new("to/a", QoS::AtMostOnce);
    subscribe.pkid = 7;
    send(&mut socket, Message::binary(bytes_of(&[Packet::Subscribe(subscribe)]))).await;
    assert_eq!(bytes(&mut socket, 5).await, [0x90, 3, 0, 7, 0]);
    let payload: Vec<u8> = (0..=255).cycle().take(1_000_000).collect();
    let publish = bytes_of(&[Packet::Publish(Publish::new("to/a", QoS::AtMostOnce, payload))]);
    for _ in 0..3 {
        send(&mut socket, Message::binary(publish.clone())).await;
    }
    let received = bytes(&mut socket, 3 * publish.len()).await;
    assert!(received == [&publish[..], &publish, &publish].concat());
}

#[tokio::test]
async fn text_is_the_end() {
    let broker = TestBroker::start().await;
    let mut socket = open(&broker).await;
    send(&mut socket, Message::binary(connect_bytes("a", true, 0))).await;
    assert_eq!(bytes(&mut socket, 4).await, CONNACK);
    send(&mut socket, Message::text("hello")).await;
    match next(&mut socket).await {
        Some(Message::Close(Some(close))) => assert_eq!(close.code, CloseCode::Unsupported),
        other => panic!("no close: {other:?}"),
    }
    broker.until_offline("a").await;
}

#[tokio::test]
async fn both_sides_may_say_good_bye() {
    let broker = TestBroker::start().await;
    let mut socket = open(&broker).await;
    send(&mut socket, Message::binary(connect_bytes("a", true, 0))).await;
    assert_eq!(bytes(&mut socket, 4).await, CONNACK);
    within(socket.close(None)).await.expect("closed");
    assert!(matches!(next(&mut socket).await, Some(Message::Close(None))));
    broker.until_offline("a").await;

    let mut socket = open(&broker).await;
    send(&mut socket, Message::binary(connect_bytes("b", true, 0))).await;
    assert_eq!(bytes(&mut socket, 4).await, CONNACK);
    assert!(broker.broker.expel("b"));
    match next(&mut socket).await {
        Some(Message::Close(Some(close))) => assert_eq!(close.code, CloseCode::Normal),
        other => panic!("no close: {other:?}"),
    }
}

#[tokio::test]
async fn the_bounds_of_mqtt_hold() {
    let limits = cse_mqtt::broker::Limits { packet_bytes_max: 10_000, ..Default::default() };
    let broker = TestBroker::with(limits, cse_mqtt::broker::OpenPolicy).await;
    let mut socket = open(&broker).await;
    send(&mut socket, Message::binary(connect_bytes("a", true, 0))).await;
    assert_eq!(bytes(&mut socket, 4).await, CONNACK);
    // A frame that is longer than any packet may be, with packets that are not.
    let pings = bytes_of(&vec![Packet::PingReq; 20_000]);
    send(&mut socket, Message::binary(pings.clone())).await;
    assert_eq!(bytes(&mut socket, pings.len()).await.len(), pings.len());
    let publish = Publish::new("x", QoS::AtMostOnce, vec![0; 20_000]);
    send(&mut socket, Message::binary(bytes_of(&[Packet::Publish(publish)]))).await;
    while next(&mut socket).await.is_some() {}
    until(|| broker.broker.stats().protocol_violations.get() == 1).await;
}
