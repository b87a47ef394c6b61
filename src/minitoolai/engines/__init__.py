"""Out to models: one file per kind of upstream, each folding its failures into `core.errors`.

No price, balance or HTTP server may enter.
"""
