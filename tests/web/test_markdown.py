"""Markdown as the page shows it: what becomes an element, and above all what does not."""

from __future__ import annotations

import time

from tests.web.browser import Browser, BrowserTestCase

RENDER = """
    const box = document.createElement('div');
    box.append(m.renderMarkdown(args[0]));
    box.querySelectorAll('.copy').forEach((button) => button.remove());
    return box.innerHTML;
"""
STREAM = """
    const box = document.createElement('div');
    const view = new m.MarkdownView(box);
    for (let end = 1; end <= args[0].length; end += args[1]) view.update(args[0].slice(0, end));
    view.update(args[0]);
    const whole = document.createElement('div');
    whole.append(m.renderMarkdown(args[0]));
    return [box.innerHTML, whole.innerHTML];
"""
LINK = '<a href="{}" target="_blank" rel="noopener noreferrer">{}</a>'
BARE = LINK.format("https://e.org/", "https://e.org/")

INLINE = {
    "plain": "plain",
    "**bold**": "<strong>bold</strong>",
    "__bold__": "<strong>bold</strong>",
    "*em* and _em_": "<em>em</em> and <em>em</em>",
    "***both***": "<em><strong>both</strong></em>",
    "**bold *and em***": "<strong>bold <em>and em</em></strong>",
    "snake_case_name and 2*3*4 = 24": "snake_case_name and 2<em>3</em>4 = 24",
    "a * b * c": "a * b * c",
    "~~gone~~ ~here~": "<del>gone</del> ~here~",
    "**open": "**open",
    "`code *x* <b>`": "<code>code *x* &lt;b&gt;</code>",
    "``a ` b``": "<code>a ` b</code>",
    "`` `x` ``": "<code>`x`</code>",
    "`open": "`open",
    "\\*not\\* \\` \\\\": "*not* ` \\",
    "one\ntwo": "one<br>two",
    "one  \ntwo": "one<br>two",
    "&lt;b&gt; &amp; &copy &#169; &#x41;": "&lt;b&gt; &amp; &amp;copy © A",
    "[a](https://example.com)": LINK.format("https://example.com/", "a"),
    '[a](https://example.com/x_(y) "title")': LINK.format("https://example.com/x_(y)", "a"),
    "[**a** `b`](http://e.org/)": LINK.format("http://e.org/", "<strong>a</strong> <code>b</code>"),
    "[mail](mailto:crab@example.com)": LINK.format("mailto:crab@example.com", "mail"),
    "<https://e.org/a>": LINK.format("https://e.org/a", "https://e.org/a"),
    "see https://e.org/a_b_c.": f"see {LINK.format(*['https://e.org/a_b_c'] * 2)}.",
    "(https://e.org/)": f"({BARE})",
    "**https://e.org/**": f"<strong>{BARE}</strong>",
    "![alt](https://e.org/p.png)": LINK.format("https://e.org/p.png", "alt"),
    "[![alt](https://e.org/p.png)](https://e.org/)": LINK.format(
        "https://e.org/", "<span>alt</span>"
    ),
    "[text] and [a](b": "[text] and [a](b",
    "[x](/relative) [y](#z)": "[x](/relative) [y](#z)",
}

HOSTILE = (
    "[x](javascript:alert(1))",
    "[x](JaVaScRiPt:alert(1))",
    "[x]( javascript:alert(1) )",
    "[x](java\tscript:alert(1))",
    "[x](&#106;avascript:alert(1))",
    "[x](<javascript:alert(1)>)",
    "[x](vbscript:msgbox)",
    "[x](data:text/html,<script>alert(1)</script>)",
    "[x](file:///etc/passwd)",
    "[x](blob:http://e.org/1)",
    "<javascript:alert(1)>",
    "![x](javascript:alert(1))",
    "<script>window.pwned = 1</script>",
    "<img src=x onerror=alert(1)>",
    "<svg/onload=alert(1)>",
    "<iframe src='javascript:alert(1)'></iframe>",
    "&lt;script&gt;alert(1)&lt;/script&gt;",
    "<a href='https://e.org/' onclick='alert(1)'>x</a>",
    "```<img src=x onerror=alert(1)>\n<script>1</script>\n```",
    "| <b>a</b> | b |\n|---|---|\n| <img src=x> | <script>1</script> |",
    "# <style>*{display:none}</style>",
    "- <form action=/x><input></form>",
)

