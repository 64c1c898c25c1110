"""Long texts, cut into messages that are each complete."""

from __future__ import annotations

import time
from html.parser import HTMLParser

from hypothesis import example, given, settings
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from clawgw.channels.chunks import MIN_LIMIT, Chunk, Format, chunks

TAGS = {"b", "i", "u", "s", "code", "pre", "a", "blockquote", "tg-spoiler"}
ATTRIBUTES = {"a": {"href"}, "code": {"class"}}


def units(text: str) -> int:
    return len(text.encode("utf-16-le")) // 2


def texts(markdown: str, fmt: Format, limit: int = MIN_LIMIT, mode: str = "length") -> list[str]:
    return [chunk.text for chunk in chunks(markdown, fmt, limit, mode=mode)]


class Allowed(HTMLParser):
    """Reads Telegram's HTML as strictly as the Bot API; keeps the text."""

    def __init__(self, html: str) -> None:
        super().__init__(convert_charrefs=True)
        self.open: list[str] = []
        self.text = ""
        self.feed(html)
        self.close()
        assert not self.open, f"not closed: {self.open}"

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        assert tag in TAGS, tag
        assert {name for name, _ in attrs} <= ATTRIBUTES.get(tag, set()), attrs
        assert tag not in self.open, f"{tag} in {tag}"
        assert "code" not in self.open, f"{tag} in code"
        assert "pre" not in self.open or tag == "code", f"{tag} in pre"
        self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open, tag
        assert self.open.pop() == tag, tag

    def handle_data(self, data: str) -> None:
        self.text += data


class Places(SynchronousTestCase):
    """Where a text is cut."""

    def test_what_fits_is_one_message(self) -> None:
        self.assertEqual(texts("a\n\nb", Format.PLAIN), ["a\n\nb"])

    def test_a_limit_is_used_to_the_last_unit(self) -> None:
        source = "\n".join(["- 12345", "b 12345", "> 12345", "", "`12345`"] * 20)
        for fmt in Format:
            (whole,) = chunks(source, fmt, 10_000)
            shown = Allowed(whole.text).text if fmt is Format.TELEGRAM else whole.text
            limit = max(units(shown), units(whole.plain))
            self.assertEqual(len(chunks(source, fmt, limit)), 1, fmt)
            self.assertEqual(len(chunks(source, fmt, limit - 1)), 2, fmt)

    def test_nothing_is_no_message(self) -> None:
        for source in ("", " \n ", "[a]: http://x.org", "```\n```", "#", ">#", "> ```\n> ```"):
            for fmt in Format:
                self.assertEqual(texts(source, fmt), [], source)

    def test_between_blocks_first(self) -> None:
        source = "\n\n".join(letter * 60 + ". " + letter * 20 for letter in "abc")
        self.assertEqual(texts(source, Format.PLAIN), source.split("\n\n"))

    def test_between_lines_next(self) -> None:
        source = "\n".join(letter * 50 + ". " + letter * 20 for letter in "abcd")
        self.assertEqual(texts(source, Format.PLAIN), source.split("\n"))

    def test_after_a_sentence_next(self) -> None:
        source = "a" * 70 + ' "b". ' + "c " * 60
        first, *_ = texts(source, Format.PLAIN)
        self.assertEqual(first, "a" * 70 + ' "b".')

    def test_between_words_next(self) -> None:
        source = " ".join(["word"] * 100)
        for text in texts(source, Format.PLAIN):
            self.assertEqual(set(text.split(" ")), {"word"})

    def test_in_a_word_at_last(self) -> None:
        found = texts("a" * 1000, Format.PLAIN)
        self.assertEqual("".join(found), "a" * 1000)
        self.assertLess(len(found), 12)

    def test_never_inside_a_character(self) -> None:
        for character in ("👩‍👩‍👧‍👦", "🇩🇪", "e\u0301", "👍🏽", "😀", "नि"):
            for text in texts("a" + character * 200, Format.PLAIN):
                self.assertEqual(text.removeprefix("a").replace(character, ""), "", character)

    def test_a_heading_goes_with_what_it_is_above_of(self) -> None:
        source = "a" * 70 + "\n\n## Title\n\n### Subtitle\n\n" + "b" * 70
        self.assertEqual(
            texts(source, Format.PLAIN), ["a" * 70, "Title\n\nSubtitle\n\n" + "b" * 70]
        )

    def test_an_address_is_not_cut(self) -> None:
        url = "https://x.org/" + "a" * 80
        source = f"{'word ' * 20}{url} {'word ' * 20}"
        for fmt in Format:
            self.assertEqual(sum(url in chunk.plain for chunk in chunks(source, fmt, 400)), 1)

    def test_every_blank_line_when_asked(self) -> None:
        source = "a\nb\n\n# c\n\nd\n\n- e\n- f\n\n```\ng\n\nh\n```"
        self.assertEqual(
            texts(source, Format.PLAIN, mode="newline"),
            ["a\nb", "c\n\nd", "• e\n• f", "g\n\nh"],
        )

    def test_a_limit_that_is_too_small_for_markup(self) -> None:
        with self.assertRaises(ValueError):
            chunks("a", Format.PLAIN, MIN_LIMIT - 1)


