//! Topics, identities, broken payloads, repetitions and order: what the binding answers for.

use serde_json::{Value, json};

use super::World;
use crate::mqtt::Entity;
use crate::packets::Packets;
use crate::wait::in_time;

/// TS-0010 §7.4.3: an answer goes to the request's topic with `resp` for `req`, letter by letter.
pub async fn answers_come_on_the_topic_of_the_request(world: World) {
    world.ae("Csensor", "sensor").await;
    let filters = ["/oneM2M/resp/+/id-in/#".to_owned()];
    let mut observer = Entity::connect_with(world.port(), "Cobserver", &filters).await;
    for (topic, from, to) in [
        ("/oneM2M/req/Csensor/id-in/json", "Csensor", "cse-in/sensor"),
        ("/oneM2M/req/Csensor/id-in/json", "/id-in/Csensor", "/id-in/cse-in/sensor"),
        ("/oneM2M/req/id-in:Csensor/id-in/json", "Csensor", "/id-in/Csensor"),
        ("/oneM2M/req/id-in:Csensor/id-in/json", "/id-in/Csensor", "Csensor"),
        // Release 1 and many clients leave the serialization out.
        ("/oneM2M/req/Csensor/id-in", "Csensor", "//cse.example/id-in/Csensor"),
    ] {
        let request = json!({"op": 2, "fr": from, "to": to, "rqi": topic, "rvi": "3"});
        observer.publish(topic, request.to_string()).await;
        let answer = observer.next_answer().await;
        assert_eq!(answer.topic, topic.replacen("/req/", "/resp/", 1));
        assert_eq!((&answer.primitive["rsc"], &answer.primitive["rqi"]), (&json!(2000), &json!(topic)));
        assert_eq!(answer.primitive["pc"]["m2m:ae"]["aei"], "Csensor", "{}", answer.primitive);
    }
}

/// TS-0010 §8.4: the broker knows who publishes on a topic, so the topic's originator must be that of the primitive.
pub async fn nobody_speaks_for_others(world: World) {
    let mut sensor = world.ae("Csensor", "sensor").await;
    let mut thief = Entity::connect(world.port(), "Cthief").await;
    for from in ["Csensor", "/id-in/Csensor", "CAdmin", "/id-in", "//cse.example/id-in/Csensor"] {
        let answer = thief.request(json!({"op": 4, "to": "cse-in/sensor", "fr": from})).await.expect(4103);
        assert!(answer.explanation().contains("Cthief"), "{}", answer.0);
    }
    // On the topic of registrations nothing but registering is possible.
    let request = json!({"op": 2, "fr": "Csensor", "to": "cse-in/sensor", "rqi": "r", "rvi": "3"});
    thief.publish("/oneM2M/reg_req/Cthief/id-in/json", request.to_string()).await;
    thief.answer_to("r").await.expect(4103);
    sensor.retrieve("cse-in/sensor").await.expect(2000);
}

