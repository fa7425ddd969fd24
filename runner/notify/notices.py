"""Notices: adds what is to be told, and delivers it: never twice, again and again while it cannot be delivered.

Each notice goes to each service at most once. Before it is sent that is written down, so that after a kill in between
it counts as perhaps delivered, and is not sent again. The same holds for a service that took it and did not answer.
Only what surely did not arrive is tried again, with growing pauses, for a day.
"""

import logging
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

import anyio
import anyio.to_thread
from filelock import Timeout
from pydantic import SecretStr

from mcp_server.domain.timeframes import iso, to_ms
from mcp_server.errors import TraderError
from mcp_server.storage.home import Home
from runner.notify.events import Event, Kind
from runner.notify.notice_store import Delivery, Notice, NoticeStore, file_name
from runner.notify.service import TIME_LIMIT_S, Service, services
from runner.notify.wording import worded

logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Patience:
    """How long is waited, in seconds: between looks, before the second try and the later ones, for one send, in all."""

    look_s: float = 1.0
    first_s: float = 10.0
    most_s: float = 3600.0
    send_s: float = TIME_LIMIT_S
    give_up_s: float = 86_400.0

    def after(self, attempts: int) -> timedelta:
        """Give the pause after so many tries: each three times as long as the one before."""
        return timedelta(seconds=min(self.first_s * 3 ** min(attempts - 1, 20), self.most_s))


