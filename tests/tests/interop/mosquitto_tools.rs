//! `mosquitto_pub`, `mosquitto_sub` and `mosquitto_rr`, as one types them.

use std::process::{Child, Command, Stdio};
use std::sync::Arc;

use cse_tests::certificates::Certificates;
use cse_tests::curl::run;
use cse_tests::http::Http;
use cse_tests::process::{Lines, ended};
use cse_tests::way::Way;
use serde_json::{Value, json};

/// The tools, told where the broker is and which version to speak.
struct Tools(Vec<String>);

/// A running `mosquitto_sub`.
struct Subscriber {
    child: Child,
    output: Lines,
}

impl Tools {
    fn new(way: &Way, version: &str) -> Self {
        let version = ["-V", version, "-q", "1", "-W", "60"].map(str::to_owned);
        Self([way.mosquitto_arguments(), version.to_vec()].concat())
    }

    fn run(&self, program: &str, arguments: &[&str]) -> String {
        // Only who waits for messages knows `-W`.
        let known = if program == "mosquitto_pub" { self.0.len() - 2 } else { self.0.len() };
        let own: Vec<&str> = self.0[..known].iter().map(String::as_str).collect();
        run(program, &[&own, arguments].concat())
    }

    /// Starts `mosquitto_sub` for so many messages.
    fn listen(&self, topic: &str, messages: u8, more: &[&str]) -> Subscriber {
        // Line buffering makes its report of the subscription appear at once.
        let mut command = Command::new("stdbuf");
        command.args(["-oL", "mosquitto_sub"]).args(&self.0).args(["-t", topic, "-C", &messages.to_string()]);
        command.args(["-d", "-F", "message %t %p"]).args(more).stdout(Stdio::piped()).stderr(Stdio::null());
        let mut child = command.spawn().expect("mosquitto_sub is there");
        let output = Lines::of(child.stdout.take().expect("piped"));
        Subscriber { child, output }
    }

    /// The same, and waits until the broker has granted the subscription.
    fn subscribe(&self, topic: &str, messages: u8, more: &[&str]) -> Subscriber {
        let subscriber = self.listen(topic, messages, more);
        let subscribed = |lines: &[String]| lines.iter().any(|line| line.starts_with("Subscribed")).then_some(());
        subscriber.output.wait_for("the subscription", subscribed).expect("mosquitto_sub runs");
        subscriber
    }

    fn publish(&self, topic: &str, message: &Value) {
        self.run("mosquitto_pub", &["-t", topic, "-m", &message.to_string()]);
    }

    /// Asks with `mosquitto_pub` while `mosquitto_sub` waits for the answer.
    fn ask_in_two(&self, originator: &str, request: &Value) -> Value {
        let (asking, answering) = topics(originator);
        let subscriber = self.subscribe(&answering, 1, &[]);
        self.publish(&asking, request);
        let (topic, answer) = subscriber.end().remove(0);
        assert_eq!(topic, answering);
        answer
    }

    /// Asks with `mosquitto_rr`, which does both.
    fn ask_in_one(&self, originator: &str, request: &Value) -> Value {
        let (asking, answering) = topics(originator);
        let message = request.to_string();
        let output = self.run("mosquitto_rr", &["-t", &asking, "-e", &answering, "-m", &message]);
        serde_json::from_str(&output).unwrap_or_else(|error| panic!("{output}: {error}"))
    }
}

impl Subscriber {
    /// Waits for a message while it is running.
    fn message(&self, number: usize) -> (String, Value) {
        let found = self.output.wait_for("a message", |lines| messages(lines).into_iter().nth(number));
        found.unwrap_or_else(|| panic!("mosquitto_sub ended:\n{}", self.output.text()))
    }

    /// Waits until it has all its messages.
    fn end(mut self) -> Vec<(String, Value)> {
        let status = ended(&mut self.child);
        self.output.wait_for("its end", |_| None::<()>);
        assert!(status.success(), "{status}\n{}", self.output.text());
        messages(&self.output.text().lines().map(str::to_owned).collect::<Vec<_>>())
    }
}

