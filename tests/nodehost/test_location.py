"""`location.get`."""

from __future__ import annotations

import re

from clawgw.nodehost.settings import Location, NodeSettings
from tests.nodehost.support import HostTestCase

SETTINGS = NodeSettings(location=Location(48.208491, 16.372081, 20))


class LocationTests(HostTestCase):
    """Where the owner says it is."""

    async def test_it_is_told(self) -> None:
        await self.start_host(settings=SETTINGS)
        self.assertIn("location.get", self.gateway.connects()[0]["commands"])
        place = await self.payload("location.get", {"desiredAccuracy": "precise", "maxAgeMs": 1})
        moment = place.pop("timestamp")
        self.assertTrue(re.fullmatch(r"20\d\d-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z", moment), moment)
        self.assertEqual(
            place,
            {
                "lat": 48.208491,
                "lon": 16.372081,
                "accuracyMeters": 20,
                "isPrecise": True,
                "source": "unknown",
            },
        )

    async def test_coarsely(self) -> None:
        await self.start_host(settings=SETTINGS)
        place = await self.payload("location.get", {"desiredAccuracy": "coarse"})
        self.assertEqual((place["lat"], place["lon"]), (48.21, 16.37))
        self.assertEqual((place["accuracyMeters"], place["isPrecise"]), (1000, False))

    async def test_it_is_nowhere_unless_said(self) -> None:
        await self.start_host()
        self.assertNotIn("location.get", self.gateway.connects()[0]["commands"])
        self.assertEqual((await self.error("location.get"))["code"], "UNAVAILABLE")
