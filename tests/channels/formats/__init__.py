"""Tests of the formats of each provider."""
