//! What is there when a store is opened again, and what is refused.

use std::fs::{self, File};
use std::io::{Seek, SeekFrom, Write};
use std::path::Path;

use crate::support::{at, commit, identity, inserting, instance, labelled, named, resource};
use cse_core::id::{CseIdentity, CseType, Seq};
use cse_core::ports::{ChangeSet, Reply, ReplyKey, Snapshot, Store, StoreError, WriteTransaction};
use cse_core::schema::Ty;
use cse_core::value::Map;
use cse_store::sqlite::{Durability, OpenError, SqliteOptions, SqliteStore};
use sqlx::sqlite::SqliteConnectOptions;
use sqlx::{ConnectOptions, Connection};

async fn refusal(directory: &Path) -> OpenError {
    refusal_of(directory, &identity()).await
}

async fn refusal_of(directory: &Path, identity: &CseIdentity) -> OpenError {
    match SqliteStore::open(SqliteOptions::new(directory.join("cse.db")), identity).await {
        Ok(_) => panic!("opened"),
        Err(error) => {
            assert!(!error.to_string().contains('\n'), "one line: {error}");
            error
        }
    }
}

/// A directory with a closed store of a few resources.
async fn closed_store() -> tempfile::TempDir {
    let directory = tempfile::tempdir().expect("a directory");
    let store = crate::support::open(directory.path()).await;
    let resources = (2..200).map(|seq| labelled(named(instance(seq, 1, 50), &format!("name-{seq}")), &["a", "b"]));
    commit(&store, &inserting(resources)).await.expect("commits");
    store.close().await.expect("closes");
    directory
}

/// Carries out statements on the file behind the store's back.
async fn tamper(directory: &Path, statements: &'static str) {
    let options = SqliteConnectOptions::new().filename(directory.join("cse.db")).create_if_missing(true);
    let mut connection = options.connect().await.expect("connects");
    sqlx::raw_sql(statements).execute(&mut connection).await.expect("executes");
    connection.close().await.expect("closes");
}

fn reply(key: u128, time: i64) -> Reply {
    Reply { key: ReplyKey(key), at: at(time), response: Map::single("rsc", 2001_i64) }
}

#[tokio::test]
async fn everything_committed_is_there_after_closing() -> Result<(), StoreError> {
    let directory = tempfile::tempdir().expect("a directory");
    let store = crate::support::open(&directory.path().join("not/yet/there")).await;
    let mut changes = inserting([resource(1, None, Ty::CSE_BASE), instance(5, 1, 3)]);
    changes.replies = (0..12_000).map(|key| reply(key, key as i64)).collect();
    changes.forget_replies_before = Some(at(100));
    commit(&store, &changes).await?;
    let next = store.reserve_numbers(10).await?;
    store.close().await?;
    drop(store);

    let store = crate::support::open(&directory.path().join("not/yet/there")).await;
    let mut view = store.snapshot().await?;
    assert_eq!(view.resource(Seq(5)).await?, Some(instance(5, 1, 3)));
    assert_eq!(view.reply_count().await?, 11_900);
    assert_eq!(view.reply(ReplyKey(99)).await?, None);
    assert_eq!(view.reply(ReplyKey(11_999)).await?, Some(reply(11_999, 11_999)));
    drop(view);
    assert_eq!(store.reserve_numbers(1).await?, Seq(next.0 + 10));
    commit(&store, &ChangeSet { replies: vec![reply(u128::MAX, 1)], ..ChangeSet::default() }).await?;
    assert_eq!(store.snapshot().await?.reply_count().await?, 11_901);
    Ok(())
}

#[tokio::test]
async fn what_was_committed_survives_without_closing() -> Result<(), StoreError> {
    let directory = tempfile::tempdir().expect("a directory");
    let store = crate::support::open(directory.path()).await;
    commit(&store, &inserting([resource(1, None, Ty::CSE_BASE)])).await?;
    let mut unfinished = store.begin().await?;
    unfinished.write(&inserting([resource(2, Some(1), Ty::AE)])).await?;
    // What a crash leaves: the files as they are at this moment, log included.
    let after_crash = tempfile::tempdir().expect("a directory");
    for file in ["cse.db", "cse.db-wal"] {
        fs::copy(directory.path().join(file), after_crash.path().join(file)).expect("copies");
    }
    let recovered = crate::support::open(after_crash.path()).await;
    let mut view = recovered.snapshot().await?;
    assert!(view.resource(Seq(1)).await?.is_some());
    assert_eq!(view.resource(Seq(2)).await?, None);
    Ok(())
}

