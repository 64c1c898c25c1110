"""What a scope includes."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from clawgw.trust.scopes import covers, distinct, uncovered, union

OPERATOR = [
    f"operator.{name}" for name in ("read", "write", "admin", "approvals", "pairing", "talk")
]
names = st.lists(st.one_of(st.sampled_from(OPERATOR), st.text(min_size=1, max_size=20)))


class Scopes(SynchronousTestCase):
    """Inclusion, and sets of scopes."""

    def test_what_includes_what(self) -> None:
        included = {
            "operator.admin": set(OPERATOR),
            "operator.write": {"operator.write", "operator.read", "operator.talk"},
        }
        for granted in OPERATOR:
            for wanted in OPERATOR:
                expected = wanted in included.get(granted, {granted})
                self.assertEqual(covers([granted], wanted), expected, (granted, wanted))

    def test_admin_is_of_operators_only(self) -> None:
        for wanted in ("node.invoke", "operator", "Operator.read", "", "x.operator.read"):
            self.assertFalse(covers(["operator.admin"], wanted))

    def test_nothing_covers_nothing(self) -> None:
        self.assertEqual(uncovered([], OPERATOR), OPERATOR)
        self.assertEqual(uncovered(OPERATOR, []), [])

    @given(names, names)
    def test_whatever_the_names(self, first: list[str], second: list[str]) -> None:
        self.assertEqual(uncovered(union(first, second), first), [])
        self.assertEqual(set(distinct(first)), set(first))
        self.assertEqual(len(distinct(first)), len(set(first)))
        if "operator.admin" not in first:
            self.assertFalse(covers(first, "operator.admin"))
