//! Opening the file, or refusing to: nothing is overwritten that is not certainly ours and whole.
//!
//! The checks cost the same for an empty and for a large database. What they cannot see, SQLite finds when it
//! reads the page.

use std::fs::{self, File, TryLockError};
use std::io::{self, Read};
use std::path::{Path, PathBuf};

use cse_core::id::CseIdentity;
use sqlx::{Connection, Row, SqliteConnection};

use super::replies::ReplyIndex;
use super::{connection, migrate};

/// What a commit guarantees.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub enum Durability {
    /// What was answered survives a crash of the process, of the system, and loss of power.
    #[default]
    Full,
    /// What was answered survives a crash of the process. A crash of the system or loss of power may lose the
    /// last commits, as a whole and in reverse order, and numbers given out in them may be given out again;
    /// the database stays consistent.
    Relaxed,
}

/// Where the store is and how it behaves.
#[derive(Clone, Debug)]
pub struct SqliteOptions {
    /// The database file. SQLite keeps two more beside it, `-wal` and `-shm`, and this store a `.lock`.
    pub path: PathBuf,
    /// What a commit guarantees.
    pub durability: Durability,
    /// Connections that read, that is snapshots at the same time; 1 to 64.
    pub readers: usize,
    /// Most answers remembered for redeliveries; beyond, those remembered first are forgotten.
    pub replies_max: usize,
}

impl SqliteOptions {
    /// The defaults: full durability, 4 readers, 100,000 answers.
    pub fn new(path: impl Into<PathBuf>) -> Self {
        Self { path: path.into(), durability: Durability::Full, readers: 4, replies_max: 100_000 }
    }
}

/// Why the file cannot be used. The text is one line for the operator.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// The directory cannot be created or written.
    #[error("cannot write to the data directory {}: {error}", path.display())]
    Directory {
        /// The directory.
        path: PathBuf,
        /// What the system says.
        error: io::Error,
    },
    /// Another process has it open.
    #[error("{} is in use by another server", path.display())]
    Locked {
        /// The database file.
        path: PathBuf,
    },
    /// Not SQLite, or damaged.
    #[error("{} is damaged or no database: {problem}; restore it from a backup or move it away", path.display())]
    Damaged {
        /// The database file.
        path: PathBuf,
        /// What is wrong with it.
        problem: String,
    },
    /// A database of some other program.
    #[error("{} is a database of another program", path.display())]
    Foreign {
        /// The database file.
        path: PathBuf,
    },
    /// Written by a later version of this program.
    #[error("{} has schema version {found}, this server knows {known}: use a newer server", path.display())]
    Newer {
        /// The database file.
        path: PathBuf,
        /// The version in the file.
        found: i64,
        /// The latest version that this program knows.
        known: i64,
    },
    /// The tree of another CSE.
    #[error("{} belongs to CSE {found}, this is {expected}", path.display())]
    OtherCse {
        /// The database file.
        path: PathBuf,
        /// Absolute CSE-ID in the file.
        found: String,
        /// Absolute CSE-ID of this CSE.
        expected: String,
    },
    /// The database failed in some other way.
    #[error("cannot open {}: {error}", path.display())]
    Database {
        /// The database file.
        path: PathBuf,
        /// What SQLite says.
        error: sqlx::Error,
    },
}

pub(super) struct Opened {
    pub(super) writer: SqliteConnection,
    pub(super) readers: Vec<SqliteConnection>,
    pub(super) replies: ReplyIndex,
    pub(super) lock_file: File,
}

pub(super) async fn open(options: &SqliteOptions, identity: &CseIdentity) -> Result<Opened, OpenError> {
    let (lock_file, is_new) = prepare(&options.path).await?;
    if !is_new {
        inspect(&options.path, identity).await?;
    }
    let failed = |error| database_error(&options.path, error);
    let mut writer = connection::connect_writer(&options.path, options.durability).await.map_err(failed)?;
    migrate::migrate(&mut writer, identity).await.map_err(failed)?;
    probe(&mut writer).await.map_err(failed)?;
    let replies = ReplyIndex::load(&mut writer, options.replies_max).await.map_err(failed)?;
    let mut readers = Vec::new();
    for _ in 0..options.readers.clamp(1, 64) {
        readers.push(connection::connect_reader(&options.path).await.map_err(failed)?);
    }
    Ok(Opened { writer, readers, replies, lock_file })
}

/// Whether a server has the database open now.
pub(super) fn is_in_use(path: &Path) -> bool {
    let lock_file = File::options().write(true).open(with_suffix(path, ".lock"));
    lock_file.is_ok_and(|file| matches!(file.try_lock(), Err(TryLockError::WouldBlock)))
}

fn with_suffix(path: &Path, suffix: &str) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(suffix);
    PathBuf::from(name)
}

/// Creates the directory, takes the lock and looks at the file from outside. Returns whether it is new.
pub(super) async fn prepare(path: &Path) -> Result<(File, bool), OpenError> {
    let own = path.to_owned();
    tokio::task::spawn_blocking(move || prepare_files(&own))
        .await
        .unwrap_or_else(|error| Err(OpenError::Directory { path: path.into(), error: io::Error::other(error) }))
}

