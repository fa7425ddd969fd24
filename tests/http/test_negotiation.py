"""What HTTP leaves to a header: a compressed body is refused by its name, and who states no `Accept` takes anything."""

import gzip
import json

import pytest

from tests.http.conftest import LIST, Guarded

MODERN = {"MCP_Protocol_Version": "2026-07-28", "Mcp_Method": "tools/list"}


@pytest.mark.parametrize("encoding", ["gzip", "GZIP", "br", "gzip, identity"])
def test_a_compressed_body_is_refused_by_its_name(server: Guarded, encoding: str) -> None:
    answer = server.post(gzip.compress(LIST), Content_Encoding=encoding)
    assert (answer.status, answer.headers["accept-encoding"]) == (415, "identity")
    assert "takes no compressed body" in answer.message


def test_a_body_that_is_said_to_be_as_it_is_is_taken(server: Guarded) -> None:
    assert server.post(Content_Encoding="identity").status == 200


@pytest.mark.parametrize("accept", [None, ""])
def test_who_states_no_accept_takes_anything(server: Guarded, accept: str | None) -> None:
    answer = server.post(Accept=accept)
    assert answer.status == 200
    assert '"tools"' in answer.text
    modern = json.loads(LIST)
    modern["params"] = {
        "_meta": {
            "io.modelcontextprotocol/protocolVersion": "2026-07-28",
            "io.modelcontextprotocol/clientCapabilities": {},
        }
    }
    answer = server.post(json.dumps(modern).encode(), Accept=accept, **MODERN)
    assert (answer.status, '"tools"' in answer.text) == (200, True)


def test_who_accepts_something_else_alone_is_still_told_so(server: Guarded) -> None:
    assert server.post(Accept="image/png").status == 406
