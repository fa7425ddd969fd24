"""The chart library that pages carry: which one it is, and that its licence goes with it."""

import hashlib
from pathlib import Path

from mcp_server.storage.assets import CHART_SCRIPT, FOLDER, asset

ROOT = Path(__file__).parents[2]
VERSION = "5.2.1"
SHA256 = "e21cc5caa0226ef30bd8549c50b9ef926615f2a4ee6b4e486353477a55f598cf"
LIBRARY = (FOLDER / CHART_SCRIPT).parent


def test_the_chart_library_is_the_published_file_unchanged() -> None:
    script = asset(CHART_SCRIPT).encode()
    assert hashlib.sha256(script).hexdigest() == SHA256
    assert f"TradingView Lightweight Charts™ v{VERSION}" in script[:200].decode()


def test_its_licence_and_its_notice_lie_beside_it() -> None:
    assert "Apache License" in (LIBRARY / "LICENSE").read_text("utf-8")[:200]
    notice = (LIBRARY / "NOTICE").read_text("utf-8")
    assert f"TradingView Lightweight Charts™ {VERSION}" in notice
    assert "https://www.tradingview.com/" in notice
    assert "fancy-canvas" in notice


def test_it_is_named_among_the_dependencies() -> None:
    assert "| `lightweight-charts` (JavaScript) |" in (ROOT / "docs" / "reference" / "dependencies.md").read_text(
        "utf-8"
    )
