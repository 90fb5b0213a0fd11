"""The rules of the house, read from the code: who may import whom, when, and how large things are."""

import ast
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
from conftest import ROOT

COMMANDS = ("extract_files", "extract_features", "train", "evaluate", "clasify", "cut_clips", "label")
ARTICLE = ("data", "extractor", "models")
# What each room of the package may import beside itself. The modules at its top may import one another.
ROOMS = {
    "video": set(),
    "dataset": {"video"},
    "features": {"video", "dataset"},
    "training": {"video", "dataset", "features"},
    "recording": {"video", "dataset", "features", "training"},
    "labelling": {"video", "dataset", "features", "training"},
}
# Installed by those who want them, or one of several that Keras may run on: imported where they are used.
OPTIONAL = {"ray", "pyarrow", "fsspec", "imageio_ffmpeg", "tensorflow", "jax", "torch", "absl"}
MOST_PARAMETERS, MOST_LINES = 6, 60


def modules():
    """{module name: its syntax tree} of the commands, the article's classes and the package."""
    files = [Path(ROOT, f"{name}.py") for name in (*COMMANDS, *ARTICLE)] + sorted(
        Path(ROOT, "vidclass").rglob("*.py")
    )
    names = (file.relative_to(ROOT).with_suffix("").as_posix().replace("/", ".") for file in files)
    return {name: ast.parse(file.read_text(encoding="utf-8")) for name, file in zip(names, files)}


MODULES = modules()
OURS = set(MODULES)


def imports(tree):
    """(imported module, its ast node) of all imports in a syntax tree, names that are modules as such."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from ((alias.name, node) for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            inner = [f"{node.module}.{alias.name}" for alias in node.names]
            known = [name for name in inner if name in OURS]
            yield from ((name, node) for name in known or [node.module])


def floor(name):
    return 2 if name in COMMANDS else 1 if name in ARTICLE else 0


def room(name):
    parts = name.split(".")
    return parts[1] if len(parts) > 2 else None


@pytest.mark.parametrize("name", MODULES)
def test_commands_import_classes_and_these_the_package_never_back(name):
    for used, _ in imports(MODULES[name]):
        if used in OURS:
            assert floor(used) <= floor(name), f"{name} imports {used}"
            assert used != name


@pytest.mark.parametrize("name", [name for name in MODULES if name.startswith("vidclass.")])
def test_rooms_import_what_they_may(name):
    for used, _ in imports(MODULES[name]):
        if used not in OURS or room(used) in (None, room(name)):
            continue
        if room(name) is None:
            assert used == "vidclass.video.limits", f"{name}, which all rooms use, imports {used}"
        else:
            assert room(used) in ROOMS[room(name)], f"{name} imports {used}"


def test_no_imports_go_in_circles():
    graph = {name: {used for used, _ in imports(tree) if used in OURS} for name, tree in MODULES.items()}
    done, under_way = set(), []

    def visit(name):
        assert name not in under_way, " -> ".join([*under_way[under_way.index(name) :], name])
        if name not in done:
            under_way.append(name)
            for used in sorted(graph[name]):
                visit(used)
            done.add(under_way.pop())

    for name in graph:
        visit(name)


@pytest.mark.parametrize("name", MODULES)
def test_imports_stand_at_the_top(name):
    """But for what is optional, and in commands for what would make --help slow."""
    inside = {
        node
        for function in ast.walk(MODULES[name])
        if isinstance(function, ast.FunctionDef)
        for node in ast.walk(function)
    }
    late = {used.split(".")[0] for used, node in imports(MODULES[name]) if node in inside}
    if name in COMMANDS:
        late -= {"vidclass", *ARTICLE, *COMMANDS, "keras"}
    if name == "vidclass.keras_loading":  # which is there to load it late
        late -= {"keras"}
    assert late <= OPTIONAL


@pytest.mark.parametrize("name", MODULES)
def test_no_class_is_defined_inside_of_a_function(name):
    functions = [n for n in ast.walk(MODULES[name]) if isinstance(n, ast.FunctionDef)]
    assert not [c.name for function in functions for c in ast.walk(function) if isinstance(c, ast.ClassDef)]


def functions():
    for name, tree in MODULES.items():
        for node in ast.walk(tree):
            if isinstance(node, ast.FunctionDef):
                yield f"{name}.{node.name}", node


def test_functions_are_short_and_take_few_parameters():
    large = {}
    for name, node in functions():
        arguments = [*node.args.posonlyargs, *node.args.args, *node.args.kwonlyargs]
        parameters = len([argument for argument in arguments if argument.arg not in ("self", "cls")])
        lines = node.end_lineno - node.lineno + 1
        if parameters > MOST_PARAMETERS or lines > MOST_LINES:
            large[name] = (parameters, lines)
    assert large == {}


@pytest.mark.parametrize("command", COMMANDS)
def test_help_loads_nothing_that_is_slow(command):
    """Its time depends on the machine; what it loads doesn't."""
    script = (
        "import sys, runpy; sys.argv = [sys.argv[1], '--help']\n"
        "try: runpy.run_path(sys.argv[0], run_name='__main__')\n"
        "except SystemExit: pass\n"
        "print(*sorted({name.split('.')[0] for name in sys.modules}), file=sys.stderr)"
    )
    path = os.path.join(ROOT, f"{command}.py")
    result = subprocess.run(
        [sys.executable, "-c", script, path],
        capture_output=True,
        text=True,
        cwd=ROOT,
        env={**os.environ, "PYTHONPATH": ROOT},
    )
    assert "usage:" in result.stdout
    slow = {
        "cv2",
        "pandas",
        "keras",
        "tensorflow",
        "matplotlib",
        "sklearn",
        "scipy",
        "h5py",
        "ray",
        "starlette",
        "scenedetect",
    }
    assert slow & set(result.stderr.split()) == set()


def table_of_rooms():
    text = Path(ROOT, "docs", "architecture.md").read_text(encoding="utf-8")
    return re.findall(r"^\| `([\w/]+\.py)` \| (.+?) \|$", text, re.M)


def test_the_table_of_rooms_is_complete_and_true():
    files = [f"{name.replace('.', '/')}.py" for name in MODULES if not name.endswith("__init__")]
    listed = [file for file, _ in table_of_rooms()]
    assert sorted(listed) == sorted(files)
