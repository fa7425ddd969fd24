"""Says where a person finds the page."""

from collections.abc import Sequence

from mcp_server.domain.loopback import is_loopback

_ANY = {"0.0.0.0": "127.0.0.1", "::": "::1"}  # noqa: S104 (compared, not bound)


def where_the_page_is(host: str, port: int, public_hosts: Sequence[str]) -> str:
    """Return a sentence for whoever starts the server.

    Args:
        host: what it listens on.
        port: its port.
        public_hosts: names under which a platform's proxy passes requests on, whose scheme and port are its own.
    """
    here = _ANY.get(host, host)
    address = f"http://{f'[{here}]' if ':' in here else here}:{port}/"
    others = f", or {' or '.join(public_hosts)} from elsewhere" if public_hosts else ""
    if not others and not is_loopback(host) and here != host:
        others = f" (on another device, this machine's address instead of {here})"
    return f"Open {address} in a browser{others}."
