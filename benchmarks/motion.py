"""Makes datasets whose classes differ in nothing but how the picture moves, from a folder of real clips.

tempo: a clip at its own speed, or played 3 times as fast (two of three frames dropped, the frame rate kept).
The slow one is the middle third of its clip: both last equally long, or a sequence, which spreads over the
whole clip, would take the same frames of both. still: a clip, or its middle frame repeated; both get fresh
noise before they are encoded. reverse: a clip forwards or backwards.

Every clip is in both classes, and its group (see groups.group_of) in its name: a split by group keeps both on
one side. Clips whose names tell no groups are grouped by threes in the order of their names, as neighbours
are often of one camera.

    python benchmarks/motion.py tempo ../shared/clips --data-dir tempo
    python extract_files.py avi --data-dir tempo
"""

import os
import subprocess
import sys

from tqdm import tqdm

sys.path.insert(0, os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
from vidclass import cli  # noqa: E402
from vidclass.dataset.groups import group_of  # noqa: E402
from vidclass.video.ffmpeg import find_ffmpeg  # noqa: E402
from vidclass.video.probe import count_frames, probe  # noqa: E402

CLASSES = {"tempo": ("Slow", "Fast"), "still": ("Moving", "Still"), "reverse": ("Forwards", "Backwards")}
SPEED = 3
NOISE = "noise=alls=6:allf=t"
EXTENSIONS = (".avi", ".mp4")


def find_clips(folder):
    """[(split, name that tells class and group, path)] of a folder's train/<Class>/ and test/<Class>/."""
    found, groups = [], {}
    for split in ("train", "test"):
        for class_name in sorted(os.listdir(os.path.join(folder, split))):
            place = os.path.join(folder, split, class_name)
            names = sorted(name for name in os.listdir(place) if name.endswith(EXTENSIONS))
            tells_groups = len({group_of(name) for name in names}) > 1
            for number, name in enumerate(names):
                key = split, class_name, group_of(name) if tells_groups else number // 3
                group = groups.setdefault(key, len(groups) + 1)
                clip = f"v_{class_name}_g{group:02d}_c{number:02d}"
                found.append((split, clip, os.path.join(place, name)))
    return found


def filters(kind, frames):
    """ffmpeg's video filters for a clip of so many frames, one for each class of CLASSES[kind]."""
    if kind == "tempo":
        third = frames // SPEED
        first = (frames - third) // 2
        slow = f"trim=start_frame={first}:end_frame={first + third},setpts=N/FR/TB"
        fast = f"select='not(mod(n,{SPEED}))*lt(n,{third * SPEED})',setpts=N/FR/TB"
        return slow, fast
    if kind == "still":
        middle = f"trim=start_frame={frames // 2}:end_frame={frames // 2 + 1},loop={frames - 1}:1"
        return NOISE, f"{middle},setpts=N/FR/TB,{NOISE}"
    return "null", "reverse"


def render(kind, folder, data_dir):
    """Writes train/<class>/*.avi and test/<class>/*.avi below data_dir: MPEG-4 of high quality."""
    for split, name, path in tqdm(find_clips(folder), desc=kind):
        info = probe(path)
        for class_name, change in zip(CLASSES[kind], filters(kind, count_frames(path))):
            target = os.path.join(data_dir, split, class_name, f"{name}.avi")
            os.makedirs(os.path.dirname(target), exist_ok=True)
            command = [find_ffmpeg(), "-v", "error", "-y", "-i", path, "-vf", change, "-an"]
            command += ["-r", str(info.fps), "-c:v", "mpeg4", "-q:v", "3", target]
            subprocess.run(command, check=True)


def main():
    parser = cli.make_parser(__doc__)
    parser.add_argument("kind", choices=CLASSES)
    parser.add_argument("clips", help="a folder with train/<Class>/ and test/<Class>/, as ../shared/clips")
    args = parser.parse_args()
    return cli.run(lambda: render(args.kind, args.clips, args.data_dir))


if __name__ == "__main__":
    sys.exit(main())
