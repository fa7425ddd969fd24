"""What an address holds as of a moment."""

from __future__ import annotations

from mcp_server.adapters.chains.bitcoin import BitcoinChain
from mcp_server.adapters.chains.evm import EvmChain
from mcp_server.adapters.chains.explorer import Explorer
from mcp_server.chains.bitcoin_heads import heads_at
from mcp_server.chains.evm_heads import head_at
from mcp_server.domain.chains.bitcoin_transfers import BitcoinTransaction
from mcp_server.domain.chains.chain import Wallet
from mcp_server.errors import NotSupported, Retryable, UpstreamRejected

PAGE = 25
MOST_PAGES = 8
"""Of an address's transactions, 25 each as a rule; some endpoints give fewer at a time."""

MOST_TRIES = 3
"""So often a balance is read again because a block came while it was read."""


async def evm_wallet(
    chain: EvmChain, explorer: Explorer | None, address: str, at_ms: int, observed_at_ms: int | None
) -> Wallet:
    """Give the balances of an address on an EVM chain.

    Args:
        chain: the chain.
        explorer: tells when it was active, if there is one.
        address: checked, in lower case.
        at_ms: the moment (Unix ms).
        observed_at_ms: now, where a moment that is so lately ago may be answered as it is now: many nodes forget within
            minutes what addresses held. None: it may not.

    Raises:
        NotSupported, Retryable, UpstreamRejected: as the adapter.
    """
    head = await head_at(chain, at_ms)
    tokens = chain.chain.tokens
    live: int | None = None
    try:
        raw, sent = await chain.balances(address, tokens, head)
    except NotSupported:
        if observed_at_ms is None:
            raise
        live = observed_at_ms
        raw, sent = await chain.balances(address, tokens, None)
    activity = await explorer.activity(address, head.number) if explorer else None
    held = list(zip((chain.chain.native, *tokens), raw, strict=True))
    if activity and activity[1] > head.time_ms:  # it speaks of what was not yet, so nothing of it is believed
        activity = None
    first_ms, last_ms = activity or (None, None)
    return Wallet(head, held, sent, None, first_ms, last_ms, observed_at_ms=live)


async def bitcoin_wallet(chain: BitcoinChain, address: str, at_ms: int) -> Wallet:
    """Give the balance of a Bitcoin address: what it holds now, less what came and went after the moment.

    Raises:
        NotSupported: too much came and went since.
        Retryable, UpstreamRejected: as the adapter.
    """
    heads = await heads_at(chain, at_ms)
    head = heads.head
    for _ in range(MOST_TRIES):
        now = await chain.holdings(address)
        later, earlier, complete = await _history(chain, address, head.number, now.transactions)
        if (await chain.holdings(address)).transactions == now.transactions:  # no block came in between
            break
    else:
        raise Retryable("This address moves faster than it can be read. Try again.")
    held = now.funded - now.spent - sum(transaction.change_of(address) for transaction in later)
    if held < 0:
        raise UpstreamRejected("What an endpoint says of this address does not add up. Try again later.")
    return Wallet(
        head=head,
        balances=[(chain.chain.native, held)],
        transactions=max(now.transactions - len(later), 0),
        first_ms=earlier[-1].time_ms if earlier and complete else None,
        last_ms=earlier[0].time_ms if earlier else None,
        notes=heads.notes,
    )


async def _history(
    chain: BitcoinChain, address: str, head: int, count: int
) -> tuple[list[BitcoinTransaction], list[BitcoinTransaction], bool]:
    """Give the transactions after a block, some up to it, and whether the first of all is among them; newest first."""
    later: list[BitcoinTransaction] = []
    earlier: list[BitcoinTransaction] = []
    to_the_first = count <= PAGE * MOST_PAGES
    after: str | None = None
    for _ in range(MOST_PAGES + 1):
        seen = {transaction.id for transaction in (*later, *earlier)}
        page = [transaction for transaction in await chain.history(address, after) if transaction.id not in seen]
        for transaction in page:
            (later if (transaction.block or 0) > head else earlier).append(transaction)
        if len(later) + len(earlier) >= count:
            return later, earlier, True
        if not page:
            raise Retryable("An endpoint gives fewer transactions of this address than it counts. Try again.")
        if earlier and not to_the_first:
            return later, earlier, False
        after = page[-1].id
    if earlier:
        return later, earlier, False
    raise NotSupported(
        f"This address had more than {PAGE * MOST_PAGES} transactions since then, too many to undo. Ask as of a later "
        "moment."
    )
