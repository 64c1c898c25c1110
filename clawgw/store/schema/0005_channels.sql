-- Channels: what came in, what goes out, where each provider's stream was left, who may write.

CREATE TABLE inbox (
    seq            INTEGER PRIMARY KEY,
    channel        TEXT NOT NULL,
    account        TEXT NOT NULL,
    message_id     TEXT NOT NULL,              -- the provider's, unique within the account
    chat           TEXT NOT NULL,              -- its id, and the thread's
    received_at    INTEGER NOT NULL,
    state          TEXT NOT NULL,              -- new, heard, told, routed, paired, dropped
    why            TEXT,
    run_id         TEXT,
    body           BLOB                        -- JSON: Inbound, while it is needed
);
CREATE UNIQUE INDEX inbox_once ON inbox (channel, account, message_id);
CREATE INDEX inbox_new ON inbox (seq) WHERE state = 'new';
CREATE INDEX inbox_heard ON inbox (channel, account, chat, seq) WHERE state = 'heard';
CREATE INDEX inbox_by_age ON inbox (received_at);

CREATE TABLE outbox (
    seq            INTEGER PRIMARY KEY,
    key            TEXT NOT NULL UNIQUE,       -- an idempotency key, or made from a run's id
    channel        TEXT NOT NULL,
    account        TEXT NOT NULL,
    chat           TEXT NOT NULL,
    thread         TEXT,
    created_at     INTEGER NOT NULL,
    state          TEXT NOT NULL,              -- queued, trying, delivered, failed
    body           BLOB,                       -- JSON: Outbound, until it is over
    parts          BLOB,                       -- JSON: the Parts, fixed at the first attempt
    done           INTEGER NOT NULL DEFAULT 0, -- parts that were delivered
    doubts         INTEGER NOT NULL DEFAULT 0, -- tries of the next part that nobody knows about
    doubled        INTEGER NOT NULL DEFAULT 0, -- parts that may have arrived twice
    tried_at       INTEGER,
    ended_at       INTEGER,
    ids            TEXT NOT NULL DEFAULT '[]', -- JSON: the provider's ids
    error          TEXT
);
CREATE INDEX outbox_waiting ON outbox (channel, account, seq)
    WHERE state IN ('queued', 'trying');
CREATE INDEX outbox_by_end ON outbox (ended_at) WHERE ended_at IS NOT NULL;

CREATE TABLE channel_cursors (
    channel        TEXT NOT NULL,
    account        TEXT NOT NULL,
    name           TEXT NOT NULL,
    value          TEXT NOT NULL,
    PRIMARY KEY (channel, account, name)
) WITHOUT ROWID;

CREATE TABLE channel_senders (                 -- strangers: those who wait, those approved
    channel        TEXT NOT NULL,
    account        TEXT NOT NULL,
    sender         TEXT NOT NULL,              -- the provider's id
    name           TEXT NOT NULL,
    chat           TEXT NOT NULL,              -- where they wrote
    code           TEXT,                       -- while they wait
    requested_at   INTEGER NOT NULL,
    approved_at    INTEGER,
    PRIMARY KEY (channel, account, sender)
) WITHOUT ROWID;

CREATE TABLE drafts (                          -- answers that are shown while they are written
    run_id         TEXT PRIMARY KEY,
    message_id     TEXT NOT NULL
) WITHOUT ROWID;

ALTER TABLE runs ADD COLUMN delivery BLOB;     -- JSON: where the answer goes
ALTER TABLE sessions ADD COLUMN route BLOB;    -- JSON: where its people last wrote from
