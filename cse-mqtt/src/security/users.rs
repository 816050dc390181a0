//! Users with passwords, from a file: a name, a hash, and the identifier that the user speaks for, if any.
//!
//! One line each, `name:hash` or `name:hash:identifier`, made by `cse-server passwd`; empty lines and those that begin
//! with `#` are skipped. The hash is argon2id in PHC form, so the cost is the file's affair. A file that changes is
//! read again, at a login or whenever somebody looks.

use std::collections::HashMap;
use std::fmt;
use std::hash::{BuildHasher, RandomState};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};

use argon2::password_hash::rand_core::OsRng;
use argon2::password_hash::{PasswordHash, SaltString};
use argon2::{Algorithm, Argon2, Params, PasswordHasher, PasswordVerifier, Version};
use cse_core::id::CseIdentity;
use parking_lot::Mutex;

use super::identity::{self, Entity};
use super::naming::{identifier_of, is_credential};
use crate::broker::{Admission, Identity, Proof, Standing};

/// Longest file that is read.
const FILE_BYTES_MAX: u64 = 64 * 1024 * 1024;
/// Longest password that is looked at: hashing takes time in proportion.
pub(crate) const PASSWORD_BYTES_MAX: usize = 1_024;
/// Most memory of one hash, in KiB, and most passes over it.
const MEMORY_KIB_MAX: u32 = 1024 * 1024;
const PASSES_MAX: u32 = 64;
/// How often the file is looked at for logins, at most.
const LOOK_INTERVAL: Duration = Duration::from_secs(1);

/// Why a list of users cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum InvalidUsers {
    /// The file cannot be read.
    #[error("cannot read {}: {error}", path.display())]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// Why.
        error: std::io::Error,
    },
    /// It is longer than any list of users.
    #[error("{} is too long for a list of users", .0.display())]
    TooLong(PathBuf),
    /// A line makes no sense.
    #[error("line {line} of {}: {problem}", path.display())]
    Line {
        /// The file.
        path: PathBuf,
        /// From 1.
        line: usize,
        /// What is wrong. Never has the hash.
        problem: &'static str,
    },
    /// The system gives no random numbers, or the hash is impossible.
    #[error("cannot make a password hash: {0}")]
    Hash(String),
}

/// A user name that may stand in a list of users.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct UserName(String);

impl UserName {
    /// Checks a name. It is the Credential-ID, too, so it has to fit into a topic level; those that begin with `32-` or
    /// `33-` belong to certificates.
    ///
    /// # Errors
    /// A text that says what is wrong.
    pub fn parse(text: &str) -> Result<Self, &'static str> {
        if !is_credential(text) {
            return Err(
                "a user name has 1 to 256 characters, no '+', '#' or control characters, no blanks around it, \
                        and is not 'anonymous'",
            );
        }
        if text.contains(':') || text.starts_with('#') {
            return Err("a user name has no ':' and does not begin with '#'");
        }
        if text.starts_with("32-") || text.starts_with("33-") {
            return Err("a user name does not begin with 32- or 33-, as the credentials of certificates do");
        }
        Ok(Self(text.to_owned()))
    }

    /// The name.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// One user.
#[derive(Clone, Eq, PartialEq)]
pub struct User {
    hash: String,
    entity: Option<Entity>,
}

impl fmt::Debug for User {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("User").field("entity", &self.entity).finish_non_exhaustive()
    }
}

impl User {
    fn identity(&self, name: &str) -> Identity {
        identity::identity(self.entity.as_ref(), name)
    }
}

/// Hashes a password for a line of the file, with a new salt.
///
/// # Errors
/// [`InvalidUsers::Hash`].
pub fn hash_password(password: &[u8]) -> Result<String, InvalidUsers> {
    if password.is_empty() || password.len() > PASSWORD_BYTES_MAX {
        return Err(InvalidUsers::Hash(format!("a password has 1 to {PASSWORD_BYTES_MAX} bytes")));
    }
    hashed(password, Params::default())
}

fn hashed(password: &[u8], params: Params) -> Result<String, InvalidUsers> {
    let failed = |error: argon2::password_hash::Error| InvalidUsers::Hash(error.to_string());
    let mut salt = [0; 16];
    argon2::password_hash::rand_core::RngCore::try_fill_bytes(&mut OsRng, &mut salt)
        .map_err(|error| InvalidUsers::Hash(error.to_string()))?;
    let salt = SaltString::encode_b64(&salt).map_err(failed)?;
    let hasher = Argon2::new(Algorithm::Argon2id, Version::V0x13, params);
    Ok(hasher.hash_password(password, &salt).map_err(failed)?.to_string())
}

