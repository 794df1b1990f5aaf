"""The process that does jobs and periodic work, until it is told to stop; several may run.

Jobs begin within a second (LISTEN/NOTIFY; looking now and then finds what was not heard), in threads. A handler decides by `Again`
when its job is tried again; whatever else it raises is tried again too, ever later. What a killed worker had begun is given to another
when its heartbeat is missed.
"""

from __future__ import annotations

import asyncio
import logging
import signal
import threading
import traceback
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from datetime import timedelta
from typing import TYPE_CHECKING, Any, Final

import procrastinate
import psycopg
from procrastinate.exceptions import ConnectorException
from procrastinate.jobs import Job, Status
from procrastinate.retry import BaseRetryStrategy
from procrastinate.worker import Worker as _Worker

from idp.jobs import Again, Handler
from idp.jobs.periodic import Every, PeriodicWork, make_partitions_ahead
from idp.kernel.refusals import Unavailable
from idp.storage.postgres import Database

if TYPE_CHECKING:
    from procrastinate import JobContext

    from idp.kernel.clock import Clock

log = logging.getLogger(__name__)

CONCURRENCY: Final = 8
PERIODIC_THREADS: Final = 2

_HEARTBEAT_EVERY: Final = 2.0
_STALLED_AFTER: Final = 10.0
_RESCUE_EVERY: Final = 2.0
_POLL_EVERY: Final = timedelta(seconds=1)
_COME_BACK_AFTER: Final = 1.0
_KEPT_HOURS: Final = 7 * 24
_LONGEST_WAIT: Final = 600
_MOST_TRIES: Final = 200
_CONNECT: Final[dict[str, Any]] = {
    "application_name": "idp worker",
    "connect_timeout": 2,
    "tcp_user_timeout": 3000,
    "keepalives_idle": 5,
    "target_session_attrs": "read-write",
}
_AWAY: Final = (ConnectorException, psycopg.Error, OSError)


