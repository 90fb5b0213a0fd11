"""Feeds bytes to a check of test_fuzz_files.py under atheris, which looks for those that take new paths
through the code.

pip install atheris
python tests/fuzz/with_atheris.py check_labels -max_total_time=600
"""

import os
import sys
import tempfile
from pathlib import Path

import atheris

sys.path.insert(0, os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
import conftest  # noqa: E402, F401  (puts the project's root on the path)

with atheris.instrument_imports(include=["data", "vidclass"]):
    import test_fuzz_files


def main():
    check = getattr(test_fuzz_files, sys.argv.pop(1))
    with tempfile.TemporaryDirectory() as folder:
        atheris.Setup(sys.argv, lambda content: check(Path(folder), content))
        atheris.Fuzz()


if __name__ == "__main__":
    main()
