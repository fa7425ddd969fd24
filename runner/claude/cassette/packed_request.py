"""The beginning of a reply's file: its request, packed before there is a reply."""

import json
import zlib
from collections.abc import Mapping
from typing import Any

_LEVEL, _GZIP = 3, 31


class PackedRequest:
    """A request as the first member of a JSON object, to which the rest is added once."""

    def __init__(self, request: Mapping[str, Any]) -> None:
        self._begin = b'{"request": ' + json.dumps(request).encode()
        self._packer = zlib.compressobj(_LEVEL, zlib.DEFLATED, _GZIP)
        self._packed = self._packer.compress(self._begin) + self._packer.flush(zlib.Z_SYNC_FLUSH)

    def plain(self, rest: Mapping[str, Any]) -> bytes:
        """Return the whole object."""
        return self._begin + b", " + json.dumps(rest).encode()[1:]

    def packed(self, whole: bytes) -> bytes:
        """Return the whole object, packed as gzip does; it can be asked for once."""
        return self._packed + self._packer.compress(whole[len(self._begin) :]) + self._packer.flush()
