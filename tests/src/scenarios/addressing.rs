//! Names in topics: service providers, credentials, and prefixes of points of access.

use rumqttc::mqttbytes::v4::Packet;
use serde_json::{Value, json};

use super::World;
use crate::mqtt::Entity;
use crate::packets::Packets;
use crate::wait::in_time;

/// Mcc' (TS-0010 as of release 3): the entity of another service provider and this CSE use their absolute identifiers,
/// in both directions; this CSE is also found under its SP-relative name.
pub async fn other_service_providers_are_spoken_to_by_absolute_names(world: World) {
    const PEER: &str = ":other.example:id-in";
    let admin = world.http("CAdmin");
    let policy = json!({"m2m:acp": {
        "rn": "peers",
        "pv": {"acr": [{"acor": ["//other.example/id-in"], "acop": 63}]},
        "pvs": {"acr": [{"acor": ["CAdmin"], "acop": 63}]}
    }});
    admin.create("/cse-in", 1, &policy).await.expect(2001);
    let container = json!({"m2m:cnt": {"rn": "shared", "acpi": ["cse-in/peers"]}});
    admin.create("/cse-in", 3, &container).await.expect(2001);

    let filters = [format!("/oneM2M/resp/{PEER}/#"), format!("/oneM2M/req/+/{PEER}/#")];
    let mut peer = Entity::connect_with(world.port(), PEER, &filters).await;
    for receiver in [":cse.example:id-in", "id-in"] {
        for (number, (from, expected)) in
            [("//other.example/id-in", 2000), ("//other.example/id-in/Cx", 4103), ("/id-in", 4103), ("CAdmin", 4103)]
                .into_iter()
                .enumerate()
        {
            let request = json!({
                "op": 2, "fr": from, "to": "//cse.example/id-in/cse-in/shared", "rvi": "3",
                "rqi": format!("{receiver}{number}")
            });
            peer.publish(&format!("/oneM2M/req/{PEER}/{receiver}/json"), request.to_string()).await;
            let answer = peer.next_answer().await;
            assert_eq!(answer.topic, format!("/oneM2M/resp/{PEER}/{receiver}/json"));
            assert_eq!((&answer.primitive["rsc"], &answer.primitive["rqi"]), (&json!(expected), &request["rqi"]));
        }
    }

    // What this CSE asks goes out under its absolute name, and the answer comes back under it.
    let url = format!("mqtt://127.0.0.1:{}//oneM2M/req/:cse.example:id-in/{PEER}/json", world.port());
    let subscription = json!({"m2m:sub": {"rn": "s", "nu": [url], "enc": {"net": [3]}}});
    let asking = tokio::spawn(async move { admin.create("/cse-in/shared", 23, &subscription).await.expect(2001) });
    let question = peer.next_request().await;
    assert_eq!(question.topic, format!("/oneM2M/req/:cse.example:id-in/{PEER}/json"));
    peer.respond(&question, 2000).await;
    asking.await.expect("subscribed");
}

fn registration(identifier: &str, from: &str) -> Value {
    json!({
        "op": 1, "to": "cse-in", "fr": from, "rqi": identifier, "rvi": "3", "ty": 2,
        "pc": {"m2m:ae": {"api": "N.test", "rr": true, "srv": ["3"]}}
    })
}

async fn next_publish(packets: &mut Packets) -> (String, Value) {
    let waiting = async {
        loop {
            if let Packet::Publish(publish) = packets.next().await.expect("connected") {
                break (publish.topic, serde_json::from_slice(&publish.payload).expect("JSON"));
            }
        }
    };
    in_time("an answer", waiting).await
}

