//! Leaving a session with a broker for good (TS-0010 §7.3.3): the CSE by its command, an AE by the same three steps.

use std::process::{Command, Output};

use cse_tests::mosquitto::Mosquitto;
use cse_tests::mqtt::Entity;
use cse_tests::packets::Packets;
use cse_tests::scenarios::World;
use cse_tests::server::Launch;
use cse_tests::wait::in_time;
use rumqttc::{AsyncClient, Event, MqttOptions, Outgoing, Packet};
use serde_json::json;

/// Connects under that client identifier, disconnects, and tells whether the broker had a session.
async fn visit(port: u16, client_id: &str, clean_session: bool) -> bool {
    let mut options = MqttOptions::new(client_id, "127.0.0.1", port);
    options.set_clean_session(clean_session);
    let (client, mut events) = AsyncClient::new(options, 10);
    let mut session_present = None;
    let visiting = async {
        loop {
            match events.poll().await.expect("the broker is there") {
                Event::Incoming(Packet::ConnAck(connack)) => {
                    session_present = Some(connack.session_present);
                    client.try_disconnect().expect("there is room");
                }
                Event::Outgoing(Outgoing::Disconnect) => return,
                _ => {}
            }
        }
    };
    in_time("the broker lets it in and go", visiting).await;
    session_present.expect("connected")
}

fn leave(launch: &Launch) -> Output {
    launch.command().args(["mqtt", "leave"]).output().expect("the binary runs")
}

#[tokio::test]
async fn a_cse_leaves_its_broker_with_everything_that_waits_there() {
    let World { server, broker } = World::external().await;
    let broker = broker.expect("external");
    let launch = server.launch().clone();

    // While it runs, leaving would only disturb it.
    let refused = leave(&launch);
    let said = String::from_utf8_lossy(&refused.stderr).into_owned();
    assert_eq!(refused.status.code(), Some(1), "{said}");
    assert!(said.contains("is in use by a server") && said.lines().count() == 1, "{said}");

    assert!(server.stop().success());
    let mut sensor = Entity::connect(broker.port(), "Csensor").await;
    // What waits for the server when it leaves is not for it any more.
    let request = sensor.complete(json!({"op": 2, "to": "cse-in"}));
    let mut packets = Packets::connect(broker.port(), "A::Cother", &[]).await.expect("connected");
    let topic = "/oneM2M/req/Csensor/id-in/json";
    packets.publish(topic, 1, false, request.to_string().as_bytes()).await.expect("published");
    while !matches!(packets.next().await.expect("connected"), Packet::PubAck(_)) {}
    let left = leave(&launch);
    let said = String::from_utf8_lossy(&left.stdout).into_owned();
    assert!(left.status.success(), "{said}{}", String::from_utf8_lossy(&left.stderr));
    assert!(said.contains("'C::id-in'"), "{said}");
    assert!(!visit(broker.port(), "C::id-in", true).await);
    assert!(!visit(broker.port(), "C::id-in", false).await, "the session is gone");
    assert!(visit(broker.port(), "C::id-in", false).await, "one is kept again since this test was there");
    assert!(leave(&launch).status.success());

    let observed = sensor.complete(json!({"op": 2, "to": "cse-in"}));
    let server = launch.start();
    let world = World { server, broker: Some(broker) };
    world.until_mqtt_is("up").await;
    sensor.publish(topic, observed.to_string()).await;
    let answer = sensor.next_answer().await;
    assert_eq!(answer.primitive["rqi"], observed["rqi"], "{}", answer.primitive);
}

#[tokio::test]
async fn there_has_to_be_something_to_leave() {
    let refused = leave(&Launch::default());
    let said = String::from_utf8_lossy(&refused.stderr).into_owned();
    assert_eq!(refused.status.code(), Some(1), "{said}");
    assert!(said.contains("mqtt.broker") && said.lines().count() == 1, "{said}");

    let absent = Mosquitto::reserve();
    let refused = leave(&Launch::default().external_broker(absent.port()));
    let said = String::from_utf8_lossy(&refused.stderr).into_owned();
    assert_eq!(refused.status.code(), Some(1), "{said}");
    assert!(said.contains(&format!("127.0.0.1:{}", absent.port())), "{said}");
}

#[tokio::test]
async fn an_ae_leaves_the_embedded_broker_by_the_same_steps() {
    let world = World::embedded();
    let mut sensor = world.ae("Csensor", "sensor").await;
    sensor.create("cse-in/sensor", 3, json!({"m2m:cnt": {"rn": "log"}})).await.expect(2001);
    let mut listener = world.ae("Clistener", "listener").await;
    let subscription = json!({"m2m:sub": {"rn": "s", "nu": ["/id-in/Clistener"], "enc": {"net": [3]}}});
    let asked = sensor.send(json!({"op": 1, "to": "cse-in/sensor/log", "ty": 23, "pc": subscription})).await;
    let question = listener.next_request().await;
    listener.respond(&question, 2000).await;
    sensor.answer_to(&asked).await.expect(2001);
    drop(listener);
    sensor.create("cse-in/sensor/log", 4, json!({"m2m:cin": {"con": "queued"}})).await.expect(2001);

    assert!(visit(world.port(), "A::Clistener", false).await, "its session is kept");
    // As docs/mqtt-binding.md has it.
    let port = world.port().to_string();
    let arguments = ["-p", &port, "-i", "A::Clistener", "-t", "unused", "-E"];
    let left = Command::new("mosquitto_sub").args(arguments).output().expect("mosquitto_sub is installed");
    assert!(left.status.success(), "{}", String::from_utf8_lossy(&left.stderr));
    assert!(!visit(world.port(), "A::Clistener", false).await, "and the old one is gone");
    // That visit has left one that is kept, without subscriptions.
    visit(world.port(), "A::Clistener", true).await;
    let mut listener = Entity::connect(world.port(), "Clistener").await;
    let read = listener.retrieve("cse-in/listener").await.expect(2000);
    assert_eq!(read.resource()["aei"], "Clistener", "leaving the broker is not leaving the CSE");
}
