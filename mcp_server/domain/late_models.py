"""Imports a library whose models pydantic builds when they are first used, and not all of them at once."""

from collections.abc import Iterator
from contextlib import contextmanager

from pydantic import BaseModel


@contextmanager
def built_when_used() -> Iterator[None]:
    """Let each model that is defined meanwhile get its validator when it is first used.

    MCP's types are some five hundred models for all versions of the protocol, of which a process uses a dozen.
    """
    before = BaseModel.model_config.get("defer_build", False)
    BaseModel.model_config["defer_build"] = True  # which a model takes over when it is defined
    try:
        yield
    finally:
        BaseModel.model_config["defer_build"] = before
