"""Where a Postgres is: its URL as libpq reads it, with TLS demanded beyond this machine, and no secrets to show."""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Self

from mcp_server.domain.loopback import is_loopback
from mcp_server.errors import Misconfigured

VARIABLE = "TRADER_DATABASE_URL"
EXAMPLE = "postgresql://USER:PASSWORD@HOST/DATABASE"
ENCRYPTED = ("require", "verify-ca", "verify-full")
HIDDEN = "[secret]"
_REMEDY = (
    f"Write {EXAMPLE}, with %40 for @ and %2F for / in user and password, a number as the port, and after a ? only "
    "what Postgres knows."
)
_SECRET = ("password", "sslpassword")
_USER = re.compile(r"^[^@/]*@")
"""What libpq takes for user and password: all up to the first @, unless a / comes before it."""


@dataclass(frozen=True, slots=True)
class PostgresAddress:
    """How to connect: libpq's parameters, which may have a password, and hosts in the order in which they are tried."""

    parameters: Mapping[str, str] = field(repr=False)
    hosts: tuple[str, ...]

    @classmethod
    def of(cls, url: str) -> Self:
        """Read a URL.

        Raises:
            Misconfigured: it is none, it names no host or no database, or it leaves open whether what goes to another
                machine is encrypted; or the extra that can read it is not installed. No part of it is told back.
        """
        parameters = _parsed(url)
        hosts = tuple((parameters.get("hostaddr") or parameters.get("host", "")).split(","))
        if _is_misread(url, parameters):
            raise Misconfigured(f"{VARIABLE} cannot be read.", _REMEDY)
        if not all(hosts) or not parameters.get("dbname"):
            raise Misconfigured(f"{VARIABLE} lacks a host or a database.", f"Write {EXAMPLE}.")
        parameters.setdefault("hostaddr", "")  # else libpq takes PGHOSTADDR's, which the rule has not seen
        if not all(_is_here(host) for host in hosts):
            parameters["sslmode"] = _sslmode(parameters)
            parameters.setdefault("gssencmode", "disable")  # Kerberos' encryption takes no look at certificates
        return cls(parameters, hosts)

    def __str__(self) -> str:
        """Name it for errors and pages: `db.example:5432/journal`; ports that the URL leaves open stay out."""
        ports = self.parameters.get("port", "5432").split(",")
        each = ports if len(ports) == len(self.hosts) else ports[:1] * len(self.hosts)
        pairs = zip(self.hosts, each, strict=True)
        places = [f"{host}:{port}" if port and not host.startswith("/") else host for host, port in pairs]
        return f"{','.join(places)}/{self.parameters['dbname']}"

    @property
    def secrets(self) -> list[str]:
        """The passwords."""
        return [secret for name in _SECRET if (secret := self.parameters.get(name))]

    def without_secrets(self, text: str) -> str:
        """Take the passwords out of a text, should one be in it."""
        for secret in self.secrets:
            text = text.replace(secret, HIDDEN)
        return text


def _parsed(url: str) -> dict[str, str]:
    if not url.startswith(("postgresql://", "postgres://")):
        raise Misconfigured(f"{VARIABLE} is not the address of a Postgres database.", f"Write {EXAMPLE}.")
    try:
        from psycopg import ProgrammingError
        from psycopg.conninfo import conninfo_to_dict
    except ImportError:
        raise Misconfigured(
            f"{VARIABLE} is set, and what connects to Postgres is not installed.",
            "Install it: `pip install 'claude-trader[postgres]'`, or in a checkout "
            "`.venv/bin/pip install -e '.[postgres]'`. Or unset it: the journal is then a file of the home.",
        ) from None
    try:
        return {name: str(value) for name, value in conninfo_to_dict(url).items()}
    except ProgrammingError:  # its text quotes what is wrong, which may be the password
        raise Misconfigured(f"{VARIABLE} cannot be read.", _REMEDY) from None


def _is_misread(url: str, parameters: Mapping[str, str]) -> bool:
    """Return whether an @ or a / of the password makes libpq take a part of it for the host, the port or the database.

    Each of these is named in errors.
    """
    place = _USER.sub("", url.partition("://")[2]).partition("?")[0]
    ports = parameters.get("port", "").replace(",", "")
    return "@" in place or not (ports or "0").isdecimal()


def _is_here(host: str) -> bool:
    """Return whether what is sent there leaves this machine: to a Unix socket, a path, it does not."""
    return host.startswith(("/", "@")) or is_loopback(host)


def _sslmode(parameters: Mapping[str, str]) -> str:
    """Return how a connection to another machine is encrypted.

    Where the certificate of whoever vouches for the server is given, the server must have one of its: `require` alone
    accepts any. To do without encryption must be written.
    """
    mode = parameters.get("sslmode")
    if mode is None:
        return "verify-full" if parameters.get("sslrootcert") else "require"
    if mode in (*ENCRYPTED, "disable"):
        return mode
    raise Misconfigured(
        f"{VARIABLE} leaves open whether the connection is encrypted.",
        f"Write sslmode={', sslmode='.join(ENCRYPTED)}, or sslmode=disable to do without.",
    )
