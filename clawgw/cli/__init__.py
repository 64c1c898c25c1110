"""`clawgw …`: the command line, an ordinary Gateway client."""
