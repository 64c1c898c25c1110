"""A simulated WhatsApp Web server, and phones, for tests of the WhatsApp channel."""
