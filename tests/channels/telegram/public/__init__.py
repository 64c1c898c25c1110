"""telegram-test-api, a fake of the Bot API that others wrote, from npm."""
