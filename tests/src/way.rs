//! How a client gets to a broker of this machine: the port, and what TLS needs.

use rumqttc::Transport;

use crate::certificates::Certificates;

/// See the module.
#[derive(Clone, Debug)]
pub struct Way {
    port: u16,
    tls: Option<Tls>,
    /// User name and password.
    login: Option<(String, String)>,
}

#[derive(Clone, Debug)]
struct Tls {
    /// Files: the authority that is believed, and the client's certificate and key.
    authority: String,
    identity: Option<[String; 2]>,
    /// The same as they are, since the files may be gone when a client comes back.
    authority_pem: Vec<u8>,
    identity_pem: Option<(Vec<u8>, Vec<u8>)>,
}

impl Way {
    /// Without TLS.
    pub fn plain(port: u16) -> Self {
        Self { port, tls: None, login: None }
    }

    /// With TLS, where these certificates are believed.
    pub fn tls(port: u16, certificates: &Certificates) -> Self {
        let (authority, authority_pem) = (certificates.text("ca.pem"), certificates.read("ca.pem"));
        let tls = Tls { authority, identity: None, authority_pem, identity_pem: None };
        Self { port, tls: Some(tls), login: None }
    }

    /// With TLS and the client certificate `stem.pem`.
    pub fn mutual(port: u16, certificates: &Certificates, stem: &str) -> Self {
        let mut way = Self::tls(port, certificates);
        if let Some(tls) = &mut way.tls {
            let files = [format!("{stem}.pem"), format!("{stem}.key")];
            tls.identity_pem = Some((certificates.read(&files[0]), certificates.read(&files[1])));
            tls.identity = Some(files.map(|file| certificates.text(&file)));
        }
        way
    }

    /// With user name and password.
    #[must_use]
    pub fn with_login(mut self, username: &str, password: &str) -> Self {
        self.login = Some((username.into(), password.into()));
        self
    }

    /// User name and password, if there are any.
    pub fn login(&self) -> Option<(&str, &str)> {
        self.login.as_ref().map(|(username, password)| (username.as_str(), password.as_str()))
    }

    /// The port.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// The host, by a name that certificates have.
    pub fn host(&self) -> &'static str {
        if self.tls.is_some() { "localhost" } else { "127.0.0.1" }
    }

    /// The same for the library of [`crate::mqtt::Entity`].
    pub fn transport(&self) -> Transport {
        match &self.tls {
            None => Transport::Tcp,
            Some(tls) => Transport::tls(tls.authority_pem.clone(), tls.identity_pem.clone(), None),
        }
    }

    /// The same for the mosquitto tools.
    pub fn mosquitto_arguments(&self) -> Vec<String> {
        let mut arguments = vec!["-h".to_owned(), self.host().into(), "-p".into(), self.port.to_string()];
        if let Some(tls) = &self.tls {
            arguments.extend(["--cafile".into(), tls.authority.clone()]);
            if let Some([certificate, key]) = &tls.identity {
                arguments.extend(["--cert".into(), certificate.clone(), "--key".into(), key.clone()]);
            }
        }
        arguments
    }
}
