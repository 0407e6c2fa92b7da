-- The database of sensord, schema 4. Open it with any SQLite tool; reading never disturbs the
-- daemon. Times are microseconds since the Unix epoch, UTC.

PRAGMA application_id = 0x73656e73;  -- "sens"

BEGIN IMMEDIATE;

-- schema: the version of these tables. opened: when a daemon last began to write, in seconds since
-- the epoch. expired_readings, expired_quarantine: how many rows of
-- each retention has removed, so that the ledger can still be proved. journal: which one this is: in
-- another, ids mean something else.
CREATE TABLE meta (
    key TEXT PRIMARY KEY,
    value NOT NULL
) WITHOUT ROWID;

INSERT INTO meta VALUES ('schema', 4), ('expired_readings', 0), ('expired_quarantine', 0);

-- One value of one device. tags is a JSON object; address, wire and field say where it comes from.
CREATE TABLE series (
    id INTEGER PRIMARY KEY,
    device TEXT NOT NULL,
    name TEXT NOT NULL,
    unit TEXT NOT NULL,
    tags TEXT NOT NULL,
    address TEXT NOT NULL,
    wire TEXT NOT NULL,
    field TEXT NOT NULL,
    UNIQUE (device, name)
);

-- The journal. id only ever grows: sinks remember how far they have read. value is a number or a
-- text; a truth value is the blob 'true' or 'false'. clock says where the time came from:
-- 0 the device, 1 computed back from the arrival, 2 the arrival.
CREATE TABLE readings (
    id INTEGER PRIMARY KEY,
    series INTEGER NOT NULL REFERENCES series (id),
    time INTEGER NOT NULL,
    value NOT NULL CHECK (value != 9e999 AND value != -9e999),  -- finite
    clock INTEGER NOT NULL
);

CREATE UNIQUE INDEX readings_by_time ON readings (series, time);

-- When a value is critical or a warning: operator is one of < <= == >= >.
CREATE TABLE thresholds (
    series INTEGER NOT NULL REFERENCES series (id),
    status TEXT NOT NULL,
    operator TEXT NOT NULL,
    number REAL NOT NULL,
    PRIMARY KEY (series, status)
) WITHOUT ROWID;

-- How far each sink has read the journal, and what became of what it read:
-- sum(ledger.committed) - base = delivered + dead + expired + what has a higher id than position.
-- dead is how many dead letters there are; dropped is how many of expired once were.
CREATE TABLE cursors (
    sink TEXT PRIMARY KEY,
    position INTEGER NOT NULL,
    base INTEGER NOT NULL DEFAULT 0,
    delivered INTEGER NOT NULL DEFAULT 0,
    dead INTEGER NOT NULL DEFAULT 0,
    expired INTEGER NOT NULL DEFAULT 0,
    paused INTEGER NOT NULL DEFAULT 0,
    dropped INTEGER NOT NULL DEFAULT 0
) WITHOUT ROWID;

-- Readings that a sink will never take, and why. reading is the id that they had in the journal.
-- retry is 1 for those that it is to be offered again.
CREATE TABLE dead_letters (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    sink TEXT NOT NULL,
    reading INTEGER NOT NULL,
    device TEXT NOT NULL,
    name TEXT NOT NULL,
    time INTEGER NOT NULL,
    value NOT NULL,
    why TEXT NOT NULL,
    died INTEGER NOT NULL,
    retry INTEGER NOT NULL DEFAULT 0
);

CREATE INDEX dead_letters_by_sink ON dead_letters (sink, retry);

-- Frames that no description fits yet.
CREATE TABLE quarantine (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    time INTEGER NOT NULL,
    listener TEXT NOT NULL,
    peer TEXT NOT NULL,
    data BLOB NOT NULL,
    why TEXT NOT NULL,
    wire TEXT NOT NULL
);

-- What became of all that was received:
-- received = committed + duplicate + rejected + quarantined.
CREATE TABLE ledger (
    listener TEXT PRIMARY KEY,
    received INTEGER NOT NULL,
    committed INTEGER NOT NULL,
    duplicate INTEGER NOT NULL,
    rejected INTEGER NOT NULL,
    quarantined INTEGER NOT NULL
) WITHOUT ROWID;

-- What is known of each device's comings and goings. heard is a time, interval is in seconds; both are
-- 0 while unknown. counter and rssi are NULL for devices that have none.
CREATE TABLE devices (
    address TEXT PRIMARY KEY,
    heard INTEGER NOT NULL,
    received INTEGER NOT NULL,
    missed INTEGER NOT NULL,
    restarts INTEGER NOT NULL,
    counter INTEGER,
    rssi INTEGER,
    interval REAL NOT NULL,
    declared INTEGER NOT NULL
) WITHOUT ROWID;

-- Every value that somebody wanted to send down to a device. state: pending, sent, expired or refused;
-- changed is when it came to that, why says why. expires is NULL for never.
CREATE TABLE commands (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    time INTEGER NOT NULL,
    who TEXT NOT NULL,
    address TEXT NOT NULL,
    variable TEXT NOT NULL,
    value REAL NOT NULL,
    state TEXT NOT NULL,
    changed INTEGER NOT NULL,
    expires INTEGER,
    why TEXT NOT NULL
);

CREATE INDEX commands_pending ON commands (address) WHERE state = 'pending';

-- The newest reading of each series: one look into the index for each.
CREATE VIEW latest (series, time, value) AS
SELECT series.id, readings.time, readings.value
FROM series JOIN readings ON readings.id = (
    SELECT id FROM readings WHERE series = series.id ORDER BY time DESC LIMIT 1
);

-- The same for people: with names, and with the status that the thresholds give it.
CREATE VIEW current (device, name, value, unit, time, status, address, wire, field, tags) AS
SELECT
    series.device, series.name, latest.value, series.unit, latest.time,
    CASE WHEN EXISTS (SELECT 1 FROM thresholds WHERE thresholds.series = series.id) THEN
        coalesce((
            SELECT status FROM thresholds
            WHERE thresholds.series = series.id AND CASE operator
                WHEN '<' THEN measured < number
                WHEN '<=' THEN measured <= number
                WHEN '==' THEN measured = number
                WHEN '>=' THEN measured >= number
                WHEN '>' THEN measured > number
            END
            ORDER BY status = 'critical' DESC LIMIT 1
        ), 'normal')
    ELSE 'undefined' END,
    series.address, series.wire, series.field, series.tags
FROM series JOIN (
    SELECT *, CASE typeof(value)
        WHEN 'blob' THEN value = X'74727565'  -- 'true'
        WHEN 'text' THEN NULL                 -- above no number and below none
        ELSE value
    END AS measured FROM latest
) AS latest ON latest.series = series.id;

-- For programs that read the table of the original PoE server: the latest value of each sensor,
-- keyed <ip>_<id>, the time in seconds.
CREATE VIEW sensors (ip_id, sensor, value, time, status) AS
SELECT
    substr(address, instr(address, '/') + 1) || '_' || substr(field, instr(field, '.') + 1) AS key,
    upper(substr(field, 1, instr(field, '.') - 1)),
    value,
    max(time) / 1e6,
    status
FROM current WHERE wire = 'poe' GROUP BY key;

COMMIT;
