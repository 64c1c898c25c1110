"""``python -m clawgw.cli`` is ``clawgw``."""

from clawgw.cli.main import main

main(prog_name="clawgw")
