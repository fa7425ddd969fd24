"""What providers answer when a request is too large, too frequent or too old: words of the real ones, and their places.

The words are those that people quoted in bug reports, with other numbers where a test asks a small chain.
"""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from mcp_server.adapters.chains.endpoint import Failed
from mcp_server.adapters.chains.rpc_error import RpcError, error_in
from mcp_server.domain.timeframes import from_ms
from mcp_server.errors import Retryable, UpstreamRejected
from tests.chains.conftest import on
from tests.chains.people import BINANCE, KRAKEN, MILLION, Town
from tests.rigs.anvil import Anvil
from tests.rigs.chain_server import asking
from tests.rigs.rpc_proxy import RpcProxy
from tests.rigs.sampled import sampled
from tests.tools.conftest import Told

PAID = 2
UUID = "4ed94073-0317-4648-a167-107fba5f44b3"

STATED: list[tuple[str, Any, Any, int, int]] = [
    (
        "Alchemy, paid",
        "You can make eth_getLogs requests with up to a 500 block range. Based on your parameters, this block range "
        "should work: [0x123c9b2, 0x123cba5]",
        None, 1_801, 500,
    ),
    (
        "Alchemy, free",
        "Under the Free tier plan, you can make eth_getLogs requests with up to a 10 block range. Based on your "
        "parameters, this block range should work: [0x1180fca, 0x1180fd3]. Upgrade to PAYG for expanded block range.",
        None, 10_000, 10,
    ),
    ("Infura", "range 1000000 exceeds limit of 10000", None, 1_000_000, 10_000),
    ("QuickNode", "eth_getLogs is limited to a 10,000 range", None, 20_000, 10_000),
    ("QuickNode, free", "eth_getLogs is limited to a 5 range", None, 10_000, 5),
    ("thirdweb, before", "invalid params", "range 20000 is bigger than range limit 2000", 20_000, 2_000),
    (
        "Tenderly", "invalid params", {"error_id": UUID, "payload": "range 9594 is bigger than range limit 2000"},
        9_594, 2_000,
    ),
    ("dRPC", "ranges over 10000 blocks are not supported on free plan", None, 20_000, 10_000),
    ("dRPC, Avalanche", "requested too many blocks from 0 to 9999, maximum is set to 2048", None, 10_000, 2_048),
    ("PublicNode", "exceed maximum block range: 50000", None, 100_000, 50_000),
    ("1RPC", "eth_getLogs is limited to 0 - 50 blocks range", None, 10_000, 50),
    (
        "Cloudflare", "Invalid eth_getLogs request. 'fromBlock'-'toBlock' range too large. Max range: 800", None,
        10_000, 800,
    ),
    ("reth", "query exceeds max block range 100000", None, 200_000, 100_000),
    (
        "BlockPI",
        "eth_getLogs is limited to 1024 block range. Please check the parameter requirements at "
        "https://docs.blockpi.io/documentations/api-reference/v2",
        None, 10_000, 1_024,
    ),
    ("MaticVigil", "eth_getLogs block range too large, range: 33636, max: 3500", None, 33_636, 3_500),
    ("SimplyVC", "too wide blocks range, the limit is 100", None, 10_000, 100),
    ("Coinbase", "please limit the query to at most 1000 blocks", None, 10_000, 1_000),
    (
        "Nodies",
        "Block range too large: maximum allowed is 50 blocks on your current plan. Upgrade your subscription at "
        "https://nodies.app/9000 for larger ranges.",
        None, 10_000, 50,
    ),
    ("Moonbeam", "block range is too wide (maximum 1024)", None, 10_000, 1_024),
    ("made up", "Block range is too large: you asked for 300 blocks, the maximum is 100", None, 300, 100),
    ("two plans", "up to a 500 block range on the free plan, and 2,000 blocks on a paid one", None, 10_000, 2_000),
    ("Pocket", "block range too large, max 250", None, 10_000, 250),
]  # fmt: skip

OF_RESULTS: list[tuple[str, str, int, int | None]] = [
    (
        "Alchemy",
        "Log response size exceeded. You can make eth_getLogs requests with up to a 2K block range and no limit on the "
        "response size, or you can request any block range with a cap of 10K logs in the response. Based on your "
        "parameters and the response size limit, this block range should work: [0x0, 0x133e71]",
        20_000, 2_000,
    ),
    ("thirdweb", "Log response size exceeded. Maximum allowed number of requested blocks is 1000", 10_000, 1_000),
    ("Infura", "query returned more than 10000 results. Try with this block range [0xCB3D, 0x7B737].", 20_000, None),
    ("reth", "query exceeds max results 20000, retry with the range 25766988-25775072", 30_000, None),
    ("dRPC", "query returns too many logs, narrow your filter: 200", 10_000, None),
    ("Chainstack", "logs matched by query exceeds limit of 10000", 20_000, None),
    ("Base", "backend response too large", 10_000, None),
]  # fmt: skip