impl Drop for Subscriber {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn topics(originator: &str) -> (String, String) {
    (format!("/oneM2M/req/{originator}/id-in/json"), format!("/oneM2M/resp/{originator}/id-in/json"))
}

/// Topic and content of each message among the lines that `mosquitto_sub` wrote.
fn messages(lines: &[String]) -> Vec<(String, Value)> {
    let split = lines.iter().filter_map(|line| line.strip_prefix("message ")?.split_once(' '));
    let read = |(topic, text): (&str, &str)| (topic.to_owned(), serde_json::from_str(text).expect("JSON"));
    split.map(read).collect()
}

/// An AE that consists of command lines.
fn uses_the_cse(tools: &Tools, name: &str, ask: impl Fn(&Tools, &str, &Value) -> Value) {
    let log = format!("cse-in/{name}/log");
    let ae = json!({"m2m:ae": {"rn": name, "api": "Nshell.example", "rr": true, "srv": ["3"]}});
    for (number, (expected, mut request)) in [
        (2001, json!({"op": 1, "to": "cse-in", "ty": 2, "pc": ae})),
        (2001, json!({"op": 1, "to": format!("cse-in/{name}"), "ty": 3, "pc": {"m2m:cnt": {"rn": "log"}}})),
        (2001, json!({"op": 1, "to": log, "ty": 4, "pc": {"m2m:cin": {"con": "21.5 °C"}}})),
        (2000, json!({"op": 2, "to": format!("{log}/la")})),
        (4004, json!({"op": 2, "to": format!("{log}/nothing")})),
        (4103, json!({"op": 2, "to": "cse-in", "fr": "CAdmin"})),
    ]
    .into_iter()
    .enumerate()
    {
        let own = json!({"fr": name, "rqi": format!("{name}-{number}"), "rvi": "3"});
        for (member, value) in own.as_object().into_iter().flatten() {
            if request.get(member).is_none() {
                request[member] = value.clone();
            }
        }
        let answer = ask(tools, name, &request);
        assert_eq!((&answer["rsc"], &answer["rqi"]), (&json!(expected), &request["rqi"]), "{request}: {answer}");
        if expected == 2000 {
            assert_eq!(answer["pc"]["m2m:cin"]["con"], "21.5 °C", "{answer}");
        }
    }
}

/// Is asked, agrees, is notified, and finds what happened while it was away.
async fn is_notified(tools: &Tools, admin: &Arc<Http>, name: &str) {
    let log = format!("/cse-in/{name}/log");
    let topic = format!("/oneM2M/req/id-in/{name}/json");
    let session = ["-i", &format!("A::{name}"), "-c"];
    // Version 5 says how long a session is kept.
    let kept = if tools.0.iter().any(|argument| argument == "5") { &["-x", "300"][..] } else { &[] };
    let session = [&session[..], kept].concat();
    let subscriber = tools.subscribe(&topic, 2, &session);

    let subscription = json!({"m2m:sub": {"rn": "s", "nu": [format!("/id-in/{name}")], "enc": {"net": [3]}, "nct": 1}});
    // While the CSE asks, it has not answered yet.
    let creating = {
        let (admin, log) = (Arc::clone(admin), log.clone());
        tokio::spawn(async move { admin.create(&log, 23, &subscription).await })
    };
    let (_, question) = tokio::task::block_in_place(|| subscriber.message(0));
    assert_eq!(question["pc"]["m2m:sgn"]["vrq"], true, "{question}");
    let response = json!({"rsc": 2000, "rqi": question["rqi"], "rvi": "3"});
    tools.publish(&topic.replace("/req/", "/resp/"), &response);
    creating.await.expect("no panic").expect(2001);
    admin.create(&log, 4, &json!({"m2m:cin": {"con": "22"}})).await.expect(2001);
    let (_, notification) = tokio::task::block_in_place(|| subscriber.end()).remove(1);
    assert_eq!(notification["pc"]["m2m:sgn"]["nev"]["rep"]["m2m:cin"]["con"], "22", "{notification}");

    admin.create(&log, 4, &json!({"m2m:cin": {"con": "while away"}})).await.expect(2001);
    // The message comes with the session, even before the subscription is granted again.
    let subscriber = tools.listen(&topic, 1, &session);
    let (_, notification) = tokio::task::block_in_place(|| subscriber.end()).remove(0);
    assert_eq!(notification["pc"]["m2m:sgn"]["nev"]["rep"]["m2m:cin"]["con"], "while away", "{notification}");
}

async fn are_served(way: impl Fn(&cse_tests::server::Server, &Certificates) -> Way) {
    let certificates = Certificates::with_clients(&[]);
    let server = crate::server(&certificates);
    let way = way(&server, &certificates);
    let admin = Arc::new(Http::new(server.http(), "CAdmin"));
    for version in ["311", "5"] {
        let tools = Tools::new(&way, version);
        let (two, one) = (format!("Ctwo{version}"), format!("Cone{version}"));
        uses_the_cse(&tools, &two, Tools::ask_in_two);
        uses_the_cse(&tools, &one, Tools::ask_in_one);
        is_notified(&tools, &admin, &two).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn over_tcp() {
    are_served(|server, _| Way::plain(server.mqtt_port())).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn over_tls() {
    are_served(|server, certificates| Way::tls(server.broker_port("mqtts"), certificates)).await;
}
