//! Announcement between an IN-CSE and a gateway, each a process over SQLite: what the gateway says is what the copies
//! have, in both directions where the original says so, and also when the gateway is killed in between.

use std::collections::BTreeMap;

use cse_tests::gateways::{Over, Place, gateway, pair, registered};
use cse_tests::http::Http;
use cse_tests::server::Server;
use cse_tests::wait::until_some;
use serde_json::{Value, json};

/// Attributes of copies that have nothing to do with the original.
const OWN: [&str; 7] = ["rn", "ty", "ri", "pi", "ct", "lt", "st"];

/// Both processes, and who asks there.
struct Pair {
    _infrastructure: Server,
    middle: Option<Server>,
    /// The administrators.
    above: Http,
    below: Http,
    /// An AE at the IN-CSE that may do everything, as the policy there says.
    user: Http,
}

impl Pair {
    async fn start(over: Over) -> Self {
        let (_place, infrastructure, middle) = pair(over).await;
        let above = Http::new(infrastructure.http(), "CAdmin");
        // The gateway may read it, and then it says the same there.
        let policy = json!({"m2m:acp": {"rn": "users", "pv": {"acr": [{"acor": ["Cuser"], "acop": 63}]},
            "pvs": {"acr": [{"acor": ["/id-mn"], "acop": 2}]}}});
        above.create("/cse-in", 1, &policy).await.expect(2001);
        let user = Http::new(infrastructure.http(), "Cuser");
        user.create("/cse-in", 2, &json!({"m2m:ae": {"api": "Ntest", "rr": false, "srv": ["3"]}})).await.expect(2001);
        let below = Http::new(middle.http(), "CAdmin");
        Self { _infrastructure: infrastructure, middle: Some(middle), above, below, user }
    }

    /// Kills the gateway and starts it again.
    async fn kill_the_gateway(&mut self) {
        let middle = self.middle.take().expect("it runs");
        let launch = middle.launch().clone();
        middle.kill();
        let middle = launch.start();
        self.below = Http::new(middle.http(), "CAdmin");
        self.middle = Some(middle);
    }

    async fn create(&self, name: &str, attributes: Value) {
        let mut container = json!({"rn": name, "at": ["/id-in"], "aa": ["mni"], "acpi": ["/id-in/cse-in/users"]});
        let more = attributes.as_object().expect("attributes").clone();
        container.as_object_mut().expect("attributes").extend(more);
        self.below.create("/cse-mn", 3, &json!({"m2m:cnt": container})).await.expect(2001);
    }

    async fn original(&self, name: &str) -> Value {
        self.below.get(&format!("/cse-mn/{name}")).await.expect(2000).json()["m2m:cnt"].clone()
    }

    /// Where the copy of a container is, once it is made.
    async fn copy_of(&self, name: &str) -> String {
        until_some(name, async || {
            let address = self.original(name).await["at"][0].as_str().unwrap_or_default().to_owned();
            address.starts_with("/id-in/").then(|| format!("/~{address}"))
        })
        .await
    }

    async fn found(&self, http: &Http, path: &str) -> Vec<String> {
        let found = http.get(path).await.expect(2000).json()["m2m:uril"].clone();
        found.as_array().into_iter().flatten().filter_map(Value::as_str).map(str::to_owned).collect()
    }

    /// What the copies at the IN-CSE have, by what they are copies of.
    async fn copies(&self) -> Option<BTreeMap<String, Value>> {
        let mut copies = BTreeMap::new();
        for path in self.found(&self.above, "/cse-in?fu=1&ty=10003").await {
            // It may go in the meantime.
            let answer = self.above.get(&format!("/{path}")).await;
            let copy = (answer.rsc() == 2000).then(|| answer.json()["m2m:cntA"].clone())?;
            let link = copy["lnk"].as_str()?.to_owned();
            if copies.insert(link, without_own(copy)).is_some() {
                return None;
            }
        }
        Some(copies)
    }

    /// What they are to have.
    async fn wanted(&self) -> Option<BTreeMap<String, Value>> {
        let mut wanted = BTreeMap::new();
        for path in self.found(&self.below, "/cse-mn?fu=1&ty=3").await {
            let original = self.below.get(&format!("/{path}")).await.expect(2000).json()["m2m:cnt"].clone();
            if !original["at"][0].as_str()?.starts_with("/id-in/cntA") {
                return None;
            }
            let link = format!("/id-mn/{}", original["ri"].as_str()?);
            let mut copy = json!({"lnk": link});
            for name in ["lbl", "acpi", "et", "ast", "mni"] {
                if !original[name].is_null() {
                    copy[name] = original[name].clone();
                }
            }
            wanted.insert(link, copy);
        }
        Some(wanted)
    }

    /// Waits until the copies are what the originals say.
    async fn converged(&self) {
        until_some("copies that are what the originals say", async || {
            let (wanted, copies) = (self.wanted().await?, self.copies().await?);
            (wanted == copies).then_some(())
        })
        .await;
    }
}

