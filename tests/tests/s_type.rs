//! AEs of gateways with AE-IDs of the service provider: an IN-CSE and gateways as processes.

use cse_tests::gateways::{Over, Place, gateway, registered, resource};
use cse_tests::http::Http;
use cse_tests::mqtt::Entity;
use cse_tests::server::Server;
use cse_tests::wait::until_some;
use serde_json::{Value, json};

/// An IN-CSE with the gateways `/id-mn` and `/id-mn2`, and `/id-low` below the first.
struct Tree {
    infrastructure: Server,
    middle: Server,
    other: Server,
    lower: Server,
    _places: [Place; 2],
}

impl Tree {
    async fn start(over: Over) -> Self {
        let places = [Place::reserve(), Place::reserve()];
        let infrastructure = places[0].infrastructure().start();
        let above = places[0].point_of_access(over);
        let middle = places[1].launch(gateway("mn", "in", &above, "")).start();
        let other = gateway("mn2", "in", &above, "").start();
        for gateway in [&middle, &other] {
            registered(gateway).await;
        }
        let lower = gateway("low", "mn", &places[1].point_of_access(over), "").start();
        registered(&lower).await;
        Self { infrastructure, middle, other, lower, _places: places }
    }

    /// Waits until the IN-CSE has that link in its record of a stem.
    async fn until_link(&self, stem: &str, link: &str) {
        until_some("the link of the record", async || {
            (resource(&self.infrastructure, &format!("/{stem}")).await["lnk"] == link).then_some(())
        })
        .await;
    }
}

fn ae() -> Value {
    json!({"m2m:ae": {"api": "Nlamp", "rr": true, "srv": ["3"]}})
}

#[tokio::test]
async fn the_in_gives_stems_to_aes_of_gateways() {
    for over in [Over::Mqtt, Over::Http] {
        let tree = Tree::start(over).await;
        let mut stems = Vec::new();
        for (server, base) in [(&tree.middle, "mn"), (&tree.other, "mn2"), (&tree.lower, "low")] {
            let answer = Http::new(server.http(), "S").create(&format!("/cse-{base}"), 2, &ae()).await.expect(2001);
            let stem = answer.json()["m2m:ae"]["aei"].as_str().expect("a stem").to_owned();
            let record = resource(&tree.infrastructure, &format!("/{stem}")).await;
            assert_eq!(record["lnk"], json!(format!("/id-{base}/{stem}")), "{over:?}");
            stems.push(stem);
        }
        stems.sort();
        stems.dedup();
        assert_eq!(stems.len(), 3, "{stems:?}");
    }
}

#[tokio::test]
async fn a_lamp_moves_from_gateway_to_gateway_and_is_notified_where_it_is() {
    for over in [Over::Mqtt, Over::Http] {
        let tree = Tree::start(over).await;
        let admin = Http::new(tree.infrastructure.http(), "CAdmin");
        admin.create("/cse-in", 3, &json!({"m2m:cnt": {"rn": "log"}})).await.expect(2001);
        let homes = [(&tree.lower, "low"), (&tree.other, "mn2"), (&tree.middle, "mn")];
        for (number, (server, name)) in homes.into_iter().enumerate() {
            let policy = json!({"m2m:acp": {"rn": "p", "pv": {"acr": [{"acor": ["all"], "acop": 63}]},
                "pvs": {"acr": [{"acor": ["CAdmin"], "acop": 63}]}}});
            Http::new(server.http(), "CAdmin").create(&format!("/cse-{name}"), 1, &policy).await.expect(2001);
            let filters = [format!("/oneM2M/resp/Slamp/id-{name}/#"), "/oneM2M/req/+/Slamp/#".to_owned()];
            let lamp = Entity::connect_with(server.mqtt_port(), "Slamp", &filters).await;
            let mut lamp = lamp.asking(&format!("id-{name}"));
            let mut registration = ae();
            registration["m2m:ae"]["acpi"] = json!([format!("cse-{name}/p")]);
            lamp.create(&format!("cse-{name}"), 2, registration).await.expect(2001);
            tree.until_link("Slamp", &format!("/id-{name}/Slamp")).await;
            // Nobody else has it now.
            for (elsewhere, other) in homes.into_iter().filter(|(_, other)| *other != name) {
                Http::new(elsewhere.http(), "Slamp").create(&format!("/cse-{other}"), 2, &ae()).await.expect(4117);
            }
            Http::new(tree.infrastructure.http(), "Slamp").create("/cse-in", 2, &ae()).await.expect(4117);

            if number == 0 {
                let subscription = json!({"m2m:sub": {"rn": "s", "nu": ["/Slamp"], "nct": 1, "enc": {"net": [3]}}});
                let verified = async {
                    let request = lamp.next_request().await;
                    lamp.respond(&request, 2000).await;
                };
                let (created, ()) = tokio::join!(admin.create("/cse-in/log", 23, &subscription), verified);
                created.expect(2001);
            }
            let content = format!("for {name}");
            admin.create("/cse-in/log", 4, &json!({"m2m:cin": {"con": content}})).await.expect(2001);
            let notification = lamp.next_request().await;
            lamp.respond(&notification, 2000).await;
            let told = &notification.primitive["pc"]["m2m:sgn"]["nev"]["rep"]["m2m:cin"]["con"];
            assert_eq!(told, &json!(content), "{over:?}: {}", notification.primitive);

            lamp.delete("Slamp").await.expect(2002);
            tree.until_link("Slamp", "INACTIVE").await;
        }
    }
}
