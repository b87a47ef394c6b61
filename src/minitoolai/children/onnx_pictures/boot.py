"""The boot document of the child that draws."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from minitoolai.children.program import ModelBoot

#: Most pictures drawn side by side.
MAX_PARALLEL = 16
#: What every onnxruntime has.
CPU_PROVIDER = "CPUExecutionProvider"


@dataclass(frozen=True)
class Boot(ModelBoot):
    """The boot document. `model_path` is the model's folder."""

    #: Threads for the arithmetic of one picture; null: as many as there are cores for us.
    threads: int | None = None
    #: onnxruntime's execution providers, the first that is there is used.
    providers: tuple[str, ...] = (CPU_PROVIDER,)
    #: Pictures drawn side by side; more wait, in order.
    parallel: int = 1

    @classmethod
    def read(cls, document: dict[str, Any]) -> Mapping[str, Any]:
        """Return the fields as the class has them, from JSON's."""
        providers = document.get("providers")
        return {**document, "providers": tuple(providers)} if isinstance(providers, list) else document

    def check(self) -> None:
        """Types and ranges; raises ValueError."""
        super().check()
        self.check_counts("threads")
        self.check_parallel(self.parallel, MAX_PARALLEL)
        named = isinstance(self.providers, tuple) and all(isinstance(name, str) and name for name in self.providers)
        if not named or not self.providers:
            raise ValueError("providers must be a list of names, at least one")
