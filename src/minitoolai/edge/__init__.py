"""HTTP itself: limits, deadlines, the caller that leaves, request ids, and the one table of statuses.

Serves `api` and `console`. No use case, price or database may enter.
"""
