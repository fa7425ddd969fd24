"""Kinds of settings, checked in the same way in both programs. Errors never repeat a secret value."""

import json
import re
from collections.abc import Mapping
from datetime import datetime
from typing import Annotated, Literal

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, SecretStr

from mcp_server.domain.timeframes import parse_moment
from mcp_server.errors import BadInput


def _moment(value: object) -> object:
    if not isinstance(value, str):
        return value
    try:
        return parse_moment(value, name="TRADER_AS_OF")
    except BadInput as error:
        raise ValueError(str(error)) from None


def _token(value: SecretStr) -> SecretStr:
    text = value.get_secret_value()
    if not (text.isascii() and text.isprintable() and text and " " not in text):
        raise ValueError("use printable ASCII characters without spaces")
    return value


def _names(value: object) -> object:
    return [name for part in value.split(",") if (name := part.strip())] if isinstance(value, str) else value


def json_value(value: object) -> object:
    """Read a setting that is written as JSON."""
    if not isinstance(value, str):
        return value
    try:
        return json.loads(value)
    except (ValueError, RecursionError):
        raise ValueError("write it as JSON") from None


def _urls(value: object) -> object:
    if not isinstance(value, dict):
        return value
    return {str(name).lower(): [urls] if isinstance(urls, str) else urls for name, urls in value.items()}


def _addresses(value: object) -> object:
    """Read addresses from a JSON list, or from a text that separates them by spaces, lines or commas."""
    if not isinstance(value, str):
        return value
    if value.strip().startswith("["):
        try:
            listed = json.loads(value)
        except ValueError:
            raise ValueError("it begins like a JSON list but is not one") from None
    else:
        listed = [part for part in re.split(r"\s+|,\s*(?=[A-Za-z][\w.+-]*://)", value.strip(" \n\t,")) if part]
    for number, address in enumerate(listed, 1):
        if not isinstance(address, str) or not re.fullmatch(r"[A-Za-z][\w.+-]*://\S+", address):
            raise ValueError(f"address {number} is not an apprise address, such as ntfy://ntfy.sh/your-topic")
    return tuple(listed)


Scope = Literal["read", "write"]
"""What a token allows: to read, or also to write strategies."""

PublicHost = Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]*$")]
AsOf = Annotated[datetime | None, BeforeValidator(_moment)]
Token = Annotated[SecretStr, AfterValidator(_token)]
PublicHosts = Annotated[tuple[PublicHost, ...], BeforeValidator(_names)]
"""Names without scheme and port, separated by commas."""
Addresses = Annotated[tuple[SecretStr, ...], BeforeValidator(_addresses)]
"""Addresses of apprise; they contain tokens and passwords."""
ChainUrls = Annotated[dict[str, list[SecretStr]], BeforeValidator(_urls), BeforeValidator(json_value)]
"""Chain → its endpoints, in order of preference; many providers put the key into the URL."""


ExchangeUrls = Annotated[dict[str, str], BeforeValidator(json_value)]


class TokenEntry(BaseModel):
    """One of several tokens, and what it allows."""

    model_config = ConfigDict(frozen=True, extra="forbid", hide_input_in_errors=True)

    token: Token
    scope: Scope = "read"


Tokens = Annotated[Mapping[str, TokenEntry], BeforeValidator(json_value)]
