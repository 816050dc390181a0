//! Other topics than the usual ones: a prefix of our own, points of access elsewhere, and the early draft.

use cse_tests::mosquitto::Mosquitto;
use cse_tests::mqtt::{Entity, Message};
use cse_tests::scenarios::World;
use cse_tests::server::Launch;
use cse_tests::wait::until_some;
use serde_json::{Value, json};

/// A world with that configuration file, on the embedded broker and on an external one.
async fn worlds(file: &str) -> [World; 2] {
    let embedded = World { server: Launch::default().with_file(file).start(), broker: None };
    let broker = Mosquitto::start();
    let server = Launch::default().with_file(file).external_broker(broker.port()).start();
    let external = World { server, broker: Some(broker) };
    external.until_mqtt_is("up").await;
    [embedded, external]
}

async fn metric(world: &World, name: &str) -> u64 {
    let page = world.http("").get("/metrics").await.body;
    let line = page.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(' ').map(str::to_owned));
    line.and_then(|value| value.trim().parse().ok()).unwrap_or_else(|| panic!("no {name} in\n{page}"))
}

#[tokio::test]
async fn a_prefix_of_our_own_stands_before_all_topics() {
    for world in worlds("[mqtt]\ntopic-prefix = \"/plant/7/\"\n").await {
        let base = world.http("CAdmin").get("/cse-in").await.expect(2000).json();
        let points = base["m2m:cb"]["poa"].as_array().expect("points of access").clone();
        let expected = format!("mqtt://127.0.0.1:{}/plant/7", world.port());
        assert!(points.iter().any(|point| *point == *expected), "{points:?}");
        assert!(world.server.banner().contains("-t plant/7/oneM2M/req/"), "{}", world.server.banner());

        let filters =
            ["plant/7/oneM2M/resp/Csensor/#", "plant/7/oneM2M/reg_resp/1-aa/#", "plant/7/oneM2M/req/+/Csensor/#"];
        let filters = filters.map(str::to_owned);
        let mut sensor = Entity::connect_with(world.port(), "Csensor", &filters).await;
        let register = json!({
            "op": 1, "to": "cse-in", "fr": "Csensor", "rqi": "1", "rvi": "3", "ty": 2,
            "pc": {"m2m:ae": {"rn": "sensor", "api": "N.test", "rr": true, "srv": ["3"]}}
        });
        // Without the prefix it is not for this CSE.
        let elsewhere = Entity::connect(world.port(), "Celsewhere").await;
        elsewhere.publish("/oneM2M/req/Csensor/id-in/json", register.to_string()).await;
        sensor.publish("plant/7/oneM2M/reg_req/1-aa/id-in/json", register.to_string()).await;
        let answer = sensor.next_other().await;
        assert_eq!(answer.topic, "plant/7/oneM2M/reg_resp/1-aa/id-in/json");
        assert_eq!(answer.primitive["rsc"], 2001, "{}", answer.primitive);

        let subscription = json!({"m2m:sub": {"rn": "s", "nu": ["/id-in/Csensor"], "enc": {"net": [1]}}});
        let request = json!({
            "op": 1, "to": "cse-in/sensor", "fr": "Csensor", "rqi": "2", "rvi": "3", "ty": 23, "pc": subscription
        });
        sensor.publish("plant/7/oneM2M/req/Csensor/id-in/json", request.to_string()).await;
        let question = sensor.next_other().await;
        if question.topic.starts_with("plant/7/oneM2M/req/") {
            assert_eq!(question.topic, "plant/7/oneM2M/req/id-in/Csensor/json");
            let response = json!({"rsc": 2000, "rqi": question.primitive["rqi"]});
            sensor.publish("plant/7/oneM2M/resp/id-in/Csensor/json", response.to_string()).await;
        } else {
            // The creator itself need not be asked.
            assert_eq!(question.primitive["rsc"], 2001, "{}", question.primitive);
        }
        assert_eq!(elsewhere.answers_waiting(), 0);
    }
}

