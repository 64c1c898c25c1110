"""`python -m bench [case…]`: measure; `python -m bench seed`: fill a store. See README.md."""

from __future__ import annotations

import argparse
import os
import sys
from pathlib import Path

from bench import channels, load
from bench.run import CASES, Plan, run, table
from bench.seed import seed


def main(arguments: list[str]) -> int:
    """Exit code 1 when a budget is missed."""
    if arguments[:1] == ["seed"]:
        return _seed(arguments[1:])
    if arguments[:1] == ["flood"]:
        return _flood(*arguments[1:])
    if arguments[:1] == ["provider"]:
        channels.provide(int(arguments[1]))
        return 0
    parser = argparse.ArgumentParser(prog="python -m bench")
    parser.add_argument("cases", nargs="*", metavar="case", help=", ".join(CASES))
    parser.add_argument("--rounds", type=int, default=Plan.rounds)
    parser.add_argument("--seconds", type=float, default=Plan.seconds, help="of each measurement")
    parser.add_argument("--clients", type=int, default=Plan.clients, help="of the fan-out")
    parser.add_argument("--messages", type=int, default=Plan.messages, help="of chat and lag")
    options = parser.parse_args(arguments)
    unknown = [name for name in options.cases if name not in CASES]
    if unknown:
        parser.error(f"no case {unknown[0]!r}; there are {', '.join(CASES)}")
    plan = Plan(
        rounds=options.rounds,
        seconds=options.seconds,
        clients=options.clients,
        messages=options.messages,
    )
    rows = run(options.cases or list(CASES), plan)
    print("\n" + table(rows))
    short = [row.case for row in rows if row.short]
    print("\nshort: " + "; ".join(short) if short else "\nall budgets hold")
    return 1 if short else 0


def _seed(arguments: list[str]) -> int:
    parser = argparse.ArgumentParser(prog="python -m bench seed")
    parser.add_argument("--state-dir", type=Path, required=True)
    parser.add_argument("--sessions", type=int, default=10_000)
    parser.add_argument("--messages", type=int, default=100_000)
    options = parser.parse_args(arguments)
    seed(options.state_dir, options.sessions, options.messages)
    return 0


def _flood(port: str, messages: str) -> int:
    """The flood of the case `lag`, in a process of its own."""
    target = load.Target(int(port), os.environ["BENCH_TOKEN"], Path(os.environ["BENCH_KEYS"]))
    load.chat(target, int(messages))
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
