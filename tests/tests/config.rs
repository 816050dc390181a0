//! How the program is configured, refuses to start, ends, and what is still there when it starts again.

use std::io::Write;
use std::net::{TcpListener, TcpStream};
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant};

use cse_tests::binary;
use cse_tests::http::Http;
use cse_tests::mqtt::Entity;
use cse_tests::receiver::Receiver;
use cse_tests::server::Launch;
use cse_tests::wait::{in_time, until, until_some};
use serde_json::{Value, json};

/// Checks that a start is refused with one line that begins so.
fn refused(launch: &Launch, code: i32, start: &str, contains: &str) {
    let (ended, text) = launch.refused();
    assert_eq!(ended, Some(code), "{text}");
    let is_one = text.lines().count() == 1;
    assert!(is_one && text.starts_with(&format!("cse-server: {start}")) && text.contains(contains), "{text}");
}

#[tokio::test]
async fn flags_win_over_variables_over_the_file() {
    let launch = Launch::default().with_file("[cse]\nname = \"from-file\"\nid = \"/file\"\nadmin = \"CFile\"\n");
    let server = launch.clone().with(&["--cse-id", "/flag"]).start();
    assert!(server.banner().contains("//cse.example/flag") && server.banner().contains("CFile"), "{}", server.banner());
    Http::new(server.http(), "CFile").get("/from-file").await.expect(2000);

    let mut command = launch.with(&["--cse-id", "/flag"]).command();
    command.arg("check-config").env("CSE_ID", "no identifier").env("CSE_TYPE", "mn");
    let ran = command.output().expect("runs");
    assert!(ran.status.success(), "the flag wins, so the variable does not matter: {ran:?}");
    let ran = Launch::default().command().arg("check-config").env("CSE_ID", "no identifier").output().expect("runs");
    assert_eq!(ran.status.code(), Some(2));
    assert!(String::from_utf8_lossy(&ran.stderr).starts_with("cse-server: CSE_ID: "), "{ran:?}");
}

#[test]
fn a_wrong_option_is_one_line_that_names_it() {
    for (arguments, named) in [
        (&["--nonsense"][..], "--nonsense"),
        (&["--cse-type", "xn"], "--cse-type"),
        (&["--cse-id", "id"], "--cse-id"),
        (&["--log", "a=b=c"], "--log"),
        (&["--config", "no-such-file.toml"], "--config"),
    ] {
        let (code, text) = Launch::default().with(arguments).refused();
        assert_eq!(code, Some(2), "{text}");
        assert!(text.lines().count() == 1 && text.contains(named), "{text}");
    }
}

#[test]
fn check_config_reports_everything_and_starts_nothing() {
    let launch = Launch::default().with_file("[http]\nlisen = 1\n[store]\nreaders = 0\n").with(&["check-config"]);
    let (code, text) = launch.refused();
    assert_eq!((code, text.lines().count()), (Some(2), 2), "{text}");
    assert!(text.contains("cse.toml:2: http.lisen") && text.contains("cse.toml:4: store.readers"), "{text}");
    assert!(!launch.data_dir().exists());
}

#[test]
fn the_sample_configuration_is_valid() {
    let sample = Path::new(env!("CARGO_MANIFEST_DIR")).join("../deploy/cse.toml");
    let mut command = Command::new(binary::cse_server());
    let ran = command.env_clear().arg("check-config").arg("--config").arg(sample).output().expect("runs");
    assert!(ran.status.success(), "{ran:?}");
    assert_eq!(String::from_utf8_lossy(&ran.stdout), "the configuration has no problems\n");
}

#[test]
fn others_are_served_only_on_purpose() {
    for (launch, why) in [
        (Launch::default().http("0.0.0.0:0"), "nobody is authenticated"),
        (Launch::default().mqtt("0.0.0.0:0"), "not encrypted"),
    ] {
        let (code, text) = launch.refused();
        assert_eq!(code, Some(2), "{text}");
        assert!(text.lines().count() == 1 && text.contains("--insecure") && text.contains(why), "{text}");
        let server = launch.with(&["--insecure"]).start();
        let warned = |lines: &[String]| lines.iter().any(|line| line.contains(why)).then_some(());
        server.log().wait_for("a warning", warned).expect("it runs");
    }
}

#[test]
fn a_port_in_use_is_named_with_its_option() {
    let taken = TcpListener::bind("127.0.0.1:0").expect("bound");
    let address = taken.local_addr().expect("an address").to_string();
    refused(&Launch::default().http(&address), 1, &format!("--http: cannot listen on {address}"), "");
    refused(&Launch::default().mqtt(&address), 1, &format!("--mqtt: cannot listen on {address}"), "");
}

#[test]
fn a_data_directory_belongs_to_one_process() {
    let server = Launch::default().start();
    refused(server.launch(), 1, "--data-dir: ", "in use");
    let (data, launch) = (server.launch().data_dir(), server.launch().clone());
    // A crash leaves no lock behind.
    server.kill();
    assert!(data.exists());
    assert!(launch.start().stop().success());
}

