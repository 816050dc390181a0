//! The binding over a real external broker. Needs `mosquitto`; each test starts its own on a free port.

#![expect(clippy::unwrap_used, reason = "tests")]

use std::net::TcpListener;
use std::path::Path;
use std::process::Stdio;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU16, Ordering};
use std::time::Duration;

use cse_core::ports::{Destination, Outbound, SendError, Sent};
use cse_core::primitive::Redelivery;
use cse_mqtt::broker::{
    Broker, Client as BrokerClient, ConnectInfo, Identity, Limits, OpenPolicy, Policy, PolicyFuture,
};
use cse_mqtt::{BindingOptions, ExternalOptions, LinkStatus, Login, MqttBinding, Password};
use rumqttc::{AsyncClient, Event, MqttOptions, Packet};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::process::{Child, Command};
use tokio::sync::watch;

use crate::support::{Client, DEADLINE, Running, answer, identity, notification, point_of_access, retrieve, until};

/// A broker of our own, and where it keeps its state.
struct Mosquitto {
    port: u16,
    directory: tempfile::TempDir,
    process: Option<Child>,
    options: String,
}

impl Mosquitto {
    fn reserve() -> Self {
        let port = free_port();
        let directory = tempfile::tempdir().unwrap();
        Self { port, directory, process: None, options: "allow_anonymous true\n".into() }
    }

    async fn start() -> Self {
        let mut broker = Self::reserve();
        broker.run().await;
        broker
    }

    async fn run(&mut self) {
        let state = self.directory.path().join("mosquitto.db");
        let configuration = self.directory.path().join("mosquitto.conf");
        let text = format!(
            "listener {} 127.0.0.1\n{}\npersistence true\npersistence_location {}/\npersistence_file {}\n",
            self.port,
            self.options,
            self.directory.path().display(),
            state.file_name().unwrap().to_str().unwrap()
        );
        std::fs::write(&configuration, text).unwrap();
        // As root, mosquitto would change to a user that cannot read the directory.
        let owner = if Path::new("/root").metadata().is_ok() { "root" } else { "mosquitto" };
        std::fs::write(&configuration, format!("{}user {owner}\n", std::fs::read_to_string(&configuration).unwrap()))
            .unwrap();
        let program = ["/usr/sbin/mosquitto", "/usr/local/sbin/mosquitto", "/opt/homebrew/sbin/mosquitto"]
            .into_iter()
            .find(|path| Path::new(path).exists())
            .unwrap_or("mosquitto");
        let process = Command::new(program)
            .arg("-c")
            .arg(&configuration)
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .kill_on_drop(true)
            .spawn()
            .expect("mosquitto is needed for these tests");
        self.process = Some(process);
        let port = self.port;
        until("mosquitto listens", || std::net::TcpStream::connect(("127.0.0.1", port)).is_ok()).await;
    }

    /// Ends it; it saves its sessions.
    async fn stop(&mut self) {
        let mut process = self.process.take().unwrap();
        let pid = process.id().unwrap().to_string();
        assert!(Command::new("kill").args(["-TERM", &pid]).status().await.unwrap().success());
        tokio::time::timeout(DEADLINE, process.wait()).await.unwrap().unwrap();
    }

    /// Ends it without a word.
    async fn kill(&mut self) {
        let mut process = self.process.take().unwrap();
        process.kill().await.unwrap();
    }

    fn options(&self) -> ExternalOptions {
        ExternalOptions {
            reconnect_min: Duration::from_millis(20),
            reconnect_max: Duration::from_millis(200),
            ..ExternalOptions::new("127.0.0.1", self.port)
        }
    }
}

/// A port that no outgoing connection takes while the broker is away: below those the system gives out.
fn free_port() -> u16 {
    static NEXT: AtomicU16 = AtomicU16::new(0);
    // Not where the behaviour tests of the workspace have theirs.
    let first = 26_000 + u16::try_from(std::process::id() % 60).unwrap() * 100;
    loop {
        let port = first + NEXT.fetch_add(1, Ordering::Relaxed);
        if TcpListener::bind(("127.0.0.1", port)).is_ok() {
            return port;
        }
    }
}

