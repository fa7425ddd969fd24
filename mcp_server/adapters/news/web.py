"""Reads an address of a stranger: https, public, small, and never longer than its time."""

from __future__ import annotations

import ipaddress
import logging
import re
import socket
import zlib
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import anyio

from mcp_server.domain.loopback import is_loopback, is_public
from mcp_server.request_counter import count_request

if TYPE_CHECKING:
    import ssl

    import httpx2

MOST_BYTES = 2_000_000
"""The longest answer, as it is sent and decompressed."""

MOST_REDIRECTS = 3
CONNECT_S = 5.0
MOST_ADDRESSES = 3
"""So many addresses of a host are tried, one after the other."""

_REDIRECTS = (301, 302, 303, 307, 308)
_NAME = re.compile(r"[a-z0-9_.-]{1,253}", re.ASCII)
_LAST_PORT = 65_535
_PLAIN, _ZIPPED = ("", "identity"), ("gzip", "x-gzip", "deflate")

Resolve = Callable[[str, int], Awaitable[Sequence[str]]]


class NotRead(Exception):
    """There is no answer that can be used. `status` is the short name of why."""

    def __init__(self, status: str) -> None:
        super().__init__(status)
        self.status = status


@dataclass(frozen=True, slots=True)
class WebAnswer:
    """An answer: its status, headers by lower-case name, and body, decompressed; empty for a status that is no 200."""

    status: int
    headers: Mapping[str, str]
    body: bytes


async def addresses_of(host: str, port: int) -> Sequence[str]:
    """Look a host up; raise `OSError` where it has no address."""
    return [str(info[4][0]) for info in await anyio.getaddrinfo(host, port, type=socket.SOCK_STREAM)]


class Web:
    """Gets addresses of the public internet, and nothing of one's own network.

    Each host is looked up once a request, and the connection goes to the address that was checked. There are no
    cookies, no proxies and no connections that are kept.

    Args:
        stand_in: the base URL of a program on loopback that may be read as well, over http; for tests.
        resolve: looks a host up.
        allowed: whether an address may be connected to.
        tls: what certificates are checked with; None: this system's.
    """

    def __init__(
        self,
        stand_in: str | None = None,
        resolve: Resolve = addresses_of,
        allowed: Callable[[str], bool] = is_public,
        tls: ssl.SSLContext | None = None,
    ) -> None:
        self._stand_in = stand_in
        self._resolve = resolve
        self._allowed = allowed
        self._tls = tls
        self._transport: httpx2.AsyncHTTPTransport | None = None
        self._plain_transport: httpx2.AsyncHTTPTransport | None = None

    async def get(self, url: str, headers: Mapping[str, str]) -> WebAnswer:
        """Return what is at an address, after at most three redirects.

        Raises:
            NotRead: it cannot be reached, is no public https address, or is too large.
        """
        import httpx2

        for _ in range(MOST_REDIRECTS + 1):
            try:
                where = httpx2.URL(url)
                answer = await self._once(where, headers)
                if answer.status not in _REDIRECTS:
                    return answer
                url = str(where.join(answer.headers.get("location", "")))
            except (httpx2.InvalidURL, ValueError):
                raise NotRead("invalid_address") from None
        raise NotRead("too_many_redirects")

    async def close(self) -> None:
        """Close what is open."""
        for transport in (self._transport, self._plain_transport):
            if transport is not None:
                await transport.aclose()
        self._transport = self._plain_transport = None

    async def _once(self, where: httpx2.URL, headers: Mapping[str, str]) -> WebAnswer:
        import httpx2

        for address in await self._addresses(where):
            try:
                return await self._sent(where, address, headers)
            except (httpx2.ConnectError, httpx2.ConnectTimeout):
                continue
            except (httpx2.HTTPError, OSError):
                raise NotRead("broken_off") from None
        raise NotRead("unreachable")

    async def _addresses(self, where: httpx2.URL) -> Sequence[str]:
        """Return the addresses to connect to, each of which may be."""
        if self._is_stand_in(where):
            return [where.host]
        if where.scheme != "https":
            raise NotRead("not_https")
        name, port = where.raw_host.decode("ascii"), where.port or 443
        addresses: Sequence[str] = [where.host]
        if not _is_address(where.host):
            if where.userinfo or not _NAME.fullmatch(name) or port > _LAST_PORT:
                raise NotRead("invalid_address")
            try:
                addresses = await self._resolve(name, port)
            except OSError:
                raise NotRead("unreachable") from None
        public = [address for address in dict.fromkeys(addresses) if self._allowed(address)]
        if not public:
            raise NotRead("private_address")
        return public[:MOST_ADDRESSES]

    def _is_stand_in(self, where: httpx2.URL) -> bool:
        return self._stand_in is not None and is_loopback(where.host) and f"{where}/".startswith(f"{self._stand_in}/")

    async def _sent(self, where: httpx2.URL, address: str, headers: Mapping[str, str]) -> WebAnswer:
        import httpx2

        plain = where.scheme == "http"
        request = httpx2.Request(
            "GET",
            where.copy_with(host=address, fragment=None),
            headers={"host": where.netloc.decode("ascii"), "connection": "close", "accept-encoding": "gzip", **headers},
            extensions={
                "timeout": {"connect": CONNECT_S},
                "sni_hostname": None if _is_address(where.host) else where.raw_host.decode("ascii"),
            },
        )
        count_request()
        answer = await self._sender(plain).handle_async_request(request)
        try:
            status, received = answer.status_code, {name.lower(): value for name, value in answer.headers.items()}
            return WebAnswer(status, received, await _body(answer, received) if status == 200 else b"")
        finally:
            await answer.aclose()

    def _sender(self, plain: bool) -> httpx2.AsyncHTTPTransport:
        import httpx2

        for noisy in ("httpx2", "httpcore2"):
            logging.getLogger(noisy).setLevel(logging.WARNING)
        # No connection is kept: another host of the same address would get one that was checked for the first.
        limits = httpx2.Limits(max_connections=None, max_keepalive_connections=0)
        if plain:
            if self._plain_transport is None:
                self._plain_transport = httpx2.AsyncHTTPTransport(verify=False, trust_env=False, limits=limits)
            return self._plain_transport
        if self._transport is None:
            tls = self._tls or httpx2.create_ssl_context()
            self._transport = httpx2.AsyncHTTPTransport(verify=tls, trust_env=False, limits=limits)
        return self._transport


def _is_address(host: str) -> bool:
    try:
        ipaddress.ip_address(host)
    except ValueError:
        return False
    return True


async def _body(answer: httpx2.Response, headers: Mapping[str, str]) -> bytes:
    """Read a body within its bound, as it is sent and as it is decompressed."""
    parts, size = [], 0
    async for part in answer.aiter_raw():
        size += len(part)
        if size > MOST_BYTES:
            raise NotRead("too_large")
        parts.append(part)
    body = b"".join(parts)
    coding = headers.get("content-encoding", "").strip().lower()
    if coding in _PLAIN:
        return body
    if coding not in _ZIPPED:
        raise NotRead("unknown_compression")
    unzip = zlib.decompressobj(zlib.MAX_WBITS | 32)
    try:
        unzipped = unzip.decompress(body, MOST_BYTES + 1)
    except zlib.error:
        raise NotRead("broken_off") from None
    if len(unzipped) > MOST_BYTES:
        raise NotRead("too_large")
    if not unzip.eof:
        raise NotRead("broken_off")
    return unzipped
