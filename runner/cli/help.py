"""Help for people: without the names of Python's types and errors, `<bool>` beside a flag and `Value error` say."""

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
    """A command whose help shows no types, and whose refusals name no class of Python's errors."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        """Read the arguments as typer does."""
        try:
            return super().parse_args(ctx, args)
        except typer.BadParameter as error:
            error.message = error.message.removeprefix("Value error, ")
            raise

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
