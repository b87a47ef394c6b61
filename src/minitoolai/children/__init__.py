"""Programs of their own that hold a native engine, started by `runtime/` and spoken to over a Unix socket.

One process per loaded model: native code that crashes, leaks or hangs takes its own process with it and never the
gateway. This is the only room that imports native engines. What must never enter: HTTP routes of our own surfaces,
money, the database, other rooms of the house but `core`.

Every program here keeps the same manners:

* it reads one JSON line, its boot document, from standard input, which then stays open as a **lifeline**:
  when it closes, the parent is gone and the program leaves at once (`lifeline`);
* it writes JSON lines only to standard output: `progress`, `ready` or `failed` (`report`);
* it logs to standard error, exits with 0 when told to stop and 1 when it failed.
"""
