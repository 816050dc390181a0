//! A server whose clients all have credentials, on a broker that lets each on its own topics only: the embedded one with
//! strict policy, or mosquitto with the files of `deploy/mosquitto`.

use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use serde_json::{Value, json};

use crate::binary;
use crate::certificates::Certificates;
use crate::http::Http;
use crate::metrics::sample;
use crate::mosquitto::Mosquitto;
use crate::secured::{Connecting, Secured};
use crate::server::{Launch, Server};
use crate::wait::until_some;

/// Name, password and identifier of each user.
pub const USERS: [(&str, &str, &str); 6] = [
    ("lamp-7", "seven", ""),
    ("lamp-8", "eight", ""),
    ("lamp-9", "nine", ""),
    ("door", "open sesame", "Sdoor"),
    ("middle", "three", "/id-mn"),
    ("operator", "all of it", "CAdmin"),
];

/// What external rules say of them: there an AE has to be told with its user, unless it is of the same name.
pub const TOLD: [&str; 5] = ["lamp-7=Clamp", "lamp-8=Cother", "door=Sdoor", "middle=/id-mn", "operator=CAdmin"];

/// The same for both brokers, so that they can be compared.
const FILE: &str = r#"
[[mqtt.credentials]]
credential = "lamp-*"
identifiers = ["C*"]
[[mqtt.credentials]]
credential = "door"
identifiers = ["Sdoor"]
[[mqtt.credentials]]
credential = "middle"
identifiers = ["/id-mn"]
[registration]
cse-originators = ["/id-*"]
[broker]
denied-publishes-max = 0
"#;

/// The password of the CSE at an external broker.
const OWN_PASSWORD: &str = "the broker's best client";

/// A server and its broker.
#[derive(Debug)]
pub struct Guarded {
    /// The server.
    pub server: Server,
    broker: Option<(Mosquitto, Certificates)>,
}

/// Runs `cse-server passwd`: whether it was content, and what it says.
///
/// # Panics
/// If it cannot be run.
pub fn passwd(arguments: &[&str], password: &str) -> (bool, String) {
    let mut command = Command::new(binary::cse_server());
    command.env_clear().arg("passwd").args(arguments);
    let piped = command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = piped.spawn().expect("the binary runs");
    // It may refuse before it reads.
    let _ = writeln!(child.stdin.take().expect("piped"), "{password}");
    let output = child.wait_with_output().expect("it ends");
    let text = String::from_utf8_lossy(if output.status.success() { &output.stdout } else { &output.stderr });
    (output.status.success(), text.into_owned())
}

/// A server with the embedded broker and its users, and what else the file says.
///
/// # Panics
/// If the list of users cannot be made.
pub fn launch(file: &str) -> Launch {
    let launch = Launch::default();
    let users = launch.directory().join("users").display().to_string();
    for (name, password, identifier) in USERS {
        let bound = if identifier.is_empty() { Vec::new() } else { vec!["--identifier", identifier] };
        let (done, text) = passwd(&[&[name, "--file", &users][..], &bound].concat(), password);
        assert!(done, "{text}");
    }
    launch.with(&["--mqtt-users", &users]).with_file(file)
}

/// The directory with what an operator copies.
pub fn deployed() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../deploy/mosquitto")
}

/// Runs `cse-server acl export` with these arguments.
///
/// # Panics
/// If it refuses.
pub fn exported(arguments: &[&str]) -> String {
    let mut command = Command::new(binary::cse_server());
    let ran = command.env_clear().args(["acl", "export"]).args(arguments).output().expect("the binary runs");
    assert!(ran.status.success(), "{}", String::from_utf8_lossy(&ran.stderr));
    String::from_utf8(ran.stdout).expect("text")
}

/// A mosquitto with the files of the directory, rules for these users (`NAME=ID`), and passwords.
fn mosquitto(certificates: &Certificates, told: &[&str], passwords: &[(&str, &str)]) -> Mosquitto {
    let text = std::fs::read_to_string(deployed().join("mosquitto.conf")).expect("readable");
    let mut broker = Mosquitto::reserve().with_configuration(|port, directory| {
        let own = directory.display();
        for name in ["server.pem", "server.key"] {
            std::fs::copy(certificates.path(name), directory.join(name)).expect("copied");
        }
        let told = told.iter().flat_map(|pair| ["--user", pair]);
        let arguments: Vec<&str> = ["--format", "mosquitto"].into_iter().chain(told).collect();
        std::fs::write(directory.join("acl"), exported(&arguments)).expect("written");
        let file = directory.join("passwords");
        std::fs::write(&file, "").expect("written");
        for (name, password) in passwords {
            let mut command = Command::new("mosquitto_passwd");
            let ran = command.arg("-b").arg(&file).args([name, password]).output().expect("mosquitto is installed");
            assert!(ran.status.success(), "{}", String::from_utf8_lossy(&ran.stderr));
        }
        let mut text = text;
        for (from, to) in [
            ("listener 8883", format!("listener {port} 127.0.0.1")),
            ("/etc/mosquitto/cse/", format!("{own}/")),
            ("/var/lib/mosquitto/", format!("{own}/")),
        ] {
            assert!(text.contains(from), "{from} is not in mosquitto.conf");
            text = text.replace(from, &to);
        }
        // The rest changes nothing of what is let through: who it runs as, and what it tells of it.
        format!("{text}\nuser root\nlog_dest stderr\nlog_type all\n")
    });
    broker.run();
    broker
}

