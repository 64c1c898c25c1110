"""WhatsApp, through a sidecar that holds the one session (`sidecar/`, Node and Baileys)."""
