"""What the log got to see while a test ran."""

from __future__ import annotations

from typing import Any

from twisted.logger import LogEvent, formatEvent, globalLogPublisher
from twisted.trial.unittest import TestCase


def keep_out_of_log(test: TestCase, *secrets: str) -> None:
    """Let a test fail when one of these is in any line of the log, of whatever level."""
    lines: list[str] = []

    def observe(event: LogEvent) -> None:
        failure: Any = event.get("log_failure")
        lines.append(formatEvent(event))
        if failure is not None:
            lines.append(failure.getTraceback(detail="brief"))

    def judge() -> None:
        globalLogPublisher.removeObserver(observe)
        for line in lines:
            for secret in secrets:
                test.assertNotIn(secret, line)

    globalLogPublisher.addObserver(observe)
    test.addCleanup(judge)
