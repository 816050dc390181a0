//! The binary at work: what it says, what it serves beside resources, and how it ends.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::Path;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::mpsc;
use std::thread;
use std::time::{Duration, Instant};

use tempfile::TempDir;

/// Longest wait for anything; far more than it takes.
const DEADLINE: Duration = Duration::from_secs(60);

/// A server on ports that the system chose, ended with the test.
struct Server {
    child: Child,
    http: SocketAddr,
    banner: String,
    log: mpsc::Receiver<String>,
}

impl Server {
    fn start(data_dir: &Path, arguments: &[&str]) -> Self {
        let mut child = command(data_dir)
            .args(["--http", "127.0.0.1:0", "--mqtt", "127.0.0.1:0"])
            .args(arguments)
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .expect("the binary runs");
        let lines = lines_of(child.stdout.take().expect("piped"));
        let log = lines_of(child.stderr.take().expect("piped"));
        let mut banner = String::new();
        // The banner comes in one piece; its last line is the one to try MQTT with.
        while !banner.contains("mosquitto_") {
            match lines.recv_timeout(DEADLINE) {
                Ok(line) => banner += &(line + "\n"),
                Err(_) => panic!("no banner: {banner}\n{}", log.try_iter().collect::<Vec<_>>().join("\n")),
            }
        }
        let address = banner.lines().find_map(|line| line.trim().strip_prefix("HTTP")?.trim().strip_prefix("http://"));
        let http = address.expect("an address").parse().expect("an address");
        Self { child, http, banner, log }
    }

    fn get(&self, path: &str) -> (u16, String) {
        get(self.http, path)
    }

    fn signal(&self, name: &str) {
        let sent = Command::new("kill").args([&format!("-{name}"), &self.child.id().to_string()]).status();
        assert!(sent.expect("kill").success());
    }

