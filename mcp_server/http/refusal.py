"""How a request is refused: a status, and a JSON-RPC error that clients show, with what to do."""

from collections.abc import Mapping
from typing import TYPE_CHECKING

from mcp_types import INVALID_REQUEST
from starlette.responses import JSONResponse

if TYPE_CHECKING:
    from starlette.types import Receive, Scope, Send


class Refused(Exception):
    """A refused request. Its connection is closed, so that unread bytes are not taken for another request.

    Args:
        status: the HTTP status.
        message: what was wrong and what to do, without any secret.
        headers: additional headers.
    """

    def __init__(self, status: int, message: str, headers: Mapping[str, str] | None = None) -> None:
        super().__init__(message)
        self.status = status
        self._headers = headers or {}

    async def answer(self, scope: "Scope", receive: "Receive", send: "Send") -> None:
        """Send it. The id is null: the request may not even have been read."""
        body = {"jsonrpc": "2.0", "id": None, "error": {"code": INVALID_REQUEST, "message": str(self)}}
        headers = {"Connection": "close", "Cache-Control": "no-store", **self._headers}
        await JSONResponse(body, self.status, headers)(scope, receive, send)