BLOCKS = {
    "# One\n## Two ##\n###### Six": "<h1>One</h1><h2>Two</h2><h6>Six</h6>",
    "#hashtag": "<p>#hashtag</p>",
    "Title\n===\ntext": "<h1>Title</h1><p>text</p>",
    "a\n\nb": "<p>a</p><p>b</p>",
    "a\n***\nb": "<p>a</p><hr><p>b</p>",
    "> a\n> b\n\nc": "<blockquote><p>a<br>b</p></blockquote><p>c</p>",
    "> a\n>> b": "<blockquote><p>a</p><blockquote><p>b</p></blockquote></blockquote>",
    "- a\n- b": "<ul><li>a</li><li>b</li></ul>",
    "text\n- a\n* b": "<p>text</p><ul><li>a</li></ul><ul><li>b</li></ul>",
    "3. c\n4. d": '<ol start="3"><li>c</li><li>d</li></ol>',
    "- a\n  - b\n    - c\n- d": (
        "<ul><li>a<ul><li>b<ul><li>c</li></ul></li></ul></li><li>d</li></ul>"
    ),
    "1. a\n   - b\n2. c": '<ol start="1"><li>a<ul><li>b</li></ul></li><li>c</li></ol>',
    "- a\n\n- b": "<ul><li><p>a</p></li><li><p>b</p></li></ul>",
    "- a\n\n  more\n- b": "<ul><li><p>a</p><p>more</p></li><li><p>b</p></li></ul>",
    "- a\n\t- b": "<ul><li>a<ul><li>b</li></ul></li></ul>",
    "- a\nlazy\n\nnext": "<ul><li>a<br>lazy</li></ul><p>next</p>",
    "In 1999. Then\n1999. no list": "<p>In 1999. Then<br>1999. no list</p>",
    "- [x] done\n- [ ] open": (
        '<ul><li class="task"><input type="checkbox" disabled="" checked="">done</li>'
        '<li class="task"><input type="checkbox" disabled="">open</li></ul>'
    ),
    "| a | b |\n|:-:|--:|\n| 1 | 2 \\| 3 |\n| 4 |": (
        '<div class="table" tabindex="0"><table><thead><tr><th class="center">a</th>'
        '<th class="right">b</th></tr></thead><tbody><tr><td class="center">1</td>'
        '<td class="right">2 | 3</td></tr><tr><td class="center">4</td><td class="right"></td></tr>'
        "</tbody></table></div>"
    ),
    "a | b\nno table": "<p>a | b<br>no table</p>",
    "a\r\n\r\nb\r\n": "<p>a</p><p>b</p>",
    "": "",
    "\n \n": "",
}

LONG_ANSWER = """# Title

First *paragraph* with a
second line and `code`.
- a list
  1. nested
  2. more

     with a paragraph
- end

> quoted
> twice
lazily

```js
const a = 1;

	if (a) b();
```
| a | b |
|---|---|
| 1 | **2** |

text
***bold** it*
***
Title two
---
~~~
open fence with ``` inside
"""


def code(language: str, text: str) -> str:
    """A code block, as the page draws it, without its button."""
    return (
        f'<figure class="code"><figcaption><span class="code-language">{language}</span>'
        f'</figcaption><pre tabindex="0"><code>{text}</code></pre></figure>'
    )


