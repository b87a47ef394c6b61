"""Composition root and processes: the only room that sees the environment, opens things and starts processes."""
