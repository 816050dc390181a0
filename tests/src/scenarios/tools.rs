//! Clients that others wrote: the mosquitto tools and Paho.

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
