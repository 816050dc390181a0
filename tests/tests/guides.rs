//! The guides to brokers and to devices with credentials, typed as they stand there.

use cse_tests::typed::Typed;

const ANNOUNCEMENT: &str = include_str!("../../docs/announcement.md");
const BROKERS: &str = include_str!("../../docs/brokers.md");
const DEVICES: &str = include_str!("../../docs/devices.md");
const GATEWAY: &str = include_str!("../../docs/gateway.md");
const NON_BLOCKING: &str = include_str!("../../docs/non-blocking.md");
const POLLING: &str = include_str!("../../docs/polling.md");
const TROUBLESHOOTING: &str = include_str!("../../docs/troubleshooting.md");

/// Where HTTP is up, too, a server is ready before it has found its broker.
const UNTIL_CONNECTED: &str =
    "until curl -sS http://127.0.0.1:8080/readyz | grep -q '\"mqtt\":{\"state\":\"up\"}'; do sleep 0.05; done";

/// How often that text occurs.
fn count(text: &str, part: &str) -> usize {
    text.matches(part).count()
}

#[test]
fn the_guide_to_an_external_broker_works_as_typed() {
    let connected = format!("{UNTIL_CONNECTED}\ncurl -sS http");
    let typed = Typed::new(BROKERS, &["An external broker"])
        // Root's mosquitto would otherwise become a user who cannot read the directory.
        .instead("persistence true", "persistence true\nuser root")
        .instead("cse-server --mqtt-broker", "cse-server --http 127.0.0.1:8080 --mqtt-broker")
        .instead("curl -sS http", &connected)
        .port("1884")
        .port("8080")
        .pauses(&[&[0, 1]]);
    let (output, errors) = typed.run();
    assert!(output.contains("\"mqtt\":{\"state\":\"up\"}"), "{output}\n{errors}");
    assert!(output.contains("\"rsc\":2000") && output.contains("m2m:cb"), "{output}\n{errors}");
}

#[test]
fn users_and_rules_of_an_external_broker_work_as_typed() {
    let connected = format!("sleep 2\n{UNTIL_CONNECTED}\n");
    let typed = Typed::new(BROKERS, &["Users and rules in mosquitto"])
        .instead("persistence true", "persistence true\nuser root")
        .instead("cse-server --config cse.toml --data", "cse-server --http 127.0.0.1:8080 --config cse.toml --data")
        .instead("sleep 2\n", &connected)
        .port("1885")
        .port("8080")
        .pauses(&[&[0, 1]]);
    let (output, errors) = typed.run();
    assert_eq!(count(&output, "\"rsc\":2001"), 1, "{output}\n{errors}");
    let said = format!("{output}{errors}");
    assert!(said.contains("MQTT policy: strict"), "{said}");
    for secret in ["wrong bulb", "secret of the CSE"] {
        assert!(!said.contains(secret), "{said}");
    }
}

#[test]
fn passwords_for_devices_work_as_typed() {
    let typed = Typed::new(DEVICES, &["Passwords"])
        .instead("mosquitto_rr ", "mosquitto_rr -p 1883 ")
        .instead("mosquitto_sub ", "mosquitto_sub -p 1883 ")
        .instead("cse-server --config", "cse-server --http off --mqtt 127.0.0.1:1883 --config")
        .port("1883")
        .pauses(&[&[0]]);
    let (output, errors) = typed.run();
    // The lamp, its container and the door; the lamp as a pump, and as the door.
    assert_eq!(count(&output, "\"rsc\":2001"), 3, "{output}\n{errors}");
    assert_eq!(count(&output, "\"aei\":\"Sdoor\""), 1, "{output}");
    for refused in ["\"rsc\":4126", "\"rsc\":4103"] {
        assert_eq!(count(&output, refused), 1, "{output}\n{errors}");
    }
    let said = format!("{output}{errors}");
    assert!(said.contains("All subscription requests were denied."), "{said}");
    assert!(said.contains("MQTT policy: strict") && said.contains("subscription denied"), "{said}");
    for secret in ["wrong bulb", "open sesame"] {
        assert!(!said.contains(secret), "{said}");
    }
}

#[test]
fn certificates_for_devices_work_as_typed() {
    let typed = Typed::new(DEVICES, &["Certificates"]).port("8883").pauses(&[&[0]]);
    let (output, errors) = typed.run();
    assert_eq!(count(&output, "\"rsc\":2001"), 2, "{output}\n{errors}");
    for given in ["\"aei\":\"Cgate\"", "\"aei\":\"Csensor17\""] {
        assert_eq!(count(&output, given), 1, "{output}");
    }
}

