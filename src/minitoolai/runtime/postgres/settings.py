"""How the embedded server is set up, all of it on its command line: what is written here is what runs."""

from __future__ import annotations

from collections.abc import Mapping

#: The role and the database of the application. The role owns the database and is no superuser.
NAME = "minitoolai"
#: The superuser, for upgrades only.
ADMIN = "postgres"
#: PostgreSQL's parameters.
SETTINGS: Mapping[str, str] = {
    "listen_addresses": "",  # the Unix socket only
    "port": "5432",  # part of the socket's name
    "unix_socket_permissions": "0700",
    "max_connections": "100",
    "shared_buffers": "128MB",  # taken as it is used, so an idle server stays small
    "io_method": "sync",  # the default keeps three more processes
    "max_parallel_workers_per_gather": "0",  # would need /dev/shm, 64 MB in a container; our queries are short
    "dynamic_shared_memory_type": "mmap",  # for the same reason
    "max_wal_size": "512MB",  # bounds the disk taken and the length of a recovery
    "wal_compression": "pglz",
    "synchronous_commit": "on",  # money
    "fsync": "on",
    "full_page_writes": "on",
    "max_logical_replication_workers": "0",  # one process less
    "jit": "off",
    "timezone": "UTC",
    "log_timezone": "UTC",
    "logging_collector": "off",  # to standard error, which we keep in a bounded file
    "log_line_prefix": "%m [%p] ",
    "log_checkpoints": "off",
    # Errors of statements go to the caller. Their texts quote values, and what callers sent belongs in no log.
    "log_min_messages": "log",
    "log_min_error_statement": "panic",
    "log_error_verbosity": "terse",
}
#: Who may connect (pg_hba.conf): whoever reaches the socket and knows a password.
ACCESS = "# Written by minitoolai.\nlocal all all scram-sha-256\n"
#: Our environment would reach the server otherwise (PGDATA, LD_PRELOAD …). macOS insists on a locale.
ENVIRONMENT = {"LC_ALL": "C", "TZ": "UTC", "PATH": "/usr/bin:/bin"}
