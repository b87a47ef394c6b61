"""MiniToolAI: one key and one prepaid balance in front of every model."""

__version__ = "0.1.0"
