"""Tests of clawgw.channels.imessage."""
