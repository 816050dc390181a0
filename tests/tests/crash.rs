//! What was acknowledged survives a kill, exactly once.
//!
//! Many clients create instances over MQTT, with several requests under way each, and the process is killed at random
//! moments. Afterwards each client does what MQTT 3.1.1 §4.4 tells it to: it sends again, marked as duplicate, what was
//! not acknowledged. The answer to what was acknowledged comes by itself: it is in the client's session.
//! `CSE_TEST_SEED` repeats the moments of an earlier run.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use cse_tests::http::Http;
use cse_tests::packets::Packets;
use cse_tests::random::Random;
use cse_tests::receiver::Receiver;
use cse_tests::server::Launch;
use cse_tests::wait::in_time;
use rumqttc::mqttbytes::v4::Packet;
use serde_json::{Value, json};
use tokio::task::JoinSet;

const CLIENTS: usize = 16;
/// Requests of one client under way.
const UNDER_WAY: usize = 8;
/// Answered requests that each client sends again after a crash.
const ANSWERED_AGAIN: usize = 3;
const ROUNDS: usize = 20;
/// Longest time from the first request to the kill, in milliseconds.
const ROUND_MS_MAX: u64 = 300;
/// `mni` of the container that is limited by number.
const INSTANCES_MAX: usize = 20;
/// `mbs` of the container that is limited by size.
const BYTES_MAX: usize = 100;

/// Containers of a round, by their last letter: two that keep everything, and two that do not.
const CONTAINERS: [&str; 4] = ["a", "b", "n", "s"];

/// One CREATE of a client.
struct Create {
    container: &'static str,
    /// Content of the instance: unique in the round.
    content: String,
    packet_id: u16,
    payload: Vec<u8>,
    /// The broker has acknowledged the packet, which it may do once the instance is on disk.
    acknowledged: bool,
    answer: Option<Value>,
}

/// A client, and everything it has sent in this round. Its request identifiers are numbers: indices of `creates`.
struct Client {
    round: usize,
    number: usize,
    creates: Vec<Create>,
}

impl Client {
    fn originator(&self) -> String {
        format!("Cload{}", self.number)
    }

    fn topic(&self) -> String {
        format!("/oneM2M/req/{}/id-in/json", self.originator())
    }

    async fn connect(&self, port: u16) -> std::io::Result<Packets> {
        let filters = [format!("/oneM2M/resp/{}/id-in/#", self.originator())];
        Packets::connect(port, &format!("A::{}", self.originator()), &filters).await
    }

    fn next_create(&mut self) -> usize {
        let index = self.creates.len();
        let container = CONTAINERS[index % CONTAINERS.len()];
        let content = format!("{}-{}-{index}", self.round, self.number);
        let primitive = json!({
            "op": 1, "fr": self.originator(), "to": format!("cse-in/r{}{container}", self.round), "ty": 4,
            "rqi": format!("{}:{index}", self.round), "rvi": "3", "pc": {"m2m:cin": {"con": content}}
        });
        let packet_id = u16::try_from(index + 1).expect("not that fast");
        let payload = primitive.to_string().into_bytes();
        self.creates.push(Create { container, content, packet_id, payload, acknowledged: false, answer: None });
        index
    }

    /// Takes what a packet says; the index of the request that it answers.
    fn take(&mut self, packet: &Packet) -> Option<(usize, Value)> {
        match packet {
            Packet::PubAck(acknowledgement) => {
                self.creates[usize::from(acknowledgement.pkid) - 1].acknowledged = true;
                None
            }
            Packet::Publish(publish) => {
                let answer: Value = serde_json::from_slice(&publish.payload).expect("JSON");
                let (round, index) = answer["rqi"].as_str()?.split_once(':')?;
                if round != self.round.to_string() {
                    // A crash came between its acknowledgement and the end of its place in the session.
                    assert!(publish.dup, "an answer of an earlier round, not marked as repeated: {answer}");
                    return None;
                }
                Some((index.parse().expect("a number"), answer))
            }
            _ => None,
        }
    }

    /// Creates until the connection ends.
    async fn create_until_the_end(&mut self, port: u16) {
        let Ok(mut packets) = self.connect(port).await else { return };
        let mut under_way = 0;
        loop {
            while under_way < UNDER_WAY {
                let index = self.next_create();
                let create = &self.creates[index];
                if packets.publish(&self.topic(), create.packet_id, false, &create.payload).await.is_err() {
                    return;
                }
                under_way += 1;
            }
            let Ok(packet) = packets.next().await else { return };
            if let Some((index, answer)) = self.take(&packet) {
                assert_eq!(answer["rsc"], 2001, "{answer}");
                assert!(self.creates[index].answer.replace(answer).is_none(), "answered twice");
                under_way -= 1;
            }
        }
    }