#[tokio::test]
async fn a_number_in_use_is_not_given_out_whatever_meta_says() -> Result<(), StoreError> {
    let directory = closed_store().await;
    tamper(directory.path(), "UPDATE meta SET value = 7 WHERE key = 'next_number'").await;
    assert_eq!(crate::support::open(directory.path()).await.reserve_numbers(1).await?, Seq(200));
    Ok(())
}

#[tokio::test]
async fn answers_beyond_the_bound_are_forgotten_oldest_first() -> Result<(), StoreError> {
    let directory = tempfile::tempdir().expect("a directory");
    let options = SqliteOptions { replies_max: 100, ..SqliteOptions::new(directory.path().join("cse.db")) };
    let store = SqliteStore::open(options, &identity()).await.expect("opens");
    for first in (0..500).step_by(50) {
        let replies = (first..first + 50).map(|key| reply(key, 1)).collect();
        commit(&store, &ChangeSet { replies, ..ChangeSet::default() }).await?;
    }
    let mut view = store.snapshot().await?;
    assert_eq!(view.reply_count().await?, 100);
    assert_eq!(view.reply(ReplyKey(399)).await?, None);
    assert!(view.reply(ReplyKey(400)).await?.is_some());
    Ok(())
}

#[tokio::test]
async fn answers_that_are_committed_one_by_one_stay_within_the_bound_and_survive() -> Result<(), StoreError> {
    let directory = tempfile::tempdir().expect("a directory");
    let options = || SqliteOptions { replies_max: 640, ..SqliteOptions::new(directory.path().join("cse.db")) };
    let store = SqliteStore::open(options(), &identity()).await.expect("opens");
    for key in 0..1_000 {
        commit(&store, &ChangeSet { replies: vec![reply(key, 1)], ..ChangeSet::default() }).await?;
        let count = store.snapshot().await?.reply_count().await?;
        assert!(count <= 650, "{count} after {key}");
    }
    store.close().await?;
    let store = SqliteStore::open(options(), &identity()).await.expect("opens");
    let mut view = store.snapshot().await?;
    for key in 400..1_000 {
        assert_eq!(view.reply(ReplyKey(key)).await?, Some(reply(key, 1)));
    }
    assert_eq!(view.reply(ReplyKey(300)).await?, None);
    Ok(())
}

#[tokio::test]
async fn answers_that_nobody_waits_for_confuse_nothing() -> Result<(), StoreError> {
    let directory = tempfile::tempdir().expect("a directory");
    let store = crate::support::open(directory.path()).await;
    for key in 0..50_u32 {
        let changes = ChangeSet { replies: vec![reply(key.into(), key.into())], ..ChangeSet::default() };
        // Polled a few times, then dropped: it may have happened or not.
        poll_some_times(store.commit(&changes), key % 4).await?;
    }
    answers_are_counted_right(&store).await
}

#[tokio::test]
async fn a_write_that_fails_is_not_committed_by_halves() -> Result<(), StoreError> {
    let directory = tempfile::tempdir().expect("a directory");
    let store = crate::support::open(directory.path()).await;
    let mut transaction = store.begin().await?;
    let twins = [2, 3].map(|seq| named(resource(seq, Some(1), Ty::AE), "same"));
    transaction.write(&inserting([resource(1, None, Ty::CSE_BASE)])).await?;
    assert!(transaction.write(&inserting(twins)).await.is_err());
    assert!(transaction.commit().await.is_err());
    assert_eq!(store.snapshot().await?.resource(Seq(1)).await?, None);
    commit(&store, &inserting([resource(1, None, Ty::CSE_BASE)])).await?;
    assert!(store.snapshot().await?.resource(Seq(1)).await?.is_some());
    Ok(())
}

#[tokio::test]
async fn a_commit_that_nobody_waits_for_confuses_nothing() -> Result<(), StoreError> {
    let directory = tempfile::tempdir().expect("a directory");
    let store = crate::support::open(directory.path()).await;
    for key in 0..50_u32 {
        let mut transaction = store.begin().await?;
        let replies = vec![reply(key.into(), key.into())];
        transaction.write(&ChangeSet { replies, ..ChangeSet::default() }).await?;
        // Polled a few times, then dropped: it may have happened or not.
        poll_some_times(transaction.commit(), key % 4).await?;
    }
    answers_are_counted_right(&store).await
}