#[test]
fn a_data_directory_must_be_writable() {
    let launch = Launch::default();
    std::fs::write(launch.data_dir(), "a file in the way").expect("written");
    refused(&launch, 1, "--data-dir: ", &launch.data_dir().display().to_string());

    let launch = Launch::default();
    std::fs::create_dir(launch.data_dir()).expect("made");
    std::fs::set_permissions(launch.data_dir(), PermissionsExt::from_mode(0o500)).expect("set");
    // Nothing is forbidden to root.
    if std::fs::write(launch.data_dir().join("probe"), "").is_err() {
        refused(&launch, 1, "--data-dir: ", &launch.data_dir().display().to_string());
    }
    std::fs::set_permissions(launch.data_dir(), PermissionsExt::from_mode(0o700)).expect("set");
}

#[test]
fn a_damaged_database_is_refused_and_left_alone() {
    let launch = Launch::default();
    assert!(launch.start().stop().success());
    let file = launch.data_dir().join("cse.db");
    let size = std::fs::metadata(&file).expect("a database").len();
    let rubbish = vec![0xA5; usize::try_from(size).expect("small")];
    std::fs::write(&file, &rubbish).expect("written");
    refused(&launch, 1, "--data-dir: ", "cse.db");
    assert_eq!(std::fs::read(&file).expect("still there"), rubbish);
}

#[test]
fn a_database_belongs_to_one_cse() {
    let launch = Launch::default();
    assert!(launch.start().stop().success());
    for (flag, value, present) in [
        ("--cse-id", "/id-other", "/id-in"),
        ("--sp-id", "//other.example", "//cse.example"),
        ("--cse-name", "other", "cse-in"),
    ] {
        let (code, text) = launch.clone().with(&[flag, value]).refused();
        assert_eq!(code, Some(1), "{text}");
        assert!(text.lines().count() == 1 && text.contains(present), "{flag}: {text}");
    }
    assert!(launch.start().stop().success(), "nothing was changed");
}

#[tokio::test]
async fn a_stop_finishes_what_has_begun() {
    let mut server = Launch::default().start();
    let mut sensor = Entity::registered(server.mqtt_port(), "Csensor", "sensor", Value::Null).await;
    sensor.create("cse-in/sensor", 3, json!({"m2m:cnt": {"rn": "log"}})).await.expect(2001);
    let http = Http::new(server.http(), "Csensor");
    // Two creates that wait for their execution time, a while ahead, so that the stop comes in between.
    let body = json!({"m2m:cin": {"con": "http"}}).to_string();
    let delayed = async {
        let headers = [
            ("X-M2M-Origin", "Csensor"),
            ("X-M2M-RI", "late"),
            ("X-M2M-RVI", "3"),
            ("X-M2M-OET", "1500"),
            ("Content-Type", "application/json;ty=4"),
        ];
        http.send("POST", "/cse-in/sensor/log", &headers, &body).await
    };
    let content = json!({"m2m:cin": {"con": "mqtt"}});
    let delayed_too = json!({"op": 1, "to": "cse-in/sensor/log", "ty": 4, "oet": 1500, "pc": content});
    let identifier = sensor.send(delayed_too).await;
    let begun = async {
        let other = Http::new(server.http(), "CAdmin");
        until_some("both have arrived", async || {
            let page = other.get("/metrics").await.body;
            page.contains("cse_requests_total{operation=\"create\"} 4\n").then_some(())
        })
        .await;
        server.terminate();
    };
    let (answer, ()) = tokio::join!(delayed, begun);
    answer.expect(2001);
    sensor.answer_to(&identifier).await.expect(2001);
    let launch = server.launch().clone();
    assert!(server.ended().success(), "{}", server.log().text());
    drop(server);

    let server = launch.start();
    let log = Http::new(server.http(), "Csensor").get("/cse-in/sensor/log").await.expect(2000).json();
    assert_eq!(log["m2m:cnt"]["cni"], 2);
}

#[tokio::test]
async fn an_idle_client_does_not_hold_up_a_stop() {
    let mut server = Launch::default().start();
    let http = Http::new(server.http(), "CAdmin");
    http.get("/cse-in").await.expect(2000);
    let _silent = TcpStream::connect(server.http()).expect("connected");
    let _silent_too = TcpStream::connect(("127.0.0.1", server.mqtt_port())).expect("connected");
    let _broker = Entity::connect(server.mqtt_port(), "Cidle").await;
    let begin = Instant::now();
    server.terminate();
    assert!(server.ended().success(), "{}", server.log().text());
    // Far less than the 10 s that requests under way would be given.
    assert!(begin.elapsed() < Duration::from_secs(8), "{:?}", begin.elapsed());
}

