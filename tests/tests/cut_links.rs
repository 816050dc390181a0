//! The line between a gateway and its IN is cut, slow, silent, or closed by half, over either binding: what was asked has
//! its effect once, the gateway's own AEs notice nothing, and afterwards all is as it should be.

use std::collections::BTreeSet;
use std::time::Duration;

use cse_tests::device::Device;
use cse_tests::gateways::{Over, registered, resource, uplink};
use cse_tests::http::Http;
use cse_tests::line::{Line, Strike};
use cse_tests::port::ReservedPort;
use cse_tests::proxy::Way;
use cse_tests::server::{Launch, Server};
use cse_tests::wait::until_some;
use serde_json::{Value, json};

const WAYS: [Way; 2] = [Way::Up, Way::Down];
/// How long requests of the gateway wait for an answer.
const TIMEOUT: Duration = Duration::from_secs(2);

/// An IN and a gateway that reach each other over these lines alone.
struct Pair {
    infrastructure: Server,
    mn: Server,
    /// To the IN, over MQTT or HTTP.
    up: Line,
    /// To the gateway, over HTTP.
    down: Line,
    device: Device,
    sent: BTreeSet<String>,
    local: usize,
}

impl Pair {
    async fn start(over: Over) -> Self {
        let infrastructure = Launch::default().start();
        let (scheme, port) = match over {
            Over::Mqtt => ("mqtt", infrastructure.mqtt_port()),
            Over::Http => ("http", infrastructure.http().port()),
        };
        let http = ReservedPort::take();
        let (up, down) = (Line::to(port).await, Line::to(http.number()).await);
        // Silence is noticed soon, by what is asked and by the connection itself.
        let file = format!(
            "[cse]\nid = \"/id-mn\"\nname = \"cse-mn\"\ntype = \"mn\"\npoa = [\"http://127.0.0.1:{}\"]\n\
             [registrar]\ncse-id = \"/id-in\"\ncse-name = \"cse-in\"\npoa = [\"{scheme}://127.0.0.1:{}\"]\n\
             check-interval = \"1s\"\nkeep-alive = \"2s\"\n\
             [requests]\ntimeout = \"{}s\"\n",
            down.port(),
            up.port(),
            TIMEOUT.as_secs()
        );
        let mn = Launch::default().with_file(&file).http(&format!("127.0.0.1:{}", http.number())).start();
        registered(&mn).await;
        let everybody = json!([{"acor": ["all"], "acop": 63}]);
        for (server, base) in [(&infrastructure, "cse-in"), (&mn, "cse-mn")] {
            let admin = Http::new(server.http(), "CAdmin");
            let policy = json!({"m2m:acp": {"rn": "open", "pv": {"acr": everybody}, "pvs": {"acr": everybody}}});
            admin.create(&format!("/{base}"), 1, &policy).await.expect(2001);
            let log = json!({"m2m:cnt": {"rn": "log", "acpi": [format!("{base}/open")]}});
            admin.create(&format!("/{base}"), 3, &log).await.expect(2001);
        }
        let ae = json!({"m2m:ae": {"rn": "app", "api": "Napp", "rr": false, "srv": ["3"]}});
        Http::new(mn.http(), "Capp").create("/cse-mn", 2, &ae).await.expect(2001);
        let device = Device::connect_to(mn.mqtt_port(), "id-mn", "Capp").await;
        Self { infrastructure, mn, up, down, device, sent: BTreeSet::new(), local: 0 }
    }

    /// A value that is new.
    fn value(&mut self) -> String {
        let value = format!("value-{:03}-", self.sent.len());
        self.sent.insert(value.clone());
        value
    }

    /// Sends a value to the IN.
    async fn send(&mut self, value: &str) -> String {
        self.device.create_instance("/id-in/cse-in/log", value).await
    }

    /// Goes on until a value has arrived.
    async fn arrives(&mut self, identifier: &str) {
        let answer = self.device.final_answer_to(identifier).await;
        assert_eq!(answer["rsc"], 2001, "{answer}");
    }

    /// Whatever was sent is at the IN, once.
    async fn all_is_there_once(&self) {
        let admin = Http::new(self.infrastructure.http(), "CAdmin");
        let listed = admin.get("/cse-in/log?rcn=8&ty=4").await.expect(2000).json();
        let instances = listed["m2m:cnt"]["m2m:cin"].as_array().cloned().unwrap_or_default();
        let mut here: Vec<_> = instances.iter().filter_map(|one| one["con"].as_str()).collect();
        here.sort_unstable();
        assert_eq!(here, self.sent.iter().collect::<Vec<_>>());
    }

