"""The server's settings: environment variables with the prefix TRADER_, and a `.env` in the home."""

import os
from datetime import datetime
from pathlib import Path
from typing import Annotated

from pydantic import BeforeValidator, Field, SecretStr, ValidationError
from pydantic_settings import BaseSettings, SettingsConfigDict, SettingsError

from mcp_server.domain.teaching import validation_lines
from mcp_server.domain.timeframes import parse_moment
from mcp_server.errors import BadInput, Misconfigured
from mcp_server.storage.home import default_home


def _moment(value: object) -> object:
    if not isinstance(value, str):
        return value
    try:
        return parse_moment(value, name="TRADER_AS_OF")
    except BadInput as error:
        raise ValueError(str(error)) from None


class Settings(BaseSettings):
    """What the operator decides. Read once, at start."""

    model_config = SettingsConfigDict(env_prefix="TRADER_", frozen=True, extra="ignore")

    home: Path = Field(default_factory=default_home)
    exchange: str = "coinbase"
    as_of: Annotated[datetime | None, BeforeValidator(_moment)] = None
    exchange_urls: dict[str, str] = Field(default_factory=dict)
    token: SecretStr | None = None


def load_settings() -> Settings:
    """Read the environment, then the `.env` of the home for what the environment does not say.

    Raises:
        Misconfigured: a setting is not valid; it is named, with what was expected.
    """
    home = Path(os.environ.get("TRADER_HOME") or default_home()).expanduser().absolute()
    try:
        return Settings(home=home, _env_file=home / ".env")
    except ValidationError as error:
        lines = [
            f"TRADER_{name.upper()}:{rest}"
            for name, _, rest in (line.partition(":") for line in validation_lines(error, Settings))
        ]
        raise Misconfigured("These settings are not valid:\n" + "\n".join(f"- {line}" for line in lines)) from None
    except SettingsError as error:  # a value that should be JSON and is not; the text names the field, not the value
        raise Misconfigured(f"The settings cannot be read: {error}. Write it as JSON.") from None
