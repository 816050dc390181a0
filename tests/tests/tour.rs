//! The tour of the README, typed as it stands there.

use std::path::Path;
use std::process::{Command, Stdio};

use cse_tests::process::{Lines, ended};
use cse_tests::server::Launch;
use serde_json::Value;

const README: &str = include_str!("../../README.md");
const SECTION: &str = "## A five-minute tour\n";

/// The commands of the tour: every `sh` block of its section.
fn commands() -> String {
    let (_, section) = README.split_once(SECTION).expect("the README has a tour");
    let section = section.split("\n## ").next().unwrap_or_default();
    let blocks = section.split("```sh\n").skip(1).filter_map(|block| block.split("```").next());
    blocks.collect::<Vec<_>>().join("\n")
}

/// The JSON values in a text that holds other things, too.
fn json_values(text: &str) -> Vec<Value> {
    let mut values = Vec::new();
    let mut rest = text;
    while let Some(start) = rest.find('{') {
        let mut stream = serde_json::Deserializer::from_str(&rest[start..]).into_iter();
        match stream.next() {
            Some(Ok(value)) => {
                values.push(value);
                rest = &rest[start + stream.byte_offset()..];
            }
            _ => rest = &rest[start + 1..],
        }
    }
    values
}

#[test]
fn the_tour_works_as_typed() {
    let server = Launch::default().start();
    let mut script = commands();
    for tool in ["curl ", "mosquitto_rr ", "mosquitto_sub "] {
        assert!(script.contains(tool), "{tool}\n{script}");
    }
    // Only the ports are other ones: somebody may be using the usual ones.
    script = script.replace("127.0.0.1:8080", &server.http().to_string());
    let port = format!(" -p {} ", server.mqtt_port());
    for tool in ["mosquitto_rr", "mosquitto_sub"] {
        script = script.replace(&format!("{tool} "), &format!("{tool}{port}"));
    }
    assert!(!script.contains("1883") && !script.contains("8080"), "{script}");
    // `-m` gives job numbers to what runs in the background, as in a terminal.
    let mut command = Command::new("bash");
    command.args(["-m", "-e", "-u", "-o", "pipefail", "-c", &script]);
    command.current_dir(Path::new(env!("CARGO_MANIFEST_DIR")).join("..")).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut bash = command.spawn().expect("bash runs");
    let output = Lines::of(bash.stdout.take().expect("piped"));
    let errors = Lines::of(bash.stderr.take().expect("piped"));
    let status = ended(&mut bash);
    output.wait_for("its end", |_| None::<()>);
    let text = output.text();
    assert!(status.success(), "{status}\n{text}\n{}", errors.text());

    let values = json_values(&text);
    let refused: Vec<_> = values.iter().filter(|value| value.to_string().contains("m2m:dbg")).collect();
    assert!(refused.is_empty(), "{refused:?}\n{text}");
    // What the tour promises: an AE, a value, a notification, an answer over MQTT, and something discovered.
    for promised in ["\"m2m:ae\"", "\"m2m:cnt\"", "\"m2m:cin\"", "\"m2m:sgn\"", "\"rsc\":2001", "\"m2m:uril\""] {
        assert!(text.contains(promised), "{promised} is missing\n{text}");
    }
    let discovered = values.iter().find_map(|value| value["m2m:uril"].as_array()).expect("a list");
    assert!(!discovered.is_empty(), "{text}");
}
