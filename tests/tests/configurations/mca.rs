//! Mca: an AE and its registrar.

use cse_tests::mqtt::{Entity, Message};
use serde_json::{Value, json};

use super::nodes::{Node, Site};

/// What a notification says is new.
pub(crate) fn content_of(notification: &Value) -> String {
    let content = &notification["pc"]["m2m:sgn"]["nev"]["rep"]["m2m:cin"]["con"];
    content.as_str().unwrap_or_else(|| panic!("no notification about an instance: {notification}")).to_owned()
}

/// Subscribes one AE to a container of another, with its consent.
pub(crate) async fn subscribe(creator: &mut Entity, container: &str, target: &mut Entity, target_id: &str) {
    let subscription = json!({"m2m:sub": {"rn": format!("for-{}", target_id.replace('/', "")), "nu": [target_id],
        "enc": {"net": [3], "chty": [4]}, "nct": 1}});
    let asked = creator.send(json!({"op": 1, "to": container, "ty": 23, "pc": subscription})).await;
    let question = target.next_request().await;
    assert_eq!(question.primitive["pc"]["m2m:sgn"]["vrq"], true, "{}", question.primitive);
    target.respond(&question, 2000).await;
    creator.answer_to(&asked).await.expect(2001);
}

/// The next notification of an AE, answered.
pub(crate) async fn notified(target: &mut Entity) -> Message {
    let notification = target.next_request().await;
    target.respond(&notification, 2000).await;
    notification
}

/// Creates an instance.
pub(crate) async fn store(entity: &mut Entity, container: &str, value: &str) {
    entity.create(container, 4, json!({"m2m:cin": {"con": value}})).await.expect(2001);
}

/// Two AEs register, one stores and reads, the other is asked, notified, and told later what it missed. The first,
/// with its container `sensor/log`.
pub(crate) async fn works(site: &Site, node: &Node) -> Entity {
    let (cse, base) = (node.cse, node.base);
    let mut sensor = Entity::registered_over(&site.way(node, "Csensor"), cse, "Csensor", "sensor").await;
    let log = format!("{base}/sensor/log");
    sensor.create(&format!("{base}/sensor"), 3, json!({"m2m:cnt": {"rn": "log"}})).await.expect(2001);
    store(&mut sensor, &log, "21.5 °C").await;
    assert_eq!(sensor.retrieve(&format!("{log}/la")).await.expect(2000).resource()["con"], "21.5 °C");
    // Under its SP-relative name as well.
    assert_eq!(sensor.retrieve(&format!("/{cse}/{log}")).await.expect(2000).resource()["cni"], 1);
    sensor.retrieve(&format!("{base}/sensor/nothing")).await.expect(4004);
    sensor.update(&log, json!({"m2m:cnt": {"lbl": ["changed"]}})).await.expect(2004);

    let way = site.way(node, "Clistener");
    let mut listener = Entity::registered_over(&way, cse, "Clistener", "listener").await;
    subscribe(&mut sensor, &log, &mut listener, &format!("/{cse}/Clistener")).await;
    store(&mut sensor, &log, "22").await;
    let notification = notified(&mut listener).await;
    assert_eq!(notification.topic, format!("/oneM2M/req/{cse}/Clistener/json"));
    assert_eq!(notification.primitive["fr"], format!("/{cse}"), "{}", notification.primitive);
    assert_eq!(content_of(&notification.primitive), "22");

    // The MQTT server stores and forwards if there is a gap in the connectivity with the devices.
    drop(listener);
    store(&mut sensor, &log, "23").await;
    let filters = [format!("/oneM2M/req/+/Clistener/{}", "#")];
    let mut listener = Entity::connect_over(&way, "A::Clistener", "Clistener", &filters).await.asking(cse);
    assert_eq!(content_of(&notified(&mut listener).await.primitive), "23");
    sensor.delete(&format!("{log}/for-{cse}Clistener")).await.expect(2002);
    sensor
}
