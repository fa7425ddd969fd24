"""What one client asks does not keep another waiting."""

import anyio

from tests.http.conftest import LIMIT_S, READS, WRITES, Guarded
from tests.http.test_rights import calling
from tests.tools.conftest import answer_of

SLOW = "WITH RECURSIVE a AS (SELECT 1 AS x UNION ALL SELECT x + 1 FROM a) SELECT max(x) FROM a"
SLOW_ONES = 4


async def test_slow_queries_of_one_token_do_not_hold_up_a_query_of_another(server: Guarded) -> None:
    begun: list[int] = []
    ended: list[bool] = []
    all_begun = anyio.Event()

    async def ask_slowly() -> None:
        async with calling(server, READS, "auto") as client:
            begun.append(1)
            if len(begun) == SLOW_ONES:
                all_begun.set()
            ended.append((await client.call_tool("query_journal", {"sql": SLOW})).is_error or False)

    with anyio.fail_after(LIMIT_S):
        async with calling(server, WRITES, "auto") as quick, anyio.create_task_group() as calls:
            for _ in range(SLOW_ONES):
                calls.start_soon(ask_slowly)
            await all_begun.wait()
            await anyio.sleep(0.2)  # they are all under way, or nothing is shown: nothing fails by that
            answer = answer_of(await quick.call_tool("query_journal", {"sql": "SELECT 1"}))
            calls.cancel_scope.cancel()
        async with calling(server, READS, "auto") as later:  # who leaves frees the turn: nothing goes on for nobody
            assert answer_of(await later.call_tool("query_journal", {"sql": "SELECT 2"}))["rows"] == [[2]]
    assert answer["rows"] == [[1]]
    assert len(ended) <= 1
