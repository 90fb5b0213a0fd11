"""Writes constraints.txt: the exact versions of all that the requirements need, for each supported Python.

pip chooses the newest versions that fit together, for Linux on x86-64. --keep: where a Python takes them, the
versions that are installed in this environment.

    python .ci/update_constraints.py
"""

import argparse
import importlib.metadata
import json
import os
import re
import subprocess
import sys
import tempfile

from packaging.requirements import Requirement
from packaging.specifiers import SpecifierSet

ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
PYTHONS = ("3.10", "3.11", "3.12", "3.13")
FILES = ("requirements.txt", "requirements-ray.txt", "tests/requirements.txt", "tests/requirements-lint.txt")
WITHOUT_WHEEL = ("srt",)  # pip chooses for another Python only among wheels
UNPINNED = ("pip", "setuptools", "wheel")  # tools of the environment, which its Python chooses
HEADER = """\
# The exact versions that passed the tests. Written by make update.
"""


def requirements():
    """The lines of the files, without comments, includes and what has no wheel."""
    lines = []
    for name in FILES:
        with open(os.path.join(ROOT, name)) as file:
            lines += [line.split("#")[0].strip() for line in file]
    names = [re.match(r"[\w-]*", line)[0] for line in lines]
    return [
        line for line, name in zip(lines, names, strict=True) if name and name not in ("-r", *WITHOUT_WHEEL)
    ]


def choose(python, kept):
    """{name: version} of all that pip would install for a version of Python. kept: lines of constraints."""
    wanted = requirements()
    while True:
        packages = resolve(python, kept, wanted)
        names = {normalized(package["name"]) for package in packages}
        needed = {name for package in packages for name in needs(package, python)} - names
        if not needed:
            return {normalized(package["name"]): package["version"] for package in packages}
        wanted += sorted(needed)


def resolve(python, kept, wanted):
    """The metadata of the packages that pip chooses. It reads markers as its own Python: see needs."""
    with tempfile.TemporaryDirectory() as folder:
        report, constraints = os.path.join(folder, "report.json"), os.path.join(folder, "constraints.txt")
        with open(constraints, "w") as file:
            file.write("\n".join(kept))
        command = [sys.executable, "-m", "pip", "install", "--dry-run", "--ignore-installed"]
        command += ["--report", report, "--python-version", python, "--only-binary", ":all:"]
        command += ["--target", folder, "--constraint", constraints, *wanted]
        result = subprocess.run(command, capture_output=True, text=True)
        if result.returncode:
            sys.exit(f"Python {python}: {result.stdout[-2000:]}\n{result.stderr[-2000:]}")
        with open(report) as file:
            packages = [item["metadata"] for item in json.load(file)["install"]]
    for package in packages:  # an index on a disk does not say which Python a file is for
        if python not in SpecifierSet(package.get("requires_python", "")):
            sys.exit(
                f"Python {python}: pip chose {package['name']} {package['version']}, which does not run on it"
            )
    return packages


def needs(package, python):
    """The names of what a package needs with a version of Python, extras aside."""
    environment = {"python_version": python, "python_full_version": f"{python}.0", "extra": ""}
    for text in package.get("requires_dist", []):
        requirement = Requirement(text)
        if requirement.marker and requirement.marker.evaluate(environment):
            yield normalized(requirement.name)


def installed_for(python):
    """Lines of constraints: the versions that are installed here and that a version of Python takes."""
    return [
        f"{item.name}=={item.version}"
        for item in importlib.metadata.distributions()
        if python in SpecifierSet(item.metadata["Requires-Python"] or "") and item.name not in UNPINNED
    ]


def normalized(name):
    return re.sub(r"[-_.]+", "-", name).lower()


def lines_of(name, versions):
    """The lines of constraints.txt for a package. versions: {Python: version}."""
    if set(versions) == set(PYTHONS) and len(set(versions.values())) == 1:
        return [f"{name}=={versions[PYTHONS[0]]}"]
    lines = []
    for version in dict.fromkeys(versions.values()):
        pythons = [python for python in PYTHONS if versions.get(python) == version]
        marker = " or ".join(f'python_version == "{python}"' for python in pythons)
        if pythons == list(PYTHONS[: len(pythons)]):
            marker = f'python_version <= "{pythons[-1]}"'
        elif pythons == list(PYTHONS[-len(pythons) :]):
            marker = f'python_version >= "{pythons[0]}"'
        lines.append(f"{name}=={version}; {marker}")
    return lines


def main():
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--keep", action="store_true", help="keep the versions that are installed here")
    args = parser.parse_args()
    chosen = {}
    for python in PYTHONS:
        chosen[python] = choose(python, installed_for(python) if args.keep else [])
        print(f"Python {python}: {len(chosen[python])} packages", flush=True)
    for name in WITHOUT_WHEEL:
        for versions in chosen.values():
            versions[name] = importlib.metadata.version(name)
    names = sorted(set().union(*chosen.values()) - set(UNPINNED))
    lines = [
        line
        for name in names
        for line in lines_of(
            name, {python: chosen[python][name] for python in PYTHONS if name in chosen[python]}
        )
    ]
    with open(os.path.join(ROOT, "constraints.txt"), "w") as file:
        file.write(HEADER + "\n".join(lines) + "\n")


if __name__ == "__main__":
    main()
