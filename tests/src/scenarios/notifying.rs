//! Subscriptions: whom the CSE tells, over which binding, and whether they agreed.

use serde_json::{Value, json};

use super::World;
use crate::mqtt::{Entity, Message};
use crate::receiver::Receiver;

/// An AE with the container `cse-in/sensor/log`.
async fn sensor_with_log(world: &World) -> Entity {
    let mut sensor = world.ae("Csensor", "sensor").await;
    sensor.create("cse-in/sensor", 3, json!({"m2m:cnt": {"rn": "log"}})).await.expect(2001);
    sensor
}

fn subscription(name: &str, target: &str) -> Value {
    json!({"m2m:sub": {"rn": name, "nu": [target], "enc": {"net": [3]}, "nct": 1}})
}

async fn instance(sensor: &mut Entity, value: &str) {
    sensor.create("cse-in/sensor/log", 4, json!({"m2m:cin": {"con": value}})).await.expect(2001);
}

/// Confirms the request that asks whether the target wants to be notified, and gives it.
async fn confirm(target: &mut Entity) -> Message {
    let question = target.next_request().await;
    assert_eq!(question.primitive["pc"]["m2m:sgn"]["vrq"], true, "{}", question.primitive);
    target.respond(&question, 2000).await;
    question
}

/// Checks a notification about a new instance of that value.
fn tells_of(content: &Value, value: &str) {
    let notification = &content["m2m:sgn"];
    assert_eq!(notification["nev"]["net"], 3, "{content}");
    assert_eq!(notification["nev"]["rep"]["m2m:cin"]["con"], value, "{content}");
}

/// An AE-ID as target: the AE is asked first, then told, on its own topic.
pub async fn a_subscriber_is_notified_under_its_identifier(world: World) {
    let mut sensor = sensor_with_log(&world).await;
    let mut listener = world.ae("Clistener", "listener").await;
    let asked = json!({"op": 1, "to": "cse-in/sensor/log", "ty": 23, "pc": subscription("s", "/id-in/Clistener")});
    let identifier = sensor.send(asked).await;
    let question = confirm(&mut listener).await;
    assert_eq!(question.topic, "/oneM2M/req/id-in/Clistener/json");
    assert_eq!(question.primitive["op"], 5);
    assert_eq!(question.primitive["fr"], "/id-in", "{}", question.primitive);
    sensor.answer_to(&identifier).await.expect(2001);

    for value in ["1", "2", "3"] {
        instance(&mut sensor, value).await;
        let notification = listener.next_request().await;
        tells_of(&notification.primitive["pc"], value);
        let reference = notification.primitive["pc"]["m2m:sgn"]["sur"].as_str().unwrap_or_default();
        assert!(reference.starts_with("/id-in/"), "{}", notification.primitive);
        listener.respond(&notification, 2000).await;
    }
    sensor.delete("cse-in/sensor/log/s").await.expect(2002);
}

/// An AE whose `poa` is this very broker; the subscription names the resource of the AE.
pub async fn a_subscriber_is_notified_at_its_point_of_access(world: World) {
    let mut sensor = sensor_with_log(&world).await;
    let point = format!("mqtt://127.0.0.1:{}", world.port());
    let mut listener = Entity::registered(world.port(), "Clistener", "listener", json!({"poa": [point]})).await;
    let asked = subscription("s", "cse-in/listener");
    let identifier = sensor.send(json!({"op": 1, "to": "cse-in/sensor/log", "ty": 23, "pc": asked})).await;
    confirm(&mut listener).await;
    sensor.answer_to(&identifier).await.expect(2001);
    instance(&mut sensor, "9").await;
    let notification = listener.next_request().await;
    assert_eq!(notification.topic, "/oneM2M/req/id-in/Clistener/json");
    tells_of(&notification.primitive["pc"], "9");
    listener.respond(&notification, 2000).await;
}

/// TS-0010 §6.6: an MQTT URL in `nu` names a topic of any form, and nobody need answer there.
pub async fn a_topic_can_be_notified(world: World) {
    let mut sensor = sensor_with_log(&world).await;
    let mut listener = Entity::connect_with(world.port(), "Clistener", &["alarms/log".to_owned()]).await;
    let url = format!("mqtt://127.0.0.1:{}/alarms/log", world.port());
    let asked = subscription("s", &url);
    sensor.create("cse-in/sensor/log", 23, asked).await.expect(2001);
    let question = listener.next_other().await;
    assert_eq!(question.primitive["pc"]["m2m:sgn"]["vrq"], true, "{}", question.primitive);
    instance(&mut sensor, "hot").await;
    let notification = listener.next_other().await;
    assert_eq!(notification.topic, "alarms/log");
    tells_of(&notification.primitive["pc"], "hot");
}

/// From MQTT to HTTP: the subscriber need not speak what the sensor speaks.
pub async fn an_http_url_can_be_notified(world: World) {
    let mut sensor = sensor_with_log(&world).await;
    let mut receiver = Receiver::start().await;
    sensor.create("cse-in/sensor/log", 23, subscription("s", &receiver.url())).await.expect(2001);
    let (head, question) = receiver.next().await;
    assert_eq!(question["m2m:sgn"]["vrq"], true, "{question}");
    assert_eq!(head.headers["x-m2m-origin"], "/id-in");
    for value in ["1", "2"] {
        instance(&mut sensor, value).await;
        let (head, notification) = receiver.next().await;
        assert_eq!((head.method.as_str(), head.uri.path()), ("POST", "/notify"));
        assert!(head.headers.contains_key("x-m2m-ri") && head.headers.contains_key("x-m2m-rvi"), "{head:?}");
        tells_of(&notification, value);
    }
}

/// TS-0004 §7.4.8.2.1: who does not agree is not notified, and the subscription is not made.
pub async fn a_subscription_needs_its_targets_consent(world: World) {
    let mut sensor = sensor_with_log(&world).await;
    let mut listener = world.ae("Clistener", "listener").await;
    for (target, name) in [("/id-in/Clistener", "Clistener"), ("http://127.0.0.1:9/nobody", "127.0.0.1:9")] {
        let asked = json!({"op": 1, "to": "cse-in/sensor/log", "ty": 23, "pc": subscription("s", target)});
        let identifier = sensor.send(asked).await;
        if target.starts_with('/') {
            let question = listener.next_request().await;
            listener.respond(&question, 4103).await;
        }
        let refused = sensor.answer_to(&identifier).await;
        assert!(matches!(refused.rsc(), 5204 | 4101 | 5205), "{}", refused.0);
        assert!(refused.explanation().contains(name), "{}", refused.0);
        sensor.retrieve("cse-in/sensor/log/s").await.expect(4004);
    }
    instance(&mut sensor, "1").await;
    assert_eq!(listener.requests_waiting(), 0);
}

/// The broker keeps for a session what its client is not there to take.
pub async fn an_absent_subscriber_gets_its_notifications_later(world: World) {
    let mut sensor = sensor_with_log(&world).await;
    let mut listener = world.ae("Clistener", "listener").await;
    let asked = json!({"op": 1, "to": "cse-in/sensor/log", "ty": 23, "pc": subscription("s", "/id-in/Clistener")});
    let identifier = sensor.send(asked).await;
    confirm(&mut listener).await;
    sensor.answer_to(&identifier).await.expect(2001);
    drop(listener);
    instance(&mut sensor, "while away").await;
    let mut listener = Entity::connect(world.port(), "Clistener").await;
    let notification = listener.next_request().await;
    tells_of(&notification.primitive["pc"], "while away");
    listener.respond(&notification, 2000).await;
}
