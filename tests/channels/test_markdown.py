"""Markdown as models write it, read into blocks, lines and spans."""

from __future__ import annotations

from twisted.trial.unittest import TestCase

from clawgw.channels.markdown import Block, Kind, Link, Span, Style, parse


def spans(source: str) -> list[Span]:
    """The spans of the first line."""
    return list(parse(source)[0].lines[0])


def texts(source: str) -> list[tuple[str, ...]]:
    """The lines of each block, as text and with their margins."""
    return [lines(block) for block in parse(source)]


def lines(block: Block) -> tuple[str, ...]:
    return tuple(
        (block.rest if number else block.first) + "".join(span.text for span in line)
        for number, line in enumerate(block.lines)
    )


class Inside(TestCase):
    """What is in a line."""

    def test_styles_within_styles(self) -> None:
        self.assertEqual(
            spans("a **b *c* ~~d~~** `e`"),
            [
                Span("a "),
                Span("b ", frozenset({Style.BOLD})),
                Span("c", frozenset({Style.BOLD, Style.ITALIC})),
                Span(" ", frozenset({Style.BOLD})),
                Span("d", frozenset({Style.BOLD, Style.STRIKE})),
                Span(" "),
                Span("e", frozenset({Style.CODE})),
            ],
        )

    def test_spoilers_are_pairs_of_bars_that_touch_the_text(self) -> None:
        hidden = frozenset({Style.SPOILER})
        self.assertEqual(spans("||b||"), [Span("b", hidden)])
        self.assertEqual(spans("a ||b c|| d"), [Span("a "), Span("b c", hidden), Span(" d")])
        self.assertEqual(
            spans("||**b** c||"), [Span("b", hidden | {Style.BOLD}), Span(" c", hidden)]
        )
        for text in ("a || b || c", "a ||b", "`||a||`"):
            self.assertFalse(any(Style.SPOILER in span.styles for span in spans(text)), text)

    def test_a_line_break_is_a_line_break(self) -> None:
        for source in ("a\nb", "a  \nb", "a\\\nb", "a<br>b", "a<br/>b"):
            self.assertEqual(texts(source), [("a", "b")], source)

    def test_html_is_text(self) -> None:
        self.assertEqual(
            texts("<b>a</b>\n\n<div>\nb\n</div>"), [("<b>a</b>",), ("<div>", "b", "</div>")]
        )

    def test_entities_and_escapes_are_what_they_stand_for(self) -> None:
        self.assertEqual(texts(r"&lt;a&gt; \*b\* &copy;"), [("<a> *b* ©",)])

    def test_links_and_pictures(self) -> None:
        self.assertEqual(spans("[a](http://x.y)"), [Span("a", link=Link("http://x.y"))])
        self.assertEqual(spans("![a](http://x.y/p)"), [Span("a", link=Link("http://x.y/p"))])
        self.assertEqual(spans("![](http://x.y/p)"), [Span("image", link=Link("http://x.y/p"))])
        self.assertEqual(
            spans("[![a](http://x.y/p)](http://z)"), [Span("a", link=Link("http://z"))]
        )

    def test_bare_addresses_are_links_and_keep_their_underscores(self) -> None:
        for url in (
            "https://x.y/__init__.py",
            "http://x.y/a_(b)?c=*d*&e=~f~#g",
            "HTTPS://X.Y/",
            "https://x.y/[1]",
        ):
            self.assertEqual(spans(url), [Span(url, link=Link(url, bare=True))])
            self.assertEqual(spans(f"<{url}>")[0].text, url)
            self.assertEqual(spans(f"[{url}]({url})")[0].text, url)

    def test_a_bare_address_ends_before_the_punctuation(self) -> None:
        for before, after in (
            ("(", ")."),
            ("", ","),
            ("**", "**"),
            ("_", "_"),
            ("", "!"),
            ("", ">"),
        ):
            found = [span.link for span in spans(f"{before}https://x.y/z{after}") if span.link]
            self.assertEqual(found, [Link("https://x.y/z", bare=True)], (before, after))

    def test_what_only_looks_like_an_address(self) -> None:
        for text in ("xhttp://a", "http:", "http://", "http://.", "`http://a`", "a:b"):
            self.assertEqual([span.link for span in spans(text)], [None], text)

    def test_code_in_a_link_is_the_link(self) -> None:
        self.assertEqual(spans("[`a`](http://x.y)"), [Span("a", link=Link("http://x.y"))])


