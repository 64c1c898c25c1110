"""The canvas host: pages that agents write, on an origin of their own, shown on every screen."""
