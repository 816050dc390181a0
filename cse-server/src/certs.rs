//! `cse-server certs dev`: a throw-away authority with certificates for trying TLS.
//!
//! Nothing that exists is overwritten: an authority that is there is used again, so that clients can be added.

use std::fmt::Write as _;
use std::fs::{self, DirBuilder, OpenOptions};
use std::io::{self, Write as _};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use clap::{Arg, ArgAction, ArgMatches, Command};
use rcgen::string::Ia5String;
use rcgen::{
    BasicConstraints, CertificateParams, DistinguishedName, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair,
    KeyUsagePurpose, SanType,
};

/// Names of this machine, always in the server's certificate.
const LOCAL_NAMES: [&str; 3] = ["localhost", "127.0.0.1", "::1"];
/// The subject of every throw-away authority.
const AUTHORITY: &str = "cse-server throw-away authority";
const DAY: Duration = Duration::from_secs(24 * 60 * 60);
/// Longest validity, in days.
const DAYS_MAX: u32 = 3_650;

/// What to make.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) struct DevCertificates {
    directory: PathBuf,
    hosts: Vec<String>,
    clients: Vec<String>,
    days: u32,
}

/// Why it could not be made.
#[derive(Debug, thiserror::Error)]
pub(crate) enum CertsError {
    #[error("{path}: {error}", path = .0.display(), error = .1)]
    File(PathBuf, io::Error),
    #[error("{} exists, and is not overwritten", .0.display())]
    Exists(PathBuf),
    #[error("{} is there, but {} is not: use another directory", .0.display(), .1.display())]
    HalfAuthority(PathBuf, PathBuf),
    #[error("'{0}' is no name for a certificate")]
    Name(String),
    #[error("cannot make a certificate: {0}")]
    Rcgen(#[from] rcgen::Error),
}

/// The command line of it.
pub(crate) fn command() -> Command {
    let dev = Command::new("dev")
        .about("Make a throw-away authority, a server certificate and client certificates, to try TLS with")
        .arg(
            Arg::new("out")
                .long("out")
                .value_name("DIR")
                .default_value("cse-certs")
                .value_parser(clap::value_parser!(PathBuf))
                .help("Where to put them; an authority that is there is used again"),
        )
        .arg(
            Arg::new("host")
                .long("host")
                .value_name("NAME")
                .action(ArgAction::Append)
                .help("Host name or address of the server, beside localhost; may be given several times"),
        )
        .arg(
            Arg::new("client")
                .long("client")
                .value_name("NAME|URI")
                .action(ArgAction::Append)
                .help("Client to make a certificate for, by its name or a URI; may be given several times"),
        )
        .arg(
            Arg::new("days")
                .long("days")
                .value_name("N")
                .default_value("365")
                .value_parser(clap::value_parser!(u32).range(0..=i64::from(DAYS_MAX)))
                .help("How long they are valid; 0 for certificates that have expired, to see what happens then"),
        );
    Command::new("certs").about("Certificates for trying TLS").subcommand_required(true).subcommand(dev)
}

impl DevCertificates {
    /// From the matches of [`command`].
    pub(crate) fn from_matches(matches: &ArgMatches) -> Self {
        let matches = matches.subcommand_matches("dev").unwrap_or(matches);
        let texts = |name| matches.get_many::<String>(name).into_iter().flatten().cloned().collect();
        Self {
            directory: matches.get_one::<PathBuf>("out").cloned().unwrap_or_default(),
            hosts: texts("host"),
            clients: texts("client"),
            days: matches.get_one::<u32>("days").copied().unwrap_or(DAYS_MAX),
        }
    }

    /// Makes the files; what was made and what to do with it.
    ///
    /// # Errors
    /// [`CertsError`]; files made before the error stay.
    pub(crate) fn make(&self) -> Result<String, CertsError> {
        let stems = self.clients.iter().map(|client| file_stem(client)).collect::<Result<Vec<_>, _>>()?;
        let names = LOCAL_NAMES.into_iter().chain(self.hosts.iter().map(String::as_str));
        let names = names.map(alternative_name).collect::<Result<_, _>>()?;
        let directory = &self.directory;
        let made = DirBuilder::new().recursive(true).mode(0o700).create(directory);
        made.map_err(|error| CertsError::File(directory.clone(), error))?;
        let mut files = Files { directory, made: Vec::new() };
        let authority = self.authority(&mut files)?;
        if !self.hosts.is_empty() || !files.path("server", "pem").exists() {
            self.issue(&authority, "server", "localhost", names, ExtendedKeyUsagePurpose::ServerAuth, &mut files)?;
        }
        for (client, stem) in self.clients.iter().zip(&stems) {
            let names = if is_uri(client) { vec![SanType::URI(ia5(client)?)] } else { Vec::new() };
            self.issue(&authority, stem, client, names, ExtendedKeyUsagePurpose::ClientAuth, &mut files)?;
        }
        Ok(self.explain(&files, self.clients.first().zip(stems.first())))
    }

