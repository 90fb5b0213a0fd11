"""Runs that meet: one at a time in a dataset's folder, and nobody's unfinished files are swept away while
they are written."""

import errno
import fcntl
import os
import subprocess
import sys
import threading
import time

import pytest
from conftest import ROOT, run
from helpers import ffmpeg

from cut_clips import CutOptions, cut_clips
from extract_features import ExtractionJob, extract_features
from extract_files import SplitOptions, extract_files
from train import TrainOptions, train
from vidclass import atomic, locking, locks
from vidclass.dataset import clips_csv

HOLDER = """
import sys, os
sys.path.insert(0, sys.argv[1])
from vidclass.locking import locked
with locked(sys.argv[2], shared=sys.argv[3] == "shared"):
    print("locked", flush=True)
    sys.stdin.read()
"""
WRITER = """
import sys, os
sys.path.insert(0, sys.argv[1])
from vidclass import atomic
for name in sys.argv[2:]:
    partial = atomic.temporary_path(name)
    open(partial, "w").close()
    print(partial, flush=True)
sys.stdin.read()
"""


@pytest.fixture
def python():
    """python(code, *arguments, before=()): a process that runs the code, once it has printed its first line;
    ended after the test. before: a command that starts it."""
    processes = []

    def start(code, *arguments, before=()):
        process = subprocess.Popen(
            [*before, sys.executable, "-c", code, ROOT, *map(str, arguments)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        processes.append(process)
        process.first_line = process.stdout.readline().strip()
        return process

    yield start
    for process in processes:
        process.kill()
        process.communicate()


@pytest.fixture
def dataset(tmp_path, make_clip, monkeypatch):
    """A data folder with a clip of each of two classes, and a recording with labels beside it; the working
    directory."""
    monkeypatch.chdir(tmp_path)
    for name in ("A", "B"):
        make_clip(f"data/train/{name}/{name}_1.mp4", 0.2)
    make_clip("match.mp4", 2)
    (tmp_path / "labels.csv").write_text("0,1,A\n1,2,B\n")
    return tmp_path


def calls():
    return {
        "extract_files": lambda: extract_files("mp4", SplitOptions(quiet=True)),
        "extract_features": lambda: extract_features(
            2, 2, (75, 75, 3), ExtractionJob(weights="random", quiet=True)
        ),
        "train": lambda: train(2, 2, (75, 75, 3), TrainOptions(weights="random", quiet=True)),
        "cut_clips": lambda: cut_clips("match.mp4", "labels.csv", CutOptions(seconds=0.2, quiet=True)),
    }


def snapshot(folder):
    return sorted(str(path) for path in folder.rglob("*"))


@pytest.mark.parametrize("name", ["extract_files", "extract_features", "train", "cut_clips"])
def test_functions_called_from_python_lock_the_folder(dataset, python, name):
    """Against another process, and against another thread of this one."""
    holder = python(HOLDER, dataset / "data", "alone")
    before = snapshot(dataset)
    with pytest.raises(RuntimeError, match="data: another run is writing there"):
        calls()[name]()
    assert snapshot(dataset) == before
    holder.communicate("")
    refused = []

    def other():
        try:
            calls()[name]()
        except RuntimeError as error:
            refused.append(str(error))

    with locking.locked("data"):
        thread = threading.Thread(target=other)
        thread.start()
        thread.join()
    assert refused and "another run is writing there" in refused[0]


def test_a_run_may_call_another_within_its_own(dataset):
    """As train() calls extract_features(); what it calls does not unlock the folder for others."""
    with locking.locked("data"):
        calls()["extract_files"]()
        with pytest.raises(BlockingIOError):
            locks.take("data/.lock")
    assert not os.path.exists("data/.lock")
    os.close(locks.take("data/.lock"))


def test_shards_share_the_folder(dataset, python):
    python(HOLDER, dataset / "data", "shared")
    with locking.locked("data", shared=True):
        pass
    with pytest.raises(RuntimeError), locking.locked("data"):
        pass
    assert os.path.exists("data/.lock")  # the other one's still


def test_the_lock_goes_with_a_killed_process(dataset, python):
    holder = python(HOLDER, dataset / "data", "alone")
    holder.kill()
    holder.wait()
    assert os.path.exists("data/.lock")
    calls()["extract_files"]()
    assert not list((dataset / "data").rglob(".*"))


def test_no_one_takes_a_lock_whose_file_is_removed(tmp_path):
    """Many threads take and release it, which removes its file each time: never two at once."""
    path, inside, most, taken = str(tmp_path / "x"), [], [], []

    def work():
        for _ in range(300):
            try:
                held = locks.take(path)
            except BlockingIOError:
                continue
            inside.append(1)
            most.append(len(inside))
            inside.pop()
            taken.append(1)
            locks.release(held, path)

    threads = [threading.Thread(target=work) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert max(most) == 1 and len(taken) > 8 and not os.listdir(tmp_path)


def test_cutting_plans_after_it_has_the_lock(dataset, monkeypatch):
    """A second run that comes between the reading of clips.csv and the cutting is refused, from whatever
    folder or process."""
    read, seen = clips_csv.read_cuts, []

    def read_cuts(data_dir):
        cuts = read(data_dir)
        if not seen:
            seen.append(
                subprocess.run(
                    [
                        sys.executable,
                        os.path.join(ROOT, "cut_clips.py"),
                        "match.mp4",
                        "labels.csv",
                        "--seconds",
                        "0.4",
                        "--quiet",
                    ],
                    capture_output=True,
                    text=True,
                )
            )
        return cuts

    monkeypatch.setattr("vidclass.dataset.clips_csv.read_cuts", read_cuts)
    assert calls()["cut_clips"]().failed == 0
    assert seen[0].returncode == 1 and "another run is writing there" in seen[0].stderr
    listed = {row.split(",")[2] for row in (dataset / "data/clips.csv").read_text().splitlines()}
    cut = {path.stem for path in (dataset / "data").rglob("*_t*.mp4")}
    assert listed == cut and len(cut) == 10


def test_a_run_that_cuts_nothing_makes_no_folder(dataset):
    (dataset / "labels.csv").write_text("0,0.1,A\n")
    result = run(
        dataset, "cut_clips.py", "match.mp4", "labels.csv", "--seconds", "1", "--data-dir", "new/data"
    )
    assert result.returncode == 1 and not (dataset / "new/data").exists()
    (dataset / "labels.csv").write_text("0,1,A\n")
    with locking.locked("data"):  # a dry run writes nothing, so that it needs no lock
        assert (
            run(dataset, "cut_clips.py", "match.mp4", "labels.csv", "--seconds", "1", "--dry-run").returncode
            == 0
        )
    assert not (dataset / "data/clips.csv").exists()


def test_a_lock_of_nfs_needs_a_file_open_for_writing(dataset, monkeypatch):
    """NFS refuses (EBADF) to lock what is open for reading only."""
    flock = fcntl.flock

    def nfs(descriptor, how):
        if how & fcntl.LOCK_EX and fcntl.fcntl(descriptor, fcntl.F_GETFL) & os.O_ACCMODE == os.O_RDONLY:
            raise OSError(errno.EBADF, os.strerror(errno.EBADF))
        return flock(descriptor, how)

    monkeypatch.setattr(fcntl, "flock", nfs)
    with locking.locked("data"), pytest.raises(BlockingIOError):
        locks.take("data/.lock")


@pytest.mark.parametrize("number", [errno.ENOLCK, errno.EOPNOTSUPP, errno.ENOSYS])
def test_a_file_system_without_locks_is_named_once(dataset, monkeypatch, capfd, number):
    def flock(descriptor, how):
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr(fcntl, "flock", flock)
    locking._warn_of_no_locks.cache_clear()
    for _ in range(2):
        calls()["extract_files"]()
    errors = capfd.readouterr().err
    assert (
        errors.count("has no locks") == 1
        and os.strerror(number) in errors
        and str(dataset / "data") in errors
    )
    assert (dataset / "data/train/A/A_1-0005.jpg").exists() and not list((dataset / "data").rglob(".*"))


@pytest.mark.parametrize("make", [os.mkdir, os.mkfifo, lambda path: os.symlink("elsewhere", path)])
def test_a_lock_that_is_no_plain_file_is_refused(dataset, make):
    make("data/.lock")
    with pytest.raises(OSError, match="data/.lock"):
        calls()["extract_files"]()
    assert not os.path.exists("elsewhere")


def test_a_folder_in_which_nothing_can_be_written_is_locked_itself(dataset, monkeypatch):
    """One whose sequences lie elsewhere, behind a link."""

    def take(path, shared=False):
        raise OSError(errno.EROFS, os.strerror(errno.EROFS), path)

    monkeypatch.setattr("vidclass.locks.take", take)
    with locking.locked("data"):
        refused = []

        def other():
            try:
                with locking.locked("data"):
                    pass
            except RuntimeError as error:
                refused.append(error)

        thread = threading.Thread(target=other)
        thread.start()
        thread.join()
        assert refused


def in_a_container():
    """A command that starts another as in a container of the same host name, with a number that no process
    has here."""
    free = next(number for number in range(30000, 2, -1) if not os.path.exists(f"/proc/{number}"))
    return [
        "unshare",
        "--pid",
        "--fork",
        "--mount-proc",
        "--kill-child",
        "sh",
        "-c",
        f'echo {free - 1} > /proc/sys/kernel/ns_last_pid; "$@"; exit $?',
        "sh",
    ]


@pytest.mark.parametrize("before", [list, in_a_container])
def test_what_someone_is_writing_is_not_swept(tmp_path, python, before):
    """Also by another container of the same host name, whose processes can't be seen."""
    before = before()
    if before and subprocess.run([*before, "true"], capture_output=True).returncode:
        pytest.skip("no namespaces here")
    writer = python(WRITER, tmp_path / "x.npy", before=before)
    partial = writer.first_line
    assert os.path.exists(partial)
    atomic.remove_stale_temporaries(tmp_path)
    assert os.path.exists(partial) and os.path.exists(f"{partial}.lock")
    writer.kill()
    writer.wait()
    deadline = time.time() + 10
    while (
        os.listdir(tmp_path) and time.time() < deadline
    ):  # the namespace's processes die after its first one
        atomic.remove_stale_temporaries(tmp_path)
        time.sleep(0.01)
    assert not os.listdir(tmp_path)


def test_what_this_process_writes_is_not_swept(tmp_path):
    with atomic.temporary(tmp_path / "frames") as folder:
        os.mkdir(folder)
        (tmp_path / os.path.basename(folder) / "0001.jpg").write_text("x")
        atomic.remove_stale_temporaries(tmp_path)
        assert os.path.exists(f"{folder}/0001.jpg")
    assert not os.listdir(tmp_path)


def test_killed_runs_are_swept_up_by_whole_names(tmp_path, python):
    """result is not result1, though its name begins so."""
    names = ["result.avi", "result1.avi", "result.csv", "result-kept.mp4", "result.avi.old"]
    writer = python(WRITER, *(tmp_path / name for name in names))
    partials = [writer.first_line, *(writer.stdout.readline().strip() for _ in names[1:])]
    writer.kill()
    writer.wait()
    assert len(os.listdir(tmp_path)) == 10
    atomic.remove_stale_temporaries(tmp_path, ("result", "result-kept"))
    left = {os.path.basename(partials[1]), os.path.basename(partials[4])}
    assert set(os.listdir(tmp_path)) == left | {f"{name}.lock" for name in left}
    atomic.remove_stale_temporaries(tmp_path)
    assert not os.listdir(tmp_path)


def test_other_machines_files_are_swept_after_a_day(tmp_path):
    """Their locks may not be seen here. So it is with those of earlier versions, and where nothing can be
    locked."""
    young, old = ".x.npy.0abcde-01234567.tmp", ".y.npy.0abcde-01234567.tmp.mp4"
    earlier = ".z-frames.0abcde-4711.tmp"
    others = [".x.tmp", "x.1.tmp", ".x.npy.4711.tmp", ".x.lock", "x.npy.0abcde-01234567.tmp"]
    for name in (young, old, *others):
        (tmp_path / name).write_text("x")
    (tmp_path / earlier).mkdir()
    (tmp_path / earlier / "0001.jpg").write_text("x")
    lock = tmp_path / ".w.npy.0abcde-01234567.tmp.lock"  # all that was left
    lock.write_text("")
    for name in (old, earlier, lock.name):
        os.utime(tmp_path / name, (time.time() - 25 * 3600,) * 2)
    atomic.remove_stale_temporaries(tmp_path)
    assert sorted(os.listdir(tmp_path)) == sorted([*others, young])


def test_partial_names_fit_and_differ(tmp_path):
    """However long a name is: as many bytes as a file system takes."""
    for name in ("n" * 255, "é" * 127, "\udcff" * 255, "x.npy"):
        with atomic.atomic_write(tmp_path / name, ".hdf5") as partial:
            with atomic.temporary(tmp_path / name, ".hdf5") as other:
                assert other != partial
            open(partial, "w").close()
        assert (tmp_path / name).exists()
    assert len(os.listdir(tmp_path)) == 4


def test_hdf5_and_numpy_and_ffmpeg_write_under_partial_names(tmp_path):
    """They open files by name, HDF5 with a lock of its own."""
    import h5py

    with atomic.atomic_write(tmp_path / "a.hdf5", ".hdf5") as partial, h5py.File(partial, "w") as file:
        file["x"] = [1, 2]
    with h5py.File(tmp_path / "a.hdf5") as file:
        assert file["x"][()].tolist() == [1, 2]
    with atomic.atomic_write(tmp_path / "a.mp4", ".mp4") as partial:
        ffmpeg("-f lavfi -i testsrc2=duration=0.2", partial)
    assert sorted(os.listdir(tmp_path)) == ["a.hdf5", "a.mp4"]
