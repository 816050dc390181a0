//! The nodes of a configuration: an IN and perhaps an MN, each a process, with brokers of their own or one for both.

use cse_tests::certificates::Certificates;
use cse_tests::gateways::Over;
use cse_tests::http::Http;
use cse_tests::mosquitto::Mosquitto;
use cse_tests::sample::all_up;
use cse_tests::server::{Launch, Server};
use cse_tests::wait::{until, until_some};
use cse_tests::way::Way;
use serde_json::{Value, json};

/// How everybody gets to a broker.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Transport {
    /// TCP.
    Plain,
    /// TLS, where the broker shows who it is.
    Tls,
    /// TLS, where both sides do. The embedded broker then applies TS-0010 §8.4.
    Mutual,
}

/// Where the MQTT server is (TS-0010 §6.2.2).
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Place {
    /// In each node that hosts a CSE.
    CoLocated,
    /// Outside of all nodes.
    Independent,
}

/// A client certificate for each client there is; the MN is named as TS-0003 §10.1.1.7 has it.
const CLIENTS: [&str; 7] =
    ["Csensor", "Clistener", "Cbelow", "Capp", "m2m://cse.example/id-mn", "broker-client-in", "broker-client-mn"];

/// A CSE: its process and what others call it.
pub(crate) struct Node {
    pub(crate) server: Server,
    /// The CSE-ID without slash.
    pub(crate) cse: &'static str,
    /// The name of its CSEBase.
    pub(crate) base: &'static str,
    port: Option<u16>,
}

impl Node {
    /// An HTTP client that speaks to this CSE for an originator.
    pub(crate) fn http(&self, originator: &str) -> Http {
        Http::new(self.server.http(), originator)
    }

    /// What the CSEBase shows.
    pub(crate) async fn base(&self) -> Value {
        let answer = self.http("CAdmin").get(&format!("/{}", self.base)).await.expect(2000);
        answer.json()["m2m:cb"].clone()
    }

    /// The point of access over MQTT that the CSEBase shows.
    pub(crate) async fn point_of_access(&self) -> String {
        let base = self.base().await;
        let points = base["poa"].as_array().into_iter().flatten().filter_map(Value::as_str);
        let found = points.into_iter().find(|point| point.starts_with("mqtt"));
        found.unwrap_or_else(|| panic!("no point of access over MQTT: {base}")).to_owned()
    }
}

/// What all nodes of a configuration share.
pub(crate) struct Site {
    pub(crate) place: Place,
    pub(crate) transport: Transport,
    certificates: Certificates,
    mosquitto: Option<Mosquitto>,
}

impl Site {
    pub(crate) fn new(place: Place, transport: Transport) -> Self {
        let certificates = Certificates::with_clients(&CLIENTS);
        let mosquitto = (place == Place::Independent).then(|| {
            let (certificate, key) = (certificates.text("server.pem"), certificates.text("server.key"));
            let tls = format!("certfile {certificate}\nkeyfile {key}\n");
            let mutual = format!("{tls}cafile {}\nrequire_certificate true\n", certificates.text("ca.pem"));
            let mut broker = match transport {
                Transport::Plain => Mosquitto::reserve(),
                Transport::Tls => Mosquitto::reserve().with_listener(&tls),
                Transport::Mutual => Mosquitto::reserve().with_listener(&mutual),
            };
            broker.run();
            broker
        });
        Self { place, transport, certificates, mosquitto }
    }

    /// The IN, with MQTT or with HTTP alone.
    pub(crate) async fn infrastructure_node(&self, with_mqtt: bool) -> Node {
        self.node("id-in", "cse-in", "in", with_mqtt, "").await
    }

    /// The MN, registered with the IN. Its AEs have MQTT or HTTP alone.
    pub(crate) async fn middle_node(&self, infrastructure: &Node, uplink: Over, with_mqtt: bool) -> Node {
        let port = (uplink == Over::Mqtt).then(|| infrastructure.port.expect("the IN has MQTT"));
        let (point, credentials) = match (port, self.transport) {
            (None, _) => (format!("http://{}", infrastructure.server.http()), String::new()),
            (Some(port), Transport::Plain) => (format!("mqtt://localhost:{port}"), String::new()),
            (Some(port), Transport::Tls) => (format!("mqtts://localhost:{port}"), self.authority()),
            (Some(port), Transport::Mutual) => {
                (format!("mqtts://localhost:{port}"), self.authority() + &self.certificate("m2m-cse-example-id-mn"))
            }
        };
        let registrar =
            format!("[registrar]\ncse-id = \"/id-in\"\ncse-name = \"cse-in\"\npoa = [\"{point}\"]\n{credentials}");
        let node = self.node("id-mn", "cse-mn", "mn", with_mqtt, &registrar).await;
        all_up(node.server.http()).await;
        node
    }

