"""iMessage, through `imsg`."""
