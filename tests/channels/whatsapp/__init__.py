"""WhatsApp: the sidecar against a simulated WhatsApp, the adapter against a simulated sidecar."""
