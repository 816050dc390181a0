//! What TS-0010 asks of a client of a broker, looked at on the wire, and what it leaves to others: nodes, brokers, qualities.

use std::sync::Arc;

use bytes::BytesMut;
use cse_tests::mosquitto::Mosquitto;
use cse_tests::mqtt::Entity;
use cse_tests::proxy::{Fate, Proxy, Way};
use cse_tests::scenarios::World;
use cse_tests::server::{Launch, Server};
use cse_tests::wait::in_time;
use parking_lot::Mutex;
use rumqttc::mqttbytes::v4::{Packet, Publish};
use rumqttc::{AsyncClient, Event, MqttOptions, QoS};
use serde_json::{Value, json};

/// Everything that a server has said to its broker, as packets; the bytes of the first.
fn packets(bytes: &[u8]) -> Vec<Packet> {
    let mut bytes = BytesMut::from(bytes);
    let mut packets = Vec::new();
    while !bytes.is_empty() {
        packets.push(Packet::read(&mut bytes, 1 << 20).expect("a packet of version 3.1.1"));
    }
    packets
}

fn primitive(publish: &Publish) -> Value {
    serde_json::from_slice(&publish.payload).expect("JSON")
}

#[tokio::test]
async fn what_the_cse_says_to_its_broker() {
    let broker = Mosquitto::start();
    let proxy = Proxy::start(broker.port()).await;
    let said = Arc::new(Mutex::new(Vec::new()));
    let recorded = Arc::clone(&said);
    proxy.rule(move |passing| {
        if passing.way == Way::Up {
            recorded.lock().extend_from_slice(&passing.bytes);
        }
        Fate::Pass
    });
    let login = "[mqtt]\nusername = \"cse\"\npassword = \"secret\"\nkeep-alive = \"42s\"\nclient-id-prefix = \"C:\"\n";
    let server = Launch::default().with_file(login).external_broker(proxy.port()).start();
    let world = World { server, broker: Some(broker) };
    world.until_mqtt_is("up").await;
    // A registration under a credential, requests, a question to a subscriber, and a notification.
    let mut sensor = Entity::connect(world.port(), "Csensor").await;
    let register = json!({
        "op": 1, "to": "cse-in", "fr": "Csensor", "rqi": "first", "rvi": "3", "ty": 2,
        "pc": {"m2m:ae": {"rn": "sensor", "api": "N.test", "rr": true, "srv": ["3"]}}
    });
    sensor.publish("/oneM2M/reg_req/Csensor/id-in/json", register.to_string()).await;
    sensor.answer_to("first").await.expect(2001);
    sensor.create("cse-in/sensor", 3, json!({"m2m:cnt": {"rn": "log"}})).await.expect(2001);
    let mut listener = world.ae("Clistener", "listener").await;
    let subscription = json!({"m2m:sub": {"rn": "s", "nu": ["/id-in/Clistener"], "enc": {"net": [3]}}});
    let asked = sensor.send(json!({"op": 1, "to": "cse-in/sensor/log", "ty": 23, "pc": subscription})).await;
    for content in ["vrq", "nev"] {
        let question = listener.next_request().await;
        assert!(question.primitive["pc"]["m2m:sgn"].get(content).is_some(), "{}", question.primitive);
        listener.respond(&question, 2000).await;
        if content == "vrq" {
            sensor.answer_to(&asked).await.expect(2001);
            sensor.create("cse-in/sensor/log", 4, json!({"m2m:cin": {"con": "1"}})).await.expect(2001);
        }
    }
    assert!(world.server.stop().success());

    let said = said.lock().clone();
    // §7.3.1: protocol name and level. §7.3.3: user name and password, no clean session, no will.
    let (length, header) = (said[1], &said[2..12]);
    assert!(length < 128, "the header has two bytes");
    assert_eq!(header, [&[0, 4][..], b"MQTT", &[4, 0xc0, 0, 42]].concat(), "variable header of CONNECT");
    let packets = packets(&said);
    let Packet::Connect(connect) = &packets[0] else { panic!("{:?}", packets[0]) };
    assert_eq!((connect.client_id.as_str(), &connect.last_will), ("C:id-in", &None));
    let (mut requests, mut answers, mut registrations, mut filters) = (0, 0, 0, Vec::new());
    for packet in &packets[1..] {
        match packet {
            Packet::Publish(publish) => {
                // §6.1, §7.4.1.1.
                assert_eq!((publish.qos, publish.retain, publish.dup), (QoS::AtLeastOnce, false, false), "{publish:?}");
                assert!(publish.pkid > 0, "§7.4.1.2");
                let content = primitive(publish);
                let has =
                    |names: &[&str]| names.iter().all(|name| content.get(name).is_some_and(|value| !value.is_null()));
                let levels: Vec<&str> = publish.topic.split('/').collect();
                match levels[..] {
                    // §7.4.2, §7.4.3, §7.4.4, §7.4.5.
                    ["", "oneM2M", "req", "id-in", "Clistener", "json"] => {
                        assert!(has(&["op", "fr", "to", "rqi"]), "{content}");
                        requests += 1;
                    }
                    ["", "oneM2M", "resp", "Csensor" | "Clistener", "id-in", "json"] => {
                        assert!(has(&["rsc", "rqi"]), "{content}");
                        answers += 1;
                    }
                    ["", "oneM2M", "reg_resp", "Csensor", "id-in", "json"] => {
                        assert!(has(&["rsc", "rqi"]), "{content}");
                        registrations += 1;
                    }
                    _ => panic!("{}", publish.topic),
                }
            }
            Packet::Subscribe(subscribe) => {
                assert!(subscribe.filters.iter().all(|filter| filter.qos == QoS::AtLeastOnce), "{subscribe:?}");
                filters.extend(subscribe.filters.iter().map(|filter| filter.path.clone()));
            }
            // QoS 2 would need others.
            Packet::PubAck(_) | Packet::PingReq | Packet::Disconnect => {}
            other => panic!("{other:?}"),
        }
    }
    assert_eq!((requests, answers, registrations), (2, 4, 1));
    // §7.5.4.
    for filter in ["/oneM2M/req/+/id-in/#", "/oneM2M/resp/id-in/#", "/oneM2M/reg_req/+/id-in/#"] {
        assert!(filters.iter().any(|subscribed| subscribed == filter), "{filter}: {filters:?}");
    }
}

