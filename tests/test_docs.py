"""README.md, CONTRIBUTING.md and docs/ say what is so: options, commands, links, what commands print."""

import ast
import json
import os
import re
import shlex
import shutil
import subprocess
import sys

import pytest
from conftest import ROOT, run

README_BYTES = 7168
COMMANDS = (
    "label.py",
    "cut_clips.py",
    "extract_files.py",
    "extract_features.py",
    "train.py",
    "evaluate.py",
    "clasify.py",
)
OPTION = r"--[a-z][a-z-]*"


def pages():
    """Paths of the pages, relative to the project's folder."""
    docs = sorted(f"docs/{name}" for name in os.listdir(os.path.join(ROOT, "docs")) if name.endswith(".md"))
    return [
        page for page in ("README.md", "CONTRIBUTING.md") if os.path.exists(os.path.join(ROOT, page))
    ] + docs


def read(page):
    with open(os.path.join(ROOT, page), encoding="utf-8") as file:
        return file.read()


def sections(text):
    """{heading: text below it, up to the next heading of any level}."""
    parts = re.split(r"^#+ (.*)\n", text, flags=re.MULTILINE)
    return dict(zip(parts[1::2], parts[2::2], strict=True))


def rows(text):
    """The cells of each row of the tables, without their headings. "\\|" is no end of a cell."""
    lines = [line for line in text.splitlines() if line.startswith("|")]
    cells = [[cell.strip() for cell in re.split(r"(?<!\\)\|", line)[1:-1]] for line in lines]
    return [row for row in cells[2:] if not row[0].startswith("---")]


def commands(page):
    """(the words of a command, the line that it stands on) of those in code blocks and in backticks."""
    text = read(page)
    fenced = "".join(re.findall(r"^```.*\n((?:.*\n)*?)```$", text, re.MULTILINE))
    found = re.findall(r"^    (?:\$ )?(.*)$", text, re.MULTILINE) + fenced.splitlines()  # code blocks
    found += re.findall(r"`([^`\n]+)`", text)
    for line in found:
        # SLURM_ARRAY_TASK_ID, say, is a number
        words = shlex.split(re.sub(r"\$[A-Z_]+", "1", line), comments=True) if is_command(line) else []
        while words and re.fullmatch(r"[A-Z_]+=\S*", words[0]):
            words = words[1:]
        if words:
            yield words, line


def is_command(line):
    return re.match(r"([A-Z_]+=\S+ )*(python \S+\.py|make\b|pytest |pip install -r )", line) is not None


# Imports each script and lets its own parser read the arguments, without doing the work. Prints for each of
# them {"help": what --help prints, "errors": [None or why a command line is refused]}.
PARSE = """
import argparse, contextlib, importlib.util, io, json, os, sys
root, given = sys.argv[1], json.load(sys.stdin)
sys.path.insert(0, root)
from vidclass import cli
cli.run = lambda work, debug=False: 0  # a command's main() ends with it

class Parsed(Exception):
    pass

def parse_args(self, *arguments, **keywords):
    self.allow_abbrev = False
    parsed = parse(self, *arguments, **keywords)
    if is_benchmark:  # it works in main() itself
        raise Parsed
    return parsed

def call(script, arguments):
    sys.argv = [os.path.basename(script), *arguments]
    output = io.StringIO()
    try:
        with contextlib.redirect_stdout(output), contextlib.redirect_stderr(output):
            module.main()
    except Parsed:
        return None
    except SystemExit as end:
        return output.getvalue() if end.code else None if arguments != ["--help"] else output.getvalue()

parse, answers = argparse.ArgumentParser.parse_args, {}
argparse.ArgumentParser.parse_args = parse_args
for script, command_lines in given.items():
    is_benchmark = bool(os.path.dirname(script))
    sys.path[0] = os.path.dirname(os.path.join(root, script))
    path = os.path.join(root, script)
    spec = importlib.util.spec_from_file_location("page_" + os.path.basename(script)[:-3], path)
    module = importlib.util.module_from_spec(spec)
    sys.path.insert(1, root)
    spec.loader.exec_module(module)
    errors = [call(script, line) for line in command_lines]
    answers[script] = {"help": call(script, ["--help"]), "errors": errors}
print("ANSWERS" + json.dumps(answers))
"""


