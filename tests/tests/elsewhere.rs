//! What a resource needs of another CSE, with an IN-CSE and a gateway as processes: policies, members of groups, and
//! targets of notifications that are elsewhere; and what comes back from there in the name of who asked.

use cse_tests::device::Device;
use cse_tests::gateways::{Over, Place, contents, gateway, pair, registered, resource};
use cse_tests::http::Http;
use cse_tests::mosquitto::Mosquitto;
use cse_tests::mqtt::Entity;
use cse_tests::receiver::Receiver;
use cse_tests::server::{Launch, Server};
use cse_tests::wait::until_some;
use serde_json::{Value, json};

async fn ae(server: &Server, base: &str, stem: &str) -> Http {
    let http = Http::new(server.http(), stem);
    let ae = json!({"m2m:ae": {"rn": stem, "api": "Ntest", "rr": true, "srv": ["3"]}});
    http.create(base, 2, &ae).await.expect(2001);
    http
}

/// A policy that lets originators do everything, and a CSE read it.
async fn policy(admin: &Http, base: &str, name: &str, originators: &[&str], reader: &str) {
    let policy = json!({"m2m:acp": {"rn": name, "pv": {"acr": [{"acor": originators, "acop": 63}]},
        "pvs": {"acr": [{"acor": ["CAdmin", reader], "acop": 63}]}}});
    admin.create(base, 1, &policy).await.expect(2001);
}

fn instance(content: &str) -> Value {
    json!({"m2m:cin": {"con": content}})
}

#[tokio::test]
async fn policies_of_a_gateway_are_kept_at_its_registrar() {
    for over in Over::BOTH {
        let (place, infrastructure, mn) = pair(over).await;
        let (admin_in, admin_mn) = (Http::new(infrastructure.http(), "CAdmin"), Http::new(mn.http(), "CAdmin"));
        policy(&admin_in, "/cse-in", "rules", &["/id-mn/Cfriend", "Capp"], "/id-mn").await;
        let container = json!({"m2m:cnt": {"rn": "data", "acpi": ["/id-in/cse-in/rules"]}});
        admin_mn.create("/cse-mn", 3, &container).await.expect(2001);
        let friend = ae(&mn, "/cse-mn", "Cfriend").await;
        let stranger = ae(&mn, "/cse-mn", "Cstranger").await;
        friend.create("/cse-mn/data", 4, &instance("1")).await.expect(2001);
        assert_eq!(friend.get("/cse-mn/data/la").await.expect(2000).json()["m2m:cin"]["con"], "1");
        stranger.get("/cse-mn/data/la").await.expect(4103);
        // What is relative in the policy is so to the CSE that hosts it.
        let app = ae(&infrastructure, "/cse-in", "Capp").await;
        assert_eq!(app.get("/~/id-mn/cse-mn/data/la").await.expect(2000).json()["m2m:cin"]["con"], "1");
        // It goes on without its registrar, with the policy as it was.
        assert!(infrastructure.stop().success());
        friend.create("/cse-mn/data", 4, &instance("2")).await.expect(2001);
        stranger.get("/cse-mn/data/la").await.expect(4103);
        drop(place);
    }
}

#[tokio::test]
async fn what_a_device_sends_in_one_go_arrives_in_order() {
    for over in Over::BOTH {
        let (_place, infrastructure, mn) = pair(over).await;
        let admin = Http::new(infrastructure.http(), "CAdmin");
        policy(&admin, "/cse-in", "open", &["/id-mn/Csensor"], "/id-mn").await;
        admin.create("/cse-in", 3, &json!({"m2m:cnt": {"rn": "log", "acpi": ["cse-in/open"]}})).await.expect(2001);
        ae(&mn, "/cse-mn", "Csensor").await;
        let mut sensor = Device::connect_to(mn.mqtt_port(), "id-mn", "Csensor").await;
        let values: Vec<String> = (0..200).map(|value| value.to_string()).collect();
        let mut identifiers = Vec::new();
        for value in &values {
            identifiers.push(sensor.create_instance("/id-in/cse-in/log", value).await);
        }
        for identifier in &identifiers {
            assert_eq!(sensor.answer_to(identifier).await["rsc"], 2001, "{over:?}");
        }
        assert_eq!(contents(&infrastructure, "/cse-in/log").await, values, "{over:?}");
    }
}