class MarkdownTests(BrowserTestCase):
    """`markdown.js`, inside a page."""

    def setUp(self) -> None:
        self.browser: Browser = self.new_browser()
        self.browser.open(self.serve_files() + "/style.css")

    def render(self, text: str) -> str:
        return str(self.browser.module("/markdown.js", RENDER, text))

    def test_inside_a_line(self) -> None:
        """Emphasis, code, links and breaks."""
        for text, expected in INLINE.items():
            self.assertEqual(self.render(text), f"<p>{expected}</p>", text)

    def test_blocks(self) -> None:
        """Headings, paragraphs, quotes, lists, tables, rules."""
        for text, expected in BLOCKS.items():
            self.assertEqual(self.render(text), expected, text)

    def test_code_keeps_every_character(self) -> None:
        """A fence takes its text as it is: tabs, blank lines, markup; an open one too."""
        body = "def f():\n\treturn **1**\n\n# no heading &amp;"
        expected = body.replace("&", "&amp;")
        self.assertEqual(self.render(f"```python title=x\n{body}\n```"), code("python", expected))
        self.assertEqual(self.render(f"~~~\n{body}\n~~~"), code("text", expected))
        self.assertEqual(self.render(f"```py\n{body}"), code("py", expected))
        self.assertEqual(self.render("````\n```\n````"), code("text", "```"))

    def test_nothing_hostile_becomes_an_element(self) -> None:
        """Neither tags nor attributes nor script addresses of the text come alive."""
        script = """
            window.alert = () => { window.pwned = 'alert'; };
            const box = document.createElement('div');
            document.documentElement.append(box);
            box.append(m.renderMarkdown(args[0]));
            await new Promise((resolve) => setTimeout(resolve, 20));
            const names = [...box.querySelectorAll('*')].map((n) => n.localName);
            const attributes = [...box.querySelectorAll('*')].flatMap((n) => n.getAttributeNames());
            const links = [...box.querySelectorAll('[href]')].map((n) => n.getAttribute('href'));
            box.remove();
            return {names, attributes, links, pwned: window.pwned ?? null};
        """
        for text in HOSTILE:
            seen = self.browser.module("/markdown.js", script, text)
            self.assertIsNone(seen["pwned"], text)
            forbidden = {"script", "img", "iframe", "style", "form", "b", "input"}
            self.assertEqual(forbidden & set(seen["names"]), set(), text)
            self.assertFalse([a for a in seen["attributes"] if a.startswith("on")], text)
            for link in seen["links"]:
                self.assertTrue(link.startswith(("https://", "http://", "mailto:")), (text, link))

    def test_growing_text_ends_as_the_whole(self) -> None:
        """However a text is cut while it comes in, in the end it looks as if drawn at once."""
        for step in (1, 2, 7, 40):
            grown, whole = self.browser.module("/markdown.js", STREAM, LONG_ANSWER, step)
            self.assertEqual(grown, whole, f"{step} characters at a time")

    def test_growing_text_keeps_what_is_finished(self) -> None:
        """Blocks that cannot change any more keep their nodes, so a selection in them survives."""
        script = """
            const box = document.createElement('div');
            const view = new m.MarkdownView(box);
            view.update('first\\n\\n```\\ncode');
            const [paragraph, figure] = box.children;
            view.update('first\\n\\n```\\ncode goes on\\n```\\n\\nlast');
            return [box.children[0] === paragraph, box.children[1] === figure, box.innerText];
        """
        kept, same_code, text = self.browser.module("/markdown.js", script)
        self.assertTrue(kept)
        self.assertTrue(same_code)
        self.assertIn("code goes on", text)

    def test_a_text_that_is_replaced(self) -> None:
        """A text that does not continue the one before is drawn anew."""
        script = """
            const box = document.createElement('div');
            const view = new m.MarkdownView(box);
            view.update('one\\n\\ntwo');
            view.update('other');
            return box.innerHTML;
        """
        self.assertEqual(self.browser.module("/markdown.js", script), "<p>other</p>")

    def test_hostile_length(self) -> None:
        """Texts made to be slow to read are not."""
        script = "m.renderMarkdown(args[0]); return true;"
        count = 20_000
        for text in (
            "*" * count,
            "*a " * count,
            "[" * count,
            "[a](" * count,
            "![" * count + "](x)" * count,
            "`" * count,
            "".join("`" * (n % 200 + 1) + " " for n in range(4000)),
            "> " * count,
            "- " * count,
            "\n".join(" " * depth + "- x" for depth in range(600)),
            "_a*" * count,
            "# x" + " " * count + "y",
            "[x](" + " " * count + "x",
            "a" + " " * count + "\nb",
            "|" * count + "\n" + "-|" * count,
            "https://" * count,
            "<a@" + "." * count,
            "&" * count,
        ):
            started = time.monotonic()
            self.browser.module("/markdown.js", script, text)
            self.assertLess(time.monotonic() - started, 5, text[:20])
