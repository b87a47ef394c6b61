"""Keeps the children running: starts them in order, restarts those that die, stops them in reverse order.

Signals are handled here and nowhere else: the first SIGTERM, SIGINT or SIGHUP stops everything in order, a second one
at once. What a child is and how it is spawned is in `processes`.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import signal
import time
from collections.abc import Callable, Sequence
from itertools import groupby
from types import TracebackType
from typing import Any

from minitoolai.runtime.child import Child, ChildFailed, Stopping, in_words
from minitoolai.runtime.processes import ChildSpec, Process

#: The pause before the first restart, in seconds; it doubles with every further one …
RESTART_FIRST_S = 0.5
#: … up to this, so that a child that cannot start costs two short starts a minute.
RESTART_LONGEST_S = 30.0
#: A child that lived so long, in seconds, was well: its next pause is the first again.
RESTART_RESET_S = 60.0
#: The signals that stop us.
STOP_SIGNALS = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP)

LOG = logging.getLogger("minitoolai.supervisor")


class Supervisor:
    """Runs children until it is told to stop. As a context manager it handles the signals and stops at the end."""

    def __init__(self) -> None:
        #: Called when stopping begins, before any child is told.
        self.before_stop: Callable[[], None] = lambda: None
        self._children: list[Child] = []
        self._asked_to_stop = asyncio.Event()
        self._at_once = asyncio.Event()
        self._stopped: asyncio.Task[None] | None = None
        self._handling = False

    async def __aenter__(self) -> Supervisor:
        self.handle_signals()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.stop()
        self.leave_signals()

    async def start(self, spec: ChildSpec) -> Child:
        """Start a child and keep it running.

        Essential: returns once it is ready; raises `ChildFailed` (or the spec's own error) if it ends before, and
        `Stopping` if we are stopped meanwhile. Optional: returns at once, and tries again as long as it takes.
        """
        if self._asked_to_stop.is_set():
            raise Stopping(f"{spec.name} was not started: stopping")
        if any(child.name == spec.name for child in self._children):
            raise ValueError(f"a child named {spec.name} is there already")
        child = Child(spec)
        child.first_ready.add_done_callback(_look_at)
        self._children.append(child)
        child.keeper = asyncio.create_task(self._keep(child), name=f"keep-{spec.name}")
        if spec.essential:
            try:
                await child.wait_ready()
            except Exception:
                await self.stop_child(child)
                raise
        return child

    async def stop_child(self, child: Child) -> None:
        """Stop one child and forget it."""
        await self._end(child)
        if child in self._children:
            self._children.remove(child)

    async def run_until_stopped(self) -> None:
        """Wait for a stop signal (or `stop`), then stop the children. A second signal stops them at once."""
        self.handle_signals()
        try:
            await self._asked_to_stop.wait()
            await self.stop()
        finally:
            self.leave_signals()

    async def stop(self) -> None:
        """Stop all children, the last started first, those marked `together` at the same time."""
        self._asked_to_stop.set()
        if self._stopped is None:
            self._stopped = asyncio.create_task(self._stop_all(), name="stop-children")
        await asyncio.shield(self._stopped)

    def stop_at_once(self) -> None:
        """End all children without waiting for what they do."""
        self._asked_to_stop.set()
        self._at_once.set()
        for child in self._children:
            if child.process is not None:
                child.process.signal(child.spec.quit_signal)

    def state(self) -> dict[str, Any]:
        """What `/readyz` shows: `{"stopping": bool, "children": {name: {"state", "pid", "restarts"}}}`."""
        return {
            "stopping": self._asked_to_stop.is_set(),
            "children": {
                child.name: {"state": child.state, "pid": child.pid, "restarts": child.restarts} for child in self._children
            },
        }

    def handle_signals(self) -> None:
        """From here on the stop signals are ours; only from the main thread."""
        if not self._handling:
            loop = asyncio.get_running_loop()
            for number in STOP_SIGNALS:
                loop.add_signal_handler(number, self._on_signal, number)
            self._handling = True

    def leave_signals(self) -> None:
        """Give the stop signals back."""
        if self._handling:
            loop = asyncio.get_running_loop()
            for number in STOP_SIGNALS:
                loop.remove_signal_handler(number)
            self._handling = False

    def _on_signal(self, number: int) -> None:
        name = signal.Signals(number).name
        if self._asked_to_stop.is_set():
            LOG.warning("%s again: ending everything at once", name)
            self.stop_at_once()
            return
        LOG.info("%s: stopping", name)
        self._asked_to_stop.set()
        for child in self._children:
            if not child.first_ready.done():  # `start` waits for it, and nobody else would
                child.first_ready.set_exception(Stopping(f"{child.name} was not ready yet: stopping"))

    async def _stop_all(self) -> None:
        self.before_stop()
        numbered = list(enumerate(reversed(self._children)))
        for _, batch in groupby(numbered, key=lambda pair: pair[1].spec.together or pair[0]):
            await asyncio.gather(*(self._end(child) for _, child in batch))

    async def _end(self, child: Child) -> None:
        """Stop one child: its stop signal, then its quit signal, then SIGKILL."""
        child.stop_asked.set()
        spec, keeper = child.spec, child.keeper
        if keeper is None:
            return
        if not keeper.done():
            child.state = "stopping"
        if not self._at_once.is_set():
            await self._signal_and_wait(child, spec.stop_signal, spec.stop_timeout_s, self._at_once)
            if not keeper.done() and not self._at_once.is_set():
                LOG.warning("%s did not stop within %g s: ending it", child.name, spec.stop_timeout_s)
        if spec.quit_signal != signal.SIGKILL:
            await self._signal_and_wait(child, spec.quit_signal, spec.quit_timeout_s)
        await self._signal_and_wait(child, signal.SIGKILL, None)

    async def _signal_and_wait(
        self, child: Child, number: int, timeout_s: float | None, sooner: asyncio.Event | None = None
    ) -> None:
        """Signal the child and wait for its end, for the time-out or for `sooner`."""
        if child.keeper is None or child.keeper.done():
            return
        if child.process is not None:
            child.process.signal(number)
        waits: set[asyncio.Future[Any]] = {child.keeper}
        early = asyncio.create_task(sooner.wait()) if sooner is not None else None
        if early is not None:
            waits.add(early)
        await asyncio.wait(waits, timeout=timeout_s, return_when=asyncio.FIRST_COMPLETED)
        if early is not None:
            early.cancel()

    async def _keep(self, child: Child) -> None:
        """One life after another, until it is stopped or failed for good."""
        pause_s = RESTART_FIRST_S
        try:
            while not child.stop_asked.is_set():
                child.state = "starting"
                began = time.monotonic()
                status, error = await self._live(child)
                if child.stop_asked.is_set():
                    break
                if child.spec.essential and not child.first_ready.done():
                    child.state = "failed"
                    child.first_ready.set_exception(error or self._explain(child, status))
                    return
                if time.monotonic() - began >= RESTART_RESET_S:
                    pause_s = RESTART_FIRST_S
                child.state = "waiting"
                said = f" ({error})" if error is not None else ""
                LOG.error("%s %s%s; starting it again in %g s", child.name, status, said, pause_s)
                with contextlib.suppress(TimeoutError):
                    await asyncio.wait_for(child.stop_asked.wait(), pause_s)
                pause_s = min(pause_s * 2, RESTART_LONGEST_S)
                child.restarts += 1
            child.state = "stopped"
        finally:
            if child.process is not None:  # our task was cancelled: the loop is going down
                child.process.signal(signal.SIGKILL)
            if not child.first_ready.done():
                child.first_ready.set_exception(Stopping(f"{child.name} was stopped before it was ready"))

    async def _live(self, child: Child) -> tuple[str, Exception | None]:
        """One life, from the preparations to the end: how it ended in words, and the error if it was ours."""
        spec = child.spec
        try:
            extra = await asyncio.to_thread(spec.before_start) if spec.before_start is not None else None
        except Exception as unprepared:  # noqa: BLE001 - a child's preparations may fail in any way; the keeper lives on
            return "could not be prepared", unprepared
        try:
            if child.stop_asked.is_set():
                return "was not started", None
            process = await Process.start(spec, child.heard, extra or ())
        except OSError as unstarted:
            return "could not be started", unstarted
        finally:
            _close_all(extra or ())
        child.process = process
        error: Exception | None = None
        try:
            if child.stop_asked.is_set():
                process.signal(spec.stop_signal)
            error = await self._become_ready(child, process)
            status = await process.wait()
        finally:
            if process.status is None:
                process.signal(signal.SIGKILL)
            child.process = None
        return in_words(status), error

    async def _become_ready(self, child: Child, process: Process) -> Exception | None:
        """Wait until the process serves or has ended; an error of its `ready` ends it and is returned."""
        spec = child.spec
        ending = asyncio.create_task(process.wait())
        if spec.ready is not None:
            serving = asyncio.ensure_future(spec.ready(lambda: process.status is None))
        else:
            serving = asyncio.ensure_future(asyncio.sleep(0))
        try:
            await asyncio.wait({ending, serving}, return_when=asyncio.FIRST_COMPLETED)
            if process.status is not None:
                return None
            error = serving.exception()
            if isinstance(error, Exception):
                process.signal(spec.quit_signal)
                return error
        finally:
            for task in (ending, serving):
                if not task.done():
                    task.cancel()
            await asyncio.gather(ending, serving, return_exceptions=True)
        if not child.stop_asked.is_set():
            child.state = "ready"
        LOG.info("%s is ready (process %d)", child.name, process.pid)
        if not child.first_ready.done():
            child.first_ready.set_result(None)
        return None

    def _explain(self, child: Child, status: str) -> Exception:
        if child.spec.explain is not None:
            return child.spec.explain(status, tuple(child.last_lines))
        return ChildFailed(child.name, status, child.last_lines)


def _close_all(descriptors: Sequence[int]) -> None:
    for descriptor in descriptors:
        os.close(descriptor)


def _look_at(future: asyncio.Future[None]) -> None:
    """Mark a failure as seen: an optional child's has no reader."""
    if not future.cancelled():
        future.exception()
