"""The server's settings: environment variables with the prefix TRADER_, others' keys, and a `.env` in the home."""

import os
import re
from collections.abc import Mapping
from pathlib import Path

from dotenv import dotenv_values
from pydantic import Field, SecretStr, ValidationError
from pydantic_settings import BaseSettings, SettingsConfigDict, SettingsError

from mcp_server.domain.error_hints import invalid_keys
from mcp_server.errors import Misconfigured
from mcp_server.storage.home import default_home
from mcp_server.storage.setting_types import AsOf, ChainUrls, PublicHosts, Token, TokenEntry, home_folder

CREDENTIALS = ("ETHERSCAN_API_KEY", "BLOCKSCOUT_API_KEY")
"""Keys of others, by the names that their owners gave them."""


class Settings(BaseSettings):
    """What the operator decides. Read once, at start."""

    model_config = SettingsConfigDict(env_prefix="TRADER_", frozen=True, extra="ignore", env_ignore_empty=True)

    home: Path = Field(default_factory=default_home)
    exchange: str = "coinbase"
    as_of: AsOf = None
    exchange_urls: dict[str, str] = Field(default_factory=dict)
    chain_urls: ChainUrls = Field(default_factory=dict)
    explorer_urls: ChainUrls = Field(default_factory=dict)
    token: Token | None = None
    tokens: Mapping[str, TokenEntry] = Field(default_factory=dict)
    tokens_file: Path | None = None
    runner_token: Token | None = None
    public_hosts: PublicHosts = ()
    calls_per_minute: int = Field(default=3000, ge=1, le=1_000_000)
    concurrent_calls: int = Field(default=64, ge=1, le=10_000)
    credentials: Mapping[str, SecretStr] = Field(default_factory=dict, exclude=True)


def load_settings() -> Settings:
    """Read the environment, then the `.env` of the home for what the environment does not say.

    Raises:
        Misconfigured: a setting is not valid; it is named, with what was expected.
    """
    home = home_folder(os.environ.get("TRADER_HOME"))
    file = home / ".env"
    try:
        said = {**(dotenv_values(file) if file.is_file() else {}), **os.environ}
        credentials = {name: SecretStr(value) for name in CREDENTIALS if (value := said.get(name))}
        return Settings(home=home, credentials=credentials, _env_file=file)
    except ValidationError as error:
        lines = [
            re.sub(r"^\w+", lambda name: f"TRADER_{name[0].upper()}", str(key))
            for key in invalid_keys(error, Settings, secret=True)
        ]
        raise Misconfigured("These settings are not valid:\n" + "\n".join(f"- {line}" for line in lines)) from None
    except (OSError, UnicodeDecodeError) as error:
        raise Misconfigured(f"{str(file)!r} cannot be read: {error}. Mend it or remove it.") from None
    except SettingsError as error:  # a value that should be JSON and is not; the text names the field, not the value
        raise Misconfigured(f"The settings cannot be read: {error}. Write it as JSON.") from None
