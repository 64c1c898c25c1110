"""Chat channels: what the adapters share, and one package per provider."""
