"""Work on a real Ray cluster of two nodes on this machine: the same files as without it, whatever dies on the
way."""

import os
import shutil
import signal
import socket
import tempfile
import threading
from pathlib import Path

import pytest
from conftest import ARTICLE_ARGUMENTS, assert_one_line_error, assert_same_features, read_sequences, run

pytest.importorskip("ray")
ARGUMENTS = (*ARTICLE_ARGUMENTS, "--weights", "random", "--quiet")


@pytest.fixture(scope="module")
def nodes():
    """A cluster of two nodes with a processor each: its address inside, and from outside.

    Each has a folder of its own, as on two machines: in one folder the second node to unpack the suite would
    delete what the first is importing.
    """
    with (
        pytest.MonkeyPatch.context() as patch,
        socket.socket() as free,
        tempfile.TemporaryDirectory(prefix="ray-") as folder,  # tmp_path is too long for Ray's sockets
    ):
        patch.setenv("RAY_AUTH_MODE", "disabled")
        from ray.cluster_utils import Cluster

        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
        free.close()
        cluster = Cluster(
            initialize_head=True,
            head_node_args={"num_cpus": 1, "include_dashboard": False, "ray_client_server_port": port},
        )
        cluster.add_node(num_cpus=1, temp_dir=folder)
        yield cluster.address, f"ray://127.0.0.1:{port}"
        cluster.shutdown()


def workers():
    """Process numbers of the workers that hold an Extractor."""
    found = []
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            if b"ray::" in path.read_bytes() and b"MapWorker" in path.read_bytes():
                found.append(int(path.parent.name))
        except OSError:
            pass  # it has just ended
    return found


@pytest.mark.slow
def test_features_are_the_same_though_a_worker_dies(copy, nodes):
    expected = read_sequences(copy / "data/sequences")
    shutil.rmtree(copy / "data/sequences")
    damaged = copy / "data/train/Grey/Grey_train_0-0001.jpg"
    damaged.write_bytes(b"")
    seen, killed = set(), set()

    def kill_them():
        """Kills the workers when the first sequence is there, and watches who takes their place."""
        while not stopped.wait(0.01):
            seen.update(workers())
            if seen and not killed and next((copy / "data").rglob("*.npy"), None):
                killed.update(workers())
                for process in killed:
                    os.kill(process, signal.SIGKILL)

    stopped = threading.Event()
    killer = threading.Thread(target=kill_them)
    killer.start()
    result = run(copy, "extract_features.py", *ARGUMENTS, "--precision", "float32", "--ray", nodes[0])
    stopped.set()
    killer.join()
    assert killed and seen - killed  # someone took their place
    assert (
        result.returncode == 1 and "15 sequences extracted, 0 were there already, 1 failed" in result.stdout
    )
    assert "train/Grey/Grey_train_0: left out, " in result.stderr and "Traceback" not in result.stderr
    name = next(name for name in expected if "Grey_train_0" in name)
    assert_same_features(
        read_sequences(copy / "data/sequences"),
        {key: value for key, value in expected.items() if key != name},
        0.999999,
    )
    # What is there is not done again: without the cluster one is missing.
    shutil.copy(copy / "data/train/Grey/Grey_train_0-0002.jpg", damaged)
    assert (
        "1 sequence extracted, 15 were there already, 0 failed"
        in run(copy, "extract_features.py", *ARGUMENTS).stdout
    )
    assert not list((copy / "data").rglob(".*.tmp"))  # what the killed workers were writing has been swept up


