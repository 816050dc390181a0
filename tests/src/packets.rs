//! An MQTT 3.1.1 client that leaves every packet to the test: for what a library hides, such as DUP and lost
//! acknowledgements.

use std::collections::VecDeque;
use std::io;

use bytes::BytesMut;
use rumqttc::QoS;
use rumqttc::mqttbytes::Error;
use rumqttc::mqttbytes::v4::{Connect, Packet, PubAck, Publish, Subscribe};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

/// Largest packet that is read.
const PACKET_BYTES_MAX: usize = 1 << 20;

/// One connection.
#[derive(Debug)]
pub struct Packets {
    stream: TcpStream,
    input: BytesMut,
    output: BytesMut,
    /// Messages that came while something else was waited for.
    early: VecDeque<Publish>,
}

impl Packets {
    /// Connects with a session that the broker keeps, and subscribes.
    ///
    /// # Errors
    /// If the connection fails or the broker refuses.
    pub async fn connect(port: u16, client_id: &str, filters: &[String]) -> io::Result<Self> {
        let stream = TcpStream::connect(("127.0.0.1", port)).await?;
        stream.set_nodelay(true)?;
        let mut packets = Self { stream, input: BytesMut::new(), output: BytesMut::new(), early: VecDeque::new() };
        let mut connect = Connect::new(client_id);
        connect.clean_session = false;
        connect.keep_alive = 600;
        connect.write(&mut packets.output).map_err(invalid)?;
        packets.flush().await?;
        while !matches!(packets.read().await?, Packet::ConnAck(_)) {}
        for (filter, packet_id) in filters.iter().zip(60_000..) {
            let mut subscribe = Subscribe::new(filter, QoS::AtLeastOnce);
            subscribe.pkid = packet_id;
            subscribe.write(&mut packets.output).map_err(invalid)?;
            packets.flush().await?;
            loop {
                match packets.read().await? {
                    Packet::SubAck(_) => break,
                    Packet::Publish(publish) => packets.early.push_back(publish),
                    _ => {}
                }
            }
        }
        Ok(packets)
    }

    /// Publishes with QoS 1; `dup` as given.
    ///
    /// # Errors
    /// If the connection fails.
    pub async fn publish(&mut self, topic: &str, packet_id: u16, dup: bool, payload: &[u8]) -> io::Result<()> {
        let mut publish = Publish::new(topic, QoS::AtLeastOnce, payload);
        (publish.pkid, publish.dup) = (packet_id, dup);
        publish.write(&mut self.output).map_err(invalid)?;
        self.flush().await
    }

    /// The next packet. Messages of QoS 1 are acknowledged.
    ///
    /// # Errors
    /// If the connection fails or ends.
    pub async fn next(&mut self) -> io::Result<Packet> {
        let packet = match self.early.pop_front() {
            Some(publish) => Packet::Publish(publish),
            None => self.read().await?,
        };
        if let Packet::Publish(publish) = &packet
            && publish.qos == QoS::AtLeastOnce
        {
            PubAck::new(publish.pkid).write(&mut self.output).map_err(invalid)?;
            self.flush().await?;
        }
        Ok(packet)
    }

    async fn read(&mut self) -> io::Result<Packet> {
        loop {
            match Packet::read(&mut self.input, PACKET_BYTES_MAX) {
                Ok(packet) => return Ok(packet),
                Err(Error::InsufficientBytes(_)) => {}
                Err(error) => return Err(invalid(error)),
            }
            if self.stream.read_buf(&mut self.input).await? == 0 {
                return Err(io::ErrorKind::UnexpectedEof.into());
            }
        }
    }

    async fn flush(&mut self) -> io::Result<()> {
        self.stream.write_all_buf(&mut self.output).await
    }
}

fn invalid(error: Error) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, error.to_string())
}
