//! Throw-away certificates, made by the binary itself.

use std::path::{Path, PathBuf};
use std::process::Command;

use rcgen::{CertificateParams, DistinguishedName, DnType, ExtendedKeyUsagePurpose, Issuer, KeyPair};
use tempfile::TempDir;

use crate::binary;

/// A directory with an authority, a server certificate for this machine, and what was asked for beside it.
#[derive(Debug)]
pub struct Certificates(TempDir);

impl Certificates {
    /// An authority, a server certificate, and a certificate for each of these clients.
    pub fn with_clients(clients: &[&str]) -> Self {
        let arguments: Vec<&str> = clients.iter().flat_map(|client| ["--client", client]).collect();
        Self::with(&arguments)
    }

    /// As `certs dev` makes them with these arguments.
    ///
    /// # Panics
    /// If it refuses.
    pub fn with(arguments: &[&str]) -> Self {
        let certificates = Self(tempfile::tempdir().expect("a directory"));
        certificates.add(arguments);
        certificates
    }

    /// More of the same authority.
    ///
    /// # Panics
    /// If the binary refuses.
    pub fn add(&self, arguments: &[&str]) {
        let mut command = Command::new(binary::cse_server());
        command.env_clear().args(["certs", "dev", "--out"]).arg(self.0.path()).args(arguments);
        let ran = command.output().expect("the binary runs");
        assert!(ran.status.success(), "{}", String::from_utf8_lossy(&ran.stderr));
    }

    /// Puts a server certificate in place that is for that host and no other.
    ///
    /// # Panics
    /// If it cannot be made.
    pub fn serve_only(&self, host: &str) {
        let authority = String::from_utf8(self.read("ca.key")).expect("PEM");
        let authority = KeyPair::from_pem(&authority).expect("a key");
        let mut issuer = CertificateParams::default();
        issuer.distinguished_name = name("cse-server throw-away authority");
        let issuer = Issuer::new(issuer, authority);
        let mut params = CertificateParams::new([host.to_owned()]).expect("a host name");
        params.distinguished_name = name(host);
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
        let key = KeyPair::generate().expect("a key");
        let certificate = params.signed_by(&key, &issuer).expect("a certificate");
        self.write("server.pem", certificate.pem().as_bytes());
        self.write("server.key", key.serialize_pem().as_bytes());
    }

    /// Replaces a file.
    ///
    /// # Panics
    /// If that fails.
    pub fn write(&self, name: &str, content: &[u8]) {
        std::fs::write(self.path(name), content).expect("written");
    }

    /// The directory.
    pub fn directory(&self) -> &Path {
        self.0.path()
    }

    /// A file, like `ca.pem`.
    pub fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    /// The same as text.
    pub fn text(&self, name: &str) -> String {
        self.path(name).display().to_string()
    }

    /// What a file has.
    ///
    /// # Panics
    /// If it is not there.
    pub fn read(&self, name: &str) -> Vec<u8> {
        std::fs::read(self.path(name)).expect("readable")
    }

    /// The arguments that make a server listen with TLS: on which addresses is up to the caller.
    pub fn server_arguments(&self) -> Vec<String> {
        ["--mqtt-tls-certificate", &self.text("server.pem"), "--mqtt-tls-key", &self.text("server.key")]
            .map(str::to_owned)
            .to_vec()
    }

    /// The arguments that make it ask clients for certificates, `required` or `optional`.
    pub fn client_arguments(&self, mode: &str) -> Vec<String> {
        ["--mqtt-tls-client-ca", &self.text("ca.pem"), "--mqtt-tls-client-certificates", mode]
            .map(str::to_owned)
            .to_vec()
    }
}

fn name(text: &str) -> DistinguishedName {
    let mut name = DistinguishedName::new();
    name.push(DnType::CommonName, text);
    name
}
