"""Keeps off any proxy what stays on this machine or goes to the tool server: such requests carry tokens."""

import os
from urllib.parse import urlsplit

NAMES = ("NO_PROXY", "no_proxy")
LOOPBACK = ("localhost", "127.0.0.1", "::1", "[::1]")


def no_proxy(*urls: str) -> dict[str, str]:
    """Return the variables by which a program that is started uses no proxy for loopback and the hosts of `urls`.

    What the operator keeps off a proxy stays off it.
    """
    set_by_operator = ",".join(os.environ.get(name, "") for name in NAMES)
    hosts = [host.strip() for host in set_by_operator.split(",") if host.strip()]
    hosts += [*LOOPBACK, *(urlsplit(url).hostname or "" for url in urls)]
    value = "*" if "*" in hosts else ",".join(filter(None, dict.fromkeys(hosts)))
    return dict.fromkeys(NAMES, value)