#[tokio::test]
async fn a_group_has_members_at_a_gateway() {
    for over in Over::BOTH {
        let (_place, infrastructure, mn) = pair(over).await;
        let (admin_in, admin_mn) = (Http::new(infrastructure.http(), "CAdmin"), Http::new(mn.http(), "CAdmin"));
        policy(&admin_mn, "/cse-mn", "open", &["/id-in/Capp", "/id-in"], "/id-in").await;
        policy(&admin_in, "/cse-in", "open", &["Capp"], "/id-in").await;
        for (admin, base) in [(&admin_mn, "/cse-mn"), (&admin_in, "/cse-in")] {
            let container = json!({"m2m:cnt": {"rn": "data", "acpi": [format!("{}/open", &base[1..])]}});
            admin.create(base, 3, &container).await.expect(2001);
        }
        let app = ae(&infrastructure, "/cse-in", "Capp").await;
        let members = ["cse-in/data", "/id-mn/cse-mn/data", "/id-mn/cse-mn/open"];
        let group = json!({"m2m:grp": {"rn": "all", "mnm": 5, "mt": 3, "mid": members}});
        // What Capp may not read cannot be a member; once it can be read, it is of another type and left out.
        app.create("/cse-in/Capp", 9, &group).await.expect(5105);
        let readable = json!({"m2m:acp": {"pvs": {"acr": [{"acor": ["CAdmin", "/id-in/Capp"], "acop": 63}]}}});
        admin_mn.update("/cse-mn/open", &readable).await.expect(2004);
        let created = app.create("/cse-in/Capp", 9, &group).await.expect(2001).json()["m2m:grp"].clone();
        assert_eq!((&created["mtv"], &created["mid"]), (&json!(true), &json!(&members[..2])), "{created}");

        // One notification for both, wherever they are.
        let mut receiver = Receiver::start().await;
        let subscription = json!({"m2m:sub": {"rn": "watch", "nu": [receiver.url()], "nfu": receiver.url(),
            "enc": {"net": [3], "chty": [4]}}});
        app.create("/cse-in/Capp/all/fopt", 23, &subscription).await.expect(2000);
        let (_, question) = receiver.next().await;
        assert_eq!(question["m2m:sgn"]["vrq"], true, "{question}");
        app.create("/~/id-mn/cse-mn/data", 4, &instance("there")).await.expect(2001);
        app.create("/cse-in/data", 4, &instance("here")).await.expect(2001);
        let (_, notification) = receiver.next().await;
        let list = notification["m2m:agn"]["m2m:sgn"].as_array().expect("several").clone();
        let mut contents: Vec<&str> =
            list.iter().filter_map(|sgn| sgn["nev"]["rep"]["m2m:cin"]["con"].as_str()).collect();
        contents.sort_unstable();
        assert_eq!(contents, ["here", "there"], "{notification}");

        // What is deleted through the group is out of it.
        app.delete("/cse-in/Capp/all/fopt").await.expect(2000);
        assert_eq!(resource(&infrastructure, "/cse-in/Capp/all").await["cnm"], 0);
        admin_mn.get("/cse-mn/data").await.expect(4004);
    }
}

#[tokio::test]
async fn members_are_known_once_their_gateway_is_there() {
    let place = Place::reserve();
    let infrastructure = place.infrastructure().start();
    let launch = gateway("mn", "in", &place.point_of_access(Over::Mqtt), "");
    let mn = launch.start();
    registered(&mn).await;
    let admin = Http::new(mn.http(), "CAdmin");
    policy(&admin, "/cse-mn", "open", &["/id-in/Capp"], "/id-in").await;
    admin.create("/cse-mn", 3, &json!({"m2m:cnt": {"rn": "data", "acpi": ["cse-mn/open"]}})).await.expect(2001);
    let app = ae(&infrastructure, "/cse-in", "Capp").await;
    mn.kill();
    let group = json!({"m2m:grp": {"rn": "all", "mnm": 5, "mt": 3, "mid": ["/id-mn/cse-mn/data"]}});
    let created = app.create("/cse-in/Capp", 9, &group).await.expect(2001).json()["m2m:grp"].clone();
    assert_eq!((&created["mtv"], &created["cnm"]), (&json!(false), &json!(1)), "{created}");
    let mn = launch.start();
    registered(&mn).await;
    // Whoever does not want to wait until the group looks again names the members again.
    let again = json!({"m2m:grp": {"mid": ["/id-mn/cse-mn/data"]}});
    until_some("members that are known", async || {
        let group = app.update("/cse-in/Capp/all", &again).await.expect(2004).json()["m2m:grp"].clone();
        (group["mtv"] == true).then_some(())
    })
    .await;
}

