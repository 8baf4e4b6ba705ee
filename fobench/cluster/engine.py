"""dask.distributed as fobench uses it: a scheduler of the user's or one of a cluster file's, quiet workers, futures, events."""

from __future__ import annotations

import logging
import math
import queue
import time
from collections.abc import Callable, Iterator
from concurrent.futures import CancelledError
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import dask
from distributed import Client, Future
from distributed.comm.core import CommClosedError

from fobench.cluster import host
from fobench.cluster.clusters import started
from fobench.cluster.delivery import Parcel
from fobench.cluster.host import Question, code_checksum
from fobench.cluster.quiet import CONFIGURATION, Quiet, QuietNanny, kill_cells
from fobench.cluster.security import Certificate, security_for
from fobench.cluster.survey import Seen
from fobench.contracts import FobenchError
from fobench.harness.job import Job
from fobench.harness.overhead import Pair

METER = "meter"
"""The engine's resource that a machine has one of, and that a measured cell takes."""

CONNECT_S = 20.0
RETIRE_S = 5.0
LOOK_S = 2.0
"""How often the scheduler is looked after, while nothing else is heard; workers are not asked."""


class EngineError(FobenchError):
    """Something that the engine could not do; of its kinds some end a run, some cost a cell."""


class LostError(EngineError):
    """The workers that had something to deliver are gone."""


class GoneError(EngineError):
    """The scheduler is gone."""

    def __init__(self) -> None:
        super().__init__(
            "the scheduler is gone; finished cells are kept: start it and its workers again, the next run resumes"
        )


@dataclass(frozen=True)
class Event:
    """Something that the engine reports: a `future` that ended, a `worker` (address) that came or went, or the engine's end."""

    future: Future[Any] | None = None
    worker: str = ""
    gone: bool = False


@dataclass
class Engine:
    """A connection to a scheduler; `events` arrive in the order in which the engine noticed them."""

    client: Client
    scheduler: str = ""
    events: queue.SimpleQueue[Event] = field(default_factory=queue.SimpleQueue)

    def open(self) -> None:
        """Silence all workers, present and future ones, and begin to listen; raises EngineError where fobench is missing."""
        try:
            self.client.register_plugin(Quiet())
            self.client.register_plugin(QuietNanny())
            self.client.run_on_scheduler(code_checksum)
        except CommClosedError:
            raise
        except Exception as error:  # what a process raises that cannot read what it is sent
            text = str(error).strip().rpartition("\n")[2]
            raise EngineError(
                f"the scheduler or a worker does not know fobench ({text}); install fobench[cluster] for each of them"
            ) from error
        self.scheduler = self._scheduler_id()
        self.client.subscribe_topic("all", self._heard)

    def _scheduler_id(self) -> str:
        return str(self.client.scheduler_info(n_workers=0)["id"])

    def _is_gone(self) -> bool:
        """Say whether the scheduler is out of reach, or another one in its place, which knows nothing of this run."""
        try:
            return self.client.status != "running" or self._scheduler_id() != self.scheduler
        except Exception:  # whatever the connection breaks with
            return True

    def _heard(self, event: tuple[float, Any]) -> None:
        _, said = event
        action = said.get("action") if isinstance(said, dict) else None
        if action in ("add-worker", "remove-worker"):
            self.events.put(Event(worker=said["worker"], gone=action == "remove-worker"))

    def workers(self) -> dict[str, float]:
        """Return how many meters each worker has, by its address."""
        known = self.client.scheduler_info(n_workers=-1)["workers"]
        return {address: facts["resources"].get(METER, 0.0) for address, facts in known.items()}

    def wait_for_workers(self, count: int, patience_s: float = CONNECT_S) -> None:
        """Wait until so many workers have come, or some and the others are late; raises EngineError if none does in time."""
        end = time.monotonic() + patience_s
        while not self.workers() and time.monotonic() < end:
            time.sleep(0.1)
        late = time.monotonic() + CONNECT_S
        while len(self.workers()) < count and time.monotonic() < late:
            time.sleep(0.1)
        if not self.workers():
            raise EngineError(
                "the scheduler has no workers; start one on every machine: "
                f"dask worker ADDRESS-OF-SCHEDULER --resources {METER}=1 --name NAME"
            )

    def ask(self, question: Question, addresses: list[str]) -> list[Seen]:
        """Let workers look at their machines, all at once, and return the answers of those that do not get lost."""
        sent = time.time()
        futures = {address: self._on(address, host.look, question) for address in addresses}
        answers = []
        for address, future in futures.items():
            with suppress(LostError):
                look = self.result(future, [address])
                answers.append(Seen(address, look, _ahead(look.clock_s, sent, time.time())))
        return answers

    def _on(self, address: str, function: Callable[..., Any], *arguments: Any, **resources: float) -> Future[Any]:
        return self.client.submit(
            function, *arguments, workers=[address], pure=False, resources=resources or None, retries=0
        )

    def measure(self, job: Job, address: str) -> Future[Any]:
        """Send a cell to a machine, whose meter it takes; an event follows."""
        return self._watched(self._on(address, host.work, job, **{METER: 1}))

    def pair(self, job: Job, address: str, swapped: bool) -> Pair:
        """Measure a cell on a machine with the engine and without it, and wait for both."""
        found: Pair = self.result(self._on(address, host.pair, job, swapped, **{METER: 1}), [address])
        return found

    def trace(self, job: Job, addresses: list[str]) -> Future[Any]:
        """Send a trace to whichever of some machines is free; an event follows."""
        return self._watched(self.client.submit(host.work, job, workers=addresses, pure=False))

    def _watched(self, future: Future[Any]) -> Future[Any]:
        future.add_done_callback(lambda done: self.events.put(Event(future=done)))
        return future

    def next_event(self, patience_s: float | None = None) -> Event | None:
        """Wait for the next event, or at most so long; raises EngineError once the scheduler is gone."""
        end = math.inf if patience_s is None else time.monotonic() + patience_s
        while time.monotonic() < end:
            try:
                return self.events.get(timeout=LOOK_S)
            except queue.Empty:
                if self._is_gone():
                    raise GoneError() from None
        return None

    def drop(self, future: Future[Any]) -> None:
        """Give a future up."""
        future.cancel(force=True)

    def stop(self, addresses: list[str]) -> None:
        """Kill the cells that run on some workers, as far as these can still be reached."""
        with suppress(Exception):
            self.client.run(kill_cells, workers=addresses, on_error="ignore")

    def result(self, future: Future[Any], addresses: list[str]) -> Any:
        """Wait for what a future of some workers comes to; raises LostError without them, EngineError, or the task's error."""
        try:
            while True:
                with suppress(TimeoutError):
                    return future.result(timeout=2.0)
                if not self.workers().keys() & set(addresses):
                    self.drop(future)
                    raise LostError(f"the workers {', '.join(addresses)} are gone")
        except FobenchError:
            raise
        except CancelledError as error:
            raise GoneError() from error
        except Exception as error:
            if self._is_gone():
                raise GoneError() from error
            text = str(error).strip().partition("\n")[0]
            raise EngineError(f"the engine gave up: {type(error).__name__}: {text}") from error

    def parcel(self, future: Future[Any], addresses: list[str]) -> Parcel:
        """Return what a part of a cell left that some workers have done; raises as `result`."""
        parcel: Parcel = self.result(future, addresses)
        future.release()
        return parcel


