//! `deploy/compose.yaml`: what it says of each container, and that the processes work with each other as it starts them,
//! with the commands, variables and mounted files that stand there, and the image's.

use std::collections::BTreeMap;
use std::net::{Ipv4Addr, SocketAddr, TcpStream};
use std::path::{Path, PathBuf};
use std::process::Command;

use cse_tests::binary;
use cse_tests::party::{Party, work_with_each_other};
use cse_tests::port::ReservedPort;
use cse_tests::sample::{Daemon, all_up};
use cse_tests::wait::until;
use cse_tests::way::Way;
use saphyr::{LoadableYamlNode, Scalar, Yaml};
use serde_json::{Value, json};

const SERVICES: [&str; 3] = ["in", "mn", "mosquitto"];

fn deploy() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../deploy")
}

fn read(path: &Path) -> String {
    std::fs::read_to_string(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

/// The same in JSON, which is easier to look at.
fn plain(yaml: &Yaml<'_>) -> Value {
    match yaml {
        Yaml::Value(Scalar::String(text)) => json!(text),
        Yaml::Value(Scalar::Boolean(boolean)) => json!(boolean),
        Yaml::Value(Scalar::Integer(integer)) => json!(integer),
        Yaml::Value(Scalar::Null) => Value::Null,
        Yaml::Sequence(items) => items.iter().map(plain).collect(),
        Yaml::Mapping(members) => {
            members.iter().map(|(name, value)| (name.as_str().expect("a name").to_owned(), plain(value))).collect()
        }
        other => panic!("not used here: {other:?}"),
    }
}

fn compose() -> Value {
    let text = read(&deploy().join("compose.yaml"));
    let documents = Yaml::load_from_str(&text).expect("YAML");
    assert_eq!(documents.len(), 1);
    plain(&documents[0])
}

fn texts(value: &Value) -> Vec<&str> {
    value.as_array().into_iter().flatten().map(|item| item.as_str().expect("a text")).collect()
}

/// What is mounted: from where, and where to, without `:ro`.
fn mounts(service: &Value) -> Vec<(&str, &str)> {
    let mounts = texts(&service["volumes"]).into_iter();
    mounts.map(|mount| mount.trim_end_matches(":ro").split_once(':').expect("two places")).collect()
}

#[test]
fn containers_can_do_little_and_are_looked_after() {
    let compose = compose();
    let services = compose["services"].as_object().expect("services");
    assert_eq!(services.keys().map(String::as_str).collect::<Vec<_>>(), SERVICES);
    let mut volumes = Vec::new();
    for (name, service) in services {
        assert_eq!((&service["read_only"], &service["cap_drop"]), (&json!(true), &json!(["ALL"])), "{name}");
        assert_eq!(service["security_opt"], json!(["no-new-privileges:true"]), "{name}");
        let user = service["user"].as_str().expect("a user");
        assert!(user.split(':').all(|id| id.parse::<u32>().is_ok_and(|id| id > 0)), "{name}: {user}");
        assert_eq!(service["restart"], "unless-stopped", "{name}");
        assert_eq!(service["healthcheck"]["test"][0], "CMD", "{name}");
        for port in texts(&service["ports"]) {
            assert!(port.starts_with("127.0.0.1:"), "{name}: {port} is for everybody, and nobody needs a password");
        }
        for needed in service["depends_on"].as_object().into_iter().flatten() {
            assert!(
                services.contains_key(needed.0) && needed.1["condition"] == "service_healthy",
                "{name}: {needed:?}"
            );
        }
        for (from, _) in mounts(service) {
            match from.strip_prefix("./") {
                Some(file) => assert!(deploy().join(file).is_file(), "{name}: {from}"),
                None => volumes.push(from.to_owned()),
            }
        }
        if name != "mosquitto" {
            let build = &service["build"];
            let context = deploy().join(build["context"].as_str().expect("a directory"));
            let file = read(&context.join(build["dockerfile"].as_str().expect("a file")));
            assert!(file.contains(&format!("\nUSER {user}\n")), "{name} is not run as its image has it");
        }
    }
    volumes.sort();
    let mut declared: Vec<_> = compose["volumes"].as_object().expect("volumes").keys().cloned().collect();
    declared.sort();
    assert_eq!(declared, volumes);
}

/// The containers as processes of this machine: what they call each other and what they have for themselves is replaced by
/// addresses and a directory of ours.
struct Composed {
    compose: Value,
    directory: tempfile::TempDir,
    ports: BTreeMap<&'static str, ReservedPort>,
}

impl Composed {
    fn new() -> Self {
        let ports = SERVICES.map(|service| (service, ReservedPort::take())).into();
        Self { compose: compose(), directory: tempfile::tempdir().expect("a directory"), ports }
    }

    fn service(&self, name: &str) -> &Value {
        &self.compose["services"][name]
    }

    fn address(&self, service: &str) -> SocketAddr {
        (Ipv4Addr::LOCALHOST, self.ports[service].number()).into()
    }

    /// A text as it stands in the container of a service.
    fn here(&self, service: &str, text: &str) -> String {
        let mut text = text.to_owned();
        for (host, port) in [("mosquitto", 1883), ("in", 8080), ("mn", 8080)] {
            text = text.replace(&format!("//{host}:{port}"), &format!("//{}", self.address(host)));
        }
        let own = self.address(service);
        for (theirs, ours) in [
            ("0.0.0.0:8080", own.to_string()),
            ("0.0.0.0:1883", "127.0.0.1:0".to_owned()),
            ("listener 1883\n", format!("user root\nlistener {} 127.0.0.1\n", own.port())),
        ] {
            text = text.replace(theirs, &ours);
        }
        if text == "1883" {
            return own.port().to_string();
        }
        for (_, inside) in mounts(self.service(service)) {
            let outside = self.directory.path().join(service).join(inside.trim_start_matches('/'));
            text = text.replace(inside, &outside.display().to_string());
        }
        text
    }

    /// Puts the files of a service where it finds them.
    fn mount(&self, service: &str) {
        for (from, to) in mounts(self.service(service)) {
            let place = PathBuf::from(self.here(service, to));
            std::fs::create_dir_all(place.parent().expect("a directory")).expect("made");
            match from.strip_prefix("./") {
                Some(file) => {
                    let text = self.here(service, &read(&deploy().join(file)));
                    std::fs::write(&place, text).expect("written");
                }
                None => std::fs::create_dir_all(&place).expect("made"),
            }
        }
    }

    /// A command in the container of a service.
    fn command(&self, service: &str, words: &[&str]) -> Command {
        let program = match words[0] {
            "/cse-server" => binary::cse_server().display().to_string(),
            other => other.to_owned(),
        };
        let mut command = Command::new(program);
        let path = std::env::var("PATH").unwrap_or_default();
        command.env_clear().env("PATH", format!("{path}:/usr/sbin:/usr/local/sbin"));
        if service != "mosquitto" {
            let image = read(&deploy().join("container/Containerfile"));
            let line = image.lines().find_map(|line| line.strip_prefix("ENV ")).expect("variables");
            for (name, value) in line.split(' ').filter_map(|pair| pair.split_once('=')) {
                command.env(name, self.here(service, value));
            }
            for (name, value) in self.service(service)["environment"].as_object().into_iter().flatten() {
                command.env(name, self.here(service, value.as_str().expect("a text")));
            }
        }
        command.args(words[1..].iter().map(|word| self.here(service, word)));
        command
    }

    fn start(&self, service: &'static str) -> Daemon {
        self.mount(service);
        let words = match service {
            "mosquitto" => texts(&self.service(service)["command"]),
            // The entry point of the image.
            _ => vec!["/cse-server"],
        };
        Daemon::start(service, &mut self.command(service, &words))
    }

    fn is_healthy(&self, service: &str) -> bool {
        let words = texts(&self.service(service)["healthcheck"]["test"]);
        self.command(service, &words[1..]).output().expect("it runs").status.success()
    }
}

#[tokio::test]
async fn what_is_started_is_healthy_and_works() {
    let composed = Composed::new();
    let image = read(&deploy().join("container/Containerfile"));
    assert!(image.ends_with("ENTRYPOINT [\"/cse-server\"]\n"));
    assert!(!composed.is_healthy("mosquitto"));
    let _mosquitto = composed.start("mosquitto");
    until("the broker listens", || TcpStream::connect(composed.address("mosquitto")).is_ok());
    assert!(composed.is_healthy("mosquitto"));
    // The gateway first: it waits for nobody.
    let _middle = composed.start("mn");
    until("the gateway is healthy", || composed.is_healthy("mn"));
    assert!(!composed.is_healthy("in"));
    let _infrastructure = composed.start("in");
    for service in ["in", "mn"] {
        all_up(composed.address(service)).await;
        assert!(composed.is_healthy(service), "{service}");
    }
    let way = Way::plain(composed.address("mosquitto").port());
    let mut sensor = Party::over_mqtt(&way, "id-mn", "cse-mn", "Csensor").await;
    let mut app = Party::over_http(composed.address("in"), "id-in", "cse-in", "Capp").await;
    work_with_each_other(&mut sensor, &mut app).await;
    // Data are in the volumes, and nowhere else.
    for service in ["in", "mn"] {
        let volume = composed.directory.path().join(service).join("data");
        assert!(volume.join("cse.db").is_file(), "{}", volume.display());
    }
}