    /// Sends again what was not acknowledged, and some of what was answered; every answer must be as the first, if
    /// there was one. What was acknowledged is answered without that.
    async fn send_again(&mut self, port: u16, answered: &[usize]) {
        let mut packets = self.connect(port).await.expect("connected");
        let mut missing: BTreeSet<usize> = answered.iter().copied().collect();
        let promised = |create: &Create| create.acknowledged && create.answer.is_none();
        missing.extend((0..self.creates.len()).filter(|index| !self.creates[*index].acknowledged));
        for index in &missing {
            let create = &self.creates[*index];
            packets.publish(&self.topic(), create.packet_id, true, &create.payload).await.expect("sent");
        }
        missing.extend((0..self.creates.len()).filter(|index| promised(&self.creates[*index])));
        while !missing.is_empty() {
            let packet = in_time("an answer after the crash", packets.next()).await.expect("connected");
            if let Some((index, answer)) = self.take(&packet) {
                missing.remove(&index);
                assert_eq!(answer["rsc"], 2001, "{answer}");
                let first = self.creates[index].answer.get_or_insert_with(|| answer.clone());
                assert_eq!(*first, answer, "another answer than the first");
            }
        }
    }
}

/// Makes the policy that lets everybody create, and the containers of a round.
async fn prepare(http: &Http, round: usize) {
    if round == 0 {
        let everybody = json!([{"acor": ["all"], "acop": 63}]);
        let policy = json!({"m2m:acp": {"rn": "open", "pv": {"acr": everybody}, "pvs": {"acr": everybody}}});
        http.create("/cse-in", 1, &policy).await.expect(2001);
    }
    for container in CONTAINERS {
        let mut attributes = json!({"rn": format!("r{round}{container}"), "acpi": ["cse-in/open"]});
        match container {
            "n" => attributes["mni"] = json!(INSTANCES_MAX),
            "s" => attributes["mbs"] = json!(BYTES_MAX),
            _ => {}
        }
        http.create("/cse-in", 3, &json!({"m2m:cnt": attributes})).await.expect(2001);
    }
}

/// A container with its instances' contents, after checking that its counters count them.
async fn contents(http: &Http, name: &str) -> (Vec<String>, u64) {
    let path = format!("/cse-in/{name}");
    let container = http.get(&path).await.expect(2000).json()["m2m:cnt"].clone();
    let listed = http.get(&format!("{path}?rcn=8&ty=4")).await.expect(2000).json();
    let instances = listed["m2m:cnt"]["m2m:cin"].as_array().cloned().unwrap_or_default();
    let contents: Vec<_> =
        instances.iter().map(|instance| instance["con"].as_str().expect("text").to_owned()).collect();
    let bytes: usize = contents.iter().map(String::len).sum();
    assert_eq!(container["cni"], contents.len(), "cni of {name}");
    assert_eq!(container["cbs"], bytes, "cbs of {name}");
    let distinct: BTreeSet<_> = contents.iter().collect();
    assert_eq!(distinct.len(), contents.len(), "an instance of {name} is there twice");
    (contents, container["st"].as_u64().expect("a state tag"))
}

/// What a container must hold: `sure` at least, `possible` at most. The state tag counts creates, evicted or not.
async fn check(http: &Http, round: usize, container: &str, sure: &BTreeSet<&str>, possible: &BTreeSet<&str>) {
    let name = format!("r{round}{container}");
    let (contents, state_tag) = contents(http, &name).await;
    let here: BTreeSet<&str> = contents.iter().map(String::as_str).collect();
    let created = usize::try_from(state_tag).expect("small");
    assert!((sure.len()..=possible.len()).contains(&created), "{created} creates in {name}");
    assert!(here.is_subset(possible), "{name} has what nobody sent");
    match container {
        "n" => assert_eq!(here.len(), created.min(INSTANCES_MAX), "{name}"),
        "s" => {
            let bytes: usize = here.iter().map(|content| content.len()).sum();
            assert!(bytes <= BYTES_MAX && (created == 0) == here.is_empty(), "{bytes} bytes in {name}");
        }
        _ => {
            let lost: Vec<_> = sure.difference(&here).collect();
            assert!(lost.is_empty(), "{name} has lost {lost:?}");
            assert_eq!(here.len(), created, "{name}");
        }
    }
}

fn sent<'a>(clients: &'a [Client], container: &str, which: impl Fn(&Create) -> bool) -> BTreeSet<&'a str> {
    let creates = clients.iter().flat_map(|client| &client.creates);
    creates.filter(|create| create.container == container && which(create)).map(|c| c.content.as_str()).collect()
}

