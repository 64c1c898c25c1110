"""Agents: processes that speak the Agent Client Protocol, and the runs they do."""
