//! A connection to a broker, down to its bytes: TCP or TLS, MQTT 3.1.1.

use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;

use bytes::BytesMut;
use rumqttc::QoS;
use rumqttc::mqttbytes::v4::{Connect, Packet, Subscribe};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::rustls::pki_types::pem::PemObject;
use tokio_rustls::rustls::pki_types::{CertificateDer, ServerName};
use tokio_rustls::rustls::{ClientConfig, RootCertStore};

use crate::Result;

pub(crate) const PUBLISH: u8 = 3;
pub(crate) const PUBACK: u8 = 4;
/// PUBLISH with QoS 1.
const PUBLISH_AT_LEAST_ONCE: u8 = PUBLISH << 4 | 2;

trait Stream: AsyncRead + AsyncWrite + Unpin {}
impl<T: AsyncRead + AsyncWrite + Unpin> Stream for T {}

/// Where a broker listens, and how one gets in.
#[derive(Clone)]
pub(crate) struct Door {
    address: SocketAddr,
    tls: Option<TlsConnector>,
}

impl Door {
    pub(crate) fn tcp(address: SocketAddr) -> Self {
        Self { address, tls: None }
    }

    /// With TLS; the server's certificate comes from the authority in that file.
    pub(crate) fn tls(address: SocketAddr, authority: &Path) -> Result<Self> {
        let mut roots = RootCertStore::empty();
        roots.add(CertificateDer::from_pem_file(authority)?)?;
        let config = ClientConfig::builder().with_root_certificates(roots).with_no_client_auth();
        Ok(Self { address, tls: Some(TlsConnector::from(Arc::new(config))) })
    }

    async fn open(&self) -> Result<Box<dyn Stream>> {
        let stream = TcpStream::connect(self.address).await?;
        stream.set_nodelay(true)?;
        Ok(match &self.tls {
            None => Box::new(stream),
            Some(tls) => Box::new(tls.connect(ServerName::IpAddress(self.address.ip().into()), stream).await?),
        })
    }
}

/// An open connection with its buffers.
pub(crate) struct Wire {
    stream: Box<dyn Stream>,
    pub(crate) input: BytesMut,
    pub(crate) output: BytesMut,
}

impl Wire {
    /// Connects and subscribes with QoS 1; `kept` says whether the session outlives the connection.
    pub(crate) async fn connect(door: &Door, client_id: &str, filters: &[String], kept: bool) -> Result<Self> {
        let mut wire = Self { stream: door.open().await?, input: BytesMut::new(), output: BytesMut::new() };
        let mut connect = Connect::new(client_id);
        // Nothing is sent to keep quiet connections alive.
        connect.keep_alive = 0;
        connect.clean_session = !kept;
        Packet::Connect(connect).write(&mut wire.output, usize::MAX)?;
        for (filter, packet_id) in filters.iter().zip(1..) {
            let mut subscribe = Subscribe::new(filter, QoS::AtLeastOnce);
            subscribe.pkid = packet_id;
            Packet::Subscribe(subscribe).write(&mut wire.output, usize::MAX)?;
        }
        wire.flush().await?;
        let mut subscribed = 0;
        while subscribed < filters.len() {
            match Packet::read(&mut wire.input, usize::MAX) {
                Ok(Packet::SubAck(_)) => subscribed += 1,
                Ok(_) => {}
                Err(rumqttc::mqttbytes::Error::InsufficientBytes(_)) => wire.read().await?,
                Err(error) => return Err(error.into()),
            }
        }
        Ok(wire)
    }

    /// Reads what is there, at least something. Cancel safe.
    pub(crate) async fn read(&mut self) -> Result<()> {
        self.input.reserve(16_384);
        match self.stream.read_buf(&mut self.input).await? {
            0 => Err("the broker closed a connection".into()),
            _ => Ok(()),
        }
    }

    /// Writes the output, if there is any.
    pub(crate) async fn flush(&mut self) -> Result<()> {
        if !self.output.is_empty() {
            self.stream.write_all_buf(&mut self.output).await?;
            self.stream.flush().await?;
        }
        Ok(())
    }

    /// Appends a PUBACK to the output.
    pub(crate) fn acknowledge(&mut self, packet_id: &[u8]) {
        self.output.extend_from_slice(&[PUBACK << 4, 2]);
        self.output.extend_from_slice(packet_id);
    }

    /// Appends a short PUBLISH with QoS 1 to the output.
    pub(crate) fn publish(&mut self, topic: &[u8], packet_id: u16, payload: &[&[u8]]) {
        let length = 2 + topic.len() + 2 + payload.iter().map(|part| part.len()).sum::<usize>();
        // Two bytes of length do for all that is sent here.
        self.output.extend_from_slice(&[PUBLISH_AT_LEAST_ONCE, length as u8 | 0x80, (length >> 7) as u8]);
        self.output.extend_from_slice(&(topic.len() as u16).to_be_bytes());
        self.output.extend_from_slice(topic);
        self.output.extend_from_slice(&packet_id.to_be_bytes());
        for part in payload {
            self.output.extend_from_slice(part);
        }
    }
}

/// Where the packet identifier of a PUBLISH with QoS 1 is: behind the fixed header and the topic.
pub(crate) fn packet_id_at(packet: &[u8]) -> usize {
    let header = 1 + packet[1..].iter().position(|byte| byte & 0x80 == 0).map_or(1, |at| at + 1);
    let byte = |at: usize| packet.get(at).copied().unwrap_or_default();
    header + 2 + usize::from(u16::from_be_bytes([byte(header), byte(header + 1)]))
}

/// The length of the first packet, when it is there as a whole.
pub(crate) fn packet_length(bytes: &[u8]) -> Result<Option<usize>> {
    let mut length = 0_usize;
    for index in 0..4 {
        let Some(byte) = bytes.get(1 + index) else {
            return Ok(None);
        };
        length |= usize::from(byte & 0x7f) << (7 * index);
        if byte & 0x80 == 0 {
            let whole = 2 + index + length;
            return Ok((bytes.len() >= whole).then_some(whole));
        }
    }
    Err("an MQTT packet with a malformed length".into())
}
