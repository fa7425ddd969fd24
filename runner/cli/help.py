"""Help for people: without the names of Python's types and errors, `<bool>` beside a flag and `Value error` say."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import typer
from typer.core import TyperArgument, TyperCommand, TyperGroup

try:
    from typer.exceptions import TyperException
except ImportError:  # typer before it had its own copy of click
    from click import ClickException as TyperException  # type: ignore[assignment]


class _AsGiven:
    """Takes a value as it is where it is of the right type already, so that pydantic is imported for others alone."""

    def __init__(self, param: Any) -> None:
        self._typers = param.get_runtime_param

    def coerce(self, value: Any, param: Any, ctx: Any) -> Any:
        """Return the value of a parameter; what is to be read from a text or checked is typer's."""
        if value is None:
            return () if param.multiple or param.nargs == -1 else None
        return value if _is_right(value, param) else self._typers().coerce(value, param=param, ctx=ctx)


def _is_right(value: Any, param: Any) -> bool:
    """Return whether a value needs no reading and no check; False also where typer describes parameters otherwise."""
    try:
        kind = param.type_descriptor
        if type(value) is kind.annotation and not kind.parameter_info.parser:
            return not kind.is_ranged or value == param.default
        return kind.is_choice and not param.multiple and value in kind.choices
    except AttributeError:
        return False


def _light(params: list[Any]) -> list[Any]:
    for param in params:
        if isinstance(param, TyperArgument) or getattr(param, "is_flag", False):
            vars(param)["display_type_rich"] = lambda ctx: None
        if hasattr(param, "get_runtime_param") and "get_runtime_param" not in vars(param):  # since typer 0.29
            as_given = _AsGiven(param)
            vars(param)["get_runtime_param"] = lambda as_given=as_given: as_given
    return params


def _import_help() -> None:
    from runner.cli.light_help import import_help

    import_help()


@contextmanager
def _refusals() -> Iterator[None]:
    """Import what shows a refusal, and let none of them name a class of Python's errors."""
    try:
        yield
    except TyperException as error:
        error.message = error.message.removeprefix("Value error, ")
        _import_help()
        raise


class HelpfulCommand(TyperCommand):
    """A command whose help shows no types, and whose refusals name no class of Python's errors."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        """Read the arguments as typer does."""
        with _refusals():
            return super().parse_args(ctx, args)

    def get_params(self, ctx: Any) -> list[Any]:
        """Return the parameters as typer does."""
        return _light(super().get_params(ctx))

    def format_help(self, ctx: Any, formatter: Any) -> None:
        """Show the help as typer does."""
        _import_help()
        super().format_help(ctx, formatter)


class HelpfulGroup(TyperGroup):
    """A group of commands whose help shows no types."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        """Read the arguments as typer does."""
        with _refusals():
            return super().parse_args(ctx, args)

    def get_params(self, ctx: Any) -> list[Any]:
        """Return the parameters as typer does."""
        return _light(super().get_params(ctx))

    def format_help(self, ctx: Any, formatter: Any) -> None:
        """Show the help as typer does."""
        _import_help()
        super().format_help(ctx, formatter)

    def resolve_command(self, ctx: Any, args: list[str]) -> Any:
        """Return the command that the arguments begin with, its name and the other arguments."""
        with _refusals():
            return super().resolve_command(ctx, args)


class Helpful(typer.Typer):
    """A typer app whose commands, and whose own options, show no types."""

    def __init__(self, **settings: Any) -> None:
        settings.setdefault("cls", HelpfulGroup)
        super().__init__(rich_markup_mode="markdown", **settings)

    def command(self, name: str | None = None, **settings: Any) -> Callable[[Any], Any]:
        """Register a command."""
        return super().command(name, cls=HelpfulCommand, **settings)
