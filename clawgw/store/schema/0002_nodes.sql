-- Nodes: what is known of each, what an operator approved, who waits for approval.

CREATE TABLE nodes (
    node_id              TEXT PRIMARY KEY,     -- the device's id
    profile              BLOB NOT NULL,        -- JSON: what it said of itself when last connected
    name                 TEXT,                 -- what operators call it
    created_at           INTEGER NOT NULL,
    approved             BLOB,                 -- JSON: the approved surface
    approved_at          INTEGER,
    token_hash           TEXT,                 -- of node.pair.verify (version 3)
    last_connected_at    INTEGER,
    last_disconnected_at INTEGER,
    last_seen_at         INTEGER,
    last_seen_reason     TEXT,
    host_stats           BLOB                  -- JSON: the last it told
);

CREATE TABLE node_requests (
    request_id     TEXT PRIMARY KEY,
    node_id        TEXT NOT NULL UNIQUE,
    created_at     INTEGER NOT NULL,
    body           BLOB NOT NULL               -- JSON: NodePairRequest
);
