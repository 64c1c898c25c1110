"""Who is a node, what is shown of it, and what has to be approved."""

from __future__ import annotations

from typing import Any

from twisted.internet.defer import Deferred
from twisted.logger import capturedLogs, formatEvent
from twisted.trial.unittest import SynchronousTestCase

from clawgw import loglimit
from clawgw.nodes.policy import CommandPolicy
from clawgw.protocol.base import given
from clawgw.protocol.errors import RequestError
from clawgw.protocol.nodes import (
    NodeEventParams,
    NodeInvokeResultParams,
    NodePairRequestParams,
)
from tests.nodes.memory import SYSTEM, World
from tests.support.memory import client_info, scopes

ADMIN = frozenset(scopes("admin"))


class NodeTestCase(SynchronousTestCase):
    """A world for each test."""

    def setUp(self) -> None:
        self.world = World()

    def again(self) -> World:
        """The Gateway started again on the same store."""
        world = World(self.world.database)
        world.paired = self.world.paired
        return world

    def pending(self, world: World | None = None) -> list[tuple[str, ...]]:
        return [tuple(one.commands) for one in (world or self.world).pairing.listing().pending]


class ListTests(NodeTestCase):
    """`node.list`."""

    def test_a_connected_node_comes_first_and_one_row_is_one_device(self) -> None:
        away = self.world.connect("node-b", version=3)
        self.world.registry.left(away)
        self.world.connect("node-c", version=3)
        listing = self.world.registry.listing(3)
        self.assertEqual([node.node_id for node in listing], ["node-c", "node-b"])
        self.assertEqual([node.connected for node in listing], [True, False])
        self.assertEqual(listing[0].commands, sorted(SYSTEM))

    def test_a_node_that_left_is_still_shown_as_it_was(self) -> None:
        connection = self.world.approved(permissions={"camera": True, "screen": False})
        connected_at = self.world.clock.now_ms()
        self.world.clock.advance(5)
        self.world.registry.left(connection)
        for world in (self.world, self.again()):
            (node,) = world.registry.listing(4)
            self.assertEqual((node.connected, node.paired), (False, True))
            self.assertEqual(node.last_seen_at_ms, connected_at)
            self.assertEqual(node.last_disconnected_at_ms, connected_at + 5000)
            self.assertEqual((node.platform, node.caps), ("linux", ["system"]))
            self.assertEqual(node.commands, sorted(SYSTEM))
            self.assertEqual(node.permissions, {"camera": True, "screen": False})

    def test_a_device_that_never_connected_as_a_node_is_shown_too(self) -> None:
        self.world.registry.left(self.world.connect("node-b"))
        world = World()
        world.paired = self.world.paired
        (node,) = world.registry.listing(4)
        self.assertEqual((node.node_id, node.connected, node.commands), ("node-b", False, []))

    def test_an_operator_is_no_node(self) -> None:
        self.world.registry.arrived(_Operator("op"))
        self.assertEqual(self.world.registry.listing(4), [])

    def test_a_name_an_operator_gave_stays(self) -> None:
        self.world.connect(version=3)
        renamed = self.successResultOf(_run(self.world.registry.rename("node-a", "  Desk ")))
        self.assertEqual(renamed.display_name, "Desk")
        world = self.again()
        world.connect(version=3)
        self.assertEqual(world.registry.describe("node-a", 3).display_name, "Desk")
        refused = self.failureResultOf(_run(world.registry.rename("nobody", "x")), RequestError)
        self.assertEqual(refused.value.message, "unknown nodeId")

    def test_a_changed_configuration_counts_at_once(self) -> None:
        self.world.connect(version=3, commands=("system.run", "camera.snap"))
        self.assertEqual(self.world.registry.commands("node-a"), ("system.run",))
        self.world.registry.policy = CommandPolicy(
            allow=frozenset({"camera.snap"}), deny=frozenset({"system.run"})
        )
        self.assertEqual(self.world.registry.commands("node-a"), ("camera.snap",))


