"""One Markdown text in every format, against what was written by hand for each provider."""

from __future__ import annotations

from twisted.trial.unittest import TestCase

from clawgw.channels.chunks import Chunk, Format, chunks

ZERO_WIDTH_SPACE = "\u200b"

SOURCE = """\
# Report for *today*

Some **bold with *italic* inside**, ~~gone~~, `a < b`, [a link](https://x.org/a_(b)?c=1&d=2) and
||a secret||: 2 < 3 & snake_case https://x.org/__init__.py.

1. First
   - [ ] open
   - [x] done
2. Second
   ```python
   print("<hi>")
   ```

> A *quote*
> goes on
>
> > within

| Name | Size |
|:-----|-----:|
| one  |    1 |

---
"""

PLAIN = """\
Report for today

Some bold with italic inside, gone, a < b, a link (https://x.org/a_(b)?c=1&d=2) and
a secret: 2 < 3 & snake_case https://x.org/__init__.py.

1. First
   ☐ open
   ☑ done
2. Second
print("<hi>")

> A quote
> goes on
>
> > within

Name | Size
-----+-----
one  |    1

———"""

TELEGRAM = """\
<b>Report for <i>today</i></b>

Some <b>bold with <i>italic</i> inside</b>, <s>gone</s>, <code>a &lt; b</code>, \
<a href="https://x.org/a_(b)?c=1&amp;d=2">a link</a> and
<tg-spoiler>a secret</tg-spoiler>: 2 &lt; 3 &amp; snake_case \
<a href="https://x.org/__init__.py">https://x.org/__init__.py</a>.

1. First
   ☐ open
   ☑ done
2. Second
<pre><code class="language-python">print("&lt;hi&gt;")</code></pre>

<blockquote>A <i>quote</i>
goes on

&gt; within</blockquote>

<pre>Name | Size
-----+-----
one  |    1</pre>

———"""

SLACK = """\
*Report for _today_*

Some *bold with _italic_ inside*, ~gone~, `a &lt; b`, \
<https://x.org/a_(b)?c=1&amp;d=2|a link> and
a secret: 2 &lt; 3 &amp; snake_case <https://x.org/__init__.py>.

1. First
   ☐ open
   ☑ done
2. Second
```
print("&lt;hi&gt;")
```

> A _quote_
> goes on
>
> &gt; within

```
Name | Size
-----+-----
one  |    1
```

———"""

DISCORD = """\
# Report for *today*

Some **bold with *italic* inside**, ~~gone~~, `a < b`, \
[a link](https://x.org/a_%28b%29?c=1&d=2) and
||a secret||: 2 \\< 3 & snake\\_case https://x.org/__init__.py.

1. First
   - ☐ open
   - ☑ done
2. Second
```python
print("<hi>")
```

> A *quote*
> goes on
>
> > within

```
Name | Size
-----+-----
one  |    1
```

———"""

WHATSAPP = """\
*Report for _today_*

Some *bold with _italic_ inside*, ~gone~, `a < b`, a link (https://x.org/a_(b)?c=1&d=2) and
a secret: 2 < 3 & snake_case https://x.org/__init__.py.

1. First
   ☐ open
   ☑ done
2. Second
```print("<hi>")```

> A _quote_
> goes on
>
> > within

```Name | Size
-----+-----
one  |    1```

———"""


def text(markdown: str, fmt: Format) -> str:
    return whole(markdown, fmt).text


def whole(markdown: str, fmt: Format) -> Chunk:
    (chunk,) = chunks(markdown, fmt, 4000)
    return chunk


class EverythingAtOnce(TestCase):
    """The same text for all."""

    maxDiff = None

    def test_telegram(self) -> None:
        self.assertEqual(text(SOURCE, Format.TELEGRAM), TELEGRAM)

    def test_slack(self) -> None:
        self.assertEqual(text(SOURCE, Format.SLACK), SLACK)

    def test_discord(self) -> None:
        self.assertEqual(text(SOURCE, Format.DISCORD), DISCORD)

    def test_whatsapp(self) -> None:
        self.assertEqual(text(SOURCE, Format.WHATSAPP), WHATSAPP)

    def test_plain(self) -> None:
        self.assertEqual(text(SOURCE, Format.PLAIN), PLAIN)

    def test_signal(self) -> None:
        chunk = whole(SOURCE, Format.SIGNAL)
        self.assertEqual(chunk.text, PLAIN)
        styled = []
        for style in chunk.styles:
            start, length, name = style.split(":")
            styled.append((PLAIN[int(start) : int(start) + int(length)], name))
        self.assertEqual(
            styled,
            [
                ("Report for today", "BOLD"),
                ("today", "ITALIC"),
                ("bold with italic inside", "BOLD"),
                ("italic", "ITALIC"),
                ("gone", "STRIKETHROUGH"),
                ("a < b", "MONOSPACE"),
                ("a secret", "SPOILER"),
                ('print("<hi>")', "MONOSPACE"),
                ("quote", "ITALIC"),
                ("Name | Size\n-----+-----\none  |    1", "MONOSPACE"),
            ],
        )

    def test_without_formatting_it_is_the_plain_text_everywhere(self) -> None:
        for fmt in Format:
            self.assertEqual(whole(SOURCE, fmt).plain, PLAIN, fmt)