/// Whoever sends rubbish is told, if it can be found out whom to tell; everybody else is served on.
pub async fn what_cannot_be_decoded_is_answered_where_possible(world: World) {
    let mut sensor = world.ae("Csensor", "sensor").await;
    let topic = "/oneM2M/req/Csensor/id-in/json";
    for (payload, rsc) in [
        (r#"{"op":2,"to":"cse-in","fr":"Csensor","rqi":"broken","rvi":"3""#, 4000),
        (r#"{"rqi":"broken","op":}"#, 4000),
        (r#"{"rqi":"broken"}"#, 4000),
        (r#"{"rqi":"broken","op":7,"to":"cse-in","fr":"Csensor"}"#, 4000),
        (r#"{"rqi":"broken","op":2,"to":"cse-in","fr":"Csensor","rvi":"77"}"#, 4001),
    ] {
        sensor.publish(topic, payload).await;
        let answer = sensor.answer_to("broken").await.expect(rsc);
        assert!(!answer.explanation().is_empty(), "{payload}: {}", answer.0);
    }
    for topic in [topic, "/oneM2M/req/Csensor/id-in/json/more", "/oneM2M/req//id-in/json", "/oneM2M/req/a/id-in/yaml"] {
        for payload in ["", "\0", "[]", "42", "{\"op\":2}", "not JSON at all", "\u{1F600}"] {
            sensor.publish(topic, payload).await;
        }
    }
    sensor.publish("/oneM2M/req/Csensor/id-in/yaml", "<m2m:rqp><rqi>other</rqi></m2m:rqp>").await;
    sensor.answer_to("other").await.expect(4015);
    assert_eq!(sensor.retrieve("cse-in/sensor").await.expect(2000).resource()["aei"], "Csensor");
}

/// QoS 1 may deliver twice; what a client repeats as the same (DUP) has one effect and one and the same answer.
pub async fn a_message_sent_twice_is_carried_out_once(world: World) {
    let mut sensor = world.ae("Csensor", "sensor").await;
    sensor.create("cse-in/sensor", 3, json!({"m2m:cnt": {"rn": "log"}})).await.expect(2001);
    let filters = ["/oneM2M/resp/Csensor/#".to_owned()];
    let mut repeater = Packets::connect(world.port(), "A::Crepeater", &filters).await.expect("connected");
    let request = json!({
        "op": 1, "fr": "Csensor", "to": "cse-in/sensor/log", "ty": 4, "rqi": "once", "rvi": "3",
        "pc": {"m2m:cin": {"con": "only"}}
    })
    .to_string();
    let mut answers = Vec::new();
    for (packet_id, dup) in [(7, false), (7, true), (7, true)] {
        repeater.publish("/oneM2M/req/Csensor/id-in/json", packet_id, dup, request.as_bytes()).await.expect("sent");
        let answer = in_time("an answer", async {
            loop {
                if let rumqttc::mqttbytes::v4::Packet::Publish(publish) = repeater.next().await.expect("connected") {
                    break publish.payload;
                }
            }
        });
        answers.push(serde_json::from_slice::<Value>(&answer.await).expect("JSON"));
    }
    assert_eq!(answers[0]["rsc"], 2001, "{}", answers[0]);
    assert_eq!((&answers[1], &answers[2]), (&answers[0], &answers[0]));
    assert_eq!(sensor.retrieve("cse-in/sensor/log").await.expect(2000).resource()["cni"], 1);
}

/// Many clients use one request identifier for everything. Their data must not be taken for repetitions.
pub async fn a_request_identifier_may_be_used_again(world: World) {
    let mut sensor = world.ae("Csensor", "sensor").await;
    sensor.create("cse-in/sensor", 3, json!({"m2m:cnt": {"rn": "log"}})).await.expect(2001);
    for value in 1..=5 {
        let content = json!({"m2m:cin": {"con": value.to_string()}});
        let request = json!({"op": 1, "to": "cse-in/sensor/log", "ty": 4, "rqi": "always", "pc": content});
        let answer = sensor.request(request).await.expect(2001);
        assert_eq!(answer.0["rqi"], "always");
        assert_eq!(sensor.retrieve("cse-in/sensor/log/la").await.expect(2000).resource()["con"], value.to_string());
    }
    assert_eq!(sensor.retrieve("cse-in/sensor/log").await.expect(2000).resource()["cni"], 5);
}

/// One client's requests take effect in the order in which it sends them, without waiting for answers.
pub async fn requests_are_carried_out_in_their_order(world: World) {
    const COUNT: usize = 200;
    let mut sensor = world.ae("Csensor", "sensor").await;
    sensor.create("cse-in/sensor", 3, json!({"m2m:cnt": {"rn": "log"}})).await.expect(2001);
    for value in 0..COUNT {
        let content = json!({"m2m:cin": {"con": value.to_string()}});
        sensor.send(json!({"op": 1, "to": "cse-in/sensor/log", "ty": 4, "pc": content})).await;
    }
    for _ in 0..COUNT {
        assert_eq!(sensor.next_answer().await.primitive["rsc"], 2001);
    }
    let list = sensor.request(json!({"op": 2, "to": "cse-in/sensor/log", "rcn": 8})).await.expect(2000);
    let instances = list.0["pc"]["m2m:cnt"]["m2m:cin"].as_array().expect("instances");
    let values: Vec<_> = instances.iter().map(|instance| instance["con"].as_str().expect("text").to_owned()).collect();
    assert_eq!(values, (0..COUNT).map(|value| value.to_string()).collect::<Vec<_>>());
}

/// What an originator reads shows what it has changed before, and nothing of what it changes later.
pub async fn reads_keep_their_place_among_changes(world: World) {
    const COUNT: usize = 50;
    let mut sensor = world.ae("Csensor", "sensor").await;
    sensor.create("cse-in/sensor", 3, json!({"m2m:cnt": {"rn": "log"}})).await.expect(2001);
    let mut reads = Vec::new();
    for value in 0..COUNT {
        let content = json!({"m2m:cin": {"con": value.to_string()}});
        sensor.send(json!({"op": 1, "to": "cse-in/sensor/log", "ty": 4, "pc": content})).await;
        reads.push(sensor.send(json!({"op": 2, "to": "cse-in/sensor/log/la"})).await);
    }
    for (value, read) in reads.iter().enumerate() {
        let latest = sensor.answer_to(read).await.expect(2000);
        assert_eq!(latest.resource()["con"], value.to_string());
    }
}

/// A request that has to ask somebody first holds up what its originator sends after it, and nobody else.
pub async fn a_slow_request_holds_up_its_originator_only(world: World) {
    let mut sensor = world.ae("Csensor", "sensor").await;
    sensor.create("cse-in/sensor", 3, json!({"m2m:cnt": {"rn": "log"}})).await.expect(2001);
    let mut listener = world.ae("Clistener", "listener").await;
    let subscription = json!({"m2m:sub": {"rn": "s", "nu": ["/id-in/Clistener"], "enc": {"net": [3]}, "nct": 1}});
    let slow = sensor.send(json!({"op": 1, "to": "cse-in/sensor/log", "ty": 23, "pc": subscription})).await;
    let content = json!({"m2m:cin": {"con": "after"}});
    let behind = sensor.send(json!({"op": 1, "to": "cse-in/sensor/log", "ty": 4, "pc": content})).await;
    let question = listener.next_request().await;
    assert_eq!(question.primitive["pc"]["m2m:sgn"]["vrq"], true, "{}", question.primitive);

    let mut other = world.ae("Cother", "other").await;
    for _ in 0..3 {
        other.create("cse-in/other", 3, json!({"m2m:cnt": {}})).await.expect(2001);
    }
    assert_eq!(sensor.answers_waiting(), 0, "nothing is answered out of turn");

    listener.respond(&question, 2000).await;
    for identifier in [&slow, &behind] {
        let answer = sensor.next_answer().await.primitive;
        assert_eq!((&answer["rqi"], &answer["rsc"]), (&json!(identifier), &json!(2001)), "{answer}");
    }
    // The instance came after the subscription, so it is told of.
    let notification = listener.next_request().await;
    let told = &notification.primitive["pc"]["m2m:sgn"]["nev"]["rep"]["m2m:cin"]["con"];
    assert_eq!(told, "after", "{}", notification.primitive);
    listener.respond(&notification, 2000).await;
}