/// A list of users and the file that it comes from. Verification takes tens of milliseconds: not for the runtime's
/// own threads.
pub struct Users {
    path: PathBuf,
    own: CseIdentity,
    table: Mutex<Arc<Table>>,
    /// Locked while the file is read, which takes its time.
    seen: Mutex<Seen>,
    /// Makes proofs of hashes, so that these stay here.
    proofs: RandomState,
}

/// What is known of the file.
struct Seen {
    version: Option<(SystemTime, u64)>,
    at: Instant,
}

/// The users of one version of the file.
pub(super) struct Table {
    users: HashMap<String, User>,
    /// Verified in place of the hash of a user that does not exist, so that guessing names costs and shows nothing.
    decoy: String,
}

impl fmt::Debug for Users {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("Users").field("path", &self.path).finish_non_exhaustive()
    }
}

impl Users {
    /// Reads a file.
    ///
    /// # Errors
    /// [`InvalidUsers`] names the line.
    pub fn load(path: &Path, own: &CseIdentity) -> Result<Self, InvalidUsers> {
        let version = version(path);
        let table = Arc::new(Table::load(path, own)?);
        let seen = Mutex::new(Seen { version, at: Instant::now() });
        let (path, own) = (path.to_owned(), own.clone());
        Ok(Self { path, own, table: Mutex::new(table), seen, proofs: RandomState::new() })
    }

    /// How many there are.
    pub fn count(&self) -> usize {
        self.table().users.len()
    }

    /// Checks a password: who the user is, or nothing if name or password is wrong.
    pub(crate) fn verify(&self, name: &str, password: &[u8]) -> Option<Admission> {
        let table = self.recent();
        let user = table.users.get(name);
        let hash = user.map_or(table.decoy.as_str(), |user| user.hash.as_str());
        let parsed = PasswordHash::new(hash).ok()?;
        let is_right =
            password.len() <= PASSWORD_BYTES_MAX && Argon2::default().verify_password(password, &parsed).is_ok();
        user.filter(|_| is_right)
            .map(|user| Admission { identity: user.identity(name), proof: Some(self.proof(name, user)) })
    }

    /// Whether a client may stay that has logged in as that user with that proof.
    pub(super) fn standing(&self, identity: &Identity, name: &str, proof: Proof) -> Standing {
        match self.table().users.get(name) {
            Some(user) if self.proof(name, user) == proof => Standing::Good,
            Some(user) if user.identity(name) == *identity => Standing::Stale,
            _ => Standing::Gone,
        }
    }

    /// Whether a user of that name is who that client was.
    pub(super) fn has(&self, identity: &Identity, name: &str) -> bool {
        self.table().users.get(name).is_some_and(|user| user.identity(name) == *identity)
    }

    /// The same for one password, and for one identifier, only.
    fn proof(&self, name: &str, user: &User) -> Proof {
        Proof::new(self.proofs.hash_one((user.identity(name), &user.hash)))
    }

    /// The list as it was read last.
    pub(super) fn table(&self) -> Arc<Table> {
        Arc::clone(&self.table.lock())
    }

    /// The list as the file had it a moment ago.
    fn recent(&self) -> Arc<Table> {
        let mut seen = self.seen.lock();
        if seen.at.elapsed() >= LOOK_INTERVAL {
            self.look_again(&mut seen);
        }
        drop(seen);
        self.table()
    }

    /// The list as the file has it now. Reads it if it has changed: not for the runtime's own threads.
    pub(super) fn look(&self) -> Arc<Table> {
        self.look_again(&mut self.seen.lock());
        self.table()
    }

    /// A file that cannot be used any more changes nothing.
    fn look_again(&self, seen: &mut Seen) {
        seen.at = Instant::now();
        let version = version(&self.path);
        if version == seen.version {
            return;
        }
        match Table::load(&self.path, &self.own) {
            Ok(table) => {
                tracing::info!(users = table.users.len(), "read the changed list of users");
                *self.table.lock() = Arc::new(table);
            }
            Err(error) => tracing::warn!(%error, "the list of users has changed and cannot be used; the old one stays"),
        }
        seen.version = version;
    }
}

