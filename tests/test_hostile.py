"""Videos that are none: references to other files and hosts, bombs, and names that programs take for
something else."""

import http.server
import os
import shutil
import struct
import subprocess
import sys
import threading

import numpy as np
import pytest
from conftest import ROOT, assert_one_line_error, count_frames, run
from helpers import ffmpeg, write_copy
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from data import DataSet
from extract_files import SplitOptions, extract_files
from vidclass.dataset.data_file import read_data_file
from vidclass.features.sequence_store import FolderStore
from vidclass.video.ffmpeg import find_ffmpeg, video_arguments
from vidclass.video.limits import DEFAULT_LIMITS, VideoLimits
from vidclass.video.reader import FrameReader


@pytest.fixture
def server(tmp_path):
    """(address of a server on this machine, the requests that it saw)."""
    requests = []

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self):
            requests.append(self.path)
            self.send_error(404)

        do_HEAD = do_POST = do_GET

        def log_message(self, *args):
            pass

    httpd = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=httpd.serve_forever, daemon=True)
    thread.start()
    yield f"http://127.0.0.1:{httpd.server_port}", requests
    httpd.shutdown()


def atom(kind, content):
    return struct.pack(">I4s", 8 + len(content), kind) + content


def with_data_elsewhere(mp4, location):
    """An MP4 file whose samples lie in another file: its data reference names `location`."""

    def rewrite(data):
        out, at = b"", 0
        while at < len(data):
            size, kind = struct.unpack(">I4s", data[at : at + 8])
            content = data[at + 8 : at + size]
            if kind in (b"moov", b"trak", b"mdia", b"minf", b"dinf"):
                content = rewrite(content)
            elif kind == b"dref":
                # alis and url, as QuickTime and ISO write them.
                content = struct.pack(">II", 0, 1) + atom(
                    b"url ", struct.pack(">I", 0) + location.encode() + b"\0"
                )
            out += atom(kind, content)
            at += size
        return out

    return rewrite(mp4)


def references(secret, address):
    """Files that look like videos and name another: (name, content)."""
    path = str(secret)
    for target in (path, f"file://{path}", f"{address}/x.mp4"):
        yield "hls", f"#EXTM3U\n#EXT-X-TARGETDURATION:1\n#EXTINF:1,\n{target}\n#EXT-X-ENDLIST\n"
        yield "concat", f"ffconcat version 1.0\nfile '{target}'\n"
        yield (
            "dash",
            (
                f'<?xml version="1.0"?><MPD xmlns="urn:mpeg:dash:schema:mpd:2011" type="static" '
                f'mediaPresentationDuration="PT1S"><Period><AdaptationSet mimeType="video/mp4">'
                f'<Representation id="1" bandwidth="1"><BaseURL>{target}</BaseURL></Representation>'
                f"</AdaptationSet></Period></MPD>"
            ),
        )
        yield "smil", f'<smil><body><video src="{target}"/></body></smil>'
        yield "asx", f"[Reference]\nRef1={target}\n"
        yield "ram", f"{target}\n"
        yield (
            "sdp",
            "v=0\no=- 0 0 IN IP4 127.0.0.1\ns=x\nc=IN IP4 127.0.0.1\nt=0 0\nm=video 5004 RTP/AVP 96\n"
            "a=rtpmap:96 H264/90000\n",
        )


@pytest.mark.parametrize("extension", ["mp4", "avi", "m3u8", "mpd", "ts"])
def test_a_video_that_names_another_opens_nothing(make_clip, tmp_path, server, extension):
    address, requests = server
    secret = make_clip(
        "secret/secret.ts", source="color=magenta", extra=("-c:v", "mpeg2video", "-f", "mpegts")
    )
    folder = tmp_path / "data/train/A"
    folder.mkdir(parents=True)
    names = []
    for number, (kind, content) in enumerate(references(secret, address)):
        path = folder / f"{kind}_{number}.{extension}"
        path.write_text(content)
        names.append(path.name)
        with pytest.raises(ValueError, match=path.name):
            list(FrameReader(path))
        with pytest.raises(ValueError):  # past OpenCV's check, too
            frames = tmp_path / "frames" / path.name
            frames.mkdir(parents=True)
            subprocess_split(path, frames)
    result = run(tmp_path, "extract_files.py", extension)
    assert result.returncode == 1 and f"{len(names)} failed" in result.stdout
    assert all(name in result.stderr for name in names) and "Traceback" not in result.stderr
    assert requests == [] and not list(tmp_path.rglob("*.jpg"))


def subprocess_split(path, folder, limits=DEFAULT_LIMITS):
    """What split_into_frames does, without the look at the header before. Raises ValueError if no frame
    comes."""
    result = subprocess.run(
        [find_ffmpeg(), *video_arguments(path, limits), "-frames:v", "1", "-f", "image2", "%04d.jpg"],
        cwd=folder,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        timeout=60,
    )
    if not os.listdir(folder):
        raise ValueError(result.stderr)


