-- A2UI surfaces, each as one JSON object (clawgw/canvas/a2ui.py, Surface).
-- rowid is the order in which they began.
CREATE TABLE a2ui_surfaces (
  surface_id  TEXT PRIMARY KEY,
  session_key TEXT NOT NULL,
  body        BLOB NOT NULL
);
