"""Why a connection is not as safe as it must be: what the server and the files say when they are asked once more.

libpq tells it in words alone, which its translations change. So a connection that failed without a word of the server
is tried again with Python's TLS, up to the point at which a password would be sent.
"""

import os
import socket
import ssl
import struct
from collections.abc import Iterator, Mapping
from pathlib import Path

from psycopg.pq import Conninfo

from mcp_server.domain.text import cleaned
from mcp_server.errors import Misconfigured
from mcp_server.storage.postgres.address import ENCRYPTED, PostgresAddress

ASK_FOR_TLS = struct.pack("!ii", 8, 80_877_103)
"""What a client sends first: Postgres answers S, or N where it has no TLS."""

REFUSAL_S = 1.0
"""How long a server may take to refuse a certificate of ours."""

OWN_FOLDER = Path(".postgresql")
"""In the user's home; libpq looks there for certificates that nothing names."""

_RENEW = "Have the server's certificate renewed, and see whether this machine's clock is right."
_NAME = "Write the host as the server's certificate names it, or have one made for this host."
_AUTHORITY = "Set sslrootcert to the file with the certificate of the authority that has signed the server's."
_REMEDIES = {9: _RENEW, 10: _RENEW, 62: _NAME, 64: _NAME}
"""By OpenSSL's numbers: not valid yet, not valid any more, another name, another IP address."""


def why_unsafe(address: PostgresAddress, timeout_s: float) -> Misconfigured | None:
    """Return what its operator must mend before it can be encrypted; None: nothing, or it need not be.

    Args:
        address: whose connection has failed.
        timeout_s: how long a server may take to answer.
    """
    defaults = {option.keyword.decode(): option.val.decode() for option in Conninfo.get_defaults() if option.val}
    parameters = {**defaults, **address.parameters}
    if parameters["sslmode"] not in ENCRYPTED:
        return None
    try:
        context, shows_own = _context(parameters)
    except Misconfigured as error:
        return error
    for server in _servers(parameters):
        flaw = _flaw(context, server, timeout_s, shows_own=shows_own)
        if flaw is None and parameters.get("sslnegotiation") == "direct":
            flaw = _direct_flaw(context, server, timeout_s)
        if flaw is not None:
            why, remedy = flaw
            why = cleaned(why, 300).rstrip(".")
            return Misconfigured(
                f"The connection to the database {address} is not as safe as it must be: {why}.", remedy
            )
    return None


def _flaw(
    context: ssl.SSLContext, server: tuple[str, str, int], timeout_s: float, *, shows_own: bool
) -> tuple[str, str] | None:
    name, host, port = server
    try:
        with socket.create_connection((host, port), timeout_s) as plain:
            plain.sendall(ASK_FOR_TLS)
            if (answer := plain.recv(1)) == b"N":
                return (
                    "the server has no TLS",
                    "Turn it on there (`ssl = on`), or write sslmode=disable to do without.",
                )
            if answer == b"S":
                with context.wrap_socket(plain, server_hostname=name) as encrypted:
                    if shows_own:
                        encrypted.settimeout(REFUSAL_S)
                        encrypted.recv(1)  # a server that refuses our certificate says so now, others wait for us
    except ssl.SSLCertVerificationError as error:
        return error.verify_message, _REMEDIES.get(error.verify_code, _AUTHORITY)
    except (ssl.SSLEOFError, ssl.SSLSyscallError, ssl.SSLZeroReturnError):  # it went away meanwhile
        return None
    except ssl.SSLError as error:
        return f"TLS failed ({error.reason})", "Look into the server's log, and at sslcert and sslkey."
    except (OSError, ValueError):  # it is away, or the name cannot be one
        return None
    return None


def _direct_flaw(context: ssl.SSLContext, server: tuple[str, str, int], timeout_s: float) -> tuple[str, str] | None:
    """Return what is wrong where a server that is asked for TLS has it, and does not take it unasked."""
    name, host, port = server
    context.set_alpn_protocols(["postgresql"])
    try:
        with (
            socket.create_connection((host, port), timeout_s) as plain,
            context.wrap_socket(plain, server_hostname=name),
        ):
            return None
    except (ssl.SSLError, ConnectionResetError):
        return (
            "the server does not take sslnegotiation=direct",
            "Leave it out of TRADER_DATABASE_URL, or use Postgres 17 or newer, without a proxy in between.",
        )
    except OSError:  # it is away
        return None


def _servers(parameters: Mapping[str, str]) -> Iterator[tuple[str, str, int]]:
    """Yield of each server over TCP the name, where it is and the port, as libpq tries them."""
    names = parameters.get("host", "").split(",")
    hosts = (parameters.get("hostaddr") or parameters["host"]).split(",")
    ports = parameters.get("port", "5432").split(",")
    for at, host in enumerate(hosts):
        if not host.startswith(("/", "@")):
            name = names[at] if at < len(names) and names[at] else host
            yield name, host, int(ports[at if len(ports) == len(hosts) else 0] or 5432)


def _context(parameters: Mapping[str, str]) -> tuple[ssl.SSLContext, bool]:
    """Return what TLS accepts, by libpq's rules, and whether it has a certificate of ours to show.

    Raises:
        Misconfigured: a file is not as it must be.
    """
    mode, authority = parameters["sslmode"], parameters.get("sslrootcert") or _own("root.crt")
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = mode == "verify-full"
    try:
        if authority == "system":
            if mode != "verify-full":
                raise Misconfigured("sslrootcert=system accepts servers of anybody.", "Write sslmode=verify-full.")
            context.load_default_certs()
        elif mode == "require" and not Path(authority).exists():
            context.verify_mode = ssl.CERT_NONE
        else:
            context.load_verify_locations(authority)
    except OSError as error:
        raise Misconfigured(f"sslrootcert={authority!r} cannot be read: {_said(error)}.", _AUTHORITY) from None
    certificate, key = (parameters.get(f"ssl{kind}") or _own(f"postgresql.{end}") for kind, end in _OF_CLIENT)
    if shows_own := Path(certificate).exists():
        _show(context, certificate, key, parameters.get("sslpassword"))
    return context, shows_own


_OF_CLIENT = (("cert", "crt"), ("key", "key"))


def _show(context: ssl.SSLContext, certificate: str, key: str, password: str | None) -> None:
    """Have a context show a certificate of ours, if the server wants one."""
    try:
        file = os.stat(key)
        if os.name == "posix" and file.st_mode & (0o077 if file.st_uid else 0o037):
            raise Misconfigured(f"sslkey={key!r} can be read by others.", f"`chmod 600 {key}`.")
        context.load_cert_chain(certificate, key, lambda: password or "")
    except OSError as error:
        raise Misconfigured(
            f"sslcert={certificate!r} cannot be used with sslkey={key!r}: {_said(error)}.",
            "Let sslcert and sslkey name a certificate of this machine and its key, in PEM.",
        ) from None


def _own(name: str) -> str:
    return str(Path.home() / OWN_FOLDER / name)


def _said(error: OSError) -> str:
    return (error.reason if isinstance(error, ssl.SSLError) else error.strerror) or "it is no certificate"
