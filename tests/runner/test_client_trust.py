"""A connection to a tool server reads the authorities of the web only where it is encrypted, and once."""

import ssl

import httpx2
import pytest

from mcp_server.errors import Retryable
from runner.tool_server.client import connected, trust
from runner.tool_server.server import Address


async def test_a_connection_to_this_machine_reads_no_authorities(monkeypatch: pytest.MonkeyPatch) -> None:
    def reads(*_: object, **__: object) -> None:
        pytest.fail("it reads them")

    trust.cache_clear()
    monkeypatch.setattr(httpx2, "create_ssl_context", reads)
    monkeypatch.setattr(ssl.SSLContext, "load_verify_locations", reads)
    with pytest.raises(Retryable):
        async with connected(Address("http://127.0.0.1:1/mcp", None)):
            pytest.fail("nobody answers there")


def test_who_shows_a_certificate_must_be_known_and_nobody_is_where_none_is_asked_for() -> None:
    nobody, known = trust(encrypted=False), trust(encrypted=True)
    assert [(of.verify_mode, of.check_hostname) for of in (nobody, known)] == [(ssl.CERT_REQUIRED, True)] * 2
    assert nobody.cert_store_stats()["x509_ca"] == 0 < known.cert_store_stats()["x509_ca"]
    assert trust(encrypted=True) is known
