"""A breaker goes from state to state as its table says, whatever order calls and their outcomes come in."""

from __future__ import annotations

from dataclasses import dataclass

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from minitoolai.services.breaker import FIRST_PAUSE_S, LONGEST_PAUSE_S, PROBE_WAIT_S, Breaker, State

MOST = 3


class Watched:
    """A breaker with a clock, and the ticket of the last call."""

    def __init__(self, failures: int = MOST) -> None:
        self.breaker = Breaker(failures)
        self.now = 1000.0
        self.ticket = 0

    def do(self, *steps: str) -> Watched:
        """Take steps: calls come in, go out somehow, time passes."""
        for step in steps:
            self._step(step)
        return self

    def _step(self, step: str) -> None:
        if step == "enter":
            ticket = self.breaker.enter(self.now)
            assert ticket is not None
            self.ticket = ticket
        elif step == "refused":
            assert self.breaker.enter(self.now) is None
        elif step == "fail":
            self.breaker.failed(self.ticket, self.now)
        elif step == "busy":
            self.breaker.busy(self.ticket, self.now, 7.0)
        elif step == "pause":
            self.now += self.breaker.wait_s(self.now)
        elif step == "answer":
            self.breaker.answers(self.ticket)
        elif step == "work":
            self.breaker.succeeded(self.ticket)
        else:
            assert step == "leave"
            self.breaker.left(self.ticket)

    @property
    def state(self) -> State:
        return self.breaker.state(self.now)


OPENED = ("enter", "fail", "enter", "fail", "enter", "fail")
PROBING = (*OPENED, "pause", "enter")


@pytest.mark.parametrize(
    ("steps", "state", "wait_s"),
    [
        ((), State.CLOSED, 0),
        (("enter", "work"), State.CLOSED, 0),
        (("enter", "fail", "enter", "fail"), State.CLOSED, 0),
        (("enter", "fail", "enter", "fail", "enter", "work", "enter", "fail", "enter", "fail"), State.CLOSED, 0),
        (("enter", "fail", "enter", "fail", "enter", "leave", "enter", "busy", "enter", "answer"), State.CLOSED, 0),
        (OPENED, State.OPEN, FIRST_PAUSE_S),
        ((*OPENED, "refused"), State.OPEN, FIRST_PAUSE_S),
        ((*OPENED, "pause"), State.HALF_OPEN, 0),
        (PROBING, State.HALF_OPEN, PROBE_WAIT_S),
        ((*PROBING, "refused"), State.HALF_OPEN, PROBE_WAIT_S),
        ((*PROBING, "work"), State.CLOSED, 0),
        ((*PROBING, "work", "enter", "fail"), State.CLOSED, 0),
        ((*PROBING, "answer"), State.CLOSED, 0),
        ((*PROBING, "answer", "enter", "enter"), State.CLOSED, 0),
        ((*PROBING, "answer", "fail"), State.OPEN, 2 * FIRST_PAUSE_S),
        ((*PROBING, "answer", "work", "enter", "fail"), State.CLOSED, 0),
        ((*PROBING, "fail"), State.OPEN, 2 * FIRST_PAUSE_S),
        ((*PROBING, "fail", "pause", "enter", "fail"), State.OPEN, 4 * FIRST_PAUSE_S),
        ((*PROBING, *("fail", "pause", "enter") * 20, "fail"), State.OPEN, LONGEST_PAUSE_S),
        ((*PROBING, "fail", "pause", "enter", "work", *OPENED), State.OPEN, FIRST_PAUSE_S),
        ((*PROBING, "leave"), State.HALF_OPEN, 0),
        ((*PROBING, "leave", "enter", "refused"), State.HALF_OPEN, PROBE_WAIT_S),
        ((*PROBING, "busy"), State.CLOSED, 0),
        ((*PROBING, "busy", "enter", "fail"), State.OPEN, 2 * FIRST_PAUSE_S),
    ],
)
def test_the_table(steps: tuple[str, ...], state: State, wait_s: float) -> None:
    """Each way through it."""
    watched = Watched().do(*steps)
    assert watched.state is state
    assert watched.breaker.wait_s(watched.now) == pytest.approx(wait_s)


def test_zero_failures_never_open_it() -> None:
    """As for engines that are ours."""
    watched = Watched(0).do(*("enter", "fail") * 50)
    assert watched.state is State.CLOSED


def test_a_busy_engine_is_busy_for_as_long_as_it_said() -> None:
    """And the longest of what it said counts."""
    watched = Watched().do("enter", "busy")
    watched.breaker.busy(watched.ticket, watched.now, 2.0)
    assert watched.breaker.is_busy(watched.now + 6.9)
    assert not watched.breaker.is_busy(watched.now + 7.0)
    assert watched.state is State.CLOSED


