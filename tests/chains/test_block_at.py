"""The block of a moment, found in few looks whatever the times between blocks are like."""

from collections.abc import Sequence
from itertools import accumulate

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mcp_server.chains.block_at import PROBES, block_at
from mcp_server.domain.chains.chain import BlockRef
from mcp_server.errors import NotSupported

START = 1_700_000_000_000


def blocks_of(gaps: Sequence[int]) -> list[BlockRef]:
    return [BlockRef(n, START + ms, f"0x{n:x}") for n, ms in enumerate(accumulate(gaps, initial=0))]


async def look(blocks: Sequence[BlockRef], at_ms: int, block_s: float) -> tuple[BlockRef, int]:
    rounds = 0

    async def headers(numbers: Sequence[int]) -> list[BlockRef]:
        nonlocal rounds
        rounds += 1
        assert 0 < len(numbers) <= PROBES
        return [blocks[number] for number in numbers]

    return await block_at(headers, blocks[-1], at_ms, block_s, "test"), rounds


@pytest.mark.parametrize("block_s", [12.0, 0.25, 600.0])
async def test_a_regular_chain_of_a_million_blocks_takes_two_looks(block_s: float) -> None:
    length = int(block_s * 1000)

    class Endless(Sequence[BlockRef]):
        def __len__(self) -> int:
            return 1_000_000

        def __getitem__(self, number: int) -> BlockRef:  # type: ignore[override]
            number = number if number >= 0 else len(self) + number
            return BlockRef(number, START + number * length, "0x")

    found, rounds = await look(Endless(), START + 654_321 * length + length // 2, block_s)
    assert (found.number, rounds <= 3) == (654_321, True)


@settings(max_examples=150, deadline=None)
@given(
    gaps=st.lists(st.sampled_from([0, 0, 1, 1_000, 12_000, 500_000]), min_size=1, max_size=400),
    back_ms=st.integers(0, 3_000_000),
)
async def test_it_is_the_last_one_by_then_and_its_successor_is_later(gaps: list[int], back_ms: int) -> None:
    blocks = blocks_of(gaps)
    at_ms = max(blocks[-1].time_ms - back_ms, START)
    found, _ = await look(blocks, at_ms, 12.0)
    assert found.time_ms <= at_ms
    assert found.number == len(blocks) - 1 or blocks[found.number + 1].time_ms > at_ms


async def test_a_moment_before_the_first_block_has_none() -> None:
    with pytest.raises(NotSupported, match="'test' began only at 2023-11-14T22:13:20Z"):
        await look(blocks_of([12_000] * 100), START - 1, 12.0)
