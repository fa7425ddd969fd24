"""A Dask cluster as an executor of sweeps: reached, compared with this machine, and given each task's candles once.

Only what is given the address of a cluster imports this module, as `distributed` is an extra.
"""

from __future__ import annotations

import asyncio
import logging
import warnings
from collections.abc import Callable, Collection, Iterator
from concurrent.futures import Future
from contextlib import contextmanager, suppress
from time import monotonic, sleep
from typing import TYPE_CHECKING, Any
from uuid import uuid4

from mcp_server.errors import Misconfigured, Retryable, TraderError
from runner.backtest.cluster_workers import keep_freed_memory, left_over, reached_by, remove_silent, threads_of
from runner.backtest.executors import SharingExecutor
from runner.backtest.sweep import WorkersEnded
from runner.backtest.versions import difference, versions
from runner.installed import install

try:
    import dask
    from distributed import Client, KilledWorker, Security
    from distributed.client import FutureCancelledError
    from distributed.comm import connect
except ImportError:
    raise Misconfigured(
        "--workers names a cluster, and what connects to Dask is not installed.",
        f"Install it: `{install('[cluster]')}`. Or give a number: --workers 2.",
    ) from None

if TYPE_CHECKING:
    from mcp_server.domain.backtest.run import BacktestTask

CONNECT_S = WORKERS_S = 5
ANSWER_S = 60
"""What computes on a worker when it is asked for its versions has first to import Claude Trader."""
CLOSE_S = 1
NOBODY_S = 60.0
"""So long a sweep waits for workers that all went away: what starts them may start them anew."""

LOOK_S, LOOK_AGAIN_S = 0.2, 2.0
SILENT_S = 30.0
"""A worker tells the scheduler every few seconds that it is there: one that does not for so long has stopped."""

SENT_AGAIN = 3
SCHEDULER_GONE = ("scheduler-connection-lost", "scheduler-restart")
"""For these reasons Dask takes a call back when there is no use in sending it again."""

RESTART = "Restart the workers, and try again, maybe with a shorter range."

_EACH = 2
"""So many calls for each thread are on their way: one is computed, and the next is there already."""


@contextmanager
def cluster(address: str) -> Iterator[ClusterExecutor]:
    """Give an executor whose workers are those of a Dask scheduler. Whatever ends the block ends what still waits.

    Raises:
        Misconfigured: the address or its TLS is wrong, or a worker has other versions than this machine.
        Retryable: nobody answers there, no worker is there, or all still compute what an earlier sweep has left.
    """
    logging.getLogger("distributed").setLevel(logging.CRITICAL)  # it logs to the terminal what ends as an error here
    client = _connected(address)
    try:
        _check_workers(client, address)
        executor = ClusterExecutor(client, address)
        executor.wait_for_one()
        yield executor
    finally:
        with suppress(TimeoutError, OSError):
            client.close(CLOSE_S)  # the scheduler forgets what it was to compute for this client


