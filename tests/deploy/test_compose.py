"""The compose file starts the container as the guide does, and its dashboard shows figures that are exported."""

import json
import re
from pathlib import Path
from typing import Any

import pytest
import yaml
from prometheus_client import Summary

from runner.container import DEFAULT
from runner.metrics import Metrics
from tests.deploy.image import instructions

ROOT = Path(__file__).parents[2]
FOLDER = ROOT / "monitoring"
SERVICES = yaml.safe_load((ROOT / "compose.yaml").read_text())["services"]
PANELS = json.loads((FOLDER / "dashboard.json").read_text("utf-8"))["panels"]
QUERIES = [target["expr"] for panel in PANELS for target in panel["targets"]]


def _exported() -> dict[str, set[str]]:
    """Return each figure that `claude-trader up` exports, with its labels."""
    collectors = [value for value in vars(Metrics()).values() if hasattr(value, "_labelnames")]
    figures: dict[str, set[str]] = {}
    for collector in collectors:
        endings = ("_count", "_sum") if isinstance(collector, Summary) else ("_total",)
        figures |= {f"{collector._name}{ending}": set(collector._labelnames) for ending in endings}
    gauges = re.findall(r'metrics\.gauge\("(\w+)"', (ROOT / "runner" / "up.py").read_text("utf-8"))
    return figures | {f"claude_trader_{name}": set[str]() for name in gauges}


def test_every_figure_of_the_dashboard_is_exported_and_every_exported_one_is_shown() -> None:
    assert len(_exported()) == 10
    assert {name for query in QUERIES for name in re.findall(r"claude_trader_\w+", query)} == _exported().keys()


@pytest.mark.parametrize("query", QUERIES)
def test_a_query_groups_by_labels_that_its_figure_has(query: str) -> None:
    labels = set(re.findall(r"by \((\w+)\)", query))
    for name in re.findall(r"claude_trader_\w+", query):
        assert labels <= _exported()[name]
    assert query.count("(") == query.count(")")


def test_each_panel_says_what_it_shows_and_asks_the_source_that_is_set_up() -> None:
    (source,) = yaml.safe_load((FOLDER / "datasource.yml").read_text())["datasources"]
    assert source["url"].startswith("http://prometheus:")
    for panel in PANELS:
        assert panel["description"]
        assert panel["datasource"]["uid"] == source["uid"]
        for target in panel["targets"]:
            labels = re.findall(r"{{(\w+)}}", target["legendFormat"])
            assert labels == re.findall(r"by \((\w+)\)", target["expr"])[:1]


def _mounts(service: str) -> dict[str, str]:
    """Return what each file of the checkout is mounted as."""
    pairs = (volume.split(":")[:2] for volume in SERVICES[service]["volumes"])
    return {source: target for source, target in pairs if source.startswith("./")}


def test_every_mounted_file_is_there_and_the_dashboard_lies_where_it_is_looked_for() -> None:
    for service in ("prometheus", "grafana"):
        assert all((ROOT / source).is_file() for source in _mounts(service))
    (provider,) = yaml.safe_load((FOLDER / "dashboards.yml").read_text())["providers"]
    place = _mounts("grafana")["./monitoring/dashboard.json"]
    assert str(Path(place).parent) == provider["options"]["path"]
    assert SERVICES["grafana"]["environment"]["GF_DASHBOARDS_DEFAULT_HOME_DASHBOARD_PATH"] == place


def test_prometheus_asks_the_port_that_the_container_serves_figures_on() -> None:
    (job,) = yaml.safe_load((FOLDER / "prometheus.yml").read_text())["scrape_configs"]
    assert job["static_configs"] == [{"targets": [f"trader:{DEFAULT[DEFAULT.index('--metrics-port') + 1]}"]}]


def test_only_this_machine_reaches_a_port_and_the_figures_have_none() -> None:
    ports: list[Any] = [port for service in SERVICES.values() for port in service.get("ports", [])]
    assert ports == ["127.0.0.1:8000:8000", "127.0.0.1:3000:3000"]
    assert "ports" not in SERVICES["prometheus"]


def test_the_container_has_its_volume_a_token_and_time_to_end_its_runs() -> None:
    trader = SERVICES["trader"]
    assert dict(instructions((ROOT / "Dockerfile").read_text()))["VOLUME"] == trader["volumes"][0].split(":")[1]
    assert trader["environment"]["TRADER_TOKEN"].startswith("${TRADER_TOKEN:?")
    assert int(trader["stop_grace_period"].rstrip("s")) >= float(DEFAULT[DEFAULT.index("--grace") + 1]) + 10
