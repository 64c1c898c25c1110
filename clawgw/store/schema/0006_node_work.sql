-- Work that waits for nodes that sleep. What is over stays for as long as an idempotency key does, so
-- that nothing is queued twice for one key.

CREATE TABLE node_work (
    id             TEXT PRIMARY KEY,
    node_id        TEXT NOT NULL,
    created_at     INTEGER NOT NULL,           -- milliseconds since the epoch, as all times
    expires_at     INTEGER NOT NULL,
    body           BLOB NOT NULL,              -- JSON: an action or a request, see nodes.pending
    ended_at       INTEGER                     -- when the node took it
);
CREATE INDEX node_work_by_age ON node_work (created_at);
