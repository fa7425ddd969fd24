"""Notices: notes what people are to be told, and delivers it once to each service.

Before a notice is sent, that is written down: after a kill in between it counts as perhaps delivered, and is not sent
again. The same holds for a service that took it and did not answer. Only what surely did not arrive is tried again,
with growing pauses, for a day.
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

from mcp_server.errors import TraderError, root
from mcp_server.storage.home import Home
from runner.notify.events import Event, Kind, iso_minute
from runner.notify.notice_store import Delivery, Notice, NoticeStore, file_name
from runner.notify.service import TIME_LIMIT_S, Service, services
from runner.notify.wording import worded
from runner.scheduler.troubles import Troubles

logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Patience:
    """How long it waits, in seconds: between looks, before the second try, at most, for one send, in all."""

    look_s: float = 1.0
    first_s: float = 10.0
    most_s: float = 3600.0
    send_s: float = TIME_LIMIT_S
    give_up_s: float = 86_400.0

    def after(self, attempts: int) -> timedelta:
        """Return the pause after so many tries: each three times as long as the one before."""
        return timedelta(seconds=min(self.first_s * 3 ** min(attempts - 1, 20), self.most_s))


class Notices:
    """The notices of one home, for the services of TRADER_NOTIFY. Any number of processes may deliver them."""

    def __init__(
        self,
        home: Home,
        urls: Sequence[SecretStr],
        *,
        patience: Patience | None = None,
        clock: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:
        self._store = NoticeStore(home)
        self._templates: Path = home.templates
        self._services = {service.id: service for service in services(urls)}
        self._patience = patience or Patience()
        self._clock = clock
        self._troubles, self._failing = Troubles(), Troubles()
        self._rests_until: dict[str, datetime] = {}
        self._forgot_at: datetime | None = None

    def add(self, kind: Kind, key: str, fields: Mapping[str, str]) -> bool:
        """Note an event to be delivered; return whether it is new. Cheap, and never a reason for the caller to fail.

        The same key is delivered once within 90 days. Without TRADER_NOTIFY nothing is kept.
        """
        if not self._services:
            return False
        now = self._clock()
        deliveries = {name: Delivery(due_at=now.isoformat()) for name in self._services}
        try:
            added = self._store.add(Notice(file_name(key), kind, key, dict(fields), now, deliveries))
        except Exception as error:  # what it is to tell of goes on, whatever keeps it from being told
            problem = f"A notification could not be kept: {error}"
            self._troubles.note("add", problem, now)
            logger.warning("%s", problem)
            return False
        self._troubles.note("add", None, now)
        return added

    def tell(self, event: Event) -> bool:
        """Note an event to be delivered, as `add` does."""
        return self.add(*event)

    def problems(self) -> list[str]:
        """Return, as sentences for people, what keeps notifications from arriving; no address is in them."""
        failing = [
            f"Notifications to {service.name} have failed since {iso_minute(trouble.since)}: {trouble.why}. What waits "
            "for it is tried again for a day."
            for service in self._services.values()
            if (trouble := self._failing.of(service.id)) is not None
        ]
        return [*self._troubles.reasons(), *failing]

    async def deliver(self, stop: anyio.Event) -> None:
        """Deliver what is due until `stop` is set; it raises nothing but a cancellation.

        A notification that is under way when it is cancelled counts as perhaps delivered; at `stop` it is waited for.
        """
        while self._services and not stop.is_set():
            try:
                await self._look(stop)
                self._remember("deliver", None)
            except Exception as error:  # what reports trouble must not be one: this is reported, and tried again
                cause = root(error)
                problem = f"Notifications cannot be delivered at present: {cause}"
                self._remember("deliver", problem)
                logger.warning("%s", problem, exc_info=not isinstance(cause, OSError | TraderError))
            with anyio.move_on_after(self._patience.look_s):
                await stop.wait()

    async def _look(self, stop: anyio.Event) -> None:
        """Deliver what is due now, unless another process is doing so."""
        await anyio.to_thread.run_sync(self._store.prepare)
        try:
            self._store.lock.acquire(timeout=0)
        except Timeout:
            return
        try:
            notices = await anyio.to_thread.run_sync(self._tidied)
            async with anyio.create_task_group() as group:
                for service in self._services.values():
                    group.start_soon(self._deliver_to, service, notices, stop)
            await anyio.to_thread.run_sync(self._put_away, notices)
        finally:
            self._store.lock.release()

    def _tidied(self) -> list[Notice]:
        """Return what waits, after settling what an earlier process has left."""
        now, waiting = self._clock(), list[Notice]()
        if self._forgot_at is None or now - self._forgot_at > timedelta(hours=1):
            self._store.forget(now)
            self._tell_lost(now)
            self._forgot_at = now
        for notice in self._store.waiting():
            if self._store.has_ended(notice):
                self._store.end(notice)
                continue
            interrupted = [delivery for delivery in notice.deliveries.values() if delivery.state == "sending"]
            for delivery in interrupted:
                delivery.state, delivery.why = "unknown", "the process that sent it was ended meanwhile"
            if interrupted:
                self._store.save(notice)
            waiting.append(notice)
        self._remember("broken", self._store.problem(now))
        return waiting

    async def _deliver_to(self, service: Service, notices: Sequence[Notice], stop: anyio.Event) -> None:
        """Send one service what is due, oldest first, until it fails: then it is left in peace for a while."""
        for notice in notices:
            delivery = notice.deliveries.get(service.id)
            if delivery is None or delivery.over or stop.is_set():
                continue
            now = self._clock()
            if now < max(self._rests_until.get(service.id, now), datetime.fromisoformat(delivery.due_at)):
                continue
            if not await self._sent(service, notice, delivery):
                return

    async def _sent(self, service: Service, notice: Notice, delivery: Delivery) -> bool:
        """Send one notice to one service; return whether the next may follow at once."""
        title, body, problem = await anyio.to_thread.run_sync(worded, notice.kind, notice.fields, self._templates)
        self._remember(f"template {notice.kind}", problem)
        delivery.state, delivery.attempts = "sending", delivery.attempts + 1
        await anyio.to_thread.run_sync(self._store.save, notice)
        result, why = await service.send(title, body, self._patience.send_s)
        now = self._clock()
        due = now + self._patience.after(delivery.attempts)
        delivery.why = why
        if result == "refused":
            delivery.state, delivery.due_at = "waiting", due.isoformat()
        else:
            delivery.state = {"sent": "sent", "unknown": "unknown", "invalid": "given up"}[result]  # type: ignore[assignment]
        await anyio.to_thread.run_sync(self._store.save, notice)
        if result == "sent":
            self._failing.note(service.id, None, now)
            self._rests_until.pop(service.id, None)
            return True
        logger.warning("%s did not take a notification: %s", service.name, why)
        if result == "invalid":  # the next notice fails in the same way at once, and no pause makes it better
            return True
        self._failing.note(service.id, why, now)
        self._rests_until[service.id] = due
        return False

    def _put_away(self, notices: Sequence[Notice]) -> None:
        """Put away what is over, and give up what has been tried for too long."""
        now = self._clock()
        for notice in notices:
            if (now - notice.added_at).total_seconds() > self._patience.give_up_s:
                for delivery in notice.deliveries.values():
                    if not delivery.over:
                        delivery.state, delivery.why = "given up", delivery.why or "its address is not configured here"
                self._store.save(notice)
            if all(delivery.over for delivery in notice.deliveries.values()):
                self._store.end(notice)
                if any(delivery.state != "sent" for delivery in notice.deliveries.values()):
                    self._tell_lost(now)

    def _tell_lost(self, now: datetime) -> None:
        lost = self._store.lost(now - timedelta(days=2))
        names = ", ".join(notice.key for notice in lost[-3:])
        why = next((d.why for notice in reversed(lost) for d in notice.deliveries.values() if d.state != "sent"), "")
        problem = f"Of the last two days' notifications, {len(lost)} did not arrive, or may not have ({names}): {why}."
        self._remember("lost", problem if lost else None)

    def _remember(self, about: str, problem: str | None) -> None:
        self._troubles.note(about, problem, self._clock())