UNSTATED = [
    ("Ankr", "block range is too wide"),
    ("Base", "block range too large"),
    ("Chainstack", "Block range limit exceeded. See more details at https://docs.chainstack.com/docs/limits#evm-500"),
]


def read(message: Any, data: Any = None, code: int = -32602) -> RpcError:
    error = error_in({"jsonrpc": "2.0", "id": 1, "error": {"code": code, "message": message, "data": data}})
    assert error is not None
    return error


@pytest.mark.parametrize(("message", "data", "asked", "limit"), [row[1:] for row in STATED], ids=[r[0] for r in STATED])
def test_the_limit_that_each_provider_states_is_read(message: Any, data: Any, asked: int, limit: int) -> None:
    error = read(message, data)
    assert (error.range_too_wide, error.about_results, error.too_often) == (True, False, False)
    assert error.most_blocks(asked) == limit


@pytest.mark.parametrize(
    ("message", "asked", "limit"), [row[1:] for row in OF_RESULTS], ids=[row[0] for row in OF_RESULTS]
)
def test_a_limit_on_results_is_none_on_blocks_unless_it_states_one(message: str, asked: int, limit: int | None) -> None:
    error = read(message)
    assert (error.range_too_wide, error.about_results, error.most_blocks(asked)) == (True, True, limit)


@pytest.mark.parametrize("message", [row[1] for row in UNSTATED], ids=[row[0] for row in UNSTATED])
def test_a_range_that_is_refused_without_a_limit_has_none(message: str) -> None:
    error = read(message)
    assert (error.range_too_wide, error.too_often, error.most_blocks(10_000)) == (True, False, None)


@pytest.mark.parametrize(
    ("code", "message", "data", "kind", "why"),
    [
        (429, "Batch of too many requests", None, Retryable, "is asked too often"),
        (-32005, "daily request count exceeded, request rate limited", None, Retryable, "is asked too often"),
        (-32000, "could not generate the answer", None, Retryable, "failed by itself"),
        (-32602, "block range extends beyond current head block", None, Retryable, "lags behind"),
        (-32000, "Server error", "missing trie node 8b16 (path )", UpstreamRejected, "does not keep the state"),
        (-32000, "backend response too large", None, UpstreamRejected, "answers with more than can be taken"),
        (-32602, "invalid block range params", None, UpstreamRejected, "refuses the request"),
    ],
)  # fmt: skip
def test_what_is_no_limit_on_a_range_is_called_what_it_is(
    code: int, message: str, data: Any, kind: type[Exception], why: str
) -> None:
    failed = read(message, data, code).failed()
    assert isinstance(failed, Failed)
    assert (failed.kind, why in failed.why) == (kind, True)


@pytest.mark.parametrize(
    "answer",
    [
        {"error": "Too Many Requests", "code": 429}, {"code": "429", "message": "slow down"},
        {"error": {"code": "429"}}, {"error": {"code": 1, "data": {"inner": {"payload": "quota is used up"}}}},
    ],
)  # fmt: skip
def test_an_error_is_read_in_whatever_form_it_comes(answer: dict[str, Any]) -> None:
    error = error_in(answer)
    assert error is not None
    assert error.too_often


@pytest.mark.parametrize("answer", [{"result": 1, "message": "fine"}, {"result": None}, {"id": 1}, "no", [], None])
def test_an_answer_without_an_error_has_none(answer: Any) -> None:
    assert error_in(answer) is None


@pytest.fixture(scope="module")
def chain() -> Iterator[Anvil]:
    with Anvil(prune=True) as chain:
        chain.enrich(BINANCE, KRAKEN)
        town = Town.founded_on(chain)
        town.pay(town.alice, BINANCE, 3 * MILLION)
        town.pass_time(150)
        town.pay(KRAKEN, town.bob, 2 * MILLION)
        town.pass_time(100)
        yield chain


ALCHEMY = (
    "You can make eth_getLogs requests with up to a {limit} block range. Based on your parameters, this block range "
    "should work: [0x123c9b2, 0x123cba5]"
)
BODIES: dict[str, dict[str, Any]] = {
    "Alchemy": {"limit_code": -32600, "limit_says": ALCHEMY},
    "Alchemy, HTTP 400": {"limit_code": -32600, "limit_says": ALCHEMY, "error_status": 400, "one_error": True},
    "QuickNode, HTTP 413": {
        "limit_code": -32614, "limit_says": "eth_getLogs is limited to a {limit} range", "error_status": 413,
    },
    "thirdweb, only in data": {
        "limit_code": -32602, "limit_says": "invalid params",
        "limit_data": "range {asked} is bigger than range limit {limit}",
    },
    "thirdweb, HTTP 400, data": {
        "limit_code": -32602, "limit_says": "invalid params", "error_status": 400, "one_error": True,
        "limit_data": "range {asked} is bigger than range limit {limit}",
    },
    "Infura": {"limit_code": -32602, "limit_says": "range {asked} exceeds limit of {limit}"},
    "one error for all": {"limit_says": "exceed maximum block range: {limit}", "one_error": True},
    "none stated": {"limit_code": -32701, "limit_says": "Please limit your query: block range too wide"},
}  # fmt: skip