    async fn node(&self, cse: &'static str, base: &'static str, kind: &str, with_mqtt: bool, registrar: &str) -> Node {
        let identity = format!("[cse]\nid = \"/{cse}\"\nname = \"{base}\"\ntype = \"{kind}\"\n");
        let registration = "[registration]\ncse-originators = [\"/id-*\"]\n";
        let file = format!("{identity}{registration}{registrar}[mqtt]\n{}", self.as_client_of_brokers(kind));
        let launch = Launch::default().with_file(&file);
        if !with_mqtt {
            return Node { server: launch.mqtt("off").start(), cse, base, port: None };
        }
        let (server, port) = match &self.mosquitto {
            None => self.with_embedded_broker(launch),
            Some(mosquitto) => self.with_external_broker(launch, mosquitto).await,
        };
        Node { server, cse, base, port: Some(port) }
    }

    /// What a server is told about TLS to other brokers.
    fn as_client_of_brokers(&self, kind: &str) -> String {
        match (self.transport, self.place) {
            (Transport::Plain, _) => String::new(),
            (Transport::Tls, _) | (Transport::Mutual, Place::CoLocated) => self.authority(),
            (Transport::Mutual, Place::Independent) => {
                self.authority() + &self.certificate(&format!("broker-client-{kind}"))
            }
        }
    }

    /// Whom a server believes.
    fn authority(&self) -> String {
        format!("trusted-certificates = '{}'\n", self.certificates.text("ca.pem"))
    }

    /// What it shows.
    fn certificate(&self, stem: &str) -> String {
        let file = |ending: &str| self.certificates.text(&format!("{stem}.{ending}"));
        format!("client-certificate = '{}'\nclient-key = '{}'\n", file("pem"), file("key"))
    }

    fn with_embedded_broker(&self, launch: Launch) -> (Server, u16) {
        if self.transport == Transport::Plain {
            let server = launch.start();
            let port = server.mqtt_port();
            return (server, port);
        }
        let launch = launch.mqtt("off").with(&["--mqtt-tls", "127.0.0.1:0"]);
        let launch = launch.with_all(self.certificates.server_arguments());
        let server = match self.transport {
            Transport::Mutual => launch.with_all(self.certificates.client_arguments("required")).start(),
            Transport::Plain | Transport::Tls => launch.start(),
        };
        let policy = if self.transport == Transport::Mutual { "MQTT policy: strict" } else { "MQTT policy: open" };
        until(&format!("the log says '{policy}'"), || server.log().text().contains(policy));
        let port = server.broker_port("mqtts");
        (server, port)
    }

    async fn with_external_broker(&self, launch: Launch, mosquitto: &Mosquitto) -> (Server, u16) {
        let (scheme, port) = match self.transport {
            Transport::Plain => ("mqtt", mosquitto.port()),
            Transport::Tls | Transport::Mutual => ("mqtts", mosquitto.second_port()),
        };
        let server = launch.external_url(&format!("{scheme}://localhost:{port}")).start();
        let http = Http::new(server.http(), "CAdmin");
        until_some("the server is connected to the broker", async || {
            (http.get("/readyz").await.json()["parts"]["mqtt"]["state"] == json!("up")).then_some(())
        })
        .await;
        (server, port)
    }

    /// How a client gets to the broker of a node; `stem` is the name of its certificate.
    pub(crate) fn way(&self, node: &Node, stem: &str) -> Way {
        let port = node.port.expect("the node has MQTT");
        match self.transport {
            Transport::Plain => Way::plain(port),
            Transport::Tls => Way::tls(port, &self.certificates),
            Transport::Mutual => Way::mutual(port, &self.certificates, stem),
        }
    }
}
