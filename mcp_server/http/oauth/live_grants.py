"""What a ticket cannot say of itself: which grants are alive, and which refresh token of each is the current one.

It lies in one small file of the home, for all servers of it. The file can be lost but not forgotten: it also holds the
secret that seals depend on, so without it no ticket is good any more.
"""

import secrets
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from filelock import FileLock, Timeout
from pydantic import BaseModel, ConfigDict, Field, TypeAdapter

from mcp_server.errors import Retryable
from mcp_server.http.oauth.tickets import LIFE_S
from mcp_server.storage.files import read_state, write_whole
from mcp_server.storage.home import Home, unwritable

LOCK_S = 10.0
"""How long one process waits for another's change."""

ENDED_S = 3600
"""So long it is known that a grant has ended: longer than its code is good for, even if the clock is set back."""

MOST_GRANTS = 500
"""More than one owner connects. Beyond it the one that was idle longest ends."""


class GrantState(BaseModel):
    """The current refresh token of one grant (None: the grant has ended), and until when this must be known."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    refresh: str | None
    until: int


class GrantsFile(BaseModel):
    """The file: the home's secret in hexadecimal digits, and its grants."""

    model_config = ConfigDict(extra="forbid")

    secret: str = Field(pattern=r"^[0-9a-f]{64}$")
    grants: dict[str, GrantState]


_SHAPE = TypeAdapter(GrantsFile)


class LiveGrants:
    """The grants of a home. Every method reads the file anew, and those that change it take turns.

    All raise `Misconfigured` for a file that cannot be read or written, and `Retryable` where the disk is full or
    another process does not end its change: nothing is allowed then.
    """

    def __init__(self, home: Home, clock: Callable[[], float]) -> None:
        self._home = home
        self._path = home.oauth
        self._clock = clock

    def secret(self) -> bytes:
        """Return the secret of the home; it is made when it is first needed."""
        try:
            return bytes.fromhex(self._read().secret)
        except FileNotFoundError:
            with self._changing() as file:
                return bytes.fromhex(file.secret)

    def alive(self) -> tuple[bytes, set[str]]:
        """Return the secret of the home, and the grants that are alive; a home without the file has neither."""
        try:
            file = self._read()
        except FileNotFoundError:
            return b"", set()
        return bytes.fromhex(file.secret), {grant for grant, state in file.grants.items() if state.refresh is not None}

    def begin(self, grant: str, refresh: str) -> bool:
        """Begin a grant with its first refresh token; False, and it has ended, where it was begun before.

        A code begins its grant, so a code that is used twice ends it.
        """
        with self._changing() as file:
            if grant in file.grants:
                self._end(file, grant)
                return False
            self._make_room(file)
            self._keep(file, grant, refresh)
        return True

    def renew(self, grant: str, refresh: str, following: str) -> bool:
        """Put another refresh token in the place of the current one; False, and it has ended, if it is not current.

        A thief and its owner look the same, also where the owner only lost the answer: so both are out.
        """
        with self._changing() as file:
            state = file.grants.get(grant)
            if state is None or state.refresh != refresh:
                self._end(file, grant)
                return False
            self._keep(file, grant, following)
        return True

    def end(self, grant: str) -> None:
        """End a grant, with all of its tickets."""
        with self._changing() as file:
            self._end(file, grant)

    def _keep(self, file: GrantsFile, grant: str, refresh: str) -> None:
        file.grants[grant] = GrantState(refresh=refresh, until=int(self._clock()) + LIFE_S["refresh"])

    def _end(self, file: GrantsFile, grant: str) -> None:
        file.grants[grant] = GrantState(refresh=None, until=int(self._clock()) + ENDED_S)

    def _make_room(self, file: GrantsFile) -> None:
        alive = [grant for grant, state in file.grants.items() if state.refresh is not None]
        if len(alive) >= MOST_GRANTS:
            del file.grants[min(alive, key=lambda grant: file.grants[grant].until)]

    def _read(self) -> GrantsFile:
        return read_state(self._path, _SHAPE)

    @contextmanager
    def _changing(self) -> Iterator[GrantsFile]:
        """Give the file's content to be changed, alone among all threads and processes; it is then written."""
        self._home.make(self._home.root)
        try:
            with FileLock(f"{self._path}.lock", timeout=LOCK_S):
                try:
                    file = self._read()
                except FileNotFoundError:
                    file = GrantsFile(secret=secrets.token_hex(32), grants={})
                now = self._clock()
                file.grants = {grant: state for grant, state in file.grants.items() if now < state.until}
                yield file
                write_whole(self._path, _SHAPE.dump_json(file), mode=0o600)
        except Timeout:
            raise Retryable(f"{str(self._path)!r} is locked by another process.", "Try again.") from None
        except OSError as error:
            raise unwritable(self._path, error) from None
