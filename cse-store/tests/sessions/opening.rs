//! What is refused, and what a failure leaves behind.

use std::fs::{self, File};
use std::io::{Seek, SeekFrom, Write};
use std::path::Path;

use bytes::Bytes;
use cse_core::id::{CseIdentity, CseType};
use cse_store::sqlite::sessions::{MessageRow, SessionChanges, SessionFile, SessionRow};
use cse_store::sqlite::{OpenError, SqliteOptions, SqliteStore};
use sqlx::sqlite::SqliteConnectOptions;
use sqlx::{ConnectOptions, Connection, SqliteConnection};

use crate::{open, options};

async fn refusal(directory: &Path) -> OpenError {
    match SessionFile::open(options(directory)).await {
        Ok(_) => panic!("opened"),
        Err(error) => {
            assert!(!error.to_string().contains('\n'), "one line: {error}");
            error
        }
    }
}

async fn connection(directory: &Path) -> SqliteConnection {
    let options = SqliteConnectOptions::new().filename(directory.join("mqtt.db")).create_if_missing(true);
    options.connect().await.unwrap()
}

async fn tamper(directory: &Path, statements: &'static str) {
    let mut connection = connection(directory).await;
    sqlx::raw_sql(statements).execute(&mut connection).await.unwrap();
    connection.close().await.unwrap();
}

fn messages(numbers: std::ops::Range<i64>) -> SessionChanges {
    let session =
        SessionRow { id: 1, client_id: "c".into(), identity: "".into(), expiry: 60, ends: None, sent_below: 0 };
    let message = |number| MessageRow {
        session: 1,
        number,
        qos: 1,
        topic: Some("t".into()),
        payload: Bytes::from(vec![b'x'; 2000]),
        expires: None,
        properties: None,
    };
    SessionChanges { sessions: vec![session], messages: numbers.map(message).collect(), ..SessionChanges::default() }
}

async fn filled(directory: &Path) {
    let (mut file, _) = open(directory).await;
    file.commit(&messages(1..200)).await.unwrap();
    file.close().await.unwrap();
}

#[tokio::test]
async fn two_servers_cannot_have_the_file() {
    let directory = tempfile::tempdir().unwrap();
    let (_file, _) = open(directory.path()).await;
    assert!(matches!(refusal(directory.path()).await, OpenError::Locked { .. }));
}

#[tokio::test]
async fn foreign_and_later_files_are_refused_and_left_alone() {
    let directory = tempfile::tempdir().unwrap();
    tamper(directory.path(), "CREATE TABLE other (x)").await;
    assert!(matches!(refusal(directory.path()).await, OpenError::Foreign { .. }));

    let directory = tempfile::tempdir().unwrap();
    let identity = CseIdentity::new("//cse.example", "/id-in", "cse-in", CseType::In).unwrap();
    let store = SqliteStore::open(SqliteOptions::new(directory.path().join("mqtt.db")), &identity).await.unwrap();
    store.close().await.unwrap();
    drop(store);
    assert!(matches!(refusal(directory.path()).await, OpenError::Foreign { .. }), "the resource tree");

    let directory = tempfile::tempdir().unwrap();
    filled(directory.path()).await;
    tamper(directory.path(), "PRAGMA user_version = 2").await;
    let before = fs::read(directory.path().join("mqtt.db")).unwrap();
    assert!(matches!(refusal(directory.path()).await, OpenError::Newer { found: 2, known: 1, .. }));
    assert_eq!(fs::read(directory.path().join("mqtt.db")).unwrap(), before);
}

#[tokio::test]
async fn damaged_files_are_refused() {
    for damage in [
        (|file: &mut File| file.set_len(50)) as fn(&mut File) -> std::io::Result<()>,
        |file| file.set_len(20_000),
        |file| file.write_all(b"not a database, certainly"),
        // All pages but the first, which the header is on.
        |file| {
            let pages = file.metadata()?.len() - 4096;
            file.seek(SeekFrom::Start(4096))?;
            file.write_all(&vec![0xa5; usize::try_from(pages).unwrap_or(0)])
        },
    ] {
        let directory = tempfile::tempdir().unwrap();
        filled(directory.path()).await;
        let mut file = File::options().write(true).open(directory.path().join("mqtt.db")).unwrap();
        damage(&mut file).unwrap();
        drop(file);
        let error = refusal(directory.path()).await;
        assert!(matches!(error, OpenError::Damaged { .. }), "{error}");
    }
}

#[tokio::test]
async fn values_of_another_kind_are_damage() {
    let directory = tempfile::tempdir().unwrap();
    filled(directory.path()).await;
    tamper(directory.path(), "PRAGMA ignore_check_constraints = ON; UPDATE message SET qos = 700 WHERE number = 5")
        .await;
    assert!(matches!(refusal(directory.path()).await, OpenError::Damaged { .. }));
}

#[tokio::test]
async fn a_failed_commit_changes_nothing_and_the_next_one_works() {
    let directory = tempfile::tempdir().unwrap();
    let (mut file, _) = open(directory.path()).await;
    file.commit(&messages(1..3)).await.unwrap();
    let mut other = connection(directory.path()).await;
    sqlx::raw_sql("BEGIN IMMEDIATE").execute(&mut other).await.unwrap();
    for _ in 0..2 {
        file.commit(&messages(3..5)).await.expect_err("somebody else is writing");
    }
    sqlx::raw_sql("ROLLBACK").execute(&mut other).await.unwrap();
    file.commit(&messages(5..7)).await.unwrap();
    let mut half = messages(7..300);
    half.messages[290].number = 0;
    file.commit(&half).await.expect_err("not a number");
    file.commit(&SessionChanges { messages_done: vec![(1, 1, 1)], ..SessionChanges::default() }).await.unwrap();
    drop(file);
    let (_file, sessions) = open(directory.path()).await;
    let numbers: Vec<_> = sessions[0].messages.iter().map(|message| message.number).collect();
    assert_eq!(numbers, [2, 5, 6]);
}
