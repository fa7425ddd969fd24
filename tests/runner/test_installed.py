"""How something is installed here: a command that can be copied, and that names nothing which is not published."""

from pathlib import Path

import pytest

from runner import installed
from runner.installed import install

ROOT = Path(__file__).parents[2]


def test_a_checkout_is_installed_from_itself(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.chdir(ROOT)
    assert install("[claude]").endswith("pip install -e '.[claude]'")
    monkeypatch.chdir(tmp_path)
    assert install("[claude]").endswith(f"pip install -e '{ROOT}[claude]'")
    assert install().endswith(f"pip install -e {ROOT}")


def test_a_wheel_is_installed_by_its_name(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(installed, "_CHECKOUT", tmp_path)
    assert install("[claude]").endswith("pip install --upgrade 'claude-trader[claude]'")
    assert install().endswith("pip install --upgrade claude-trader")