class ClusterExecutor(SharingExecutor):
    """Dask's executor. A call on a worker with other versions is never made; what goes wrong is one of our errors."""

    def __init__(self, client: Client, address: str) -> None:
        self._client, self._address = client, address
        self._calls = dict[Future[Any], Any]()  # what the client has of each
        self._hang, self._fit, self._threads = set[str](), list[str](), 0
        self._left = left_over(client, threads_of(client))
        self._looked = self._seen = monotonic()
        self._look()

    @property
    def at_once(self) -> int:
        """How many calls may be on their way: workers that came lately count."""
        if monotonic() - self._looked > LOOK_AGAIN_S:
            self._look()
        return _EACH * max(self._threads, 1)

    def wait_for_one(self) -> None:
        """Wait for a worker that computes nothing of an earlier sweep. Raise `Retryable` where none is for a minute."""
        until = monotonic() + NOBODY_S
        while not self._fit:
            if monotonic() > until:
                problem = (
                    f"Each worker of the cluster at {self._address} still computes what an earlier sweep has left."
                )
                raise Retryable(problem, "Restart the workers, and try again.")
            sleep(LOOK_S)
            self.check()

    def share(self, task: BacktestTask) -> Any:
        """Send a task to one worker, from which the others fetch it; a worker that ends with it costs another send."""
        with dask.config.set({"distributed.admin.large-graph-warning-threshold": "1 TB"}):
            return self._client.submit(_same, task, pure=False, **self._where())

    def submit(self, fn: Callable[..., Any], /, *args: Any, **kwargs: Any) -> Future[Any]:
        """Have a worker call a function; what `share` has returned is a task there."""
        told = Future[Any]()
        if (others := self._hang | self._left) and not self._fit:
            told.set_exception(
                WorkersEnded(f"No worker is left: {', '.join(sorted(others))} did not come to an end.", RESTART)
            )
            return told

        def send() -> Any:
            key = f"_call-{uuid4().hex}"
            self._calls[told] = self._client.submit(
                _call, versions(), fn, *args, key=key, pure=False, **self._where(), **kwargs
            )
            return self._calls[told]

        self._client.loop.add_callback(self._tell, told, send(), send)
        return told

    def reached(self, calls: Collection[Future[Any]]) -> dict[Future[Any], int]:
        """Return which variant those of these calls are at that workers compute; none where one does not answer."""
        keys = {one.key: call for call in calls if (one := self._calls.get(call))}
        return {keys[key]: at for key, at in reached_by(self._client).items() if key in keys}

    def take_back(self, calls: Collection[Future[Any]]) -> bool:
        """Give up calls: workers that stopped leave the cluster, and others that hang get no call of this sweep.

        Where one has stopped, all calls are lost: others may have waited for the candles that it was to send them.
        """
        stopped = bool(self._client.run_on_scheduler(remove_silent, silent_s=SILENT_S))
        lost = [one for call in (list(self._calls) if stopped else calls) if (one := self._calls.pop(call, None))]
        if not stopped:
            late = {one.key for one in lost}
            self._hang |= {worker for worker, keys in self._client.processing().items() if late & set(keys)}
        self._client.cancel(lost)
        self._look()
        return stopped

    def check(self) -> None:
        """Raise `Retryable` where no worker has been there for a minute."""
        self._look()
        if self._looked - self._seen > NOBODY_S:
            raise Retryable(f"All workers of the cluster at {self._address} have ended.", "Start them, and try again.")

    def _where(self) -> dict[str, list[str]]:
        """Return which workers may be given something, if not all."""
        return {"workers": self._fit} if self._hang or self._left else {}

    def _look(self) -> None:
        threads = threads_of(self._client)
        self._looked = monotonic()
        self._seen = self._looked if threads else self._seen
        self._left = left_over(self._client, self._left & threads.keys())
        self._fit = [worker for worker in threads if worker not in self._hang | self._left]
        self._threads = sum(threads[worker] for worker in self._fit)

    async def _tell(self, told: Future[Any], computed: Any, send: Callable[[], Any]) -> None:
        """Tell what came of a call, in the client's thread.

        Dask's own executor looks at the state of a call once it has the result: by then the worker may have ended.
        """
        try:
            result, error = await self._result(told, computed, send), None
        except (Exception, FutureCancelledError) as raised:
            result, error = None, self._error(raised)
        if self._calls.pop(told, None) is None:
            return  # it was taken back
        if error is None:
            told.set_result(result)
        else:
            told.set_exception(error)

    async def _result(self, told: Future[Any], computed: Any, send: Callable[[], Any]) -> Any:
        """Wait for a call. One that the scheduler has forgotten, as its worker ended, is sent again."""
        for _ in range(SENT_AGAIN):
            try:
                return await computed._result()
            except FutureCancelledError as error:
                if error.reason in SCHEDULER_GONE or self._client.status != "running" or told not in self._calls:
                    raise
                computed = send()
        return await computed._result()

    def _error(self, error: BaseException) -> TraderError:
        if isinstance(error, FutureCancelledError):
            return Retryable(
                f"The connection to the cluster at {self._address} was lost.", "Try again when it is there."
            )
        if isinstance(error, KilledWorker):
            return WorkersEnded(
                f"{error.allowed_failures + 1} workers ended while they computed it, maybe because memory ran out.",
                "See what the workers log, or try again with a shorter range.",
            )
        if isinstance(error, TraderError):
            return error
        problem = f"The cluster at {self._address} failed with {type(error).__name__}: {error}."
        return Retryable(problem, "See what its scheduler and workers log, and try again.")


def _connected(address: str) -> Client:
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # that versions differ is an error of ours
            asyncio.run(asyncio.wait_for(_greet(address), CONNECT_S))
            return Client(address, timeout=CONNECT_S, set_as_default=False)
    except (OSError, MemoryError):  # what is no scheduler may seem to announce exabytes
        raise Retryable(
            f"No Dask scheduler answers at {address} within {CONNECT_S} s.",
            "Start one there with `dask scheduler`, or check address, port and firewall: its page has another port. "
            "--workers 2 computes here.",
        ) from None
    except (TypeError, ValueError, RuntimeError) as error:
        raise Misconfigured(
            f"{address} cannot be connected to: {str(error).rstrip('.')}.",
            "Write it like tcp://10.0.0.5:8786. For tls:// name your certificates to Dask: see the guide on scaling.",
        ) from None


async def _greet(address: str) -> None:
    """Connect and leave: a client waits without end for the greeting of what is no scheduler, such as its page."""
    comm = await connect(address, timeout=CONNECT_S, **Security().get_connection_args("client"))
    comm.abort()


def _check_workers(client: Client, address: str) -> None:
    """Compare each worker's versions with those of this machine: other ones may compute other figures."""
    try:
        client.wait_for_workers(1, timeout=WORKERS_S)
        asked = client.sync(client._run, versions, on_error="return", callback_timeout=ANSWER_S)
    except TimeoutError:
        if threads_of(client):
            problem, remedy = "A worker of it does not answer", "See what its workers log, and try again."
        else:
            listening = "--host ITS-ADDRESS --dashboard-address 127.0.0.1:0"
            start = f"dask worker {address} {listening} --nworkers 2 --nthreads 1"
            problem, remedy = "It has no worker", f"Start some: `{start}`."
        raise Retryable(f"There is a Dask scheduler at {address}. {problem}.", remedy) from None
    for worker, there in asked.items():
        if isinstance(there, BaseException):
            problem = f"The worker {worker} cannot load Claude Trader: {type(there).__name__}: {there}."
            raise Misconfigured(problem, "Install the same Claude Trader on it, with its extra `cluster`.")
        if wrong := difference(versions(), there):
            raise _differs(worker, wrong)


def _differs(worker: str, wrong: str) -> Misconfigured:
    return Misconfigured(
        f"The worker {worker} may compute other figures: {wrong}.", "Install the same versions on both, and try again."
    )


def _same(task: BacktestTask) -> BacktestTask:
    return task


def _call(wanted: dict[str, str], function: Callable[..., Any], *arguments: Any) -> Any:
    """Call a function on a worker, which may have come after all were compared."""
    if wrong := difference(wanted, versions()):
        from distributed import get_worker

        raise _differs(get_worker().address, wrong)
    keep_freed_memory()
    return function(*arguments)
