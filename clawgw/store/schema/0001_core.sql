-- Sessions, transcripts, runs, idempotency keys, devices.
-- Times are milliseconds since the epoch. JSON is kept as it goes out on the wire.

CREATE TABLE sessions (
    key            TEXT PRIMARY KEY,           -- agent:<agent id>:<rest>
    agent_id       TEXT NOT NULL,
    session_id     TEXT NOT NULL UNIQUE,       -- changes on reset
    kind           TEXT NOT NULL DEFAULT 'direct',
    channel        TEXT,
    created_at     INTEGER NOT NULL,
    updated_at     INTEGER NOT NULL,
    interacted_at  INTEGER,                    -- last message by a person
    label          TEXT,
    title          TEXT,                       -- from the first message
    preview        TEXT,                       -- of the last message
    status         TEXT,                       -- of the last run
    last_run_id    TEXT,
    aborted        INTEGER NOT NULL DEFAULT 0, -- whether the last run was
    message_count  INTEGER NOT NULL DEFAULT 0,
    last_seq       INTEGER NOT NULL DEFAULT 0,
    input_tokens   INTEGER NOT NULL DEFAULT 0,
    output_tokens  INTEGER NOT NULL DEFAULT 0,
    agent_session  TEXT,                       -- the agent's own id for this conversation
    archived       INTEGER NOT NULL DEFAULT 0,
    spawned_by     TEXT,
    settings       TEXT NOT NULL DEFAULT '{}'  -- JSON: what sessions.patch set
);
CREATE INDEX sessions_by_update ON sessions (archived, updated_at DESC);
CREATE INDEX sessions_by_agent ON sessions (agent_id, archived, updated_at DESC);
CREATE UNIQUE INDEX sessions_by_label ON sessions (label) WHERE label IS NOT NULL;

CREATE TABLE messages (
    session_id     TEXT NOT NULL,
    seq            INTEGER NOT NULL,           -- from 1, without holes but for compaction
    id             TEXT NOT NULL,
    role           TEXT NOT NULL,
    created_at     INTEGER NOT NULL,
    run_id         TEXT,
    body           BLOB NOT NULL,              -- the message as JSON
    PRIMARY KEY (session_id, seq)
) WITHOUT ROWID;
CREATE UNIQUE INDEX messages_by_id ON messages (id);

CREATE TABLE runs (
    run_id         TEXT PRIMARY KEY,
    session_key    TEXT NOT NULL,
    agent_id       TEXT NOT NULL,
    requested_key  TEXT NOT NULL,              -- the session key as the asker wrote it
    state          TEXT NOT NULL,              -- queued, running, ok, error, timeout, aborted
    accepted_at    INTEGER NOT NULL,
    started_at     INTEGER,
    ended_at       INTEGER,
    prompt         BLOB,                       -- JSON; forgotten when the run has ended
    error          TEXT,
    result         BLOB                        -- JSON: the final answer of `agent`
);
CREATE INDEX runs_unfinished ON runs (accepted_at) WHERE state IN ('queued', 'running');
CREATE INDEX runs_by_end ON runs (ended_at) WHERE ended_at IS NOT NULL;

CREATE TABLE idempotency (
    key            TEXT PRIMARY KEY,
    method         TEXT NOT NULL,
    digest         BLOB NOT NULL,              -- SHA-256 of the parameters
    created_at     INTEGER NOT NULL,
    result         BLOB                        -- JSON; NULL while the first call runs
);
CREATE INDEX idempotency_by_age ON idempotency (created_at);

CREATE TABLE devices (
    device_id      TEXT PRIMARY KEY,
    public_key     TEXT NOT NULL,
    display_name   TEXT,
    platform       TEXT,
    device_family  TEXT,
    client_id      TEXT,
    client_mode    TEXT,
    remote_ip      TEXT,
    created_at     INTEGER NOT NULL,
    approved_at    INTEGER NOT NULL,
    approved_via   TEXT NOT NULL               -- silent, operator
);

CREATE TABLE device_roles (
    device_id      TEXT NOT NULL REFERENCES devices ON DELETE CASCADE,
    role           TEXT NOT NULL,
    scopes         TEXT NOT NULL,              -- JSON: what was approved
    token_scopes   TEXT NOT NULL,              -- JSON: what the token gives, never more
    token_salt     TEXT NOT NULL,
    token_hash     TEXT NOT NULL,
    created_at     INTEGER NOT NULL,
    rotated_at     INTEGER,
    revoked_at     INTEGER,
    PRIMARY KEY (device_id, role)
) WITHOUT ROWID;

CREATE TABLE pair_requests (
    request_id     TEXT PRIMARY KEY,
    device_id      TEXT NOT NULL,
    role           TEXT NOT NULL,
    created_at     INTEGER NOT NULL,
    body           BLOB NOT NULL               -- JSON: PairRequest
);
CREATE UNIQUE INDEX pair_requests_by_device ON pair_requests (device_id, role);
