//! Gateways as processes: an MN-CSE registers with its IN-CSE, stays registered, and comes back by itself.

use cse_tests::certificates::Certificates;
use cse_tests::gateways::{
    Over, Place, below_other_provider, gateway, other_provider, point_of_access, registered, resource, uplink,
};
use cse_tests::guarded;
use cse_tests::http::Http;
use cse_tests::metrics::sample;
use cse_tests::mosquitto::Mosquitto;
use cse_tests::mqtt::Entity;
use cse_tests::server::{Launch, Server};
use cse_tests::wait::until_some;
use serde_json::{Value, json};

fn texts(list: &Value) -> Vec<&str> {
    list.as_array().into_iter().flatten().filter_map(Value::as_str).collect()
}

#[tokio::test]
async fn a_gateway_registers_and_both_sides_know_each_other() {
    for over in Over::BOTH {
        let place = Place::reserve();
        let infrastructure = place.infrastructure().start();
        let point = place.point_of_access(over);
        let mn = gateway("mn", "in", &point, "").start();
        registered(&mn).await;

        let there = resource(&infrastructure, "/cse-in/id-mn").await;
        assert_eq!((&there["csi"], &there["cb"]), (&json!("/id-mn"), &json!("/id-mn/cse-mn")), "{over:?}");
        assert_eq!((&there["cst"], &there["rr"]), (&json!(2), &json!(true)));
        let points = texts(&there["poa"]);
        assert_eq!(points.contains(&point.as_str()), over == Over::Mqtt, "{points:?}");
        let first = points.first().expect("one");
        assert!(first.starts_with(if over == Over::Mqtt { "mqtt:" } else { "http:" }), "{points:?}");

        let here = resource(&mn, "/cse-mn/id-in").await;
        assert_eq!((&here["csi"], &here["cb"]), (&json!("/id-in"), &json!("/id-in/cse-in")));
        assert_eq!((&here["cst"], texts(&here["poa"])), (&json!(1), vec![point.as_str()]));

        assert_eq!(uplink(&mn).await, (200, json!({"state": "up"})));
        assert_eq!(sample(&mn, "cse_uplink_registered").await, 1.0);
        assert!(sample(&mn, "cse_uplink_attempts_total").await >= 1.0);
        assert!(mn.stop().success());
        assert_eq!(resource(&infrastructure, "/cse-in/id-mn").await["csi"], "/id-mn", "kept by default");
    }
}

#[tokio::test]
async fn each_serialization_and_release_will_do() {
    let place = Place::reserve();
    let infrastructure = place.infrastructure().start();
    for over in Over::BOTH {
        for (serialization, release) in [("xml", "2a"), ("cbor", "5")] {
            let options = format!("serialization = \"{serialization}\"\nrelease = \"{release}\"");
            let mn = gateway("mn", "in", &place.point_of_access(over), &options).start();
            registered(&mn).await;
            let there = resource(&infrastructure, "/cse-in/id-mn").await;
            assert_eq!(texts(&there["csz"]).first(), Some(&serialization), "{over:?}");
            assert!(mn.stop().success());
        }
    }
}

#[tokio::test]
async fn a_gateway_is_ready_without_its_registrar_and_registers_once_it_is_there() {
    for over in Over::BOTH {
        let place = Place::reserve();
        let mn = gateway("mn", "in", &place.point_of_access(over), "").start();
        let problem = until_some("a problem", async || {
            let (status, uplink) = uplink(&mn).await;
            assert_eq!((status, &uplink["state"]), (200, &json!("down")));
            uplink["problem"].as_str().filter(|problem| problem.contains("onnect")).map(str::to_owned)
        })
        .await;
        assert!(!problem.is_empty());
        let ae = json!({"m2m:ae": {"rn": "app", "api": "Napp", "rr": false, "srv": ["3"]}});
        Http::new(mn.http(), "Capp").create("/cse-mn", 2, &ae).await.expect(2001);
        assert_eq!(sample(&mn, "cse_uplink_registered").await, 0.0);

        let infrastructure = place.infrastructure().start();
        registered(&mn).await;
        assert_eq!(resource(&infrastructure, "/cse-in/id-mn").await["csi"], "/id-mn");
    }
}