fn futures_poll<F: Future>(future: std::pin::Pin<&mut F>) -> std::task::Poll<F::Output> {
    future.poll(&mut std::task::Context::from_waker(std::task::Waker::noop()))
}

/// Polls a commit so often at most, and drops it.
async fn poll_some_times(commit: impl Future<Output = Result<(), StoreError>>, times: u32) -> Result<(), StoreError> {
    let mut commit = std::pin::pin!(commit);
    for _ in 0..times {
        if let std::task::Poll::Ready(result) = futures_poll(commit.as_mut()) {
            return result;
        }
        tokio::task::yield_now().await;
    }
    Ok(())
}

/// Stores one more answer, after which there are as many as can be found.
async fn answers_are_counted_right(store: &SqliteStore) -> Result<(), StoreError> {
    let last = ChangeSet { replies: vec![reply(1_000, 1_000)], ..ChangeSet::default() };
    commit(store, &last).await?;
    let mut view = store.snapshot().await?;
    let counted = view.reply_count().await?;
    let mut found = 0;
    for key in (0..50).chain([1_000]) {
        found += u64::from(view.reply(ReplyKey(key)).await?.is_some());
    }
    assert_eq!(counted, found);
    assert!(view.reply(ReplyKey(1_000)).await?.is_some());
    Ok(())
}

#[tokio::test]
async fn the_log_is_bounded_whatever_is_written() -> Result<(), StoreError> {
    let directory = tempfile::tempdir().expect("a directory");
    let store = crate::support::open(directory.path()).await;
    let mut written = 0;
    for first in (2..100_002).step_by(500) {
        let instances = (first..first + 500).map(|seq| instance(seq, seq % 100, 100));
        commit(&store, &inserting(instances)).await?;
        let log_bytes = fs::metadata(directory.path().join("cse.db-wal")).expect("has a log").len();
        assert!(log_bytes < 16 * 1024 * 1024, "{log_bytes}");
        written += 500;
    }
    assert_eq!(store.snapshot().await?.count(Seq(7), Ty::CONTENT_INSTANCE).await?.0, written / 100);
    let database_bytes = fs::metadata(directory.path().join("cse.db")).expect("has a file").len();
    assert!(database_bytes > 10 * 1024 * 1024, "{database_bytes}");
    Ok(())
}

#[tokio::test]
async fn reading_waits_for_a_free_reader_and_never_for_the_writer() -> Result<(), StoreError> {
    let directory = tempfile::tempdir().expect("a directory");
    let options = SqliteOptions { readers: 1, ..SqliteOptions::new(directory.path().join("cse.db")) };
    let store = SqliteStore::open(options, &identity()).await.expect("opens");
    let mut writing = store.begin().await?;
    writing.write(&inserting([resource(1, None, Ty::CSE_BASE)])).await?;
    let mut view = store.snapshot().await?;
    assert_eq!(view.resource(Seq(1)).await?, None);
    let mut second = std::pin::pin!(store.snapshot());
    assert!(futures_poll(second.as_mut()).is_pending());
    drop(view);
    writing.commit().await?;
    assert!(second.await?.resource(Seq(1)).await?.is_some(), "a new snapshot sees the commit");
    Ok(())
}

#[tokio::test]
async fn a_closed_store_says_so() -> Result<(), StoreError> {
    let directory = tempfile::tempdir().expect("a directory");
    let store = crate::support::open(directory.path()).await;
    store.close().await?;
    store.close().await?;
    assert!(store.snapshot().await.is_err());
    assert!(store.begin().await.is_err());
    assert!(store.reserve_numbers(1).await.is_err());
    assert!(store.check().await.is_err());
    // The lock is gone with it.
    crate::support::open(directory.path()).await.check().await
}

#[tokio::test]
async fn closing_leaves_one_file_and_relaxed_commits_in_it() -> Result<(), StoreError> {
    let directory = tempfile::tempdir().expect("a directory");
    let path = directory.path().join("cse.db");
    let options = SqliteOptions { durability: Durability::Relaxed, ..SqliteOptions::new(&path) };
    let store = SqliteStore::open(options, &identity()).await.expect("opens");
    commit(&store, &inserting([resource(1, None, Ty::CSE_BASE)])).await?;
    assert_eq!(store.metrics().commits, 1);
    store.close().await?;
    assert!(!directory.path().join("cse.db-wal").exists());
    assert!(crate::support::open(directory.path()).await.snapshot().await?.resource(Seq(1)).await?.is_some());
    Ok(())
}

