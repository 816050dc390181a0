//! What AEs do meanwhile. Each value is written once, and is unlike all others.

use std::collections::BTreeSet;
use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

use cse_tests::device::Device;
use cse_tests::http::{Http, HttpAnswer};
use cse_tests::wait::until_some;
use serde_json::{Value, json};
use tokio::task::JoinHandle;

use super::nodes::{Node, Nodes};

/// Pause of an AE between two requests, so that the disk is not what this is about.
const PAUSE: Duration = Duration::from_millis(15);
/// Containers that an AE of each gateway announces, at the beginning.
const ANNOUNCED: usize = 3;

/// AEs that write over MQTT: where they are, and where what they write goes.
const WRITERS: [(Node, Node); 5] = [
    (Node::Mn1, Node::In),
    (Node::Mn2, Node::In),
    (Node::Mn2, Node::Mn1),
    (Node::In, Node::Mn2),
    (Node::In, Node::Mn1),
];
/// AEs whose requests are carried out later.
const LATER: [(Node, Node); 2] = [(Node::Mn2, Node::In), (Node::In, Node::Mn2)];
/// Where announced containers are, and the CSEs that they are announced to.
const ANNOUNCERS: [(Node, &[Node]); 2] = [(Node::Mn1, &[Node::In]), (Node::Mn2, &[Node::Mn1, Node::In])];

/// What all tasks share.
#[derive(Default)]
struct Progress {
    is_over: AtomicBool,
    /// Of each writer.
    acknowledged: [AtomicUsize; WRITERS.len()],
}

/// Values and where they were sent.
#[derive(Default)]
struct Written {
    at: Option<Node>,
    acknowledged: Vec<String>,
    /// Without an answer: they may be there, once, or not.
    perhaps: Vec<String>,
    /// The `<request>` of each that was acknowledged.
    requests: Vec<(Node, String)>,
}

/// The tasks.
pub(crate) struct Traffic {
    progress: Arc<Progress>,
    writers: Vec<JoinHandle<Written>>,
    later: Vec<JoinHandle<Written>>,
    changers: Vec<JoinHandle<()>>,
}

/// What has been sent.
pub(crate) struct Sent {
    written: Vec<Written>,
    later: Vec<Written>,
}

impl fmt::Display for Sent {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let count = |all: &[Written]| all.iter().map(|written| written.acknowledged.len()).sum::<usize>();
        let perhaps: usize = self.later.iter().map(|written| written.perhaps.len()).sum();
        write!(f, "{} written, {} accepted for later, {perhaps} perhaps", count(&self.written), count(&self.later))
    }
}

fn stem(kind: &str, number: usize) -> String {
    format!("C{kind}{number}")
}

impl Traffic {
    /// Registers the AEs and starts them.
    pub(crate) async fn start(nodes: &Nodes) -> Self {
        for node in super::nodes::NODES {
            for name in ["log", "later"] {
                let container = json!({"m2m:cnt": {"rn": name, "acpi": [format!("cse-{}/open", node.name())]}});
                nodes.admin(node).create(&format!("/cse-{}", node.name()), 3, &container).await.expect(2001);
            }
        }
        let progress = Arc::new(Progress::default());
        let mut traffic =
            Self { progress: Arc::clone(&progress), writers: Vec::new(), later: Vec::new(), changers: Vec::new() };
        for (number, (node, target)) in WRITERS.into_iter().enumerate() {
            let stem = stem("writer", number);
            register(&nodes.http(node, &stem), node).await;
            let device = Device::connect_to(nodes.mqtt_port(node), &format!("id-{}", node.name()), &stem).await;
            traffic.writers.push(tokio::spawn(write(device, number, target, Arc::clone(&progress))));
        }
        for (number, (node, target)) in LATER.into_iter().enumerate() {
            let http = nodes.http(node, &stem("later", number));
            register(&http, node).await;
            traffic.later.push(tokio::spawn(ask_for_later(http, number, node, target, Arc::clone(&progress))));
        }
        for (number, (node, hosts)) in ANNOUNCERS.into_iter().enumerate() {
            let stem = stem("shower", number);
            let http = nodes.http(node, &stem);
            register(&http, node).await;
            traffic.changers.push(tokio::spawn(change(
                http,
                format!("/cse-{}/{stem}", node.name()),
                hosts,
                Arc::clone(&progress),
            )));
        }
        traffic
    }

    /// How many values were acknowledged to writers.
    pub(crate) fn acknowledged(&self) -> usize {
        self.progress.acknowledged.iter().map(|count| count.load(Ordering::Relaxed)).sum()
    }

    /// Waits until each writer has had another value acknowledged.
    pub(crate) async fn everybody_has_got_on(&self, when: &str) {
        let counts = || self.progress.acknowledged.each_ref().map(|count| count.load(Ordering::Relaxed));
        let before = counts();
        until_some(&format!("an acknowledgement to each writer in {when}"), async || {
            before.iter().zip(counts()).all(|(before, now)| now > *before).then_some(())
        })
        .await;
    }

