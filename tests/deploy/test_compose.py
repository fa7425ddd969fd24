"""The compose file starts the container as the guide does, and its dashboard shows figures that are exported."""

import json
import re
import tomllib
from pathlib import Path
from typing import Any

import pytest
import yaml
from prometheus_client import Summary

from mcp_server.storage.postgres.address import PostgresAddress
from runner.container import DEFAULT
from runner.metrics import Metrics
from runner.settings import RunnerSettings
from tests.deploy.image import instructions

ROOT = Path(__file__).parents[2]
FOLDER = ROOT / "monitoring"
SHARED = yaml.safe_load((ROOT / "compose.postgres.yaml").read_text())["services"]
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


def _with_variables(text: str) -> str:
    """Return a value as Compose gives it where every variable is set, to a word."""
    return re.sub(r"\$\{[A-Z_]+:[?-][^}]*\}", "word", text)


def test_two_traders_of_one_journal_begin_once_it_answers_and_each_has_a_home_of_its_own() -> None:
    traders = [SHARED[name] for name in ("one", "two")]
    known = {f"TRADER_{field.upper()}" for field in RunnerSettings.model_fields}
    (extras,) = {trader["build"]["args"]["EXTRAS"] for trader in traders}
    offered = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]["optional-dependencies"]
    assert "postgres" in extras.strip("[]").split(",")
    assert {*extras.strip("[]").split(",")} <= offered.keys()
    assert dict(instructions((ROOT / "Dockerfile").read_text()))["ARG"].startswith("EXTRAS=")
    for trader in traders:
        assert trader["environment"].keys() - known == {"ANTHROPIC_API_KEY"}
        assert trader["depends_on"] == {"postgres": {"condition": "service_healthy"}}
        assert int(trader["stop_grace_period"].rstrip("s")) >= float(DEFAULT[DEFAULT.index("--grace") + 1]) + 10
    homes = [trader["volumes"][0].split(":") for trader in traders]
    assert len({volume for volume, _ in homes}) == 2
    assert {place for _, place in homes} == {dict(instructions((ROOT / "Dockerfile").read_text()))["VOLUME"]}
    ports = [port for service in SHARED.values() for port in service.get("ports", [])]
    assert all(port.startswith("127.0.0.1:") for port in ports)
    assert len(ports) == 2


def test_the_journals_url_is_that_of_the_postgres_beside_it_whose_health_is_asked_for_over_tcp() -> None:
    postgres, given = SHARED["postgres"], SHARED["one"]["environment"]
    address = PostgresAddress.of(_with_variables(given["TRADER_DATABASE_URL"]))
    made = {name: _with_variables(value) for name, value in postgres["environment"].items()}
    assert address.hosts == ("postgres",)
    assert address.parameters["sslmode"] == "disable", "the image has no TLS, and its network is this machine's"
    assert (address.parameters["user"], address.parameters["password"], address.parameters["dbname"]) == (
        made["POSTGRES_USER"],
        made["POSTGRES_PASSWORD"],
        made["POSTGRES_DB"],
    )
    assert re.fullmatch(r"postgres:\d+\.\d+(-\w+)?", postgres["image"]), "a tag that stays what it is"
    how, program, *words = postgres["healthcheck"]["test"]
    assert (how, program) == ("CMD", "pg_isready")
    assert words == ["--host", "127.0.0.1", "--username", made["POSTGRES_USER"], "--dbname", made["POSTGRES_DB"]]
    for secret in ("POSTGRES_PASSWORD", "TRADER_TOKEN"):
        every = [text for service in SHARED.values() for text in service["environment"].values() if secret in text]
        assert every
        assert all(f"${{{secret}:?" in text for text in every), "it must be set, and stands in no file"