#[tokio::test]
async fn a_registrar_that_has_lost_everything_is_told_again() {
    for over in Over::BOTH {
        let place = Place::reserve();
        // Over MQTT the connection that comes back is reason enough to look.
        let options = if over == Over::Http { "check-interval = \"200ms\"" } else { "check-interval = \"0s\"" };
        let infrastructure = place.infrastructure().start();
        let mn = gateway("mn", "in", &place.point_of_access(over), options).start();
        registered(&mn).await;
        assert!(infrastructure.stop().success());

        let anew = place.infrastructure().start();
        assert_eq!(resource(&anew, "/cse-in/id-mn").await["csi"], "/id-mn", "{over:?}");
        registered(&mn).await;

        // Restarted with what it knows, it keeps the registration.
        let created = resource(&anew, "/cse-in/id-mn").await["ct"].clone();
        let before = sample(&mn, "cse_uplink_attempts_total").await;
        let anew = anew.restart();
        let before = if over == Over::Http { sample(&mn, "cse_uplink_attempts_total").await } else { before };
        until_some("a look at the registration", async || {
            let has_looked = sample(&mn, "cse_uplink_attempts_total").await > before;
            (has_looked && uplink(&mn).await.1["state"] == json!("up")).then_some(())
        })
        .await;
        assert_eq!(resource(&anew, "/cse-in/id-mn").await["ct"], created);
    }
}

#[tokio::test]
async fn a_gateway_that_starts_again_takes_its_registration_up() {
    for over in Over::BOTH {
        let place = Place::reserve();
        let infrastructure = place.infrastructure().start();
        let mn = gateway("mn", "in", &place.point_of_access(over), "").start();
        registered(&mn).await;
        let before = resource(&infrastructure, "/cse-in/id-mn").await;
        let launch = mn.launch().clone();
        mn.kill();
        let mn = launch.start();
        registered(&mn).await;
        let after = resource(&infrastructure, "/cse-in/id-mn").await;
        assert_eq!((&after["ri"], &after["ct"]), (&before["ri"], &before["ct"]));
        assert_ne!(after["et"], before["et"], "refreshed");
    }
}

#[tokio::test]
async fn a_stop_deregisters_where_that_is_wanted() {
    for over in Over::BOTH {
        let place = Place::reserve();
        let infrastructure = place.infrastructure().start();
        let mn = gateway("mn", "in", &place.point_of_access(over), "deregister-on-shutdown = true").start();
        registered(&mn).await;
        assert!(mn.stop().success());
        Http::new(infrastructure.http(), "CAdmin").get("/cse-in/id-mn").await.expect(4004);
    }
}

#[tokio::test]
async fn the_next_point_of_access_is_used_when_one_leads_nowhere() {
    let place = Place::reserve();
    let nowhere = Place::reserve();
    let _infrastructure = place.infrastructure().start();
    let points = format!("{}\", \"{}", nowhere.point_of_access(Over::Http), place.point_of_access(Over::Http));
    let mn = gateway("mn", "in", &points, "").start();
    registered(&mn).await;
}

#[tokio::test]
async fn gateways_below_gateways_are_told_upwards() {
    let place = Place::reserve();
    let infrastructure = place.infrastructure().start();
    let middle_place = Place::reserve();
    let middle = gateway("mn", "in", &place.point_of_access(Over::Mqtt), "");
    let at = |over| middle_place.point_of_access(over).split_once("//").map(|(_, at)| at.to_owned()).expect("a URL");
    let middle = middle.http(&at(Over::Http)).mqtt(&at(Over::Mqtt)).start();
    registered(&middle).await;
    let below =
        gateway("asn", "mn", &middle_place.point_of_access(Over::Mqtt), "deregister-on-shutdown = true").start();
    registered(&below).await;
    let told = async |expected: &[&str]| {
        until_some("descendants", async || {
            let there = resource(&infrastructure, "/cse-in/id-mn").await;
            (texts(&there["dcse"]) == expected).then_some(())
        })
        .await;
    };
    told(&["/id-asn"]).await;
    assert!(below.stop().success());
    told(&[]).await;
}

