"""What do damaged videos and hostile checkpoints do? Crashes, hangs, wrong exit codes, lost files, memory
beyond bounds.

Videos: each of --count seeded mutations of a clip (bits flipped, bytes overwritten, cut out, doubled or cut
off, one file's beginning before another's end) lies beside a good clip and goes through extract_files.py and
clasify.py. The clips are those of --clips, and what ffmpeg makes of some of them: MPEG-TS, MPEG-PS, FLV, GIF,
and MP4 with edit lists that begin late, pause, repeat a stretch, or repeat it 30,000 times; these also
undamaged.

Checkpoints: each of --checkpoints is one of the attacks of tests/fuzz/hostile_checkpoints.py or a mutation of
a good checkpoint, and goes through clasify.py with a good video.

A crash is a process that died or an error that no one foresaw; a hang is a script that took longer than
--limit seconds; an exit code is wrong if it is not 0 or 1 (with a checkpoint: or 2), if it is 0 and there is
no result or the checkpoint is one that must be refused, or if it is not 0 and no line names the file; a file
is lost if the clip or the checkpoint itself changed, the good clip lost a frame or its row, result.avi has
fewer frames than were classified, result.json is no JSON, or something half-written is left. Memory is beyond
bounds if clasify.py grows by more than 256 MB and twice the checkpoint's length, or a process that it starts
takes more than 256 MB. Scripts are called in processes that go on until they die, so that TensorFlow need not
load a thousand times.

    python benchmarks/faults.py --clips ../shared/clips --count 500 --checkpoints 200
"""

import contextlib
import io
import json
import logging
import os
import random
import re
import shutil
import signal
import struct
import subprocess
import sys
import tempfile
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
sys.path[:0] = [ROOT, os.path.join(ROOT, "tests", "fuzz")]
import clasify  # noqa: E402
import extract_files  # noqa: E402
from models import ResearchModel  # noqa: E402
from vidclass import cli  # noqa: E402
from vidclass.dataset.data_file import read_data_file  # noqa: E402
from vidclass.errors import UsageError  # noqa: E402
from vidclass.keras_loading import import_keras  # noqa: E402
from vidclass.training import keras_file  # noqa: E402
from vidclass.training.metadata import Metadata  # noqa: E402
from vidclass.video.ffmpeg import find_ffmpeg, passthrough  # noqa: E402

SEQ_LENGTH, SIZE = 4, 75  # small, so that most of the time goes to the files
KINDS = ("flip", "overwrite", "cut out", "double", "cut off", "splice")
CONTAINERS = {  # ffmpeg's arguments that make such a file of a clip
    "ts": ("-c:v", "mpeg2video", "-q:v", "3", "-an", "-f", "mpegts"),
    "mpg": ("-c:v", "mpeg2video", "-q:v", "3", "-an", "-f", "mpeg"),
    "flv": ("-c:v", "flv1", "-q:v", "3", "-an", "-f", "flv"),
    "gif": ("-vf", "fps=10", "-an", "-f", "gif"),
    "mp4": ("-c:v", "mpeg4", "-q:v", "3", "-an", "-f", "mp4"),
}
EDITS = ("late", "pause", "repeat", "repeat 30,000 times")
MADE_OF_EACH = 4  # clips of each of these kinds
COUNTED = ("crash", "hang", "wrong exit code", "lost", "memory")
ALLOWANCE = 2**28  # bytes that reading a checkpoint may take beside its length


def mutate(whole, other, seed):
    """(kind, damaged copy of a file's bytes). other: another file, for splices."""
    r = random.Random(seed)
    kind = KINDS[seed % len(KINDS)]
    content = bytearray(whole)
    # Half of the damage to the first and last kilobytes, where the containers keep their tables.
    places = [
        r.choice(
            (
                r.randrange(len(content)),
                r.randrange(min(4096, len(content))),
                len(content) - 1 - r.randrange(min(4096, len(content))),
            )
        )
        for _ in range(r.choice((1, 10, 100, 1000)))
    ]
    at, length = places[0], r.choice((1, 16, 256, 4096))
    if kind == "flip":
        for place in places:
            content[place] ^= 1 << r.randrange(8)
    elif kind == "overwrite":
        content[at : at + length] = r.choice((r.randbytes(length), bytes(length), b"\xff" * length))
    elif kind == "cut out":
        del content[at : at + length]
    elif kind == "double":
        content[at:at] = content[at : at + length]
    elif kind == "cut off":
        del content[at:]
    elif kind == "splice":
        border = r.choice((64, 512, 4096, len(other) // 2))
        content = bytearray(other[:border] + whole[border:])
    return kind, bytes(content)


def serve():
    """Reads a folder a line from stdin, runs the scripts in it, answers with what they said as a line of
    JSON."""
    answers = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)  # what libraries print must not be taken for an answer
    import_keras()
    keras_file.SECONDS = 10  # some attacks take all that they are given
    logging.getLogger("tensorflow").setLevel(
        logging.ERROR
    )  # it would warn of as many networks as there are checkpoints
    for line in sys.stdin:
        folder, script, arguments = json.loads(line)
        os.chdir(folder)
        out, err = io.StringIO(), io.StringIO()
        with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err), Memory() as memory:
            code = {"extract_files.py": extract_files, "clasify.py": clasify}[script].main(arguments)
        print(
            json.dumps([code, out.getvalue(), err.getvalue(), memory.grown, memory.children]),
            file=answers,
            flush=True,
        )


