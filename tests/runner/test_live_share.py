"""What a run has paid itself, of what the CLI counts for its replies, against prices that the CLI is never told."""

import random
from dataclasses import replace
from decimal import Decimal
from fractions import Fraction

import pytest

from runner.claude.cassette.cassettes import TokenCounts
from runner.claude.proxy.reply_cost import ReplyUse, live_share

PRICES = {"claude-opus-5-5": (4, "0.05"), "claude-sonnet-4-5": (3, "0.1"), "claude-fable-5-1": (10, "0.025")}
"""US dollars for a million tokens of input, and the share of it for one that is read from the cache. Output costs five
times as much; what is written to the cache 5/4, or twice as much if it stays for an hour."""


def costs(model: str, tokens: TokenCounts) -> Fraction:
    price, read = PRICES[model.partition("[")[0]]
    for_five_minutes = tokens.cache_creation - tokens.cache_creation_1h
    shares = (
        *(tokens.input, tokens.output * 5, tokens.cache_read * Fraction(read)),
        *(for_five_minutes * Fraction(5, 4), tokens.cache_creation_1h * 2),
    )
    return sum((Fraction(price, 1_000_000) * share for share in shares), Fraction(0))


def drawn(chance: random.Random) -> TokenCounts:
    tokens = TokenCounts(*(chance.randrange(10 ** chance.randrange(1, 6)) for _ in range(4)))
    return replace(tokens, cache_creation_1h=chance.randrange(tokens.cache_creation + 1))


def reply(model: str, tokens: TokenCounts, *, own: bool, times: int = 1) -> ReplyUse:
    return ReplyUse(model, tokens, own=own, times=times)


@pytest.mark.parametrize("seed", range(40))
def test_the_share_is_that_of_each_models_own_prices(seed: int) -> None:
    chance = random.Random(seed)  # noqa: S311 (no secret)
    uses, counted, expected = [], dict.fromkeys(PRICES, Fraction(0)), Fraction(0)
    for _ in range(chance.randrange(1, 30)):
        model = chance.choice(list(PRICES))
        tokens = drawn(chance)
        own, times = chance.random() < 0.5, chance.choice((1, 1, 1, 2, 3))
        uses.append(reply(f"{model}[1m]" if chance.random() < 0.3 else model, tokens, own=own, times=times))
        counted[model] += costs(model, tokens)
        expected += own * times * costs(model, tokens)
    account = {model: {"costUSD": float(cost)} for model, cost in counted.items()}
    assert float(live_share(account, uses)) == pytest.approx(float(expected), rel=1e-12, abs=1e-15)


def test_a_run_that_asked_for_all_has_paid_what_the_cli_counts_to_the_last_digit() -> None:
    uses = [reply("claude-opus-5-5", TokenCounts(3, 7, 1, 1), own=True), reply("x", TokenCounts(), own=True)]
    assert live_share({"claude-opus-5-5": {"costUSD": 0.0024000000000000002}}, uses) == Decimal("0.0024000000000000002")


def test_a_run_that_was_given_all_has_paid_nothing() -> None:
    uses = [reply("claude-opus-5-5", TokenCounts(3, 7, 1, 1), own=False)]
    assert live_share({"claude-opus-5-5": {"costUSD": 0.5}}, uses) == 0


def test_what_the_cli_counts_for_a_model_without_a_reply_is_never_free() -> None:
    uses = [reply("claude-opus-5-5", TokenCounts(3, 7, 1, 1), own=False)]
    assert live_share({"claude-opus-5-5": {"costUSD": 0.5}, "claude-fable-5-1": {"costUSD": 0.25}}, uses) == Decimal(
        "0.25"
    )
    assert live_share({"claude-opus-5-5": {"costUSD": 0.5}}, []) == Decimal("0.5")


def test_a_refusal_of_no_tokens_costs_nothing_among_others() -> None:
    uses = [reply("claude-opus-5-5", TokenCounts(), own=True), reply("claude-opus-5-5", TokenCounts(5), own=False)]
    assert live_share({"claude-opus-5-5": {"costUSD": 0.5}}, uses) == 0
