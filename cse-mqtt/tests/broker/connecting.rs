//! CONNECT in all its forms, and what closes a connection.

use std::sync::Arc;
use std::time::Duration;

use cse_mqtt::broker::{Broker, Limits, OpenPolicy};
use rumqttc::mqttbytes::v4::{ConnAck, ConnectReturnCode, Packet};
use tokio::time::Instant;

use crate::harness::*;

async fn answer(broker: &TestBroker, bytes: &[u8]) -> Option<Packet> {
    let mut client = broker.raw().await;
    client.send(bytes).await;
    let answer = client.next().await;
    client.expect_closed().await;
    answer
}

fn refused(code: ConnectReturnCode) -> Option<Packet> {
    Some(Packet::ConnAck(ConnAck::new(code, false)))
}

#[tokio::test]
async fn versions_that_are_not_served_are_told_in_their_own_way() {
    let broker = TestBroker::start().await;
    let version_3 = b"\x10\x0f\x00\x06MQIsdp\x03\x02\x00\x3c\x00\x01a";
    assert_eq!(answer(&broker, version_3).await, refused(ConnectReturnCode::RefusedProtocolVersion));
    let mut client = broker.raw().await;
    client.send(&connect_with(6, 2, 60, &[b"a"])).await;
    let answer = client.rest().await;
    assert_eq!(&answer[..1], b"\x20");
    assert_eq!(&answer[2..4], b"\x00\x84", "as version 5 does");
    assert_eq!(broker.broker.stats().connects_refused.get(), 2);
}

#[tokio::test]
async fn wrong_first_packets_are_closed_without_an_answer() {
    let broker = TestBroker::start().await;
    let packets: [&[u8]; 7] = [
        b"\xc0\x00",
        b"GET / HTTP/1.1\r\n\r\n",
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03",
        b"\x11\x0d\x00\x04MQTT\x04\x02\x00\x3c\x00\x01a",
        b"\x10\x0d\x00\x04MQTT\x04\x03\x00\x3c\x00\x01a",
        b"\x10\x0d\x00\x04MQTX\x04\x02\x00\x3c\x00\x01a",
        b"\x10\xff\xff\xff\xff\x01",
    ];
    for bytes in packets {
        assert_eq!(answer(&broker, bytes).await, None, "{bytes:?}");
    }
    assert_eq!(broker.broker.stats().protocol_violations.get(), 7);
    broker.client("still serving").await;
}

#[tokio::test]
async fn a_connect_of_more_than_its_limit_is_closed() {
    let limits = Limits { connect_bytes_max: 100, ..Limits::default() };
    let broker = TestBroker::with(limits, OpenPolicy).await;
    assert_eq!(answer(&broker, &connect_bytes(&"i".repeat(100), true, 0)).await, None);
    broker.client("short").await;
}

#[tokio::test]
async fn an_empty_client_id_needs_a_clean_session_and_gets_a_name() {
    let broker = TestBroker::start().await;
    let unnamed = connect_bytes("", false, 0);
    assert_eq!(answer(&broker, &unnamed).await, refused(ConnectReturnCode::BadClientId));
    let (_first, _second) = (broker.client("").await, broker.client("").await);
    let sessions = broker.broker.sessions();
    assert_eq!(sessions.len(), 2);
    assert!(sessions.iter().all(|session| !session.client.client_id.is_empty()));
}

#[tokio::test]
async fn client_ids_may_have_any_characters() {
    let broker = TestBroker::start().await;
    let long = "x".repeat(1000);
    for id in ["/in-cse/Cae1", "a b\t\"#+$", "é😀", "C:SP:1", long.as_str()] {
        let _client = broker.client(id).await;
        assert!(broker.broker.sessions().iter().any(|session| &*session.client.client_id == id), "{id}");
    }
}

#[tokio::test]
async fn the_policy_chooses_the_return_code() {
    let broker = TestBroker::with(Limits::default(), Strict).await;
    let cases = [
        (login("a", true, "user", "wrong"), ConnectReturnCode::BadUserNamePassword),
        (connect_bytes("a", true, 0), ConnectReturnCode::BadUserNamePassword),
        (login("bad", true, "user", "right"), ConnectReturnCode::BadClientId),
        (login("a", true, "down", "right"), ConnectReturnCode::ServiceUnavailable),
        (login("a", true, "guest", "right"), ConnectReturnCode::NotAuthorized),
    ];
    for (bytes, code) in cases {
        assert_eq!(answer(&broker, &bytes).await, refused(code));
    }
    let mut client = broker.raw().await;
    client.send(&login("a", true, "user", "right")).await;
    client.connected().await;
    let session = broker.broker.sessions().pop().expect("one");
    assert_eq!(session.client.identity.name(), "user");
    assert!(session.client.peer.is_some());
}

