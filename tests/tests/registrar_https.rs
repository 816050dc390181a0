//! A registrar that is reached over HTTPS and wants to know who comes: by a certificate, and by name and password. Before
//! its HTTP listener stands what does TLS for it, as in front of any server.

use std::sync::Arc;

use cse_tests::certificates::Certificates;
use cse_tests::gateways::{gateway, registered, resource, uplink};
use cse_tests::http::Http;
use cse_tests::server::{Launch, Server};
use cse_tests::wait::until_some;
use parking_lot::Mutex;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::server::WebPkiClientVerifier;
use rustls::{RootCertStore, ServerConfig};
use serde_json::json;
use tokio::io::{AsyncReadExt, AsyncWriteExt, copy_bidirectional};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;
use tokio_rustls::TlsAcceptor;

/// `middle:three`
const EXPECTED: &str = "authorization: basic bwlkzgxlonrocmvl";

/// What does TLS before a server: it lets in who has a certificate of the authority, and of these who says the password.
struct Front {
    port: u16,
    seen: Arc<Mutex<Seen>>,
    _tasks: JoinSet<()>,
}

#[derive(Debug, Default)]
struct Seen {
    strangers: usize,
    unauthorized: usize,
    served: usize,
}

impl Front {
    async fn start(certificates: &Certificates, server: &Server) -> Self {
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let mut roots = RootCertStore::empty();
        roots.add(CertificateDer::from_pem_slice(&certificates.read("ca.pem")).expect("PEM")).expect("an authority");
        let verifier = WebPkiClientVerifier::builder_with_provider(Arc::new(roots), Arc::clone(&provider));
        let chain =
            CertificateDer::pem_slice_iter(&certificates.read("server.pem")).map(|one| one.expect("PEM")).collect();
        let key = PrivateKeyDer::from_pem_slice(&certificates.read("server.key")).expect("PEM");
        let config = ServerConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .expect("versions")
            .with_client_cert_verifier(verifier.build().expect("a verifier"))
            .with_single_cert(chain, key)
            .expect("a certificate");
        let acceptor = TlsAcceptor::from(Arc::new(config));
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let port = listener.local_addr().expect("an address").port();
        let (seen, behind) = (Arc::<Mutex<Seen>>::default(), server.http());
        let counted = Arc::clone(&seen);
        let mut tasks = JoinSet::new();
        tasks.spawn(async move {
            let mut connections = JoinSet::new();
            while let Ok((stream, _)) = listener.accept().await {
                let (acceptor, seen) = (acceptor.clone(), Arc::clone(&counted));
                connections.spawn(async move {
                    let Ok(mut secured) = acceptor.accept(stream).await else {
                        seen.lock().strangers += 1;
                        return;
                    };
                    let mut head = Vec::new();
                    while !head.ends_with(b"\r\n\r\n") {
                        let Ok(byte) = secured.read_u8().await else {
                            // With TLS 1.3 a client hears only now that its certificate will not do.
                            seen.lock().strangers += 1;
                            return;
                        };
                        head.push(byte);
                    }
                    if !String::from_utf8_lossy(&head).to_lowercase().contains(EXPECTED) {
                        seen.lock().unauthorized += 1;
                        let _ = secured.write_all(b"HTTP/1.1 401 Unauthorized\r\nContent-Length: 0\r\n\r\n").await;
                        let _ = secured.shutdown().await;
                        return;
                    }
                    seen.lock().served += 1;
                    let mut plain = TcpStream::connect(behind).await.expect("the server is there");
                    plain.write_all(&head).await.expect("sent");
                    let _ = copy_bidirectional(&mut secured, &mut plain).await;
                });
            }
        });
        Self { port, seen, _tasks: tasks }
    }
}

#[tokio::test]
async fn a_gateway_is_known_to_its_registrar_over_https() {
    let certificates = Certificates::with_clients(&["m2m://cse.example/id-mn"]);
    let infrastructure = Launch::default().start();
    let front = Front::start(&certificates, &infrastructure).await;
    let point = format!("https://localhost:{}", front.port);
    let trust = format!("trusted-certificates = '{}'\n", certificates.text("ca.pem"));
    let certificate = format!(
        "client-certificate = '{}'\nclient-key = '{}'\n",
        certificates.text("m2m-cse-example-id-mn.pem"),
        certificates.text("m2m-cse-example-id-mn.key"),
    );
    let login = |password: &str| format!("username = \"middle\"\npassword = \"{password}\"\n");
    let down = async |options: String| {
        let mn = gateway("mn", "in", &point, &options).start();
        until_some("a failure", async || {
            let report = uplink(&mn).await.1;
            report["problem"].as_str().filter(|problem| !problem.starts_with("not registered yet")).map(str::to_owned)
        })
        .await
    };
    // Without its authority, without a certificate, and without the password.
    let problem = down(login("three")).await;
    assert!(problem.to_lowercase().contains("certificate"), "{problem}");
    let problem = down(format!("{trust}{}", login("three"))).await;
    assert!(!problem.is_empty());
    assert!(front.seen.lock().strangers > 0, "{:?}", front.seen);
    let problem = down(format!("{trust}{certificate}{}", login("thrice"))).await;
    assert!(problem.contains("4101") || problem.contains("4103") || problem.contains("5103"), "{problem}");
    {
        let seen = front.seen.lock();
        assert!(seen.served == 0 && seen.unauthorized > 0, "{seen:?}");
    }
    Http::new(infrastructure.http(), "CAdmin").get("/cse-in/id-mn").await.expect(4004);

    let mn = gateway("mn", "in", &point, &format!("{trust}{certificate}{}", login("three"))).start();
    registered(&mn).await;
    assert_eq!(resource(&infrastructure, "/cse-in/id-mn").await["csi"], "/id-mn");
    // What an AE asks of the infrastructure goes the same way.
    let below = Http::new(mn.http(), "Cbelow");
    let ae = json!({"m2m:ae": {"rn": "below", "api": "Napp", "rr": false, "srv": ["3"]}});
    below.create("/cse-mn", 2, &ae).await.expect(2001);
    below.get("/~/id-in/cse-in/nothing").await.expect(4004);
    assert!(!mn.log().text().contains("three") && !mn.log().text().contains("bWlkZGxl"), "{}", mn.log().text());
}

#[tokio::test]
async fn a_renewed_certificate_is_used_without_a_restart() {
    let certificates = Certificates::with_clients(&["m2m://cse.example/id-mn"]);
    let infrastructure = Launch::default().start();
    let front = Front::start(&certificates, &infrastructure).await;
    // One of another authority, which will not do.
    let wrong = Certificates::with_clients(&["m2m://cse.example/id-mn"]);
    let own = tempfile::tempdir().expect("a directory");
    let copy = |from: &Certificates| {
        for (file, name) in [("pem", "own.pem"), ("key", "own.key")] {
            std::fs::write(own.path().join(name), from.read(&format!("m2m-cse-example-id-mn.{file}")))
                .expect("written");
        }
    };
    copy(&wrong);
    let options = format!(
        "username = \"middle\"\npassword = \"three\"\ntrusted-certificates = '{}'\nclient-certificate = '{}'\n\
         client-key = '{}'",
        certificates.text("ca.pem"),
        own.path().join("own.pem").display(),
        own.path().join("own.key").display(),
    );
    let mn = gateway("mn", "in", &format!("https://localhost:{}", front.port), &options).start();
    until_some("a refusal", async || (front.seen.lock().strangers > 0).then_some(())).await;
    assert_ne!(uplink(&mn).await.1["state"], "up");
    copy(&certificates);
    registered(&mn).await;
}
