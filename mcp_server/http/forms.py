"""Reads what a browser or a program posts as a form."""

from typing import TYPE_CHECKING
from urllib.parse import parse_qsl

from mcp_server.http.body import BODY_S, read_body
from mcp_server.http.refusal import Refused

if TYPE_CHECKING:
    from starlette.datastructures import Headers
    from starlette.types import Receive, Scope

FORM = "application/x-www-form-urlencoded"
MOST_FORM_BYTES = 16 * 1024


async def read_form(
    scope: "Scope", headers: "Headers", receive: "Receive", *, within_s: float = BODY_S, most_fields: int
) -> list[tuple[bytes, bytes]]:
    """Return the fields of a form, in the order in which they were sent; none where there are more than expected.

    Raises:
        Refused: 415 for anything but a form, 413 for a long one, 408 for a slow one.
    """
    if headers.get("content-type", "").partition(";")[0].strip().lower() != FORM:
        raise Refused(415, f"{scope['path']} takes a form: {FORM}.")
    whole = await read_body(scope, receive, within_s=within_s, most=MOST_FORM_BYTES)
    body: bytes = (await whole())["body"]
    try:
        return parse_qsl(body, keep_blank_values=True, max_num_fields=most_fields)
    except ValueError:
        return []
