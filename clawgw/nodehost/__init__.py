"""The headless node host, ``clawgw node run``: this machine's commands, lent to a Gateway."""