def test_samples_in_another_file_are_not_read(make_clip, tmp_path, server):
    """A MOV data reference. The same file with its own samples can be read, so it is the reference that is
    refused."""
    address, requests = server
    whole = make_clip("a.mp4", extra=("-c:v", "mpeg4", "-pix_fmt", "yuv420p"))
    secret = make_clip("secret.mp4", source="color=magenta", extra=("-c:v", "mpeg4", "-pix_fmt", "yuv420p"))
    for location in (str(secret), f"file://{secret}", f"{address}/x.mp4", "secret.mp4"):
        (tmp_path / "b.mp4").write_bytes(with_data_elsewhere(whole.read_bytes(), location))
        try:
            frames = list(FrameReader(tmp_path / "b.mp4"))
        except ValueError:
            frames = []
        for frame in frames:  # its own samples or none, never the other's
            assert np.abs(frame.astype(int) - (255, 0, 255)).max(2).mean() > 60
    assert requests == []


def test_image_patterns_are_plain_names(make_clip, tmp_path):
    make_clip("x1.jpg", 0.04, extra=("-frames:v", "1"))
    for name in ("x%d.jpg", "x*.jpg", "x%d.mp4"):
        with pytest.raises((ValueError, FileNotFoundError)):
            list(FrameReader(tmp_path / name))


def y4m(width, height, frames=1):
    return f"YUV4MPEG2 W{width} H{height} F25:1 Ip A1:1 C420jpeg\n".encode() + b"FRAME\n" * frames


@pytest.mark.parametrize(
    "width, height", [(60000, 60000), (30000, 30000), (16000, 16000), (100000, 2), (2, 1000000)]
)
def test_absurd_sizes_are_refused_within_seconds(tmp_path, width, height):
    (tmp_path / "bomb.mp4").write_bytes(y4m(width, height, 3))
    # In a process of its own. Its VmHWM is its peak; its ru_maxrss would be that of this process, of which it
    # was a copy.
    reading = (
        "import re, resource\n"
        "from vidclass.video.reader import FrameReader\n"
        "try:\n"
        "    print(len(list(FrameReader('bomb.mp4'))), 'frames')\n"
        "except ValueError as error:\n"
        "    print(error)\n"
        "own = int(re.search(r'VmHWM:\\s*(\\d+) kB', open('/proc/self/status').read())[1])\n"
        "print(max(own, resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss))\n"
    )
    result = subprocess.run(
        [sys.executable, "-c", reading],
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": ROOT},
        text=True,
        capture_output=True,
        timeout=20,
    )
    said, kilobytes = result.stdout.splitlines()
    assert said.startswith("bomb.mp4: ") and int(kilobytes) < 2e6, result


def test_the_limit_of_pixels_can_be_raised_and_lowered(make_clip, tmp_path):
    make_clip("data/train/A/a.mp4", 0.2)
    result = run(tmp_path, "extract_files.py", "mp4", "--max-pixels", 19199)
    assert (
        result.returncode == 1
        and "a.mp4: left out, its frames have 160x120 pixels; more than 19199 need --max-pixels"
        in result.stderr
    )
    assert run(tmp_path, "extract_files.py", "mp4", "--max-pixels", 19200).returncode == 0
    # ffmpeg's own limit, for a header that says less than its frames.
    with pytest.raises(ValueError):
        (tmp_path / "frames").mkdir()
        limits = VideoLimits(max_pixels=9599)
        subprocess_split(tmp_path / "data/train/A/a.mp4", tmp_path / "frames", limits)


def test_endless_clips_are_refused(make_clip, tmp_path):
    """A few kilobytes that would be thousands of pictures."""
    make_clip("data/train/A/long.mp4", 40, fps=50, size="32x32", source="color=black")
    make_clip("data/train/A/short.mp4", 1)
    result = run(tmp_path, "extract_files.py", "mp4", "--max-frames", 1000)
    assert result.returncode == 1 and "long.mp4: left out, it has more than 1000 frames" in result.stderr
    assert len(list(tmp_path.rglob("*.jpg"))) == 25 and read_data_file(tmp_path / "data") == [
        ("train", "A", "short", 25)
    ]


NAMES = st.text(
    st.characters(exclude_categories=["Cs"], exclude_characters="/\0"), min_size=1, max_size=60
).filter(lambda name: not name.startswith(".") and len(name.encode()) < 200)


@pytest.fixture(scope="session")
def tiny(tmp_path_factory):
    path = tmp_path_factory.mktemp("tiny") / "tiny.mp4"
    ffmpeg("-f lavfi -i testsrc2=size=32x32:rate=25:duration=0.12 -pix_fmt yuv420p", path)
    return path


