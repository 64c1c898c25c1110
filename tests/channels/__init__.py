"""Tests of clawgw.channels."""
