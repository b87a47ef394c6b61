"""Out to disk: the only room that knows SQL. PostgreSQL, named queries, forward-only migrations.

No rule about prices, models or HTTP may enter; money's rules of concurrency live here, in the database's language.
"""
