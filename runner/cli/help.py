"""Help for people: without the names of Python's types, `<bool>` beside a flag and `<str>` beside a name."""

from collections.abc import Callable
from typing import Any

import typer
from typer.core import TyperArgument, TyperCommand, TyperGroup


def _untyped(params: list[Any]) -> list[Any]:
    for param in params:
        if isinstance(param, TyperArgument) or getattr(param, "is_flag", False):
            vars(param)["display_type_rich"] = lambda ctx: None
    return params


class HelpfulCommand(TyperCommand):
    """A command whose help shows no types."""

    def get_params(self, ctx: Any) -> list[Any]:
        """Return the parameters as typer does."""
        return _untyped(super().get_params(ctx))


class HelpfulGroup(TyperGroup):
    """A group of commands whose help shows no types."""

    def get_params(self, ctx: Any) -> list[Any]:
        """Return the parameters as typer does."""
        return _untyped(super().get_params(ctx))


class Helpful(typer.Typer):
    """A typer app whose commands, and whose own options, show no types."""

    def __init__(self, **settings: Any) -> None:
        super().__init__(cls=HelpfulGroup, **settings)

    def command(self, name: str | None = None, **settings: Any) -> Callable[[Any], Any]:
        """Register a command."""
        return super().command(name, cls=HelpfulCommand, **settings)
