//! Clause 8 of TS-0010 on an external broker: a real mosquitto with the files of `deploy/mosquitto` and the rules of
//! `cse-server acl export`.

use std::process::Command;

use cse_tests::binary;
use cse_tests::guarded::{Guarded, deployed, exported, registration, retrieve};
use cse_tests::spoofing;
use rumqttc::ConnectReturnCode;
use serde_json::json;

#[tokio::test]
async fn what_is_allowed_passes() {
    let world = Guarded::external(&[("Cpat", "pat")]).await;
    // One that is told with its identifier, and one whose name is its identifier.
    let lamp = world.connected("lamp-7", "lamp").await;
    spoofing::a_device_is_served(&world, lamp, "lamp-7", "Clamp").await;
    let pat = world.login("Cpat", "pat", "pat").connect().await.expect("let in");
    spoofing::a_device_is_served(&world, pat, "Cpat", "Cpat").await;
    assert_eq!(world.denied().await, 0);
}

#[tokio::test]
async fn nobody_gets_in_without_a_password() {
    let world = Guarded::external(&[]).await;
    for (name, password) in [("lamp-7", "eight"), ("nobody", "seven"), ("id-in", ""), ("", "")] {
        let refused = world.login(name, password, "x").connect().await.err();
        assert_eq!(refused, Some(ConnectReturnCode::NotAuthorized), "{name}");
    }
}

#[tokio::test]
async fn nobody_speaks_for_another() {
    spoofing::nobody_speaks_for_another(Guarded::external(&[]).await).await;
}

#[tokio::test]
async fn topic_originator_and_credential_agree() {
    spoofing::topic_originator_and_credential_agree(Guarded::external(&[]).await).await;
}

#[tokio::test]
async fn a_name_that_is_an_identifier_registers_that_and_no_other() {
    let world = Guarded::external(&[("Cpat", "pat"), ("stray", "any")]).await;
    let mut pat = world.login("Cpat", "pat", "pat").connect().await.expect("let in");
    assert!(pat.subscribe("/oneM2M/reg_resp/Cpat/#").await);
    assert!(pat.subscribe("/oneM2M/resp/Cpat/#").await);
    for (topic, from, status) in [
        ("/oneM2M/reg_req/Cpat/id-in/json", "Cmal", 4126),
        ("/oneM2M/reg_req/Cpat/id-in/json", "CAdmin", 4126),
        ("/oneM2M/req/Cpat/id-in/json", "Cmal", 4103),
        ("/oneM2M/reg_req/Cpat/id-in/json", "Cpat", 2001),
    ] {
        let answer = pat.request(topic, registration(from)).await;
        assert_eq!(answer["rsc"], status, "{topic} {from}: {answer}");
    }
    // One that no rule of mqtt.credentials names registers nothing.
    let mut stray = world.login("stray", "any", "stray").connect().await.expect("let in");
    assert!(stray.subscribe("/oneM2M/reg_resp/stray/#").await);
    let answer = stray.request("/oneM2M/reg_req/stray/id-in/json", registration("Cnew")).await;
    assert_eq!(answer["rsc"], 4126, "{answer}");
    // A CSE that nobody knows passes nothing on.
    assert!(stray.subscribe("/oneM2M/resp/stray/#").await);
    for from in ["/stray", "/stray/Cx", "/id-mn/Cx", "//other.example/id-mn", "Cpat"] {
        let answer = stray.request("/oneM2M/req/stray/id-in/json", retrieve(from, "cse-in")).await;
        assert_eq!(answer["rsc"], 4103, "{from}: {answer}");
    }
}