class Memory:
    """A `with` block in which memory is watched. .grown: bytes by which this process's peak was above what it
    had before; .children: the highest peak of a process that it started."""

    def __enter__(self):
        self.children, self._ended = 0, threading.Event()
        Path("/proc/self/clear_refs").write_text("5")  # the peak begins anew
        self._before = _status("self", "VmRSS")
        self._watch = threading.Thread(target=self._look, daemon=True)
        self._watch.start()
        return self

    def __exit__(self, *error):
        self._ended.set()
        self._watch.join()
        self.grown = _status("self", "VmHWM") - self._before

    def _look(self):
        while not self._ended.wait(0.005):
            for child in _children("self"):
                with contextlib.suppress(OSError):
                    # Not before it is another program: until then its memory is this process's.
                    if (
                        os.readlink(f"/proc/{child}/exe") != os.readlink("/proc/self/exe")
                        or b"hdf5_process" in Path(f"/proc/{child}/cmdline").read_bytes()
                    ):
                        self.children = max(self.children, _status(child, "VmHWM"))


def _children(process):
    """Yields the numbers of the processes that a process started."""
    with contextlib.suppress(OSError):
        for task in os.listdir(f"/proc/{process}/task"):
            with contextlib.suppress(OSError):
                yield from map(int, Path(f"/proc/{process}/task/{task}/children").read_text().split())


def _status(process, what):
    found = re.search(rf"{what}:\s*(\d+) kB", Path(f"/proc/{process}/status").read_text())
    return int(found[1]) * 1024 if found else 0  # a process that has ended has none


class Server:
    """A process that runs scripts, replaced when it dies or hangs."""

    def __init__(self, limit):
        self.limit, self._process = limit, None

    @property
    def fresh(self):
        return self._process is None

    def call(self, *request):
        """[exit code, stdout, stderr, bytes that it took, bytes that a process it started took], "crash" or
        "hang"."""
        if self._process is None:
            self._process = subprocess.Popen(
                [sys.executable, __file__, "--serve"],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.DEVNULL,
                text=True,
                start_new_session=True,
            )
            limit = self.limit + 60  # TensorFlow loads, the network is made
        else:
            limit = self.limit
        hung = threading.Event()
        timer = threading.Timer(limit, lambda: (hung.set(), self._kill()))
        timer.start()
        try:
            self._process.stdin.write(json.dumps(request) + "\n")
            self._process.stdin.flush()
            answer = self._process.stdout.readline()
        except BrokenPipeError:
            answer = ""
        timer.cancel()
        if answer:
            return json.loads(answer)
        self.close()
        return "hang" if hung.is_set() else "crash"

    def _kill(self):
        """Ends the process, and what it started: an ffmpeg would go on."""
        children = list(_children(self._process.pid))
        self._process.kill()
        for child in children:
            with contextlib.suppress(ProcessLookupError):
                os.kill(child, signal.SIGKILL)

    def close(self):
        if self._process:
            self._kill()
            self._process.wait()
            self._process = None


def count_frames(path):
    report = subprocess.run(
        [
            find_ffmpeg(),
            "-v",
            "error",
            "-i",
            path,
            "-map",
            "0:v:0",
            "-f",
            "null",
            *passthrough(),
            "-progress",
            "-",
            "-",
        ],
        capture_output=True,
        text=True,
    ).stdout
    return int((re.findall(r"frame=\s*(\d+)", report) or ["0"])[-1])