@settings(deadline=None, max_examples=15, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(st.tuples(NAMES, NAMES), min_size=1, max_size=3, unique=True))
def test_any_name_of_a_class_and_a_clip(tmp_path_factory, tiny, names):
    """Frames lie beside the clip, the CSV gives the names back, and no other file appears."""
    root = tmp_path_factory.mktemp("names")
    for class_name, clip in names:
        (root / "train" / class_name).mkdir(parents=True, exist_ok=True)
        shutil.copy(tiny, root / "train" / class_name / f"{clip}.mp4")
    assert extract_files("mp4", SplitOptions(data_dir=root, quiet=True)).failed == 0
    assert sorted(read_data_file(root)) == sorted(
        ("train", class_name, clip, 3) for class_name, clip in names
    )
    expected = {root / "data_file.csv"}
    for class_name, clip in names:
        folder = root / "train" / class_name
        expected |= {
            folder / f"{clip}{end}" for end in (".mp4", "-0001.jpg", "-0002.jpg", "-0003.jpg", "-frames.json")
        }
    assert {path for path in root.rglob("*") if path.is_file()} == expected


@pytest.mark.parametrize(
    "name",
    [
        "%04d",
        "100%",
        "a b",
        'it\'s "x"',
        "[a-z]*?",
        "-vf",
        "--help",
        "-i",
        "a\nb",
        "caf\u00e9",
        "cafe\u0301",
        "\U0001f3c8",
        "x" * 200,
        "CLIP",
        "clip",
        "a,b",
        "a|b",
        "file:x",
        "concat:x",
        "http:x",
        "$(touch y)",
        "`touch y`",
        "\udcff",
        "CON",
        "~",
        "\u202e",
        "\x7f",
    ],
)
def test_awkward_names_all_the_way(tmp_path, tiny, name):
    for split in ("train", "test"):
        folder = tmp_path / "data" / split / name
        folder.mkdir(parents=True)
        shutil.copy(tiny, folder / f"{name}.mp4")
    result = run(tmp_path, "extract_files.py", "mp4")
    assert result.returncode == 0, result.stderr
    rows = read_data_file(tmp_path / "data")
    assert [row[:3] for row in rows] == [("test", name, name), ("train", name, name)]
    dataset = DataSet(3, None, (75, 75, 3), tmp_path / "data")
    store = FolderStore(dataset, "random")
    for row in dataset.data:
        assert all(os.path.exists(path) for path in dataset.get_frames_for_sample(row))
        store.save(row, np.zeros((3, 2048)))
        assert store.load(row) is not None
    reader = FrameReader(tmp_path / "data/train" / name / f"{name}.mp4")
    assert len(list(reader)) == 3
    write_copy(tmp_path / f"{name}.avi", reader.path)
    assert count_frames(tmp_path / f"{name}.avi") == 3
    assert sorted(path.name for path in tmp_path.iterdir()) == sorted(["data", f"{name}.avi"])


def test_names_that_differ_only_in_case_are_two(tmp_path, tiny):
    for name in ("Clip", "clip"):
        (tmp_path / "data/train/A").mkdir(parents=True, exist_ok=True)
        shutil.copy(tiny, tmp_path / f"data/train/A/{name}.mp4")
    if len(os.listdir(tmp_path / "data/train/A")) == 2:  # the disk tells them apart
        assert run(tmp_path, "extract_files.py", "mp4").returncode == 0
        assert len(read_data_file(tmp_path / "data")) == 2 and len(list(tmp_path.rglob("*.jpg"))) == 6


def test_links_and_nested_folders(tmp_path, tiny):
    """A link to a clip elsewhere is that clip; a folder in a class's folder is named and left out; a broken
    link is no clip."""
    folder = tmp_path / "data/train/A"
    (folder / "B").mkdir(parents=True)
    shutil.copy(tiny, folder / "B/nested.mp4")
    (folder / "link.mp4").symlink_to(tiny)
    (folder / "broken.mp4").symlink_to(tmp_path / "nowhere.mp4")
    result = run(tmp_path, "extract_files.py", "mp4")
    assert (
        result.returncode == 0
        and f"{os.path.join('data', 'train', 'A', 'B')}: left out, a folder inside" in result.stderr
    )
    assert read_data_file(tmp_path / "data") == [("train", "A", "link", 3)]
    assert len(list(folder.glob("link-*.jpg"))) == 3 and len(list(tiny.parent.iterdir())) == 1


def test_a_second_run_is_told_to_wait(tmp_path, tiny):
    import fcntl

    (tmp_path / "data/train/A").mkdir(parents=True)
    shutil.copy(tiny, tmp_path / "data/train/A/a.mp4")
    descriptor = os.open(tmp_path / "data/.lock", os.O_RDWR | os.O_CREAT)
    fcntl.flock(descriptor, fcntl.LOCK_EX)
    for script, arguments in (
        ("extract_files.py", ["mp4"]),
        ("extract_features.py", [2, 2, 75, 75]),
        ("train.py", [2, 2, 75, 75]),
    ):
        assert_one_line_error(run(tmp_path, script, *arguments), 1, "data: another run is writing there")
    os.close(descriptor)
    assert run(tmp_path, "extract_files.py", "mp4").returncode == 0