#[tokio::test]
async fn points_of_access_on_other_brokers_have_prefixes_of_their_own() {
    for world in worlds("").await {
        let other = Mosquitto::start();
        let mut sensor = world.ae("Csensor", "sensor").await;
        sensor.create("cse-in/sensor", 3, json!({"m2m:cnt": {"rn": "log"}})).await.expect(2001);
        for (number, prefix) in ["", "plant/7", "plant/8"].into_iter().enumerate() {
            let name = format!("Clistener{number}");
            // Over HTTP: who is a client of the CSE's own broker is looked for there.
            let point = format!("mqtt://127.0.0.1:{}/{prefix}", other.port());
            let ae = json!({"m2m:ae": {"rn": name, "api": "N.test", "rr": true, "srv": ["3"], "poa": [point]}});
            world.http(&name).create("/cse-in", 2, &ae).await.expect(2001);
            let filters = [format!("{prefix}/oneM2M/req/+/{name}/#")];
            let mut listener = Entity::connect_with(other.port(), &name, &filters).await;
            let subscription = json!({"m2m:sub": {"rn": name, "nu": [format!("/id-in/{name}")], "enc": {"net": [3]}}});
            let asked = sensor.send(json!({"op": 1, "to": "cse-in/sensor/log", "ty": 23, "pc": subscription})).await;
            let question = if prefix.is_empty() { listener.next_request().await } else { listener.next_other().await };
            assert_eq!(question.topic, format!("{prefix}/oneM2M/req/id-in/{name}/json"));
            let response = json!({"rsc": 2000, "rqi": question.primitive["rqi"]});
            listener.publish(&format!("{prefix}/oneM2M/resp/id-in/{name}/json"), response.to_string()).await;
            sensor.answer_to(&asked).await.expect(2001);
        }
    }
}

/// A client as the early draft describes it: one topic per entity, and its names for parameters.
struct DraftClient {
    entity: Entity,
    /// `/` or nothing: the draft has both.
    lead: &'static str,
    numbered: u32,
}

impl DraftClient {
    async fn connect(world: &World, originator: &str, lead: &'static str) -> Self {
        let filters = [format!("{lead}oneM2M/req/{originator}/#"), format!("{lead}oneM2M/resp/{originator}")];
        Self { entity: Entity::connect_with(world.port(), originator, &filters).await, lead, numbered: 0 }
    }

    async fn next(&mut self, topic: &str) -> Message {
        let message = match (self.lead, topic.starts_with("oneM2M/resp/")) {
            ("", _) => self.entity.next_other().await,
            (_, true) => self.entity.next_answer().await,
            (_, false) => self.entity.next_request().await,
        };
        assert_eq!(message.topic, format!("{}{topic}", self.lead));
        message
    }

    async fn send(&mut self, target: &str, mut request: Value, originator: &str) -> String {
        self.numbered += 1;
        let identifier = format!("{originator}-{}", self.numbered);
        (request["fr"], request["ri"]) = (json!(originator), json!(identifier));
        self.entity.publish(&format!("{}oneM2M/req/{target}", self.lead), request.to_string()).await;
        identifier
    }

    async fn request(&mut self, target: &str, request: Value, originator: &str) -> Value {
        let identifier = self.send(target, request, originator).await;
        let answer = self.next(&format!("oneM2M/resp/{originator}")).await.primitive;
        assert_eq!(answer["ri"], identifier.as_str(), "{answer}");
        answer
    }
}