@pytest.mark.parametrize("body", sampled([*BODIES], 5))
async def test_a_range_that_is_too_wide_is_split_by_the_limit_wherever_it_is_stated(
    home: Path, chain: Anvil, good: RpcProxy, body: str
) -> None:
    good.log_blocks = limit = 100
    for name, value in BODIES[body].items():
        setattr(good, name, value)
    async with on(home, chain, good) as ask:
        report = await ask("get_whale_activity", asset="USDC")
        assert (report["counts"]["transfers"], report["complete"]) == (PAID, True)
        least = -(-(chain.height() + 1 - 11) // limit)
        assert good.methods["eth_getLogs"] == least + 1
        good.forget()
        await ask("get_whale_activity", asset="USDC", lookback_minutes=59)
        assert good.methods["eth_getLogs"] == least, "the limit is known now"
        assert good.requests == least + 1, "several calls still go in one request"


DAILY = {"code": -32005, "message": "daily request count exceeded"}


@pytest.mark.parametrize(
    "answer",
    [
        {"jsonrpc": "2.0", "id": None, "error": {"code": 429, "message": "Too many requests in a batch"}},
        pytest.param({"code": 429, "message": "slow down"}, id="gateway", marks=pytest.mark.long),
        pytest.param({"error": DAILY}, id="-32005", marks=pytest.mark.long),
        {"error": {"code": -32005, "message": "batch rate limit exceeded"}},
    ],
)
async def test_one_object_that_says_too_often_sends_the_batch_to_the_next_endpoint(
    home: Path, chain: Anvil, bad: RpcProxy, good: RpcProxy, answer: dict[str, Any]
) -> None:
    bad.to_several = answer
    async with on(home, chain, bad, good) as ask:
        assert (await ask("get_whale_activity", asset="USDC"))["counts"]["transfers"] == PAID
        assert bad.requests <= 2, "it rests: at most its opinion is asked for"
        bad.to_several = None
        bad.forget()
        good.status = 503
        assert (await ask("get_whale_activity", asset="ETH", min_usd=1_000))["complete"]
        assert bad.requests <= 21, "it is not thought to take fewer calls"
    bad.to_several = answer
    async with on(home, chain, bad) as ask:
        with pytest.raises(Told, match="is asked too often"):
            await ask("get_whale_activity", asset="USDC")


async def test_a_batch_that_is_too_large_by_its_own_words_is_sent_in_parts(
    home: Path, chain: Anvil, good: RpcProxy
) -> None:
    """The code is that of a limit on requests too: jsonrpsee has -32005 for it."""
    error = {"code": -32005, "message": "Batched requests are not supported by this server"}
    good.to_several = {"jsonrpc": "2.0", "id": None, "error": error}
    async with on(home, chain, good) as ask:
        assert (await ask("get_whale_activity", asset="USDC"))["counts"]["transfers"] == PAID


GONE = [
    {"code": -32000, "message": "missing trie node 8b1604e0 (path ) state 0x8b16 is not available"},
    {"code": -32000, "message": "Server error", "data": "missing trie node 8b1604e0 (path )"},
    {"code": -32602, "message": "invalid params", "data": {"payload": "required historical state unavailable"}},
]


@pytest.mark.parametrize("status", sampled([400, 200], 2))
@pytest.mark.parametrize("error", sampled(GONE, 2), ids=["message", "data", "data by name"])
async def test_state_that_is_gone_is_told_so_wherever_it_stands(
    home: Path, chain: Anvil, good: RpcProxy, error: dict[str, Any], status: int
) -> None:
    good.error_status, good.one_error = status, status == 400
    good.past_errors = {"eth_getBalance": error, "eth_call": error}
    async with on(home, chain, good) as ask:
        now = await ask("get_wallet", address=BINANCE)
        assert (now["live"], now["rows"][0][0]) == (True, "ETH")
        past = from_ms(chain.now_ms() - 3_000_000).isoformat()
        with pytest.raises(Told, match="that takes an archive node") as caught:
            await ask("get_wallet", address=BINANCE, as_of=past)
    assert "Try again" not in str(caught.value)


async def test_an_hour_of_a_quick_chain_costs_as_many_requests_as_the_limit_makes_pieces(home: Path) -> None:
    """1,800 blocks of two seconds, 500 at once: one for the newest block, one that is refused, four pieces."""
    with Anvil(chain_id=8453, block_s=2, prune=True) as base:
        base.mine(1_850)
        with RpcProxy(base.url, log_blocks=500, limit_code=-32600, limit_says=ALCHEMY) as endpoint:
            async with asking(home, {"base": [endpoint.url]}, base.now_ms) as ask:
                report = await ask("get_whale_activity", asset="USDC", chain="base")
    assert (report["complete"], report["requests"], endpoint.requests) == (True, 6, 6)