class Notices:
    """What is to be told, in one home, to the services of TRADER_NOTIFY. Any number of processes may deliver it."""

    def __init__(
        self,
        home: Home,
        urls: Sequence[SecretStr],
        *,
        patience: Patience | None = None,
        clock: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:
        self._box = NoticeStore(home.notices)
        self._templates: Path = home.templates
        self._services = {service.id: service for service in services(urls)}
        self._patience = patience or Patience()
        self._clock = clock
        self._resting: dict[str, tuple[datetime, datetime, str]] = {}
        self._problems: dict[str, str] = {}
        self._forgot_at: datetime | None = None

    def add(self, kind: Kind, key: str, fields: Mapping[str, str]) -> bool:
        """Note an event to be told; True where it is new. Cheap, and never a reason for the caller to fail.

        The same key is told once within 90 days. Without TRADER_NOTIFY nothing is kept.
        """
        if not self._services:
            return False
        now = self._clock()
        deliveries = {name: Delivery(due_at=now.isoformat()) for name in self._services}
        try:
            added = self._box.add(Notice(file_name(key), kind, key, dict(fields), now, deliveries))
        except TraderError as error:
            self._problems["add"] = f"A notification could not be kept: {error}"
            logger.warning("%s", self._problems["add"])
            return False
        self._problems.pop("add", None)
        return added

    def tell(self, event: Event) -> bool:
        """Note an event to be told, as `add` does."""
        return self.add(*event)

    def problems(self) -> list[str]:
        """Give, as sentences for people, what keeps notifications from arriving; no address is in them."""
        failing = [
            f"Notifications to {self._services[name].name} have failed since {_minute(since)}: {why}. What waits "
            "for it is tried again for a day."
            for name, (since, _, why) in self._resting.items()
        ]
        return [*self._problems.values(), *failing]

    async def deliver(self, stop: anyio.Event) -> None:
        """Deliver what is due until `stop` is set; it raises nothing but a cancellation.

        A notification that is under way when it is cancelled counts as perhaps delivered; at `stop` it is waited for.
        """
        while self._services and not stop.is_set():
            try:
                await self._look(stop)
                self._remember("deliver", None)
            except Exception as error:  # what tells of trouble must not be one: it is told, and tried again
                cause = _root(error)
                self._remember("deliver", f"Notifications cannot be delivered at present: {cause}")
                logger.warning("%s", self._problems["deliver"], exc_info=not isinstance(cause, OSError | TraderError))
            with anyio.move_on_after(self._patience.look_s):
                await stop.wait()

    async def _look(self, stop: anyio.Event) -> None:
        """Deliver what is due now, unless another process is doing so."""
        await anyio.to_thread.run_sync(self._box.prepare)
        try:
            self._box.lock.acquire(timeout=0)
        except Timeout:
            return
        try:
            notices = await anyio.to_thread.run_sync(self._tidied)
            async with anyio.create_task_group() as group:
                for service in self._services.values():
                    group.start_soon(self._deliver_to, service, notices, stop)
            await anyio.to_thread.run_sync(self._put_away, notices)
        finally:
            self._box.lock.release()

    def _tidied(self) -> list[Notice]:
        """Give what waits, after settling what an earlier process has left."""
        now, waiting = self._clock(), []
        if self._forgot_at is None or now - self._forgot_at > timedelta(hours=1):
            self._box.forget(now)
            self._tell_lost(now)
            self._forgot_at = now
        for notice in self._box.waiting():
            if self._box.has_ended(notice):
                self._box.end(notice)
                continue
            left = [delivery for delivery in notice.deliveries.values() if delivery.state == "sending"]
            for delivery in left:
                delivery.state, delivery.why = "unknown", "the process that sent it was ended meanwhile"
            if left:
                self._box.save(notice)
            waiting.append(notice)
        return waiting

    async def _deliver_to(self, service: Service, notices: Sequence[Notice], stop: anyio.Event) -> None:
        """Send one service what is due, oldest first, until it fails: then it is left in peace for a while."""
        for notice in notices:
            delivery = notice.deliveries.get(service.id)
            if delivery is None or delivery.over or stop.is_set():
                continue
            now = self._clock()
            _, until, _ = self._resting.get(service.id, (now, now, ""))
            if now < max(until, datetime.fromisoformat(delivery.due_at)):
                continue
            if not await self._sent(service, notice, delivery):
                return

    async def _sent(self, service: Service, notice: Notice, delivery: Delivery) -> bool:
        """Send one notice to one service; give whether the next may follow at once."""
        title, body, problem = await anyio.to_thread.run_sync(worded, notice.kind, notice.fields, self._templates)
        self._remember(f"template {notice.kind}", problem)
        delivery.state, delivery.attempts = "sending", delivery.attempts + 1
        await anyio.to_thread.run_sync(self._box.save, notice)
        result, why = await service.send(title, body, self._patience.send_s)
        now = self._clock()
        delivery.why = why
        if result == "refused":
            delivery.state, delivery.due_at = "waiting", (now + self._patience.after(delivery.attempts)).isoformat()
        else:
            delivery.state = {"sent": "sent", "unknown": "unknown", "invalid": "given up"}[result]  # type: ignore[assignment]
        await anyio.to_thread.run_sync(self._box.save, notice)
        if result == "sent":
            self._resting.pop(service.id, None)
            return True
        logger.warning("%s did not take a notification: %s", service.name, why)
        if result == "invalid":  # the next notice is told the same at once, and no pause makes it better
            return True
        since, *_ = self._resting.get(service.id, (now,))
        self._resting[service.id] = (since, now + self._patience.after(delivery.attempts), why)
        return False

    def _put_away(self, notices: Sequence[Notice]) -> None:
        """Put away what is over, and give up what has been tried for too long."""
        now = self._clock()
        for notice in notices:
            if (now - notice.added_at).total_seconds() > self._patience.give_up_s:
                for delivery in notice.deliveries.values():
                    if not delivery.over:
                        delivery.state, delivery.why = "given up", delivery.why or "its address is not configured here"
                self._box.save(notice)
            if all(delivery.over for delivery in notice.deliveries.values()):
                self._box.end(notice)
                if any(delivery.state != "sent" for delivery in notice.deliveries.values()):
                    self._tell_lost(now)

    def _tell_lost(self, now: datetime) -> None:
        lost = self._box.lost(now - timedelta(days=2))
        named = ", ".join(notice.key for notice in lost[-3:])
        why = next((d.why for notice in reversed(lost) for d in notice.deliveries.values() if d.state != "sent"), "")
        text = f"Of the last two days' notifications {len(lost)} did not arrive, or may not have ({named}): {why}."
        self._remember("lost", text if lost else None)

    def _remember(self, about: str, problem: str | None) -> None:
        if problem is None:
            self._problems.pop(about, None)
        else:
            self._problems[about] = problem


def _root(error: BaseException) -> BaseException:
    """Find the error itself inside of the groups that task groups wrap around it."""
    while isinstance(error, BaseExceptionGroup):
        error = error.exceptions[0]
    return error


def _minute(moment: datetime) -> str:
    return iso(to_ms(moment) // 60_000 * 60_000)