#[tokio::test]
async fn every_acknowledged_create_survives_a_kill_exactly_once() {
    let mut random = Random::from_environment();
    let launch = Launch::default();
    let mut server = launch.start();
    // What the containers of earlier rounds held.
    let mut earlier: BTreeMap<(usize, &str), (Vec<String>, u64)> = BTreeMap::new();
    let (mut total, mut unanswered, mut promised) = (0, 0, 0);
    for round in 0..ROUNDS {
        prepare(&Http::new(server.http(), "CAdmin"), round).await;
        let mut running = JoinSet::new();
        let port = server.mqtt_port();
        for number in 0..CLIENTS {
            running.spawn(async move {
                let mut client = Client { round, number, creates: Vec::new() };
                client.create_until_the_end(port).await;
                client
            });
        }
        // Not a wait for anything: the moment of the crash.
        tokio::time::sleep(Duration::from_millis(random.below(ROUND_MS_MAX))).await;
        server.kill();
        let mut clients = in_time("the clients notice", running.join_all()).await;

        server = launch.start();
        let http = Http::new(server.http(), "CAdmin");
        for container in CONTAINERS {
            let acknowledged = sent(&clients, container, |create| create.acknowledged || create.answer.is_some());
            check(&http, round, container, &acknowledged, &sent(&clients, container, |_| true)).await;
        }

        let port = server.mqtt_port();
        let mut running = JoinSet::new();
        for mut client in clients.drain(..) {
            let answered: Vec<_> =
                (0..client.creates.len()).filter(|at| client.creates[*at].answer.is_some()).collect();
            let again: Vec<_> = (0..ANSWERED_AGAIN.min(answered.len()))
                .map(|_| answered[usize::try_from(random.below(answered.len() as u64)).expect("an index")])
                .collect();
            total += client.creates.len();
            unanswered += client.creates.len() - answered.len();
            let is_promised = |create: &&Create| create.acknowledged && create.answer.is_none();
            promised += client.creates.iter().filter(is_promised).count();
            running.spawn(async move {
                client.send_again(port, &again).await;
                client
            });
        }
        clients = in_time("everything is answered", running.join_all()).await;
        for container in CONTAINERS {
            let all = sent(&clients, container, |_| true);
            check(&http, round, container, &all, &all).await;
            earlier.insert((round, container), contents(&http, &format!("r{round}{container}")).await);
        }
    }
    println!(
        "{total} creates in {ROUNDS} rounds; {unanswered} had no answer when the process was killed, \
         {promised} of these were acknowledged"
    );
    assert!(total > ROUNDS * CLIENTS && unanswered > 0, "the clients had no chance");

    // Later crashes have done nothing to what was there before.
    let http = Http::new(server.http(), "CAdmin");
    for ((round, container), before) in &earlier {
        assert_eq!(&contents(&http, &format!("r{round}{container}")).await, before, "r{round}{container}");
    }
    assert!(server.stop().success());
}

/// Creates one after another, until the connection fails; what was answered.
async fn create_until_the_end(http: &Http, round: usize) -> Vec<String> {
    let mut created = Vec::new();
    loop {
        let content = format!("{round}-{}", created.len());
        let body = json!({"m2m:cin": {"con": content}}).to_string();
        let identifier = format!("n-{content}");
        let headers = [
            ("X-M2M-Origin", "CAdmin"),
            ("X-M2M-RI", identifier.as_str()),
            ("X-M2M-RVI", "3"),
            ("Content-Type", "application/json;ty=4"),
        ];
        match http.try_send("POST", "/cse-in/log", &headers, &body).await {
            Ok(answer) => {
                assert_eq!(answer.status, 201, "{}", answer.body);
                created.push(content);
            }
            Err(_) => return created,
        }
    }
}

#[tokio::test]
async fn subscribers_are_told_of_every_acknowledged_create() {
    let mut random = Random::from_environment();
    let mut receiver = Receiver::start().await;
    // So that a target that was refused for a moment is soon tried again.
    let launch = Launch::default().with_file("[notifications]\nretry-max = \"500ms\"\n");
    let mut server = launch.start();
    let http = Http::new(server.http(), "CAdmin");
    http.create("/cse-in", 3, &json!({"m2m:cnt": {"rn": "log"}})).await.expect(2001);
    let subscription = json!({"m2m:sub": {"rn": "s", "nu": [receiver.url()], "enc": {"net": [3]}, "nct": 1}});
    http.create("/cse-in/log", 23, &subscription).await.expect(2001);
    assert_eq!(receiver.next().await.1["m2m:sgn"]["vrq"], true);
    let mut missing = BTreeSet::new();
    let mut told = BTreeSet::new();
    for round in 0..5 {
        let pause = Duration::from_millis(50 + random.below(ROUND_MS_MAX));
        let http = Http::new(server.http(), "CAdmin");
        let creating = tokio::spawn(async move { create_until_the_end(&http, round).await });
        tokio::time::sleep(pause).await;
        server.kill();
        missing.extend(in_time("the client notices", creating).await.expect("no panic"));
        server = launch.start();
    }
    let all = missing.len();
    while !missing.is_empty() {
        let (_, notification) = receiver.next().await;
        let content = notification["m2m:sgn"]["nev"]["rep"]["m2m:cin"]["con"].as_str().expect("text").to_owned();
        missing.remove(&content);
        told.insert(content);
    }
    println!("{all} creates, {} different notifications", told.len());
    assert!(all > 0);
    drop(server);
}