#[tokio::test]
async fn half_a_request_does_not_hold_up_a_stop_for_ever() {
    let file = "[server]\nshutdown-timeout = \"500ms\"\n[http]\nheader-timeout = \"10m\"\n";
    let mut server = Launch::default().with_file(file).start();
    let mut half = TcpStream::connect(server.http()).expect("connected");
    half.write_all(b"GET /cse-in HT").expect("sent");
    // Connections are accepted in their order, so after this one the first is known.
    Http::new(server.http(), "CAdmin").get("/cse-in").await.expect(2000);
    server.terminate();
    assert!(server.ended().success(), "{}", server.log().text());
}

#[tokio::test]
async fn everything_is_there_after_a_restart() {
    let mut receiver = Receiver::start().await;
    let server = Launch::default().start();
    let http = Http::new(server.http(), "Csensor");
    let ae = json!({"m2m:ae": {"rn": "sensor", "api": "N.test", "rr": true, "srv": ["3"], "lbl": ["x"]}});
    http.create("/cse-in", 2, &ae).await.expect(2001);
    let policy = json!({"m2m:acp": {
        "rn": "acp", "pv": {"acr": [{"acor": ["Creader"], "acop": 2}, {"acor": ["Csensor"], "acop": 63}]}, "pvs": {"acr": [{"acor": ["Csensor"], "acop": 63}]}
    }});
    http.create("/cse-in/sensor", 1, &policy).await.expect(2001);
    let log = json!({"m2m:cnt": {"rn": "log", "mni": 3, "acpi": ["cse-in/sensor/acp"]}});
    let own = json!({"m2m:cnt": {"rn": "own"}});
    http.create("/cse-in/sensor", 3, &log).await.expect(2001);
    http.create("/cse-in/sensor", 3, &own).await.expect(2001);
    let group = json!({"m2m:grp": {"rn": "group", "mnm": 3, "mt": 3, "mid": ["cse-in/sensor/own"]}});
    http.create("/cse-in/sensor", 9, &group).await.expect(2001);
    let subscription = json!({"m2m:sub": {"rn": "sub", "nu": [receiver.url()], "enc": {"net": [3]}, "nct": 1}});
    http.create("/cse-in/sensor/own", 23, &subscription).await.expect(2001);
    receiver.next().await;
    for value in 0..5 {
        http.create("/cse-in/sensor/own", 4, &json!({"m2m:cin": {"con": value.to_string()}})).await.expect(2001);
        receiver.next().await;
    }
    let paths = ["", "?rcn=4", "/acp", "/log", "/own", "/own?rcn=4", "/own/la", "/own/ol", "/own/sub", "/group"];
    let state = async |http: &Http| {
        let mut all = Vec::new();
        for path in paths {
            all.push((path, http.get(&format!("/cse-in/sensor{path}")).await.expect(2000).json()));
        }
        all
    };
    let before = state(&http).await;
    let server = server.restart();
    let http = Http::new(server.http(), "Csensor");
    assert_eq!(state(&http).await, before);
    // And it works on: rights, subscription, group, names and counters.
    Http::new(server.http(), "Cother").get("/cse-in/sensor/own").await.expect(4103);
    Http::new(server.http(), "Creader").get("/cse-in/sensor/log").await.expect(2000);
    http.create("/cse-in", 2, &ae).await.expect(4117);
    http.create("/cse-in/sensor/group/fopt", 4, &json!({"m2m:cin": {"con": "after"}})).await.expect(2000);
    let (_, told) = receiver.next().await;
    assert_eq!(told["m2m:sgn"]["nev"]["rep"]["m2m:cin"]["con"], "after", "{told}");
    let own = http.get("/cse-in/sensor/own").await.expect(2000).json();
    assert_eq!((&own["m2m:cnt"]["cni"], &own["m2m:cnt"]["st"]), (&json!(6), &json!(6)));
}

#[tokio::test]
async fn a_second_signal_ends_it_at_once() {
    let mut server = Launch::default().with_file("[server]\nshutdown-timeout = \"10m\"\n").start();
    let http = Http::new(server.http(), "CAdmin");
    let headers = [("X-M2M-Origin", "CAdmin"), ("X-M2M-RI", "late"), ("X-M2M-RVI", "3"), ("X-M2M-OET", "600000")];
    let waiting = http.try_send("GET", "/cse-in", &headers, "");
    let stopping = async {
        let other = Http::new(server.http(), "CAdmin");
        until_some("it has arrived", async || {
            let page = other.get("/metrics").await.body;
            page.contains("cse_requests_total{operation=\"retrieve\"} 1\n").then_some(())
        })
        .await;
        server.terminate();
        until("it is stopping", || server.log().text().contains("stopping"));
        server.terminate();
        server.ended()
    };
    let (answer, status) = in_time("the end", async { tokio::join!(waiting, stopping) }).await;
    assert_eq!(status.code(), Some(1));
    assert!(answer.is_err(), "{answer:?}");
}