    /// The authority in the directory, or a new one.
    fn authority(&self, files: &mut Files<'_>) -> Result<Issuer<'static, KeyPair>, CertsError> {
        let mut params = CertificateParams::default();
        params.distinguished_name = common_name(AUTHORITY);
        params.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
        params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
        let (certificate, key) = (files.path("ca", "pem"), files.path("ca", "key"));
        match (certificate.exists(), key.exists()) {
            (true, true) => {
                let text = fs::read_to_string(&key).map_err(|error| CertsError::File(key.clone(), error))?;
                return Ok(Issuer::new(params, KeyPair::from_pem(&text)?));
            }
            (true, false) => return Err(CertsError::HalfAuthority(certificate, key)),
            (false, true) => return Err(CertsError::HalfAuthority(key, certificate)),
            (false, false) => {}
        }
        // Outlives whatever it issues, so that what expires is what was meant to.
        let now = SystemTime::now();
        params.not_before = (now - DAY).into();
        params.not_after = (now + DAY * DAYS_MAX + DAY).into();
        let pair = KeyPair::generate()?;
        let authority = params.self_signed(&pair)?;
        files.write("ca", &authority.pem(), &pair)?;
        Ok(Issuer::new(params, pair))
    }

    fn issue(
        &self,
        authority: &Issuer<'static, KeyPair>,
        stem: &str,
        subject: &str,
        names: Vec<SanType>,
        usage: ExtendedKeyUsagePurpose,
        files: &mut Files<'_>,
    ) -> Result<(), CertsError> {
        let mut params = CertificateParams::default();
        params.distinguished_name = common_name(subject);
        params.subject_alt_names = names;
        params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
        params.extended_key_usages = vec![usage];
        params.use_authority_key_identifier_extension = true;
        let now = SystemTime::now();
        // Clocks of devices are often a little behind.
        params.not_before = (now - DAY).into();
        params.not_after = if self.days == 0 { now - DAY / 2 } else { now + DAY * self.days }.into();
        let pair = KeyPair::generate()?;
        let certificate = params.signed_by(&pair, authority)?;
        files.write(stem, &certificate.pem(), &pair)
    }

    fn explain(&self, files: &Files<'_>, client: Option<(&String, &String)>) -> String {
        let directory = self.directory.display();
        let mut text = String::new();
        for path in &files.made {
            let _ = writeln!(text, "made {}", path.display());
        }
        if files.made.is_empty() {
            let _ = writeln!(text, "everything was there already");
        }
        let _ = write!(
            text,
            "\nThese are for trying only: whoever can read {directory}/ca.key can pretend to be anybody.\n\n\
             Start the server with TLS:\n\
             \x20 cse-server --mqtt-tls 127.0.0.1:8883 --mqtt-tls-certificate {directory}/server.pem \
             --mqtt-tls-key {directory}/server.key"
        );
        if client.is_some() {
            let _ = write!(text, " --mqtt-tls-client-ca {directory}/ca.pem --mqtt-tls-client-certificates required");
        }
        let _ =
            write!(text, "\nConnect a client:\n\x20 mosquitto_sub -h localhost -p 8883 --cafile {directory}/ca.pem");
        match client {
            // Under the identity of its certificate, which the broker insists on.
            Some((name, stem)) => {
                let level = name.trim_start_matches('/').replace('/', ":");
                let _ = write!(
                    text,
                    " --cert {directory}/{stem}.pem --key {directory}/{stem}.key -i '{name}' -t '/oneM2M/reg_resp/{level}/#'"
                );
            }
            None => text.push_str(" -t '/oneM2M/resp/CAdmin/#'"),
        }
        text.push('\n');
        text
    }
}

/// The directory, and what was put into it.
struct Files<'a> {
    directory: &'a Path,
    made: Vec<PathBuf>,
}

impl Files<'_> {
    fn path(&self, stem: &str, extension: &str) -> PathBuf {
        self.directory.join(format!("{stem}.{extension}"))
    }

