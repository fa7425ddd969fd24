"""Several endpoints: who is asked next, what the second opinion decides, and how far an explorer is believed."""

from collections.abc import Sequence
from typing import Any

import anyio
import pytest
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from mcp_server.adapters.chains import endpoint as site_module
from mcp_server.adapters.chains.endpoint import Endpoint, Failed, TooLarge
from mcp_server.adapters.chains.endpoints import Endpoints
from mcp_server.adapters.chains.explorer import Explorer
from mcp_server.adapters.chains.json_rpc import call_all
from mcp_server.domain.chains.chain import BlockRef
from mcp_server.errors import Retryable, UpstreamRejected
from mcp_server.request_counter import counting_requests
from tests.rigs.loopback import served

HERE = BlockRef(5, 1_000, "0xhere")


def endpoints(*names: str) -> Endpoints:
    return Endpoints("test", [Endpoint(name, "http://127.0.0.1:9") for name in names])


class Answers:
    """What each endpoint answers, by its name, and in which order they were asked."""

    def __init__(self, **by_name: Any) -> None:
        self._by_name = by_name
        self.asked: list[str] = []

    async def __call__(self, endpoint: Endpoint, number: int = 0) -> Any:
        self.asked.append(endpoint.name)
        answer = self._by_name[endpoint.name]
        if isinstance(answer, Exception):
            raise answer
        return answer


BUSY, ODD = Failed(Retryable, "is busy"), Failed(UpstreamRejected, "is odd")


async def test_the_first_that_has_something_is_taken_and_the_rest_is_not_asked() -> None:
    ask = Answers(a=None, b="found", c="never")
    assert await endpoints("a", "b", "c").first(ask) == "found"
    assert ask.asked == ["a", "b"]


async def test_where_none_has_anything_it_is_nothing_though_some_failed() -> None:
    assert await endpoints("a", "b").first(Answers(a=BUSY, b=None)) is None


async def test_one_that_failed_is_asked_last_for_a_while_and_one_that_has_nothing_is_not() -> None:
    several = endpoints("a", "b", "c")
    await several.first(Answers(a=BUSY, b=None, c="found"))
    assert [endpoint.name for endpoint in several.in_order()] == ["b", "c", "a"]


@pytest.mark.parametrize(
    ("failures", "kind"), [((BUSY, ODD), Retryable), ((ODD, ODD), UpstreamRejected)], ids=["busy", "odd"]
)
async def test_where_all_fail_it_is_said_what_each_did(failures: Sequence[Failed], kind: type[Exception]) -> None:
    said = f"No endpoint of 'test' can answer: a {failures[0].why}; b {failures[1].why}"
    with pytest.raises(kind, match=said):
        await endpoints("a", "b").first(Answers(a=failures[0], b=failures[1]))
    with pytest.raises(kind, match=said):
        await endpoints("a", "b").ask(Answers(a=failures[0], b=failures[1]))


@pytest.mark.parametrize(
    ("told", "agreed", "asked", "order"),
    [
        ({"b": "0xhere"}, True, "b", "ab"),
        ({"b": BUSY}, True, "b", "ab"),
        ({"b": "0xother", "c": "0xhere"}, True, "bc", "abc"),
        ({"b": "0xother", "c": "0xother"}, False, "bc", "bca"),
        ({"b": BUSY, "c": "0xhere"}, True, "bc", "acb"),
    ],
)
async def test_a_second_opinion_confirms_and_two_outvote_the_first(
    told: dict[str, Any], agreed: bool, asked: str, order: str
) -> None:
    several, opinion = endpoints("a", *told), Answers(**told)
    assert await several.agreed(HERE, opinion) is agreed
    assert "".join(opinion.asked) == asked
    assert "".join(endpoint.name for endpoint in several.in_order()) == order


@pytest.mark.parametrize("told", [{"b": "0xother"}, {"b": "0xother", "c": BUSY}, {"b": "0xother", "c": "0xthird"}])
async def test_where_nobody_decides_it_is_said_that_they_disagree(told: dict[str, Any]) -> None:
    with pytest.raises(UpstreamRejected, match="disagree about block 5: a has another one than b"):
        await endpoints("a", *told).agreed(HERE, Answers(**told))


def listing(*seconds: Any) -> dict[str, Any]:
    return {"status": "1", "result": [{"timeStamp": second} for second in seconds]}


@pytest.mark.parametrize(
    ("told", "activity"),
    [
        (listing("1700000000"), (1_700_000_000_000, 1_700_000_000_000)),
        (listing(), None),
        (listing("0"), None), (listing("-5"), None), (listing("99999999999999"), None), (listing("1e999"), None),
        (listing(None), None), (listing("9" * 5_000), None), ({"result": "Max rate limit reached"}, None),
        ({}, None), ([], None), ("no", None), (None, None), ({"result": {"a": 1}}, None),
    ],
)  # fmt: skip
async def test_what_an_explorer_says_that_is_no_time_is_as_if_it_said_nothing(told: Any, activity: Any) -> None:
    async def api(request: Request) -> Response:
        return JSONResponse(told)

    with served(Starlette(routes=[Route("/api", api)])) as url:
        explorer = Explorer(f"{url}/api", "KEY")
        assert await explorer.activity("0x" + "ab" * 20, 5) == activity
        await explorer.close()


