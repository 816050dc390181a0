//! The same as over MQTT 3.1.1 when the server speaks MQTT 5 with its broker; and what only version 5 can do.

use cse_tests::scenarios::World;
use serde_json::json;

cse_tests::mqtt_scenarios!(World::external_with("[mqtt]\nversion = 5\n").await);

/// The broker says that nobody is subscribed, so the notification is not gone but tried again.
#[tokio::test]
async fn a_notification_waits_for_a_subscriber_that_has_never_been_there() {
    let world = World::external_with("[mqtt]\nversion = 5\n[notifications]\nretry-max = \"500ms\"\n").await;
    let mut sensor = world.ae("Csensor", "sensor").await;
    sensor.create("cse-in/sensor", 3, json!({"m2m:cnt": {"rn": "log"}})).await.expect(2001);
    let mut listener = world.ae("Clistener", "listener").await;
    let subscription = json!({"m2m:sub": {"rn": "s", "nu": ["/id-in/Clistener"], "enc": {"net": [3]}, "nct": 1}});
    let identifier = sensor.send(json!({"op": 1, "to": "cse-in/sensor/log", "ty": 23, "pc": subscription})).await;
    let question = listener.next_request().await;
    listener.respond(&question, 2000).await;
    sensor.answer_to(&identifier).await.expect(2001);
    // It leaves for good, and takes its session with it.
    drop(listener);
    let mut options = rumqttc::MqttOptions::new("A::Clistener", "127.0.0.1", world.port());
    options.set_clean_session(true);
    let (client, mut events) = rumqttc::AsyncClient::new(options, 4);
    while !matches!(events.poll().await, Ok(rumqttc::Event::Incoming(rumqttc::Packet::ConnAck(_)))) {}
    client.disconnect().await.expect("connected");
    while events.poll().await.is_ok() {}

    sensor.create("cse-in/sensor/log", 4, json!({"m2m:cin": {"con": "heard late"}})).await.expect(2001);
    let http = world.http("CAdmin");
    let tried = async || http.get("/metrics").await.body;
    cse_tests::wait::until_some("it is tried in vain", async || {
        let metrics = tried().await;
        let sent = metrics.lines().find_map(|line| line.strip_prefix("cse_mqtt_sent_total "))?;
        (sent.parse::<f64>().ok()? >= 3.0).then_some(())
    })
    .await;
    let mut listener = cse_tests::mqtt::Entity::connect(world.port(), "Clistener").await;
    let notification = listener.next_request().await;
    let told = &notification.primitive["pc"]["m2m:sgn"]["nev"]["rep"]["m2m:cin"]["con"];
    assert_eq!(told, "heard late", "{}", notification.primitive);
}
