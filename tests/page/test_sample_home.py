"""The sample home is true to the project's own code: its tools read it, and it has one of everything."""

from mcp_server.domain.outcome import Status
from tests.page.conftest import Site
from tests.page.strategy_facts import answer_of


def test_the_sample_home_has_runs_of_every_status_and_every_trigger(site: Site) -> None:
    rows = site.sample.database.read(
        lambda connection: connection.execute('SELECT DISTINCT status, "trigger" FROM executions').fetchall()
    )
    assert {status for status, _ in rows} == {*Status} - {Status.DRIFT}  # so ends what is rerun, and no slot
    assert {trigger for _, trigger in rows} == {"schedule", "manual", "replay"}


def test_tools_read_the_sample_home(site: Site) -> None:
    record, listed = answer_of(site, "get_performance", strategy_name="btc-trend"), answer_of(site, "list_strategies")
    assert 0 < record["right"] < record["judged"]
    names = [row[0] for row in listed["rows"]]
    assert {"btc-trend", "eth-two-analysts", "sol-breakout", "doge-idea", "half-written"} <= {*names}