class Whole(SynchronousTestCase):
    """Each message is complete in itself."""

    def test_code_is_fenced_in_every_message(self) -> None:
        source = "```python\n" + "\n".join(f"line({n})" for n in range(60)) + "\n```"
        found = texts(source, Format.DISCORD)
        self.assertGreater(len(found), 3)
        for text in found:
            self.assertTrue(text.startswith("```python\nline("), text)
            self.assertTrue(text.endswith(")\n```"), text)

    def test_styles_begin_again(self) -> None:
        source = "**" + "word " * 100 + "end**"
        for fmt, edge in ((Format.SLACK, "*"), (Format.DISCORD, "**"), (Format.WHATSAPP, "*")):
            for text in texts(source, fmt):
                self.assertTrue(text.startswith(f"{edge}word"), text)
                self.assertTrue(text.endswith(("word" + edge, "end" + edge)), text)

    def test_quotations_begin_again(self) -> None:
        source = "> " + "word " * 100
        for text in texts(source, Format.TELEGRAM):
            self.assertTrue(text.startswith("<blockquote>word"), text)
            self.assertTrue(text.endswith("word</blockquote>"), text)
        for text in texts(source, Format.PLAIN):
            self.assertTrue(text.startswith("> word"), text)

    def test_a_lists_item_goes_on_below_its_text(self) -> None:
        first, second, *_ = texts("- " + "word " * 100, Format.PLAIN)
        self.assertTrue(first.startswith("• word"))
        self.assertTrue(second.startswith("  word"))

    def test_a_link_goes_on_and_its_address_is_told_at_its_end(self) -> None:
        source = "[" + "word " * 60 + "end](https://x.org)"
        found = chunks(source, Format.SLACK, MIN_LIMIT)
        self.assertGreater(len(found), 2)
        for chunk in found:
            self.assertTrue(chunk.text.startswith("<https://x.org|word"), chunk)
        self.assertEqual(
            [chunk.plain.endswith("(https://x.org)") for chunk in found],
            [False] * (len(found) - 1) + [True],
        )

    def test_signals_ranges_are_those_of_their_message(self) -> None:
        for chunk in chunks("*" + "😀ord " * 100 + "end*", Format.SIGNAL, MIN_LIMIT):
            self.assertEqual(chunk.styles, (f"0:{units(chunk.text.rstrip())}:ITALIC",))

    def test_telegram_counts_the_text_without_its_tags(self) -> None:
        source = " ".join(["**a** *b*"] * 20)
        (text,) = texts(source, Format.TELEGRAM)
        self.assertGreater(len(text), MIN_LIMIT)


MARKDOWN = st.lists(
    st.one_of(
        st.sampled_from(
            [
                *'*_~`|<>&[]()#!\\\n-+1.:@ \t"',
                *("**", "~~", "||", "```", "```py\n", "\n\n", "\n> ", "\n- ", "\n  - ", "\n1. "),
                *("\n# ", "\n#### ", "[a](https://x.org/b)", "https://x.org/__a__", "@everyone"),
                *(
                    "|a|b|\n|-|-|\n|c|d|",
                    "- [ ] ",
                    "<br>",
                    "&lt;",
                    "word ",
                    "Sentence. ",
                    "\n---\n",
                ),
                *("![](https://x.org/p)", "<https://x.org>", "[a](b)", "😀", "👩‍👩‍👧‍👦", "e\u0301"),
                *("w" * 100, "word " * 50, "https://x.org/" + "a" * 120),
            ]
        ),
        st.text(max_size=20),
    ),
    max_size=60,
).map("".join)

LIMIT = st.sampled_from([*range(MIN_LIMIT, 150), 333, 2000])


