//! The list of users changes while the server runs, or between two runs: who has to go, and whose session stays.

use cse_tests::guarded::{USERS, launch, passwd};
use cse_tests::metrics::sample;
use cse_tests::secured::Connecting;
use cse_tests::server::Server;
use cse_tests::wait::{until, until_some};
use rumqttc::ConnectReturnCode::BadUserNamePassword;

fn login(server: &Server, name: &str, client_id: &str) -> Connecting {
    let (_, password, _) = USERS.iter().find(|(known, ..)| *known == name).expect("a user");
    Connecting::new(server.mqtt_port(), client_id).login(name, password).kept()
}

/// `cse-server passwd` on the list of that server.
fn change(directory: &std::path::Path, arguments: &[&str], password: &str) {
    let users = directory.join("users").display().to_string();
    let (done, text) = passwd(&[arguments, &["--file", &users]].concat(), password);
    assert!(done, "{text}");
}

fn lists_read(server: &Server) -> usize {
    server.log().text().matches("read the changed list of users").count()
}

async fn until_sample(server: &Server, name: &str, expected: f64) {
    until_some(name, async || (sample(server, name).await == expected).then_some(())).await;
}

#[tokio::test]
async fn users_that_go_or_change_take_their_connections_with_them() {
    let server = launch("").start();
    let directory = server.launch().directory().to_owned();
    let mut gone = login(&server, "lamp-7", "lamp-7").connect().await.expect("let in");
    login(&server, "lamp-7", "lamp-7@away").connect().await.expect("let in").disconnect().await;
    let mut changed = login(&server, "lamp-8", "lamp-8").connect().await.expect("let in");
    let mut stays = login(&server, "lamp-9", "lamp-9").connect().await.expect("let in");

    // Somebody else is added, and nobody is concerned: shown by what follows.
    change(&directory, &["newcomer"], "new");
    until("the list is read", || lists_read(&server) == 1);
    change(&directory, &["lamp-7", "--remove"], "");
    gone.closed().await;
    until_sample(&server, "cse_broker_sessions_revoked_total", 2.0).await;
    assert_eq!(login(&server, "lamp-7", "lamp-7").connect().await.err(), Some(BadUserNamePassword));
    assert!(changed.subscribe("/oneM2M/reg_resp/lamp-8/#").await);

    change(&directory, &["lamp-8"], "a better one");
    changed.closed().await;
    assert_eq!(login(&server, "lamp-8", "lamp-8").connect().await.err(), Some(BadUserNamePassword));
    let better = login(&server, "lamp-8", "lamp-8").login("lamp-8", "a better one");
    let mut changed = better.connect().await.expect("let in");
    assert!(changed.resumed(), "the session waits for its user");

    // All that time.
    assert!(stays.subscribe("/oneM2M/reg_resp/lamp-9/#").await);
    assert!(changed.subscribe("/oneM2M/reg_resp/lamp-8/#").await);
    until_sample(&server, "cse_broker_clients_revoked_total", 2.0).await;
    assert_eq!(sample(&server, "cse_broker_sessions_revoked_total").await, 2.0);

    // A user of the same name begins anew.
    let before = lists_read(&server);
    change(&directory, &["lamp-7"], "another");
    until("the list is read", || lists_read(&server) > before);
    let again = login(&server, "lamp-7", "lamp-7@away").login("lamp-7", "another");
    assert!(!again.connect().await.expect("let in").resumed());
}

#[tokio::test]
async fn a_list_that_makes_no_sense_costs_nobody_the_connection() {
    let server = launch("").start();
    let mut lamp = login(&server, "lamp-7", "lamp-7").connect().await.expect("let in");
    std::fs::write(server.launch().directory().join("users"), "nonsense").expect("written");
    until("the log says so", || server.log().text().contains("cannot be used; the old one stays"));
    assert!(lamp.subscribe("/oneM2M/reg_resp/lamp-7/#").await);
    assert!(login(&server, "lamp-8", "lamp-8").connect().await.is_ok());
}

#[tokio::test]
async fn sessions_of_users_that_went_between_two_runs_are_not_kept() {
    let server = launch("").start();
    let directory = server.launch().directory().to_owned();
    for name in ["lamp-7", "lamp-8"] {
        login(&server, name, name).connect().await.expect("let in").disconnect().await;
    }
    let launch = server.launch().clone();
    assert!(server.stop().success());
    change(&directory, &["lamp-7", "--remove"], "");
    let server = launch.start();
    until_sample(&server, "cse_broker_sessions_revoked_total", 1.0).await;
    assert!(login(&server, "lamp-8", "lamp-8").connect().await.expect("let in").resumed());
}
