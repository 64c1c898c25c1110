"""Nodes: machines that lend the Gateway their commands."""
