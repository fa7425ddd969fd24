"""The slots of years at once are those that the scheduler goes through one by one."""

from itertools import product, takewhile

import pytest

from mcp_server.domain.backtest.slot_times import slot_times
from mcp_server.domain.schedule.slots import slots
from mcp_server.domain.strategy.format import Config
from mcp_server.domain.timeframes import from_ms, parse_moment, to_ms
from tests.rigs.sampled import sampled

ZONES = ["UTC", "America/New_York", "Europe/Berlin", "Asia/Kolkata", "Australia/Lord_Howe", "America/St_Johns"]
CRONS = [
    "30 2 * * *",
    "15 */3 * * *",
    "*/30 0-3 * * *",
    "0 9,17 1,15 * 1-5",
    "59 23 L * *",
    "5 1 * * 1#2",
    "0 0 29 2 *",
]


def one_by_one(config: Config, start_ms: int, end_ms: int) -> list[int]:
    return list(takewhile(lambda at_ms: at_ms <= end_ms, map(to_ms, slots(config, from_ms(start_ms)))))


@pytest.mark.parametrize(("cron", "zone"), sampled([*product(CRONS, ZONES)], 11))
def test_the_slots_of_a_cron_are_those_of_the_scheduler(cron: str, zone: str) -> None:
    config = Config.model_validate({"trading_pair": "BTC/USDT", "cron": cron, "timezone": zone})
    for start, end in [
        ("2025-01-01T00:00", "2026-01-01"),
        ("2025-03-08T17:03", "2025-03-10T03:30"),
        ("2024-02-29", "2024-03-01"),
    ]:
        first, last = to_ms(parse_moment(start)), to_ms(parse_moment(end))
        assert slot_times(config, first, last).tolist() == one_by_one(config, first, last)


@pytest.mark.parametrize(("zone", "day"), [("America/New_York", "2025-11-02"), ("Australia/Lord_Howe", "2025-04-06")])
def test_an_hour_that_comes_twice_is_gone_through_as_the_scheduler_does(zone: str, day: str) -> None:
    middle = to_ms(parse_moment(day))
    for cron in ["30 1 * * *", "*/20 1 * * *", "45 1-3 * * *"]:
        config = Config.model_validate({"trading_pair": "BTC/USDT", "cron": cron, "timezone": zone})
        for hours in range(-30, 30):
            first = middle + hours * 3_600_000 + 600_000
            last = first + 31 * 3_600_000
            assert slot_times(config, first, last).tolist() == one_by_one(config, first, last)


def test_a_range_that_has_no_time_has_no_slots() -> None:
    for schedule in ({"interval": "1h"}, {"cron": "0 * * * *"}):
        config = Config.model_validate({"trading_pair": "BTC/USDT", **schedule})
        assert slot_times(config, 1_600_000_000_000, 1_600_000_000_000).tolist() == []
        assert slot_times(config, 1_700_000_000_000, 1_600_000_000_000).tolist() == []
