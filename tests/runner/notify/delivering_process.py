"""A process that delivers the notices of a home to an address until it is ended."""

import sys
from pathlib import Path

import anyio
from pydantic import SecretStr

from mcp_server.storage.home import Home
from runner.notify.notices import Notices, Patience


async def main() -> None:
    folder, url = sys.argv[1:]
    patience = Patience(look_s=0.02, first_s=0.1, most_s=0.3)
    notices = Notices(Home(Path(folder)), [SecretStr(url)], patience=patience)
    sys.stdout.write("ready\n")
    sys.stdout.flush()
    await notices.deliver(anyio.Event())


if __name__ == "__main__":
    anyio.run(main)
