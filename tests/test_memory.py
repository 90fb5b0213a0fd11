"""The memory that a process may use: of the machine, of its container, of its own limit."""

import os
import resource
import subprocess
import sys

import pytest
from conftest import ROOT

from vidclass import memory

MACHINE = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
GB = 10**9


def test_the_machine_alone(tmp_path):
    """No cgroups, and ones without a limit."""
    if resource.getrlimit(resource.RLIMIT_AS)[0] != resource.RLIM_INFINITY:
        pytest.skip("these tests run under a limit")
    assert memory.memory_limit(tmp_path) == MACHINE
    assert memory.memory_limit() <= MACHINE


@pytest.mark.parametrize(
    "cgroup, files, expected",
    [
        # version 2: the group itself, one above it, the container's own root
        ("0::/a/b\n", {"a/b/memory.max": "1000000000", "a/memory.max": "max"}, GB),
        ("0::/a/b\n", {"a/b/memory.max": "max", "a/memory.max": "500000000\n"}, GB // 2),
        ("0::/a/b\n", {"a/b/memory.max": "900000000", "a/memory.max": "500000000\n"}, GB // 2),
        ("0::/\n", {"memory.max": "1000000000\n"}, GB),
        ("0::/docker/0123\n", {"memory.max": "1000000000\n"}, GB),
        # version 1: as the machine's path, as the container's root; among other controllers
        (
            "9:cpu,cpuacct:/x\n8:memory:/docker/0123\n",
            {"memory/docker/0123/memory.limit_in_bytes": "1000000000"},
            GB,
        ),
        ("8:memory:/docker/0123\n", {"memory/memory.limit_in_bytes": "1000000000"}, GB),
        (
            "8:hugetlb,memory:/x\n",
            {
                "memory/x/memory.limit_in_bytes": "1000000000",
                "memory/memory.limit_in_bytes": "9223372036854771712",
            },
            GB,
        ),
        # both
        ("8:cpu:/\n0::/a\n", {"unified/a/memory.max": "1000000000"}, GB),
        # none
        ("0::/a\n", {"a/memory.max": "max"}, MACHINE),
        ("8:memory:/\n", {"memory/memory.limit_in_bytes": "9223372036854771712"}, MACHINE),
        ("0::/a:b/c\n", {"a:b/c/memory.max": "1000000000"}, GB),
        ("9:cpu:/a\n0::/\n", {"a/memory.max": "1000000000"}, MACHINE),
        ("nonsense\n\0\n::\n", {"memory.max": "-1"}, MACHINE),
    ],
)
def test_the_least_of_all_groups(tmp_path, cgroup, files, expected):
    (tmp_path / "proc/self").mkdir(parents=True)
    (tmp_path / "proc/self/cgroup").write_text(cgroup)
    for name, text in files.items():
        path = tmp_path / "sys/fs/cgroup" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    assert memory.memory_limit(tmp_path) == expected


def test_the_limit_of_the_address_space():
    """As `ulimit -v` sets it: asked of a process that has it."""
    code = (
        f"import sys; sys.path.insert(0, {ROOT!r}); from vidclass import memory; print(memory.memory_limit())"
    )
    result = subprocess.run(
        [sys.executable, "-c", code],
        capture_output=True,
        text=True,
        preexec_fn=lambda: resource.setrlimit(
            resource.RLIMIT_AS, (GB, resource.getrlimit(resource.RLIMIT_AS)[1])
        ),
    )
    assert int(result.stdout) == min(GB, memory.memory_limit())
