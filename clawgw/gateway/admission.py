"""How many connections there may be that nobody has let in yet."""

from __future__ import annotations

from collections import Counter

MAX_UNAUTHENTICATED = 256
MAX_UNAUTHENTICATED_PER_ADDRESS = 64


class AdmissionCount:
    """How many connections have not been let in yet, in all and by address."""

    def __init__(
        self,
        most: int = MAX_UNAUTHENTICATED,
        most_per_address: int = MAX_UNAUTHENTICATED_PER_ADDRESS,
    ) -> None:
        self._most = most
        self._most_per_address = most_per_address
        self._by_address: Counter[str] = Counter()

    def enter(self, address: str) -> bool:
        """Count a new connection; False if there are too many."""
        if (
            self._by_address.total() >= self._most
            or self._by_address[address] >= self._most_per_address
        ):
            return False
        self._by_address[address] += 1
        return True

    def leave(self, address: str) -> None:
        """It was let in, or is gone."""
        self._by_address[address] -= 1
        if self._by_address[address] <= 0:
            del self._by_address[address]