class TelegramDetails(TestCase):
    """HTML that the Bot API takes."""

    def test_nothing_in_the_text_is_a_tag(self) -> None:
        self.assertEqual(
            text('<b>a</b> & &amp; <script> "', Format.TELEGRAM),
            '&lt;b&gt;a&lt;/b&gt; &amp; &amp; &lt;script&gt; "',
        )

    def test_nothing_in_an_address_ends_its_attribute(self) -> None:
        self.assertEqual(
            text("[a](https://x.org/\"'&b=%3C<b>)", Format.TELEGRAM),
            '<a href="https://x.org/%22&#x27;&amp;b=%3C%3Cb%3E">a</a>',
        )

    def test_code_is_nothing_but_code(self) -> None:
        self.assertEqual(
            text("**a `b` ~~`c`~~**", Format.TELEGRAM), "<b>a</b> <code>b</code> <code>c</code>"
        )

    def test_styles_that_begin_and_end_elsewhere_are_nested_properly(self) -> None:
        self.assertEqual(
            text("**a ||b** c||", Format.TELEGRAM),
            "<b>a <tg-spoiler>b</tg-spoiler></b> <tg-spoiler>c</tg-spoiler>",
        )


class SlackDetails(TestCase):
    """mrkdwn."""

    def test_nobody_is_mentioned(self) -> None:
        self.assertEqual(
            text("<!channel> <@U1> &lt;!here&gt; `<!channel>`", Format.SLACK),
            "&lt;!channel&gt; &lt;@U1&gt; &lt;!here&gt; `&lt;!channel&gt;`",
        )

    def test_styles_stand_apart_from_words(self) -> None:
        joint = ZERO_WIDTH_SPACE
        self.assertEqual(
            text("un**frigging**believable", Format.SLACK), f"un{joint}*frigging*{joint}believable"
        )
        self.assertEqual(text("(**a**), **b**.", Format.SLACK), "(*a*), *b*.")

    def test_links_stand_in_styles(self) -> None:
        self.assertEqual(
            text("**[a](https://x.org)** [b *c*](https://x.org)", Format.SLACK),
            "*<https://x.org|a>* <https://x.org|b> _<https://x.org|c>_",
        )

    def test_an_address_cannot_end_its_link(self) -> None:
        self.assertEqual(text("[a](<https://x.org/|b>)", Format.SLACK), "<https://x.org/%7Cb|a>")

    def test_code_with_backticks(self) -> None:
        self.assertEqual(text("`` a`b ``", Format.SLACK), "a`b")
        self.assertEqual(text("````\n```\n````", Format.SLACK), f"```\n``{ZERO_WIDTH_SPACE}`\n```")


class DiscordDetails(TestCase):
    """Discord's Markdown."""

    def test_nobody_is_mentioned(self) -> None:
        self.assertEqual(
            text("@everyone @Here @me <@1> <@&2> <#3> <:a:4>", Format.DISCORD),
            f"@{ZERO_WIDTH_SPACE}everyone @{ZERO_WIDTH_SPACE}Here @me "
            "\\<@1> \\<@&2> \\<#3> \\<:a:4>",
        )

    def test_text_that_is_no_formatting_does_not_become_any(self) -> None:
        self.assertEqual(
            text(r"\*a\* \_b\_ \~~c\~~ \| \|\| \` \[d](e)", Format.DISCORD),
            r"\*a\* \_b\_ \~\~c\~\~ \| \|\| \` \[d](e)",
        )

    def test_lines_that_only_look_like_headings_and_lists(self) -> None:
        self.assertEqual(
            text("\\# a\n\\> b\n\\- c\n1\\. d\n#e\n-f\n3.5\n\\-# g", Format.DISCORD),
            "\\# a\n\\> b\n\\- c\n1\\. d\n#e\n-f\n3.5\n\\-# g",
        )

    def test_small_headings_are_bold(self) -> None:
        self.assertEqual(text("### a\n#### b *c*", Format.DISCORD), "### a\n**b *c***")

    def test_code_with_backticks(self) -> None:
        self.assertEqual(text("`` a`b ``", Format.DISCORD), "a\\`b")
        self.assertEqual(
            text("````md\n```\n````", Format.DISCORD), f"```md\n``{ZERO_WIDTH_SPACE}`\n```"
        )


class SignalDetails(TestCase):
    """Text and ranges."""

    def test_ranges_count_utf_16(self) -> None:
        chunk = whole("😀 **b😀** *c*", Format.SIGNAL)
        self.assertEqual(chunk.text, "😀 b😀 c")
        self.assertEqual(chunk.styles, ("3:3:BOLD", "7:1:ITALIC"))

    def test_an_address_is_told_once(self) -> None:
        chunk = whole("see [a **b** c](https://x.org)!", Format.SIGNAL)
        self.assertEqual(chunk.text, "see a b c (https://x.org)!")
        self.assertEqual(chunk.styles, ("6:1:BOLD",))


class Links(TestCase):
    """What is not made a link."""

    def test_where_a_link_cannot_lead_is_spelled_out(self) -> None:
        for fmt in Format:
            self.assertEqual(text("[a](/b.md).", fmt), "a (/b.md).", fmt)

    def test_a_link_that_shows_another_address_is_spelled_out(self) -> None:
        self.assertEqual(
            text("[https://good.org](https://bad.org)", Format.TELEGRAM),
            "https://good.org (https://bad.org)",
        )

    def test_a_link_that_shows_its_address_says_it_once(self) -> None:
        for source in ("<https://x.org>", "https://x.org", "[https://x.org](https://x.org)"):
            self.assertEqual(text(source, Format.PLAIN), "https://x.org")
            self.assertEqual(text(source, Format.DISCORD), "https://x.org")
            self.assertEqual(text(source, Format.SLACK), "<https://x.org>")
