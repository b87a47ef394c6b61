"""Verification finds each way in which a ledger can be wrong, and nothing in one that is right."""

from __future__ import annotations

import pytest

from minitoolai.storage.verify import verify_ledger
from tests.storage.desk import Desk, ask, cost

_ENTRY = "INSERT INTO transfers (id, kind, debit, credit, amount) VALUES"
#: What is planted, and a word of the problem that is told.
CORRUPTIONS = {
    "a balance that was written by hand": ("UPDATE accounts SET balance = balance + 1", "balance"),
    "an entry that was changed": ("UPDATE transfers SET amount = amount + 1 WHERE kind = 2", "charged"),
    "an entry that was removed": ("DELETE FROM transfers WHERE kind = 2", "charged"),
    "a credit's entry that was removed": ("DELETE FROM transfers WHERE kind = 1", "credit"),
    "an entry for nobody": (f"{_ENTRY} (gen_random_uuid(), 4, 999999, 2, 5)", "does not exist"),
    "credit from nowhere": (f"{_ENTRY} (gen_random_uuid(), 1, 1, 1000, 5)", "credit None"),
    "a capture without a call": (f"{_ENTRY} (gen_random_uuid(), 2, 1000, 2, 5)", "recorded cost 0"),
    "a capture that stands twice": (f"{_ENTRY} ('{{call}}', 2, 1000, 2, 120)", "2 times"),
    "a record that stands twice": (
        "INSERT INTO usage_records SELECT id, account_id, key_id, model, engine, outcome, prompt_tokens, "
        "completion_tokens, counted_by_gateway, input_nusd_per_1m, output_nusd_per_1m, held, 0, started_at "
        "FROM usage_records", "2 times",
    ),
    "a record that was changed": ("UPDATE usage_records SET cost = cost - 1", "recorded cost"),
    "a record that was removed": ("DELETE FROM usage_records", "recorded cost 0"),
    "held that was written by hand": ("UPDATE accounts SET held = held + 1 WHERE id = 1000", "held"),
    "a hold that was removed": ("DELETE FROM holds", "held"),
    "a hold that was changed": ("UPDATE holds SET amount = amount + 1", "held"),
    "spent that was written by hand": ("UPDATE keys SET spent = spent + 1", "key"),
    "a key's held that was written by hand": ("UPDATE keys SET held = held + 1", "key"),
    "a credit that was changed": ("UPDATE credits SET amount = amount + 1", "credit"),
    "a credit of another account": ("UPDATE credits SET account_id = 1001", "credit"),
    "an overspent account": (
        "ALTER TABLE accounts DROP CONSTRAINT no_overspend; UPDATE accounts SET held = balance + 1 WHERE id = 1000; "
        "UPDATE holds SET amount = 881; UPDATE keys SET held = 881", "overspent",
    ),
    "a hold that outlived its process": ("UPDATE processes SET lease_until = now() - interval '46 s'", "outlived"),
    "a hold that outlived its process's row": (
        "DELETE FROM processes; UPDATE holds SET created_at = now() - interval '46 s'", "outlived",
    ),
}  # fmt: skip


async def busy(desk: Desk) -> str:
    """One call that was captured at 120 of 1000, one hold of 100; return the call's id."""
    account = await desk.account(1000)
    await desk.account(0)
    assert account == 1000
    key = await desk.key(account)
    ledger = await desk.ledger()
    ended, open_ = ask(account, key, 300), ask(account, key, 100)
    for request in (ended, open_):
        await ledger.hold(request)
    await ledger.settle(cost(ended.id, 120))
    return str(ended.id)


async def test_a_sound_ledger_has_no_problem(desk: Desk) -> None:
    """It is counted: two accounts, a credit and a capture, one open hold."""
    await busy(desk)
    report = await verify_ledger(desk.database)
    assert report.ok
    assert (report.accounts, report.entries, report.holds) == (2, 2, 1)
    await desk.sql("UPDATE processes SET lease_until = now() - interval '30 s'")
    assert (await verify_ledger(desk.database)).ok


@pytest.mark.parametrize("corruption", CORRUPTIONS)
async def test_what_is_planted_is_found(desk: Desk, corruption: str) -> None:
    """Said in a sentence."""
    call = await busy(desk)
    statements, word = CORRUPTIONS[corruption]
    check = "CONSTRAINT no_overspend CHECK (balance - held >= 0)"
    try:
        await desk.script(f"ALTER TABLE transfers DISABLE TRIGGER append_only; {statements.replace('{call}', call)}")
        report = await verify_ledger(desk.database)
    finally:
        await desk.script(
            "ALTER TABLE transfers ENABLE TRIGGER append_only; UPDATE accounts SET held = 0, balance = 0; "
            f"ALTER TABLE accounts DROP CONSTRAINT IF EXISTS no_overspend; ALTER TABLE accounts ADD {check}"
        )
    assert any(word in problem for problem in report.problems), report.problems
    assert not report.ok


async def test_calls_may_go_on_meanwhile(desk: Desk) -> None:
    """It reads one moment: a hold and a capture under way are no problem."""
    account = await desk.account(10**9)
    key = await desk.key(account)
    ledger = await desk.ledger()
    for _ in range(10):
        request = ask(account, key, 500)
        await ledger.hold(request)
        settling = ledger.settle(cost(request.id, 7))
        assert (await verify_ledger(desk.database)).ok
        await settling
