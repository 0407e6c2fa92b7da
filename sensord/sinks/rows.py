"""
What stands in CSV files, and in their names.
"""

import re
import time
from hashlib import blake2b

#: How many devices are remembered by the names of their files. Without a limit, a peer that makes
#: up ids would let the state grow, which is written twice for each batch.
_MAX_OWNERS = 1_000

#: The longest part of a file's name that a device has a say in. Ids of 300 characters would fit no
#: file system.
_MAX_NAME = 100

#: What a field cannot contain without quotes.
_QUOTED = re.compile('[,"\r\n]|^ | $')

#: What the name of a file should not contain: an id of C{../x} would get it out of its folder.
_UNFIT = re.compile("[^A-Za-z0-9.-]")


def owned(owners: dict[str, str], address: str) -> str:
    """
    What the files of a device are called, which no others are.

    @param owners: is added to.
    """
    listener, _slash, id = address.partition("/")
    name = id or listener
    if name.isascii() and name.isdecimal():
        name = name.zfill(3)
    for one in (_UNFIT.sub("_", text)[:_MAX_NAME] for text in (name, f"{name}-{listener}")):
        if one not in owners and len(owners) < _MAX_OWNERS:
            owners[one] = address
        if owners.get(one) == address:
            return one
    mark = blake2b(address.encode(errors="backslashreplace"), digest_size=8).hexdigest()
    return f"{_UNFIT.sub('_', name)[:_MAX_NAME]}-{mark}"


def day(date: time.struct_time) -> str:
    """
    A date as it stands in the name of a file.
    """
    return f"{date.tm_year:04d}{date.tm_mon:02d}{date.tm_mday:02d}"


def clock(date: time.struct_time) -> str:
    """
    The time of day.
    """
    return f"{date.tm_hour:02d}:{date.tm_min:02d}:{date.tm_sec:02d}"


def field(value: object) -> str:
    """
    A name or a value, quoted if it has to be.
    """
    if isinstance(value, bool):
        return "true" if value else "false"
    text = value if isinstance(value, str) else repr(value)
    return '"' + text.replace('"', '""') + '"' if _QUOTED.search(text) else text