@pytest.mark.slow
@pytest.mark.parametrize("inside", [True, False])
def test_recordings_are_classified_in_the_same_way(project, match, nodes, inside):
    address = nodes[0] if inside else nodes[1]
    for name in ("b.mp4", "caf\udcff.mp4"):
        shutil.copy(match / "video.mp4", match / name)
    (match / "text.mp4").write_text("no video")
    videos = [path.name for path in match.iterdir()]
    checkpoint = project / "data/checkpoints/lstm-features.hdf5"
    arguments = ("clasify.py", checkpoint, *videos, "--no-video", "--quiet", "--output-dir")
    here, there = run(match, *arguments, "here"), run(match, *arguments, "there", "--ray", address)
    assert here.returncode == there.returncode == 1 and "Traceback" not in there.stderr, there.stderr
    assert "text.mp4: no video that can be read" in there.stderr
    assert "4 recordings: 3 classified, 0 complete before, 1 left out" in there.stdout
    found = sorted(path.name for path in (match / "there").iterdir())
    assert found == sorted(path.name for path in (match / "here").iterdir()) and len(found) == 7
    for name in found:
        if name.endswith(".csv"):
            assert (match / "here" / name).read_bytes() == (match / "there" / name).read_bytes()
    assert "3 complete before" in run(match, *arguments, "there").stdout


@pytest.mark.slow
@pytest.mark.parametrize("inside", [True, False])
def test_frames_are_the_same(copy, nodes, inside):
    address = nodes[0] if inside else nodes[1]
    frames = {path.relative_to(copy): path.read_bytes() for path in copy.rglob("*.jpg")}
    listed = (copy / "data/data_file.csv").read_text()
    for path in [*copy.rglob("*.jpg"), *copy.rglob("*-frames.json"), copy / "data/data_file.csv"]:
        path.unlink()
    (copy / "data/train/Grey/caf\udcff.mp4").write_text("no video")  # a name that is no text
    shutil.copy(copy / "data/train/Grey/Grey_train_0.mp4", copy / "data/train/Grey/l'été.mp4")
    result = run(copy, "extract_files.py", "mp4", "--quiet", "--ray", address)
    assert (
        result.returncode == 1 and "18 clips: 17 split into frames, 0 done before, 1 failed" in result.stdout
    )
    assert "caf" in result.stderr and "left out, no video that can be read" in result.stderr
    found = {
        path.relative_to(copy): path.read_bytes() for path in copy.rglob("*.jpg") if "été" not in path.name
    }
    assert found == frames and len(list(copy.rglob("l'été-*.jpg"))) == 25
    assert (copy / "data/data_file.csv").read_text() == "".join(
        sorted([*listed.splitlines(True), "train,Grey,l'été,25\n"])
    )
    again = run(copy, "extract_files.py", "mp4", "--quiet", "--ray", address)
    assert "17 done before, 1 failed" in again.stdout


@pytest.mark.parametrize("failures, reached", [(2, True), (3, False)])
def test_a_cluster_that_fails_to_start_the_clients_process_is_asked_again(monkeypatch, failures, reached):
    import ray

    from vidclass.features import ray_cluster

    calls = []

    def init(**arguments):
        calls.append(arguments)
        if len(calls) <= failures:
            raise ConnectionError(
                "Initialization failure from server:\nTraceback (most recent call last):\n  File ...\n"
                "RuntimeError: Starting Ray client server failed.\n"
            )

    monkeypatch.setattr(ray, "init", init)
    monkeypatch.setattr(ray_cluster, "_check_reachable", lambda address: None)
    if reached:
        with ray_cluster.connected("ray://head:10001"):
            assert len(calls) == 3
    else:
        with (
            pytest.raises(RuntimeError, match=r"reached \(RuntimeError: Starting Ray .* failed.\); does it"),
            ray_cluster.connected("ray://head:10001"),
        ):
            pass


@pytest.mark.parametrize(
    "address", ["127.0.0.1:1", "ray://127.0.0.1:1", "127.0.0.1:99999", "nowhere.invalid:6379", "x"]
)
def test_a_cluster_that_is_not_there(copy, address):
    shutil.rmtree(copy / "data/sequences")
    assert_one_line_error(
        run(copy, "extract_features.py", *ARGUMENTS, "--ray", address),
        1,
        f"the Ray cluster {address} can't be reached",
    )


def test_without_ray(copy, monkeypatch):
    import sys

    shutil.rmtree(copy / "data/sequences")
    monkeypatch.setitem(sys.modules, "ray", None)
    assert_one_line_error(
        run(copy, "extract_features.py", *ARGUMENTS, "--ray"), 1, "pip install -r requirements-ray.txt"
    )