/// One request with each quality; the answers come with QoS 1.
async fn ask_with_every_quality(world: &World) {
    world.ae("Csensor", "sensor").await;
    let mut options = MqttOptions::new("any quality", "127.0.0.1", world.port());
    options.set_clean_session(true);
    let (client, mut events) = AsyncClient::new(options, 10);
    client.subscribe("/oneM2M/resp/Csensor/#", QoS::ExactlyOnce).await.expect("there is room");
    let mut received = async |what| loop {
        let polled = in_time(what, events.poll()).await.expect("connected");
        if let Event::Incoming(packet @ (Packet::SubAck(_) | Packet::Publish(_))) = polled {
            return packet;
        }
    };
    assert!(matches!(received("SUBACK").await, Packet::SubAck(_)));
    for quality in [QoS::AtMostOnce, QoS::AtLeastOnce, QoS::ExactlyOnce] {
        let name = format!("quality-{}", quality as u8);
        let request = json!({
            "op": 1, "to": "cse-in/sensor", "fr": "Csensor", "rqi": name, "rvi": "3", "ty": 3, "pc": {"m2m:cnt": {"rn": name}}
        });
        let topic = "/oneM2M/req/Csensor/id-in/json";
        client.publish(topic, quality, false, request.to_string()).await.expect("there is room");
        let Packet::Publish(answer) = received("an answer").await else { panic!("SUBACK") };
        assert_eq!(answer.qos, QoS::AtLeastOnce);
        let answer = primitive(&answer);
        assert_eq!((&answer["rsc"], &answer["rqi"]), (&json!(2001), &json!(name)), "{answer}");
    }
}

