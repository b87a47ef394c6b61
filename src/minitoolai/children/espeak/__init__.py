"""The child that speaks with espeak-ng: over a hundred languages, no downloads, and a library that texts make crash.

So the library is in a process of its own, the mouth (`mouth`), which speaks each piece in a fork: what a text does to it
dies with that piece. The child itself chooses voices, cuts texts and encodes; it never loads the library.
"""