    /// Has all come to their end: what is not answered yet is waited for.
    pub(crate) async fn finish(self) -> Sent {
        self.progress.is_over.store(true, Ordering::Relaxed);
        let mut sent = Sent { written: Vec::new(), later: Vec::new() };
        for writer in self.writers {
            sent.written.push(writer.await.expect("a writer ends well"));
        }
        for later in self.later {
            sent.later.push(later.await.expect("an AE ends well"));
        }
        for changer in self.changers {
            changer.await.expect("an AE ends well");
        }
        sent
    }
}

async fn register(http: &Http, node: Node) {
    let stem = http.originator().to_owned();
    let ae = json!({"m2m:ae": {"rn": stem, "api": "Ntest", "rr": false, "srv": ["3"]}});
    http.create(&format!("/cse-{}", node.name()), 2, &ae).await.expect(2001);
}

/// Blocking requests over MQTT, one after another, each until it has a final answer.
async fn write(mut device: Device, number: usize, target: Node, progress: Arc<Progress>) -> Written {
    let to = format!("/id-{0}/cse-{0}/log", target.name());
    let mut written = Written { at: Some(target), ..Written::default() };
    while !progress.is_over.load(Ordering::Relaxed) {
        let value = format!("writer-{number}-{}", written.acknowledged.len());
        let identifier = device.create_instance(&to, &value).await;
        let answer = device.final_answer_to(&identifier).await;
        assert_eq!(answer["rsc"], 2001, "{answer}");
        assert_eq!(answer["pc"]["m2m:cin"]["con"], json!(value), "{answer}");
        written.acknowledged.push(value);
        progress.acknowledged[number].fetch_add(1, Ordering::Relaxed);
        tokio::time::sleep(PAUSE).await;
    }
    device.all_acknowledged().await;
    written
}

/// A request to a server that may be away; `None` without an answer.
async fn perhaps(
    http: &Http,
    identifier: &str,
    method: &str,
    path: &str,
    ty: Option<u16>,
    body: &Value,
) -> Option<HttpAnswer> {
    let content_type = ty.map_or("application/json".to_owned(), |ty| format!("application/json;ty={ty}"));
    let headers = [
        ("X-M2M-Origin", http.originator()),
        ("X-M2M-RI", identifier),
        ("X-M2M-RVI", "3"),
        ("Content-Type", content_type.as_str()),
    ];
    http.try_send(method, path, &headers, body.to_string()).await.ok()
}

/// Non-blocking requests over HTTP, each sent once.
async fn ask_for_later(http: Http, number: usize, node: Node, target: Node, progress: Arc<Progress>) -> Written {
    let path = format!("/~/id-{0}/cse-{0}/later?rt=1", target.name());
    let mut written = Written { at: Some(target), ..Written::default() };
    let mut count = 0;
    while !progress.is_over.load(Ordering::Relaxed) {
        count += 1;
        let value = format!("later-{number}-{count}");
        let body = json!({"m2m:cin": {"con": value}});
        match perhaps(&http, &value, "POST", &path, Some(4), &body).await {
            Some(answer) => {
                let uri = answer.expect(1001).json()["m2m:uri"].as_str().expect("an address").to_owned();
                written.requests.push((node, uri));
                written.acknowledged.push(value);
            }
            None => written.perhaps.push(value),
        }
        tokio::time::sleep(PAUSE).await;
    }
    written
}

/// Containers that come, change and go.
async fn change(http: Http, ae: String, hosts: &'static [Node], progress: Arc<Progress>) {
    let at: Vec<_> = hosts.iter().map(|host| format!("/id-{}", host.name())).collect();
    let mut count = 0;
    while !progress.is_over.load(Ordering::Relaxed) {
        count += 1;
        let (name, identifier) = (format!("{ae}/shown{}", count % ANNOUNCED), format!("change-{count}"));
        // One in so many goes, and comes again; the others change, once they are there.
        let _ = if count % 10 == 0 {
            perhaps(&http, &identifier, "DELETE", &name, None, &Value::Null).await
        } else {
            let changed = json!({"m2m:cnt": {"lbl": [identifier], "mni": count}});
            let updated = perhaps(&http, &identifier, "PUT", &name, None, &changed).await;
            if updated.as_ref().is_some_and(|answer| answer.rsc() == 4004) {
                let rn = name.rsplit('/').next();
                let container =
                    json!({"m2m:cnt": {"rn": rn, "at": at, "aa": ["mni"], "mni": count, "lbl": [identifier]}});
                perhaps(&http, &format!("{identifier}-new"), "POST", &ae, Some(3), &container).await
            } else {
                updated
            }
        };
        tokio::time::sleep(PAUSE).await;
    }
}