@contextmanager
def connect(target: str, chosen: Certificate, say: Callable[[str], None]) -> Iterator[Engine]:
    """Connect to a scheduler by address, or start what a cluster file says, and end what was started."""
    _hush()
    with ExitStack() as stack:
        stack.enter_context(dask.config.set(CONFIGURATION))
        if "://" in target:
            client = _client(target, chosen)
            stack.callback(client.close)
            expected, patience_s = 1, CONNECT_S
        else:
            cluster, expected = stack.enter_context(started(Path(target), chosen))
            patience_s = math.inf
            say(f"waiting for {expected} workers of {target}")
            client = Client(cluster, timeout=CONNECT_S, security=cluster.security)
            stack.callback(client.close)
            stack.callback(_retire, client)
        try:
            engine = Engine(client)
            engine.open()
            engine.wait_for_workers(expected, patience_s)
            yield engine
        except CommClosedError as error:
            raise GoneError() from error


def _client(address: str, chosen: Certificate) -> Client:
    security = security_for(address, chosen)
    try:
        return Client(address, security=security, timeout=CONNECT_S, set_as_default=False)
    except (OSError, TimeoutError, ValueError) as error:
        raise EngineError(
            f"no scheduler answers at {address} ({str(error).splitlines()[0] if str(error) else type(error).__name__}); "
            "is it running there, and does it speak TLS if the address says tls://?"
        ) from error


def _hush() -> None:
    """Keep the engine's tracebacks off the terminal: what matters is said by an EngineError."""
    for name in [*logging.root.manager.loggerDict, "distributed", "tornado", "asyncio"]:
        if name.partition(".")[0] in ("distributed", "tornado", "asyncio"):
            logging.getLogger(name).setLevel(logging.CRITICAL + 1)


def _retire(client: Client) -> None:
    """Let workers end by themselves: one that is told to close and killed at once may hang until its job is killed too."""
    with suppress(Exception):
        client.retire_workers()
        end = time.monotonic() + RETIRE_S
        while client.scheduler_info(n_workers=-1)["workers"] and time.monotonic() < end:
            time.sleep(0.1)


def _ahead(clock_s: float, sent: float, received: float) -> float:
    """Return by how much a clock that was read between two moments is certainly ahead (negative: behind) of ours."""
    return max(clock_s - received, 0.0) + min(clock_s - sent, 0.0)
