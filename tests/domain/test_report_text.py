"""Hostile text in a report, through the renderers that are at hand: nothing of it becomes more than text."""

import re

import pytest
from markdown_it import MarkdownIt

from mcp_server.domain.report.text import code, findings, inline, quoted

HOSTILE = [
    "![x](https://evil.example/pixel.png)",
    "![x][y]\n\n[y]: https://evil.example/pixel.png",
    "[click](javascript:alert(1))",
    "[click](https://evil.example)",
    "<img src=x onerror=alert(1)>",
    "<script>alert(1)</script>",
    "<https://evil.example>",
    "https://evil.example/x_y_z and www.evil.example and a.b@evil.example",
    "mailto:a@evil.example",
    "# BUY NOW",
    "BUY NOW\n=======",
    "BUY NOW\n-------",
    "---\ntitle: x\n---",
    "| a | b |\n| - | - |\n| 1 | 2 |",
    "```\ncode\n```\nafter",
    "~~~\nnever closed",
    "    indented",
    "> quoted\n\nout of it",
    "1. one\n2. two",
    "1) one",
    "+ one",
    "* * *",
    "***bold*** __bold__ *it* _it_ ~~gone~~ `code`",
    "&lt;b&gt; &#60;img src=x&#62;",
    "\\![x](y) \\\\[x](y)",
    "`` ` `` ![x](y)",
    "a\u202eb\u0000c\u200bd",
    "$$ \\input{/etc/passwd} $$",
    "- item\n- [x](y)\n  # deep",
    "<details open ontoggle=alert(1)>",
    "[^1]\n\n[^1]: note",
    "line  \n<!-- comment",
    "|" * 50,
    "https://evil.example/`![x](y)`",
    "![x](\nhttps://evil.example/y.png)",
]
NOT_FROM_TEXT = (
    "<a",
    "<img",
    "<script",
    "<h1",
    "<h2",
    "<hr",
    "<table",
    "<pre",
    "<ol",
    "<em",
    "<strong",
    "<s>",
    "<details",
)


def rendered(text: str) -> str:
    return str(MarkdownIt("commonmark", {"html": True}).enable(["table", "strikethrough"]).render(text))


@pytest.mark.parametrize("text", HOSTILE)
def test_a_quotation_of_hostile_text_is_only_text(text: str) -> None:
    html = rendered(f"before\n\n{quoted(text)}\n\nafter")
    inside = html[html.index("<blockquote>") : html.index("</blockquote>")]
    assert not [tag for tag in NOT_FROM_TEXT if tag in inside], html
    assert html.startswith("<p>before</p>")
    assert html.endswith("</blockquote>\n<p>after</p>\n"), "nothing reaches out of the quotation"
    assert html.count("<blockquote>") == 1
    assert not re.search("[\u202e\u0000\u200b]", html)


@pytest.mark.parametrize("text", HOSTILE)
@pytest.mark.parametrize("form", [inline, code])
def test_hostile_text_in_a_cell_stays_in_it(text: str, form: object) -> None:
    html = rendered(f"| a | b |\n| --- | --- |\n| {form(text)} | end |")  # type: ignore[operator]
    assert html.count("<td>") == 2
    assert "<td>end</td>" in html
    assert not [tag for tag in NOT_FROM_TEXT if tag in html and tag != "<table"], html


@pytest.mark.parametrize("text", HOSTILE)
def test_hostile_findings_stay_a_list(text: str) -> None:
    lines = findings({text: text, "deep": {"list": [text, 1, None, {"x": text}]}})
    html = rendered("\n".join(lines))
    assert html.startswith("<ul>")
    assert html.endswith("</ul>\n")
    assert not [tag for tag in NOT_FROM_TEXT if tag in html], html


def test_what_is_harmless_reads_as_it_was_written() -> None:
    assert quoted("The RSI (rsi_14) is 28.5, below 30.\n\n- BTC/USDT:USDT rose 5%\n- volume > mean") == (
        "> The RSI (rsi_14) is 28.5, below 30.\n>\n> - BTC/USDT:USDT rose 5%\n> - volume &gt; mean"
    )
    assert inline("see https://a.example/b_c.") == "see `https://a.example/b_c.`"
    assert findings({"rsi": 28.5, "trend": "down", "levels": [1, 2], "none": None, "empty": {}}) == [
        "- rsi: 28.5", "- trend: down", "- levels:", "  - 1", "  - 2", "- none: null", "- empty: {}"
    ]  # fmt: skip


def test_long_text_is_cut() -> None:
    assert len(quoted("x" * 100_000)) < 8_100
    assert len(quoted("x\n" * 4_000).splitlines()) == 201
    assert len(findings({str(i): i for i in range(1000)})) == 201
