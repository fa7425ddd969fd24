"""The runner's settings: environment variables with the prefix TRADER_, others' credentials under their own names."""

import os
from collections.abc import Mapping
from decimal import Decimal
from pathlib import Path

from dotenv import dotenv_values
from pydantic import Field, SecretStr, ValidationError
from pydantic_settings import BaseSettings, SettingsConfigDict, SettingsError

from mcp_server.domain.error_hints import invalid_keys
from mcp_server.errors import Misconfigured
from mcp_server.storage.home import default_home
from mcp_server.storage.setting_types import Addresses, AsOf, ChainUrls, Token, home_folder

CREDENTIALS = ("ANTHROPIC_API_KEY", "ANTHROPIC_AUTH_TOKEN", "CLAUDE_CODE_OAUTH_TOKEN", "ANTHROPIC_BASE_URL")


class Settings(BaseSettings):
    """What the operator decides. Read once, at start."""

    model_config = SettingsConfigDict(env_prefix="TRADER_", frozen=True, extra="ignore", env_ignore_empty=True)

    home: Path = Field(default_factory=default_home)
    exchange: str = "coinbase"
    server_url: str | None = Field(default=None, pattern=r"^https?://[^\s/]+(/\S*)?$")
    as_of: AsOf = None
    token: Token | None = None
    chain_urls: ChainUrls = Field(default_factory=dict)
    budget_usd_per_day: Decimal = Field(default=Decimal(5), gt=0, le=100_000)
    max_claude_runs: int | None = Field(default=None, ge=1, le=100)
    notify: Addresses = ()
    credentials: Mapping[str, SecretStr] = Field(default_factory=dict, exclude=True)

    def secrets(self) -> list[str]:
        """Give what must never be shown."""
        hidden = [
            self.token,
            *self.notify,
            *(value for name, value in self.credentials.items() if name != "ANTHROPIC_BASE_URL"),
        ]
        return [value.get_secret_value() for value in hidden if value is not None]


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
    except (OSError, UnicodeDecodeError) as error:
        raise Misconfigured(f"{str(file)!r} cannot be read: {error}. Mend it or remove it.") from None
    except SettingsError as error:  # a value that should be JSON and is not; the text names the field, not the value
        raise Misconfigured(f"The settings cannot be read: {error}. Write it as JSON.") from None
    except ValidationError as error:
        names = [str(key).partition(":") for key in invalid_keys(error, Settings, secret=True)]
        lines = "\n".join(f"- TRADER_{name.upper()}:{rest}" for name, _, rest in names)
        raise Misconfigured(f"These settings are not valid:\n{lines}") from None
