"""The process: settings, the composition root, the embedded server, the supervisor.

The only room that sees the environment. No rule of the business may enter.
"""