    fn write(&mut self, stem: &str, certificate: &str, pair: &KeyPair) -> Result<(), CertsError> {
        let (certificate_path, key_path) = (self.path(stem, "pem"), self.path(stem, "key"));
        if let Some(there) = [&certificate_path, &key_path].into_iter().find(|path| path.exists()) {
            return Err(CertsError::Exists(there.clone()));
        }
        self.write_one(key_path, &pair.serialize_pem(), 0o600)?;
        self.write_one(certificate_path, certificate, 0o644)
    }

    fn write_one(&mut self, path: PathBuf, text: &str, mode: u32) -> Result<(), CertsError> {
        let opened = OpenOptions::new().write(true).create_new(true).mode(mode).open(&path);
        let written = opened.and_then(|mut file| file.write_all(text.as_bytes()));
        match written {
            Ok(()) => {
                self.made.push(path);
                Ok(())
            }
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => Err(CertsError::Exists(path)),
            Err(error) => Err(CertsError::File(path, error)),
        }
    }
}

fn common_name(text: &str) -> DistinguishedName {
    let mut name = DistinguishedName::new();
    name.push(DnType::CommonName, text);
    name
}

fn alternative_name(host: &str) -> Result<SanType, CertsError> {
    match host.trim_matches(['[', ']']).parse() {
        Ok(address) => Ok(SanType::IpAddress(address)),
        Err(_) => Ok(SanType::DnsName(ia5(host)?)),
    }
}

fn ia5(text: &str) -> Result<Ia5String, CertsError> {
    Ia5String::try_from(text).map_err(|_| CertsError::Name(text.to_owned()))
}

/// Whether a client's name is a URI: with a scheme, as `//cse.example/Csensor` or a bare name have none.
fn is_uri(client: &str) -> bool {
    url::Url::parse(client).is_ok()
}

/// A file name for a client's name: its letters and digits, which no other name of the same call should share.
fn file_stem(client: &str) -> Result<String, CertsError> {
    let parts = client.split(|c: char| !c.is_ascii_alphanumeric()).filter(|part| !part.is_empty());
    let stem = parts.collect::<Vec<_>>().join("-");
    if stem.is_empty() || ["ca", "server"].contains(&stem.to_ascii_lowercase().as_str()) {
        return Err(CertsError::Name(client.to_owned()));
    }
    Ok(stem)
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    fn wanted(directory: &Path, hosts: &[&str], clients: &[&str]) -> DevCertificates {
        let owned = |texts: &[&str]| texts.iter().map(|text| (*text).to_owned()).collect();
        DevCertificates { directory: directory.join("certs"), hosts: owned(hosts), clients: owned(clients), days: 1 }
    }

    #[test]
    fn keys_are_for_the_owner_alone_and_nothing_is_overwritten() {
        let directory = tempfile::tempdir().expect("a directory");
        let text = wanted(directory.path(), &[], &["Csensor"]).make().expect("made");
        assert!(text.contains("--mqtt-tls-certificate") && text.contains("Csensor.key"), "{text}");
        let read = |name: &str| fs::read_to_string(directory.path().join("certs").join(name)).expect("readable");
        for name in ["ca", "server", "Csensor"] {
            let key = directory.path().join("certs").join(format!("{name}.key"));
            assert_eq!(fs::metadata(key).expect("there").permissions().mode() & 0o777, 0o600, "{name}");
            assert!(!text.contains(&read(&format!("{name}.key"))), "{text}");
        }
        let before = ["ca.pem", "ca.key", "server.pem", "Csensor.pem"].map(read);

        // Another client of the same authority.
        wanted(directory.path(), &[], &["https://sensors.example/17"]).make().expect("made");
        assert!(read("https-sensors-example-17.pem").contains("BEGIN CERTIFICATE"));
        for again in [wanted(directory.path(), &[], &["Csensor"]), wanted(directory.path(), &["cse.example"], &[])] {
            assert!(matches!(again.make(), Err(CertsError::Exists(_))));
        }
        assert_eq!(["ca.pem", "ca.key", "server.pem", "Csensor.pem"].map(read), before);

        fs::remove_file(directory.path().join("certs/ca.key")).expect("removed");
        assert!(matches!(wanted(directory.path(), &[], &["Cx"]).make(), Err(CertsError::HalfAuthority(..))));
    }

    #[test]
    fn names_that_are_none_are_refused() {
        let directory = tempfile::tempdir().expect("a directory");
        for client in ["", "/", "ca", "Server"] {
            assert!(matches!(wanted(directory.path(), &[], &[client]).make(), Err(CertsError::Name(_))), "{client}");
        }
        assert!(matches!(
            wanted(directory.path(), &["späße.example"], &[]).make(),
            Err(CertsError::Name(_) | CertsError::Exists(_))
        ));
    }
}