/// Whoever repeats its registration gets the same identifier; who says the same under another Credential-ID, another.
pub async fn a_registration_is_carried_out_once_for_each_credential(world: World) {
    let mut given = Vec::new();
    for (number, credential) in ["10001:device:a", "10001:device:b"].into_iter().enumerate() {
        let filters = [format!("/oneM2M/reg_resp/{credential}/#")];
        let client = format!("registrant-{number}");
        let mut packets = Packets::connect(world.port(), &client, &filters).await.expect("connected");
        let mut answers = Vec::new();
        for dup in [false, true, true] {
            let topic = format!("/oneM2M/reg_req/{credential}/id-in/json");
            packets.publish(&topic, 7, dup, registration("1", "C").to_string().as_bytes()).await.expect("sent");
            let (topic, answer) = next_publish(&mut packets).await;
            assert_eq!(topic, format!("/oneM2M/reg_resp/{credential}/id-in/json"));
            answers.push(answer);
        }
        assert_eq!(answers[0]["rsc"], 2001, "{}", answers[0]);
        assert_eq!((&answers[1], &answers[2]), (&answers[0], &answers[0]));
        given.push(answers[0]["pc"]["m2m:ae"]["aei"].as_str().expect("an AE-ID").to_owned());
    }
    assert_ne!(given[0], given[1]);
    // From then on each is known by its own identifier.
    for identifier in given {
        let mut ae = Entity::connect(world.port(), &identifier).await;
        assert_eq!(ae.retrieve(&identifier).await.expect(2000).resource()["aei"], identifier);
    }
}

/// TS-0010 §7.4.4: the topics of registration are for registrations; refusals come back on them, too.
pub async fn a_credential_is_good_for_registration_only(world: World) {
    world.ae("Csensor", "sensor").await;
    let mut entity = Entity::connect(world.port(), "10001:x").await;
    let remote_cse = json!({
        "op": 1, "to": "cse-in", "fr": "/id-mn", "rqi": "cse", "rvi": "3", "ty": 16,
        "pc": {"m2m:csr": {"cb": "/id-mn/cse-mn", "csi": "/id-mn", "rr": true, "srv": ["3"]}}
    });
    for (request, expected) in [
        (json!({"op": 2, "to": "cse-in/sensor", "fr": "Csensor", "rqi": "read", "rvi": "3"}), &[4103][..]),
        (json!({"op": 4, "to": "cse-in/sensor", "fr": "Csensor", "rqi": "delete", "rvi": "3"}), &[4103]),
        (
            json!({"op": 1, "to": "cse-in/sensor", "ty": 3, "fr": "Csensor", "rqi": "cnt", "rvi": "3",
            "pc": {"m2m:cnt": {}}}),
            &[4103],
        ),
        (registration("Xwrong", "Xwrong"), &[4000]),
        (registration("again", "Csensor"), &[4117]),
        (remote_cse, &[2001]),
    ] {
        entity.publish("/oneM2M/reg_req/10001:x/id-in/json", request.to_string()).await;
        let answer = entity.next_answer().await;
        assert_eq!(answer.topic, "/oneM2M/reg_resp/10001:x/id-in/json");
        assert_eq!(answer.primitive["rqi"], request["rqi"]);
        let rsc = answer.primitive["rsc"].as_u64().expect("a status");
        assert!(expected.contains(&rsc), "{request}: {}", answer.primitive);
    }
}

/// The path of a point of access stands before the topic of the request, and of the answer (TS-0010 release 3).
pub async fn a_point_of_access_may_have_a_topic_prefix(world: World) {
    let mut sensor = world.ae("Csensor", "sensor").await;
    sensor.create("cse-in/sensor", 3, json!({"m2m:cnt": {"rn": "log"}})).await.expect(2001);
    let point = format!("mqtt://127.0.0.1:{}/plant/7", world.port());
    Entity::registered(world.port(), "Clistener", "listener", json!({"poa": [point]})).await;
    let filters = ["plant/7/oneM2M/req/+/Clistener/#".to_owned()];
    let mut listener = Entity::connect_with(world.port(), "Cprefixed", &filters).await;

    let subscription = json!({"m2m:sub": {"rn": "s", "nu": ["/id-in/Clistener"], "enc": {"net": [3]}}});
    let asked = sensor.send(json!({"op": 1, "to": "cse-in/sensor/log", "ty": 23, "pc": subscription})).await;
    for expected in ["vrq", "nev"] {
        let question = listener.next_other().await;
        assert_eq!(question.topic, "plant/7/oneM2M/req/id-in/Clistener/json");
        assert!(question.primitive["pc"]["m2m:sgn"].get(expected).is_some(), "{}", question.primitive);
        let response = json!({"rsc": 2000, "rqi": question.primitive["rqi"], "rvi": "3"});
        listener.publish("plant/7/oneM2M/resp/id-in/Clistener/json", response.to_string()).await;
        if expected == "vrq" {
            sensor.answer_to(&asked).await.expect(2001);
            sensor.create("cse-in/sensor/log", 4, json!({"m2m:cin": {"con": "1"}})).await.expect(2001);
        }
    }
}