#[tokio::test]
async fn nobody_reads_what_is_for_another() {
    let world = Guarded::external(&[("Cspy", "spy")]).await;
    let mut spies = Vec::new();
    for (name, own) in [("Cspy", "Cspy"), ("lamp-7", "Clamp"), ("middle", "id-mn")] {
        let mut spy = match name {
            "Cspy" => world.login(name, "spy", "spy").connect().await.expect("let in"),
            _ => world.connected(name, name).await,
        };
        // Mosquitto may grant these, and delivers nothing under them.
        for filter in [
            "#",
            "/#",
            "/oneM2M/#",
            "/oneM2M/+/+/+/#",
            "/oneM2M/req/+/Cother/#",
            "/oneM2M/req/id-in/Cother/json",
            "/oneM2M/req/+/id-in/#",
            "/oneM2M/resp/Cother/#",
            "/oneM2M/resp/Cother/id-in/json",
            "/oneM2M/resp/+/id-in/#",
            "/oneM2M/resp/id-in/#",
            "/oneM2M/reg_req/+/id-in/#",
            "/oneM2M/reg_resp/lamp-8/#",
            "/oneM2M/reg_resp/#",
        ] {
            spy.subscribe(filter).await;
        }
        spies.push((spy, own));
    }
    // A registration, requests, answers and notifications of another.
    let other = world.connected("lamp-8", "other").await;
    spoofing::a_device_is_served(&world, other, "lamp-8", "Cother").await;
    for (mut spy, own) in spies {
        // What is for itself does come, as often as it has a filter for it; and nothing has come before.
        let topic = format!("/oneM2M/req/{own}/id-in/json");
        let from = if own == "id-mn" { "/id-mn" } else { own };
        let mut request = retrieve(from, "cse-in/no-such");
        request["rqi"] = json!("mine");
        request["rvi"] = json!("3");
        spy.publish(&topic, &request.to_string()).await;
        let (topic, message) = spy.next().await;
        assert_eq!(topic, format!("/oneM2M/resp/{own}/id-in/json"), "{message}");
        assert_eq!(message["rqi"], "mine", "{message}");
    }
}

#[test]
fn the_example_is_what_the_command_writes() {
    let example = std::fs::read_to_string(deployed().join("acl")).expect("readable");
    assert_eq!(example, exported(&["--format", "mosquitto"]), "write deploy/mosquitto/acl anew with the command");
}

#[test]
fn the_command_follows_the_configuration() {
    let rules =
        exported(&["--format", "emqx", "--cse-id", "/id-mn", "--mqtt-broker", "mqtt://x", "--user", "gateway=/id-in"]);
    for line in [
        "{allow, {username, \"id-mn\"}, subscribe, [\"/oneM2M/req/+/id-mn/#\"]}.",
        "{allow, {username, \"gateway\"}, publish, [\"/oneM2M/req/id-in/id-mn\", \"/oneM2M/req/id-in/id-mn/+\"]}.",
        "{allow, all, publish, [\"/oneM2M/req/${username}/id-mn\", \"/oneM2M/req/${username}/id-mn/+\"]}.",
    ] {
        assert!(rules.lines().any(|found| found == line), "{line} is not in\n{rules}");
    }
    let directory = tempfile::tempdir().expect("a directory");
    let file = directory.path().join("cse.toml");
    let text = "[mqtt]\nbroker = \"mqtt://x\"\nusername = \"hub\"\ntopic-prefix = \"plant/7\"\n";
    std::fs::write(&file, text).expect("written");
    let rules = exported(&["--format", "mosquitto", "--config", &file.display().to_string()]);
    assert!(rules.contains("\nuser hub\ntopic write plant/7/oneM2M/req/id-in/+\n"), "{rules}");

    for (arguments, part) in [
        (&["--format", "mosquitto", "--user", "gateway"][..], "NAME=ID"),
        (&["--format", "mosquitto", "--user", "gateway=x"], "'x' is no AE-ID"),
        (&["--format", "mosquitto", "--user", "a/b=Cx"], "'a/b' cannot be a user name"),
        (&["--format", "mosquitto", "--user", "x=/id-in"], "this CSE itself"),
        (&["--format", "nginx"], "nginx"),
        (&[], "required"),
    ] {
        let mut command = Command::new(binary::cse_server());
        let ran = command.env_clear().args(["acl", "export"]).args(arguments).output().expect("the binary runs");
        let text = String::from_utf8_lossy(&ran.stderr);
        assert!(!ran.status.success() && text.contains(part), "{arguments:?}: {text}");
    }
}
