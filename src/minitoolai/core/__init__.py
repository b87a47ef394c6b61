"""What is true: pure rules of money, prices, models, keys and wire formats.

Imports nothing of ours from outside this room; no I/O, clock, randomness, event loop or logging may enter.
"""