/// What tells one version of a file from another.
fn version(path: &Path) -> Option<(SystemTime, u64)> {
    let file = std::fs::metadata(path).ok()?;
    Some((file.modified().ok()?, file.len()))
}

impl Table {
    fn load(path: &Path, own: &CseIdentity) -> Result<Self, InvalidUsers> {
        let unreadable = |error| InvalidUsers::Unreadable { path: path.to_owned(), error };
        if std::fs::metadata(path).map_err(unreadable)?.len() > FILE_BYTES_MAX {
            return Err(InvalidUsers::TooLong(path.to_owned()));
        }
        let text = std::fs::read_to_string(path).map_err(unreadable)?;
        let users =
            parse(&text, own).map_err(|(line, problem)| InvalidUsers::Line { path: path.to_owned(), line, problem })?;
        // As dear as the dearest of them.
        let params = users
            .values()
            .filter_map(|user| params_of(&user.hash))
            .max_by_key(|params| u64::from(params.m_cost()) * u64::from(params.t_cost()));
        let decoy = hashed(b"nobody has this password", params.unwrap_or_default())?;
        Ok(Self { users, decoy })
    }
}

fn params_of(hash: &str) -> Option<Params> {
    Params::try_from(&PasswordHash::new(hash).ok()?).ok()
}

fn parse(text: &str, own: &CseIdentity) -> Result<HashMap<String, User>, (usize, &'static str)> {
    let mut users = HashMap::new();
    for (index, line) in text.lines().enumerate() {
        let line = line.trim();
        if line.is_empty() || line.starts_with('#') {
            continue;
        }
        let (name, user) = parse_line(line, own).map_err(|problem| (index + 1, problem))?;
        if users.insert(name, user).is_some() {
            return Err((index + 1, "the user has a line already"));
        }
    }
    Ok(users)
}

fn parse_line(line: &str, own: &CseIdentity) -> Result<(String, User), &'static str> {
    const FORM: &str = "a line is name:hash or name:hash:identifier; `cse-server passwd` makes them";
    let (name, rest) = line.split_once(':').ok_or(FORM)?;
    let name = UserName::parse(name)?;
    let (hash, identifier) = match rest.split_once(':') {
        Some((hash, identifier)) => (hash, Some(identifier)),
        None => (rest, None),
    };
    let parsed = PasswordHash::new(hash).map_err(|_| FORM)?;
    if parsed.algorithm != argon2::ARGON2ID_IDENT || parsed.hash.is_none() || parsed.salt.is_none() {
        return Err("the hash is not argon2id");
    }
    let params = params_of(hash).ok_or("the parameters of the hash are impossible")?;
    if params.m_cost() > MEMORY_KIB_MAX || params.t_cost() > PASSES_MAX {
        return Err("the hash would take too much memory or time to verify");
    }
    let entity = match identifier {
        None | Some("") => None,
        Some(text) => Some(identifier_of(own, text).ok_or("the identifier is no AE-ID and no CSE-ID")?),
    };
    if entity == Some(Entity::Cse(own.cse_id.clone())) {
        return Err("nobody else speaks for this CSE itself");
    }
    Ok((name.0, User { hash: hash.to_owned(), entity }))
}

/// A hash that is made fast, for tests of what is not its cost.
#[cfg(test)]
pub(crate) fn cheap_hash(password: &str) -> String {
    hashed(password.as_bytes(), Params::new(8, 1, 1, None).expect("valid")).expect("hashed")
}

/// A list in a file, for tests.
#[cfg(test)]
pub(crate) fn test_file(text: &str) -> (tempfile::TempDir, PathBuf) {
    let directory = tempfile::tempdir().expect("a directory");
    let path = directory.path().join("users");
    std::fs::write(&path, text).expect("written");
    (directory, path)
}

#[cfg(test)]
mod tests {
    use cse_core::id::CseType;

    use super::*;
    use super::{cheap_hash as hash, test_file as file};

    fn own() -> CseIdentity {
        CseIdentity::new("//cse.example", "/id-in", "cse-in", CseType::In).expect("valid")
    }

    fn verified(users: &Users, name: &str, password: &str) -> Option<String> {
        users.verify(name, password.as_bytes()).map(|admission| admission.identity.name().to_owned())
    }

