"""Signal, through `signal-cli`."""