#[tokio::test]
async fn the_early_draft_is_served_where_that_is_wanted() {
    for world in worlds("[mqtt]\nearly-draft = true\n").await {
        for (originator, lead) in [("Cold1", "/"), ("Cold2", "")] {
            let mut client = DraftClient::connect(&world, originator, lead).await;
            let ae = json!({"m2m:ae": {"rn": originator, "api": "N.test", "rr": true}});
            let answer =
                client.request("id-in", json!({"op": 1, "to": "/id-in/cse-in", "ty": 2, "cn": ae}), originator);
            let answer = answer.await;
            assert_eq!((&answer["rs"], &answer["cn"]["m2m:ae"]["aei"]), (&json!(2001), &json!(originator)), "{answer}");

            let target = format!("id-in/cse-in/{originator}");
            let container = json!({"op": 1, "to": format!("/{target}"), "ty": 3, "cn": {"m2m:cnt": {"rn": "log"}}});
            assert_eq!(client.request(&target, container, originator).await["rs"], 2001);
            // Without `to`, the topic says what is meant.
            let log = format!("{target}/log");
            let instance = json!({"op": 1, "ty": 4, "cn": {"m2m:cin": {"con": "21"}}});
            assert_eq!(client.request(&log, instance, originator).await["rs"], 2001);
            let read = client.request(&format!("{log}/la"), json!({"op": 2}), originator).await;
            assert_eq!((&read["rs"], &read["cn"]["m2m:cin"]["con"]), (&json!(2000), &json!("21")), "{read}");
            let gone = client.request(&format!("{target}/nothing"), json!({"op": 2}), originator).await;
            assert_eq!(gone["rs"], 4004, "{gone}");

            // Who speaks so is spoken to so.
            let mut other = world.ae(&format!("Cnew{originator}"), &format!("new{originator}")).await;
            let parent = format!("cse-in/new{originator}");
            other.create(&parent, 3, json!({"m2m:cnt": {"rn": "log"}})).await.expect(2001);
            let nu = [format!("/id-in/{originator}")];
            let subscription = json!({"m2m:sub": {"rn": "s", "nu": nu, "enc": {"net": [3]}}});
            let asked = other.send(json!({"op": 1, "to": format!("{parent}/log"), "ty": 23, "pc": subscription})).await;
            for expected in ["vrq", "nev"] {
                let question = client.next(&format!("oneM2M/req/{originator}")).await.primitive;
                assert!(question["cn"]["m2m:sgn"].get(expected).is_some(), "{question}");
                let response = json!({"rs": 2000, "ri": question["ri"]});
                client.entity.publish(&format!("{lead}oneM2M/resp/id-in"), response.to_string()).await;
                if expected == "vrq" {
                    other.answer_to(&asked).await.expect(2001);
                    let instance = json!({"m2m:cin": {"con": "1"}});
                    other.create(&format!("{parent}/log"), 4, instance).await.expect(2001);
                }
            }
        }
        // Five requests of each client, and nothing that we sent ourselves.
        assert_eq!(metric(&world, "cse_mqtt_early_draft_requests_total").await, 10);
        assert_eq!(metric(&world, "cse_mqtt_unknown_topics_total").await, 0);
    }
}

#[tokio::test]
async fn entities_may_be_known_to_speak_the_early_draft() {
    for world in worlds("[mqtt]\nearly-draft = true\nearly-draft-entities = [\"Cold*\"]\n").await {
        let created = json!({"m2m:ae": {"rn": "old", "api": "N.test", "rr": true, "srv": ["3"]}});
        world.http("Cold1").create("/cse-in", 2, &created).await.expect(2001);
        let mut client = DraftClient::connect(&world, "Cold1", "/").await;
        let mut sensor = world.ae("Csensor", "sensor").await;
        let subscription = json!({"m2m:sub": {"rn": "s", "nu": ["/id-in/Cold1"], "enc": {"net": [1]}}});
        let asked = sensor.send(json!({"op": 1, "to": "cse-in/sensor", "ty": 23, "pc": subscription})).await;
        let question = client.next("oneM2M/req/Cold1").await.primitive;
        // Today's names are understood in answers, too.
        let response = json!({"rsc": 2000, "rqi": question["ri"]});
        client.entity.publish("/oneM2M/resp/id-in", response.to_string()).await;
        sensor.answer_to(&asked).await.expect(2001);
    }
}

#[tokio::test]
async fn the_early_draft_is_noticed_where_it_is_not_served() {
    for world in worlds("").await {
        let mut client = DraftClient::connect(&world, "Cold", "/").await;
        let topics = ["id-in", "id-in/cse-in", "id-in/cse-in/old/log"];
        for target in topics {
            client.send(target, json!({"op": 2, "to": "cse-in"}), "Cold").await;
        }
        let mut slashless = DraftClient::connect(&world, "Cslashless", "").await;
        slashless.send("id-in/cse-in", json!({"op": 2, "to": "cse-in"}), "Cslashless").await;
        let counted = async || (metric(&world, "cse_mqtt_early_draft_requests_total").await == 4).then_some(());
        until_some("all are counted", counted).await;
        for originator in ["Cold", "Cslashless"] {
            let naming = |lines: &[String]| {
                let named = |line: &&String| line.contains("early draft") && line.contains(originator);
                let named: Vec<String> = lines.iter().filter(named).cloned().collect();
                (!named.is_empty()).then_some(named)
            };
            let lines = world.server.log().wait_for("a line that names the client", naming).expect("it is logged");
            assert!(lines.len() == 1 && lines[0].contains("mqtt.early-draft"), "{lines:?}");
        }
        assert_eq!(client.entity.answers_waiting(), 0);
    }
}