#[tokio::test]
async fn targets_of_notifications_are_at_the_other_cse() {
    for over in Over::BOTH {
        let (_place, infrastructure, mn) = pair(over).await;
        let (admin_in, admin_mn) = (Http::new(infrastructure.http(), "CAdmin"), Http::new(mn.http(), "CAdmin"));
        for (admin, base, bell, target) in [
            (&admin_in, "/cse-in", (&mn, "/cse-mn", "/id-mn/Cbell"), "/id-mn/Cbell"),
            (&admin_mn, "/cse-mn", (&infrastructure, "/cse-in", "/id-in/Cbell"), "//cse.example/id-in/Cbell"),
        ] {
            let (server, its_base, address) = bell;
            let (own_id, other) = if its_base == "/cse-mn" { ("id-mn", "/id-in") } else { ("id-in", "/id-mn") };
            let filters = [format!("/oneM2M/resp/Cbell/{own_id}/#"), "/oneM2M/req/+/Cbell/#".to_owned()];
            let mut entity = Entity::connect_with(server.mqtt_port(), "Cbell", &filters).await.asking(own_id);
            let attributes = json!({"rn": "bell", "api": "Ntest", "rr": true, "srv": ["3"]});
            let request = json!({"op": 1, "to": &its_base[1..], "fr": "Cbell", "ty": 2, "pc": {"m2m:ae": attributes}});
            entity.request(request).await.expect(2001);
            // Who notifies it has to be let.
            let its_admin = Http::new(server.http(), "CAdmin");
            policy(&its_admin, its_base, "ring", &[other, "Cbell"], "Cbell").await;
            let link = json!({"m2m:ae": {"acpi": [format!("{}/ring", &its_base[1..])]}});
            its_admin.update(&format!("{its_base}/bell"), &link).await.expect(2004);

            admin.create(base, 3, &json!({"m2m:cnt": {"rn": "rung"}})).await.expect(2001);
            let subscription = json!({"m2m:sub": {"rn": "s", "nu": [target], "su": target,
                "enc": {"net": [3], "chty": [4]}}});
            let to = format!("{base}/rung");
            let asked = async {
                let question = entity.next_request().await;
                assert_eq!(question.primitive["pc"]["m2m:sgn"]["vrq"], true, "{address}: {:?}", question.primitive);
                entity.respond(&question, 2000).await;
            };
            let (created, ()) = tokio::join!(admin.create(&to, 23, &subscription), asked);
            created.expect(2001);
            admin.create(&to, 4, &instance("ding")).await.expect(2001);
            let notification = entity.next_request().await;
            let event = &notification.primitive["pc"]["m2m:sgn"]["nev"];
            assert_eq!(event["rep"]["m2m:cin"]["con"], "ding", "{address}: {:?}", notification.primitive);
            entity.respond(&notification, 2000).await;
            admin.delete(&format!("{to}/s")).await.expect(2002);
            let deletion = entity.next_request().await;
            assert_eq!(deletion.primitive["pc"]["m2m:sgn"]["sud"], true, "{address}: {:?}", deletion.primitive);
            entity.respond(&deletion, 2000).await;
        }
    }
}

/// What an AE of the gateway may use there and at the IN-CSE: an AE `Capp` and containers `data` at both, and one
/// `log` that is announced.
async fn for_sensor(infrastructure: &Server, mn: &Server) {
    let (admin_in, admin_mn) = (Http::new(infrastructure.http(), "CAdmin"), Http::new(mn.http(), "CAdmin"));
    policy(&admin_in, "/cse-in", "open", &["/id-mn/Csensor"], "/id-mn").await;
    policy(&admin_mn, "/cse-mn", "open", &["Csensor"], "CAdmin").await;
    for (admin, base) in [(&admin_mn, "/cse-mn"), (&admin_in, "/cse-in")] {
        let container = json!({"m2m:cnt": {"rn": "data", "acpi": [format!("{}/open", &base[1..])]}});
        admin.create(base, 3, &container).await.expect(2001);
    }
    ae(infrastructure, "/cse-in", "Capp").await;
    admin_in.update("/cse-in/Capp", &json!({"m2m:ae": {"acpi": ["cse-in/open"]}})).await.expect(2004);
    let log = json!({"m2m:cnt": {"rn": "log", "at": ["/id-in"], "acpi": ["/id-in/cse-in/open"]}});
    admin_mn.create("/cse-mn", 3, &log).await.expect(2001);
}

fn group() -> Value {
    let members = ["cse-in/data", "/id-mn/cse-mn/data"];
    json!({"m2m:grp": {"rn": "all", "mnm": 5, "mt": 3, "mid": members, "acpi": ["cse-in/open"]}})
}

