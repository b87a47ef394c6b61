"""Names of hosts, as DNS has them."""

from __future__ import annotations

import re

#: The last part is no number, of whatever base: the system's look-up takes `127.1`, `2130706433` and `0x7f000001` for
#: addresses.
_NAME = re.compile(r"(?=.{1,253}\.?$)(?:[a-z0-9_-]{1,63}\.)*(?!\d+\.?$|0x[0-9a-f]*\.?$)[a-z0-9_-]{1,63}\.?")


def is_host_name(host: str) -> bool:
    """Whether `host`, in lower case, is a name and no address in any writing."""
    return _NAME.fullmatch(host) is not None
