//! `cse-server passwd`: lines for the list of users of the embedded broker.
//!
//! The password comes from standard input, so that it is in no command line and no history.

use std::fs;
use std::io::{self, BufRead as _, IsTerminal as _, Write as _};
use std::path::{Path, PathBuf};
use std::process::{Command as Process, Stdio};

use clap::{Arg, ArgAction, ArgMatches, Command};
use cse_core::id::{CseIdentity, CseType};
use cse_mqtt::security::{InvalidUsers, UserName, hash_password, identifier_of};

/// What was asked for.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) struct Passwd {
    name: String,
    identifier: Option<String>,
    file: Option<PathBuf>,
    remove: bool,
}

/// Why there is no line.
#[derive(Debug, thiserror::Error)]
pub(crate) enum PasswdError {
    #[error("{0}")]
    Name(&'static str),
    #[error("--identifier: '{0}' is no AE-ID and no CSE-ID, like Csensor or /id-mn")]
    Identifier(String),
    #[error("the two passwords are not the same")]
    NotRepeated,
    #[error("cannot read the password: {0}")]
    Password(io::Error),
    #[error(transparent)]
    Hash(#[from] InvalidUsers),
    #[error("--file {}: {error}", path.display())]
    File { path: PathBuf, error: io::Error },
    #[error("--file {}: there is no user '{name}'", path.display())]
    NoSuchUser { path: PathBuf, name: String },
}

/// The subcommand.
pub(crate) fn command() -> Command {
    Command::new("passwd")
        .about("Make a line for the list of users (mqtt.users-file); the password is read from standard input")
        .arg(Arg::new("name").value_name("NAME").required(true).help("User name, which is the Credential-ID, too"))
        .arg(
            Arg::new("identifier").long("identifier").value_name("ID").help(
                "The AE-ID or CSE-ID that the user speaks for, like Csensor or /id-mn; without, it may register one",
            ),
        )
        .arg(
            Arg::new("file")
                .long("file")
                .value_name("FILE")
                .value_parser(clap::value_parser!(PathBuf))
                .help("List to put the line into, in place of one that the user has; without, it is printed"),
        )
        .arg(
            Arg::new("remove")
                .long("remove")
                .action(ArgAction::SetTrue)
                .requires("file")
                .conflicts_with("identifier")
                .help("Take the user's line out of the list"),
        )
}

impl Passwd {
    pub(crate) fn from_matches(matches: &ArgMatches) -> Self {
        Self {
            name: matches.get_one::<String>("name").cloned().unwrap_or_default(),
            identifier: matches.get_one::<String>("identifier").cloned(),
            file: matches.get_one::<PathBuf>("file").cloned(),
            remove: matches.get_flag("remove"),
        }
    }

    /// Does it; the text for standard output.
    ///
    /// # Errors
    /// [`PasswdError`], with nothing changed.
    pub(crate) fn run(&self) -> Result<String, PasswdError> {
        let name = UserName::parse(&self.name).map_err(PasswdError::Name)?;
        if let Some(identifier) = &self.identifier {
            check_identifier(identifier)?;
        }
        if let (true, Some(path)) = (self.remove, &self.file) {
            let lines = lines_without(path, &name)?;
            let (kept, existed) = lines;
            if !existed {
                return Err(PasswdError::NoSuchUser { path: path.clone(), name: self.name.clone() });
            }
            replace(path, &kept)?;
            return Ok(format!("removed '{}' from {}\n", self.name, path.display()));
        }
        let password = read_password()?;
        let identifier = self.identifier.as_ref().map(|identifier| format!(":{identifier}")).unwrap_or_default();
        let line = format!("{}:{}{identifier}\n", name.as_str(), hash_password(password.as_bytes())?);
        let Some(path) = &self.file else { return Ok(line) };
        let (mut kept, existed) = lines_without(path, &name)?;
        kept.push_str(&line);
        replace(path, &kept)?;
        let done = if existed { "changed" } else { "added" };
        Ok(format!("{done} '{}' in {}\n", self.name, path.display()))
    }
}

/// The form only: whose CSE it is for is known when the list is read.
fn check_identifier(text: &str) -> Result<(), PasswdError> {
    let refused = || PasswdError::Identifier(text.to_owned());
    let own = CseIdentity::new("//sp.invalid", "/cse", "cse", CseType::In).map_err(|_| refused())?;
    identifier_of(&own, text).map(|_| ()).ok_or_else(refused)
}

/// The other lines of a list that may not be there yet, and whether the user had one.
fn lines_without(path: &Path, name: &UserName) -> Result<(String, bool), PasswdError> {
    let text = match fs::read_to_string(path) {
        Ok(text) => text,
        Err(error) if error.kind() == io::ErrorKind::NotFound => String::new(),
        Err(error) => return Err(PasswdError::File { path: path.to_owned(), error }),
    };
    let is_own = |line: &str| line.trim().split_once(':').is_some_and(|(of, _)| of == name.as_str());
    let existed = text.lines().any(is_own);
    let kept = text.lines().filter(|line| !is_own(line)).fold(String::new(), |mut kept, line| {
        kept.push_str(line);
        kept.push('\n');
        kept
    });
    Ok((kept, existed))
}

/// Puts another list in the place of one, at once: a server that reads it meanwhile sees either.
fn replace(path: &Path, text: &str) -> Result<(), PasswdError> {
    let failed = |error| PasswdError::File { path: path.to_owned(), error };
    let mut name = path.file_name().unwrap_or_default().to_owned();
    name.push(".new");
    let new = path.with_file_name(name);
    let mut options = fs::OpenOptions::new();
    options.write(true).create(true).truncate(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    let mut file = options.open(&new).map_err(failed)?;
    if let Ok(before) = fs::metadata(path) {
        // Whoever could read the list shall be able to read the new one.
        file.set_permissions(before.permissions()).map_err(failed)?;
    }
    file.write_all(text.as_bytes()).and_then(|()| file.sync_all()).map_err(failed)?;
    fs::rename(&new, path).map_err(failed)
}

fn read_password() -> Result<String, PasswdError> {
    if !io::stdin().is_terminal() {
        return read_line().map_err(PasswdError::Password);
    }
    let silence = Silence::begin();
    let password = ask("Password: ")?;
    let repeated = ask("Again: ")?;
    drop(silence);
    if password == repeated { Ok(password) } else { Err(PasswdError::NotRepeated) }
}

fn ask(prompt: &str) -> Result<String, PasswdError> {
    let mut screen = io::stderr();
    let asked = write!(screen, "{prompt}").and_then(|()| screen.flush()).and_then(|()| read_line());
    let _ = writeln!(screen);
    asked.map_err(PasswdError::Password)
}

fn read_line() -> io::Result<String> {
    let mut line = String::new();
    io::stdin().lock().read_line(&mut line)?;
    line.truncate(line.trim_end_matches(['\r', '\n']).len());
    Ok(line)
}

/// While it lives, the terminal does not show what is typed.
struct Silence;

impl Silence {
    fn begin() -> Self {
        stty("-echo");
        Self
    }
}

impl Drop for Silence {
    fn drop(&mut self) {
        stty("echo");
    }
}

/// Without the tool the password shows while it is typed, which is no reason to refuse it.
fn stty(setting: &str) {
    let _ = Process::new("stty").arg(setting).stdin(Stdio::inherit()).stderr(Stdio::null()).status();
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_of_others_stay() {
        let directory = tempfile::tempdir().expect("a directory");
        let path = directory.path().join("users");
        let name = UserName::parse("lamp").expect("valid");
        assert_eq!(lines_without(&path, &name).expect("no file"), (String::new(), false));
        replace(&path, "# list\nlamp-2:a\n lamp:b:Cx\ndoor:c\n").expect("written");
        assert_eq!(lines_without(&path, &name).expect("read"), ("# list\nlamp-2:a\ndoor:c\n".into(), true));
        let names: Vec<_> = fs::read_dir(directory.path()).expect("read").flatten().map(|e| e.file_name()).collect();
        assert_eq!(names, ["users"]);
    }

    #[cfg(unix)]
    #[test]
    fn a_new_list_is_for_its_owner_only() {
        use std::os::unix::fs::PermissionsExt as _;
        let directory = tempfile::tempdir().expect("a directory");
        let path = directory.path().join("users");
        let mode = || fs::metadata(&path).expect("there").permissions().mode() & 0o777;
        replace(&path, "a:b\n").expect("written");
        assert_eq!(mode(), 0o600);
        fs::set_permissions(&path, fs::Permissions::from_mode(0o640)).expect("set");
        replace(&path, "a:c\n").expect("written");
        assert_eq!(mode(), 0o640, "as its owner has set it");
    }

    #[test]
    fn names_and_identifiers_are_checked_before_anything_is_asked() {
        let passwd = |name: &str, identifier: Option<&str>| Passwd {
            name: name.into(),
            identifier: identifier.map(Into::into),
            file: None,
            remove: false,
        };
        assert!(matches!(passwd("a:b", None).run(), Err(PasswdError::Name(_))));
        assert!(matches!(passwd("33-Cx", None).run(), Err(PasswdError::Name(_))));
        assert!(matches!(passwd("lamp", Some("lamp")).run(), Err(PasswdError::Identifier(_))));
    }
}
