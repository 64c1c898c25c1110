"""Slack's text as people read it."""

from __future__ import annotations

from twisted.trial.unittest import TestCase

from clawgw.channels.slack.mrkdwn import mentioned, readable, without_leading_mention

NAMES = {"U1": "Ann"}


class ReadableTests(TestCase):
    def check(self, written: str, read: str) -> None:
        self.assertEqual(readable(written, NAMES.get), read)

    def test_escaped_characters(self) -> None:
        self.check("a &lt;b&gt; &amp;&amp; c", "a <b> && c")
        self.check("&amp;lt;", "&lt;")

    def test_people_and_places(self) -> None:
        self.check("<@U1> and <@U2> and <@U3|carl>", "@Ann and @U2 and @carl")
        self.check("in <#C1|general> or <#C2>", "in #general or #C2")
        self.check("<!here> <!subteam^S1|@admins> <!everyone|everyone>", "@here @admins @everyone")

    def test_links(self) -> None:
        self.check("<https://x.org/a?b=1&amp;c=2>", "https://x.org/a?b=1&c=2")
        self.check("<https://x.org|the site>", "the site (https://x.org)")
        self.check("<mailto:a@x.org|a@x.org>", "a@x.org")

    def test_dates_show_what_stands_for_them(self) -> None:
        self.check("<!date^1392734382^{date}|Feb 18, 2014>", "Feb 18, 2014")

    def test_what_is_no_special_form_stays(self) -> None:
        self.check("a < b > c <> <", "a < b > c <> <")

    def test_mentions(self) -> None:
        self.assertEqual(list(mentioned("<@U1> hi <@U2|bob>, <#C1>")), ["U1", "U2"])
        self.assertEqual(without_leading_mention(" <@U1>: hi <@U1>", "U1"), "hi <@U1>")
        self.assertEqual(without_leading_mention("<@U1|ann>, hi", "U1"), "hi")
        self.assertEqual(without_leading_mention("hi <@U1>", "U1"), "hi <@U1>")
