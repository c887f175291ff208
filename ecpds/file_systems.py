"""What kind of file system a file stands on."""

from __future__ import annotations

import os

MEMORY_FILE_SYSTEMS = frozenset({"tmpfs", "ramfs", "hugetlbfs"})
"""Those that never wait for a disk."""


def file_system_type(device: int) -> str:
    """The type of the mounted file system with this `st_dev`, such as "ext4"; empty when it is not in the mount table."""
    wanted = f"{os.major(device)}:{os.minor(device)}"
    with open("/proc/self/mountinfo", encoding="utf-8", errors="surrogateescape") as table:
        for line in table:
            mount, _, source = line.partition(" - ")
            if mount.split()[2] == wanted:
                return source.split()[0]
    return ""