#[tokio::test]
async fn violations_after_connect_close_the_connection() {
    let broker = TestBroker::start().await;
    let second_connect = connect_bytes("again", true, 0);
    let packets: [&[u8]; 18] = [
        &second_connect,
        b"\x20\x02\x00\x00",
        b"\x00\x00",
        b"\xf0\x00",
        b"\xd0\x00",
        b"\xc1\x00",
        b"\x30\x03\x00\x01+",
        b"\x30\x02\x00\x00",
        b"\x30\x05\x00\x03a\x00b",
        b"\x36\x05\x00\x01a\x00\x01",
        b"\x38\x03\x00\x01a",
        b"\x32\x05\x00\x01a\x00\x00",
        b"\x80\x06\x00\x01\x00\x01a\x00",
        b"\x82\x06\x00\x01\x00\x01a\x03",
        b"\x82\x08\x00\x01\x00\x03a/#\x04",
        b"\x82\x09\x00\x01\x00\x04a/#b\x00",
        b"\xa2\x02\x00\x01",
        b"\x60\x02\x00\x01",
    ];
    for bytes in packets {
        let mut client = broker.client("violator").await;
        client.send(bytes).await;
        client.expect_closed().await;
    }
    assert_eq!(broker.broker.stats().protocol_violations.get(), 18);
    broker.until_offline("violator").await;
    assert!(broker.broker.sessions().is_empty());
}

#[tokio::test]
async fn packets_may_come_in_pieces_and_before_connack() {
    let broker = TestBroker::start().await;
    let mut client = broker.raw().await;
    let mut bytes = connect_bytes("pieces", true, 0);
    bytes.extend(b"\x82\x06\x00\x05\x00\x01a\x01\x30\x05\x00\x01ahi\xc0\x00");
    for byte in bytes {
        client.send(&[byte]).await;
        tokio::task::yield_now().await;
    }
    client.connected().await;
    assert!(matches!(client.next().await, Some(Packet::SubAck(ack)) if ack.pkid == 5));
    let mut rest = [client.next().await, client.next().await];
    rest.sort_by_key(|packet| matches!(packet, Some(Packet::PingResp)));
    assert!(matches!(&rest[0], Some(Packet::Publish(publish)) if &publish.payload[..] == b"hi"));
    assert_eq!(rest[1], Some(Packet::PingResp));
}

#[tokio::test(start_paused = true)]
async fn silence_before_connect_ends_the_connection() {
    let broker = Broker::new(Limits::default(), Arc::new(OpenPolicy));
    let began = Instant::now();
    let (mut client, _stop, served) = in_memory(&broker);
    client.send(b"\x10\x0d\x00\x04MQ").await;
    assert_eq!(client.next_unlimited().await, None);
    served.await.expect("ended");
    assert_eq!(began.elapsed().as_secs(), 10);
    assert_eq!(broker.stats().connect_timeouts.get(), 1);
}

#[tokio::test(start_paused = true)]
async fn silence_of_one_and_a_half_keep_alives_ends_the_connection() {
    let broker = Broker::new(Limits::default(), Arc::new(OpenPolicy));
    let (mut client, _stop, _served) = in_memory(&broker);
    client.send(&connect_bytes("sleeper", true, 10)).await;
    client.connected().await;
    tokio::time::sleep(Duration::from_secs(14)).await;
    client.packet(Packet::PingReq).await;
    assert_eq!(client.next_unlimited().await, Some(Packet::PingResp));
    let last = Instant::now();
    assert_eq!(client.next_unlimited().await, None);
    assert_eq!(last.elapsed().as_secs(), 15);
    assert_eq!(broker.stats().keep_alive_timeouts.get(), 1);
    assert_eq!(broker.stats().clients_connected.get(), 0);
}

#[tokio::test(start_paused = true)]
async fn keep_alive_zero_allows_any_silence() {
    let broker = Broker::new(Limits::default(), Arc::new(OpenPolicy));
    let (mut client, _stop, _served) = in_memory(&broker);
    client.send(&connect_bytes("quiet", true, 0)).await;
    client.connected().await;
    tokio::time::sleep(Duration::from_secs(1_000_000)).await;
    client.packet(Packet::PingReq).await;
    assert_eq!(client.next_unlimited().await, Some(Packet::PingResp));
}