#[tokio::test]
async fn the_places_to_look_at_are_there() {
    let server = cse_tests::server::Launch::default().start();
    let port = server.http().port().to_string();
    let typed = Typed::new(TROUBLESHOOTING, &["Where to look"]).instead("8080", &port);
    let (output, errors) = tokio::task::spawn_blocking(move || typed.run()).await.expect("typed");
    assert!(output.contains("\"status\":\"ready\""), "{output}\n{errors}");
    for counter in
        ["cse_mqtt_unknown_topics_total", "cse_mqtt_answers_unheard_total", "cse_broker_publishes_denied_total"]
    {
        assert!(output.contains(counter), "{output}");
    }
}

#[test]
fn gateways_work_as_typed() {
    let typed = Typed::new(GATEWAY, &["On one machine"])
        .port("8080")
        .port("1883")
        .port("8090")
        .port("1890")
        .pauses(&[&[0, 1], &[2, 3]]);
    let (output, errors) = typed.run();
    assert!(output.contains("\"uplink\":{\"state\":\"up\"}"), "{output}\n{errors}");
    assert!(output.contains("\"csi\":\"/id-mn\"") && output.contains("\"csi\":\"/id-in\""), "{output}\n{errors}");

    let typed = Typed::new(GATEWAY, &["On two machines"])
        .instead("in.example", "localhost")
        .instead("0.0.0.0", "127.0.0.1")
        .instead("--http 127.0.0.1:8090", "--http 127.0.0.1:8090 --mqtt off")
        .port("8883")
        .port("8080")
        .port("8090")
        .pauses(&[&[0, 1]]);
    let (output, errors) = typed.run();
    assert!(output.contains("\"uplink\":{\"state\":\"up\"}"), "{output}\n{errors}");
    let said = format!("{output}{errors}");
    assert!(said.contains("MQTT policy: strict") && !said.contains("through the wall"), "{said}");
}

#[test]
fn announcement_works_as_typed() {
    let typed = Typed::new(ANNOUNCEMENT, &["A tour"])
        .port("8080")
        .port("1883")
        .port("8090")
        .port("1890")
        .pauses(&[&[0, 1], &[2, 3]]);
    let (output, errors) = typed.run();
    // The copy as it is found, as the original shows it, and read; the original read through it.
    assert!(output.contains("m2m:uril") && output.contains("\"m2m:cntA\""), "{output}\n{errors}");
    assert!(output.contains("\"lnk\":\"/id-mn/cnt"), "{output}\n{errors}");
    let originals = output.lines().filter(|line| line.contains("\"m2m:cnt\"") && line.contains("\"mni\":20"));
    assert_eq!(originals.count(), 1, "{output}\n{errors}");
    let read = output.lines().filter(|line| line.contains("\"m2m:cnt\"") && line.contains("\"at\":[\"/id-in/cntA"));
    assert_eq!(
        read.count(),
        3,
        "once the copy is there, through it, and after the change through it: {output}\n{errors}"
    );
    assert!(!output.contains("m2m:dbg"), "{output}\n{errors}");
}

#[test]
fn fetching_by_hand_works_as_typed() {
    let typed = Typed::new(POLLING, &["By hand"])
        .instead("cse-server --data-dir", "cse-server --http 127.0.0.1:8080 --mqtt 127.0.0.1:1883 --data-dir")
        .port("8080")
        .port("1883")
        .pauses(&[&[0]]);
    let (output, errors) = typed.run();
    assert!(output.contains("\"m2m:rqp\"") && output.contains("\"con\":\"21.5\""), "{output}\n{errors}");
    let (_, answer) = output.rsplit_once("HTTP/1.1").unwrap_or_else(|| panic!("no answer: {output}\n{errors}"));
    assert!(answer.contains("x-m2m-rsc: 2000"), "{output}\n{errors}");
}

#[test]
fn asking_without_waiting_works_as_typed() {
    // The result is there when it is there, not after a second.
    let until_done = "until curl $HOST/~$REQUEST | grep -q '\"rs\":[125]'; do sleep 0.05; done";
    let typed = Typed::new(NON_BLOCKING, &["By hand"])
        .instead("cse-server --data-dir", "cse-server --http 127.0.0.1:8080 --mqtt 127.0.0.1:1883 --data-dir")
        .instead("sleep 1\n", &format!("{until_done}\n"))
        .port("8080")
        .port("1883")
        .pauses(&[&[0]]);
    let (output, errors) = typed.run();
    assert!(output.contains("\"m2m:uri\":\"/id-in/req") && output.contains("\n202\n"), "{output}\n{errors}");
    assert!(output.contains("\"rs\":1") && output.contains("\"rsc\":2001"), "{output}\n{errors}");
    let (_, deleted) = output.rsplit_once("HTTP/1.1").unwrap_or_else(|| panic!("no answer: {output}\n{errors}"));
    assert!(deleted.contains("x-m2m-rsc: 2002"), "{output}\n{errors}");
}