    /// The gateway serves its own AEs, over MQTT and HTTP.
    async fn serves_its_own(&mut self) {
        self.local += 1;
        let value = format!("local-{}", self.local);
        let identifier = self.device.create_instance("cse-mn/log", &value).await;
        let answer = self.device.answer_to(&identifier).await;
        assert_eq!(answer["rsc"], 2001, "{answer}");
        let latest = Http::new(self.mn.http(), "Capp").get("/cse-mn/log/la").await.expect(2000).json();
        assert_eq!(latest["m2m:cin"]["con"], json!(value));
        let ready = Http::new(self.mn.http(), "").get("/readyz").await;
        assert_eq!(ready.status, 200, "{}", ready.body);
    }

    /// Both sides know each other, and the gateway says so.
    async fn is_registered(&self) {
        registered(&self.mn).await;
        assert_eq!(resource(&self.infrastructure, "/cse-in/id-mn").await["csi"], "/id-mn");
        assert_eq!(resource(&self.mn, "/cse-mn/id-in").await["csi"], "/id-in");
        // Down, too.
        let admin = Http::new(self.infrastructure.http(), "CAdmin");
        until_some("an answer from the gateway", async || {
            (admin.get("/~/id-mn/cse-mn/log").await.rsc() == 2000).then_some(())
        })
        .await;
    }

    /// Waits until the gateway has noticed that the IN is away.
    async fn has_noticed(&self) {
        until_some("the loss is noticed", async || {
            let (status, uplink) = uplink(&self.mn).await;
            assert_eq!(status, 200);
            (uplink["state"] == "down").then_some(())
        })
        .await;
    }

    /// Announces a container, or changes it.
    async fn announce(&self, number: usize, label: &str) {
        let (http, name) = (Http::new(self.mn.http(), "Capp"), format!("shown{number}"));
        let updated = http.update(&format!("/cse-mn/app/{name}"), &json!({"m2m:cnt": {"lbl": [label]}})).await;
        if updated.rsc() == 4004 {
            let container = json!({"m2m:cnt": {"rn": name, "at": ["/id-in"], "lbl": [label]}});
            http.create("/cse-mn/app", 3, &container).await.expect(2001);
        }
    }

    /// Waits until there is one copy of each container that is announced, as it is.
    async fn copies_follow(&self, count: usize) {
        let (here, there) = (Http::new(self.mn.http(), "CAdmin"), Http::new(self.infrastructure.http(), "CAdmin"));
        for number in 0..count {
            until_some("the copy follows", async || {
                let original = here.get(&format!("/cse-mn/app/shown{number}")).await.expect(2000).json();
                let original = &original["m2m:cnt"];
                let address = original["at"][0].as_str().filter(|address| address.starts_with("/id-in/"))?;
                let copy = there.get(&format!("/~{address}")).await;
                (copy.rsc() == 2000 && copy.json()["m2m:cntA"]["lbl"] == original["lbl"]).then_some(())
            })
            .await;
        }
        let found = there.get("/cse-in?fu=1&ty=10003").await.expect(2000).json();
        assert_eq!(found["m2m:uril"].as_array().map(Vec::len), Some(count), "{found}");
    }
}

#[tokio::test]
async fn connections_that_end_at_any_moment_lose_and_double_nothing() {
    for over in Over::BOTH {
        let mut pair = Pair::start(over).await;
        let mut strikes = 0;
        for way in WAYS {
            for strike in [Strike::CutBefore, Strike::CutAfter] {
                let value = pair.value();
                pair.up.strike(way, &value, strike);
                let identifier = pair.send(&value).await;
                pair.serves_its_own().await;
                pair.arrives(&identifier).await;
                strikes += 1;
                pair.up.struck(strikes).await;
            }
        }
        pair.is_registered().await;
        pair.all_is_there_once().await;
    }
}