class RemovedTests(NodeTestCase):
    """`node.pair.remove`."""

    def test_nothing_is_left_of_it(self) -> None:
        connection = self.world.approved()
        asked = self.world.registry.remove("node-a")
        self.successResultOf(_run(asked))
        self.assertEqual(connection.closed, [(1008, "this node was removed")])
        self.world.registry.left(connection)
        self.assertNotIn("node-a", self.world.paired)
        for world in (self.world, self.again()):
            self.assertEqual(world.registry.listing(4), [])
            self.assertEqual(world.pairing.listing().paired, [])
            self.assertRaises(RequestError, world.registry.live_of, connection.conn_id, "node-a")

    def test_it_has_to_be_approved_again(self) -> None:
        self.world.approved()
        self.successResultOf(_run(self.world.registry.remove("node-a")))
        self.world.connect()
        self.assertEqual(self.world.registry.commands("node-a"), ())
        self.assertEqual(self.pending(), [SYSTEM])

    def test_what_it_waits_for_is_over(self) -> None:
        self.world.connect()
        self.successResultOf(_run(self.world.registry.remove("node-a")))
        self.assertEqual(self.pending(), [])
        (resolved,) = self.world.events.named("node.pair.resolved")
        self.assertEqual(resolved.decision, "expired")

    def test_a_stranger(self) -> None:
        refused = self.failureResultOf(_run(self.world.registry.remove("x")), RequestError)
        self.assertEqual(refused.value.message, "unknown nodeId")


class ReplacedTests(NodeTestCase):
    """A node has one connection."""

    def test_the_new_connection_takes_over(self) -> None:
        old = self.world.connect(version=3)
        new = self.world.connect(version=3)
        self.assertEqual(old.closed, [(1008, "replaced by a newer connection of this node")])
        self.world.registry.left(old)
        live = self.world.registry.live("node-a")
        assert live is not None
        self.assertIs(live.connection, new)
        self.assertRaises(RequestError, self.world.registry.live_of, old.conn_id, "node-a")


class LogTests(NodeTestCase):
    """A node that says too much does not fill the disk, also when it connects anew for it."""

    def test_what_nobody_asked_for_is_noted_a_few_times(self) -> None:
        self.patch(loglimit, "MOST_LINES", 6)
        late = NodeInvokeResultParams(id="x", node_id="node-a", ok=True)
        foreign = NodeInvokeResultParams(id="x", node_id="node-b", ok=True)
        with capturedLogs() as events:
            for _ in range(4):
                caller = self.world.connect().caller()
                told = self.world.methods.event(caller, NodeEventParams(event="odd"))
                self.assertTrue(self.successResultOf(Deferred.fromCoroutine(told)).ok)
                self.assertTrue(self.world.methods.result(caller, late).ignored)
                self.assertRaises(RequestError, self.world.methods.result, caller, foreign)
        lines = [formatEvent(event) for event in events]
        said = ("told 'odd'", "nobody waits", "in another's name")
        self.assertEqual([sum(part in line for line in lines) for part in said], [2, 2, 2])
        self.assertEqual(sum("says too much" in line for line in lines), 1)


