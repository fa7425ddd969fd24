"""Files that are made whole and never replace another: what is there once is complete, and stays as it is."""

import os
from pathlib import Path
from uuid import uuid4


def put_new(target: Path, content: bytes) -> bool:
    """Make a file that did not exist; False, and nothing changed, where there is one of that name, or a link.

    Raises:
        OSError: it cannot be written.
    """
    fresh = target.with_name(f".{uuid4().hex}.new")
    try:
        with fresh.open("xb") as stream:
            stream.write(content)
            stream.flush()
            os.fsync(stream.fileno())
        return _linked(fresh, target, content)
    finally:
        fresh.unlink(missing_ok=True)


def _linked(fresh: Path, target: Path, content: bytes) -> bool:
    try:
        os.link(fresh, target)  # unlike a rename this fails where another was first
    except FileExistsError:
        return False
    except OSError:  # a file system without hard links: made at once and alone there, but a kill may leave it cut
        try:
            with target.open("xb") as stream:
                stream.write(content)
        except FileExistsError:
            return False
    return True
