//! What the tests of TLS and WebSocket share: an authority, listeners of every kind, and ways to them.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;

use cse_mqtt::transport::{ClientCertificates, Listener, ServerTls, ServerTlsFiles, WebSocketOptions};
use rcgen::string::Ia5String;
use rcgen::{BasicConstraints, CertificateParams, DistinguishedName, DnType, IsCa, Issuer, KeyPair, SanType};
use rustls::version::{TLS12, TLS13};
use rustls::{ClientConfig, RootCertStore, SupportedProtocolVersion};
use rustls_pki_types::{CertificateDer, PrivateKeyDer, PrivatePkcs8KeyDer, ServerName};
use tempfile::TempDir;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;
use tokio_tungstenite::tungstenite::client::IntoClientRequest;
use tokio_tungstenite::{WebSocketStream, client_async};

use crate::harness::*;

pub(crate) const VERSIONS: [&SupportedProtocolVersion; 2] = [&TLS12, &TLS13];

/// An authority, and the files of a server that it vouches for.
pub(crate) struct Authority {
    issuer: Issuer<'static, KeyPair>,
    certificate: CertificateDer<'static>,
    directory: TempDir,
}

/// Who a client says it is.
pub(crate) struct Shown {
    pub(crate) chain: Vec<CertificateDer<'static>>,
    key: Vec<u8>,
}

fn subject(name: &str) -> CertificateParams {
    let mut params = CertificateParams::default();
    params.distinguished_name = DistinguishedName::new();
    params.distinguished_name.push(DnType::CommonName, name);
    params
}

impl Authority {
    pub(crate) fn new() -> Self {
        let mut params = subject("authority");
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let key = KeyPair::generate().expect("a key");
        let certificate = params.self_signed(&key).expect("a certificate");
        let authority = Self {
            issuer: Issuer::new(params, key),
            certificate: certificate.der().clone(),
            directory: tempfile::tempdir().expect("a directory"),
        };
        let mut server = subject("server");
        server.subject_alt_names = vec![SanType::DnsName("localhost".try_into().expect("a name"))];
        let key = KeyPair::generate().expect("a key");
        let served = server.signed_by(&key, &authority.issuer).expect("a certificate");
        for (name, text) in
            [("ca.pem", certificate.pem()), ("server.pem", served.pem()), ("server.key", key.serialize_pem())]
        {
            std::fs::write(authority.path(name), text).expect("written");
        }
        authority
    }

    fn path(&self, name: &str) -> PathBuf {
        self.directory.path().join(name)
    }

    pub(crate) fn client(&self, name: &str, uris: &[&str]) -> Shown {
        let mut params = subject(name);
        let uri = |uri: &&str| SanType::URI(Ia5String::try_from(*uri).expect("ASCII"));
        params.subject_alt_names = uris.iter().map(uri).collect();
        let key = KeyPair::generate().expect("a key");
        let certificate = params.signed_by(&key, &self.issuer).expect("a certificate");
        Shown { chain: vec![certificate.der().clone()], key: key.serialize_der() }
    }

    pub(crate) fn server_tls(&self, client_certificates: ClientCertificates) -> Arc<ServerTls> {
        let files = ServerTlsFiles {
            certificate: self.path("server.pem"),
            key: self.path("server.key"),
            client_certificates,
            client_ca: Some(self.path("ca.pem")),
        };
        Arc::new(ServerTls::load(files).expect("usable files"))
    }

    pub(crate) async fn connect(
        &self,
        address: SocketAddr,
        shown: Option<&Shown>,
        version: &'static SupportedProtocolVersion,
    ) -> std::io::Result<TlsStream<TcpStream>> {
        let mut roots = RootCertStore::empty();
        roots.add(self.certificate.clone()).expect("an authority");
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let builder = ClientConfig::builder_with_provider(provider).with_protocol_versions(&[version]).expect("TLS");
        let builder = builder.with_root_certificates(roots);
        let config = match shown {
            None => builder.with_no_client_auth(),
            Some(Shown { chain, key }) => {
                let key = PrivateKeyDer::Pkcs8(PrivatePkcs8KeyDer::from(key.clone()));
                builder.with_client_auth_cert(chain.clone(), key).expect("usable")
            }
        };
        let stream = TcpStream::connect(address).await?;
        stream.set_nodelay(true)?;
        let name = ServerName::try_from("localhost").expect("a name");
        TlsConnector::from(Arc::new(config)).connect(name, stream).await
    }
}

/// One more listener of a broker, serving until the broker's own stops.
pub(crate) async fn listen(
    broker: &TestBroker,
    make: impl FnOnce(Listener) -> Listener,
) -> (SocketAddr, tokio::task::JoinHandle<()>) {
    let listener = make(TcpListener::bind("127.0.0.1:0").await.expect("a free port").into());
    let address = listener.local_addr().expect("bound");
    let (serving, stop): (_, watch::Receiver<bool>) = (broker.broker.clone(), broker.stop.subscribe());
    (address, tokio::spawn(async move { serving.serve(listener, stop, DRAIN).await }))
}

/// Listeners of the four kinds, plain TCP first.
pub(crate) async fn all_kinds(broker: &TestBroker, authority: &Authority) -> [SocketAddr; 4] {
    let tls = || authority.server_tls(ClientCertificates::None);
    let (secure, _) = listen(broker, |listener| listener.with_tls(tls())).await;
    let (websocket, _) = listen(broker, |listener| listener.with_websocket(WebSocketOptions::default())).await;
    let both = |listener: Listener| listener.with_tls(tls()).with_websocket(WebSocketOptions::default());
    let (both, _) = listen(broker, both).await;
    [broker.address, secure, websocket, both]
}

/// Makes a WebSocket of a connection, with a library that is not ours.
pub(crate) async fn websocket<S>(stream: S) -> WebSocketStream<S>
where
    S: tokio::io::AsyncRead + tokio::io::AsyncWrite + Unpin,
{
    let mut request = "ws://localhost/mqtt".into_client_request().expect("a request");
    request.headers_mut().insert("Sec-WebSocket-Protocol", "mqtt".parse().expect("a value"));
    within(client_async(request, stream)).await.expect("accepted").0
}
