//! Clients that others wrote: the mosquitto tools and Paho, with MQTT 3.1.1 and MQTT 5.

use std::process::{Command, Stdio};

use serde_json::{Value, json};

use super::World;
use crate::curl::run;
use crate::paho;
use crate::process::{Lines, ended};

/// `mosquitto_pub` and `mosquitto_sub`, as one types them.
pub async fn mosquitto_clients_are_served(world: World) {
    world.ae("Csensor", "sensor").await;
    let port = world.port().to_string();
    let broker = ["-h", "127.0.0.1", "-p", &port, "-q", "1"];
    let listening = ["-t", "/oneM2M/resp/Csensor/id-in/json", "-C", "2", "-W", "60", "-d"];
    // Line buffering makes its report of the subscription appear at once.
    let mut command = Command::new("stdbuf");
    let command = command.args(["-oL", "mosquitto_sub"]).args(broker).args(listening);
    let mut subscriber = command.stdout(Stdio::piped()).stderr(Stdio::null()).spawn().expect("mosquitto_sub is there");
    let output = Lines::of(subscriber.stdout.take().expect("piped"));
    let subscribed = |lines: &[String]| lines.iter().any(|line| line.starts_with("Subscribed")).then_some(());
    output.wait_for("the subscription", subscribed).expect("mosquitto_sub runs");
    for (identifier, to) in [("1", "cse-in/sensor"), ("2", "cse-in/nothing")] {
        let request = json!({"op": 2, "fr": "Csensor", "to": to, "rqi": identifier, "rvi": "3"}).to_string();
        run("mosquitto_pub", &[&broker[..], &["-t", "/oneM2M/req/Csensor/id-in/json", "-m", &request]].concat());
    }
    assert!(ended(&mut subscriber).success(), "{}", output.text());
    output.wait_for("its end", |_| None::<()>);
    let answers: Vec<Value> = output.text().lines().filter_map(|line| serde_json::from_str(line).ok()).collect();
    let mut statuses: Vec<_> = answers.iter().map(|answer| (answer["rqi"].as_str(), answer["rsc"].as_u64())).collect();
    // Reads of two clients are answered in any order.
    statuses.sort_unstable();
    assert_eq!(statuses, [(Some("1"), Some(2000)), (Some("2"), Some(4004))], "{}", output.text());
}

/// Registers, stores and reads; prints each answer.
const PAHO_CLIENT: &str = r#"
import json, queue, sys
import paho.mqtt.client as mqtt

answers = queue.Queue()
client = mqtt.Client(mqtt.CallbackAPIVersion.VERSION2, client_id="A::Cpaho", clean_session=False)
subscribed = queue.Queue()
client.on_connect = lambda c, *rest: c.subscribe("/oneM2M/resp/Cpaho/id-in/#", qos=1)
client.on_subscribe = lambda *rest: subscribed.put(True)
client.on_message = lambda c, data, message: answers.put(json.loads(message.payload))
client.connect("127.0.0.1", int(sys.argv[1]))
client.loop_start()
subscribed.get(timeout=60)
for number, request in enumerate([
    {"op": 1, "to": "cse-in", "ty": 2, "pc": {"m2m:ae": {"rn": "paho", "api": "N.p", "rr": True, "srv": ["3"]}}},
    {"op": 1, "to": "cse-in/paho", "ty": 3, "pc": {"m2m:cnt": {"rn": "log"}}},
    {"op": 1, "to": "cse-in/paho/log", "ty": 4, "pc": {"m2m:cin": {"con": "from paho"}}},
    {"op": 2, "to": "cse-in/paho/log/la"},
]):
    request.update(fr="Cpaho", rqi=str(number), rvi="3")
    client.publish("/oneM2M/req/Cpaho/id-in/json", json.dumps(request), qos=1).wait_for_publish(60)
    print(json.dumps(answers.get(timeout=60)), flush=True)
client.disconnect()
client.loop_stop()
"#;

/// A program with Paho, which most examples use.
pub async fn paho_clients_are_served(world: World) {
    let python = paho::python().display().to_string();
    let output = run(&python, &["-c", PAHO_CLIENT, &world.port().to_string()]);
    let answers: Vec<Value> = output.lines().map(|line| serde_json::from_str(line).expect("JSON")).collect();
    let statuses: Vec<_> = answers.iter().map(|answer| answer["rsc"].as_u64().unwrap_or_default()).collect();
    assert_eq!(statuses, [2001, 2001, 2001, 2000], "{output}");
    assert_eq!(answers[3]["pc"]["m2m:cin"]["con"], "from paho", "{output}");
}

