"""`claude-trader-mcp`: the server alone, over stdio for an MCP host that starts it, or over HTTP."""

import argparse  # typer takes too long to import: a host that starts this waits for its first answer
import atexit
import gc
import logging
import os
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from functools import partial
from typing import TYPE_CHECKING, NoReturn

from mcp_server.domain.text import cleaned
from mcp_server.domain.unbroken import WORK
from mcp_server.errors import TraderError
from mcp_server.parent import Parent

if TYPE_CHECKING:
    from mcp_server.adapters.news.reader import NewsReader
    from mcp_server.moment import Clock
    from mcp_server.settings import ServerSettings

MOST_LOGGED = 20_000


def main() -> None:
    """Read the command line and the settings, and serve until told to stop."""
    arguments = _parser().parse_args()
    try:
        _serve(arguments)
    except TraderError as error:
        sys.exit(f"claude-trader-mcp: {error}")
    except KeyboardInterrupt:
        _leave(130)
    _leave(0)


def _leave(code: int) -> NoReturn:
    """End the process at once, when everything is written and closed.

    Python would wait until modules are taken apart, and must not end while a thread imports one.
    """
    WORK.wait()  # before DuckDB's own end interrupts it, which would be logged
    atexit._run_exitfuncs()
    for stream in (sys.stdout, sys.stderr):
        with suppress(AttributeError, OSError, ValueError):  # there is none, nobody reads, or it is closed
            stream.flush()
    os._exit(code)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="claude-trader-mcp",
        description="Serve Claude Trader's tools to an MCP host, such as Claude Desktop.",
        epilog="Example: claude mcp add claude-trader -- claude-trader-mcp. "
        "Settings are environment variables such as TRADER_HOME and TRADER_EXCHANGE: docs/reference/settings.md.",
    )
    parser.add_argument("--version", action=_Version, nargs=0, help="show the version and exit")
    parser.add_argument("--http", action="store_true", help="serve streamable HTTP at /mcp instead of stdio")
    parser.add_argument(
        "--host", default="127.0.0.1", help="address to listen on (default %(default)s); others need TRADER_TOKEN"
    )
    parser.add_argument(
        "--port", type=int, default=8000, help="port to listen on, 0 for a free one (default %(default)s)"
    )
    parser.add_argument(
        "--tools",
        type=_families,
        metavar="FAMILY,…",
        help="offer only the tools of these families: market, indicators, blockchain, news, strategies, journal",
    )
    parser.add_argument("--with-parent", action="store_true", help="with --http: end when standard input closes")
    parser.add_argument(
        "--collect-news", action="store_true", help="with --http: collect news, unless TRADER_NEWS is off"
    )
    parser.add_argument("--for-a-run", action="store_true", help="with --http: offer tools alone, for one run")
    return parser


def _families(text: str) -> frozenset[str]:
    from mcp_server.domain.families import parse_families

    try:
        return parse_families(text)
    except TraderError as error:
        raise argparse.ArgumentTypeError(str(error)) from None


def _log_plainly() -> None:
    """Log to standard error without colours.

    mcp's own handler would import more when it writes a traceback. Where no file can be opened that raises, and the
    exception ends the event loop.
    """
    handler = logging.StreamHandler()
    handler.setFormatter(CleanLines("%(asctime)s %(levelname)s %(name)s: %(message)s"))
    logging.basicConfig(level=logging.WARNING, handlers=[handler])


class CleanLines(logging.Formatter):
    """Takes out what steers a terminal or hides words: errors quote exchanges, models and files."""

    def format(self, record: logging.LogRecord) -> str:
        """Return the line, and the traceback below it."""
        return cleaned(super().format(record), MOST_LOGGED, lines=True)


class _Version(argparse.Action):
    """Looks the version up only if it is asked for."""

    def __call__(self, parser: argparse.ArgumentParser, *_: object) -> None:
        from importlib.metadata import version

        sys.stdout.write(f"claude-trader-mcp {version('claude-trader')}\n")
        parser.exit()


def _serve(arguments: argparse.Namespace) -> None:
    _log_plainly()
    with _nothing_collected():
        serving = _composed(arguments)
    serving()


@contextmanager
def _nothing_collected() -> Iterator[None]:
    """Import and compose without looking for garbage: there is hardly any, and it takes a tenth of the start.

    What is there by then stays, and is never looked through.
    """
    gc.disable()
    try:
        yield
    finally:
        gc.freeze()
        gc.enable()


def _composed(arguments: argparse.Namespace) -> Callable[[], None]:
    """Return what serves, with all that it needs."""
    parent = Parent() if arguments.http and arguments.with_parent else None
    if arguments.for_a_run:
        from mcp_server.domain.rules.engine import rules_engine

        rules_engine().start()
    from mcp_server.app import build_server
    from mcp_server.once_listed import first_imports
    from mcp_server.settings import ServerSettings
    from mcp_server.storage.owner import become_owner

    settings = ServerSettings.load()
    become_owner(settings.home)
    ahead = () if arguments.with_parent else first_imports(settings.exchange)  # runs import what they need, and no more
    if not arguments.http:
        from mcp_server.over_stdio import serve as serve_stdio

        return partial(serve_stdio, build_server(settings, families=arguments.tools, once_listed=ahead), _leave)
    from mcp_server.domain.families import whole
    from mcp_server.http.health import Health
    from mcp_server.http.serve import serve
    from mcp_server.storage.database import Database
    from mcp_server.storage.home import Home, examples_folder
    from mcp_server.storage.journal_database import journal_database

    home = Home(settings.home)
    database = Database(home.database, prepare=home.prepare)
    journal_in = journal_database(database, settings.database_url)
    now = journal_in.now
    collecting = None
    if arguments.collect_news and settings.news == "on" and settings.as_of is None:
        from mcp_server.news.collecting import Collecting

        collecting = Collecting(home, journal_in, now, partial(_news_reader, settings, now))
    health = Health(home, examples_folder(), journal_in, now, collecting.check if collecting else None)
    server = build_server(
        settings,
        database=database,
        journal_in=journal_in,
        families=arguments.tools,
        once_listed=ahead,
        for_a_run=arguments.for_a_run,
    )
    page = not arguments.for_a_run and (arguments.tools is None or whole(arguments.tools))
    where, once_up = (arguments.host, arguments.port), collecting.begin if collecting else None
    return partial(serve, server, health, settings, *where, parent=parent, page=page, once_up=once_up)


def _news_reader(settings: "ServerSettings", now: "Clock") -> "NewsReader":
    from mcp_server.adapters.news.reader import NewsReader

    return NewsReader(now, contact=settings.news_contact)


if __name__ == "__main__":
    main()
