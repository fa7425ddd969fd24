"""Text of strangers in HTML: it stays text, wherever it stands, and whatever it says."""

import html
import json
from typing import Any

from mcp_server.domain.text import cleaned

_IN_A_SCRIPT = {ord(character): f"\\u{ord(character):04x}" for character in "<>&\u2028\u2029"}


def safe(text: object, most: int = 2_000) -> str:
    """Return text for the content of an element, or for a quoted attribute: cleaned and escaped."""
    return html.escape(cleaned(str(text), most))


def json_in_script(value: Any) -> str:
    """Return JSON for the content of a script element: nothing in it can end the element.

    Raises:
        ValueError: a number is not finite.
    """
    return json.dumps(value, allow_nan=False, separators=(",", ":")).translate(_IN_A_SCRIPT)


def table(caption: str, heads: list[str], rows: list[str], *, name: str = "") -> str:
    """Return a table in a region that scrolls, and that the keyboard reaches; heads and rows are HTML."""
    named = f' id="{name}"' if name else ""
    head = "".join(f'<th scope="col">{text}</th>' for text in heads)
    return (
        f'<div class="scroll" role="region" tabindex="0" aria-label="{caption}"><table{named}>'
        f"<caption>{caption}</caption><thead><tr>{head}</tr></thead><tbody>{''.join(rows)}</tbody></table></div>"
    )
