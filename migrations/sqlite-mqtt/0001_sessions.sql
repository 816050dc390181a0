-- Kept MQTT sessions and what waits in them. Times are milliseconds since 1970.

CREATE TABLE session (
    id         INTEGER PRIMARY KEY,
    client_id  TEXT NOT NULL,
    identity   TEXT NOT NULL,
    -- Seconds that it outlives its connection.
    expiry     INTEGER NOT NULL CHECK (expiry >= 0),
    -- NULL while its client is connected.
    ends       INTEGER,
    sent_below INTEGER NOT NULL
) STRICT;

CREATE TABLE subscription (
    session  INTEGER NOT NULL,
    filter   TEXT NOT NULL,
    qos      INTEGER NOT NULL CHECK (qos BETWEEN 0 AND 2),
    no_local INTEGER NOT NULL CHECK (no_local IN (0, 1)),
    PRIMARY KEY (session, filter)
) STRICT, WITHOUT ROWID;

-- Without topic, its client has confirmed the receipt of a QoS 2 message and PUBREL has to arrive.
CREATE TABLE message (
    session    INTEGER NOT NULL,
    number     INTEGER NOT NULL CHECK (number > 0),
    qos        INTEGER NOT NULL CHECK (qos BETWEEN 1 AND 2),
    topic      TEXT,
    payload    BLOB NOT NULL,
    expires    INTEGER,
    properties BLOB,
    PRIMARY KEY (session, number)
) STRICT, WITHOUT ROWID;

-- Packet identifiers of QoS 2 messages that clients have sent and not released.
CREATE TABLE received (
    session   INTEGER NOT NULL,
    packet_id INTEGER NOT NULL CHECK (packet_id BETWEEN 1 AND 65535),
    PRIMARY KEY (session, packet_id)
) STRICT, WITHOUT ROWID;