fn prepare_files(path: &Path) -> Result<(File, bool), OpenError> {
    let directory = match path.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => parent,
        _ => Path::new("."),
    };
    let not_writable = |error| OpenError::Directory { path: directory.into(), error };
    fs::create_dir_all(directory).map_err(not_writable)?;
    let lock_file = File::options()
        .create(true)
        .truncate(false)
        .write(true)
        .open(with_suffix(path, ".lock"))
        .map_err(not_writable)?;
    match lock_file.try_lock() {
        Ok(()) => {}
        Err(TryLockError::WouldBlock) => return Err(OpenError::Locked { path: path.into() }),
        Err(TryLockError::Error(error)) => return Err(not_writable(error)),
    }
    let is_new = check_file(path)?;
    if !is_new {
        File::options().write(true).open(path).map_err(not_writable)?;
    }
    Ok((lock_file, is_new))
}

/// Whether there is no database yet; an error if what is there cannot be one.
fn check_file(path: &Path) -> Result<bool, OpenError> {
    let damaged = |problem: &str| OpenError::Damaged { path: path.into(), problem: problem.into() };
    let unreadable = |error: io::Error| OpenError::Damaged { path: path.into(), problem: error.to_string() };
    let log_bytes = fs::metadata(with_suffix(path, "-wal")).map_or(0, |metadata| metadata.len());
    let length = match fs::metadata(path) {
        Ok(metadata) if metadata.is_file() => metadata.len(),
        Ok(_) => return Err(damaged("not a file")),
        Err(error) if error.kind() == io::ErrorKind::NotFound => 0,
        Err(error) => return Err(unreadable(error)),
    };
    if length == 0 {
        // A log without its database: the file was removed or emptied, and creating a new one would discard
        // what the log still holds.
        return if log_bytes == 0 {
            Ok(true)
        } else {
            Err(damaged("it is missing or empty, but its -wal file is not"))
        };
    }
    let mut header = [0_u8; 100];
    File::open(path)
        .and_then(|mut file| file.read_exact(&mut header))
        .map_err(|_| damaged("shorter than a database header"))?;
    if &header[..16] != b"SQLite format 3\0" {
        return Err(damaged("no SQLite header"));
    }
    let page_bytes = match u16::from_be_bytes([header[16], header[17]]) {
        1 => 65_536,
        bytes => u64::from(bytes),
    };
    let pages = u64::from(u32::from_be_bytes([header[28], header[29], header[30], header[31]]));
    // With a log, the missing pages may be in it.
    if log_bytes == 0 && length < pages * page_bytes {
        return Err(damaged("cut off"));
    }
    Ok(false)
}

/// Asks an existing database whose it is, on a connection that changes nothing.
async fn inspect(path: &Path, identity: &CseIdentity) -> Result<(), OpenError> {
    let failed = |error| database_error(path, error);
    let Some(mut connection) = migrate::RESOURCES.inspect(path).await? else {
        return Ok(());
    };
    let rows = sqlx::query("SELECT CAST(value AS TEXT) FROM meta WHERE key IN ('sp_id', 'cse_id') ORDER BY key DESC")
        .fetch_all(&mut connection)
        .await
        .map_err(failed)?;
    let found = rows.iter().map(|row| row.try_get::<String, _>(0)).collect::<Result<String, _>>().map_err(failed)?;
    let expected = format!("{}{}", identity.sp_id, identity.cse_id);
    if found != expected {
        return Err(OpenError::OtherCse { path: path.into(), found, expected });
    }
    connection.close().await.map_err(failed)
}

/// Reads the ends of each index and table, where a damage by the last writing would be.
async fn probe(connection: &mut SqliteConnection) -> Result<(), sqlx::Error> {
    sqlx::query(
        "SELECT (SELECT max(seq) FROM resource), (SELECT min(seq) FROM resource),
                (SELECT max(parent) FROM resource), (SELECT max(et) FROM resource WHERE et IS NOT NULL),
                (SELECT max(id) FROM resource WHERE id IS NOT NULL), (SELECT max(label) FROM label),
                (SELECT max(number) FROM reply), (SELECT max(seq) FROM outbox), (SELECT max(seq) FROM held),
                (SELECT max(at) FROM deadline), (SELECT value FROM meta WHERE key = 'next_number')",
    )
    .fetch_all(&mut *connection)
    .await?;
    // Numbers are reserved before they are used, so this changes nothing; a number used twice would be worse.
    sqlx::query(
        "UPDATE meta SET value = (SELECT max(seq) + 1 FROM resource)
         WHERE key = 'next_number' AND value <= (SELECT ifnull(max(seq), 0) FROM resource)",
    )
    .execute(connection)
    .await?;
    Ok(())
}

/// SQLite's own words for a damaged file become ours.
pub(super) fn database_error(path: &Path, error: sqlx::Error) -> OpenError {
    let code = error.as_database_error().and_then(|error| error.code());
    match code.as_deref().and_then(|code| code.parse::<i64>().ok()).map(|code| code & 0xff) {
        // SQLITE_CORRUPT, SQLITE_NOTADB
        Some(11 | 26) => OpenError::Damaged { path: path.into(), problem: error.to_string() },
        // SQLITE_BUSY, SQLITE_LOCKED: some other program is writing.
        Some(5 | 6) => OpenError::Locked { path: path.into() },
        _ => OpenError::Database { path: path.into(), error },
    }
}
