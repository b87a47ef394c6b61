"""Out to what is no model: addresses that callers name, and the programs that look at what comes from there.

What must never enter: SQL, HTTP routes of our own surfaces, money.
"""
