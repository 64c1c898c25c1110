"""``location.get``: where the owner says this machine stands (protocol 3, nodes/location-command).

A headless machine has no receiver; it tells what ``node.json`` says, and nothing where that says
nothing. ``coarse`` gets about a kilometre.
"""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

from clawgw.nodehost.calls import Call, Handler, Params
from clawgw.nodehost.settings import Location

__all__ = ["LocationCommands"]

_COARSE_METRES = 1000.0


class LocationParams(Params, frozen=True):
    """``location.get``. A place that does not change is never too old and always in time."""

    desired_accuracy: str | None = None


class LocationCommands:
    """The commands of the family ``location``. ``clock`` gives the seconds since the epoch."""

    def __init__(self, clock: Any, location: Location) -> None:
        self._clock = clock
        self._location = location

    def handlers(self) -> dict[str, Handler]:
        """The commands of this family."""
        return {"location.get": self._get}

    async def _get(self, call: Call) -> Any:
        place = self._location
        coarse = call.read(LocationParams).desired_accuracy == "coarse"
        digits = 2 if coarse else 7
        moment = datetime.fromtimestamp(self._clock.seconds(), UTC)
        return {
            "lat": round(place.latitude, digits),
            "lon": round(place.longitude, digits),
            "accuracyMeters": max(place.accuracy, _COARSE_METRES) if coarse else place.accuracy,
            "timestamp": moment.isoformat(timespec="milliseconds").replace("+00:00", "Z"),
            "isPrecise": not coarse,
            "source": "unknown",
        }
