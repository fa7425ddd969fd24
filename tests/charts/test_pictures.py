"""The pictures of the documentation are what the command in the repository draws."""

from pathlib import Path

import anyio
import pytest

from tests.charts.sample import pixels
from tests.structure.pictures import FOLDER, OUTCOME, PICTURES, draw_all

PAGES = {**dict.fromkeys(PICTURES, "guides/charts.md"), OUTCOME: "guides/performance.md"}
"""Picture → the page that shows it."""


@pytest.mark.long
def test_the_command_draws_every_picture(tmp_path: Path) -> None:
    """In `make test` the next one looks at those that are there, and others at how a picture is drawn."""
    folder = tmp_path / "pictures"
    folder.mkdir()
    anyio.run(draw_all, folder)
    assert {file.name for file in folder.iterdir()} == set(PAGES)
    for name in PAGES:
        _is_a_chart(folder / name)


@pytest.mark.parametrize(("name", "page"), PAGES.items(), ids=PAGES)
def test_every_picture_is_there_and_on_its_page(name: str, page: str) -> None:
    _is_a_chart(FOLDER / name)
    assert f"(../charts/{name})" in (FOLDER.parent / page).read_text("utf-8")


def test_no_other_picture_lies_there() -> None:
    assert {file.name for file in FOLDER.iterdir()} == set(PAGES)


def _is_a_chart(file: Path) -> None:
    content = file.read_bytes()
    assert len(content) < 150_000
    picture = pixels(content)
    assert picture.shape[1] == 1200
    assert 800 <= picture.shape[0] <= 1300
    drawn_on = (picture != picture[0, 0]).any(axis=2)
    assert 0.05 < drawn_on.mean() < 0.6