/// The contents of a container, each of which must be there once.
async fn contents(nodes: &Nodes, node: Node, name: &str) -> BTreeSet<String> {
    let path = format!("/cse-{}/{name}?rcn=8&ty=4", node.name());
    let listed = nodes.admin(node).get(&path).await.expect(2000).json();
    let instances = listed["m2m:cnt"]["m2m:cin"].as_array().cloned().unwrap_or_default();
    let all: Vec<_> = instances.iter().filter_map(|instance| instance["con"].as_str().map(str::to_owned)).collect();
    let distinct: BTreeSet<_> = all.iter().cloned().collect();
    let doubled: Vec<_> = distinct.iter().filter(|value| all.iter().filter(|one| one == value).count() > 1).collect();
    assert!(doubled.is_empty(), "{node:?} has twice: {doubled:?}");
    distinct
}

impl Sent {
    fn values(all: &[Written], at: Node, which: impl Fn(&Written) -> &Vec<String>) -> BTreeSet<String> {
        all.iter().filter(|written| written.at == Some(at)).flat_map(|written| which(written).clone()).collect()
    }

    /// What the writers were acknowledged is there, and nothing else.
    pub(crate) async fn is_there_once(&self, nodes: &Nodes) {
        for node in super::nodes::NODES {
            let here = contents(nodes, node, "log").await;
            let expected = Self::values(&self.written, node, |written| &written.acknowledged);
            let (lost, more): (Vec<_>, Vec<_>) =
                (expected.difference(&here).collect(), here.difference(&expected).collect());
            assert!(lost.is_empty() && more.is_empty(), "{node:?} has lost {lost:?} and has besides {more:?}");
        }
    }

    /// What was accepted for later has been carried out, once, and its `<request>` says so.
    pub(crate) async fn is_carried_out(&self, nodes: &Nodes) {
        for written in &self.later {
            for (node, uri) in &written.requests {
                let admin = nodes.admin(*node);
                let request = until_some("a result", async || {
                    let request = admin.get(&format!("/~{uri}")).await.expect(2000).json()["m2m:req"].clone();
                    (request["rs"] != 3).then_some(request)
                })
                .await;
                assert_eq!(request["ors"]["rsc"], 2001, "{request}");
            }
        }
        for node in super::nodes::NODES {
            let here = contents(nodes, node, "later").await;
            let expected = Self::values(&self.later, node, |written| &written.acknowledged);
            let lost: Vec<_> = expected.difference(&here).collect();
            assert!(lost.is_empty(), "{node:?} has lost {lost:?}");
            let possible = &expected | &Self::values(&self.later, node, |written| &written.perhaps);
            let more: Vec<_> = here.difference(&possible).collect();
            assert!(more.is_empty(), "{node:?} has besides {more:?}");
        }
    }

    /// For each announced container there is one copy at each host, which says what it says; there are no others.
    pub(crate) async fn is_announced(&self, nodes: &Nodes) {
        let mut expected = [0; super::nodes::NODES.len()];
        for (number, (node, hosts)) in ANNOUNCERS.into_iter().enumerate() {
            let ae = format!("/cse-{}/{}", node.name(), stem("shower", number));
            for name in (0..ANNOUNCED).map(|number| format!("{ae}/shown{number}")) {
                let original = nodes.admin(node).get(&name).await;
                if original.rsc() == 4004 {
                    continue;
                }
                for host in hosts {
                    expected[*host as usize] += 1;
                    follows(nodes, node, &name, *host).await;
                }
            }
        }
        for host in super::nodes::NODES {
            until_some("copies whose original has gone go, too", async || {
                (nodes.discovered(host, 10_003).await.len() == expected[host as usize]).then_some(())
            })
            .await;
            let bases = ANNOUNCERS.iter().filter(|(_, hosts)| hosts.contains(&host)).count();
            assert_eq!(nodes.discovered(host, 10_005).await.len(), bases, "{host:?}");
        }
    }
}

/// Waits until the copy of a container at a host says what that says.
async fn follows(nodes: &Nodes, node: Node, name: &str, host: Node) {
    let (here, there) = (nodes.admin(node), nodes.admin(host));
    until_some(&format!("the copy of {name} at {host:?} follows"), async || {
        let original = here.get(name).await.expect(2000).json()["m2m:cnt"].clone();
        let announced = original["at"].as_array().cloned().unwrap_or_default();
        let start = format!("/id-{}/", host.name());
        let address = announced.iter().filter_map(Value::as_str).find(|address| address.starts_with(&start))?;
        let copy = there.get(&format!("/~{address}")).await;
        let copy = if copy.rsc() == 2000 { copy.json()["m2m:cntA"].clone() } else { return None };
        let link = format!("/id-{}/{}", node.name(), original["ri"].as_str()?);
        let is_same = ["lbl", "mni", "et"].iter().all(|name| copy[*name] == original[*name]);
        (is_same && copy["lnk"] == json!(link)).then_some(())
    })
    .await;
}