class Properties(SynchronousTestCase):
    """What holds for whatever a model writes."""

    @example("*https://x.org/" + "a" * 119 + "||00*", 140, Format.DISCORD)
    @given(MARKDOWN, LIMIT, st.sampled_from(Format))
    @settings(max_examples=200)
    def test_no_message_is_too_long_or_empty(self, source: str, limit: int, fmt: Format) -> None:
        for chunk in chunks(source, fmt, limit):
            text = Allowed(chunk.text).text if fmt is Format.TELEGRAM else chunk.text
            self.assertLessEqual(units(text), limit)
            self.assertLessEqual(units(chunk.plain), limit)
            self.assertTrue(text.strip())
            self.assertTrue(chunk.plain.strip())

    @given(MARKDOWN, LIMIT, st.sampled_from(Format), st.sampled_from(["length", "newline"]))
    @settings(max_examples=200)
    def test_nothing_is_lost_or_doubled(
        self, source: str, limit: int, fmt: Format, mode: str
    ) -> None:
        whole = chunks(source, fmt, 1_000_000)
        parts = chunks(source, fmt, limit, mode=mode)
        self.assertEqual(skeleton(parts), skeleton(whole))

    @given(MARKDOWN, LIMIT)
    @settings(max_examples=100)
    def test_telegram_shows_what_the_plain_text_says(self, source: str, limit: int) -> None:
        for chunk in chunks(source, Format.TELEGRAM, limit):
            shown = "".join(Allowed(chunk.text).text.split())
            said = "".join(chunk.plain.split())
            self.assertTrue(is_in(shown.replace(">", ""), said.replace(">", "")), (shown, said))

    @given(MARKDOWN, LIMIT)
    @settings(max_examples=100)
    def test_signals_ranges_are_in_the_text(self, source: str, limit: int) -> None:
        for chunk in chunks(source, Format.SIGNAL, limit):
            self.assertEqual(chunk.text, chunk.plain)
            for style in chunk.styles:
                start, length, name = style.split(":")
                self.assertGreater(int(length), 0)
                self.assertLessEqual(int(start) + int(length), units(chunk.text))
                self.assertIn(name, {"BOLD", "ITALIC", "STRIKETHROUGH", "MONOSPACE", "SPOILER"})

    @given(MARKDOWN, LIMIT, st.sampled_from(Format))
    @settings(max_examples=30)
    def test_the_same_comes_of_the_same(self, source: str, limit: int, fmt: Format) -> None:
        self.assertEqual(chunks(source, fmt, limit), chunks(source, fmt, limit))


def skeleton(found: list[Chunk]) -> str:
    """The text without space, and without what stands before the lines of a quotation."""
    return "".join("".join(chunk.plain.split()) for chunk in found).replace(">", "")


def is_in(part: str, whole: str) -> bool:
    """Whether the characters of one are in another, in their order."""
    rest = iter(whole)
    return all(character in rest for character in part)


PATHOLOGICAL = {
    "no spaces": "x" * 100_000,
    "no letters": " " * 50_000 + "a" + "\n" * 50_000,
    "stars": "*a " * 33_000,
    "stars and bars": "*_" * 50_000,
    "open brackets": "[" * 100_000,
    "open pictures": "![" * 50_000,
    "nested brackets": ("[" * 15 + "]" * 15) * 3_300,
    "half links": "[a](" * 25_000,
    "angles": "<http:" * 16_000,
    "quotations": ">" * 100_000,
    "lists": "- " * 50_000,
    "backticks": "".join("`" * (n % 300 + 1) + "a" for n in range(700)),
    "entities": "&" * 100_000,
    "bars": "||a" * 33_000,
    "wide table": "a|b\n-|-\n" + "|x" * 50_000,
    "combining": "a" + "\u0301" * 99_999,
    "families": "👩‍👩‍👧‍👦" * 9_000,
    "one line of code": "```\n" + "x" * 100_000,
    "brackets after an address": "http://x" + ")" * 99_000,
}


class Pathological(SynchronousTestCase):
    """100,000 characters of what nobody writes take no longer than what somebody might."""

    def test_time_grows_with_the_length_and_not_faster(self) -> None:
        self.seconds("warm up")
        for name, source in PATHOLOGICAL.items():
            quarter, whole = self.seconds(source[: len(source) // 4]), self.seconds(source)
            self.assertLess(whole, 10 * quarter + 0.5, name)
            self.assertLess(whole, 10, name)

    def seconds(self, source: str) -> float:
        begun = time.process_time()
        chunks(source, Format.DISCORD, MIN_LIMIT)
        return time.process_time() - begun
