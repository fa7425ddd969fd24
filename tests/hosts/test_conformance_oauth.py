"""The official scenarios that judge an authorization server; the owner's consent is given by a program here.

They are `long`: in `make test`, tests/http/test_oauth.py asks for what they look at.
"""

import json
import os
import socket
import subprocess
import sys
from pathlib import Path
from urllib.parse import urlencode

import httpx2
import pytest

from mcp_server.settings import ServerSettings
from tests.hosts.npm import INSTALLED
from tests.http.conftest import LIMIT_S, READS, TOKENS, guarded
from tests.http.oauth_rig import FORM, hidden

CLIENT = "https://client.example/oauth/client.json"


def callback_port() -> int:
    """Return a port that is free, of those that no program is given unless it asks for them."""
    for port in range(20_000 + os.getpid() % 10_000, 32_000):
        try:
            with socket.create_server(("127.0.0.1", port)):
                return port
        except OSError:
            continue
    raise AssertionError("no port is free")


def consent(url: str) -> None:
    """Open the page as a browser does, allow reading, and go where it leads."""
    with httpx2.Client(timeout=LIMIT_S, trust_env=False) as browser:
        page = browser.get(url)
        fields = {"request": hidden(page), "token": READS, "scope": "read", "answer": "allow"}
        headers = FORM | {"Sec-Fetch-Site": "same-origin"}
        allowed = browser.post(url.partition("?")[0], content=urlencode(fields), headers=headers)
        browser.get(allowed.headers["location"])


@pytest.mark.long
def test_the_scenarios_of_an_authorization_server_pass(tmp_path_factory: pytest.TempPathFactory) -> None:
    listener, port, folder = (
        socket.create_server(("127.0.0.1", 0)),
        callback_port(),
        tmp_path_factory.mktemp("verdicts"),
    )
    issuer = f"http://127.0.0.1:{listener.getsockname()[1]}"
    settings = ServerSettings(
        home=tmp_path_factory.mktemp("home"), exchange="simulated", tokens=TOKENS, public_url=issuer,
        oauth_clients={CLIENT: (f"http://127.0.0.1:{port}/callback",)},
    )  # fmt: skip
    command = [
        str(Path(sys.executable).with_name("node")),
        str(INSTALLED / "@modelcontextprotocol/conformance" / "dist/index.js"), "authorization", "--url", issuer,
        "--client-id", CLIENT, "--resource", f"{issuer}/mcp", "--port", str(port), "--output-dir", str(folder),
        "--spec-version", "2026-07-28",
    ]  # fmt: skip
    with (
        guarded(settings, listener=listener),
        subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True) as suite,
    ):
        try:
            assert suite.stdout is not None
            lines = []
            for line in suite.stdout:
                lines.append(line)
                if line.startswith(f"{issuer}/authorize?"):
                    consent(line.strip())
            assert suite.wait(LIMIT_S) == 0, "".join(lines)
        finally:
            suite.kill()
    checks = [check for file in folder.rglob("checks.json") for check in json.loads(file.read_text())]
    assert {check["id"]: check["status"] for check in checks} == {
        "authorization-server-metadata": "SUCCESS",
        "authorization-server-metadata-cimd": "SUCCESS",
        "authorization-code-grant": "SUCCESS",
    }