    fn wait(&mut self) -> ExitStatus {
        let until = Instant::now() + DEADLINE;
        loop {
            if let Some(status) = self.child.try_wait().expect("a child") {
                return status;
            }
            assert!(Instant::now() < until, "the server did not end");
            thread::sleep(Duration::from_millis(10));
        }
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn command(data_dir: &Path) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_cse-server"));
    command.env_clear().arg("--data-dir").arg(data_dir);
    command
}

fn lines_of(stream: impl Read + Send + 'static) -> mpsc::Receiver<String> {
    let (sender, receiver) = mpsc::channel();
    thread::spawn(move || {
        BufReader::new(stream).lines().map_while(Result::ok).try_for_each(|line| sender.send(line)).ok()
    });
    receiver
}

fn get(address: SocketAddr, path: &str) -> (u16, String) {
    let mut stream = TcpStream::connect(address).expect("connected");
    stream.set_read_timeout(Some(DEADLINE)).expect("a timeout");
    let request = format!(
        "GET {path} HTTP/1.1\r\nHost: {address}\r\nConnection: close\r\nAccept: application/json\r\n\
         X-M2M-Origin: CAdmin\r\nX-M2M-RI: 1\r\nX-M2M-RVI: 3\r\n\r\n"
    );
    stream.write_all(request.as_bytes()).expect("sent");
    let mut answer = String::new();
    stream.read_to_string(&mut answer).expect("an answer");
    let status = answer.split(' ').nth(1).and_then(|status| status.parse().ok()).expect("a status");
    let body = answer.split_once("\r\n\r\n").map(|(_, body)| body.to_owned()).unwrap_or_default();
    (status, body)
}

fn data_dir() -> TempDir {
    tempfile::tempdir().expect("a directory")
}

#[test]
fn it_says_where_it_listens_and_what_to_try() {
    let data = data_dir();
    let server = Server::start(data.path(), &[]);
    for part in ["IN-CSE //cse.example/id-in", "CAdmin", "curl -H 'X-M2M-Origin: CAdmin'", "mqtt://127.0.0.1:"] {
        assert!(server.banner.contains(part), "{part}\n{}", server.banner);
    }
}

#[test]
fn the_cse_base_shows_what_listens() {
    let data = data_dir();
    let server = Server::start(data.path(), &[]);
    let (status, body) = server.get("/cse-in");
    assert_eq!(status, 200, "{body}");
    let base: serde_json::Value = serde_json::from_str(&body).expect("JSON");
    let poa = base["m2m:cb"]["poa"].as_array().expect("points of access");
    assert_eq!(poa[0], format!("http://{}", server.http));
    assert!(server.banner.contains(poa[1].as_str().expect("a text")), "{poa:?}");
}

#[test]
fn probes_and_metrics_are_on_the_http_port() {
    let data = data_dir();
    let server = Server::start(data.path(), &[]);
    assert_eq!(server.get("/livez"), (200, "ok\n".into()));
    let until = Instant::now() + DEADLINE;
    loop {
        let (status, body) = server.get("/readyz");
        let report: serde_json::Value = serde_json::from_str(&body).expect("JSON");
        let up = ["store", "http", "mqtt"].map(|part| report["parts"][part]["state"] == "up");
        assert_eq!(status == 200, up[0] && (up[1] || up[2]), "{body}");
        if up == [true; 3] {
            break;
        }
        assert!(Instant::now() < until, "{body}");
        thread::sleep(Duration::from_millis(20));
    }
    let (status, body) = server.get("/metrics");
    assert_eq!(status, 200);
    for name in [
        "cse_store_commits_total ",
        "cse_broker_clients_connected ",
        "cse_mqtt_received_total ",
        "\nprocess_open_fds ",
        "# EOF",
    ] {
        assert!(body.contains(name), "{name}\n{body}");
    }
}

#[test]
fn probes_can_have_an_address_of_their_own() {
    let data = data_dir();
    let file = data.path().join("cse.toml");
    std::fs::write(&file, "[monitoring]\nlisten = \"127.0.0.1:0\"\n").expect("written");
    let server = Server::start(data.path(), &["--config", &file.display().to_string()]);
    let own = server.banner.lines().find_map(|line| line.trim().strip_prefix("probes")).expect("an address");
    let own = own.trim().trim_start_matches("http://").trim_end_matches("/readyz").parse().expect("an address");
    assert_eq!(get(own, "/livez"), (200, "ok\n".into()));
    assert_ne!(server.get("/livez").0, 200, "resources only");
}

#[test]
fn signals_end_it_politely_and_what_it_holds_stays() {
    let data = data_dir();
    for signal in ["TERM", "INT"] {
        let mut server = Server::start(data.path(), &[]);
        assert_eq!(server.get("/cse-in").0, 200);
        server.signal(signal);
        assert_eq!(server.wait().code(), Some(0), "{:?}", server.log.try_iter().collect::<Vec<_>>());
    }
}

#[test]
fn log_lines_can_be_json() {
    let data = data_dir();
    let server = Server::start(data.path(), &["--log-format", "json"]);
    let line = server.log.recv_timeout(DEADLINE).expect("a line");
    let line: serde_json::Value = serde_json::from_str(&line).expect("JSON");
    assert!(line["level"].is_string() && line["fields"]["message"].is_string(), "{line}");
}

#[test]
fn a_port_in_use_is_one_line_with_the_flag() {
    let data = data_dir();
    let taken = TcpListener::bind("127.0.0.1:0").expect("bound");
    let address = taken.local_addr().expect("an address").to_string();
    for (flag, other) in [("--http", "--mqtt"), ("--mqtt", "--http")] {
        let ran = command(data.path()).args([flag, &address, other, "127.0.0.1:0"]).output().expect("runs");
        let text = String::from_utf8_lossy(&ran.stderr);
        assert_eq!(ran.status.code(), Some(1), "{text}");
        let start = format!("cse-server: {flag}: cannot listen on {address}");
        assert!(text.lines().count() == 1 && text.starts_with(&start), "{text}");
    }
}

#[test]
fn a_data_directory_that_cannot_be_used_is_one_line_with_the_flag() {
    let data = data_dir();
    let file = data.path().join("file");
    std::fs::write(&file, "in the way").expect("written");
    let ports = ["--http", "127.0.0.1:0", "--mqtt", "127.0.0.1:0"];
    let ran = command(&file).args(ports).output().expect("runs");
    let text = String::from_utf8_lossy(&ran.stderr);
    assert_eq!(ran.status.code(), Some(1), "{text}");
    assert!(text.lines().count() == 1 && text.starts_with("cse-server: --data-dir: "), "{text}");

    let _server = Server::start(data.path(), &[]);
    let ran = command(data.path()).args(ports).output().expect("runs");
    let text = String::from_utf8_lossy(&ran.stderr);
    assert_eq!(ran.status.code(), Some(1), "{text}");
    assert!(text.starts_with("cse-server: --data-dir: ") && text.contains("in use"), "{text}");
}