@pytest.fixture(scope="module")
def parsed():
    """{script: (what --help prints, {line of a page: None or why the script's parser refuses it})}."""
    given = {script: {} for script in COMMANDS}
    for page in pages():
        for words, line in commands(page):
            if words[0] == "python" and is_parsed(words[1]) and "[options]" not in line:
                given.setdefault(words[1], {})[line] = words[2:]
    answers = subprocess.run(
        [sys.executable, "-c", PARSE, ROOT],
        input=json.dumps({script: list(lines.values()) for script, lines in given.items()}),
        capture_output=True,
        text=True,
        cwd=os.path.join(ROOT, "tests"),
        env={**os.environ, "COLUMNS": "200"},
    )
    assert answers.returncode == 0, answers.stderr
    answers = json.loads(answers.stdout.rpartition("ANSWERS")[2])
    return {
        script: (answers[script]["help"], dict(zip(lines, answers[script]["errors"], strict=True)))
        for script, lines in given.items()
    }


def is_parsed(script):
    """Whether the script is a command or a benchmark. Others have no options."""
    return os.path.exists(os.path.join(ROOT, script)) and os.path.dirname(script) in ("", "benchmarks")


def options_of(help_text):
    lines = re.findall(rf"^  (?:-\w, )?({OPTION}(?:, {OPTION})*)", help_text, re.MULTILINE)
    return {option for line in lines for option in re.findall(OPTION, line)}  # --group, --no-group


def documented(command):
    """The options that the reference lists for a command."""
    parts = sections(read("docs/reference.md"))
    cells = [row[0] for row in rows(parts["All commands"]) + rows(parts[command])]
    cells += [row[0] for row in rows(parts["Options of several commands"]) if f"`{command}`" in row[1]]
    return {option for cell in cells for option in re.findall(OPTION, cell)}


def test_the_readme_is_short():
    size = os.path.getsize(os.path.join(ROOT, "README.md"))
    assert size <= README_BYTES, f"{size} bytes"


@pytest.mark.parametrize("command", COMMANDS)
def test_the_reference_lists_the_options_that_help_prints(parsed, command):
    assert documented(command) == options_of(parsed[command][0])


@pytest.mark.parametrize("command", COMMANDS)
def test_the_reference_lists_the_arguments_that_help_prints(parsed, command):
    """In their order: "python train.py SEQ_LENGTH CLASSES HEIGHT WIDTH [options]"."""
    usage = re.search(
        rf"^    python {command} ([A-Z_ ]+)\[options\]$", read("docs/reference.md"), re.MULTILINE
    )
    positional = re.search(r"^positional arguments:\n(.*?)\n\n", parsed[command][0], re.MULTILINE | re.DOTALL)
    names = re.findall(r"^  (\w+) ", positional[1], re.MULTILINE)
    assert usage and usage[1].lower().split() == names


@pytest.mark.parametrize("page", pages())
def test_options_that_a_page_mentions_exist(parsed, page):
    known = set().union(*(options_of(text) for text, _ in parsed.values()))
    for span in re.findall(r"`(--[^`\n]+)`", read(page)):
        assert set(re.findall(rf"(?<!\S){OPTION}", span)) <= known, span


@pytest.mark.parametrize("page", pages())
def test_commands_of_a_page(parsed, page):
    """Scripts, make targets and files exist; a script takes the options and arguments that it is given."""
    targets = set(re.findall(r"^([a-z-]+):", read("Makefile"), re.MULTILINE))
    for words, line in commands(page):
        if words[0] == "make":
            assert {word for word in words[1:] if "=" not in word} <= targets, line
        elif words[0] == "python":
            assert os.path.exists(os.path.join(ROOT, words[1])), line
            if is_parsed(words[1]) and "[options]" not in line:
                assert parsed[words[1]][1][line] is None, f"{line}: {parsed[words[1]][1][line]}"
        else:  # pip install -r FILE -c FILE, pytest PATH ...
            files = [word for word in words[1:] if not word.startswith("-") and word != "install"]
            assert files and all(os.path.exists(os.path.join(ROOT, file)) for file in files), line


