"""Tests of clawgw.channels.signal."""
