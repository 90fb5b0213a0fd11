"""How fast do the frames arrive that clasify.py samples from a recording, beside `ffmpeg -f null`, which
decodes it and throws all frames away? And beside reading all frames, as clasify.py did before.

The recordings are rendered, a minute each of a moving pattern with noise, or one of your own is taken, with
--video. 15 frames are sampled of each window of 7 seconds, and resized to 299x299.

    python benchmarks/decoding.py
"""

import os
import subprocess
import sys
import tempfile
from fractions import Fraction

sys.path.insert(0, os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
from rounds import ratio, take_turns  # noqa: E402

from vidclass import cli  # noqa: E402
from vidclass.recording.windows import SampledFrames, WindowSchedule, WindowSpec  # noqa: E402
from vidclass.video.ffmpeg import find_ffmpeg, video_arguments  # noqa: E402
from vidclass.video.images import resize  # noqa: E402
from vidclass.video.reader import FrameReader  # noqa: E402

X264, X265 = "-c:v libx264 -crf 22 -preset veryfast", "-c:v libx265 -crf 26 -preset ultrafast"
FORMATS = {  # name: size, frames per second, encoding, extension
    "H.264 720p": ("1280x720", 25, X264, "mp4"),
    "H.264 1080p": ("1920x1080", 25, X264, "mp4"),
    "HEVC 1080p": ("1920x1080", 25, f"{X265} -x265-params log-level=error", "mp4"),
    "MPEG-2 576i": ("720x576", 25, "-c:v mpeg2video -b:v 6M -flags +ilme+ildct", "mpg"),
}
SEQ_LENGTH, WINDOW, IMAGE_SHAPE = 15, 7, (299, 299, 3)


def render(folder, name, seconds):
    """Renders a recording. Returns its path."""
    size, fps, encoding, extension = FORMATS[name]
    path = os.path.join(folder, f"{name.replace(' ', '-')}.{extension}")
    source = f"testsrc2=size={size}:rate={fps}:duration={seconds},noise=alls=8:allf=t,format=yuv420p"
    command = [find_ffmpeg(), "-v", "error", "-f", "lavfi", "-i", source, *encoding.split(), path]
    subprocess.run(command, check=True)
    return path


def decode(path):
    """Decodes a video and throws its frames away."""
    command = [find_ffmpeg(), "-v", "error", "-nostdin", *video_arguments(path), "-f", "null", "-"]
    subprocess.run(command, check=True)


def read_all(path):
    """Reads all frames, and resizes those that are sampled."""
    schedule = make_schedule(path)
    wanted = set()
    for number in range(1 + FrameReader(path).info.frames // int(schedule.spec.hop)):
        wanted.update(schedule.samples(number))
    for number, frame in enumerate(FrameReader(path)):
        if number in wanted:
            resize(frame, IMAGE_SHAPE)


def read_sampled(path):
    """Reads the frames that are sampled, as clasify.py does."""
    for _ in SampledFrames(FrameReader(path), make_schedule(path), IMAGE_SHAPE):
        pass


def make_schedule(path):
    length = Fraction(WINDOW) * FrameReader(path).info.fps
    return WindowSchedule(WindowSpec(SEQ_LENGTH, length, length))


def measure(name, path, rounds):
    """Prints how fast the three are."""
    contenders = {"null": decode, "all": read_all, "sampled": read_sampled}
    seconds = take_turns({key: lambda work=work: work(path) for key, work in contenders.items()}, rounds)
    frames = FrameReader(path).info.frames
    rates = "  ".join(f"{key} {frames / min(times):.0f}" for key, times in seconds.items())
    print(
        f"{name}: frames/s {rates}; sampled against null {ratio(seconds['null'], seconds['sampled']):.2f}, "
        f"against all {ratio(seconds['all'], seconds['sampled']):.2f}",
        flush=True,
    )


def main():
    parser = cli.make_parser(__doc__)
    parser.add_argument("--video", help="measure this one alone")
    parser.add_argument("--seconds", type=cli.at_least(8), default=60, help="of a rendered one (default: 60)")
    parser.add_argument("--rounds", type=cli.at_least(1), default=3)
    args = parser.parse_args()
    if args.video:
        measure(os.path.basename(args.video), args.video, args.rounds)
        return
    with tempfile.TemporaryDirectory() as folder:
        for name in FORMATS:
            measure(name, render(folder, name, args.seconds), args.rounds)


if __name__ == "__main__":
    sys.exit(cli.run(main))