#[tokio::test]
async fn requests_of_every_quality_are_answered_with_the_one_of_the_binding() {
    ask_with_every_quality(&World::embedded()).await;
    ask_with_every_quality(&World::external().await).await;
}

fn middle_node() -> Launch {
    Launch::default().with(&["--cse-type", "mn", "--cse-id", "/id-mn", "--cse-name", "cse-mn"])
}

/// Registers the AE `originator` under the name `name` with a CSE; its resource.
async fn register(client: &mut Entity, originator: &str, receiver: &str, base: &str) -> Value {
    let identifier = format!("{originator} at {receiver}");
    let request = json!({
        "op": 1, "to": base, "fr": originator, "rqi": identifier, "rvi": "3", "ty": 2,
        "pc": {"m2m:ae": {"rn": "ae", "api": "N.test", "rr": false, "srv": ["3"]}}
    });
    client.publish(&format!("/oneM2M/req/{originator}/{receiver}/json"), request.to_string()).await;
    let answer = client.next_answer().await;
    assert_eq!(answer.topic, format!("/oneM2M/resp/{originator}/{receiver}/json"));
    assert_eq!((&answer.primitive["rsc"], &answer.primitive["rqi"]), (&json!(2001), &json!(identifier)), "{answer:?}");
    answer.primitive["pc"]["m2m:ae"].clone()
}

async fn cse_type(server: &Server, base: &str) -> Value {
    let answer = cse_tests::http::Http::new(server.http(), "CAdmin").get(base).await.expect(2000);
    answer.json()["m2m:cb"]["cst"].clone()
}

#[tokio::test]
async fn an_ae_reaches_a_middle_node() {
    // With its own broker, and with one that is elsewhere (§6.2.3.2, §6.2.3.6).
    let broker = Mosquitto::start();
    for world in [
        World { server: middle_node().start(), broker: None },
        World { server: middle_node().external_broker(broker.port()).start(), broker: Some(broker) },
    ] {
        world.until_mqtt_is("up").await;
        assert_eq!(cse_type(&world.server, "/cse-mn").await, 2);
        let filters = ["/oneM2M/resp/Csensor/#".to_owned()];
        let mut sensor = Entity::connect_with(world.port(), "Csensor", &filters).await;
        assert_eq!(register(&mut sensor, "Csensor", "id-mn", "cse-mn").await["aei"], "Csensor");
    }
}

#[tokio::test]
async fn one_connection_reaches_every_cse_of_a_broker() {
    let broker = Mosquitto::start();
    let middle = World { server: middle_node().external_broker(broker.port()).start(), broker: None };
    let server = Launch::default().external_broker(broker.port()).start();
    let world = World { server, broker: Some(broker) };
    for up in [&middle, &world] {
        up.until_mqtt_is("up").await;
    }
    let filters = ["/oneM2M/resp/Cone/#".to_owned(), "/oneM2M/resp/Ctwo/#".to_owned()];
    let mut client = Entity::connect_with(world.port(), "Cone", &filters).await;
    for (originator, receiver, base) in [("Cone", "id-in", "cse-in"), ("Ctwo", "id-mn", "cse-mn")] {
        assert_eq!(register(&mut client, originator, receiver, base).await["aei"], originator);
    }
    // Each has heard what was for it.
    middle.http("CAdmin").get("/Ctwo").await.expect(2000);
    middle.http("CAdmin").get("/Cone").await.expect(4004);
    world.http("CAdmin").get("/Cone").await.expect(2000);
    world.http("CAdmin").get("/Ctwo").await.expect(4004);
    assert_eq!(client.answers_waiting(), 0);
}