class Worker:
    """Does jobs by their handlers, and periodic work."""

    def __init__(
        self,
        database_url: str,
        handlers: Mapping[str, Handler],
        periodic: Mapping[str, Every],
        clock: Clock,
        *,
        concurrency: int = CONCURRENCY,
        poll_every: timedelta = _POLL_EVERY,
    ) -> None:
        """Work on the database at `database_url`, as the role `idp_worker`. Nothing is connected yet.

        A job whose notification was lost is found by looking, `poll_every`. Time partitions are made ahead daily and at the start,
        besides `periodic`.
        """
        self._database_url = database_url
        self._app = procrastinate.App(
            connector=procrastinate.PsycopgConnector(
                conninfo=database_url, kwargs=_CONNECT, min_size=1, max_size=concurrency, timeout=3.0
            )
        )
        self._concurrency = concurrency
        self._poll_every = poll_every.total_seconds()
        self._threads = ThreadPoolExecutor(concurrency, thread_name_prefix="job")
        self._periodic_threads = ThreadPoolExecutor(PERIODIC_THREADS, thread_name_prefix="periodic")
        self._database = Database(database_url, name="idp worker", pool=1)
        self._periodic_work = PeriodicWork(self._database, clock)
        partitions = Every(timedelta(days=1), lambda: make_partitions_ahead(self._database, clock), at_start=True)
        self._periodic = {"make_partitions_ahead": partitions, **periodic}
        self._running: set[int] = set()
        self._loop: asyncio.AbstractEventLoop | None = None
        self._stopping: asyncio.Event | None = None
        self._names = frozenset(handlers)
        for name, handler in handlers.items():
            self._register(name, handler)

    def run(self) -> None:
        """Work until SIGTERM, SIGINT or `stop`; jobs under way are finished first. Outlives the database's absence."""
        logging.getLogger("procrastinate").setLevel(logging.CRITICAL)  # it logs every `Again` with its traceback
        try:
            asyncio.run(self._run())
        finally:
            self._threads.shutdown()
            self._periodic_threads.shutdown()
            self._database.close()

    def stop(self) -> None:
        """Ask `run`, from any thread, to end as on SIGTERM."""
        loop, stopping = self._loop, self._stopping
        if loop is not None and stopping is not None:
            with suppress(RuntimeError):  # it has just ended
                loop.call_soon_threadsafe(stopping.set)

    # jobs -----------------------------------------------------------------------------------------------------------------------

    def _register(self, name: str, handler: Handler) -> None:
        async def do(context: JobContext, /, **given: Any) -> None:
            job_id = context.job.id or 0
            self._running.add(job_id)
            try:
                await asyncio.get_running_loop().run_in_executor(self._threads, handler, given)
            except Exception as error:
                if not isinstance(error, Again | Unavailable):
                    log.error("job %s failed: %s at %s", name, type(error).__name__, _place(error))  # noqa: TRY400 - no values
                raise
            finally:
                self._running.discard(job_id)

        self._app.task(name=name, pass_context=True, retry=_Retries())(do)

    async def _run(self) -> None:
        self._loop, self._stopping = asyncio.get_running_loop(), asyncio.Event()
        self._loop.set_exception_handler(_log_unheard)
        if threading.current_thread() is threading.main_thread():
            for each in (signal.SIGTERM, signal.SIGINT):
                self._loop.add_signal_handler(each, self._stopping.set)
        beside = [asyncio.create_task(self._repeat(name, every)) for name, every in self._periodic.items()]
        while not self._stopping.is_set():
            try:
                await self._work()
            except _AWAY as error:
                log.warning("the job queue is away: %s", type(error.__cause__ or error).__name__)
            await self._pause(_COME_BACK_AFTER)
        for task in beside:
            task.cancel()
        await asyncio.gather(*beside, return_exceptions=True)

    async def _work(self) -> None:
        """Work until told to stop, or until the database is lost: then the next call begins anew, under a new name."""
        async with await psycopg.AsyncConnection.connect(self._database_url, **_CONNECT):
            pass  # fails at once where opening the pool would wait for half a minute
        async with self._app.open_async():
            worker = _Worker(
                self._app,
                concurrency=self._concurrency,
                fetch_job_polling_interval=self._poll_every,
                delete_jobs="successful",
                install_signal_handlers=False,
                update_heartbeat_interval=_HEARTBEAT_EVERY,
                stalled_worker_timeout=_STALLED_AFTER,
            )
            working = asyncio.create_task(worker.run())  # type: ignore[no-untyped-call]  # procrastinate has no complete types
            rescuing = asyncio.create_task(self._rescue_for_ever(worker))
            stopping = asyncio.create_task(self._stop_requested())
            try:
                await asyncio.wait({working, stopping, rescuing}, return_when=asyncio.FIRST_COMPLETED)
            finally:
                rescuing.cancel()
                stopping.cancel()
                worker.stop()  # type: ignore[no-untyped-call]  # procrastinate has no complete types
                ended = await asyncio.gather(rescuing, stopping, return_exceptions=True)
            await working
            if isinstance(ended[0], Exception):
                raise ended[0]

    async def _stop_requested(self) -> None:
        if self._stopping is not None:
            await self._stopping.wait()

    async def _pause(self, seconds: float) -> None:
        with suppress(TimeoutError):
            await asyncio.wait_for(self._stop_requested(), seconds)

    # what was begun and not ended -----------------------------------------------------------------------------------------------

    async def _rescue_for_ever(self, worker: _Worker) -> None:
        passes, suspects = 0, frozenset[int]()
        while True:
            await self._rescue_stalled()
            suspects = await self._rescue_unended(worker, suspects)
            if passes % 5 == 0:
                await self._rescue_unknown()
            if passes % 1800 == 0:
                await self._app.job_manager.delete_old_jobs(
                    _KEPT_HOURS, include_failed=True, include_cancelled=True, include_aborted=True
                )
            passes += 1
            await asyncio.sleep(_RESCUE_EVERY)

    async def _rescue_stalled(self) -> None:
        """Give jobs of workers whose heart stopped to whoever is free."""
        for job in await self._app.job_manager.get_stalled_jobs(seconds_since_heartbeat=_STALLED_AFTER):
            await self._give_again(job)

    async def _rescue_unended(self, worker: _Worker, suspects: frozenset[int]) -> frozenset[int]:
        """Give back jobs of this very worker whose end could not be written; seen twice, since one may just be beginning."""
        if worker.worker_id is None:
            return frozenset()
        doing = await self._app.job_manager.list_jobs_async(status=Status.DOING.value, worker_id=worker.worker_id)
        unended = {job.id: job for job in doing if job.id is not None and job.id not in self._running}
        for job_id in suspects & unended.keys():
            await self._give_again(unended.pop(job_id))
        return frozenset(unended)

    async def _rescue_unknown(self) -> None:
        """Do jobs whose handler an older worker did not know yet: the queue had put them down as failed."""
        for job in await self._app.job_manager.list_jobs_async(status=Status.FAILED.value):
            if job.task_name in self._names and job.attempts < _MOST_TRIES:
                await self._give_again(job)

    async def _give_again(self, job: Job) -> None:
        with suppress(ConnectorException):  # another worker was faster
            await self._app.job_manager.retry_job(job)

    # periodic work --------------------------------------------------------------------------------------------------------------

    async def _repeat(self, name: str, every: Every) -> None:
        loop, is_start = asyncio.get_running_loop(), True
        while True:
            try:
                await loop.run_in_executor(self._periodic_threads, self._do_periodic, name, every, is_start)
                is_start = False
            except Exception as error:  # noqa: BLE001 - the database is away, or the table is: the next round tries again
                log.warning("periodic work %s waits: %s", name, type(error).__name__)
            await asyncio.sleep(min(every.interval.total_seconds(), 60.0))

    def _do_periodic(self, name: str, every: Every, is_start: bool) -> None:  # noqa: FBT001 - called through the executor
        self._periodic_work.run_if_due(name, every, is_start=is_start)