fn without_own(mut copy: Value) -> Value {
    if let Some(attributes) = copy.as_object_mut() {
        attributes.retain(|name, _| !OWN.contains(&name.as_str()));
    }
    copy
}

#[tokio::test]
async fn copies_follow_their_originals_and_originals_their_copies() {
    for over in Over::BOTH {
        let pair = Pair::start(over).await;
        pair.create("log", json!({"mni": 5, "lbl": ["x"], "ast": 2})).await;
        let copy = pair.copy_of("log").await;
        pair.converged().await;
        let found = pair.user.get(&copy).await.expect(2000).json();
        assert_eq!((&found["m2m:cntA"]["mni"], &found["m2m:cntA"]["lbl"]), (&json!(5), &json!(["x"])));

        // Through the copy to the original, which the same policy governs.
        let read = pair.user.get(&format!("{copy}?rcn=7")).await.expect(2000).json();
        assert_eq!(read["m2m:cnt"], pair.original("log").await, "{over:?}");

        // Whoever changes the copy finds it changed, and the original.
        let change = json!({"m2m:cntA": {"mni": 9, "lbl": ["y"]}});
        pair.user.update(&copy, &change).await.expect(2004);
        let original = pair.original("log").await;
        assert_eq!((&original["mni"], &original["lbl"]), (&json!(9), &json!(["y"])));
        assert_eq!(pair.user.get(&copy).await.expect(2000).json()["m2m:cntA"]["mni"], 9);
        pair.user.update(&copy, &json!({"m2m:cntA": {"mbs": 1}})).await.expect(4103);
        pair.below.update("/cse-mn/log", &json!({"m2m:cnt": {"ast": 1, "lbl": null}})).await.expect(2004);
        until_some("a copy that only the gateway changes", async || {
            (pair.user.update(&copy, &change).await.rsc() == 4103).then_some(())
        })
        .await;
        assert!(pair.original("log").await["lbl"].is_null());

        pair.below.delete("/cse-mn/log").await.expect(2002);
        until_some("the end of the copy", async || (pair.user.get(&copy).await.rsc() == 4004).then_some(())).await;
    }
}

#[tokio::test]
async fn a_gateway_that_is_killed_takes_announcing_up_where_it_was() {
    for over in Over::BOTH {
        let mut pair = Pair::start(over).await;
        pair.create("kept", json!({"mni": 1, "ast": 2})).await;
        pair.create("gone", json!({"mni": 1})).await;
        pair.converged().await;
        for round in 0..4 {
            pair.create(&format!("new-{round}"), json!({"mni": round + 1})).await;
            pair.below.update("/cse-mn/kept", &json!({"m2m:cnt": {"lbl": [format!("{round}")]}})).await.expect(2004);
            match round {
                1 => drop(pair.below.delete("/cse-mn/gone").await.expect(2002)),
                2 => drop(pair.below.delete("/cse-mn/new-0").await.expect(2002)),
                _ => {}
            }
            pair.kill_the_gateway().await;
        }
        pair.converged().await;
        assert_eq!(pair.copies().await.map(|copies| copies.len()), Some(4), "kept and three new ones, once each");
        // The other direction works, too, once the gateway is back.
        let copy = pair.copy_of("kept").await;
        until_some("a change of the copy", async || {
            let answer = pair.user.update(&copy, &json!({"m2m:cntA": {"mni": 7}})).await;
            (answer.rsc() == 2004).then_some(())
        })
        .await;
        assert_eq!(pair.original("kept").await["mni"], 7);
        pair.converged().await;
    }
}

#[tokio::test]
async fn what_was_announced_survives_the_end_of_the_infrastructure() {
    let place = Place::reserve();
    let infrastructure = place.infrastructure().start();
    let middle = gateway("mn", "in", &place.point_of_access(Over::Mqtt), "").start();
    registered(&middle).await;
    let below = Http::new(middle.http(), "CAdmin");
    let container = json!({"m2m:cnt": {"rn": "log", "at": ["/id-in"], "lbl": ["announced"]}});
    below.create("/cse-mn", 3, &container).await.expect(2001);
    let is_there = async |server: &Server, count: usize| {
        let above = Http::new(server.http(), "CAdmin");
        until_some("so many copies", async || {
            let found = above.get("/cse-in?fu=1&lbl=announced").await.expect(2000).json();
            (found["m2m:uril"].as_array().map_or(0, Vec::len) == count).then_some(())
        })
        .await;
    };
    is_there(&infrastructure, 1).await;
    let launch = infrastructure.launch().clone();
    infrastructure.kill();
    // What happens in the meantime waits.
    below.delete("/cse-mn/log").await.expect(2002);
    below
        .create("/cse-mn", 3, &json!({"m2m:cnt": {"rn": "next", "at": ["/id-in"], "lbl": ["announced"]}}))
        .await
        .expect(2001);
    below
        .create("/cse-mn", 3, &json!({"m2m:cnt": {"rn": "last", "at": ["/id-in"], "lbl": ["announced"]}}))
        .await
        .expect(2001);
    let anew = launch.start();
    is_there(&anew, 2).await;
}
