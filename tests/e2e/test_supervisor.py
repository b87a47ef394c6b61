"""The supervisor with real processes: order, restarts, stopping, and nobody left behind."""

from __future__ import annotations

import asyncio
import json
import logging
import os
import signal
import sys
import time
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path

import pytest
import uvloop

from minitoolai.runtime import processes, supervisor
from minitoolai.runtime.child import Child, ChildFailed, Stopping
from minitoolai.runtime.processes import ChildSpec, IsAlive, Process
from minitoolai.runtime.supervisor import Supervisor
from tests.unit.runtime.real_processes import Script, runs, until

#: Says its pid, then does nothing.
SLEEPER = "import os, time; print('pid', os.getpid(), flush=True); time.sleep(60)"
#: The same, deaf to SIGTERM and SIGQUIT.
STUBBORN = "import signal; [signal.signal(n, signal.SIG_IGN) for n in (15, 3)]; " + SLEEPER
#: Lives as long as its standard input, which begins with a JSON line.
LIFELINE = (
    "import json, os, sys; boot = json.loads(sys.stdin.readline());"
    " print('boot', boot['word'], os.getpid(), flush=True); sys.stdin.read(); print('end of lifeline', flush=True)"
)

#: A supervisor in a process of its own. Arguments: one JSON object for each child, "guard" or "".
SUPERVISOR = """
import asyncio, json, logging, sys
from minitoolai.runtime import processes
from minitoolai.runtime.processes import ChildSpec
from minitoolai.runtime.supervisor import Supervisor

async def main():
    if sys.argv[2]:
        processes.needs_guard = lambda: True
    logging.basicConfig(level=logging.INFO, stream=sys.stdout, format="%(message)s")
    async with Supervisor() as supervisor:
        for known in json.loads(sys.argv[1]):
            boot = known.pop("boot", None)
            command = [sys.executable, "-c", known.pop("code")]
            await supervisor.start(
                ChildSpec(command=command, env={}, boot=boot.encode() if boot else None, **known)
            )
        print("started", flush=True)
        await supervisor.run_until_stopped()
    print("stopped", flush=True)

asyncio.run(main())
"""


def spec(name: str, code: str, **options: object) -> ChildSpec:
    return ChildSpec(name, [sys.executable, "-c", code], {}, **options)  # type: ignore[arg-type]


def supervising(*children: dict[str, object], guard: str = "") -> Script:
    return Script(SUPERVISOR, json.dumps(children), guard)


@pytest.fixture
async def supervised() -> AsyncIterator[Supervisor]:
    """A supervisor whose children end with the test."""
    made = Supervisor()
    yield made
    made.stop_at_once()
    await made.stop()


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """Pauses a hundredth of the real ones."""
    monkeypatch.setattr(supervisor, "RESTART_FIRST_S", 0.02)
    monkeypatch.setattr(supervisor, "RESTART_LONGEST_S", 0.08)


async def eventually(condition: object, what: str, limit_s: float = 10) -> None:
    """Wait for a condition while the loop runs."""
    end = time.monotonic() + limit_s
    while not condition():  # type: ignore[operator]
        assert time.monotonic() < end, what
        await asyncio.sleep(0.01)


async def test_output_goes_to_the_log_by_lines_under_the_childs_name(
    supervised: Supervisor, caplog: pytest.LogCaptureFixture
) -> None:
    """Both streams, an unfinished last line, bytes that are no text, and a line far too long."""
    caplog.set_level(logging.INFO)
    code = (
        "import sys; w = sys.stdout.buffer.write; w(b'one\\ntwo\\n'); w(b'x' * 200000 + b'\\nafter\\n\\xff last');"
        " sys.stdout.flush(); print('oops', file=sys.stderr); import time; time.sleep(0.1)"
    )
    child = await supervised.start(spec("talker", code, essential=False))
    await eventually(lambda: child.restarts > 0, "it has ended once")
    said = [record.getMessage() for record in caplog.records]
    for line in (
        "[talker] one",
        "[talker] two",
        "[talker] after",
        "[talker] \N{REPLACEMENT CHARACTER} last",
        "[talker] oops",
    ):
        assert line in said
    assert max(len(line) for line in said) < 2 * processes.LINE_LIMIT_BYTES


