//! An IN-CSE and gateways that are registered with it, each a process.

use std::net::SocketAddr;

use serde_json::{Value, json};

use crate::http::Http;
use crate::port::ReservedPort;
use crate::server::{Launch, Server};
use crate::wait::until_some;

/// Over which binding a gateway reaches its IN-CSE.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Over {
    /// TS-0010, at the embedded broker of the IN-CSE.
    Mqtt,
    /// TS-0009.
    Http,
}

impl Over {
    /// All of them.
    pub const BOTH: [Self; 2] = [Self::Mqtt, Self::Http];
}

/// Where a CSE is, whether it runs or not.
#[derive(Debug)]
pub struct Place {
    http: ReservedPort,
    mqtt: ReservedPort,
}

impl Place {
    /// Ports that stay ours.
    pub fn reserve() -> Self {
        Self { http: ReservedPort::take(), mqtt: ReservedPort::take() }
    }

    /// How an IN-CSE is started there, with a directory of its own.
    pub fn infrastructure(&self) -> Launch {
        self.launch(Launch::default())
    }

    /// How another server is started there.
    #[must_use]
    pub fn launch(&self, launch: Launch) -> Launch {
        let at = |port: &ReservedPort| format!("127.0.0.1:{}", port.number());
        launch.http(&at(&self.http)).mqtt(&at(&self.mqtt))
    }

    /// The point of access.
    pub fn point_of_access(&self, over: Over) -> String {
        point(over, self.mqtt.number(), self.http.number())
    }

    /// The port of its broker.
    pub fn mqtt_port(&self) -> u16 {
        self.mqtt.number()
    }
}

/// The point of access of a server that runs.
pub fn point_of_access(server: &Server, over: Over) -> String {
    point(over, server.mqtt_port(), server.http().port())
}

fn point(over: Over, mqtt: u16, http: u16) -> String {
    match over {
        Over::Mqtt => format!("mqtt://127.0.0.1:{mqtt}"),
        Over::Http => format!("http://127.0.0.1:{http}"),
    }
}

/// An IN-CSE, where it is, and the gateway `/id-mn` that is registered with it.
///
/// # Panics
/// If it does not register in time.
pub async fn pair(over: Over) -> (Place, Server, Server) {
    let place = Place::reserve();
    let infrastructure = place.infrastructure().start();
    let mn = gateway("mn", "in", &place.point_of_access(over), "").start();
    registered(&mn).await;
    (place, infrastructure, mn)
}

/// How an IN-CSE of another service provider is started, `//other.example/id-up` with the CSEBase `cse-up`, which lets
/// those of others register.
pub fn other_provider() -> Launch {
    Launch::default().with_file(
        "[cse]\nid = \"/id-up\"\nname = \"cse-up\"\nsp-id = \"//other.example\"\n\
         [registration]\ncse-originators = [\"//*\"]\n",
    )
}

/// How an IN-CSE is started that registers with the one of [`other_provider`].
pub fn below_other_provider(point_of_access: &str) -> Launch {
    Launch::default().with_file(&format!(
        "[registrar]\ncse-id = \"//other.example/id-up\"\ncse-name = \"cse-up\"\npoa = [\"{point_of_access}\"]\n"
    ))
}

/// How the gateway of that name (`mn` is `/id-mn` with the CSEBase `cse-mn`) is started, with further options of
/// `[registrar]`.
pub fn gateway(name: &str, registrar: &str, point_of_access: &str, options: &str) -> Launch {
    let kind = if name.starts_with("asn") { "asn" } else { "mn" };
    let (cse_id, base) = (format!("/id-{registrar}"), format!("cse-{registrar}"));
    Launch::default().with_file(&format!(
        "[cse]\nid = \"/id-{name}\"\nname = \"cse-{name}\"\ntype = \"{kind}\"\n\
         [registrar]\ncse-id = \"{cse_id}\"\ncse-name = \"{base}\"\npoa = [\"{point_of_access}\"]\n{options}\n"
    ))
}

/// What a server says of its uplink, with the HTTP status of the probe.
pub async fn uplink(server: &Server) -> (u16, Value) {
    let report = Http::new(server.http(), "").get("/readyz").await;
    (report.status, report.json()["parts"]["uplink"].clone())
}

/// Waits until a server says that it is registered.
///
/// # Panics
/// If it does not in time.
pub async fn registered(server: &Server) {
    until_some("registration", async || (uplink(server).await.1["state"] == json!("up")).then_some(())).await;
}

/// Waits for a resource of a server, and gives its attributes.
///
/// # Panics
/// If there is none in time.
pub async fn resource(server: &Server, path: &str) -> Value {
    resource_at(server.http(), path).await
}

/// The same, by where its HTTP is.
///
/// # Panics
/// If there is none in time.
pub async fn resource_at(server: SocketAddr, path: &str) -> Value {
    let admin = Http::new(server, "CAdmin");
    until_some(path, async || {
        let answer = admin.get(path).await;
        (answer.rsc() == 2000).then(|| answer.json())
    })
    .await
    .as_object()
    .and_then(|object| object.values().next().cloned())
    .expect("a resource")
}

/// The contents of a container's instances, oldest first.
///
/// # Panics
/// If they cannot be read, or are no texts.
pub async fn contents(server: &Server, container: &str) -> Vec<String> {
    let admin = Http::new(server.http(), "CAdmin");
    let found = admin.get(&format!("{container}?fu=1&ty=4")).await.expect(2000).json();
    let mut contents = Vec::new();
    for address in found["m2m:uril"].as_array().into_iter().flatten() {
        let instance = admin.get(&format!("/{}", address.as_str().expect("an address"))).await.expect(2000).json();
        contents.push(instance["m2m:cin"]["con"].as_str().expect("a text").to_owned());
    }
    contents
}
