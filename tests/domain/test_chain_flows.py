"""Direction is what matters: what went into exchanges, came out of them, and what is left."""

from hypothesis import given
from hypothesis import strategies as st

from mcp_server.domain.chains.bitcoin_transfers import BitcoinTransaction, transfers_of
from mcp_server.domain.chains.chain import Transfer
from mcp_server.domain.chains.flows import direction, ends, netted

WHO = st.sampled_from(["x", "b1", "b2", "k1", "y"])
EXCHANGES = {"b1": "binance", "b2": "binance", "k1": "kraken"}


def moved(sender: str | None, receiver: str | None, raw: int = 1, also: tuple[str, ...] = ()) -> Transfer:
    return Transfer("0x1", sender, receiver, raw, 1, 1, also_from=also)


def exchange_of(address: str | None) -> str | None:
    return EXCHANGES.get(address or "")


def test_every_transfer_has_its_direction() -> None:
    cases = [
        (moved("x", "b1"), "to exchange"), (moved("b1", "x"), "from exchange"),
        (moved("b1", "k1"), "between exchanges"),
        (moved("b1", "b2"), "within exchange"), (moved("b1", "b1"), "self"), (moved("x", "x"), "self"),
        (moved("x", "y"), ""), (moved(None, "x"), "mint"), (moved("x", "0x" + "0" * 40), "burn"),
        (moved("x", "y", also=("k1",)), "from exchange"), (moved(None, "b1"), "to exchange"),
        (moved("x", "b1", also=("b2",)), "sweep"), (moved("b1", "b2", also=("x",)), "sweep"),
        (moved("b1", "k1", also=("x",)), "between exchanges"), (moved("b1", "b2", also=("b1",)), "within exchange"),
    ]  # fmt: skip
    assert [direction(transfer, exchange_of) for transfer, _ in cases] == [expected for _, expected in cases]


def test_coins_sent_to_the_contract_that_wraps_them_stay_their_senders() -> None:
    sent = [moved("b1", "weth", 9), moved("x", "weth", 5), moved("weth", "b1", 3)]
    assert [direction(transfer, exchange_of, "weth") for transfer in sent] == ["wrap", "wrap", "to exchange"]
    flows = netted(sent, exchange_of, "weth")
    assert (flows.all_exchanges.from_raw, flows.all_exchanges.to_raw, flows.count) == (0, 3, 3)


def test_flows_are_netted_by_exchange_and_what_stays_inside_counts_as_none() -> None:
    flows = netted(
        [moved("x", "b1", 10), moved("b2", "y", 4), moved("b1", "k1", 5), moved("b1", "b2", 99), moved("k1", "k1", 7)],
        exchange_of,
    )
    assert (flows.all_exchanges.to_raw, flows.all_exchanges.from_raw, flows.between_raw) == (15, 9, 5)
    binance, kraken = flows.exchanges["binance"], flows.exchanges["kraken"]
    assert (binance.to_raw, binance.from_raw, kraken.to_raw, kraken.from_raw) == (10, 9, 5, 0)
    assert (flows.count, flows.total_raw, flows.largest_raw) == (5, 125, 99)
    assert (flows.all_exchanges.to_count, flows.all_exchanges.from_count) == (2, 2)


@given(st.lists(st.tuples(WHO, WHO, st.integers(1, 99))))
def test_what_flows_in_and_out_is_what_exchanges_hold_more_or_less(found: list[tuple[str, str, int]]) -> None:
    flows = netted([moved(*parts) for parts in found], exchange_of)
    held = {"binance": 0, "kraken": 0}
    for sender, receiver, raw in found:
        for address, sign in ((sender, -1), (receiver, 1)):
            if address in EXCHANGES:
                held[EXCHANGES[address]] += sign * raw
    assert {name: flow.to_raw - flow.from_raw for name, flow in flows.exchanges.items()} == {
        name: held[name] for name in flows.exchanges
    }
    assert flows.all_exchanges.to_raw - flows.all_exchanges.from_raw == sum(held.values())


def bitcoin(inputs: list[tuple[str | None, int]], outputs: list[tuple[str | None, int]]) -> list[Transfer]:
    return transfers_of(BitcoinTransaction("t", inputs, outputs, 1, "h", 1))


def test_what_goes_back_to_an_input_is_change_and_no_transfer() -> None:
    found = bitcoin([("a", 60), ("b", 40)], [("x", 70), ("a", 29)])
    assert [(t.from_address, t.to_address, t.raw, t.also_from) for t in found] == [("a", "x", 70, ("b",))]


def test_an_address_that_paid_in_is_paid_what_the_other_inputs_leave_it() -> None:
    (found,) = bitcoin([("deposit", 60), ("b1", 40)], [("b1", 99)])
    assert (found.from_address, found.to_address, found.raw, found.also_from) == ("deposit", "b1", 59, ("b1",))
    assert direction(found, exchange_of) == "sweep"
    (found,) = bitcoin([(None, 60), ("b1", 40)], [("b1", 99)])
    assert (found.from_address, found.raw, direction(found, exchange_of)) == (None, 59, "sweep")
    (found,) = bitcoin([("b1", 60), ("b2", 40)], [("b2", 99)])
    assert (found.raw, direction(found, exchange_of)) == (59, "within exchange")
    (found,) = bitcoin([("x", 60), ("y", 40)], [("y", 99)])
    assert (found.raw, direction(found, exchange_of)) == (59, "self"), "one owner joins coins, as far as is known"
    assert bitcoin([("b1", 60), ("b2", 40)], [("b1", 59), ("b2", 40)]) == []


def test_sweeps_are_summed_apart() -> None:
    swept = bitcoin([("deposit", 60), ("b1", 40)], [("b2", 90), ("x", 9)])
    flows = netted([*swept, moved("x", "b1", 7)], exchange_of)
    assert (flows.sweeps_raw, flows.sweeps_count, flows.count) == (90, 1, 3)
    assert (flows.all_exchanges.to_raw, flows.all_exchanges.from_raw) == (7, 9)


def test_an_address_that_is_paid_twice_is_paid_once_and_nothing_paid_is_lost() -> None:
    found = bitcoin([("a", 100)], [("x", 30), ("x", 20), (None, 5), ("y", 44), (None, 0)])
    assert [(t.to_address, t.raw, t.place) for t in found] == [("x", 50, 0), (None, 5, 1), ("y", 44, 2)]


def test_newly_made_coins_come_from_nobody() -> None:
    (found,) = bitcoin([], [("miner", 312_500_000)])
    assert (found.from_address, direction(found, exchange_of)) == (None, "mint")


def test_an_exchange_is_the_sender_where_any_of_its_inputs_is_known() -> None:
    (found,) = bitcoin([("deposit", 90), ("b1", 10)], [("x", 99)])
    assert ends(found, exchange_of) == ("binance", None)