#[tokio::test]
async fn requests_of_the_registrar_come_over_the_connection_of_the_gateway() {
    let place = Place::reserve();
    let _infrastructure = place.infrastructure().start();
    // Nothing of the gateway can be reached but by that connection.
    let mn = gateway("mn", "in", &place.point_of_access(Over::Mqtt), "").mqtt("off").start();
    registered(&mn).await;
    let filters = ["/oneM2M/resp/+/id-mn/#".to_owned()];
    let mut speaker = Entity::connect_with(place.mqtt_port(), "speaker", &filters).await;
    let create = |from: &str, name: &str| json!({"op": 1, "to": "cse-mn", "fr": from, "rqi": name, "rvi": "3", "ty": 3, "pc": {"m2m:cnt": {"rn": name}}});
    // Somebody at the registrar's broker who is not the registrar, and the registrar as somebody it is not.
    speaker.publish("/oneM2M/req/CAdmin/id-mn/json", create("CAdmin", "stranger").to_string()).await;
    speaker.publish("/oneM2M/req/id-in/id-mn/json", create("CAdmin", "spoofed").to_string()).await;
    let refused = speaker.next_answer().await;
    assert_eq!((&refused.primitive["rqi"], &refused.primitive["rsc"]), (&json!("spoofed"), &json!(4103)));
    let retrieve = json!({"op": 2, "to": "/id-mn/cse-mn", "fr": "/id-in", "rqi": "1", "rvi": "3"});
    speaker.publish("/oneM2M/req/id-in/id-mn/json", retrieve.to_string()).await;
    let answer = speaker.next_answer().await;
    assert_eq!((answer.topic.as_str(), &answer.primitive["rqi"]), ("/oneM2M/resp/id-in/id-mn/json", &json!("1")));
    let admin = Http::new(mn.http(), "CAdmin");
    for name in ["stranger", "spoofed"] {
        admin.get(&format!("/cse-mn/{name}")).await.expect(4004);
    }
}

#[tokio::test]
async fn requests_pass_up_and_down_by_what_was_registered() {
    for over in Over::BOTH {
        let place = Place::reserve();
        let infrastructure = place.infrastructure().start();
        let mn = gateway("mn", "in", &place.point_of_access(over), "");
        // Over MQTT the gateway is reached by its own connection, and by nothing else.
        let mn = if over == Over::Mqtt { mn.mqtt("off").start() } else { mn.start() };
        registered(&mn).await;
        let ae = |name: &str| json!({"m2m:ae": {"rn": name, "api": "Napp", "rr": false, "srv": ["3"]}});
        let (above, below) = (Http::new(infrastructure.http(), "Cabove"), Http::new(mn.http(), "Cbelow"));
        above.create("/cse-in", 2, &ae("above")).await.expect(2001);
        below.create("/cse-mn", 2, &ae("below")).await.expect(2001);
        let policy = |name: &str, who: &str| {
            let rule = json!({"acor": [who, "Cabove"], "acop": 63});
            json!({"m2m:acp": {"rn": name, "pv": {"acr": [rule]}, "pvs": {"acr": [{"acor": ["CAdmin"], "acop": 63}]}}})
        };
        let log = |policy: &str| json!({"m2m:cnt": {"rn": "log", "acpi": [policy]}});
        let admin = Http::new(infrastructure.http(), "CAdmin");
        admin.create("/cse-in", 1, &policy("up", "/id-mn/Cbelow")).await.expect(2001);
        above.create("/cse-in/above", 3, &log("cse-in/up")).await.expect(2001);
        let admin = Http::new(mn.http(), "CAdmin");
        admin.create("/cse-mn", 1, &policy("down", "/id-in/Cabove")).await.expect(2001);
        below.create("/cse-mn/below", 3, &log("cse-mn/down")).await.expect(2001);

        let value = |content: &str| json!({"m2m:cin": {"con": content}});
        below.create("/~/id-in/cse-in/above/log", 4, &value("from below")).await.expect(2001);
        above.create("/~/id-mn/cse-mn/below/log", 4, &value("from above")).await.expect(2001);
        let up = above.get("/cse-in/above/log/la").await.expect(2000).json();
        assert_eq!(up["m2m:cin"]["con"], "from below", "{over:?}");
        let down = above.get("/~/id-mn/cse-mn/below/log/la").await.expect(2000).json();
        assert_eq!(down["m2m:cin"]["con"], "from above", "{over:?}");
    }
}

#[test]
fn a_gateway_without_registrar_says_so() {
    let server = Launch::default().with(&["--cse-type", "mn"]).start();
    cse_tests::wait::until("the log says so", || server.log().text().contains("no registrar is configured"));
}

/// A gateway that is known to the broker of its registrar, which is strict.
fn with_credentials(server: &Server, scheme: &str, port: u16, credentials: &str) -> Server {
    cse_tests::wait::until("the log says so", || server.log().text().contains("MQTT policy: strict"));
    gateway("mn", "in", &format!("{scheme}://localhost:{port}"), credentials).start()
}

