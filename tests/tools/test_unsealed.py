"""The server does without mcp's ciphers, and still refuses what it has not sealed itself."""

import subprocess
import sys

import pytest
from mcp import Client
from mcp.server.request_state import InvalidRequestState
from mcp.shared.exceptions import MCPError
from mcp_types import CallToolRequest, CallToolRequestParams, CallToolResult

from mcp_server.unsealed import NothingSealed

WITHOUT = """
import sys
from mcp_server.domain import late_parts
{before}
import mcp_server.app
from mcp_server.settings import ServerSettings

server = mcp_server.app.build_server(ServerSettings.load())
print(any(name.startswith("cryptography") for name in sys.modules), server.name)
"""

ITS_OWN_SEAL = """
from mcp.server.request_state import RequestStateSecurity
codec = RequestStateSecurity.ephemeral().codec
print(codec.unseal(codec.seal(b"state")))
"""


def lines(before: str = "", after: str = "") -> list[str]:
    """Import the server in a process of its own, as in this one all is imported; return what it prints."""
    code = WITHOUT.format(before=before) + after
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False, timeout=100)
    assert done.returncode == 0, done.stderr
    return done.stdout.splitlines()


def test_the_server_imports_no_ciphers_and_who_seals_in_the_same_process_has_them() -> None:
    assert lines(after=ITS_OWN_SEAL) == ["False claude-trader", "b'state'"]


@pytest.mark.long
def test_a_version_of_mcp_that_needs_more_of_them_is_given_it() -> None:
    needs_more = "late_parts._standing_for = lambda *_: None"
    assert lines(needs_more) == ["True claude-trader"]


@pytest.mark.parametrize("state", ["v1.AAAA", "", "v1." + "A" * 80])
async def test_what_a_client_sends_back_unasked_is_refused(client: Client, state: str) -> None:
    arguments = CallToolRequestParams(name="find_indicators", arguments={"query": "rsi"}, request_state=state)
    with pytest.raises(MCPError, match="Invalid or expired requestState"):
        await client.session.send_request(CallToolRequest(params=arguments), CallToolResult)


def test_nothing_is_ever_sealed_or_taken_as_sealed() -> None:
    with pytest.raises(NotImplementedError):
        NothingSealed().seal(b"state")
    with pytest.raises(InvalidRequestState):
        NothingSealed().unseal("v1.state")
