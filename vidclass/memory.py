"""How much memory this process may use."""

import os
import resource

UNLIMITED = 2**62  # what cgroup v1 says where there is no limit is a little less than 2**63
FILES = (
    "sys/fs/cgroup/{}/memory.max",
    "sys/fs/cgroup/unified/{}/memory.max",  # version 2, alone or beside 1
    "sys/fs/cgroup/memory/{}/memory.limit_in_bytes",
)  # version 1


def memory_limit(root="/"):
    """Bytes: the least of the machine's memory, those of its control groups (containers, Slurm, systemd) and
    RLIMIT_AS. root: of the file system in which to look for the groups."""
    limits = [os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES"), *_group_limits(root)]
    address_space = resource.getrlimit(resource.RLIMIT_AS)[0]
    if address_space != resource.RLIM_INFINITY:
        limits.append(address_space)
    return min(limits)


def _group_limits(root):
    """The limits of this process's control groups and all above them, bytes."""
    for line in _read(root, "proc/self/cgroup").splitlines():
        _, controllers, path = (line.split(":", 2) + ["", ""])[:3]
        if controllers == "" or "memory" in controllers.split(","):
            # A container often sees its own group as the root, while the path is told as the machine sees it:
            # some of these folders need not be there.
            parts = [part for part in path.split("/") if part]
            for length in range(len(parts), -1, -1):
                group = "/".join(parts[:length])
                for file in FILES:
                    text = _read(root, file.format(group)).strip()
                    if text.isdecimal() and int(text) < UNLIMITED:  # else "max", or no such file
                        yield int(text)


def _read(root, name):
    try:
        with open(os.path.join(root, name), encoding="utf-8", errors="replace") as file:
            return file.read()
    except OSError:
        return ""