#[tokio::test]
async fn a_gateway_has_credentials_at_the_broker_of_its_registrar() {
    let infrastructure = guarded::launch("").start();
    let port = infrastructure.mqtt_port();
    let password = infrastructure.launch().directory().join("secret");
    std::fs::write(&password, "thrice\n").expect("written");
    let credentials = format!("username = \"middle\"\npassword-file = '{}'", password.display());
    let mn = with_credentials(&infrastructure, "mqtt", port, &credentials);
    until_some("a refusal", async || {
        let (_, uplink) = uplink(&mn).await;
        uplink["problem"].as_str().filter(|problem| problem.contains("user name")).map(|_| ())
    })
    .await;
    drop(mn);

    std::fs::write(&password, "three\n").expect("written");
    let mn = with_credentials(&infrastructure, "mqtt", port, &credentials);
    registered(&mn).await;
    assert_eq!(resource(&infrastructure, "/cse-in/id-mn").await["csi"], "/id-mn");
    for secret in ["three", "thrice"] {
        assert!(!mn.log().text().contains(secret));
    }
}

#[tokio::test]
async fn a_gateway_shows_its_certificate_to_the_broker_of_its_registrar() {
    let certificates = Certificates::with_clients(&["m2m://cse.example/id-mn"]);
    let infrastructure = Launch::default()
        .mqtt("off")
        .with(&["--mqtt-tls", "127.0.0.1:0"])
        .with_all(certificates.server_arguments())
        .with_all(certificates.client_arguments("required"))
        .start();
    let file = |name: &str| certificates.text(name);
    let credentials = format!(
        "trusted-certificates = '{}'\nclient-certificate = '{}'\nclient-key = '{}'",
        file("ca.pem"),
        file("m2m-cse-example-id-mn.pem"),
        file("m2m-cse-example-id-mn.key")
    );
    let mn = with_credentials(&infrastructure, "mqtts", infrastructure.broker_port("mqtts"), &credentials);
    registered(&mn).await;
    assert_eq!(resource(&infrastructure, "/cse-in/id-mn").await["csi"], "/id-mn");
}

#[tokio::test]
async fn one_independent_broker_serves_both() {
    let mosquitto = Mosquitto::start();
    let infrastructure = Launch::default().external_broker(mosquitto.port()).start();
    let broker = format!("mqtt://127.0.0.1:{}", mosquitto.port());
    // By the name that both use there is one connection, by another one there are two.
    for point in [broker.clone(), broker.replace("127.0.0.1", "localhost")] {
        let mn = gateway("mn", "in", &point, "deregister-on-shutdown = true").external_broker(mosquitto.port()).start();
        registered(&mn).await;
        let there = resource(&infrastructure, "/cse-in/id-mn").await;
        assert!(texts(&there["poa"]).iter().any(|url| url.trim_end_matches('/') == point), "{there}");
        let links = mn.log().text().matches("connected to the MQTT broker").count();
        assert!(links <= 2, "the connections do not end each other:\n{}", mn.log().text());
        assert!(mn.stop().success());
    }
}

#[tokio::test]
async fn infrastructures_of_different_providers_register_with_each_other() {
    for over in Over::BOTH {
        let other = other_provider().start();
        let infrastructure = below_other_provider(&point_of_access(&other, over)).start();
        registered(&infrastructure).await;
        let there = resource(&other, "/cse-up/id-in").await;
        assert_eq!(
            (&there["csi"], &there["cb"]),
            (&json!("//cse.example/id-in"), &json!("//cse.example/id-in/cse-in"))
        );
        assert_eq!(there["spi"], "//cse.example");
        let here = resource(&infrastructure, "/cse-in/id-up").await;
        assert_eq!(
            (&here["csi"], &here["cb"]),
            (&json!("//other.example/id-up"), &json!("//other.example/id-up/cse-up"))
        );
    }
}