    #[test]
    fn passwords_are_verified() {
        let text = format!(
            "# users\n\nlamp-7:{}\n  door:{}:Sdoor\r\nmn:{}:/id-mn\nempty:{}:\n",
            hash("one"),
            hash("two"),
            hash("three"),
            hash("four")
        );
        let (_directory, path) = file(&text);
        let users = Users::load(&path, &own()).expect("valid");
        assert_eq!(users.count(), 4);
        for (name, password, expected) in [
            ("lamp-7", "one", Some("id - lamp-7")),
            ("door", "two", Some("ae Sdoor door")),
            ("mn", "three", Some("cse /id-mn mn")),
            ("empty", "four", Some("id - empty")),
            ("lamp-7", "two", None),
            ("lamp-7", "", None),
            ("lamp-8", "one", None),
            ("lamp-8", "nobody has this password", None),
            ("LAMP-7", "one", None),
            ("", "", None),
        ] {
            assert_eq!(verified(&users, name, password).as_deref(), expected, "{name}");
        }
        assert!(!format!("{users:?}").contains("argon2"));
        let shown = format!("{:?}", parse(&text, &own()));
        assert!(!shown.contains("argon2"), "{shown}");
    }

    #[test]
    fn a_hash_is_argon2id_with_a_salt_of_its_own() {
        let (one, two) = (hash_password(b"secret").expect("hashed"), hash_password(b"secret").expect("hashed"));
        assert!(one.starts_with("$argon2id$v=19$m=19456,t=2,p=1$"), "{one}");
        assert_ne!(one, two);
        let (_directory, path) = file(&format!("lamp:{one}"));
        let users = Users::load(&path, &own()).expect("valid");
        assert!(users.verify("lamp", b"secret").is_some() && users.verify("lamp", b"Secret").is_none());
        assert!(hash_password(b"").is_err() && hash_password(&[b'x'; 1_025]).is_err());
    }

    #[test]
    fn lines_that_make_no_sense_are_named() {
        let good = hash("x");
        for (line, part) in [
            ("lamp".to_owned(), "name:hash"),
            ("lamp:secret".to_owned(), "name:hash"),
            ("lamp:$argon2id$".to_owned(), "name:hash"),
            (format!(":{good}"), "user name"),
            (format!("a+b:{good}"), "user name"),
            (format!("anonymous:{good}"), "user name"),
            (format!("33-Cx:{good}"), "certificates"),
            (format!("lamp:{good}:lamp"), "AE-ID"),
            (format!("lamp:{good}:/id-in"), "this CSE"),
            (format!("lamp:{good}:Cx:more"), "AE-ID"),
            (format!("lamp:{}", good.replace("argon2id", "argon2i")), "not argon2id"),
            (format!("lamp:{}", good.replace("m=8", "m=4194304")), "too much"),
            (format!("lamp:{}", good.replace("t=1", "t=65")), "too much"),
            (format!("first:{good}"), "already"),
        ] {
            let (_directory, path) = file(&format!("first:{good}\n{line}\n"));
            let error = Users::load(&path, &own()).expect_err(&line).to_string();
            assert!(error.contains("line 2") && error.contains(part), "{line}: {error}");
            assert!(!error.contains("argon2id$"), "{error}");
        }
        assert!(Users::load(Path::new("no-such-file"), &own()).expect_err("none").to_string().contains("no-such-file"));
    }

    #[test]
    fn a_changed_file_is_read_again_and_a_broken_one_changes_nothing() {
        let (_directory, path) = file(&format!("lamp:{}", hash("old")));
        let users = Users::load(&path, &own()).expect("valid");
        let write = |text: &str| {
            std::fs::write(&path, text).expect("written");
            users.seen.lock().at = Instant::now().checked_sub(LOOK_INTERVAL).expect("the machine runs longer");
        };
        assert_eq!(verified(&users, "lamp", "old").as_deref(), Some("id - lamp"));
        write(&format!("lamp:{}\ndoor:{}", hash("new"), hash("door")));
        assert_eq!(verified(&users, "lamp", "old"), None);
        assert!(verified(&users, "lamp", "new").is_some() && verified(&users, "door", "door").is_some());
        write("lamp:nonsense");
        assert!(verified(&users, "lamp", "new").is_some());
    }
}