#[tokio::test]
async fn a_request_into_silence_is_answered_in_time_and_has_its_effect_once() {
    for over in Over::BOTH {
        let mut pair = Pair::start(over).await;
        let mut strikes = 0;
        for way in WAYS {
            for strike in [Strike::SilenceBefore, Strike::SilenceAfter] {
                let value = pair.value();
                pair.up.strike(way, &value, strike);
                let begun = std::time::Instant::now();
                let identifier = pair.send(&value).await;
                strikes += 1;
                pair.up.struck(strikes).await;
                let arrives_all_the_same = (way, strike) == (Way::Down, Strike::SilenceAfter);
                let first = pair.device.answer_to(&identifier).await;
                // Nobody can say whether it was carried out; it is not that the IN could not be reached.
                assert_eq!(first["rsc"], if arrives_all_the_same { 2001 } else { 4008 }, "{over:?} {way:?} {first}");
                assert!(arrives_all_the_same || begun.elapsed() >= TIMEOUT, "{:?}", begun.elapsed());
                pair.serves_its_own().await;
                pair.has_noticed().await;
                pair.up.open();
                pair.arrives(&identifier).await;
                pair.is_registered().await;
            }
        }
        pair.all_is_there_once().await;
    }
}

#[tokio::test]
async fn what_happens_while_the_line_is_away_is_made_up_for() {
    for over in Over::BOTH {
        let mut pair = Pair::start(over).await;
        pair.announce(0, "before").await;
        pair.copies_follow(1).await;
        for (round, away) in [Line::cut as fn(&Line), Line::silence].into_iter().enumerate() {
            away(&pair.up);
            away(&pair.down);
            pair.has_noticed().await;
            pair.serves_its_own().await;
            for number in 0..=round + 1 {
                pair.announce(number, &format!("round-{round}")).await;
            }
            // Accepted here, carried out there later.
            let (value, http) = (pair.value(), Http::new(pair.mn.http(), "Capp"));
            let instance = json!({"m2m:cin": {"con": value}});
            let accepted = http.create("/~/id-in/cse-in/log?rt=1", 4, &instance).await.expect(1001).json();
            let refused = http.create("/~/id-in/cse-in/log", 4, &json!({"m2m:cin": {"con": "never"}})).await;
            assert!([5103, 4008].contains(&refused.rsc()), "{refused:?}");
            let may_arrive = refused.rsc() == 4008;
            if may_arrive {
                pair.sent.insert("never".into());
            }

            pair.up.open();
            pair.down.open();
            pair.is_registered().await;
            pair.copies_follow(round + 2).await;
            let request = format!("/~{}", accepted["m2m:uri"].as_str().expect("an address"));
            let result: Value = until_some("a result", async || {
                let request = http.get(&request).await.expect(2000).json()["m2m:req"].clone();
                (request["rs"] != 3).then_some(request)
            })
            .await;
            assert_eq!(result["ors"]["rsc"], 2001, "{result}");
        }
        let admin = Http::new(pair.infrastructure.http(), "CAdmin");
        let never = admin.get("/cse-in/log?rcn=8&ty=4").await.expect(2000).body.matches("never").count();
        assert!(never <= 2, "at most once each");
    }
}

#[tokio::test]
async fn a_connection_that_a_nat_has_forgotten_is_replaced() {
    for over in Over::BOTH {
        let mut pair = Pair::start(over).await;
        let connections = pair.up.connections();
        pair.up.forget();
        pair.down.forget();
        pair.serves_its_own().await;
        let value = pair.value();
        let identifier = pair.send(&value).await;
        pair.arrives(&identifier).await;
        assert!(pair.up.connections() > connections);
        pair.is_registered().await;
        pair.all_is_there_once().await;
    }
}

#[tokio::test]
async fn a_connection_that_is_closed_by_half_is_replaced() {
    for over in Over::BOTH {
        let mut pair = Pair::start(over).await;
        for way in WAYS {
            let value = pair.value();
            let before = pair.send(&value).await;
            pair.arrives(&before).await;
            pair.up.half_close(way);
            pair.down.half_close(way);
            let value = pair.value();
            let identifier = pair.send(&value).await;
            pair.serves_its_own().await;
            pair.arrives(&identifier).await;
            pair.is_registered().await;
        }
        pair.all_is_there_once().await;
    }
}

#[tokio::test]
async fn a_slow_line_is_a_line() {
    for over in Over::BOTH {
        let mut pair = Pair::start(over).await;
        pair.up.slow(Duration::from_millis(100));
        pair.down.slow(Duration::from_millis(100));
        let mut under_way = Vec::new();
        for _ in 0..5 {
            let value = pair.value();
            under_way.push(pair.send(&value).await);
        }
        pair.announce(0, "slowly").await;
        pair.serves_its_own().await;
        for identifier in under_way {
            pair.arrives(&identifier).await;
        }
        pair.copies_follow(1).await;
        pair.is_registered().await;
        pair.all_is_there_once().await;
    }
}