def anchors(page):
    """Those that GitHub makes of a page's headings."""
    headings = re.findall(r"^#+ (.*)$", read(page), re.MULTILINE)
    return {re.sub(r"[^\w -]", "", heading.lower()).replace(" ", "-") for heading in headings}


@pytest.mark.parametrize("page", pages())
def test_links_of_a_page(page):
    for target in re.findall(r"\]\(([^)\s]+)\)", read(page)):
        if "://" in target:
            continue
        path, _, anchor = target.partition("#")
        path = os.path.normpath(os.path.join(os.path.dirname(page), path)) if path else page
        assert os.path.exists(os.path.join(ROOT, path)), target
        assert not anchor or anchor in anchors(path), target


def test_each_page_is_linked_to():
    linked = re.findall(r"\]\(([^)#\s]+)", read("README.md"))
    assert {page for page in pages() if page != "README.md"} <= set(linked)


def pattern(line):
    """What a line of a page looks like with other numbers, classes, plurals and files."""
    text = re.sub(r"[\d,.]*\d", "<number>", line)
    text = re.sub(r"\b(clip|stretch|frame|segment|sequence)(e?s)?\b", "<noun>", text)
    text = re.escape(re.sub(r"\b(Commercial|Football)\b", "<class>", text))
    text = text.replace("<number>", r"[\d,.]*\d").replace("<class>", r"\w+")
    return text.replace("<noun>", r"\w+")


def examples():
    """{command: (its arguments, what README.md shows of its output)}."""
    found = {}
    for block in re.findall(r"(?:^    .*\n)+", read("README.md"), re.MULTILINE):
        head, *shown = [line[4:] for line in block.splitlines()]
        if head.startswith("$ python "):
            _, command, *arguments = shlex.split(head[2:])
            found[command] = arguments, [line for line in shown if line != "..."]
    return found


@pytest.fixture
def own_videos(tmp_path):
    """A folder as README.md has it, with little in it: clips, labels, and the recording that they are of."""
    folder = tmp_path / "own"
    shutil.copytree(os.path.join(ROOT, "tests", "golden", "7bdb35d"), folder)
    (folder / "recording.mp4").rename(folder / "Football.mp4")
    return folder


def test_the_commands_of_the_readme_print_what_it_shows(own_videos):
    shown = examples()
    assert list(shown) == ["cut_clips.py", *COMMANDS[2:5], "clasify.py"]
    size, weights = ["4", "2", "75", "75"], ["--weights", "random"]
    smaller = {  # so that it takes seconds
        "cut_clips.py": lambda given: [*given[:2], "--seconds", "1", "--dry-run"],
        "extract_files.py": lambda given: given,
        "extract_features.py": lambda given: [*size, *given[4:], *weights],
        "train.py": lambda given: [*size, *given[4:], *weights, "--units", "2", "--epochs", "1"],
        "clasify.py": lambda given: [*size[:2], *given[2:]],
    }
    for command, (arguments, lines) in shown.items():
        result = run(own_videos, command, *smaller[command](arguments))
        assert result.returncode == 0 and lines, result.stderr
        for line in lines:
            assert re.search(f"^{pattern(line)}$", result.stdout, re.MULTILINE), f"{line}\n{result.stdout}"


@pytest.mark.slow
def test_the_demos_own_code_imports_what_there_is():
    """An import that fails there looks like weights that can't be downloaded."""
    with open(os.path.join(ROOT, "data/demo/demo.sh"), encoding="utf-8") as file:
        code = re.search(r"try_imagenet='(.*?)'", file.read(), re.DOTALL)[1]
    imports = [node for node in ast.walk(ast.parse(code)) if isinstance(node, ast.ImportFrom)]
    assert imports
    for node in imports:
        for alias in node.names:
            subprocess.run(
                [sys.executable, "-c", f"from {node.module} import {alias.name}"], check=True, cwd=ROOT
            )