class _Retries(BaseRetryStrategy):
    """What a handler asks for; else ever later, up to ten minutes, two hundred times."""

    def get_retry_decision(self, *, exception: BaseException, job: Job) -> procrastinate.RetryDecision | None:
        if isinstance(exception, Again):
            seconds = exception.after.total_seconds()
        elif isinstance(exception, asyncio.CancelledError):
            seconds = 0.0
        elif job.attempts >= _MOST_TRIES:
            return None
        else:
            seconds = float(min(2 ** min(job.attempts, 16), _LONGEST_WAIT))
        milliseconds = int(seconds * 1000)
        return procrastinate.RetryDecision(retry_in={"milliseconds": milliseconds})


def _log_unheard(_: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
    """Log by its type what nobody waits for, such as the end of a job that could not be written: messages may hold values."""
    error = context.get("exception")
    log.warning("the job queue: %s", type(error.__cause__ or error).__name__ if error is not None else context.get("message"))


def _place(error: BaseException) -> str:
    frames = traceback.extract_tb(error.__traceback__)
    return f"{frames[-1].filename.rpartition('/')[2]}:{frames[-1].lineno}" if frames else "?"


def build_worker(
    database_url: str,
    clock: Clock,
    *,
    handlers: Mapping[str, Handler],
    periodic: Mapping[str, tuple[timedelta, Callable[[], object]]],
    concurrency: int = CONCURRENCY,
    poll_every: timedelta = _POLL_EVERY,
) -> Worker:
    """Return a worker for these handlers and this periodic work (how often, what); it makes time partitions by itself."""
    works = {name: Every(interval, do) for name, (interval, do) in periodic.items()}
    return Worker(database_url, handlers, works, clock, concurrency=concurrency, poll_every=poll_every)
