"""The channels there can be, and what is loaded of them."""

from __future__ import annotations

import sys
from dataclasses import replace

from twisted.internet.defer import Deferred
from twisted.internet.utils import getProcessOutput
from twisted.trial.unittest import TestCase

from clawgw.channels.providers import PROVIDERS, load
from tests.channels.support import TOY, ToyAdapter

LIST = """
import sys
from clawgw.channels.providers import PROVIDERS
print([one.adapter for one in PROVIDERS if one.adapter.partition(":")[0] in sys.modules])
"""


CUTTING = """
import sys
from clawgw.channels.providers import PROVIDERS, load
for providers in ((), PROVIDERS[:1]):
    load(providers)
    print("clawgw.channels.chunks" in sys.modules)
"""


class Loading(TestCase):
    """Adapters are loaded when they are needed."""

    timeout = 120

    async def said(self, script: str) -> list[str]:
        """What a Python says that has loaded nothing yet."""
        output: Deferred[bytes] = getProcessOutput(
            sys.executable, ["-c", script], {"PYTHONPATH": ":".join(sys.path)}, errortoo=True
        )
        return (await output).decode().splitlines()

    async def test_nothing_is_loaded_of_a_channel_that_is_not_used(self) -> None:
        self.assertEqual(await self.said(LIST), ["[]"])

    async def test_what_cuts_messages_is_there_before_the_first_is_sent(self) -> None:
        self.assertEqual(await self.said(CUTTING), ["False", "True"])

    def test_each_names_its_adapter(self) -> None:
        for provider in PROVIDERS:
            self.assertEqual(provider.load().channel, provider.id)

    def test_one_that_cannot_be_loaded_leaves_the_others_alone(self) -> None:
        load([replace(TOY, adapter="tests.channels.missing:Adapter"), TOY])
        self.assertIs(TOY.load(), ToyAdapter)
