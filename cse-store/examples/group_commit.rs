//! What a group of requests costs: rows per second through the store, and through bare multi-row statements.
//!
//! `cargo run --release -p cse-store --example group_commit [-- DIRECTORY [BACKGROUND_ROWS]]`
//!
//! A group is a number of new contentInstances, each with a remembered answer, and an update of the containers
//! they are in. The bare figure is a ceiling: the same rows, known beforehand, without any of the store's work.

use std::error::Error;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use cse_core::id::{CseIdentity, CseType, Originator, Seq};
use cse_core::ports::{ChangeSet, Clause, Reply, ReplyKey, Search, Snapshot, Store, WriteTransaction};
use cse_core::resource::{Resource, generated_id};
use cse_core::schema::Ty;
use cse_core::time::Timestamp;
use cse_core::value::{Map, Value};
use cse_store::sqlite::{SqliteOptions, SqliteStore};
use sqlx::sqlite::{SqliteConnectOptions, SqliteJournalMode, SqliteSynchronous};
use sqlx::{AssertSqlSafe, ConnectOptions, Connection};

type Outcome<T> = Result<T, Box<dyn Error>>;

const GROUPS: [usize; 4] = [1, 16, 64, 256];
/// Containers that the instances go to, in turn.
const CONTAINERS: i64 = 100;
const RUN: Duration = Duration::from_secs(2);

#[tokio::main]
async fn main() -> Outcome<()> {
    let mut arguments = std::env::args().skip(1);
    let kept = tempfile::tempdir()?;
    let directory = arguments.next().map_or_else(|| kept.path().to_owned(), PathBuf::from);
    let background: usize = arguments.next().map(|rows| rows.parse()).transpose()?.unwrap_or(0);
    println!("rows/s   store    bare   store/bare   slowest commit (ms)");
    for group in GROUPS {
        let (store, slowest) = through_the_store(&directory.join(format!("store{group}.db")), group).await?;
        let bare = bare(&directory.join(format!("bare{group}.db")), group).await?;
        let share = 100.0 * store / bare;
        println!("{group:>6} {store:>7.0} {bare:>7.0} {share:>11.0}% {:>14.1}", slowest.as_secs_f64() * 1e3);
    }
    if background > 0 {
        large_tree(&directory.join("large.db"), background).await?;
    }
    Ok(())
}

fn identity() -> Outcome<CseIdentity> {
    Ok(CseIdentity::new("//cse.example", "/id-in", "cse-in", CseType::In)?)
}

fn now() -> Timestamp {
    let since = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap_or_default();
    Timestamp::from_micros(since.as_micros() as i64)
}

fn container(seq: i64, state_tag: u64) -> Resource {
    let attributes: Map =
        [("cni".into(), Value::from(state_tag)), ("cbs".into(), Value::from(state_tag * 3))].into_iter().collect();
    Resource {
        seq: Seq(seq),
        parent: Some(Seq::CSE_BASE),
        ty: Ty::CONTAINER,
        id: generated_id("cnt", Seq(seq)),
        name: format!("container-{seq}").into(),
        parent_id: "id-in".into(),
        creation_time: Timestamp::from_micros(seq),
        last_modified_time: now(),
        expiration_time: Some(Timestamp::MAX),
        state_tag: Some(state_tag),
        content_size: None,
        creator: Originator::from_canonical("Cmeter"),
        attributes,
    }
}

fn instance(seq: i64, parent: i64) -> Resource {
    let id = generated_id("cin", Seq(seq));
    let time = now();
    Resource {
        seq: Seq(seq),
        parent: Some(Seq(parent)),
        ty: Ty::CONTENT_INSTANCE,
        name: id.clone(),
        id,
        parent_id: generated_id("cnt", Seq(parent)),
        creation_time: time,
        last_modified_time: time,
        expiration_time: Some(time.plus(Duration::from_secs(86_400))),
        state_tag: Some(0),
        content_size: Some(4),
        creator: Originator::from_canonical("Cmeter"),
        attributes: [("cnf".into(), Value::from("text/plain:0")), ("con".into(), Value::from("21.5"))]
            .into_iter()
            .collect(),
    }
}

fn reply(seq: i64) -> Reply {
    // Digests have no order; a multiplication by a large odd number scatters them.
    let key = (seq as u128).wrapping_mul(0x9e37_79b9_7f4a_7c15_f39c_c060_5ced_c835);
    let response =
        [("rsc".into(), Value::from(2001_i64)), ("rqi".into(), Value::from(format!("r{seq}")))].into_iter().collect();
    Reply { key: ReplyKey(key), at: now(), response }
}

