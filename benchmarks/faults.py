"""What do damaged videos do? Mutated clips through extract_files.py and clasify.py: crashes, hangs, wrong exit codes, lost files.

Each of --count seeded mutations of a clip (bits flipped, bytes overwritten, cut out, doubled or cut off, one file's beginning
before another's end) lies beside a good clip. A crash is a process that died or an error that no one foresaw; a hang is a
script that took longer than --limit seconds; an exit code is wrong if it is not 0 or 1, if it is 0 and there is no result, or
if it is 1 and no line names the clip; a file is lost if the clip itself changed, the good clip lost a frame or its row,
result.avi has fewer frames than were classified, or something half-written is left. Scripts are called in processes that go
on until they die, so that TensorFlow need not load a thousand times.

    python benchmarks/faults.py --clips ../shared/clips --count 500
"""
import contextlib
import functools
import io
import json
import os
import random
import re
import shutil
import subprocess
import sys
import tempfile
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
sys.path.insert(0, ROOT)
import cli  # noqa: E402

SEQ_LENGTH, SIZE = 4, 75  # small, so that most of the time goes to the files
KINDS = ("flip", "overwrite", "cut out", "double", "cut off", "splice")


def mutate(whole, other, seed):
    """(kind, damaged copy of a file's bytes). other: another file, for splices."""
    r = random.Random(seed)
    kind = KINDS[seed % len(KINDS)]
    content = bytearray(whole)
    # Half of the damage to the first and last kilobytes, where the containers keep their tables.
    places = [r.choice((r.randrange(len(content)), r.randrange(min(4096, len(content))),
                        len(content) - 1 - r.randrange(min(4096, len(content))))) for _ in range(r.choice((1, 10, 100, 1000)))]
    at, length = places[0], r.choice((1, 16, 256, 4096))
    if kind == "flip":
        for place in places:
            content[place] ^= 1 << r.randrange(8)
    elif kind == "overwrite":
        content[at:at + length] = r.choice((r.randbytes(length), bytes(length), b"\xff" * length))
    elif kind == "cut out":
        del content[at:at + length]
    elif kind == "double":
        content[at:at] = content[at:at + length]
    elif kind == "cut off":
        del content[at:]
    elif kind == "splice":
        border = r.choice((64, 512, 4096, len(other) // 2))
        content = bytearray(other[:border] + whole[border:])
    return kind, bytes(content)


def serve():
    """Reads a folder a line from stdin, runs the scripts in it, answers with what they said as a line of JSON."""
    answers = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)  # what libraries print must not be taken for an answer
    import clasify
    import extract_files
    cli.import_keras()
    import extractor
    load, compile_ = extractor.load_network, extractor.compile_network
    extractor.load_network = functools.cache(load)
    extractor.compile_network = functools.cache(compile_)
    for line in sys.stdin:
        folder, script, arguments = json.loads(line)
        os.chdir(folder)
        out, err = io.StringIO(), io.StringIO()
        with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
            code = {"extract_files.py": extract_files, "clasify.py": clasify}[script].main(arguments)
        print(json.dumps([code, out.getvalue(), err.getvalue()]), file=answers, flush=True)


class Server:
    """A process that runs scripts, replaced when it dies or hangs."""

    def __init__(self, limit):
        self.limit, self._process = limit, None

    def call(self, *request):
        """[exit code, stdout, stderr], "crash" or "hang"."""
        if self._process is None:
            self._process = subprocess.Popen([sys.executable, __file__, "--serve"], stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                                             stderr=subprocess.DEVNULL, text=True, start_new_session=True)
            limit = self.limit + 60  # TensorFlow loads, the network is made
        else:
            limit = self.limit
        hung = threading.Event()
        timer = threading.Timer(limit, lambda: (hung.set(), self._process.kill()))
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
        self.stop()
        return "hang" if hung.is_set() else "crash"

    def stop(self):
        if self._process:
            self._process.kill()
            self._process.wait()
            self._process = None


def count_frames(path):
    import video
    report = subprocess.run([video.find_ffmpeg(), "-v", "error", "-i", path, "-map", "0:v:0", "-f", "null", *video.passthrough(),
                             "-progress", "-", "-"], capture_output=True, text=True).stdout
    return int((re.findall(r"frame=\s*(\d+)", report) or ["0"])[-1])


def judge_extraction(folder, clip, answer):
    """What went wrong in extract_files.py, a list of (kind, what)."""
    if isinstance(answer, str):
        return [(answer, "")]
    code, _, stderr = answer
    wrong = [("crash", stderr)] if "unexpected" in stderr or "Traceback" in stderr else []
    rows = {row.name: row.frames for row in _rows(folder)}
    frames = len(list(clip.parent.glob("x-*.jpg")))
    if code not in (0, 1) or code == 0 and not rows.get("x") or code == 1 and f"{clip.name}: left out, " not in stderr:
        wrong.append(("wrong exit code", f"{code}: {stderr}"))
    if rows.get("x", 0) != frames:
        wrong.append(("lost", f"{frames} frames, {rows.get('x')} in data_file.csv"))
    if rows.get("good") != len(list(clip.parent.glob("good-*.jpg"))) or not rows.get("good"):
        wrong.append(("lost", "the good clip's frames"))
    return wrong


def _rows(folder):
    import data
    return data.read_data_file(folder / "data")


def judge_classification(folder, clip, answer):
    """What went wrong in clasify.py."""
    if isinstance(answer, str):
        return [(answer, "")]
    code, stdout, stderr = answer
    result, wrong = folder / "result.avi", []
    if "unexpected" in stderr or "Traceback" in stderr:
        wrong.append(("crash", stderr))
    found = re.search(r"^(\d+) frames, ", stdout, re.M)
    if code not in (0, 1) or (code == 0) > result.exists() or code == 1 and clip.name not in stderr:
        wrong.append(("wrong exit code", f"{code}: {stderr}"))
    if result.exists() != bool(found) or found and count_frames(result) != int(found[1]):
        wrong.append(("lost", f"{found and found[0]}, {count_frames(result) if result.exists() else 'no'} frames in result.avi"))
    return wrong


def examine(seed, sources, good, checkpoint, server):
    """(kind of mutation, extract_files.py's outcome, clasify.py's, what went wrong)."""
    r = random.Random(f"source {seed}")
    source, other = r.choice(sources), r.choice(sources)
    kind, content = mutate(source.read_bytes(), other.read_bytes(), seed)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        shutil.copytree(good, folder / "data")
        clip = folder / "data/train/A" / f"x{source.suffix}"
        clip.write_bytes(content)
        answers = [server.call(name, "extract_files.py", [source.suffix, "--quiet"])]
        wrong = judge_extraction(folder, clip, answers[0])
        answers.append(server.call(name, "clasify.py", [str(SEQ_LENGTH), "2", str(checkpoint), str(clip), "--quiet"]))
        wrong += judge_classification(folder, clip, answers[1])
        if clip.read_bytes() != content:
            wrong.append(("lost", "the clip itself changed"))
        left = [str(path) for path in folder.rglob(".*")]
        if left and not any(isinstance(answer, str) for answer in answers):
            wrong.append(("lost", f"left behind: {left}"))
    outcomes = [answer if isinstance(answer, str) else "good" if answer[0] == 0 else "refused" if "result.avi" not in answer[1]
                else "partly" for answer in answers]
    return kind, *outcomes, [(seed, source.name, kind, *what) for what in wrong]


def prepare(folder, clip):
    """(a data folder with a good clip whose frames are made, a checkpoint)."""
    import extract_files
    from checkpoint import Metadata
    from models import ResearchModel
    good = folder / "data"
    (good / "train/A").mkdir(parents=True)
    shutil.copy(clip, good / "train/A" / f"good{clip.suffix}")
    with contextlib.redirect_stdout(io.StringIO()):
        extract_files.extract_files(clip.suffix, good, quiet=True)
    checkpoint = folder / "model.hdf5"
    ResearchModel(2, seq_length=SEQ_LENGTH).save(checkpoint, Metadata(["A", "B"], SEQ_LENGTH, [SIZE, SIZE, 3], 2, "random", "random"))
    return good, checkpoint


def main():
    parser = cli.make_parser(__doc__)
    parser.add_argument("--clips", type=Path, help="folder of whole clips, searched through")
    parser.add_argument("--count", type=cli.at_least(1), default=500)
    parser.add_argument("--first", type=cli.at_least(0), default=0, help="seed of the first mutation")
    parser.add_argument("--limit", type=cli.at_least(1), default=60, help="seconds that a script may take (default: 60)")
    parser.add_argument("--serve", action="store_true", help="what the benchmark itself starts")
    args = parser.parse_args()
    if args.serve:
        return serve()
    from tqdm import tqdm
    cli.import_keras()
    sources = sorted(path for path in args.clips.rglob("*") if path.suffix in (".avi", ".mp4", ".mkv")) if args.clips else []
    if not sources:
        raise cli.UsageError(f"{args.clips}: no clips; give a folder of some with --clips")
    counts, outcomes = dict.fromkeys(("crash", "hang", "wrong exit code", "lost"), 0), {}
    servers = [Server(args.limit) for _ in range(2)]
    free = list(servers)
    with tempfile.TemporaryDirectory() as folder, ThreadPoolExecutor(len(servers)) as pool:
        good, checkpoint = prepare(Path(folder), sources[0])

        def work(seed):
            server = free.pop()
            try:
                return examine(seed, sources, good, checkpoint, server)
            finally:
                free.append(server)
        results = pool.map(work, range(args.first, args.first + args.count))
        for kind, extracted, classified, wrong in tqdm(results, total=args.count, disable=args.quiet):
            for script, outcome in (("extract_files.py", extracted), ("clasify.py", classified)):
                row = outcomes.setdefault((kind, script), {})
                row[outcome] = row.get(outcome, 0) + 1
            for what in wrong:
                counts[what[3]] += 1
                tqdm.write(str(what), file=sys.stderr)
    for server in servers:
        server.stop()
    print(f"{args.count} mutations of {len(sources)} clips; read whole / in part / refused")
    for (kind, script), row in sorted(outcomes.items()):
        print(f"{kind:10} {script:17} {row.get('good', 0):4} / {row.get('partly', 0):4} / {row.get('refused', 0):4}")
    print(", ".join(f"{name} {count}" for name, count in counts.items()))
    return 1 if any(counts.values()) else 0


if __name__ == "__main__":
    sys.exit(cli.run(main))
