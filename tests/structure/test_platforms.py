"""What differs on macOS and Windows, as far as it can be simulated here."""

from importlib import resources


def test_both_packages_carry_their_types() -> None:
    assert all(resources.files(package).joinpath("py.typed").is_file() for package in ("mcp_server", "runner"))
