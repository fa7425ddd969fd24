"""The state of a network: its height, fees and mempool."""

from __future__ import annotations

from mcp_server.adapters.chains.bitcoin import BitcoinChain
from mcp_server.adapters.chains.evm import EvmChain
from mcp_server.chains.bitcoin_heads import heads_at
from mcp_server.chains.evm_heads import head_at
from mcp_server.domain.chains.chain import Network

L1_FEE = "A transaction here also pays for being written to Ethereum; these fees do not include that."


async def evm_network(chain: EvmChain, at_ms: int) -> Network:
    """Return the state of an EVM chain as of a moment (Unix ms), which blocks record completely."""
    head = await head_at(chain, at_ms)
    fees, base_fees = await chain.fees(head)
    return Network(head, fees, base_fees, notes=[L1_FEE] if chain.chain.l1_fee else [])


async def bitcoin_network(chain: BitcoinChain, at_ms: int, now_ms: int) -> Network:
    """Return Bitcoin's height as of a recent moment, and its present fees and mempool."""
    heads = await heads_at(chain, at_ms)
    fees, mempool = await chain.fees(), await chain.mempool()
    return Network(heads.head, fees, mempool=mempool, observed_at_ms=now_ms, notes=heads.notes)