/// `mosquitto_rr`, which subscribes, asks, prints the answer and ends; it speaks MQTT 5 only.
pub async fn mosquitto_request_response_is_served(world: World) {
    world.ae("Csensor", "sensor").await;
    let port = world.port().to_string();
    let request = json!({"op": 2, "fr": "Csensor", "to": "cse-in/sensor", "rqi": "1", "rvi": "3"}).to_string();
    let between = ["-t", "/oneM2M/req/Csensor/id-in/json", "-e", "/oneM2M/resp/Csensor/id-in/json"];
    let broker = ["-h", "127.0.0.1", "-p", &port, "-q", "1", "-W", "60"];
    let output = run("mosquitto_rr", &[&broker[..], &between, &["-m", &request]].concat());
    let answer: Value = serde_json::from_str(&output).expect("JSON");
    assert_eq!((&answer["rsc"], &answer["rqi"]), (&json!(2000), &json!("1")), "{output}");
}

/// Registers and subscribes to itself, goes away with a session that is kept, and prints what it finds when it comes
/// back; then how the broker takes a message for nobody.
const PAHO_CLIENT_5: &str = r#"
import json, queue, sys
import paho.mqtt.client as mqtt
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import Properties

def properties(packet, **values):
    made = Properties(packet)
    for name, value in values.items():
        setattr(made, name, value)
    return made

answers, subscribed, published = queue.Queue(), queue.Queue(), queue.Queue()
client = mqtt.Client(mqtt.CallbackAPIVersion.VERSION2, client_id="A::Cpaho5", protocol=mqtt.MQTTv5)
client.on_connect = lambda c, data, flags, reason, p: c.subscribe(
    [("/oneM2M/resp/Cpaho5/id-in/#", 1), ("/oneM2M/req/id-in/Cpaho5/#", 1)])
client.on_subscribe = lambda c, data, mid, reasons, p: subscribed.put([reason.value for reason in reasons])
client.on_message = lambda c, data, message: answers.put(json.loads(message.payload))
client.on_publish = lambda c, data, mid, reason, p: published.put(reason.value)

def connect(clean_start):
    client.connect("127.0.0.1", int(sys.argv[1]), clean_start=clean_start,
        properties=properties(PacketTypes.CONNECT, SessionExpiryInterval=300, ReceiveMaximum=5))
    client.loop_start()
    assert subscribed.get(timeout=60) == [1, 1]

def publish(topic, payload):
    client.publish(topic, payload, qos=1, properties=properties(
        PacketTypes.PUBLISH, MessageExpiryInterval=60, UserProperty=("a", "b"), ContentType="application/json"))
    return published.get(timeout=60)

def request(number, content):
    content.update(fr="Cpaho5", rqi=str(number), rvi="3")
    assert publish("/oneM2M/req/Cpaho5/id-in/json", json.dumps(content)) == 0
    return answers.get(timeout=60)

connect(True)
print(json.dumps(request(1, {"op": 1, "to": "cse-in", "ty": 2,
    "pc": {"m2m:ae": {"rn": "paho5", "api": "N.p", "rr": True, "srv": ["3"]}}})), flush=True)
print(json.dumps(request(2, {"op": 1, "to": "cse-in/paho5", "ty": 3, "pc": {"m2m:cnt": {"rn": "log"}}})), flush=True)
print(json.dumps(request(3, {"op": 1, "to": "cse-in/paho5/log", "ty": 23,
    "pc": {"m2m:sub": {"rn": "own", "nu": ["Cpaho5"], "enc": {"net": [3]}}}})), flush=True)
client.publish("/oneM2M/req/Cpaho5/id-in/json", json.dumps({"op": 1, "to": "cse-in/paho5/log", "ty": 4, "fr": "Cpaho5",
    "rqi": "4", "rvi": "3", "rt": {"rtv": 5}, "pc": {"m2m:cin": {"con": "while away"}}}), qos=1)
assert published.get(timeout=60) == 0
client.disconnect()
client.loop_stop()
connect(False)
print(json.dumps(answers.get(timeout=60)), flush=True)
print(publish("nobody/listens", "x"), flush=True)
client.disconnect()
client.loop_stop()
"#;

/// A program with Paho in MQTT 5.
pub async fn paho_clients_of_version_5_are_served(world: World) {
    let python = paho::python().display().to_string();
    let output = run(&python, &["-c", PAHO_CLIENT_5, &world.port().to_string()]);
    let lines: Vec<Value> = output.lines().map(|line| serde_json::from_str(line).expect("JSON")).collect();
    let statuses: Vec<_> = lines[..3].iter().map(|answer| answer["rsc"].as_u64().unwrap_or_default()).collect();
    assert_eq!(statuses, [2001, 2001, 2001], "{output}");
    let notified = &lines[3]["pc"]["m2m:sgn"]["nev"]["rep"]["m2m:cin"];
    assert_eq!(notified["con"], "while away", "{output}");
    assert_eq!(lines[4], 16, "no matching subscribers");
}