async def test_a_callback_takes_the_lines_instead(supervised: Supervisor, caplog: pytest.LogCaptureFixture) -> None:
    """What an engine's child says is for its engine."""
    caplog.set_level(logging.INFO)
    heard: list[tuple[str, str]] = []
    await supervised.start(spec("talker", SLEEPER, on_line=lambda stream, line: heard.append((stream, line))))
    await eventually(lambda: bool(heard), "a line")
    assert heard[0][0] == "stdout"
    assert heard[0][1].startswith("pid ")
    assert "[talker]" not in caplog.text


async def test_a_child_that_dies_is_started_again_after_growing_pauses(
    supervised: Supervisor, caplog: pytest.LogCaptureFixture
) -> None:
    """One line each says what happened and when it starts again; the pause doubles up to its limit."""
    child = await supervised.start(spec("frail", "raise SystemExit(3)", essential=False))
    await eventually(lambda: child.restarts >= 4, "four restarts")
    pauses = [record.getMessage() for record in caplog.records if record.levelno == logging.ERROR][:4]
    assert pauses == [f"frail ended with status 3; starting it again in {s} s" for s in ("0.02", "0.04", "0.08", "0.08")]


async def test_a_child_that_lived_long_starts_again_after_the_first_pause(
    supervised: Supervisor, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A crash a day is no crash loop."""
    monkeypatch.setattr(supervisor, "RESTART_RESET_S", 0.0)
    child = await supervised.start(spec("frail", "import os; os.abort()", essential=False))
    await eventually(lambda: child.restarts >= 3, "three restarts")
    assert caplog.text.count("frail was ended by SIGABRT; starting it again in 0.02 s") >= 3


async def test_an_essential_child_that_never_was_ready_fails_the_start(supervised: Supervisor) -> None:
    """With its status and its last lines; a command that cannot be run too."""
    with pytest.raises(ChildFailed) as caught:
        await supervised.start(spec("broken", "print('why'); raise SystemExit(3)", ready=_never))
    assert caught.value.name == "broken"
    assert caught.value.status == "ended with status 3"
    assert caught.value.last_lines == ("why",)
    with pytest.raises(ChildFailed, match="cannot run /no/such: No such file"):
        await supervised.start(replace(spec("missing", "", ready=_never), command=["/no/such"]))
    assert supervised.state()["children"] == {}


async def test_an_essential_child_that_was_ready_is_started_again(supervised: Supervisor) -> None:
    """Only its first start is an error of ours."""
    child = await supervised.start(spec("gateway", SLEEPER))
    first = child.pid
    assert first is not None
    os.kill(first, signal.SIGKILL)
    await eventually(lambda: child.restarts == 1 and child.state == "ready", "a second life")
    assert child.pid != first
    assert supervised.state() == {
        "stopping": False,
        "children": {"gateway": {"state": "ready", "pid": child.pid, "restarts": 1}},
    }


async def test_failing_preparations_and_failing_readiness_count_as_failed_starts(supervised: Supervisor) -> None:
    """Their own error is raised, and a process that will never be ready is ended."""

    def unprepared() -> None:
        raise OSError("no socket")

    async def refused(_: IsAlive) -> None:
        raise ValueError("wrong password")

    with pytest.raises(OSError, match="no socket"):
        await supervised.start(spec("one", SLEEPER, before_start=unprepared))
    heard: list[str] = []
    with pytest.raises(ValueError, match="wrong password"):
        await supervised.start(spec("two", SLEEPER, ready=refused, on_line=lambda _, line: heard.append(line)))
    assert not [line for line in heard if runs(int(line.removeprefix("pid ")))]


async def test_descriptors_are_inherited_and_those_of_the_preparations_closed_here(supervised: Supervisor) -> None:
    """A listening socket keeps its number; a lock passes to the child."""
    kept_read, kept_write = os.pipe()
    once_read, once_write = os.pipe()
    code = f"import os, time; os.write({kept_write}, b'k'); os.write({once_write}, b'o'); time.sleep(60)"
    await supervised.start(spec("writer", code, pass_fds=(kept_write,), before_start=lambda: (once_write,), essential=True))
    assert await asyncio.to_thread(os.read, kept_read, 1) == b"k"
    assert await asyncio.to_thread(os.read, once_read, 1) == b"o"
    os.fstat(kept_write)
    with pytest.raises(OSError, match="Bad file"):
        os.fstat(once_write)
    for descriptor in (kept_read, kept_write, once_read):
        os.close(descriptor)


async def test_children_stop_in_reverse_order_and_some_at_the_same_time() -> None:
    """The database outlives the gateways; gateways drain together."""
    stopped: list[str] = []
    code = (
        "import signal, sys, time\n"
        "def stop(*_):\n  time.sleep(0.3); print('bye', flush=True); sys.exit(0)\n"
        "signal.signal(signal.SIGTERM, stop)\nprint('up', flush=True)\nwhile True: time.sleep(1)"
    )
    up: list[str] = []

    def hear(name: str) -> processes.OnLine:
        return lambda _, line: (stopped if line == "bye" else up).append(name)

    made = Supervisor()
    for name, together in (("database", ""), ("g1", "gateways"), ("g2", "gateways"), ("engine", "")):
        await made.start(spec(name, code, on_line=hear(name), together=together))
    await eventually(lambda: len(up) == 4, "all run")
    began = time.monotonic()
    await made.stop()
    assert time.monotonic() - began < 1.15
    assert stopped[0] == "engine"
    assert set(stopped[1:3]) == {"g1", "g2"}
    assert stopped[3] == "database"
    with pytest.raises(Stopping):
        await made.start(spec("late", SLEEPER))


async def test_a_deaf_child_is_ended_after_its_time_out(caplog: pytest.LogCaptureFixture) -> None:
    """SIGTERM, then its quit signal, then SIGKILL; its own children too."""
    heard: list[str] = []
    code = f"import subprocess, sys; subprocess.Popen([sys.executable, '-c', {SLEEPER!r}]); " + STUBBORN
    made = Supervisor()
    await made.start(
        spec(
            "deaf",
            code,
            stop_timeout_s=0.1,
            quit_signal=signal.SIGQUIT,
            quit_timeout_s=0.1,
            on_line=lambda _, line: heard.append(line),
        )
    )
    await eventually(lambda: len(heard) == 2, "both run")
    await made.stop()
    assert "deaf did not stop within 0.1 s: ending it" in caplog.text
    pids = [int(line.removeprefix("pid ")) for line in heard]
    await eventually(lambda: not any(runs(pid) for pid in pids), "both have ended", 2)


async def test_what_a_child_leaves_behind_ends_with_it(supervised: Supervisor) -> None:
    """A child that dies by itself takes its own children along, before its next life."""
    heard: list[str] = []
    code = f"import subprocess, sys; subprocess.Popen([sys.executable, '-c', {SLEEPER!r}]).communicate(timeout=0.5)"
    child = await supervised.start(spec("parent", code, on_line=_listener(heard)))
    await eventually(lambda: child.restarts > 0, "it has ended")
    pids = [int(line.removeprefix("pid ")) for line in heard if line.startswith("pid ")]
    assert pids
    await eventually(lambda: not runs(pids[0]), "the rest has ended", 2)


async def test_a_child_can_be_stopped_alone(supervised: Supervisor) -> None:
    """An engine's model is unloaded; it is not started again."""
    child: Child = await supervised.start(spec("model", SLEEPER))
    pid = child.pid
    assert pid is not None
    await supervised.stop_child(child)
    assert not runs(pid)
    assert supervised.state()["children"] == {}


def test_the_first_signal_stops_in_order_and_the_second_at_once() -> None:
    """A stop that hangs can be cut short; a terminal's Ctrl-C reaches only the supervisor."""
    with supervising({"name": "calm", "code": SLEEPER}, {"name": "deaf", "code": STUBBORN}) as script:
        script.said("started")
        pids = [int(script.said(f"[{name}] pid ")) for name in ("calm", "deaf")]
        assert {os.getsid(pid) for pid in pids}.isdisjoint({os.getsid(0)})
        script.process.send_signal(signal.SIGTERM)
        script.said("SIGTERM: stopping")
        time.sleep(0.2)
        assert [runs(pid) for pid in pids] == [True, True]
        began = time.monotonic()
        assert script.end(signal.SIGINT) == 0
        assert time.monotonic() - began < 5  # its own time-out would be 10
        assert "SIGINT again" in script.text
        assert script.text.endswith("stopped\n")
        until(lambda: not any(runs(pid) for pid in pids), "both have ended", 2)


def test_a_signal_during_a_start_stops_what_has_started() -> None:
    """Ctrl-C in the first second leaves nothing behind."""
    code = SUPERVISOR.replace("env={}", "env={}, ready=lambda _: asyncio.sleep(60)")
    with Script(code, json.dumps([{"name": "slow", "code": SLEEPER}]), "") as script:
        pid = int(script.said("[slow] pid "))
        assert script.end(signal.SIGINT) == 1
        assert "Stopping" in script.text
        assert not runs(pid)


@pytest.mark.parametrize("guard", ["", "guard"])
def test_kill_9_of_the_supervisor_ends_all_children(guard: str) -> None:
    """By the kernel's signal or by the guard, even those that are deaf; and the lifeline closes."""
    children: list[dict[str, object]] = [
        {"name": "calm", "code": SLEEPER},
        {"name": "deaf", "code": STUBBORN},
        {"name": "lively", "code": LIFELINE, "boot": '{"word": "hello"}\n'},
    ]
    with supervising(*children, guard=guard) as script:
        script.said("started")
        pids = [int(script.said(f"[{name}] pid ")) for name in ("calm", "deaf")]
        pids.append(int(script.said("[lively] boot hello ")))
        script.kill()
        until(lambda: not any(runs(pid) for pid in pids), "all have ended", 5)


@pytest.mark.parametrize("guard", [False, True])
async def test_the_lifeline_alone_ends_a_child_that_listens_to_it(guard: bool) -> None:
    """For children that no signal reaches: the end of standard input is the end of the parent."""
    heard: list[str] = []
    child = await Process.start(
        spec("lively", LIFELINE, boot=b'{"word": "' + b"x" * 300_000 + b'"}\n', kill_group=False),
        lambda _, line: heard.append(line),
        guard=guard,
    )
    await eventually(lambda: bool(heard), "its boot document came, larger than a pipe")
    child.close_lifeline()
    assert await child.wait() == 0
    assert heard[-1] == "end of lifeline"


@pytest.mark.parametrize("guard", [False, True])
async def test_a_status_and_a_signal_come_through_the_launcher(guard: bool) -> None:
    """Also with a guard between; signals to the guard reach the child; SIGKILL ends both."""
    for code, number, status in (
        ("raise SystemExit(7)", None, 7),
        (SLEEPER, signal.SIGTERM, -signal.SIGTERM),
        (SLEEPER, signal.SIGKILL, -signal.SIGKILL),
    ):
        heard: list[str] = []
        child = await Process.start(spec("any", code), _listener(heard), guard=guard)
        if number is not None:
            await eventually(heard.copy, "it runs")
            child.signal(number)
        assert await child.wait() == status
        assert not [line for line in heard if runs(int(line.removeprefix("pid ")))]


@pytest.mark.parametrize("guard", [False, True])
@pytest.mark.skipif(os.geteuid() != 0, reason="only root can become another user")
async def test_a_child_runs_as_its_user_and_dies_with_us_still(guard: bool) -> None:
    """No group of root's is left; nothing of our environment either."""
    heard: list[str] = []
    command = ["/bin/sh", "-c", 'id -u; id -G; echo "[$HOME$PYTHONPATH]"; umask']
    await (
        await Process.start(
            ChildSpec("other", command, {"PATH": "/usr/bin:/bin"}, user=65534, group=65534, cwd="/"),
            lambda _, line: heard.append(line),
            guard=guard,
        )
    ).wait()
    assert heard == ["65534", "65534", "[]", "0077"]


def test_all_of_it_on_uvloop() -> None:
    """The gateways' loop may supervise too."""
    heard: list[str] = []

    async def main() -> None:
        async with Supervisor() as made:
            child = await made.start(
                spec("lively", LIFELINE, boot=b'{"word": "hello"}\n', on_line=lambda _, line: heard.append(line))
            )
            await eventually(lambda: bool(heard), "it runs")
            assert child.pid is not None
            os.kill(child.pid, signal.SIGKILL)
            await eventually(lambda: len(heard) > 1, "it runs again")

    uvloop.run(main())
    assert not [line for line in heard if runs(int(line.split()[2]))]


async def test_children_are_started_from_the_main_thread_only() -> None:
    """Linux would end them with the thread."""

    async def start() -> None:
        await Process.start(spec("any", SLEEPER), lambda *_: None)

    with pytest.raises(RuntimeError, match="main thread"):
        await asyncio.to_thread(asyncio.run, start())


def _listener(heard: list[str]) -> processes.OnLine:
    return lambda _, line: heard.append(line)


async def _never(is_alive: IsAlive) -> None:
    while is_alive():
        await asyncio.sleep(0.01)


def test_the_launcher_needs_nothing_but_the_standard_library() -> None:
    """It runs before any package can be found."""
    text = Path(processes.LAUNCHER).read_text()
    assert "minitoolai" not in text.replace("MiniToolAI", "")