def judge_extraction(folder, clip, answer):
    """What went wrong in extract_files.py, a list of (kind, what)."""
    if isinstance(answer, str):
        return [(answer, "")]
    code, _, stderr, *_ = answer
    wrong = [("crash", stderr)] if "unexpected" in stderr or "Traceback" in stderr else []
    rows = {row.name: row.frames for row in _rows(folder)}
    frames = len(list(clip.parent.glob("x-*.jpg")))
    if (
        code not in (0, 1)
        or code == 0
        and not rows.get("x")
        or code == 1
        and f"{clip.name}: left out, " not in stderr
    ):
        wrong.append(("wrong exit code", f"{code}: {stderr}"))
    if rows.get("x", 0) != frames:
        wrong.append(("lost", f"{frames} frames, {rows.get('x')} in data_file.csv"))
    if rows.get("good") != len(list(clip.parent.glob("good-*.jpg"))) or not rows.get("good"):
        wrong.append(("lost", "the good clip's frames"))
    return wrong


def _rows(folder):
    return read_data_file(folder / "data")


def judge_classification(folder, clip, answer):
    """What went wrong in clasify.py."""
    if isinstance(answer, str):
        return [(answer, "")]
    code, stdout, stderr, *_ = answer
    result, wrong = folder / "result.avi", []
    if "unexpected" in stderr or "Traceback" in stderr:
        wrong.append(("crash", stderr))
    found = re.search(r"^(\d+) frames, ", stdout, re.M)
    if code not in (0, 1) or (code == 0) > result.exists() or code == 1 and clip.name not in stderr:
        wrong.append(("wrong exit code", f"{code}: {stderr}"))
    if result.exists() != bool(found) or found and count_frames(result) != int(found[1]):
        wrong.append(
            (
                "lost",
                f"{found and found[0]}, {count_frames(result) if result.exists() else 'no'} frames in "
                f"result.avi",
            )
        )
    return wrong


def damaged(seed, sources):
    """(clip, kind of mutation, the clip's bytes after it)."""
    r = random.Random(f"source {seed}")
    source, other = r.choice(sources), r.choice(sources)
    return source, *mutate(source.read_bytes(), other.read_bytes(), seed)


def examine(seed, found, good, checkpoint, server):
    """(kind of mutation, container, extract_files.py's outcome, clasify.py's, what went wrong). found: of
    damaged()."""
    source, kind, content = found
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as name:
        folder = Path(name)
        shutil.copytree(good, folder / "data")
        clip = folder / "data/train/A" / f"x{source.suffix}"
        clip.write_bytes(content)
        answers = [server.call(name, "extract_files.py", [source.suffix, "--quiet"])]
        wrong = judge_extraction(folder, clip, answers[0])
        answers.append(
            server.call(name, "clasify.py", [str(SEQ_LENGTH), "2", str(checkpoint), str(clip), "--quiet"])
        )
        wrong += judge_classification(folder, clip, answers[1])
        if clip.read_bytes() != content:
            wrong.append(("lost", "the clip itself changed"))
        left = [str(path) for path in folder.rglob(".*")]
        if left and not any(isinstance(answer, str) for answer in answers):
            wrong.append(("lost", f"left behind: {left}"))
    outcomes = [
        answer
        if isinstance(answer, str)
        else "good"
        if answer[0] == 0
        else "refused"
        if "result.avi" not in answer[1]
        else "partly"
        for answer in answers
    ]
    container = source.stem.partition(".")[2] or source.suffix[1:]
    return kind, container, *outcomes, [(seed, source.name, kind, *what) for what in wrong]


def examine_checkpoint(seed, good, video_file, server):
    """(name of the attack, outcome, what went wrong)."""
    import hostile_checkpoints

    attacks = [*hostile_checkpoints.ATTACKS, *(f"mutated: {kind}" for kind in KINDS)]
    name = attacks[seed % len(attacks)]
    arguments = [
        str(SEQ_LENGTH),
        "2",
        "model.hdf5",
        str(video_file),
        "--quiet",
        "--no-video",
        "--export",
        "json",
    ]
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as folder:
        folder = Path(folder)
        checkpoint = folder / "model.hdf5"
        if server.fresh:  # what Python and TensorFlow load at first is not the checkpoint's doing
            shutil.copy(good, checkpoint)
            server.call(str(folder), "clasify.py", arguments)
            (folder / "result.json").unlink(missing_ok=True)
        if name in hostile_checkpoints.ATTACKS:
            hostile_checkpoints.make(name, good, checkpoint, seed)
        else:
            number = seed // len(attacks) * len(KINDS) + KINDS.index(name.removeprefix("mutated: "))
            checkpoint.write_bytes(mutate(good.read_bytes(), good.read_bytes()[::-1], number)[1])
        content = checkpoint.read_bytes()
        answer = server.call(str(folder), "clasify.py", arguments)
        wrong = judge_checkpoint(
            folder,
            name in hostile_checkpoints.ATTACKS and name not in hostile_checkpoints.HARMLESS,
            len(content),
            answer,
        )
        if checkpoint.read_bytes() != content:
            wrong.append(("lost", "the checkpoint itself changed"))
        left = [path.name for path in folder.iterdir() if path.name not in ("model.hdf5", "result.json")]
        if left and not isinstance(answer, str):
            wrong.append(("lost", f"left behind: {left}"))
    outcome = answer if isinstance(answer, str) else "good" if answer[0] == 0 else "refused"
    return name, outcome, [(seed, "model.hdf5", name, *what) for what in wrong]


