"""Slack: Socket Mode for what comes in, the Web API for what goes out."""
