"""The server's settings: environment variables with the prefix TRADER_, and a `.env` in the home."""

import os
from pathlib import Path

from pydantic import Field, ValidationError
from pydantic_settings import BaseSettings, SettingsConfigDict, SettingsError

from mcp_server.domain.teaching import validation_lines
from mcp_server.errors import Misconfigured
from mcp_server.storage.home import default_home
from mcp_server.storage.setting_types import AsOf, Token, home_folder


class Settings(BaseSettings):
    """What the operator decides. Read once, at start."""

    model_config = SettingsConfigDict(env_prefix="TRADER_", frozen=True, extra="ignore", env_ignore_empty=True)

    home: Path = Field(default_factory=default_home)
    exchange: str = "coinbase"
    as_of: AsOf = None
    exchange_urls: dict[str, str] = Field(default_factory=dict)
    token: Token | None = None


def load_settings() -> Settings:
    """Read the environment, then the `.env` of the home for what the environment does not say.

    Raises:
        Misconfigured: a setting is not valid; it is named, with what was expected.
    """
    home = home_folder(os.environ.get("TRADER_HOME"))
    try:
        return Settings(home=home, _env_file=home / ".env")
    except ValidationError as error:
        lines = [
            f"TRADER_{name.upper()}:{rest}"
            for name, _, rest in (line.partition(":") for line in validation_lines(error, Settings, secret=True))
        ]
        raise Misconfigured("These settings are not valid:\n" + "\n".join(f"- {line}" for line in lines)) from None
    except (OSError, UnicodeDecodeError) as error:
        raise Misconfigured(f"{str(home / '.env')!r} cannot be read: {error}. Mend it or remove it.") from None
    except SettingsError as error:  # a value that should be JSON and is not; the text names the field, not the value
        raise Misconfigured(f"The settings cannot be read: {error}. Write it as JSON.") from None