/// Numbers from `first`; containers have 10 and up.
fn group_of(first: i64, size: usize) -> ChangeSet {
    let seqs = first..first + size as i64;
    let parent = |seq: i64| 10 + seq % CONTAINERS;
    let mut parents: Vec<i64> = seqs.clone().map(parent).collect();
    parents.sort_unstable();
    parents.dedup();
    ChangeSet {
        insert: seqs.clone().map(|seq| Arc::new(instance(seq, parent(seq)))).collect(),
        update: parents.into_iter().map(|parent| Arc::new(container(parent, first as u64))).collect(),
        replies: seqs.map(reply).collect(),
        ..ChangeSet::default()
    }
}

async fn commit(store: &SqliteStore, changes: &ChangeSet) -> Outcome<()> {
    let mut transaction = store.begin().await?;
    transaction.write(changes).await?;
    Ok(transaction.commit().await?)
}

async fn open_with_containers(path: &Path, containers: i64) -> Outcome<SqliteStore> {
    let store = SqliteStore::open(SqliteOptions::new(path), &identity()?).await?;
    let insert = (10..10 + containers).map(|seq| Arc::new(container(seq, 0))).collect();
    commit(&store, &ChangeSet { insert, ..ChangeSet::default() }).await?;
    Ok(store)
}

async fn through_the_store(path: &Path, size: usize) -> Outcome<(f64, Duration)> {
    let store = open_with_containers(path, CONTAINERS).await?;
    let mut next = 1_000;
    let mut slowest = Duration::ZERO;
    let began = Instant::now();
    while began.elapsed() < RUN {
        let changes = group_of(next, size);
        next += size as i64;
        let commit_began = Instant::now();
        commit(&store, &changes).await?;
        slowest = slowest.max(commit_began.elapsed());
    }
    let rate = (next - 1_000) as f64 / began.elapsed().as_secs_f64();
    store.close().await?;
    Ok((rate, slowest))
}