class ApprovalTests(NodeTestCase):
    """Version 4: what a node declares counts when an operator has approved it."""

    def approve(self, granted: frozenset[str] = ADMIN, version: int = 4) -> Any:
        (request,) = self.world.pairing.listing().pending
        return self.successResultOf(
            _run(self.world.pairing.approve(request.request_id, granted, version))
        )

    def test_nothing_counts_before(self) -> None:
        self.world.connect()
        node = self.world.registry.describe("node-a", 4)
        self.assertEqual((node.caps, node.commands), ([], []))
        self.assertEqual(node.approval_state, "pending-approval")
        self.assertEqual(node.pending_declared_commands, list(SYSTEM))
        (asked,) = self.world.events.named("node.pair.requested")
        self.assertEqual((asked.request_id, asked.silent), (node.pending_request_id, True))

    def test_approved_commands_count_at_once_and_after_a_restart(self) -> None:
        self.world.connect()
        self.approve()
        self.assertEqual(self.world.registry.commands("node-a"), SYSTEM)
        world = self.again()
        world.connect()
        self.assertEqual(world.registry.commands("node-a"), SYSTEM)
        self.assertEqual(self.pending(world), [])

    def test_more_has_to_be_approved_again_and_less_does_not(self) -> None:
        self.world.connect(commands=("system.which", "system.notify"))
        self.approve()
        self.world.connect(commands=("system.which",))
        self.assertEqual(self.pending(), [])
        self.world.connect(commands=("system.which", "system.run"))
        self.assertEqual(self.pending(), [("system.which", "system.run")])
        self.assertEqual(self.world.registry.commands("node-a"), ("system.which",))
        node = self.world.registry.describe("node-a", 4)
        self.assertEqual(node.approval_state, "pending-reapproval")
        self.approve()
        self.assertEqual(self.world.registry.commands("node-a"), ("system.which", "system.run"))

    def test_a_new_permission_has_to_be_approved(self) -> None:
        self.world.approved(permissions={"screen": False})
        self.world.connect(permissions={"screen": True})
        node = self.world.registry.describe("node-a", 4)
        self.assertEqual(node.permissions, {"screen": False})
        self.assertEqual(node.pending_declared_permissions, {"screen": True})

    def test_connecting_again_asks_once(self) -> None:
        self.world.connect()
        self.world.connect(commands=SYSTEM[::-1])
        self.assertEqual(len(self.world.events.named("node.pair.requested")), 1)
        self.assertEqual(len(self.pending(self.again())), 1)

    def test_an_operator_never_approves_what_it_has_not_seen(self) -> None:
        self.world.connect(commands=("system.notify",))
        (seen,) = self.world.pairing.listing().pending
        self.world.connect()
        (withdrawn,) = self.world.events.named("node.pair.resolved")
        self.assertEqual((withdrawn.request_id, withdrawn.decision), (seen.request_id, "expired"))
        refused = self.failureResultOf(
            _run(self.world.pairing.approve(seen.request_id, ADMIN, 4)), RequestError
        )
        self.assertEqual(refused.value.message, "unknown requestId")
        self.assertEqual(self.world.registry.commands("node-a"), ())

    def test_commands_that_run_programs_need_an_admin(self) -> None:
        self.world.connect()
        (request,) = self.world.pairing.listing().pending
        refused = self.failureResultOf(
            _run(
                self.world.pairing.approve(
                    request.request_id, frozenset(scopes("pairing", "write")), 4
                )
            ),
            RequestError,
        )
        self.assertEqual(refused.value.code, "FORBIDDEN")
        self.assertEqual(self.world.registry.commands("node-a"), ())

    def test_rejected_is_not_approved(self) -> None:
        self.world.connect()
        (request,) = self.world.pairing.listing().pending
        self.successResultOf(_run(self.world.pairing.reject(request.request_id)))
        self.assertEqual(self.pending(), [])
        self.assertEqual(self.world.registry.commands("node-a"), ())
        self.assertEqual(self.world.registry.describe("node-a", 4).approval_state, "unapproved")

    def test_an_older_protocol_is_no_way_around_it(self) -> None:
        self.world.connect()
        self.world.connect(version=3)
        self.assertEqual(self.world.registry.commands("node-a"), ())
        world = self.again()
        world.connect(version=3)
        self.assertEqual(world.registry.commands("node-a"), ())

    def test_another_platform_gives_no_command_that_was_not_approved(self) -> None:
        self.world.connect(commands=("system.which",))
        self.approve()
        mac = client_info(id="node-host", mode="node", platform="macos", device_family="Mac")
        self.world.connect(commands=("system.which", "camera.list"), client=mac)
        self.assertEqual(self.world.registry.commands("node-a"), ("system.which",))

    def test_version_3_nodes_are_not_asked(self) -> None:
        self.world.connect(version=3)
        self.assertEqual(self.pending(), [])
        self.assertEqual(self.world.registry.commands("node-a"), SYSTEM)


class ByHandTests(NodeTestCase):
    """`node.pair.request` and `node.pair.verify` of version 3."""

    def test_request_approve_verify(self) -> None:
        pairing = self.world.pairing
        params = NodePairRequestParams(node_id="legacy", commands=["camera.list"], silent=True)
        first = self.successResultOf(_run(pairing.ask_by_hand(params)))
        second = self.successResultOf(_run(pairing.ask_by_hand(params)))
        self.assertEqual((first.created, second.created), (True, False))
        self.assertEqual(first.request.request_id, second.request.request_id)
        approved = self.successResultOf(_run(pairing.approve(first.request.request_id, ADMIN, 3)))
        token = given(approved.node.token, "")
        world = self.again()
        self.assertTrue(world.pairing.verify("legacy", token).ok)
        self.assertFalse(world.pairing.verify("legacy", token + "x").ok)
        self.assertFalse(world.pairing.verify("other", token).ok)
        stored = b"".join(
            str(row).encode() for row in world.database.connection.execute("SELECT * FROM nodes")
        )
        self.assertNotIn(token.encode(), stored)
        self.assertNotIn(token, repr(approved))


class _Operator:
    """A connection that is no node's."""

    role = "operator"

    def __init__(self, device_id: str) -> None:
        self.device_id = device_id


def _run(work: Any) -> Deferred[Any]:
    return Deferred.fromCoroutine(work)
