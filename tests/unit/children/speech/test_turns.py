"""Whose turn it is: the order in which calls that wait may speak."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from queue import Queue

import pytest

from minitoolai.children.speech.turns import MAX_WAIT_S, Turn, Turns
from tests.support.child_process import PATIENCE_S


class Watched(threading.Event):
    """Tells when somebody begins to wait for it."""

    def __init__(self, waits: Queue[None]) -> None:
        super().__init__()
        self._waits = waits

    def wait(self, timeout: float | None = None) -> bool:
        """Tell, then wait."""
        self._waits.put(None)
        return super().wait(PATIENCE_S if timeout is None else timeout)


class Stage:
    """Calls that want their turn, each in a thread of its own."""

    def __init__(self, parallel: int) -> None:
        self.now = 0.0
        self.turns = Turns(parallel, lambda: self.now)
        #: The names of the calls in the order in which they spoke.
        self.spoke: Queue[str] = Queue()
        self._go: dict[str, Queue[None]] = {}
        self._waits: Queue[None] = Queue()
        self._threads: list[threading.Thread] = []

    def wants(self, name: str, *, urgent: bool = True, had: int = 0) -> None:
        """Have a call wait for its turn, or speak where there is room; it speaks until it is told to `end`."""
        self._go[name] = Queue()
        turn = Turn(urgent, had, may=Watched(self._waits))

        def speak() -> None:
            with self.turns.taken(turn):
                self.spoke.put(name)
                self._go[name].get(timeout=PATIENCE_S)
            assert turn.had == had + 1

        self._threads.append(threading.Thread(target=speak, daemon=True))
        self._threads[-1].start()
        self._waits.get(timeout=PATIENCE_S)

    def next(self) -> str:
        """Return who speaks next, once he does."""
        return self.spoke.get(timeout=PATIENCE_S)

    def end(self, name: str) -> None:
        """End somebody's turn."""
        self._go[name].put(None)

    def close(self) -> None:
        """End everybody's turn, and wait until they have gone."""
        for name in self._go:
            self.end(name)
        for thread in self._threads:
            thread.join(PATIENCE_S)

    def order(self, first: str, count: int) -> list[str]:
        """Return who speaks in which order after `first`, each until the next does."""
        names = [first]
        for _ in range(count):
            self.end(names[-1])
            names.append(self.next())
        return names[1:]


@contextmanager
def opened(parallel: int) -> Iterator[Stage]:
    """A stage, empty afterwards."""
    made = Stage(parallel)
    try:
        yield made
    finally:
        made.close()


@pytest.fixture
def stage() -> Iterator[Stage]:
    """A stage for one, who speaks already."""
    with opened(1) as made:
        made.wants("first")
        assert made.next() == "first"
        yield made


def test_who_had_least_is_next(stage: Stage) -> None:
    """A new call goes before the next piece of a long one; equals go as they came."""
    stage.wants("long", had=7)
    stage.wants("shorter", had=2)
    stage.wants("new")
    stage.wants("newer")
    stage.wants("as short", had=2)
    assert stage.order("first", 5) == ["new", "newer", "shorter", "as short", "long"]


def test_who_is_not_waited_for_makes_way(stage: Stage) -> None:
    """A job's first piece comes after the last of those whose callers listen."""
    stage.wants("job", urgent=False)
    stage.wants("caller", had=50)
    stage.wants("other job", urgent=False)
    assert stage.order("first", 3) == ["caller", "job", "other job"]


def test_nobody_waits_for_ever(stage: Stage) -> None:
    """Whoever waited too long comes before all others, the first of them first."""
    stage.wants("job", urgent=False, had=9)
    stage.now = 1.0
    stage.wants("caller", had=9)
    stage.now = MAX_WAIT_S + 0.5
    stage.wants("new")
    assert stage.order("first", 1) == ["job"]
    stage.now = MAX_WAIT_S + 1.5
    stage.wants("newer")
    assert stage.order("job", 3) == ["caller", "new", "newer"]


def test_so_many_speak_at_once() -> None:
    """With room for two the third waits for either."""
    with opened(2) as stage:
        for name in ("a", "b", "c"):
            stage.wants(name)
        assert {stage.next(), stage.next()} == {"a", "b"}
        assert stage.spoke.empty()
        stage.end("b")
        assert stage.next() == "c"


def test_a_turn_that_fails_is_given_back() -> None:
    """The next call speaks."""
    turns = Turns(1)
    with pytest.raises(ZeroDivisionError), turns.taken(Turn(urgent=True)):
        raise ZeroDivisionError
    with turns.taken(turn := Turn(urgent=True)):
        assert turn.had == 0
    assert turn.had == 1
