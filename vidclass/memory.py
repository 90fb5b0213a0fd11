"""How much memory this process may use."""

import os

from vidclass import platform

UNKNOWN = 2**32  # bytes that are taken for the machine's memory where the system can't tell


def memory_limit(root: str | os.PathLike = "/") -> int:
    """Bytes: the least of the machine's memory, those of its control groups (containers, Slurm, systemd) and
    RLIMIT_AS. root: of the file system in which to look for the groups."""
    found = [platform.physical_memory(), platform.address_space_limit(), *platform.group_memory_limits(root)]
    return min((limit for limit in found if limit is not None), default=UNKNOWN)