/// Status codes of the members, sorted, and contents of instances.
fn of_members(answers: &Value) -> (Vec<u64>, Vec<String>) {
    let list = answers["m2m:agr"]["m2m:rsp"].as_array().expect("answers of members");
    let mut statuses: Vec<u64> = list.iter().filter_map(|answer| answer["rsc"].as_u64()).collect();
    statuses.sort_unstable();
    let contents = list.iter().filter_map(|answer| answer["pc"]["m2m:cin"]["con"].as_str());
    (statuses, contents.map(str::to_owned).collect())
}

/// Where the copy of `log` is, with the attributes of the original.
async fn announced(mn: &Server) -> (String, Value) {
    until_some("a copy", async || {
        let original = resource(mn, "/cse-mn/log").await;
        let copy = original["at"][0].as_str().filter(|address| address.starts_with("/id-in/cntA"))?.to_owned();
        Some((copy, original))
    })
    .await
}

#[tokio::test]
async fn what_an_ae_of_a_gateway_asks_comes_back_to_it() {
    for over in Over::BOTH {
        let (_place, infrastructure, mn) = pair(over).await;
        for_sensor(&infrastructure, &mn).await;
        let sensor = ae(&mn, "/cse-mn", "Csensor").await;
        let created = sensor.create("/~/id-in/cse-in/Capp", 9, &group()).await.expect(2001).json()["m2m:grp"].clone();
        assert_eq!((&created["mtv"], &created["cnm"]), (&json!(true), &json!(2)), "{created}");
        let fan_out = "/~/id-in/cse-in/Capp/all/fopt";
        let answers = sensor.create(fan_out, 4, &instance("everywhere")).await.expect(2000).json();
        assert_eq!(of_members(&answers).0, [2001, 2001], "{over:?}: {answers}");
        let answers = sensor.get(&format!("{fan_out}/la")).await.expect(2000).json();
        assert_eq!(of_members(&answers), (vec![2000, 2000], vec!["everywhere".to_owned(); 2]), "{over:?}: {answers}");
        assert_eq!(resource(&mn, "/cse-mn/data").await["cni"], 1);

        let (copy, original) = announced(&mn).await;
        let read = sensor.get(&format!("/~{copy}?rcn=7")).await.expect(2000).json();
        assert_eq!(read["m2m:cnt"], original, "{over:?}");
    }
}

/// There, what comes back comes the same way as what the AE asks, and what is asked waits for it.
#[tokio::test]
async fn what_is_asked_over_one_broker_comes_back_over_it() {
    let mosquitto = Mosquitto::start();
    let infrastructure = Launch::default().external_broker(mosquitto.port()).start();
    let point = format!("mqtt://127.0.0.1:{}", mosquitto.port());
    let mn = gateway("mn", "in", &point, "").external_broker(mosquitto.port()).start();
    registered(&mn).await;
    for_sensor(&infrastructure, &mn).await;
    let filters = ["/oneM2M/resp/Csensor/id-mn/#".to_owned()];
    let mut sensor = Entity::connect_with(mosquitto.port(), "Csensor", &filters).await.asking("id-mn");
    let ae = json!({"m2m:ae": {"rn": "sensor", "api": "Ntest", "rr": false, "srv": ["3"]}});
    sensor.create("cse-mn", 2, ae).await.expect(2001);
    sensor.create("/id-in/cse-in/Capp", 9, group()).await.expect(2001);
    let answers = sensor.create("/id-in/cse-in/Capp/all/fopt", 4, instance("everywhere")).await.expect(2000);
    assert_eq!(of_members(&answers.0["pc"]).0, [2001, 2001], "{answers:?}");
    let (copy, original) = announced(&mn).await;
    let read = sensor.request(json!({"op": 2, "to": copy, "rcn": 7})).await.expect(2000);
    assert_eq!(read.0["pc"]["m2m:cnt"], original);
    // Nothing of it is there any more, so the IN-CSE may not speak for it: whoever says to be that.
    let mut other = Entity::connect_with(mosquitto.port(), "id-in", &["/oneM2M/resp/id-in/id-mn/#".to_owned()]).await;
    let mut claim = other.complete(json!({"op": 2, "to": "cse-mn/data", "fr": "/id-mn/Csensor"}));
    claim["rqi"] = json!("claim");
    other.publish("/oneM2M/req/id-in/id-mn/json", claim.to_string()).await;
    let refusal = other.answer_to("claim").await.expect(4103);
    assert!(refusal.explanation().contains("'/id-in' may not speak for 'Csensor'"), "{refusal:?}");
}
