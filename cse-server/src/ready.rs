//! `cse-server ready`: asks a running server whether it is ready.
//!
//! For health checks in images that have no other program to ask with. The configuration says where it is, so the check
//! takes the options and variables of the server itself.

use std::io::{self, Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

use crate::banner::local;
use crate::config::{Config, MonitoringListen};

/// Longest time for each step; a probe of the server takes two seconds at most.
const STEP_MAX: Duration = Duration::from_secs(4);
/// Most bytes of an answer that are looked at.
const ANSWER_BYTES_MAX: u64 = 64 << 10;

/// Why the server is not known to be ready. Each text is one line.
#[derive(Debug, thiserror::Error)]
pub(crate) enum NotReady {
    #[error("monitoring.listen: nothing listens that could be asked")]
    NowhereToAsk,
    #[error("nothing answers at {0}: {1}")]
    Silent(SocketAddr, io::Error),
    #[error("what answers at {0} is no cse-server")]
    NoHttp(SocketAddr),
    #[error("not ready: {0}")]
    Told(String),
}

/// Asks; gives the report of a server that is ready.
pub(crate) fn ask(config: &Config) -> Result<String, NotReady> {
    let address = local(address(config).ok_or(NotReady::NowhereToAsk)?);
    let answer = exchange(address).map_err(|error| NotReady::Silent(address, error))?;
    let Some((head, report)) = answer.split_once("\r\n\r\n") else {
        return Err(NotReady::NoHttp(address));
    };
    let mut words = head.split_whitespace();
    match (words.next().is_some_and(|version| version.starts_with("HTTP/1.")), words.next()) {
        (true, Some("200")) => Ok(report.to_owned()),
        (true, Some("503")) => Err(NotReady::Told(report.trim().replace(['\r', '\n'], " "))),
        _ => Err(NotReady::NoHttp(address)),
    }
}

fn address(config: &Config) -> Option<SocketAddr> {
    match config.monitoring.listen {
        MonitoringListen::At(address) => Some(address),
        MonitoringListen::Http => config.http.listen.address(),
        MonitoringListen::Off => None,
    }
}

fn exchange(address: SocketAddr) -> io::Result<String> {
    let mut stream = TcpStream::connect_timeout(&address, STEP_MAX)?;
    stream.set_read_timeout(Some(STEP_MAX))?;
    stream.set_write_timeout(Some(STEP_MAX))?;
    // Without chunks, which version 1.1 could have.
    let request = format!("GET /readyz HTTP/1.0\r\nHost: {address}\r\nConnection: close\r\n\r\n");
    stream.write_all(request.as_bytes())?;
    let mut answer = Vec::new();
    stream.take(ANSWER_BYTES_MAX).read_to_end(&mut answer)?;
    Ok(String::from_utf8_lossy(&answer).into_owned())
}

#[cfg(test)]
mod tests {
    use std::net::TcpListener;
    use std::thread;

    use super::*;
    use crate::config::{Given, Override, Source};

    fn configured(options: &[(&'static str, &str)]) -> Config {
        let given = |(key, value): &(&'static str, &str)| Override {
            key,
            source: Source::Flag("test"),
            value: (*value).to_owned(),
        };
        let given = Given { file: None, overrides: options.iter().map(given).collect() };
        Config::load(given).expect("valid")
    }

    /// What is made of an answer.
    fn of(answer: &'static str) -> Result<String, NotReady> {
        let listener = TcpListener::bind("127.0.0.1:0").expect("bound");
        let address = listener.local_addr().expect("an address");
        let serving = thread::spawn(move || {
            let (mut stream, _) = listener.accept().expect("a client");
            let mut request = [0; 512];
            let read = stream.read(&mut request).expect("a request");
            assert!(request[..read].starts_with(b"GET /readyz HTTP/1.0\r\n"));
            stream.write_all(answer.as_bytes()).expect("written");
        });
        let asked = ask(&configured(&[("monitoring.listen", &address.to_string())]));
        serving.join().expect("served");
        asked
    }

    #[test]
    fn the_status_says_it() {
        assert_eq!(of("HTTP/1.1 200 OK\r\na: b\r\n\r\n{}\n").expect("ready"), "{}\n");
        let refused = of("HTTP/1.0 503 Service Unavailable\r\n\r\n{\"status\":\"stopping\"}\n").expect_err("not ready");
        assert_eq!(refused.to_string(), "not ready: {\"status\":\"stopping\"}");
        for strange in ["", "SSH-2.0\r\n\r\n", "HTTP/1.1 404 Not Found\r\n\r\n", "HTTP/1.1 200 OK\r\n"] {
            assert!(matches!(of(strange), Err(NotReady::NoHttp(_))), "{strange}");
        }
    }

    #[test]
    fn the_place_is_that_of_the_probes() {
        for (http, probes, expected) in [
            ("127.0.0.1:8081", "http", Some("127.0.0.1:8081")),
            ("off", "http", None),
            ("127.0.0.1:8081", "off", None),
            ("off", "127.0.0.1:9090", Some("127.0.0.1:9090")),
        ] {
            let config = configured(&[("http.listen", http), ("monitoring.listen", probes)]);
            let found = address(&config).map(|address| address.to_string());
            assert_eq!(found.as_deref(), expected, "{http} {probes}");
        }
    }
}
