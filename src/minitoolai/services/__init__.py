"""Use cases: what happens, in order.

Sees `core` and the Protocols of `ports` only. No SQL, HTTP, socket or library of an engine may enter.
"""
