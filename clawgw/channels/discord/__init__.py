"""Discord, as a bot: the Gateway's WebSocket for what comes in, REST for what goes out."""
