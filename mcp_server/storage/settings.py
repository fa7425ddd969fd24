"""Settings that both programs read in one way: environment variables, then a `.env` in the home."""

import os
from decimal import Decimal
from pathlib import Path
from typing import Any, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, SecretStr, ValidationError

from mcp_server.domain.error_hints import invalid_keys
from mcp_server.domain.strategy.limits import DEFAULT_EXCHANGE
from mcp_server.errors import Misconfigured
from mcp_server.storage.home import default_home, home_folder
from mcp_server.storage.oauth_setting_types import PublicUrl
from mcp_server.storage.setting_types import AsOf, ChainUrls, Token


def _written(file: Path) -> dict[str, str | None]:
    """Return the variables of a `.env`.

    Raises:
        OSError: it cannot be read.
        UnicodeDecodeError: it is no UTF-8.
    """
    from dotenv import dotenv_values  # most homes have none

    return dotenv_values(file, encoding="utf-8")


def is_set(variable: str, home: Path) -> bool:
    """Return whether the environment or the `.env` of a home sets a variable; no other setting is looked at.

    Raises:
        Misconfigured: that file cannot be read.
    """
    file = home / ".env"
    try:
        written = _written(file) if file.is_file() else {}
    except (OSError, UnicodeDecodeError) as error:
        raise _unreadable(file, error) from None
    return any(value and name.upper() == variable for source in (os.environ, written) for name, value in source.items())


def _unreadable(file: Path, error: Exception) -> Misconfigured:
    return Misconfigured(f"{str(file)!r} cannot be read: {error}.", "Mend it or remove it.")


def credential(name: str) -> Any:
    """Make a field for a key of others, which keeps the name that its owner gave it."""
    return Field(default=None, validation_alias=name, exclude=True)


class HomeSettings(BaseModel):
    """What the operator decides for both programs, with the prefix TRADER_. Read once, at start."""

    model_config = ConfigDict(frozen=True, extra="ignore")

    home: Path = Field(default_factory=default_home)
    exchange: str = DEFAULT_EXCHANGE
    as_of: AsOf = None
    token: Token | None = None
    public_url: PublicUrl = None
    chain_urls: ChainUrls = Field(default_factory=dict)
    database_url: SecretStr | None = None
    """The Postgres of a journal that several machines share; None: it is in the home's file."""
    budget_usd_per_day: Decimal = Field(default=Decimal(5), gt=0, le=100_000)
    news: Literal["on", "off"] = "on"

    def __init__(self, file: Path | None = None, **given: Any) -> None:
        """Take what is given, else what the environment says, else a file; an empty variable says nothing.

        The case of a variable's name does not matter.
        """
        written = {} if file is None or not file.is_file() else _written(file)
        values = {name.lower(): value for source in (written, os.environ) for name, value in source.items() if value}
        aliases = self.credential_names()
        known = {
            aliases.get(name, name): aliases.get(name, f"TRADER_{name}").lower() for name in type(self).model_fields
        }
        super().__init__(**{key: values[variable] for key, variable in known.items() if variable in values} | given)

    @classmethod
    def load(cls, home: Path | None = None) -> Self:
        """Read the environment, then the `.env` of the home for what the environment does not say.

        Args:
            home: the home; None: the one that TRADER_HOME names.

        Raises:
            Misconfigured: a setting is not valid. The error names it and what was expected, never its value.
        """
        home = home_folder(os.environ.get("TRADER_HOME")) if home is None else home.expanduser().absolute()
        file = home / ".env"
        try:
            return cls(file, home=home)._checked()
        except ValidationError as error:
            lines = "\n".join(f"- {cls._variable(str(key))}" for key in invalid_keys(error, cls, secret=True))
            raise Misconfigured(f"These settings are not valid:\n{lines}") from None
        except (OSError, UnicodeDecodeError) as error:
            raise _unreadable(file, error) from None

    def _checked(self) -> Self:
        """Refuse to start where the URL of the journal leads nowhere, or what connects to it is not installed."""
        if self.database_url is not None:
            from mcp_server.storage.postgres.address import PostgresAddress

            PostgresAddress.of(self.database_url.get_secret_value())
        return self

    @classmethod
    def credential_names(cls) -> dict[str, str]:
        """Return the environment variable of each credential, by the name of its field."""
        aliases = {name: field.validation_alias for name, field in cls.model_fields.items()}
        return {name: alias for name, alias in aliases.items() if isinstance(alias, str)}

    @property
    def credentials(self) -> dict[str, SecretStr]:
        """The credentials that are set, by their environment variables."""
        values = {variable: getattr(self, name) for name, variable in self.credential_names().items()}
        return {variable: value for variable, value in values.items() if value is not None}

    @classmethod
    def _variable(cls, line: str) -> str:
        """Put the variable's name at the beginning of a line in the place of the field's."""
        name = line.partition(":")[0].partition(".")[0]
        return f"TRADER_{name.upper()}{line.removeprefix(name)}" if name in cls.model_fields else line