#[tokio::test]
async fn the_link_to_the_broker_of_the_registrar_is_measured() {
    let place = Place::reserve();
    let infrastructure = place.infrastructure().start();
    let point = place.point_of_access(Over::Mqtt);
    let mn = gateway("mn", "in", &point, "").start();
    registered(&mn).await;
    let of_link = |name: &str| format!("cse_registrar_link_{name}{{point_of_access=\"{point}\"}}");
    assert_eq!(sample(&mn, &of_link("up")).await, 1.0);
    assert_eq!(sample(&mn, &of_link("connections_total")).await, 1.0);
    let sent = sample(&mn, &of_link("sent_total")).await;
    assert!(sent >= 2.0, "the registration, and a look at the CSEBase");
    assert_eq!(sample(&mn, &of_link("responses_matched_total")).await, sent);
    Http::new(infrastructure.http(), "CAdmin").get("/~/id-mn/cse-mn/nothing").await.expect(4004);
    for name in ["received_total", "dispatched_total", "answered_total"] {
        assert!(sample(&mn, &of_link(name)).await >= 1.0, "{name}");
    }
    assert!(infrastructure.stop().success());
    until_some("the link is down", async || (sample(&mn, &of_link("up")).await == 0.0).then_some(())).await;
    let _infrastructure = place.infrastructure().start();
    until_some("the link is up", async || (sample(&mn, &of_link("up")).await == 1.0).then_some(())).await;
    assert!(sample(&mn, &of_link("connections_total")).await >= 2.0);
    assert!(sample(&mn, &of_link("connection_failures_total")).await >= 1.0);
}

#[tokio::test]
async fn requests_pass_between_service_providers_by_absolute_identifiers() {
    for over in Over::BOTH {
        let other = other_provider().start();
        let infrastructure = below_other_provider(&point_of_access(&other, over));
        // Over MQTT it is reached by its own connection, and by nothing else.
        let infrastructure =
            if over == Over::Mqtt { infrastructure.mqtt("off").start() } else { infrastructure.start() };
        registered(&infrastructure).await;
        let sides = [
            (&infrastructure, "cse-in", "Cours", "//cse.example/id-in", "//other.example/id-up/Ctheirs"),
            (&other, "cse-up", "Ctheirs", "//other.example/id-up", "//cse.example/id-in/Cours"),
        ];
        for (server, base, stem, _, peer) in sides {
            let ae = json!({"m2m:ae": {"rn": "app", "api": "Napp", "rr": false, "srv": ["3"]}});
            Http::new(server.http(), stem).create(&format!("/{base}"), 2, &ae).await.expect(2001);
            let policy = json!({"m2m:acp": {"rn": "p", "pv": {"acr": [{"acor": [peer], "acop": 63}]},
                "pvs": {"acr": [{"acor": ["CAdmin"], "acop": 63}]}}});
            Http::new(server.http(), "CAdmin").create(&format!("/{base}"), 1, &policy).await.expect(2001);
            let log = json!({"m2m:cnt": {"rn": "log", "acpi": [format!("{base}/p")]}});
            Http::new(server.http(), "CAdmin").create(&format!("/{base}/app"), 3, &log).await.expect(2001);
        }
        let [ours, theirs] = sides;
        for ((asking, _, stem, ..), (asked, base, _, provider, _)) in [(ours, theirs), (theirs, ours)] {
            let asker = Http::new(asking.http(), stem);
            let path = format!("/_/{}/{base}/app/log", &provider[2..]);
            let instance = json!({"m2m:cin": {"con": stem}});
            asker.create(&path, 4, &instance).await.expect(2001);
            let latest = asker.get(&format!("{path}/la")).await.expect(2000).json();
            assert_eq!(latest["m2m:cin"]["con"], stem, "{over:?}");
            let there = Http::new(asked.http(), "CAdmin").get(&format!("/{base}/app/log/la")).await.expect(2000).json();
            assert_eq!(there["m2m:cin"]["con"], stem, "{over:?}");
            // Another AE of the same side is somebody else there.
            let another = json!({"m2m:ae": {"api": "Napp", "rr": false, "srv": ["3"]}});
            let stranger = Http::new(asking.http(), "Cstranger");
            let own_base = if asking.http() == infrastructure.http() { "/cse-in" } else { "/cse-up" };
            stranger.create(own_base, 2, &another).await.expect(2001);
            stranger.get(&path).await.expect(4103);
            // What is of a third service provider is nowhere.
            asker.get("/_/third.example/id-x/y").await.expect(4004);
        }
    }
}

#[tokio::test]
async fn other_service_providers_are_refused_unless_they_are_named() {
    let other =
        Launch::default().with_file("[cse]\nid = \"/id-up\"\nname = \"cse-up\"\nsp-id = \"//other.example\"\n").start();
    let infrastructure = below_other_provider(&point_of_access(&other, Over::Http)).start();
    until_some("a refusal", async || {
        uplink(&infrastructure).await.1["problem"].as_str().filter(|problem| problem.contains("4107")).map(|_| ())
    })
    .await;
    let admin = Http::new(other.http(), "CAdmin");
    admin.get("/cse-up/id-in").await.expect(4004);
    admin.get("/_/cse.example/id-in/cse-in").await.expect(4004);
}
