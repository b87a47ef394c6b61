"""Failures that no caller is shown: the ledger's, a call's own turns, and what the person at the command line is told."""

from __future__ import annotations

from uuid import UUID

from minitoolai.core.errors import MiniToolError
from minitoolai.core.ledger import Rates


class LedgerError(MiniToolError):
    """The ledger refused a movement."""


class HoldAlreadyResolved(LedgerError):
    """The hold {hold_id} was resolved before: a hold is captured, released or expired exactly once."""


class AlreadyAnswered(MiniToolError):
    """The call {call_id} was answered before: its reply is to be given again."""

    @property
    def call_id(self) -> UUID:
        """The call that was answered."""
        found = self.facts["call_id"]
        assert isinstance(found, UUID)
        return found

    @property
    def rates(self) -> Rates | None:
        """How the key's minute stands, for the headers."""
        found = self.facts.get("rates")
        return found if isinstance(found, Rates) else None


class CallerLeft(MiniToolError):
    """The caller closed the connection."""


class OperatorError(MiniToolError):
    """The command failed."""


class ConfigInvalid(OperatorError):
    """{source}: {why}"""


class SchemaTooNew(OperatorError):
    """The database holds schema {found}, and this program knows up to {known}. Install a newer MiniToolAI: data is
    never migrated backwards."""


class SecretMismatch(OperatorError):
    """The secret in {source} is not the one that this database was set up with. Restore the old secret: pictures that
    wait and replies that are kept can be read with it only, and links and signatures hold with it only."""


class AccountExists(OperatorError):
    """There is already an account named '{name}'."""


class AccountNotFound(OperatorError):
    """There is no account named '{name}'. `minitoolai account list` shows all."""


class KeyNotFound(OperatorError):
    """There is no key with the id {key_id}. `minitoolai key list` shows all."""


class CreditConflict(OperatorError):
    """The id '{credit_id}' was used before for another credit ({amount} USD to '{account}'). Use a new id."""


class CreditTooLarge(OperatorError):
    """A credit of {amount} USD to '{account}' would be more than the ledger can hold in all. Nothing was moved."""


class InvalidAmount(OperatorError):
    """'{text}' is not an amount in USD: {why}."""
