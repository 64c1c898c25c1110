"""Telegram: a fake of the Bot API, and the adapter's tests against it."""
