-- Questions whether something may run, and what was decided. One without a decision stands, or
-- stood when a Gateway ended: then it is over, and the answer is no.

CREATE TABLE approvals (
    id             TEXT PRIMARY KEY,
    created_at     INTEGER NOT NULL,           -- milliseconds since the epoch, as all times
    expires_at     INTEGER NOT NULL,
    request        BLOB NOT NULL,              -- JSON: ExecRequest
    asked_by       TEXT,                       -- the client or agent that asked
    decision       TEXT,                       -- allow-once, allow-always, deny
    reason         TEXT,                       -- user, policy, timeout, run-aborted, …
    resolved_at    INTEGER,
    resolved_by    TEXT,                       -- the name of who decided
    resolver_id    TEXT,                       -- that client's device
    asker_id       TEXT,                       -- the device that asked
    env_digest     TEXT,                       -- SHA-256 of the environment it is to run in
    used_at        INTEGER                     -- when allow-once was used for a node
);
CREATE INDEX approvals_open ON approvals (created_at) WHERE decision IS NULL;
CREATE INDEX approvals_by_end ON approvals (resolved_at) WHERE resolved_at IS NOT NULL;
