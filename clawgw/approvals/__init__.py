"""Exec approvals: what may run, who decides, and what was decided."""
