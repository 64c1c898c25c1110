"""The TLS, WebSocket and HTTP edge of the Gateway."""