#[tokio::test]
async fn a_file_in_use_is_refused() {
    let directory = tempfile::tempdir().expect("a directory");
    let store = crate::support::open(directory.path()).await;
    assert!(matches!(refusal(directory.path()).await, OpenError::Locked { .. }));
    drop(store);
}

#[tokio::test]
async fn the_tree_of_another_cse_is_refused() {
    let directory = closed_store().await;
    for (sp_id, cse_id) in [("//cse.example", "/id-other"), ("//other.example", "/id-in")] {
        let other = CseIdentity::new(sp_id, cse_id, "cse-in", CseType::In).expect("valid identifiers");
        let error = refusal_of(directory.path(), &other).await;
        assert!(matches!(&error, OpenError::OtherCse { found, .. } if found == "//cse.example/id-in"), "{error}");
    }
    crate::support::open(directory.path()).await;
}

#[tokio::test]
async fn a_newer_schema_is_refused() {
    let directory = closed_store().await;
    tamper(directory.path(), "PRAGMA user_version = 1000").await;
    assert!(matches!(refusal(directory.path()).await, OpenError::Newer { found: 1000, .. }));
}

#[tokio::test]
async fn a_database_of_another_program_is_refused_and_left_alone() {
    let directory = tempfile::tempdir().expect("a directory");
    tamper(directory.path(), "CREATE TABLE notes (text TEXT)").await;
    let before = fs::read(directory.path().join("cse.db")).expect("reads");
    assert!(matches!(refusal(directory.path()).await, OpenError::Foreign { .. }));
    assert_eq!(fs::read(directory.path().join("cse.db")).expect("reads"), before);
}

#[tokio::test]
async fn what_is_no_database_is_refused_and_left_alone() {
    for content in [&b"not a database"[..], &[0; 8192]] {
        let directory = tempfile::tempdir().expect("a directory");
        let path = directory.path().join("cse.db");
        fs::write(&path, content).expect("writes");
        assert!(matches!(refusal(directory.path()).await, OpenError::Damaged { .. }));
        assert_eq!(fs::read(&path).expect("reads"), content);
    }
    let directory = tempfile::tempdir().expect("a directory");
    fs::create_dir(directory.path().join("cse.db")).expect("creates");
    assert!(matches!(refusal(directory.path()).await, OpenError::Damaged { .. }));
}

#[tokio::test]
async fn a_file_that_was_cut_off_is_refused() {
    let directory = closed_store().await;
    let file = File::options().write(true).open(directory.path().join("cse.db")).expect("opens");
    let length = file.metadata().expect("has metadata").len();
    file.set_len(length - 4096).expect("cuts");
    assert!(matches!(refusal(directory.path()).await, OpenError::Damaged { .. }));
}

#[tokio::test]
async fn a_damaged_schema_page_is_refused() {
    let directory = closed_store().await;
    let mut file = File::options().write(true).open(directory.path().join("cse.db")).expect("opens");
    // Behind the header, which says nothing of it.
    file.seek(SeekFrom::Start(100)).expect("seeks");
    file.write_all(&[0x5a; 3000]).expect("writes");
    drop(file);
    assert!(matches!(refusal(directory.path()).await, OpenError::Damaged { .. }));
}

#[tokio::test]
async fn a_log_without_its_database_is_refused() {
    let directory = tempfile::tempdir().expect("a directory");
    fs::write(directory.path().join("cse.db-wal"), [1; 5000]).expect("writes");
    assert!(matches!(refusal(directory.path()).await, OpenError::Damaged { .. }));
    assert_eq!(fs::read(directory.path().join("cse.db-wal")).expect("reads"), [1; 5000]);
}

#[tokio::test]
async fn an_empty_file_and_one_without_tables_become_a_store() -> Result<(), StoreError> {
    let directory = tempfile::tempdir().expect("a directory");
    File::create(directory.path().join("cse.db")).expect("creates");
    crate::support::open(directory.path()).await.check().await?;
    let directory = tempfile::tempdir().expect("a directory");
    tamper(directory.path(), "PRAGMA journal_mode = WAL").await;
    crate::support::open(directory.path()).await.check().await
}

#[tokio::test]
async fn a_directory_that_cannot_be_made_is_refused() {
    let directory = tempfile::tempdir().expect("a directory");
    File::create(directory.path().join("file")).expect("creates");
    assert!(matches!(refusal(&directory.path().join("file")).await, OpenError::Directory { .. }));
}