impl Guarded {
    /// With the embedded broker.
    pub fn embedded() -> Self {
        Self { server: launch(FILE).start(), broker: None }
    }

    /// With mosquitto, and further users there that nobody has told of.
    ///
    /// # Panics
    /// If something of it cannot be started.
    pub async fn external(more: &[(&str, &str)]) -> Self {
        let certificates = Certificates::with_clients(&[]);
        let users = USERS.iter().map(|(name, password, _)| (*name, *password));
        let passwords: Vec<_> = users.chain(more.iter().copied()).chain([("id-in", OWN_PASSWORD)]).collect();
        let broker = mosquitto(&certificates, &TOLD, &passwords);
        let launch = Launch::default();
        let password_file = launch.directory().join("broker-password");
        std::fs::write(&password_file, OWN_PASSWORD).expect("written");
        let file = format!(
            "[mqtt]\npolicy = \"strict\"\nusername = \"id-in\"\npassword-file = '{}'\ntrusted-certificates = '{}'\n{FILE}",
            password_file.display(),
            certificates.text("ca.pem"),
        );
        let url = format!("mqtts://localhost:{}", broker.port());
        let server = launch.with_file(&file).external_url(&url).start();
        let guarded = Self { server, broker: Some((broker, certificates)) };
        let http = guarded.http("CAdmin");
        until_some("MQTT is up", async || {
            (http.get("/readyz").await.json()["parts"]["mqtt"]["state"] == "up").then_some(())
        })
        .await;
        guarded
    }

    /// Whether the broker is not the server's own.
    pub fn is_external(&self) -> bool {
        self.broker.is_some()
    }

    /// An HTTP client that speaks for that originator.
    pub fn http(&self, originator: &str) -> Http {
        Http::new(self.server.http(), originator)
    }

    /// How to connect with user name and password.
    pub fn login(&self, name: &str, password: &str, client_id: &str) -> Connecting {
        match &self.broker {
            None => Connecting::new(self.server.mqtt_port(), client_id).login(name, password),
            Some((broker, certificates)) => {
                let connecting = Connecting::new(broker.port(), client_id).login(name, password);
                connecting.trusting(certificates.path("ca.pem"))
            }
        }
    }

    /// One of the users, connected.
    ///
    /// # Panics
    /// If the broker does not let it in.
    pub async fn connected(&self, name: &str, client_id: &str) -> Secured {
        let (_, password, _) = USERS.iter().find(|(known, ..)| *known == name).expect("a user");
        let connecting = self.login(name, password, client_id);
        connecting.connect().await.unwrap_or_else(|code| panic!("{name} as {client_id}: {code:?}"))
    }

    /// Registers an AE under a credential; the client, subscribed to the answers of both.
    ///
    /// # Panics
    /// If that is refused.
    pub async fn registered(&self, name: &str, client_id: &str, stem: &str) -> Secured {
        let mut client = self.connected(name, client_id).await;
        assert!(client.subscribe(&format!("/oneM2M/reg_resp/{name}/#")).await);
        let answer = client.request(&format!("/oneM2M/reg_req/{name}/id-in/json"), registration(stem)).await;
        assert_eq!(answer["rsc"], 2001, "{answer}");
        assert!(client.subscribe(&format!("/oneM2M/resp/{stem}/#")).await);
        client
    }

    /// How many messages the broker has dropped because their topics are not their senders'.
    pub async fn denied(&self) -> u64 {
        match &self.broker {
            None => sample(&self.server, "cse_broker_publishes_denied_total").await as u64,
            Some((broker, _)) => broker.log().matches("Denied PUBLISH from ").count() as u64,
        }
    }

    /// Waits until it has dropped so many.
    pub async fn until_denied(&self, count: u64, what: &str) {
        until_some(what, async || (self.denied().await == count).then_some(())).await;
    }
}

/// CREATE of an AE.
pub fn registration(from: &str) -> Value {
    json!({"op": 1, "to": "cse-in", "fr": from, "ty": 2, "pc": {"m2m:ae": {"api": "N.test", "rr": true, "srv": ["3"]}}})
}

/// RETRIEVE.
pub fn retrieve(from: &str, to: &str) -> Value {
    json!({"op": 2, "to": to, "fr": from})
}