async def test_an_explorer_that_hangs_or_sends_too_much_is_given_up() -> None:
    async def slow(request: Request) -> Response:
        await anyio.sleep(60)
        return Response()

    async def long(request: Request) -> Response:
        return Response(b"[" + b" " * 2_000_000 + b"]")

    with served(Starlette(routes=[Route("/slow", slow), Route("/long", long)])) as url:
        for path in ("slow", "long"):
            explorer = Explorer(f"{url}/{path}", None, timeout_s=0.3)
            with anyio.fail_after(3):
                assert await explorer.activity("0x" + "ab" * 20, 5) is None
            await explorer.close()


async def test_an_answer_is_as_long_as_its_kind_may_be_and_each_question_counts_its_own_requests() -> None:
    async def long(request: Request) -> Response:
        return Response(b"[" + b" " * int(request.query_params["size"]) + b"]")

    with served(Starlette(routes=[Route("/long", long)])) as url:
        endpoint = Endpoint("one", f"{url}/long")
        with counting_requests() as outer:
            with counting_requests() as inner:
                assert await endpoint.get("?size=1999000") == []
                with pytest.raises(TooLarge):
                    await endpoint.get("?size=2000000")
                assert await endpoint.get("?size=2000000", most=8_000_000) == []
            assert await endpoint.get("?size=1") == []
        assert (inner.requests, outer.requests) == (3, 1)
        await endpoint.close()


async def test_an_endpoint_of_this_machine_is_reached_through_no_proxy(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("HTTP_PROXY", "http_proxy", "ALL_PROXY", "all_proxy"):
        monkeypatch.setenv(name, "http://127.0.0.1:9")

    async def here(request: Request) -> Response:
        return JSONResponse("here")

    with served(Starlette(routes=[Route("/", here)])) as url:
        endpoint = Endpoint("one", url)
        assert await endpoint.get("/") == "here"
        await endpoint.close()


async def test_a_limit_is_remembered_for_a_while_and_the_narrowest_counts(monkeypatch: pytest.MonkeyPatch) -> None:
    endpoint = Endpoint("one", "http://127.0.0.1:9")
    assert (endpoint.most_calls, endpoint.log_blocks) == (100, None)
    endpoint.learn(most_calls=10)
    endpoint.learn(log_blocks=500)
    endpoint.learn(log_blocks=2_000)
    assert (endpoint.most_calls, endpoint.log_blocks) == (10, 500)
    monkeypatch.setattr(site_module, "LEARNED_S", 0.0)
    assert (endpoint.most_calls, endpoint.log_blocks) == (100, None)


async def test_a_refusal_that_passes_is_not_taken_for_a_limit() -> None:
    """Every request fails, the smallest too: that several calls at once were too many is not known."""

    async def busy(request: Request) -> Response:
        return Response("no", 500)

    with served(Starlette(routes=[Route("/", busy, methods=["POST"])])) as url:
        endpoint = Endpoint("one", url)
        with pytest.raises(Failed):
            await call_all(endpoint, [("eth_chainId", []), ("eth_blockNumber", [])])
        assert endpoint.most_calls == 100
        await endpoint.close()


@pytest.mark.parametrize(
    ("fault", "requests", "most_calls"),
    [
        (Response("no", 500), 2, 100),
        (JSONResponse({"error": {"code": -32603, "message": "internal error"}}), 2, 100),
        (Response("no", 413), 3, 1),
        (JSONResponse({"error": {"code": -32600, "message": "Invalid Request"}}), 3, 1),
    ],
    ids=["500", "internal error", "413", "invalid request"],
)
async def test_only_a_refusal_that_is_about_the_number_of_calls_is_remembered(
    fault: Response, requests: int, most_calls: int
) -> None:
    """The endpoint fails once, and answers whatever it is asked from then on."""
    sent: list[Response] = []

    async def once(request: Request) -> Response:
        asked = await request.json()
        fine = [{"id": call["id"], "result": "0x1"} for call in (asked if isinstance(asked, list) else [asked])]
        sent.append(JSONResponse(fine if isinstance(asked, list) else fine[0]) if sent else fault)
        return sent[-1]

    with served(Starlette(routes=[Route("/", once, methods=["POST"])])) as url:
        endpoint = Endpoint("one", url)
        assert await call_all(endpoint, [("eth_chainId", []), ("eth_blockNumber", [])]) == ["0x1", "0x1"]
        assert (len(sent), endpoint.most_calls) == (requests, most_calls)
        await endpoint.close()
