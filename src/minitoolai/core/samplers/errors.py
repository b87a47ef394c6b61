"""What makes sampling impossible before it begins."""

from __future__ import annotations

from minitoolai.core.errors import MiniToolError
from minitoolai.core.inner_errors import OperatorError


class SchedulerUnknown(MiniToolError):
    """There is no scheduler '{name}'. One of: {known}."""


class PredictionUnknown(OperatorError):
    """The picture model's scheduler_config.json has prediction_type {found}, which is not known. One of: {known}."""


class NoiseScheduleInvalid(OperatorError):
    """The picture model's scheduler_config.json cannot be used: {field} {why}."""
