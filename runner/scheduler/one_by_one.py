"""Work on several strategies in one transaction; if that fails unexpectedly, on each by itself.

One strategy that cannot be written is no reason to leave out the others.
"""

import logging
from collections.abc import Callable, Mapping, Sequence
from typing import TypeVar

import anyio.to_thread

from mcp_server.errors import Misconfigured, Retryable

Item = TypeVar("Item")
Result = TypeVar("Result")

logger = logging.getLogger(__name__)


async def one_by_one(
    items: Mapping[str, Item], work: Callable[[Sequence[Item]], Result]
) -> tuple[list[Result], dict[str, Exception]]:
    """Return the results of `work` on items, in a thread, and what it raised on single items, by name.

    Raises:
        Retryable, Misconfigured: as `work` on all of them: then the database cannot be used, and nothing was done.
    """
    try:
        return [await anyio.to_thread.run_sync(work, [*items.values()])], {}
    except (Retryable, Misconfigured):
        raise
    except Exception:
        logger.exception("%d strategies could not be written together; each is written by itself", len(items))
    results, failed = list[Result](), dict[str, Exception]()
    for name, item in items.items():
        try:
            results.append(await anyio.to_thread.run_sync(work, [item]))
        except Exception as error:  # those before are done, whatever this one raises
            failed[name] = error
    return results, failed
