"""The laws of the house that no linter knows: boundaries, the environment, output, SQL, stubs."""

from __future__ import annotations

import ast
import re
from collections import Counter
from collections.abc import Callable, Iterator

import pytest

from tests.house.documents import ROOT, SOURCE, sources, tracked

#: Where every failure may be caught, and how often: one place for each kind of task that nothing may end.
BOUNDARIES = {
    "edge/application.py": 1,  # a request
    "runtime/supervisor.py": 1,  # a child's preparations
    "services/leases.py": 1,  # the loop that keeps the lease
    "services/job_keeping.py": 3,  # the loops that keep, sweep and forget jobs
    "services/job_run.py": 1,  # an attempt at a job
    "services/worker.py": 2,  # a worker's claim, and a job's end
    "services/kept_speech.py": 1,  # the loop that forgets sounds
    "services/webhooks.py": 2,  # looking for messages that are due, and one message
    "children/onnx_pictures/server.py": 1,  # a picture
    "children/speech/server.py": 1,  # a call
    "services/chat_call.py": 1,  # a call that cannot be counted is charged all the same
    "storage/lanes.py": 2,  # a batch of the ledger, and one operation of it
}
#: Which files read the process's environment.
READ_ENVIRONMENT = {
    "cli/context.py",  # hands it to the settings
    "runtime/children.py",  # the few variables that a child is given
    "runtime/processes_launch.py",  # becomes the command it launches
    "runtime/run_folder.py",  # the system's folder for sockets
    "children/llama.py",  # removes what would change the engine
    "children/kokoro/speller.py",  # sets what keeps a library from starting threads
}
#: Which files print besides the commands, and how often.
PRINT = {
    "runtime/serve.py": 1,  # the command's own output
    "runtime/work.py": 1,  # the same
    "runtime/gateway.py": 1,  # a word to the supervisor
    "runtime/worker.py": 1,  # the same
    "runtime/children.py": 1,  # a child's log lines, formatted by the child
}
#: SQL outside `storage/`, and how often: making the embedded server's roles, and asking whether a server answers.
SQL = {"runtime/postgres/setup.py": 5, "runtime/postgres/client.py": 1, "runtime/readiness.py": 1}

_SQL = re.compile(
    r"^\s*(SELECT\s|INSERT INTO\s|UPDATE \w+ SET\s|DELETE FROM\s|(CREATE|ALTER|DROP) (TABLE|ROLE|DATABASE|INDEX)"
    r"|ALTER ROLE\s|REVOKE\s|GRANT\s|TRUNCATE\s|WITH \w+ AS)"
)
#: Put together here, so that this file does not name them.
_STUB_WORDS = re.compile(r"\b(" + "|".join(("TO" + "DO", "FIX" + "ME", "XX" + "X", "HA" + "CK")) + r")\b")


def test_only_boundaries_catch_everything() -> None:
    """`except Exception` stands in the named boundary files only; elsewhere it must raise what it caught again."""
    assert _count(_catch_alls) == BOUNDARIES


def test_only_named_files_read_the_environment() -> None:
    """The environment is read in one place and handed on; the exceptions are processes' own business."""
    assert set(_count(_environment_reads)) == READ_ENVIRONMENT


def test_only_commands_print() -> None:
    """Nothing prints but the commands, and three files whose output is read by somebody."""
    found = _count(_prints)
    assert {name: times for name, times in found.items() if not name.startswith("cli/")} == PRINT


def test_sql_is_in_storage() -> None:
    """SQL stands in `storage/` only, but for what makes and probes the embedded server."""
    found = _count(_sql_texts)
    assert {name: times for name, times in found.items() if not name.startswith("storage/")} == SQL
    files = [path for path in tracked() if path.suffix == ".sql" and SOURCE / "storage" not in path.parents]
    assert not [path for path in files if SOURCE in path.parents]


@pytest.mark.parametrize("folder", ["src", "tests", "scripts", "benchmarks", "training"])
def test_nothing_is_left_for_another_day(folder: str) -> None:
    """No stub, no note to finish something: what is not done is not there."""
    found = []
    for path in tracked():
        if path.relative_to(ROOT).parts[0] != folder or path.suffix not in (".py", ".sql", ".sh", ""):
            continue
        text = path.read_text(encoding="utf-8", errors="replace")
        found += [f"{path.relative_to(ROOT)}: {word[0]}" for word in _STUB_WORDS.finditer(text)]
        if path.suffix == ".py":
            found += [f"{path.relative_to(ROOT)}:{line}" for line in _stubs(ast.parse(text))]
    assert not found


def _count(kind: Callable[[ast.Module], Iterator[object]]) -> dict[str, int]:
    """Return how often each file of the program has what `kind` yields, files without left out."""
    found = Counter({name: sum(1 for _ in kind(ast.parse(path.read_text()))) for name, path in sources().items()})
    return dict(+found)


def _catch_alls(tree: ast.Module) -> Iterator[ast.ExceptHandler]:
    for node in ast.walk(tree):
        if isinstance(node, ast.ExceptHandler):
            names = {name.id for name in ast.walk(node.type) if isinstance(name, ast.Name)} if node.type else {"all"}
            last = node.body[-1]
            again = isinstance(last, ast.Raise) and last.exc is None
            if names & {"all", "Exception", "BaseException"} and not again:
                yield node


def _environment_reads(tree: ast.Module) -> Iterator[ast.expr]:
    for node in ast.walk(tree):
        if isinstance(node, ast.Attribute) and node.attr in ("environ", "environb", "getenv"):
            yield node
        elif isinstance(node, ast.ImportFrom) and node.module == "os":
            for name in node.names:
                assert name.name not in ("environ", "environb", "getenv"), "write os.environ, so that it is seen"


def _prints(tree: ast.Module) -> Iterator[ast.Call]:
    for node in ast.walk(tree):
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == "print":
            yield node


def _sql_texts(tree: ast.Module) -> Iterator[ast.Constant]:
    docstrings = {
        id(node.body[0].value)
        for node in ast.walk(tree)
        if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef)
        and node.body
        and isinstance(node.body[0], ast.Expr)
    }
    for node in ast.walk(tree):
        if isinstance(node, ast.Constant) and id(node) not in docstrings and _SQL.match(str(node.value)):
            yield node


def _stubs(tree: ast.Module) -> Iterator[int]:
    """Yield the lines of functions that do nothing, Protocols' aside, and of errors that say so."""
    protocols = {
        id(method)
        for node in ast.walk(tree)
        if isinstance(node, ast.ClassDef) and any("Protocol" in ast.unparse(base) for base in node.bases)
        for method in node.body
    }
    for node in ast.walk(tree):
        if isinstance(node, ast.Name) and node.id == "NotImplementedError":
            yield node.lineno
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef) and id(node) not in protocols:
            last = node.body[-1]
            if isinstance(last, ast.Expr) and isinstance(last.value, ast.Constant) and last.value.value is ...:
                yield node.lineno
