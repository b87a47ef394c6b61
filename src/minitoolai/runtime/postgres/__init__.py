"""The embedded database: PostgreSQL's own server, run by us as a child, on a Unix socket only.

It lives and dies with us, recovers after any death however long that takes, and is never shared by two servers.
`place` says where it lives, `binaries` which programs run, `lock` and `orphans` what keeps others and the remains
of an earlier one away, `setup` how it is made. No SQL of the application belongs here.
"""

from minitoolai.runtime.postgres.binaries import Binaries
from minitoolai.runtime.postgres.errors import DatabaseStartFailed
from minitoolai.runtime.postgres.server import EmbeddedPostgres, running_url, temporary_server

__all__ = ["Binaries", "DatabaseStartFailed", "EmbeddedPostgres", "running_url", "temporary_server"]
