"""How the recording proxy reaches the Messages API: by the address, the proxies and certificates of the CLI."""

import hashlib
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from pathlib import Path

import httpx2
import pytest
from cryptography import x509

from mcp_server.errors import Misconfigured
from runner.claude.proxy.session import Session
from runner.claude.proxy.upstream import Upstream
from runner.claude.recording import recording_proxy
from tests.rigs.hand_fed_api import Fed, HandFedApi, hand_fed_api, stream
from tests.rigs.recording_proxy import recording_proxy as forward_proxy
from tests.rigs.tls_proxy import behind_tls

PROXIES = ("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY")
CERTIFICATES = ("SSL_CERT_FILE", "SSL_CERT_DIR", "NODE_EXTRA_CA_CERTS")
ASKED = {"model": "claude-opus-5-5", "messages": [{"role": "user", "content": "What does it cost?"}]}


@pytest.fixture
def unset(monkeypatch: pytest.MonkeyPatch) -> pytest.MonkeyPatch:
    for name in (*PROXIES, *map(str.lower, PROXIES), "NO_PROXY", "no_proxy", *CERTIFICATES):
        monkeypatch.delenv(name, raising=False)
    return monkeypatch


@pytest.mark.parametrize(
    ("address", "base"),
    [
        (None, "https://api.anthropic.com"),
        ("  ", "https://api.anthropic.com"),
        ("https://api.anthropic.com/", "https://api.anthropic.com"),
        ("http://user:secret@gateway.example:8080/team/", "http://gateway.example:8080/team"),
        ("http://[::1]:9000", "http://[::1]:9000"),
    ],
)
def test_the_address_is_the_gateways_or_anthropics_own(address: str | None, base: str) -> None:
    assert Upstream.of({} if address is None else {"ANTHROPIC_BASE_URL": address}).base == base


@pytest.mark.parametrize(
    "address", ["gateway.example", "ftp://user:secret@gateway.example", "http://:9000", "http://x:y"]
)
def test_what_is_no_address_is_told_without_its_password(address: str) -> None:
    with pytest.raises(Misconfigured, match="ANTHROPIC_BASE_URL") as error:
        Upstream.of({"ANTHROPIC_BASE_URL": address})
    assert "secret" not in f"{error.value}"


@pytest.mark.parametrize(
    ("variables", "address", "proxied"),
    [
        ({"HTTPS_PROXY": "http://me:secret@proxy.example:3128"}, None, True),
        ({"https_proxy": "proxy.example:3128"}, None, True),
        ({"ALL_PROXY": "http://proxy.example"}, "http://gateway.example", True),
        ({"HTTP_PROXY": "http://proxy.example"}, "https://gateway.example", False),
        ({"HTTPS_PROXY": "http://proxy.example", "NO_PROXY": "intranet, .anthropic.com"}, None, False),
        ({"HTTPS_PROXY": "http://proxy.example", "no_proxy": "anthropic.com"}, None, False),
        ({"HTTPS_PROXY": "http://proxy.example", "NO_PROXY": "*.anthropic.com"}, None, False),
        ({"HTTPS_PROXY": "http://proxy.example", "NO_PROXY": "*"}, None, False),
        ({"HTTPS_PROXY": "http://proxy.example", "NO_PROXY": "thropic.com"}, None, True),
        ({"HTTP_PROXY": "http://proxy.example", "NO_PROXY": "gateway.example:80"}, "http://gateway.example:81", True),
        ({"HTTP_PROXY": "http://proxy.example", "NO_PROXY": "gateway.example:81"}, "http://gateway.example:81", False),
        ({"HTTP_PROXY": "http://proxy.example"}, "http://127.0.0.1:4000", False),
        ({"HTTP_PROXY": "http://proxy.example"}, "http://localhost:4000", False),
        ({"HTTP_PROXY": "http://proxy.example"}, "http://[::1]:4000", False),
    ],
)
def test_a_proxy_is_used_where_the_cli_would(
    variables: Mapping[str, str], address: str | None, proxied: bool, unset: pytest.MonkeyPatch
) -> None:
    for name, value in variables.items():
        unset.setenv(name, value)
    upstream = Upstream.of({} if address is None else {"ANTHROPIC_BASE_URL": address})
    assert (upstream.proxy is not None) == proxied


def test_a_proxy_that_cannot_be_used_is_told_without_its_password(unset: pytest.MonkeyPatch) -> None:
    unset.setenv("HTTPS_PROXY", "socks5://me:secret@proxy.example")
    with pytest.raises(Misconfigured, match="HTTPS_PROXY") as error:
        Upstream.of({})
    assert "secret" not in f"{error.value}"


async def reply_of(address: str) -> httpx2.Response:
    """Ask through a proxy that records, of an API at an address."""
    async with (
        recording_proxy({"ANTHROPIC_BASE_URL": address}) as proxy,
        httpx2.AsyncClient(trust_env=False, verify=False) as http,
    ):
        with proxy.session(Session(datetime(2026, 3, 1, tzinfo=UTC), Path("/a-run"), None, "1")) as session:
            return await http.post(f"{session.url}/v1/messages", json=ASKED)


async def test_requests_go_by_the_operators_proxy(unset: pytest.MonkeyPatch) -> None:
    with forward_proxy() as way_out:
        for name, value in way_out.variables.items():
            unset.setenv(name, value)
        assert (await reply_of("http://gateway.example/team")).text == "no way out"
    (seen,) = way_out.seen
    assert "/team/v1/messages" in seen
    assert "gateway.example" in seen


@pytest.fixture(scope="module")
def api() -> Iterator[HandFedApi]:
    with hand_fed_api(Fed(stream())) as api:
        yield api


@pytest.mark.parametrize("name", [None, *CERTIFICATES])
async def test_a_gateways_own_certificate_is_trusted_where_the_operator_says_so(
    name: str | None, api: HandFedApi, tmp_path: Path, unset: pytest.MonkeyPatch
) -> None:
    with behind_tls(int(api.url.rpartition(":")[2]), "localhost", tmp_path) as port:
        if name is not None:
            unset.setenv(name, str(_trusted(name, tmp_path)))
        reply = await reply_of(f"https://localhost:{port}")
    assert reply.status_code == (502 if name is None else 200)


def _trusted(name: str, folder: Path) -> Path:
    """Give the certificate as the variable wants it: a file, or a folder of files named by their hash."""
    file = folder / "certificate.pem"
    if name != "SSL_CERT_DIR":
        return file
    subject = x509.load_pem_x509_certificate(file.read_bytes()).subject.public_bytes()
    digest = hashlib.sha1(subject[2:], usedforsecurity=False).digest()
    file.rename(folder / f"{int.from_bytes(digest[:4], 'little'):08x}.0")  # the name under which OpenSSL looks
    return folder


async def test_extra_certificates_that_cannot_be_read_are_left_out(
    api: HandFedApi, tmp_path: Path, unset: pytest.MonkeyPatch
) -> None:
    with behind_tls(int(api.url.rpartition(":")[2]), "localhost", tmp_path) as port:
        unset.setenv("SSL_CERT_FILE", str(tmp_path / "certificate.pem"))
        unset.setenv("NODE_EXTRA_CA_CERTS", str(tmp_path / "missing.pem"))
        assert (await reply_of(f"https://localhost:{port}")).status_code == 200
