//! What a retrieve costs in the binding alone: requests on kept connections to a CSE that answers at once.
//!
//! The server runs on one thread; its processor time counts, so that the clients' does not matter.

use std::time::{Duration, Instant};

use cse_core::error::Rsc;
use cse_core::ports::Dispatch;
use cse_core::primitive::{Request, Response};
use cse_core::value::{Map, Value};
use cse_http::{HttpLimits, HttpOptions, router, serve};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::runtime::Builder;
use tokio::sync::watch;
use tokio::task::JoinSet;

const CONNECTIONS: usize = 32;
const SECONDS: u64 = 3;
const REQUEST: &[u8] = b"GET /~/id-in/cse-in/meter/readings/la?rcn=1 HTTP/1.1\r\nHost: 192.0.2.1:8080\r\n\
    X-M2M-Origin: CmeterApp\r\nX-M2M-RI: r-17\r\nX-M2M-RVI: 3\r\nAccept: application/json\r\n\r\n";

#[derive(Clone)]
struct Stub;

impl Dispatch for Stub {
    async fn dispatch(&self, request: Request) -> Response {
        let mut instance = Map::with_capacity(8);
        instance.push("rn", "cin_x1");
        instance.push("ty", 4_i64);
        instance.push("ri", "4-x1");
        instance.push("pi", "3-a7");
        instance.push("ct", "20260102T030405,000006");
        instance.push("lt", "20260102T030405,000006");
        instance.push("con", "21.5");
        instance.push("lbl", Value::text_list(["a", "b"]));
        let mut response = Response::new(Rsc::Ok, request.request_identifier);
        response.release_version = request.release_version;
        response.content = Some(Map::single("m2m:cin", instance));
        response
    }
}

/// Processor time of this thread, where the system tells.
fn processor_time() -> Option<Duration> {
    let text = std::fs::read_to_string("/proc/thread-self/schedstat").ok()?;
    text.split(' ').next()?.parse().ok().map(Duration::from_nanos)
}

fn main() {
    let (address_tx, address) = std::sync::mpsc::channel();
    let (stop, stopped) = watch::channel(false);
    let server = std::thread::spawn(move || {
        Builder::new_current_thread().enable_all().build().expect("a runtime").block_on(async {
            let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
            address_tx.send(listener.local_addr().expect("an address")).expect("a receiver");
            serve(listener, router(Stub, HttpOptions::new(|_| false)), HttpLimits::default(), stopped).await;
        });
        processor_time()
    });
    let address = address.recv().expect("the server starts");
    let start = Instant::now();
    let requests: u64 = Builder::new_current_thread().enable_all().build().expect("a runtime").block_on(async {
        let mut clients = JoinSet::new();
        for _ in 0..CONNECTIONS {
            clients.spawn(async move {
                let mut stream = TcpStream::connect(address).await.expect("connected");
                let mut buffer = vec![0; 4096];
                let mut count = 0;
                while start.elapsed() < Duration::from_secs(SECONDS) {
                    stream.write_all(REQUEST).await.expect("sent");
                    let read = stream.read(&mut buffer).await.expect("answered");
                    assert!(buffer[..read].starts_with(b"HTTP/1.1 200"), "{:?}", String::from_utf8_lossy(&buffer));
                    count += 1;
                }
                count
            });
        }
        clients.join_all().await.into_iter().sum()
    });
    stop.send(true).expect("the server runs");
    let time = server.join().expect("no panic");
    println!("{requests} retrieves in {SECONDS} s: {} per second", requests / SECONDS);
    if let Some(time) = time {
        let each = time.as_secs_f64() / requests as f64;
        println!("{:.1} us of processor time each: {:.0} per second on one core", each * 1e6, 1.0 / each);
    }
}
