"""clawgw: a Gateway for personal chat agents."""

__version__ = "0.1.0"
