"""The balances of an address as of a moment."""

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
"""Pages of an address's transactions, usually of 25; some endpoints send fewer at a time."""

MOST_TRIES = 3
"""A balance is read this often because a block may come while it is read."""


async def evm_wallet(
    chain: EvmChain, explorer: Explorer | None, address: str, at_ms: int, observed_at_ms: int | None
) -> Wallet:
    """Return the balances of an address (checked, in lower case) on an EVM chain as of a moment.

    `observed_at_ms` is now, if the present balances may answer for the moment, because many nodes forget past balances
    within minutes. The explorer, if there is one, knows when the address was active.
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
    unread = ", ".join(token.symbol for token, balance in held if balance is None)
    known = [(token, balance) for token, balance in held if balance is not None]
    if activity and activity[1] > head.time_ms:  # it includes later blocks, so it is not used
        activity = None
    first_ms, last_ms = activity or (None, None)
    notes = [f"Left out, for their contracts tell no balance: {unread}."] if unread else []
    return Wallet(head, known, sent, None, first_ms, last_ms, observed_at_ms=live, notes=notes)


async def bitcoin_wallet(chain: BitcoinChain, address: str, at_ms: int) -> Wallet:
    """Return the balance of a Bitcoin address: its present balance, with all later transactions undone.

    Raises:
        NotSupported: there were too many later transactions.
    """
    heads = await heads_at(chain, at_ms)
    head = heads.head
    for _ in range(MOST_TRIES):
        now = await chain.holdings(address)
        later, earlier, complete = await _history(chain, address, head.number, now.transactions)
        if (await chain.holdings(address)).transactions == now.transactions:  # no block came meanwhile
            break
    else:
        raise Retryable("The balance of this address changes faster than it can be read.", "Try again.")
    held = now.funded - now.spent - sum(transaction.change_of(address) for transaction in later)
    if held < 0:
        raise UpstreamRejected(
            "The balance and transactions that an endpoint states for this address do not add up.", "Try again later."
        )
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
    """Return transactions after a block and some up to it, newest first, and whether the first of all is among them."""
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
            raise Retryable("An endpoint lists fewer transactions of this address than it counts.", "Try again.")
        if earlier and not to_the_first:
            return later, earlier, False
        after = page[-1].id
    if earlier:
        return later, earlier, False
    raise NotSupported(
        f"This address had more than {PAGE * MOST_PAGES} transactions since then, too many to undo.",
        "Ask as of a later moment.",
    )
