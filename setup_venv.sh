#!/bin/sh
# Makes the virtual environment and installs requirements.txt, in the versions of constraints.txt. Usage: sh setup_venv.sh python3 .venv
set -eu
python=$1
venv=$2

if ! "$python" -c 'import sys; sys.exit(sys.version_info < (3, 10))'; then
    echo "error: $("$python" --version 2>&1) is too old, 3.10 is needed: make PYTHON=python3.11 ..." >&2
    exit 1
fi
if "$python" -c 'import ensurepip' 2>/dev/null; then
    "$python" -m venv "$venv"
else
    # Debian's python3 comes without pip and without the means to install it in a virtual environment. pip's wheel can
    # be run as it is, to install itself.
    "$python" -m venv --without-pip "$venv"
    "$venv/bin/python" - <<'EOF'
import json, os, subprocess, sys, tempfile, urllib.parse, urllib.request
index = "https://pypi.org/pypi/pip/json"
try:
    with urllib.request.urlopen(index) as answer:
        files = json.load(answer)["urls"]
    # A mirror's addresses may be relative.
    url = urllib.parse.urljoin(index, next(file["url"] for file in files if file["filename"].endswith(".whl")))
    with tempfile.TemporaryDirectory() as folder:
        wheel, _ = urllib.request.urlretrieve(url, os.path.join(folder, url.rsplit("/", 1)[1]))
        subprocess.run([sys.executable, os.path.join(wheel, "pip"), "install", "-q", wheel], check=True)
except OSError as error:
    sys.exit(f"error: no pip, and it can't be fetched ({error}); install it first: apt install python3-venv")
EOF
fi
pip="$venv/bin/python -m pip --disable-pip-version-check"
echo "Installing requirements.txt into $venv (some minutes, about 3 GB)"
$pip install -q -r requirements.txt -c constraints.txt
# opencv-python needs a desktop's libraries (libGL, glib). A server without them gets the same OpenCV without windows,
# which nothing here opens.
if ! "$venv/bin/python" -c 'import cv2' 2>/dev/null; then
    $pip uninstall -q -y opencv-python
    $pip install -q -c constraints.txt "$(grep ^opencv-python== constraints.txt | sed s/opencv-python/opencv-python-headless/)"
fi
