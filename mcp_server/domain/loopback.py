"""Which hosts are this machine, and which others cannot reach."""

import ipaddress
import re

_NAT64 = ipaddress.ip_network("64:ff9b::/96")
"""Of this network, the last four bytes are an IPv4 address, which a translator connects to."""

_SITE_LOCAL = ipaddress.ip_network("fec0::/10")
"""Networks of one's own, of an older standard."""

_OWN = (".localhost", ".localdomain", ".local", ".internal", ".lan", ".home.arpa")

_IS_NUMBER = re.compile("[0-9]+|0x[0-9a-f]*", re.ASCII)
"""A host whose last part is one is an IPv4 address to browsers: 127.1 is this machine. No name of the internet is."""


def is_loopback(host: str) -> bool:
    """Return whether a name or an address can be reached from this machine alone."""
    try:
        return host == "localhost" or ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def is_private(host: str) -> bool:
    """Return whether a name or an address means something in one's own network alone, this machine included."""
    name = host.lower().removesuffix(".")
    try:
        return not ipaddress.ip_address(name).is_global
    except ValueError:
        return "." not in name or name.endswith(_OWN) or _IS_NUMBER.fullmatch(name.rpartition(".")[2]) is not None


def is_public(address: str) -> bool:
    """Return whether an IP address is one of the public internet, whatever form of IPv6 an IPv4 address hides in."""
    try:
        ip = ipaddress.ip_address(address)
    except ValueError:
        return False
    return all(form.is_global and not form.is_multicast and form not in _SITE_LOCAL for form in _meant(ip))


def _meant(
    ip: ipaddress.IPv4Address | ipaddress.IPv6Address,
) -> list[ipaddress.IPv4Address | ipaddress.IPv6Address]:
    if isinstance(ip, ipaddress.IPv4Address):
        return [ip]
    if ip.ipv4_mapped is not None:
        return [ip.ipv4_mapped]
    hidden = [ip.sixtofour, *(ip.teredo or ())]
    if ip in _NAT64:
        hidden.append(ipaddress.IPv4Address(int(ip) & 0xFFFFFFFF))
    return [ip, *(inner for inner in hidden if inner is not None)]
