"""Bearer tokens: who a caller is, and whether it may write. They are compared in constant time and never shown."""

import hmac
from collections.abc import Mapping
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from typing import TYPE_CHECKING

from pydantic import RootModel, SecretStr, ValidationError

from mcp_server.domain.error_hints import invalid_keys
from mcp_server.errors import Misconfigured
from mcp_server.storage.setting_types import Scope, TokenEntry
from mcp_server.toolkit import RUNNER

if TYPE_CHECKING:
    from mcp_server.settings import ServerSettings


@dataclass(frozen=True, slots=True)
class Grant:
    """What a caller may do: `read` looks, `write` also writes strategies. Limits count the calls of each `client`.

    The runner is not `bounded`: it limits itself, and calls of others must not hold up its runs.
    """

    client: str
    scope: Scope
    bounded: bool = True


class Tokens:
    """The tokens that a server knows.

    Args:
        entries: name → token and scope.
        runner: the runner's token for a server that it started; with it alone, others still need no token.

    Raises:
        Misconfigured: two names have the same token.
    """

    def __init__(self, entries: Mapping[str, TokenEntry], runner: SecretStr | None = None) -> None:
        self._runner = None if runner is None else _digest(runner.get_secret_value().encode())
        self._secrets = {name: entry.token.get_secret_value().encode() for name, entry in entries.items()}
        self._scopes = {name: entry.scope for name, entry in entries.items()}
        self._known = [(_digest(secret), name) for name, secret in self._secrets.items()]
        if len({digest for digest, _ in self._known}) < len(self._known):
            raise Misconfigured(
                "Two of the tokens are the same.", "Give each name of TRADER_TOKENS a token of its own."
            )

    def __bool__(self) -> bool:
        return bool(self._known)

    def grant(self, authorization: bytes) -> Grant | None:
        """Return what the header `Authorization` allows, or None; the time does not depend on the token."""
        scheme, _, sent = authorization.partition(b" ")
        token = sent.strip()
        name = self.name_of(token)
        grant = None if name is None else Grant(f"token {name}", self._scopes[name])
        if self._runner is not None and hmac.compare_digest(self._runner, _digest(token)):
            grant = Grant(RUNNER, "write", bounded=False)
        return grant if scheme.lower() == b"bearer" else None

    def name_of(self, token: bytes) -> str | None:
        """Return the name of a token, or None; the runner's has none. The time does not depend on the token."""
        digest, name = _digest(token), None
        for known, own in self._known:
            if hmac.compare_digest(known, digest):
                name = own
        return name

    def scope_of(self, name: str) -> Scope:
        """Return what the token of a name allows."""
        return self._scopes[name]

    def keys(self, label: str) -> dict[str, bytes]:
        """Return name → a key that only the token gives; another label gives other keys."""
        return {name: hmac.digest(secret, label.encode(), "sha256") for name, secret in self._secrets.items()}


class _File(RootModel[dict[str, TokenEntry]]):
    """A file of tokens."""


def tokens_of(settings: "ServerSettings") -> Tokens:
    """Gather the tokens of the settings: TRADER_TOKEN, which may write, TRADER_TOKENS and TRADER_TOKENS_FILE.

    Raises:
        Misconfigured: the file cannot be read, or a name is given twice.
    """
    single = {} if settings.token is None else {"TRADER_TOKEN": TokenEntry(token=settings.token, scope="write")}
    filed = {} if settings.tokens_file is None else _read(settings.tokens_file.expanduser())
    if twice := sorted(settings.tokens.keys() & filed.keys()):
        raise Misconfigured(f"TRADER_TOKENS and TRADER_TOKENS_FILE both name {twice[0]!r}.", "Keep one of them.")
    return Tokens({**settings.tokens, **filed, **single}, settings.runner_token)


def _read(path: Path) -> dict[str, TokenEntry]:
    try:
        entries = _File.model_validate_json(path.read_text("utf-8")).root
    except ValidationError as error:
        lines = "\n".join(f"- {key}" for key in invalid_keys(error, _File, secret=True))
        raise Misconfigured(
            f"TRADER_TOKENS_FILE {str(path)!r} is not valid:\n{lines}\n",
            'Write JSON: {"name": {"token": "…", "scope": "read"}}; the scope is read or write.',
        ) from None
    except (OSError, UnicodeDecodeError) as error:
        why = error.strerror if isinstance(error, OSError) else "it is not UTF-8"
        raise Misconfigured(
            f"TRADER_TOKENS_FILE {str(path)!r} cannot be read: {why}.", "Mend it or name another."
        ) from None
    if not entries:  # a file that was emptied by mistake must not open the server
        raise Misconfigured(
            f"TRADER_TOKENS_FILE {str(path)!r} names no token.", "Add one, or unset TRADER_TOKENS_FILE."
        )
    return entries


def _digest(token: bytes) -> bytes:
    return sha256(token).digest()
