"""The process that sends one notification through apprise: a service that hangs hangs nothing else.

It reads {"url", "title", "body"} as JSON from standard input, and writes {"result", "why"} to standard output. What
apprise logs holds addresses, which are secrets: only the kind of the failure is passed on.
"""

import json
import logging
import re
import sys
from typing import Any, Literal

Result = Literal["sent", "refused", "unknown", "invalid"]
"""Sent; certainly not sent; perhaps sent; and an address that will never work."""

CONNECT_S = 5.0
ANSWER_S = 15.0


class _Kept(logging.Handler):
    """Keeps what apprise logs."""

    def __init__(self) -> None:
        super().__init__(logging.DEBUG)
        self.text = ""

    def emit(self, record: logging.LogRecord) -> None:
        self.text = f"{self.text}\n{record.getMessage()}"[-20_000:]


def send(url: str, title: str, body: str) -> tuple[Result, str]:
    """Send one notification; return the result, and why."""
    import apprise

    kept = _Kept()
    logger = logging.getLogger("apprise")
    logger.handlers, logger.propagate = [kept], False
    logger.setLevel(logging.DEBUG)
    service: Any = apprise.Apprise.instantiate(url)
    if service is None:
        return "invalid", "it is not an address that apprise knows"
    service.socket_connect_timeout, service.socket_read_timeout = CONNECT_S, ANSWER_S
    service.retry = 0  # whether it is tried again is decided by who knows what became of it
    kept.text = ""
    if service.notify(body=body, title=title, body_format=apprise.NotifyFormat.TEXT):
        return "sent", ""
    return _judged(kept.text)


def _judged(text: str) -> tuple[Result, str]:
    """Tell from apprise's log why a notification was not sent, and whether that is certain."""
    lower = text.lower()
    if "read timed out" in lower or "connection aborted" in lower or "remotedisconnected" in lower:
        return "unknown", "it took the notification and did not answer"
    if status := re.search(r"error[ =:]+(\d{3})\b", text):
        return "refused", f"it answered {status[1]}"
    for sign, why in (
        ("refused", "it refused the connection"),
        ("timed out", "it cannot be reached in time"),
        ("resol", "its name cannot be found"),
        ("name or service", "its name cannot be found"),
        ("certificate", "its certificate is not trusted"),
    ):
        if sign in lower:
            return "refused", why
    return "refused", "apprise could not deliver it"


def main() -> None:
    """Send the notification that standard input holds."""
    message = json.loads(sys.stdin.read())
    try:
        result, why = send(message["url"], message["title"], message["body"])
    except ImportError:
        result, why = "refused", "apprise is not installed"
    sys.stdout.write(json.dumps({"result": result, "why": why}))


if __name__ == "__main__":
    main()
