-- The resource tree and what hangs on it. Times are microseconds since 1970, JSON is text.

CREATE TABLE meta (
    key   TEXT PRIMARY KEY,
    value ANY NOT NULL
) STRICT, WITHOUT ROWID;

-- A resource identifier that is letters and the row's own number is kept as the letters alone (id_prefix), a
-- name equal to the identifier not at all: then a new contentInstance touches no index of random order.
CREATE TABLE resource (
    seq        INTEGER PRIMARY KEY,
    parent     INTEGER,
    ty         INTEGER NOT NULL,
    id_prefix  TEXT,
    id         TEXT,
    name       TEXT,
    parent_id  TEXT NOT NULL,
    ct         INTEGER NOT NULL,
    lt         INTEGER NOT NULL,
    et         INTEGER,
    st         INTEGER,
    cs         INTEGER,
    creator    TEXT NOT NULL,
    attributes TEXT NOT NULL,
    CHECK ((id_prefix IS NULL) <> (id IS NULL))
) STRICT;

-- Children by type in the order of creation; with cs, sizes are counted without reading the rows.
CREATE INDEX resource_child ON resource (parent, ty, seq, cs);
CREATE UNIQUE INDEX resource_name ON resource (parent, name) WHERE name IS NOT NULL;
CREATE UNIQUE INDEX resource_id ON resource (id) WHERE id IS NOT NULL;
CREATE INDEX resource_expiration ON resource (et) WHERE et IS NOT NULL;
-- Everything but instances (which are almost all rows and hardly ever have children): by type, and by parent for
-- descent.
CREATE INDEX resource_structure_type ON resource (ty)
    WHERE ty NOT IN (4, 30, 58, 10004, 10030, 10058);
CREATE INDEX resource_structure_child ON resource (parent)
    WHERE ty NOT IN (4, 30, 58, 10004, 10030, 10058);

-- What descent would miss: resources that are no instances but children of one.
CREATE TABLE below_instance (
    seq INTEGER PRIMARY KEY
) STRICT;

CREATE TABLE label (
    label TEXT NOT NULL,
    seq   INTEGER NOT NULL,
    PRIMARY KEY (label, seq)
) STRICT, WITHOUT ROWID;
CREATE INDEX label_resource ON label (seq);

-- Append-only: found by number, the key-to-number map is in memory.
CREATE TABLE reply (
    number   INTEGER PRIMARY KEY,
    key      BLOB NOT NULL,
    at       INTEGER NOT NULL,
    response TEXT NOT NULL
) STRICT;

CREATE TABLE outbox (
    seq            INTEGER PRIMARY KEY,
    subscription   INTEGER NOT NULL,
    target         TEXT NOT NULL,
    content        TEXT NOT NULL,
    event_category INTEGER,
    created        INTEGER NOT NULL,
    next_try       INTEGER NOT NULL,
    attempts       INTEGER NOT NULL
) STRICT;

CREATE TABLE held (
    seq          INTEGER PRIMARY KEY,
    subscription INTEGER NOT NULL,
    notification TEXT NOT NULL,
    at           INTEGER NOT NULL
) STRICT;
CREATE INDEX held_subscription ON held (subscription);

CREATE TABLE deadline (
    resource INTEGER NOT NULL,
    kind     INTEGER NOT NULL,
    at       INTEGER NOT NULL,
    PRIMARY KEY (resource, kind)
) STRICT, WITHOUT ROWID;
CREATE INDEX deadline_time ON deadline (at);
