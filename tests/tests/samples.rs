//! Each configuration in `deploy/samples` is started as it lies there, on one machine and with the lines for several,
//! and its AEs work with each other: over all hops, in both directions.

use std::collections::BTreeSet;

use cse_tests::gateways::resource_at;
use cse_tests::guarded::exported;
use cse_tests::party::{Party, work_with_each_other};
use cse_tests::sample::{Node, Sample, Spread, samples};
use cse_tests::typed::Typed;
use serde_json::json;

/// What AEs speak with a node.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum By {
    Mqtt,
    Http,
}

async fn party(sample: &Sample, node: Node, by: By, stem: &str) -> Party {
    let (cse, base) = (format!("id-{}", node.short()), format!("cse-{}", node.short()));
    match by {
        By::Mqtt => Party::over_mqtt(&sample.way(node, stem), &cse, &base, stem).await,
        By::Http => Party::over_http(sample.http(node), &cse, &base, stem).await,
    }
}

/// Two AEs at the IN.
async fn at_one_node(name: &str, spread: Spread) {
    let sample = Sample::start(name, spread).await;
    let mut sensor = party(&sample, Node::Infrastructure, By::Mqtt, "Csensor").await;
    let mut app = party(&sample, Node::Infrastructure, By::Mqtt, "Capp").await;
    work_with_each_other(&mut sensor, &mut app).await;
}

/// One AE at the MN, one at the IN.
async fn at_two_nodes(name: &str, spread: Spread, below: By, above: By) {
    let sample = Sample::start(name, spread).await;
    let infrastructure = sample.http(Node::Infrastructure);
    let registered = resource_at(infrastructure, "/cse-in/id-mn").await;
    assert_eq!((&registered["csi"], &registered["cst"]), (&json!("/id-mn"), &json!(2)), "{registered}");
    let mut sensor = party(&sample, Node::Middle, below, "Csensor").await;
    let mut app = party(&sample, Node::Infrastructure, above, "Capp").await;
    work_with_each_other(&mut sensor, &mut app).await;
}

macro_rules! samples {
    ($($name:ident: $directory:literal, $story:ident($($by:expr),*);)*) => {
        const STARTED: &[&str] = &[$($directory),*];

        $(
            mod $name {
                use super::*;

                #[tokio::test]
                async fn on_one_machine() {
                    $story($directory, Spread::OneMachine $(, $by)*).await;
                }

                #[tokio::test]
                async fn across_machines() {
                    $story($directory, Spread::Machines $(, $by)*).await;
                }
            }
        )*
    };
}

samples! {
    clause_6_2_3_1: "6.2.3.1-ae-in", at_one_node();
    clause_6_2_3_2: "6.2.3.2-ae-mn", at_two_nodes(By::Mqtt, By::Http);
    clause_6_2_3_3: "6.2.3.3-mn-in", at_two_nodes(By::Http, By::Mqtt);
    clause_6_2_3_4: "6.2.3.4-ae-mn-in", at_two_nodes(By::Mqtt, By::Mqtt);
    clause_6_2_3_5: "6.2.3.5-ae-in-independent", at_one_node();
    clause_6_2_3_6: "6.2.3.6-ae-mn-independent", at_two_nodes(By::Mqtt, By::Http);
    clause_6_2_3_7: "6.2.3.7-mn-in-independent", at_two_nodes(By::Http, By::Mqtt);
    clause_6_2_3_8: "6.2.3.8-ae-mn-in-independent", at_two_nodes(By::Mqtt, By::Mqtt);
}

#[test]
fn each_sample_is_started_and_listed() {
    let files = std::fs::read_dir(samples()).expect("a directory").map(|entry| entry.expect("an entry").file_name());
    let there: BTreeSet<_> =
        files.filter_map(|name| name.into_string().ok()).filter(|name| name != "README.md").collect();
    assert_eq!(there, STARTED.iter().map(|name| (*name).to_owned()).collect());
    let readme = std::fs::read_to_string(samples().join("README.md")).expect("readable");
    for name in there {
        assert!(readme.contains(&format!("[{name}]({name}/)")), "{name} is not in the table");
    }
}

#[test]
fn the_sample_of_the_readme_starts_as_typed() {
    const README: &str = include_str!("../../deploy/samples/README.md");
    // In a copy with other ports. Patterns are written so that they are not taken for the ports themselves.
    let sample = "6.2.3.8-ae-mn-in-independent";
    let copy = format!(
        "cp {}/* .\nsed -i 's/1[8]83/1883/; s/80[8]0/8080/; s/80[9]0/8090/' in.toml mn.toml mosquitto.conf\n\
         echo 'user root' >>mosquitto.conf",
        samples().join(sample).display()
    );
    let typed = Typed::new(README, &["On one machine"]).instead(&format!("cd {sample}"), &copy);
    let (output, errors) = typed.port("1883").port("8080").port("8090").run();
    assert!(output.contains(r#""uplink":{"state":"up"}"#), "{output}\n{errors}");
}

/// The rules of each CSE that uses the broker, with the others told.
#[test]
fn the_rules_are_what_the_command_writes() {
    let (in_alone, mn_alone) = (&[("in", "")][..], &[("mn", "")][..]);
    let both = &[("in", "id-mn=/id-mn"), ("mn", "id-in=/id-in")];
    for (sample, nodes) in [
        ("6.2.3.5-ae-in-independent", in_alone),
        ("6.2.3.6-ae-mn-independent", mn_alone),
        ("6.2.3.7-mn-in-independent", &both[..1]),
        ("6.2.3.8-ae-mn-in-independent", both),
    ] {
        let directory = samples().join(sample);
        let written = nodes.iter().map(|(node, other)| {
            let file = directory.join(format!("{node}.toml")).display().to_string();
            let told: &[&str] = if other.is_empty() { &[] } else { &["--user", other] };
            exported(&[&["--format", "mosquitto", "--config", &file], told].concat())
        });
        let written: String = written.collect();
        let rules = std::fs::read_to_string(directory.join("acl")).expect("readable");
        assert_eq!(rules, written, "{sample}: write acl anew, as README.md says");
    }
}