class Blocks(TestCase):
    """What stands around the lines."""

    def test_headings(self) -> None:
        first, second, text = parse("# A\n\nB\n-\n\nC")
        self.assertEqual((first.kind, first.level), (Kind.HEADING, 1))
        self.assertEqual((second.kind, second.level), (Kind.HEADING, 2))
        self.assertEqual(text.kind, Kind.TEXT)

    def test_blank_lines_are_kept_and_none_is_added(self) -> None:
        closeness = [block.close for block in parse("# A\nB\n\nC\n- d\n- e\n\n- f\n```\ng\n```\nh")]
        self.assertEqual(closeness, [True, True, False, True, True, False, True, True])

    def test_lists_in_lists(self) -> None:
        self.assertEqual(
            texts("- a\n  - b\n    c\n\n  d\n10. e\n11. f\n    1) g"),
            [
                ("• a",),
                ("  • b", "    c"),
                ("  d",),
                ("10. e",),
                ("11. f",),
                ("    1) g",),
            ],
        )

    def test_task_lists(self) -> None:
        self.assertEqual(
            texts("- [ ] a\n- [x] **b**\n- [X] c\n- [y] d\n- `[ ] e`"),
            [("☐ a",), ("☑ b",), ("☑ c",), ("• [y] d",), ("• [ ] e",)],
        )

    def test_a_list_that_begins_with_a_list_or_code_keeps_its_marker(self) -> None:
        self.assertEqual(texts("- - a\n  - b"), [("• • a",), ("  • b",)])
        self.assertEqual(texts("1. ```\n   a\n   ```"), [("1. ",), ("   a",)])

    def test_code_has_a_language_and_its_spaces(self) -> None:
        (block,) = parse("```python title=x\n  a\n\n\tb  \n```")
        self.assertEqual((block.kind, block.language), (Kind.CODE, "python"))
        self.assertEqual(lines(block), ("  a", "", "    b  "))
        self.assertEqual(parse("```<b>\na\n```")[0].language, "")

    def test_code_that_does_not_end(self) -> None:
        self.assertEqual(texts("```\na\n# b"), [("a", "# b")])

    def test_quotations(self) -> None:
        blocks = parse("> a\n> b\n>\n> > c\n\nd")
        self.assertEqual([block.quote for block in blocks], [True, True, False])
        self.assertEqual([lines(block) for block in blocks], [("a", "b"), ("> c",), ("d",)])

    def test_tables_are_aligned_by_what_one_sees(self) -> None:
        (block,) = parse(
            "| Name | Größe | M |\n|:--|--:|:-:|\n"
            "| 你好 | 1 | a |\n| **x** `y` | 22.5 | bcd |\n| e |"
        )
        self.assertEqual(block.kind, Kind.CODE)
        self.assertEqual(
            lines(block),
            (
                "Name | Größe |  M",
                "-----+-------+----",
                "你好 |     1 |  a",
                "x y  |  22.5 | bcd",
                "e    |       |",
            ),
        )

    def test_a_table_with_one_huge_cell_is_not_padded(self) -> None:
        (block,) = parse("|a|b|\n|-|-|\n|" + "x" * 5000 + "|y|\n" + "|c|d|\n" * 1000)
        self.assertLess(sum(map(len, lines(block))), 30_000)

    def test_nothing_is_nothing(self) -> None:
        self.assertEqual(parse(""), [])
        self.assertEqual(parse(" \n\t\n"), [])


class Odd(TestCase):
    """What nobody writes is kept as it stands."""

    def test_quotations_and_lists_without_end(self) -> None:
        for source in (">" * 500 + "a", "- " * 500 + "a", "1. " * 500 + "a"):
            self.assertEqual(texts(source), [(source,)])

    def test_brackets_without_end(self) -> None:
        source = "[" * 5000 + "**a**"
        self.assertEqual(texts(source), [(source,)])

    def test_half_a_character(self) -> None:
        self.assertEqual(texts("a\ud83db"), [("a\ufffdb",)])
        self.assertEqual(texts("\ud83d\ude00"), [("😀",)])
