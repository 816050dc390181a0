//! SQLite without the CSE: the rows that the creates left, inserted again by nothing but group commits.

use std::path::Path;
use std::time::{Duration, Instant};

use sqlx::sqlite::{SqliteConnectOptions, SqliteJournalMode, SqliteRow, SqliteSynchronous};
use sqlx::{AssertSqlSafe, ConnectOptions, Connection, Row, SqliteConnection};

use super::sample::{Latencies, Sample};
use crate::Result;

/// Rows that are taken as samples.
const SAMPLES: usize = 1_000;
/// Identifiers that no sampled row has.
const FIRST_NEW: i64 = 1 << 40;

const RESOURCE: &str = "seq, parent, ty, id_prefix, id, name, parent_id, ct, lt, et, st, cs, creator, attributes";
const REPLY: &str = "number, key, at, response";

/// What the CSE wrote: the schema, and rows of instances and of remembered answers.
pub(crate) struct Rows {
    schema: Vec<String>,
    instances: Vec<SqliteRow>,
    replies: Vec<SqliteRow>,
}

impl Rows {
    /// Reads them from a database that may be in use.
    pub(crate) async fn read(database: &Path) -> Result<Self> {
        let mut connection =
            SqliteConnectOptions::new().filename(database).disable_statement_logging().connect().await?;
        let schema = sqlx::query_scalar("SELECT sql FROM sqlite_schema WHERE sql IS NOT NULL ORDER BY rowid")
            .fetch_all(&mut connection)
            .await?;
        let newest = |columns: &str, from: &str, key: &str| {
            format!("SELECT {columns} FROM {from} ORDER BY {key} DESC LIMIT {SAMPLES}")
        };
        let instances = newest(RESOURCE, "resource WHERE ty = 4", "seq");
        let replies = newest(REPLY, "reply", "number");
        let rows = Self {
            schema,
            instances: sqlx::query(AssertSqlSafe(instances)).fetch_all(&mut connection).await?,
            replies: sqlx::query(AssertSqlSafe(replies)).fetch_all(&mut connection).await?,
        };
        connection.close().await?;
        if rows.instances.len() < SAMPLES {
            return Err("too few rows to measure SQLite with".into());
        }
        Ok(rows)
    }

    /// Inserts them into a new database, `group` in a commit, each durable like those of the CSE.
    pub(crate) async fn insert(&self, database: &Path, group: usize, time: Duration) -> Result<Sample> {
        let mut connection = SqliteConnectOptions::new()
            .filename(database)
            .create_if_missing(true)
            .journal_mode(SqliteJournalMode::Wal)
            .synchronous(SqliteSynchronous::Full)
            .disable_statement_logging()
            .connect()
            .await?;
        for statement in self.schema.iter().filter(|text| !text.contains("sqlite_")) {
            sqlx::query(AssertSqlSafe(statement.as_str())).execute(&mut connection).await?;
        }
        let statements = (insert("resource", RESOURCE, group), insert("reply", REPLY, group));
        let mut latencies = Latencies::default();
        let (mut next, began) = (0, Instant::now());
        while began.elapsed() < time {
            let commit_began = Instant::now();
            self.insert_group(&mut connection, &statements, next, group).await?;
            latencies.add(commit_began);
            next += group;
        }
        let rate = next as f64 / began.elapsed().as_secs_f64();
        connection.close().await?;
        Ok(latencies.into_sample(rate))
    }

    async fn insert_group(
        &self,
        connection: &mut SqliteConnection,
        statements: &(String, String),
        next: usize,
        group: usize,
    ) -> Result<()> {
        let mut transaction = connection.begin().await?;
        let mut query = sqlx::query(AssertSqlSafe(statements.0.as_str()));
        for index in next..next + group {
            let row = &self.instances[index % self.instances.len()];
            query = query.bind(FIRST_NEW + index as i64);
            for column in [1, 2] {
                query = query.bind(row.try_get::<i64, _>(column)?);
            }
            for column in [3, 4, 5, 6] {
                query = query.bind(row.try_get::<Option<&str>, _>(column)?);
            }
            for column in 7..12 {
                query = query.bind(row.try_get::<Option<i64>, _>(column)?);
            }
            for column in [12, 13] {
                query = query.bind(row.try_get::<&str, _>(column)?);
            }
        }
        query.execute(&mut *transaction).await?;
        if !self.replies.is_empty() {
            let mut query = sqlx::query(AssertSqlSafe(statements.1.as_str()));
            for index in next..next + group {
                let row = &self.replies[index % self.replies.len()];
                query = query.bind(FIRST_NEW + index as i64).bind(row.try_get::<&[u8], _>(1)?);
                query = query.bind(row.try_get::<i64, _>(2)?).bind(row.try_get::<&str, _>(3)?);
            }
            query.execute(&mut *transaction).await?;
        }
        Ok(transaction.commit().await?)
    }
}

/// One statement for all rows of a group.
fn insert(table: &str, columns: &str, group: usize) -> String {
    let row = format!("({})", vec!["?"; columns.split(',').count()].join(","));
    format!("INSERT INTO {table} ({columns}) VALUES {}", vec![row.as_str(); group].join(","))
}