/// The ceiling: one multi-row statement per table and group, with nothing around it.
pub async fn bare(path: &Path, size: usize) -> Outcome<f64> {
    open_with_containers(path, CONTAINERS).await?.close().await?;
    let mut connection = SqliteConnectOptions::new()
        .filename(path)
        .journal_mode(SqliteJournalMode::Wal)
        .synchronous(SqliteSynchronous::Full)
        .disable_statement_logging()
        .connect()
        .await?;
    let rows = |columns: usize| vec![format!("({})", vec!["?"; columns].join(",")); size].join(",");
    let resources = format!(
        "INSERT INTO resource (seq, parent, ty, id_prefix, parent_id, ct, lt, et, st, cs, creator, attributes) VALUES {}",
        rows(12)
    );
    let replies = format!("INSERT INTO reply (number, key, at, response) VALUES {}", rows(4));
    let mut next = 1_000_i64;
    let began = Instant::now();
    while began.elapsed() < RUN {
        let mut transaction = connection.begin().await?;
        let mut query = sqlx::query(AssertSqlSafe(resources.as_str()));
        let time = now().micros();
        for seq in next..next + size as i64 {
            query = query.bind(seq).bind(10 + seq % CONTAINERS).bind(4).bind("cin").bind("cnt10").bind(time).bind(time);
            query = query.bind(time + 86_400_000_000).bind(0).bind(4).bind("Cmeter");
            query = query.bind(r#"{"cnf":"text/plain:0","con":"21.5"}"#);
        }
        query.execute(&mut *transaction).await?;
        let mut query = sqlx::query(AssertSqlSafe(replies.as_str()));
        for seq in next..next + size as i64 {
            query = query.bind(seq).bind(reply(seq).key.0.to_be_bytes().to_vec()).bind(time);
            query = query.bind(format!(r#"{{"rsc":2001,"rqi":"r{seq}"}}"#));
        }
        query.execute(&mut *transaction).await?;
        transaction.commit().await?;
        next += size as i64;
    }
    let rate = (next - 1_000) as f64 / began.elapsed().as_secs_f64();
    connection.close().await?;
    Ok(rate)
}

/// What opening and reading costs when there is much in the file.
async fn large_tree(path: &Path, instances: usize) -> Outcome<()> {
    let containers = 10_000;
    let store = open_with_containers(path, containers).await?;
    let labelled = (10..10 + containers).step_by(100).map(|seq| {
        let mut container = container(seq, 0);
        container.attributes.insert("lbl", Value::text_list(["wanted"]));
        Arc::new(container)
    });
    commit(&store, &ChangeSet { update: labelled.collect(), ..ChangeSet::default() }).await?;
    let began = Instant::now();
    let mut next = 100_000;
    while next < 100_000 + instances as i64 {
        let seqs = next..next + 256;
        let insert = seqs.clone().map(|seq| Arc::new(instance(seq, 10 + seq % containers))).collect();
        commit(&store, &ChangeSet { insert, replies: seqs.map(reply).collect(), ..ChangeSet::default() }).await?;
        next += 256;
    }
    let rate = instances as f64 / began.elapsed().as_secs_f64();
    println!("{instances} instances in {containers} containers: {rate:.0} rows/s");
    let began = Instant::now();
    store.close().await?;
    println!("close: {:?}", began.elapsed());
    let began = Instant::now();
    let store = SqliteStore::open(SqliteOptions::new(path), &identity()?).await?;
    println!("open: {:?}", began.elapsed());
    println!("resident: {} KiB", resident_kib().unwrap_or(0));
    read(&store, containers).await?;
    println!("resident: {} KiB", resident_kib().unwrap_or(0));
    Ok(store.close().await?)
}

fn resident_kib() -> Option<u64> {
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    status.lines().find_map(|line| line.strip_prefix("VmRSS:"))?.split_whitespace().next()?.parse().ok()
}

/// Prints how long reads take on average.
async fn read(store: &SqliteStore, containers: i64) -> Outcome<()> {
    macro_rules! timed {
        ($what:literal, $times:literal, |$view:ident, $turn:ident| $read:expr) => {
            let began = Instant::now();
            for $turn in 0..$times {
                let $turn: i64 = $turn;
                let mut $view = store.snapshot().await?;
                std::hint::black_box($read.await?);
            }
            println!("{:<52} {:>10.1} µs", $what, began.elapsed().as_secs_f64() * 1e6 / f64::from($times));
        };
    }
    let search = |root: i64, limit: usize, clause: Clause| Search {
        root: Seq(root),
        levels: None,
        clauses: vec![clause],
        after: Seq::START,
        limit,
    };
    let wanted = Clause::Labels(vec!["wanted".into()]);
    let labelled = search(1, 1_000, wanted.clone());
    let labelled_below = search(10, 1_000, wanted);
    let by_type = search(1, 100, Clause::Types(vec![Ty::CONTAINER]));
    let everything = Search { clauses: Vec::new(), ..by_type.clone() };
    let large = search(1, 100, Clause::ContentSize(Some(1_000), None));
    timed!("resource by number", 2_000, |view, turn| view.resource(Seq(100_000 + turn)));
    timed!("resource by identifier", 2_000, |view, turn| view.by_id(&format!("cin{}", 100_000 + turn)));
    timed!("child by name", 2_000, |view, turn| view.child(Seq::CSE_BASE, &format!("container-{}", 10 + turn)));
    timed!("latest", 2_000, |view, turn| view.newest(Seq(10 + turn % containers), Ty::CONTENT_INSTANCE));
    timed!("oldest sizes, 10", 2_000, |view, turn| view.oldest_sizes(Seq(10 + turn), Ty::CONTENT_INSTANCE, 10));
    timed!("count of a container", 2_000, |view, turn| view.count(Seq(10 + turn), Ty::CONTENT_INSTANCE));
    timed!("remembered answer", 2_000, |view, turn| view.reply(reply(100_000 + 900_000 + turn).key));
    timed!("next expiration", 2_000, |view, _turn| view.next_expiration());
    timed!("first 100 expired", 500, |view, _turn| view.expired(Timestamp::MAX, 100));
    timed!("first 100 children of the base", 200, |view, _turn| view.children(Seq::CSE_BASE, &[], Seq::START, 100));
    timed!("discovery by label, 100 of all containers", 500, |view, _turn| view.search(&labelled));
    timed!("the same below a container", 500, |view, _turn| view.search(&labelled_below));
    timed!("discovery by type, a page of 100", 50, |view, _turn| view.search(&by_type));
    timed!("discovery of everything, a page of 100", 50, |view, _turn| view.search(&everything));
    timed!("discovery by size, nothing found", 3, |view, _turn| view.search(&large));
    Ok(())
}