def judge_checkpoint(folder, must_be_refused, size, answer):
    """What went wrong in clasify.py with a hostile checkpoint of so many bytes, a list of (kind, what)."""
    if isinstance(answer, str):
        return [(answer, "")]
    code, _, stderr, grown, children = answer
    result, wrong = folder / "result.json", []
    if "unexpected" in stderr or "Traceback" in stderr:
        wrong.append(("crash", stderr))
    if (
        code not in (0, 1, 2)
        or code == 0
        and (must_be_refused or not result.exists())
        or code
        and (result.exists() or "model.hdf5" not in stderr or stderr.count("error: ") != 1)
    ):
        wrong.append(("wrong exit code", f"{code}: {stderr}"))
    if result.exists():
        try:
            json.loads(result.read_text(), parse_constant=float.fromhex)  # NaN and Infinity are none
        except ValueError as error:
            wrong.append(("lost", f"result.json is no JSON ({error})"))
    if grown > ALLOWANCE + 2 * size or children > ALLOWANCE:
        wrong.append(
            ("memory", f"{grown >> 20} MB, {children >> 20} MB in another process, of {size >> 20} MB")
        )
    return wrong


def other_containers(sources, folder):
    """Clips of CONTAINERS and with EDITS, made of some of the sources."""
    made = []
    for extension, arguments in CONTAINERS.items():
        for source in sources[:: max(1, len(sources) // MADE_OF_EACH)][:MADE_OF_EACH]:
            path = folder / f"{len(made)}.{extension}"
            subprocess.run(
                [
                    find_ffmpeg(),
                    "-v",
                    "error",
                    "-i",
                    f"file:{source}",
                    "-map",
                    "0:V:0",
                    "-t",
                    "3",
                    *arguments,
                    f"file:{path}",
                ],
                check=True,
                stdin=subprocess.DEVNULL,
            )
            made.append(path)
    whole = [path for path in made if path.suffix == ".mp4"]
    for number, path in enumerate(whole):
        edit = EDITS[number % len(EDITS)]
        edited = made[made.index(path)] = path.with_name(f"{path.stem}.mp4, {edit}.mp4")
        edited.write_bytes(with_edits(path.read_bytes(), edit))
        path.unlink()
    return made


def with_edits(mp4, edit):
    """An MP4 file of one track, its index behind its samples, as ffmpeg writes it, with another edit list."""

    def entries(old):
        seconds, start = struct.unpack(
            ">Ii", old[8:16]
        )  # in the movie's units, thousandths, and in the track's
        part = (seconds // 3, start)
        found = {
            "late": [(seconds - seconds // 3, start + 2**13)],
            "pause": [part, (500, -1), (seconds // 2, start)],
            "repeat": [part] * 4,
            "repeat 30,000 times": [(seconds, start)] * 30_000,
        }[edit]
        return struct.pack(">II", 0, len(found)) + b"".join(
            struct.pack(">IiI", *entry, 1 << 16) for entry in found
        )

    def rewrite(content):
        out, at = b"", 0
        while at < len(content):
            size, kind = struct.unpack(">I4s", content[at : at + 8])
            inner = content[at + 8 : at + size]
            if kind in (b"moov", b"trak", b"edts"):
                inner = rewrite(inner)
            elif kind == b"elst":
                inner = entries(inner)
            out += struct.pack(">I4s", 8 + len(inner), kind) + inner
            at += size
        return out

    return rewrite(mp4)


def prepare(folder, clip):
    """(a data folder with a good clip whose frames are made, a checkpoint)."""
    good = folder / "data"
    (good / "train/A").mkdir(parents=True)
    shutil.copy(clip, good / "train/A" / f"good{clip.suffix}")
    with contextlib.redirect_stdout(io.StringIO()):
        extract_files.extract_files(clip.suffix, extract_files.SplitOptions(data_dir=good, quiet=True))
    checkpoint = folder / "model.hdf5"
    ResearchModel(2, seq_length=SEQ_LENGTH).save(
        checkpoint, Metadata(["A", "B"], SEQ_LENGTH, [SIZE, SIZE, 3], 2, "random", "random")
    )
    return good, checkpoint


def main():
    parser = cli.make_parser(__doc__)
    parser.add_argument("--clips", type=Path, help="folder of whole clips, searched through")
    parser.add_argument("--count", type=cli.at_least(0), default=500, help="of mutated videos (default: 500)")
    parser.add_argument("--checkpoints", type=cli.at_least(0), default=200, help="how many (default: 200)")
    parser.add_argument("--first", type=cli.at_least(0), default=0, help="seed of the first mutation")
    parser.add_argument(
        "--limit", type=cli.at_least(1), default=60, help="seconds that a script may take (default: 60)"
    )
    parser.add_argument("--serve", action="store_true", help="what the benchmark itself starts")
    args = parser.parse_args()
    if args.serve:
        return serve()
    import_keras()
    sources = (
        sorted(path for path in args.clips.rglob("*") if path.suffix in (".avi", ".mp4", ".mkv"))
        if args.clips
        else []
    )
    if not sources:
        raise UsageError(f"{args.clips}: no clips; give a folder of some with --clips")
    counts = dict.fromkeys(COUNTED, 0)
    with tempfile.TemporaryDirectory() as folder, contextlib.ExitStack() as stack:
        folder = Path(folder)
        servers = [stack.enter_context(contextlib.closing(Server(args.limit))) for _ in range(2)]
        good, checkpoint = prepare(folder, sources[0])
        made = other_containers(sources, folder) if args.count else []
        # As many of the other containers as of the clips as they are.
        pool = sources + made * (len(sources) // len(made)) if made else sources

        def examine_video(seed, server):  # the made ones first, undamaged; they have numbers below 0
            found = (
                (made[-seed - 1], "as it is", made[-seed - 1].read_bytes())
                if seed < 0
                else damaged(seed, pool)
            )
            return examine(seed, found, good, checkpoint, server)

        numbers = [*range(-1, -len(made) - 1, -1), *range(args.first, args.first + args.count)]
        examine_all(examine_video, numbers, servers, counts, args.quiet)
        numbers = range(args.first, args.first + args.checkpoints)
        clip = next((good / "train/A").glob("good.*"))
        examine_all(
            lambda seed, server: examine_checkpoint(seed, checkpoint, clip, server),
            numbers,
            servers,
            counts,
            args.quiet,
        )
    print(", ".join(f"{name} {count}" for name, count in counts.items()))
    return 1 if any(counts.values()) else 0


def examine_all(examine_one, numbers, servers, counts, quiet):
    """Examines what has these numbers, on all servers at once, adds up what went wrong and prints a table of
    the outcomes. examine_one: called with a number and a server, returns names of what was tried, outcomes
    and what went wrong."""
    from tqdm import tqdm

    free, table = list(servers), {}

    def work(number):
        server = free.pop()
        try:
            return examine_one(number, server)
        finally:
            free.append(server)

    with ThreadPoolExecutor(len(servers)) as pool:
        for *tried, wrong in tqdm(pool.map(work, numbers), total=len(numbers), disable=quiet):
            outcomes = tried[-2:] if len(tried) > 2 else tried[-1:]
            for name in tried[: -len(outcomes)]:
                for script, outcome in zip(
                    ("extract_files.py", "clasify.py") if len(outcomes) == 2 else ("clasify.py",), outcomes
                ):
                    row = table.setdefault((name, script), {})
                    row[outcome] = row.get(outcome, 0) + 1
            for what in wrong:
                counts[what[3]] += 1
                tqdm.write(str(what), file=sys.stderr)
    if table:
        print(
            f"{len(numbers)} {'videos' if len(outcomes) == 2 else 'checkpoints'}; read whole / in "
            f"part / refused"
        )
    for (name, script), row in sorted(table.items()):
        print(
            f"{name:34} {script:17} {row.get('good', 0):4} / {row.get('partly', 0):4} / "
            f"{row.get('refused', 0):4}"
        )


if __name__ == "__main__":
    sys.exit(cli.run(main))