fn running(options: BindingOptions, broker: ExternalOptions) -> Running {
    Running::start(MqttBinding::external(&identity(), options, broker))
}

async fn up(broker: &Mosquitto) -> Running {
    let mut running = running(BindingOptions::default(), broker.options());
    running.up().await;
    running
}

#[tokio::test]
async fn requests_are_answered_in_every_spelling() {
    let broker = Mosquitto::start().await;
    let running = up(&broker).await;
    let mut client =
        Client::connect(broker.port, "A::Cx", &["/oneM2M/resp/+/id-in/#", "/oneM2M/reg_resp/+/id-in/#"]).await;
    for (topic, from, expected) in [
        ("/oneM2M/req/Cx/id-in/json", "Cx", ("/oneM2M/resp/Cx/id-in/json", 2000)),
        ("/oneM2M/req/Cx/id-in", "Cx", ("/oneM2M/resp/Cx/id-in", 2000)),
        ("/oneM2M/req/id-in:Cx/id-in/json", "/id-in/Cx", ("/oneM2M/resp/id-in:Cx/id-in/json", 2000)),
        ("/oneM2M/req/Cy/id-in/json", "Cx", ("/oneM2M/resp/Cy/id-in/json", 4103)),
        ("/oneM2M/reg_req/1-a/id-in/json", "Cx", ("/oneM2M/reg_resp/1-a/id-in/json", 4103)),
        ("/oneM2M/req/Cx/id-in/yaml", "Cx", ("/oneM2M/resp/Cx/id-in/json", 4015)),
    ] {
        client.publish(topic, retrieve(from, "cse-in", "r")).await;
        let (topic, payload) = client.next().await;
        assert_eq!((topic.as_str(), answer(&payload)), (expected.0, (expected.1, "r".to_owned())));
    }
    running.stop().await;
}

