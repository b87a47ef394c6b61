"""The commands, beside a running server and without one: answers, exit statuses, one clear line for each refusal."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.databases import PostgresForTests, open_folder
from tests.support.servers import ProductServer, product_server

QUESTION = "What's the largest U.S. state by area?"


@pytest.fixture(scope="module", params=["beside a server", "without a server"])
def product(request: pytest.FixtureRequest) -> Iterator[ProductServer]:
    """An installation with an embedded database, its server running or not."""
    with open_folder() as folder, product_server(folder, None) as server:
        if request.param == "beside a server":
            server.start()
            server.wait_engine("starter")
        yield server


@pytest.fixture
def folder(tmp_path: Path) -> ProductServer:
    """An installation that is never started."""
    return ProductServer(tmp_path, None)


def refused(product: ProductServer, *arguments: str, status: int = 1) -> str:
    """Run a command that must be refused; return its one line of standard error."""
    done = product.command(*arguments, check=False)
    assert done.returncode == status, (arguments, done.stdout, done.stderr)
    assert "Traceback" not in done.stderr
    if status == 1:
        assert done.stdout == ""
        assert done.stderr.startswith("minitoolai: ")
        assert done.stderr.count("\n") == 1, done.stderr
    return done.stderr


def test_accounts_and_credit(product: ProductServer) -> None:
    """Create, credit once per id, show, list, suspend, resume; amounts as decimal strings."""
    made = product.json("account", "create", "Zażółć & Co", "--credit", "1.5")
    assert made == {
        "name": "Zażółć & Co", "state": "active", "balance": "1.5", "held": "0", "available": "1.5",
    }  # fmt: skip
    credited = product.json("account", "credit", "Zażółć & Co", "0.000000001", "--id", "invoice 7")
    assert (credited["status"], credited["balance"]) == ("created", "1.500000001")
    again = product.json("account", "credit", "Zażółć & Co", "0.000000001", "--id", "invoice 7")
    assert (again["status"], again["balance"]) == ("exists", "1.500000001")
    assert "invoice 7" in refused(product, "account", "credit", "Zażółć & Co", "2", "--id", "invoice 7")
    assert product.json("account", "show", "Zażółć & Co")["balance"] == "1.500000001"
    assert "1.500000001" in product.command("account", "list").stdout
    assert product.json("account", "suspend", "Zażółć & Co")["state"] == "suspended"
    assert product.json("account", "resume", "Zażółć & Co")["state"] == "active"
    assert "already" in refused(product, "account", "create", "Zażółć & Co")
    assert "account list" in refused(product, "account", "show", "nobody")
    statement = product.json("ledger", "statement", "Zażółć & Co")
    assert [(row["kind"], row["amount"]) for row in statement] == [("credit", "0.000000001"), ("credit", "1.5")]
    assert product.json("ledger", "verify")["ok"] is True


@pytest.mark.parametrize("amount", ["-1", "1e3", "abc", "0.0000000001", "1,5", "99999999999", "", "NaN"])
def test_what_is_no_amount(product: ProductServer, amount: str) -> None:
    """Refused with the form that is right; nothing was made."""
    done = product.command("account", "create", "nothing", f"--credit={amount}", check=False)
    assert done.returncode == 1
    assert done.stderr.count("\n") == 1
    assert "nothing" not in {row["name"] for row in product.json("account", "list")}


def test_more_credit_than_the_ledger_holds(product: ProductServer) -> None:
    """One line, and the balance stays."""
    product.json("account", "create", "rich")
    for number in range(9):
        product.command("account", "credit", "rich", "1000000000", "--id", f"rich {number}")
    assert "than the ledger can hold" in refused(product, "account", "credit", "rich", "1000000000", "--id", "too many")
    assert product.json("account", "show", "rich")["balance"] == "9000000000"


def test_keys(product: ProductServer) -> None:
    """Made and shown once, listed without their secret, revoked for good."""
    product.json("account", "create", "owner")
    made = product.json(
        "key", "create", "--account", "owner", "--name", "bot", "--limit", "0.5", "--models", "gpt-4o,gpt-4o-mini",
        "--expires", "2099-01-31",
    )  # fmt: skip
    assert set(made) == {"id", "key"}
    assert re.fullmatch(r"sk-[0-9A-Za-z]{49}", made["key"])
    (shown,) = product.json("key", "list", "--account", "owner")
    assert (shown["limit"], shown["state"], shown["name"]) == ("0.5", "active", "bot")
    assert shown["models"] == ["gpt-4o", "gpt-4o-mini"]
    assert shown["expires"].startswith("2099-01-31")
    assert made["key"] not in product.command("key", "list").stdout
    assert product.json("key", "revoke", str(made["id"]))["state"] == "revoked"
    assert product.json("key", "revoke", str(made["id"]))["state"] == "revoked"
    assert "key list" in refused(product, "key", "revoke", "999999")
    assert "gpt-4.1-nano" in refused(product, "key", "create", "--account", "owner", "--models", "gpt-9")
    assert "2027" in refused(product, "key", "create", "--account", "owner", "--expires", "soon")
    assert "passed" in refused(product, "key", "create", "--account", "owner", "--expires", "2001-01-01")
    assert "account list" in refused(product, "key", "create", "--account", "nobody")


def test_models_migrate_and_the_ledger(product: ProductServer) -> None:
    """The catalogue with its prices, a schema that is up to date, books that are clean."""
    models = {model["id"]: model for model in product.json("models")}
    assert [m["usd_per_image"] for m in models.values() if m["kind"] == "image"] == ["0.0015"] * 15
    assert {name: (m["input_usd_per_1m"], m["output_usd_per_1m"]) for name, m in models.items() if m["context_tokens"]} == {
        "gpt-4o-mini": ("0.15", "0.6"), "gpt-4o": ("2.5", "10"), "gpt-4.1": ("2", "8"), "gpt-4.1-mini": ("0.4", "1.6"),
        "gpt-4.1-nano": ("0.1", "0.4"), "text-embedding-3-small": ("0.02", "0"), "text-embedding-3-large": ("0.13", "0"),
    }  # fmt: skip
    assert product.json("migrate")["version"] >= 1
    assert product.json("migrate")["applied"] == []
    verified = product.json("ledger", "verify")
    assert set(verified) == {"ok", "accounts", "entries", "holds", "problems"}
    assert (verified["ok"], verified["problems"]) == (True, [])
    assert "clean" in product.command("ledger", "verify").stdout


def test_a_ledger_that_lies_is_found(product: ProductServer) -> None:
    """Exit status 1 and the problem by name, when somebody changed a balance by hand."""
    product.json("account", "create", "cooked", "--credit", "1")
    _sql(product, "UPDATE accounts SET balance = balance + 5 WHERE name = 'cooked'")
    done = product.command("ledger", "verify", "--json", check=False)
    assert done.returncode == 1
    found = json.loads(done.stdout)
    assert found["ok"] is False
    assert any("cooked" in problem for problem in found["problems"])
    assert done.stderr.count("\n") == 1
    _sql(product, "UPDATE accounts SET balance = balance - 5 WHERE name = 'cooked'")
    assert product.json("ledger", "verify")["ok"] is True


def test_doctor(product: ProductServer) -> None:
    """Each finding has a verdict; a sandbox is a note and no failure."""
    if product.process is None:
        product.environment["MINITOOLAI_SERVER__PORT"] = "0"
    done = product.command("doctor", "--json", check=False)
    findings = {finding["subject"]: finding for finding in json.loads(done.stdout)}
    assert {"python", "cpu", "disk", "port", "database", "models", "engine starter"} <= set(findings)
    assert all(set(finding) == {"subject", "verdict", "text", "remedy"} for finding in findings.values())
    assert findings["database"]["verdict"] == "ok"
    assert findings["models"]["verdict"] == "warn"
    assert done.returncode == (1 if any(f["verdict"] == "fail" for f in findings.values()) else 0)


def test_chat(product: ProductServer) -> None:
    """Asks a running server with the first key; says so when there is none."""
    if product.process is None:
        assert "no API key" in refused(product, "chat", "Hi")
        assert "minitoolai serve" in refused(product, "chat", "Hi", "--key", "sk-x", "--url", "http://127.0.0.1:9")
        return
    answer = product.json("chat", *QUESTION.split(), "--url", product.base)
    assert "Alaska" in answer["text"]
    assert answer["usage"]["cost"] > 0
    shown = product.command("chat", QUESTION, "--url", product.base).stdout
    assert "Alaska" in shown
    assert "USD]" in shown
    assert "not a key of this server" in refused(product, "chat", "Hi", "--url", product.base, "--key", "sk-x")
    assert "gpt-9" in refused(product, "chat", "Hi", "--url", product.base, "--model", "gpt-9")


def test_a_second_server_on_the_same_data_is_refused(product: ProductServer) -> None:
    """In one line, and the first one is not harmed."""
    if product.process is None:
        pytest.skip("only beside a server")
    line = refused(product, "serve", "--port", "0")
    assert "running" in line or "use" in line, line
    line = refused(product, "serve", "--port", str(product.port), "--data-dir", str(product.folder / "other"))
    assert f"port {product.port}" in line
    assert "--port" in line
    product.wait_ready()


# -- without any database ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("prot = 1\n", ["prot", "did you mean"]),
        ("[server]\nprot = 8000\n", ["server.prot", "'server.port'"]),
        ("[server]\nport = 99999\n", ["port", "65535"]),
        ('[server]\nport = "8000"\n', ["port"]),
        ("[server]\nworkers = 0\n", ["workers"]),
        ("[databse]\nurl = 'x'\n", ["databse", "'database'"]),
        ("[server\n", ["TOML"]),
        ("server = 5\n", ["server", "table"]),
        ('[engines.a]\nkind = "opnai"\n', ["engines.a.kind", "openai, llama"]),
        ('[engines.a]\nbase_url = "http://x"\n', ["engines.a.kind"]),
        ('[engines.a]\nkind = "openai"\n', ["base_url"]),
        ('[engines.a]\nkind = "openai"\nbase_url = "http://x"\ntimeout = 5\n', ["engines.a.timeout", "did you mean"]),
        ('[models."gpt-4o"]\nengine = "b"\n', ['models."gpt-4o".engine', "'b'"]),
        ('[models."gpt-4o"]\nprice = "1"\n', ["price", "did you mean"]),
        ('[models."mine"]\naliases = ["m"]\n', ["mine", "input_usd_per_1m"]),
        ('[models."gpt-4o"]\ninput_usd_per_1m = "cheap"\n', ["gpt-4o", "cheap"]),
        ('sandbox = "maybe"\n', ["sandbox"]),
    ],
)
def test_settings_that_are_wrong_are_refused_in_one_line(folder: ProductServer, text: str, words: list[str]) -> None:
    """With the file, the key and the nearest known one."""
    folder.configure(text)
    line = refused(folder, "models")
    for word in words:
        assert word in line, line
    assert str(folder.config) in line or 'models."' in line, line


def test_variables_that_are_wrong_are_refused(folder: ProductServer) -> None:
    """A misspelt variable is no setting either; a setting by variable works."""
    folder.environment["MINITOOLAI_SERVER__PROT"] = "1"
    assert "server.prot" in refused(folder, "models")
    del folder.environment["MINITOOLAI_SERVER__PROT"]
    folder.environment |= {"OPENAI_API_KEY": "sk-x"}
    assert folder.json("models")[0]["engine"] == "openai"


def test_what_cannot_be_reached_is_named_in_one_line(folder: ProductServer, embedded_server: PostgresForTests) -> None:
    """A database that is not there or refuses the password, a folder that cannot be made."""
    folder.configure('[engines.a]\nkind = "openai"\nbase_url = "http://127.0.0.1:9/v1"\napi_key_env = "UP_KEY"\n')
    folder.environment["MINITOOLAI_DATABASE__URL"] = "postgresql://nobody@127.0.0.1:9/none"
    for arguments in (("serve", "--port", "0"), ("account", "list"), ("ledger", "verify"), ("migrate",)):
        done = folder.command(*arguments, check=False)
        assert done.returncode == 1
        assert "Traceback" not in done.stderr
        assert done.stderr.splitlines()[-1].startswith("minitoolai: ")
        assert "database" in done.stderr
    folder.configure("")
    with embedded_server.database() as url:
        folder.environment["MINITOOLAI_DATABASE__URL"] = re.sub(r":[^:@/]*@", ":wrong@", url)
        for command in (("account", "list"), ("serve", "--port", "0")):
            line = folder.command(*command, check=False).stderr
            assert "Traceback" not in line
            assert "password" in line
            assert "wrong" not in line
    del folder.environment["MINITOOLAI_DATABASE__URL"]
    done = subprocess.run(
        [sys.executable, "-m", "minitoolai.cli.main", "account", "list", "--data-dir", "/dev/null/x"],
        env=folder.environment, capture_output=True, text=True, cwd=folder.folder, check=False,
    )  # fmt: skip
    assert done.returncode == 1
    assert "Traceback" not in done.stderr
    assert "/dev/null/x" in done.stderr


@pytest.mark.parametrize(
    "arguments",
    [
        (), ("nonsense",), ("account",), ("account", "create"), ("account", "credit", "a", "1"), ("key", "revoke", "x"),
        ("ledger", "verify", "--no-such-option"), ("serve", "--port", "http"), ("key", "create"), ("chat",), ("image",),
    ],
    ids=" ".join,
)  # fmt: skip
def test_wrong_usage_is_status_2(folder: ProductServer, arguments: tuple[str, ...]) -> None:
    """With the usage on standard error, and nothing done."""
    done = subprocess.run(
        [sys.executable, "-m", "minitoolai.cli.main", *arguments],
        env=folder.environment, capture_output=True, text=True, cwd=folder.folder, check=False,
    )  # fmt: skip
    assert done.returncode == 2
    assert "usage: minitoolai" in done.stderr
    assert not folder.data_dir.exists()


def test_every_command_takes_the_common_options(folder: ProductServer) -> None:
    """--json, --config and --data-dir."""
    for command in (
        ("serve",), ("account", "create"), ("account", "credit"), ("account", "show"), ("account", "list"),
        ("key", "create"), ("key", "revoke"), ("key", "list"), ("ledger", "verify"), ("ledger", "statement"),
        ("models",), ("migrate",), ("doctor",), ("chat",), ("image",),
    ):  # fmt: skip
        text = folder.command(*command, "--help").stdout
        assert all(option in text for option in ("--json", "--config", "--data-dir")), command
    assert re.match(r"minitoolai \d+\.\d+", folder.command("--version").stdout)


def _sql(product: ProductServer, statement: str) -> None:
    """Run a statement on the embedded database, started for it where no server runs."""
    code = (
        "import asyncio, asyncpg, sys; from pathlib import Path\n"
        "from minitoolai.runtime.postgres import temporary_server\n"
        "async def main():\n"
        "    async with temporary_server(Path(sys.argv[1])) as url:\n"
        "        connection = await asyncpg.connect(url)\n"
        "        await connection.execute(sys.argv[2])\n"
        "        await connection.close()\n"
        "asyncio.run(main())\n"
    )
    subprocess.run(
        [sys.executable, "-c", code, str(product.data_dir), statement], env={**os.environ, **product.environment},
        check=True, timeout=60,
    )  # fmt: skip
