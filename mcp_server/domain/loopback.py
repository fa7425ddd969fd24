"""Which hosts are this machine, and which others cannot reach."""

import ipaddress


def is_loopback(host: str) -> bool:
    """Return whether a name or an address can be reached from this machine alone."""
    try:
        return host == "localhost" or ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def is_private(host: str) -> bool:
    """Return whether a name or an address means something in one's own network alone, this machine included."""
    try:
        return not ipaddress.ip_address(host).is_global
    except ValueError:
        return "." not in host or host.endswith((".local", ".internal", ".lan"))