/// As at the broker of the registrar: whatever others there publish, and whoever they say they are.
#[tokio::test]
async fn where_one_peer_is_heard_nobody_else_is() {
    let broker = Mosquitto::start().await;
    // Hears everybody, and leaves its subscriptions behind in its session.
    let before = up(&broker).await;
    before.crash().await;
    let options = BindingOptions { only_peer: Some("/id-up".into()), ..BindingOptions::default() };
    let mut running = running(options, broker.options());
    running.up().await;
    let mut client =
        Client::connect(broker.port, "C::id-up", &["/oneM2M/resp/+/id-in/#", "/oneM2M/reg_resp/+/id-in/#"]).await;
    for topic in ["req/CAdmin", "req/Cx", "req/id-mn", "reg_req/id-up", "req/:cse.example:id-up"] {
        client.publish(&format!("/oneM2M/{topic}/id-in/json"), retrieve("CAdmin", "stranger", "s")).await;
    }
    for (from, expected) in [
        ("/id-up", 2000),
        ("/id-up/Cx", 2000),
        ("/id-mn/Cx", 2000),
        ("CAdmin", 4103),
        ("/id-in", 4103),
        ("/id-in/x", 4103),
        ("Cx", 4103),
        // Whether that comes back is for the core to say.
        ("/id-in/Cx", 2000),
    ] {
        client.publish("/oneM2M/req/id-up/id-in/json", retrieve(from, "peer", from)).await;
        let (topic, payload) = client.next().await;
        assert_eq!(topic, "/oneM2M/resp/id-up/id-in/json");
        assert_eq!(answer(&payload), (expected, from.to_owned()));
    }
    assert!(running.cse.requests.lock().iter().all(|request| request.to == "peer"));
    assert_eq!(running.stats.unknown_topics.get(), 5, "what the session still brings is told apart");

    let mut peer = Client::connect(broker.port, "C::id-up@2", &["/oneM2M/req/id-in/id-up/#"]).await;
    let question = point_of_access(format!("mqtt://127.0.0.1:{}", broker.port), "/id-up");
    assert!(running.outbound.is_at_own_broker(&format!("mqtt://127.0.0.1:{}", broker.port)));
    let outbound = Arc::clone(&running.outbound);
    let asked = tokio::spawn(async move { outbound.send(notification(question, "/id-up", "q", DEADLINE)).await });
    assert_eq!(peer.next().await.0, "/oneM2M/req/id-in/id-up/json");
    peer.publish("/oneM2M/resp/id-in/id-up/json", r#"{"rsc":2000,"rqi":"q"}"#).await;
    let sent = tokio::time::timeout(DEADLINE, asked).await.unwrap().unwrap();
    assert!(matches!(sent, Ok(Sent::Answered(_))), "{sent:?}");
    running.stop().await;
}

#[tokio::test]
async fn the_order_of_effects_is_the_order_of_arrival() {
    let broker = Mosquitto::start().await;
    let running = up(&broker).await;
    let mut client = Client::connect(broker.port, "A::Cx", &["/oneM2M/resp/Cx/id-in/#"]).await;
    for number in 0..500 {
        client.publish("/oneM2M/req/Cx/id-in/json", retrieve("Cx", "a", &number.to_string())).await;
    }
    for _ in 0..500 {
        client.next().await;
    }
    assert_eq!(running.cse.identifiers(), (0..500).map(|number| number.to_string()).collect::<Vec<_>>());
    assert!(matches!(running.cse.requests.lock()[0].context.redelivery, Redelivery::PossibleWithin(_)));
    running.stop().await;
}

#[tokio::test]
async fn a_request_is_not_acknowledged_before_it_is_complete() {
    let broker = Mosquitto::start().await;
    let first = up(&broker).await;
    let mut client = Client::connect(broker.port, "A::Cx", &["/oneM2M/resp/Cx/id-in/#"]).await;
    client.publish("/oneM2M/req/Cx/id-in/json", retrieve("Cx", "a", "1")).await;
    assert_eq!(answer(&client.next().await.1).1, "1");
    client.publish("/oneM2M/req/Cx/id-in/json", retrieve("Cx", "wait", "2")).await;
    until("the second request is carried out", || first.cse.identifiers() == ["1", "2"]).await;
    first.crash().await;

    let second = up(&broker).await;
    until("the second request comes again", || !second.cse.requests.lock().is_empty()).await;
    second.cse.gate.add_permits(1);
    assert_eq!(answer(&client.next().await.1), (2000, "2".to_owned()));
    assert_eq!(second.cse.identifiers(), ["2"], "the first was complete");
    assert_eq!(second.cse.requests.lock()[0].context.redelivery, Redelivery::Possible);
    second.stop().await;

    let third = up(&broker).await;
    client.publish("/oneM2M/req/Cx/id-in/json", retrieve("Cx", "a", "3")).await;
    assert_eq!(answer(&client.next().await.1).1, "3");
    assert_eq!(third.cse.identifiers(), ["3"], "the second was acknowledged before the polite end");
    third.stop().await;
}

#[tokio::test]
async fn the_broker_need_not_be_there_at_the_start() {
    let mut broker = Mosquitto::reserve();
    let mut running = running(BindingOptions::default(), broker.options());
    until("it has tried", || running.stats.connection_failures.get() > 1).await;
    assert_eq!(*running.status.borrow(), LinkStatus::Down);
    let unreachable = running
        .outbound
        .send(notification(Destination::MqttEntity("Cx".into()), "/id-in/Cx", "n1", Duration::from_millis(100)))
        .await;
    assert!(matches!(unreachable, Err(SendError::Unreachable(_))), "{unreachable:?}");
    broker.run().await;
    running.up().await;
    let mut client = Client::connect(broker.port, "A::Cx", &["/oneM2M/resp/Cx/id-in/#", "/oneM2M/req/id-in/#"]).await;
    client.publish("/oneM2M/req/Cx/id-in/json", retrieve("Cx", "a", "1")).await;
    // What was given up in time has not been sent after all.
    assert_eq!(client.next().await.0, "/oneM2M/resp/Cx/id-in/json");
    running.stop().await;
}

#[tokio::test]
async fn a_restart_of_the_broker_loses_nothing() {
    let mut broker = Mosquitto::start().await;
    let mut running = up(&broker).await;
    let client = Client::connect(broker.port, "A::Cx", &["/oneM2M/resp/Cx/id-in/#"]).await;
    client.publish("/oneM2M/req/Cx/id-in/json", retrieve("Cx", "wait", "1")).await;
    until("it is carried out", || running.cse.identifiers() == ["1"]).await;
    client.leave().await;
    broker.stop().await;
    running.down().await;
    // Answered while there is no connection: the answer waits, the acknowledgement is void.
    running.cse.gate.add_permits(2);
    until("it is answered", || running.stats.answered.get() == 1).await;
    broker.run().await;
    running.up().await;
    // The broker sends the request again, since it was not acknowledged, and it is answered again.
    until("it comes again", || running.cse.identifiers().len() == 2).await;
    assert_eq!(running.cse.requests.lock()[1].context.redelivery, Redelivery::Possible);
    let mut client = Client::connect(broker.port, "A::Cx", &[]).await;
    assert_eq!(answer(&client.next().await.1), (2000, "1".to_owned()));
    assert_eq!(answer(&client.next().await.1), (2000, "1".to_owned()));
    running.stop().await;
}

#[tokio::test]
async fn a_broker_that_forgets_gets_everything_again() {
    let mut broker = Mosquitto::start().await;
    // Sessions are saved at a polite end only, so a killed broker has forgotten all.
    let mut running = up(&broker).await;
    broker.kill().await;
    running.down().await;
    let sending = tokio::spawn(running.outbound.send(notification(
        Destination::MqttEntity("Cx".into()),
        "/id-in/Cx",
        "n1",
        DEADLINE,
    )));
    broker.run().await;
    let mut client = Client::connect(broker.port, "A::Cx", &["/oneM2M/resp/Cx/id-in/#"]).await;
    running.up().await;
    client.publish("/oneM2M/req/Cx/id-in/json", retrieve("Cx", "a", "1")).await;
    assert_eq!(answer(&client.next().await.1), (2000, "1".to_owned()), "subscribed again");
    client.publish("/oneM2M/resp/id-in/Cx/json", r#"{"rsc":2000,"rqi":"n1"}"#).await;
    assert!(matches!(sending.await.unwrap(), Ok(Sent::Answered(_))));
    running.stop().await;
}

#[tokio::test]
async fn notifications_are_answered_or_taken_over() {
    let broker = Mosquitto::start().await;
    let running = up(&broker).await;
    let mut client = Client::connect(broker.port, "A::Cx", &["/oneM2M/req/id-in/Cx/#", "free/topic"]).await;
    for (destination, topic) in [
        (Destination::MqttEntity("Cx".into()), "/oneM2M/req/id-in/Cx/json"),
        (Destination::MqttEntity("/id-in/Cx".into()), "/oneM2M/req/id-in/Cx/json"),
    ] {
        let sending = tokio::spawn(running.outbound.send(notification(destination, "/id-in/Cx", "n1", DEADLINE)));
        let (received, payload) = client.next().await;
        assert_eq!(received, topic);
        assert!(payload.contains(r#""rqi":"n1""#) && payload.contains("m2m:sgn"), "{payload}");
        client.publish("/oneM2M/resp/id-in/Cx/json", r#"{"rsc":2000,"rqi":"n1"}"#).await;
        let sent = sending.await.unwrap();
        assert!(matches!(&sent, Ok(Sent::Answered(response)) if response.is_success()), "{sent:?}");
    }
    // Nobody answers: the broker has it, and that is all there is to know.
    let destination = Destination::MqttEntity("Cx".into());
    let sent = running.outbound.send(notification(destination, "/id-in/Cx", "n2", Duration::from_millis(200))).await;
    assert!(matches!(sent, Ok(Sent::Unanswered)), "{sent:?}");
    client.next().await;
    // A late answer is no harm.
    client.publish("/oneM2M/resp/id-in/Cx/json", r#"{"rsc":2000,"rqi":"n2"}"#).await;
    until("the late answer is counted", || running.stats.responses_unmatched.get() == 1).await;
    running.stop().await;
}

#[tokio::test]
async fn urls_lead_to_our_own_broker_and_to_others() {
    let own = Mosquitto::start().await;
    let mut other = Mosquitto::start().await;
    let options = BindingOptions {
        own_points_of_access: vec![format!("mqtt://localhost:{}", own.port)],
        ..BindingOptions::default()
    };
    let mut running = running(options, own.options());
    running.up().await;
    for (host, broker) in [("127.0.0.1", &own), ("LocalHost", &own), ("127.0.0.1", &other)] {
        let mut client = Client::connect(
            broker.port,
            "A::Cx",
            &[
                "/oneM2M/req/id-in/Cx/#",
                "plant/7/oneM2M/req/id-in/Cx/#",
                "/oneM2M/req/+/:other.example:id-in/#",
                "free/topic",
                "/oneM2M/req/id-in/Cy/json",
            ],
        )
        .await;
        let base = format!("mqtt://{host}:{}", broker.port);
        for (destination, topic) in [
            (point_of_access(base.as_str(), "Cx"), "/oneM2M/req/id-in/Cx/json"),
            (point_of_access(format!("{base}/"), "/id-in/Cx"), "/oneM2M/req/id-in/Cx/json"),
            (point_of_access(format!("{base}/plant/7"), "Cx"), "plant/7/oneM2M/req/id-in/Cx/json"),
            (
                point_of_access(base.as_str(), "//other.example/id-in"),
                "/oneM2M/req/:cse.example:id-in/:other.example:id-in/json",
            ),
            (Destination::Url(format!("{base}//oneM2M/req/id-in/Cy/json").into()), "/oneM2M/req/id-in/Cy/json"),
        ] {
            let sending = running.outbound.send(notification(destination, "/id-in/Cx", "n1", DEADLINE));
            let sending = tokio::spawn(sending);
            assert_eq!(client.next().await.0, topic);
            client.publish(&topic.replace("oneM2M/req", "oneM2M/resp"), r#"{"rsc":2000,"rqi":"n1"}"#).await;
            let sent = sending.await.unwrap();
            assert!(matches!(sent, Ok(Sent::Answered(_))), "{topic}: {sent:?}");
        }
        let url = Destination::Url(format!("{base}/free/topic").into());
        let sent = running.outbound.send(notification(url, "x", "n1", DEADLINE)).await;
        assert!(matches!(sent, Ok(Sent::Unanswerable)), "{sent:?}");
        assert_eq!(client.next().await.0, "free/topic");
    }
    assert_eq!(running.stats.connections.get(), 2, "one for each broker");
    let url = Destination::Url(format!("mqtt://127.0.0.1:{}/free/topic", other.port).into());
    other.kill().await;
    let sent = running.outbound.send(notification(url, "x", "n3", Duration::from_millis(200))).await;
    // Until its end has been noticed, a broker that is gone may have got it.
    assert!(matches!(sent, Err(SendError::Unreachable(_) | SendError::Unconfirmed(_))), "{sent:?}");
    running.stop().await;
}

#[tokio::test]
async fn an_idle_connection_is_closed_and_its_session_ended() {
    let own = Mosquitto::start().await;
    let other = Mosquitto::start().await;
    let options = BindingOptions { other_brokers_idle: Duration::from_millis(50), ..BindingOptions::default() };
    let mut running = running(options, own.options());
    running.up().await;
    let url = Destination::Url(format!("mqtt://127.0.0.1:{}/free/topic", other.port).into());
    for number in 1..=3 {
        let sent = running.outbound.send(notification(url.clone(), "x", &number.to_string(), DEADLINE)).await;
        assert!(matches!(sent, Ok(Sent::Unanswerable)), "{sent:?}");
        until("it is closed", || running.stats.other_brokers_closed.get() == number).await;
        assert_eq!(running.stats.connections.get(), 1 + number);
    }
    let mut client = MqttOptions::new("C::id-in:out", "127.0.0.1", other.port);
    client.set_clean_session(false);
    let (_client, mut events) = AsyncClient::new(client, 1);
    let event = events.poll().await.unwrap();
    assert!(matches!(&event, Event::Incoming(Packet::ConnAck(connack)) if !connack.session_present), "{event:?}");
    running.stop().await;
}

#[tokio::test]
async fn retained_requests_are_not_carried_out() {
    let broker = Mosquitto::start().await;
    let mut client = Client::connect(broker.port, "A::Cx", &["/oneM2M/resp/Cx/id-in/#"]).await;
    client.publish_retained("/oneM2M/req/Cx/id-in/json", retrieve("Cx", "a", "old")).await;
    until("the broker has it", || client.acknowledged.lock().len() == 1).await;
    let running = up(&broker).await;
    until("it is counted", || running.stats.retained.get() == 1).await;
    client.publish("/oneM2M/req/Cx/id-in/json", retrieve("Cx", "a", "new")).await;
    assert_eq!(answer(&client.next().await.1).1, "new");
    assert_eq!(running.cse.identifiers(), ["new"]);
    running.stop().await;
}

#[tokio::test]
async fn a_message_that_is_too_large_does_not_stop_the_others() {
    let broker = Mosquitto::start().await;
    let options = ExternalOptions { packet_bytes_max: 4096, ..broker.options() };
    let mut running = running(BindingOptions::default(), options);
    running.up().await;
    let mut client = Client::connect(broker.port, "A::Cx", &["/oneM2M/resp/Cx/id-in/#"]).await;
    client.publish("/oneM2M/req/Cx/id-in/json", vec![b' '; 100_000]).await;
    client.publish("/oneM2M/req/Cx/id-in/json", retrieve("Cx", "a", "1")).await;
    assert_eq!(answer(&client.next().await.1), (2000, "1".to_owned()));
    assert_eq!(running.stats.oversized.get(), 1);
    running.stop().await;
}

#[tokio::test]
async fn logins_are_used() {
    let mut broker = Mosquitto::reserve();
    let passwords = broker.directory.path().join("passwords");
    let made = Command::new("mosquitto_passwd").arg("-c").arg("-b").arg(&passwords).args(["cse", "secret"]).status();
    assert!(made.await.unwrap().success());
    broker.options = format!("allow_anonymous false\npassword_file {}\n", passwords.display());
    broker.run().await;
    let login = |password: &str| Some(Login { username: "cse".into(), password: Password::new(password) });
    let refused = running(BindingOptions::default(), ExternalOptions { login: login("wrong"), ..broker.options() });
    until("it is refused", || refused.stats.connection_failures.get() > 0).await;
    assert_eq!(*refused.status.borrow(), LinkStatus::Down);
    refused.crash().await;
    let mut running =
        running(BindingOptions::default(), ExternalOptions { login: login("secret"), ..broker.options() });
    running.up().await;
    running.stop().await;
}

#[tokio::test]
async fn many_messages_survive_a_broker_that_comes_and_goes() {
    const COUNT: usize = 3000;
    let mut broker = Mosquitto::start().await;
    broker.options += "max_queued_messages 0\n";
    broker.stop().await;
    broker.run().await;
    let mut running = up(&broker).await;
    let mut client = Client::connect(broker.port, "A::Cx", &["/free/#"]).await;
    let port = broker.port;
    let mut sending = tokio::task::JoinSet::new();
    for number in 0..COUNT {
        let entity = Destination::Url(format!("mqtt://127.0.0.1:{port}//free/{number}").into());
        sending.spawn(running.outbound.send(notification(entity, "x", &format!("n{number}"), DEADLINE)));
        if number % 1000 == 500 {
            broker.stop().await;
            broker.run().await;
        }
    }
    let mut sent = 0;
    while let Some(result) = sending.join_next().await {
        assert!(matches!(result.unwrap(), Ok(Sent::Unanswerable)));
        sent += 1;
    }
    assert_eq!(sent, COUNT);
    let mut seen = std::collections::BTreeSet::new();
    while seen.len() < COUNT {
        seen.insert(client.next().await.0);
    }
    running.up().await;
    running.stop().await;
}

/// A broker in this process, reached over TCP like any other.
struct Strict {
    allows: Arc<AtomicBool>,
}

impl Policy for Strict {
    fn authenticate<'a>(&'a self, _connect: &'a ConnectInfo) -> PolicyFuture<'a> {
        Box::pin(std::future::ready(Ok(Identity::new("").into())))
    }

    fn may_subscribe(&self, _client: &BrokerClient, _filter: &str) -> bool {
        self.allows.load(Ordering::SeqCst)
    }

    fn may_publish(&self, _client: &BrokerClient, _topic: &str) -> bool {
        true
    }
}

#[tokio::test]
async fn a_refused_subscription_is_tried_again() {
    let allows = Arc::new(AtomicBool::new(false));
    let broker = Broker::new(Limits::default(), Arc::new(Strict { allows: Arc::clone(&allows) }));
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let options = ExternalOptions {
        reconnect_min: Duration::from_millis(20),
        ..ExternalOptions::new("127.0.0.1", listener.local_addr().unwrap().port())
    };
    let (stop, stopped) = watch::channel(false);
    let serving = broker.clone();
    let serving = tokio::spawn(async move { serving.serve(listener, stopped, DEADLINE / 10).await });
    let mut running = running(BindingOptions::default(), options);
    until("it has tried twice", || running.stats.subscriptions_refused.get() >= 2).await;
    assert_eq!((*running.status.borrow(), running.stats.connections.get()), (LinkStatus::Down, 1));
    allows.store(true, Ordering::SeqCst);
    running.up().await;
    running.stop().await;
    stop.send(true).unwrap();
    serving.await.unwrap();
}

#[tokio::test]
async fn a_broker_that_acknowledges_what_was_not_sent_does_no_harm() {
    let broker = Broker::new(Limits::default(), Arc::new(OpenPolicy));
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    let options =
        ExternalOptions { reconnect_min: Duration::from_millis(20), ..ExternalOptions::new("127.0.0.1", port) };
    let mut running = running(BindingOptions::default(), options);
    let sending = tokio::spawn(running.outbound.send(notification(
        Destination::Url(format!("mqtt://127.0.0.1:{port}/free/topic").into()),
        "x",
        "n1",
        DEADLINE,
    )));

    // The first connection gets CONNACK with a session, and a PUBACK for what was never published.
    let (mut stream, _) = listener.accept().await.unwrap();
    let mut packet = [0; 256];
    assert!(stream.read(&mut packet).await.unwrap() > 0);
    stream.write_all(&[0x20, 2, 1, 0, 0x40, 2, 1, 0]).await.unwrap();
    until("it has come", || running.stats.connections.get() == 1).await;
    drop(stream);

    let (stop, stopped) = watch::channel(false);
    let serving = broker.clone();
    let serving = tokio::spawn(async move { serving.serve(listener, stopped, DEADLINE / 10).await });
    running.up().await;
    let sent = sending.await.unwrap();
    assert!(matches!(sent, Ok(Sent::Unanswerable)), "{sent:?}");
    running.stop().await;
    stop.send(true).unwrap();
    serving.await.unwrap();
}

#[tokio::test]
async fn connections_to_other_brokers_are_bounded() {
    let own = Mosquitto::start().await;
    let (one, two) = (Mosquitto::start().await, Mosquitto::start().await);
    let options = BindingOptions { other_brokers_max: 1, ..BindingOptions::default() };
    let mut running = running(options, own.options());
    running.up().await;
    let url =
        |broker: &Mosquitto, path: &str| Destination::Url(format!("mqtt://127.0.0.1:{}{path}", broker.port).into());
    // In use, as long as the answer is waited for.
    let entity = point_of_access(format!("mqtt://127.0.0.1:{}", one.port), "Cx");
    let waiting = tokio::spawn(running.outbound.send(notification(entity, "Cx", "n1", DEADLINE)));
    until("the first is sent", || running.stats.connections.get() == 2).await;
    let sent = running.outbound.send(notification(url(&two, "/free"), "x", "n2", DEADLINE)).await;
    assert!(matches!(sent, Err(SendError::Unreachable(_))), "{sent:?}");
    waiting.abort();
    assert!(waiting.await.unwrap_err().is_cancelled());
    // Idle, it makes room.
    let sent = running.outbound.send(notification(url(&two, "/free"), "x", "n3", DEADLINE)).await;
    assert!(matches!(sent, Ok(Sent::Unanswerable)), "{sent:?}");
    until("the first is closed", || running.stats.other_brokers_closed.get() == 1).await;
    running.stop().await;
}
