"""What test files share beside the fixtures of conftest.py."""

import subprocess

from vidclass.video.ffmpeg import find_ffmpeg


def ffmpeg(*arguments, **options):
    """Runs ffmpeg, which must succeed. An argument that begins with a dash is split at blanks:
    "-c:v mpeg4 -q:v 2". options: of subprocess.run. Returns a finished subprocess.CompletedProcess."""
    words = []
    for argument in map(str, arguments):
        words += argument.split() if argument.startswith("-") else [argument]
    return subprocess.run([find_ffmpeg(), "-nostdin", "-v", "error", "-y", *words], check=True, **options)