def test_failures_of_calls_from_before_do_not_lengthen_the_pause() -> None:
    """A hundred calls that were open when the engine died are one failure of it."""
    watched = Watched().do(*["enter"] * 100)
    watched.do(*["fail"] * 100)
    assert watched.breaker.wait_s(watched.now) == FIRST_PAUSE_S


@pytest.mark.parametrize("word", ["work", "answer", "fail", "leave", "busy"])
def test_what_earlier_calls_say_does_not_touch_the_probe(word: str) -> None:
    """Neither those from before the pause, nor an earlier probe that its caller had left."""
    for steps in (("enter",), (*PROBING, "leave")):
        watched = Watched().do(*steps)
        old = watched.ticket
        watched.do(*OPENED) if steps == ("enter",) else None
        watched.do("pause", "enter")
        watched.ticket = old
        watched.do(word, "refused")
        assert watched.state is State.HALF_OPEN


@dataclass
class _Call:
    ticket: int
    #: Whether what it says counts.
    heard: bool


class Machine(RuleBasedStateMachine):
    """Calls come, go and say things in any order; a second, plain description of the breaker says the same."""

    def __init__(self) -> None:
        super().__init__()
        self.breaker = Breaker(MOST)
        self.now = 0.0
        self.calls: list[_Call] = []
        self.failures = 0
        self.opened_until: float | None = None
        self.probe: _Call | None = None

    def _take(self, index: int) -> _Call:
        return self.calls.pop(index % len(self.calls))

    def _deafen(self) -> None:
        for call in self.calls:
            call.heard = False

    @rule(seconds=st.sampled_from([0.1, 1.0, 4.0, 5.0, 30.0, 60.0]))
    def wait(self, seconds: float) -> None:
        """Time passes."""
        self.now += seconds

    @rule()
    def enter(self) -> None:
        """A call comes."""
        ticket = self.breaker.enter(self.now)
        half_open = self.opened_until is not None and self.now >= self.opened_until
        assert (ticket is not None) == (self.opened_until is None or (half_open and self.probe is None))
        if ticket is None:
            return
        call = _Call(ticket, heard=True)
        if half_open:
            self._deafen()
            self.probe = call
        self.calls.append(call)

    @precondition(lambda self: self.calls)
    @rule(index=st.integers(0, 99))
    def answer(self, index: int) -> None:
        """An answer begins."""
        call = self.calls[index % len(self.calls)]
        self.breaker.answers(call.ticket)
        if call is self.probe:
            self.opened_until = self.probe = None

    @precondition(lambda self: self.calls)
    @rule(index=st.integers(0, 99))
    def work(self, index: int) -> None:
        """A call ends well."""
        call = self._take(index)
        self.breaker.succeeded(call.ticket)
        if call.heard:
            self.failures, self.opened_until, self.probe = 0, None, None

    @precondition(lambda self: self.calls)
    @rule(index=st.integers(0, 99))
    def leave(self, index: int) -> None:
        """A caller goes."""
        call = self._take(index)
        self.breaker.left(call.ticket)
        if call is self.probe:
            self.probe = None

    @precondition(lambda self: self.calls)
    @rule(index=st.integers(0, 99), seconds=st.sampled_from([1.0, 60.0]))
    def busy(self, index: int, seconds: float) -> None:
        """The engine is busy."""
        call = self._take(index)
        self.breaker.busy(call.ticket, self.now, seconds)
        assert self.breaker.is_busy(self.now)
        if call is self.probe:
            self.opened_until = self.probe = None

    @precondition(lambda self: self.calls)
    @rule(index=st.integers(0, 99))
    def fail(self, index: int) -> None:
        """A call fails."""
        call = self._take(index)
        opened = self.breaker.failed(call.ticket, self.now)
        if call.heard:
            self.failures += 1
            assert opened == (self.failures >= MOST)
        if opened:
            assert call.heard
            pause = min(FIRST_PAUSE_S * 2 ** (self.failures - MOST), LONGEST_PAUSE_S)
            self.opened_until, self.probe = self.now + pause, None
            self._deafen()

    @invariant()
    def agrees(self) -> None:
        """Both say the same of the state and of the wait."""
        if self.opened_until is None:
            assert self.breaker.state(self.now) is State.CLOSED
            assert self.breaker.wait_s(self.now) == 0
            return
        half_open = self.now >= self.opened_until
        assert self.breaker.state(self.now) is (State.HALF_OPEN if half_open else State.OPEN)
        wait_s = PROBE_WAIT_S if self.probe is not None else max(0.0, self.opened_until - self.now)
        assert self.breaker.wait_s(self.now) == pytest.approx(wait_s)
        assert wait_s <= LONGEST_PAUSE_S


TestMachine = Machine.TestCase
TestMachine.settings = settings(max_examples=200, stateful_step_count=40, deadline=None)
