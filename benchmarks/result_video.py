"""How fast result.avi is written, without the classification: beside a plain transcode by ffmpeg with the
same encoder and quality, which draws nothing.

Windows of 3 s get classes at random, of three. Both write the sound, too. Without a video it renders one:
1280x720, H.264, 60 s.

    python benchmarks/result_video.py recording.mp4 --rounds 5
"""

import os
import statistics
import sys
import tempfile

import numpy as np

sys.path.insert(0, os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
from rounds import ratio, take_turns  # noqa: E402

from vidclass import cli  # noqa: E402
from vidclass.recording import result_video  # noqa: E402
from vidclass.recording.options import ClassifyOptions  # noqa: E402
from vidclass.recording.segments import Timeline, Window, find_segments  # noqa: E402
from vidclass.recording.windows import set_times  # noqa: E402
from vidclass.video.encoders import AVI_CODING  # noqa: E402
from vidclass.video.ffmpeg import input_arguments, passthrough, run_to_end  # noqa: E402
from vidclass.video.reader import FrameReader  # noqa: E402
from vidclass.video.writer import VideoWriter  # noqa: E402

CLASSES = ["Football", "Commercial", "Studio"]
SECONDS = 3  # of a window


def render(path):
    """Writes moving shapes with some noise, and a tone."""
    picture = "testsrc2=size=1280x720:rate=25:duration=60,noise=alls=8:allf=t"
    inputs = ["-f", "lavfi", "-i", picture, "-f", "lavfi", "-i", "sine=440:duration=60"]
    coding = ["-c:v", "libx264", "-preset", "veryfast", "-pix_fmt", "yuv420p", "-c:a", "aac"]
    run_to_end([*inputs, *coding, f"file:{path}"], path)


def classify(reader):
    """(Timeline, times of all frames and of the end) of a video, with probabilities at random."""
    frames, step = sum(1 for _ in reader), max(1, round(SECONDS * reader.info.fps))
    random = np.random.default_rng(0)
    windows = [
        Window(0, 0, start, min(start + step, frames), random.dirichlet([0.5] * len(CLASSES)).tolist())
        for start in range(0, frames, step)
    ]
    windows, times = set_times(windows, reader)
    segments = find_segments(CLASSES, windows)
    return Timeline(reader.path, reader.info.fps, reader.size, CLASSES, windows, segments), times


def compare(video, rounds):
    with tempfile.TemporaryDirectory() as folder:
        if video is None:
            video = os.path.join(folder, "video.mp4")
            render(video)
        reader, output = FrameReader(video), os.path.join(folder, "result.avi")
        timeline, times = classify(reader)
        frames = len(times) - 1

        def draw():
            with VideoWriter(output, reader) as writer:
                result_video.write(timeline, times, writer, ClassifyOptions(output=output, quiet=True))

        def transcode():
            streams = ["-map", "0:V:0", "-map", "0:a:0?", *passthrough()]
            plain = os.path.join(folder, "plain.avi")
            run_to_end([*input_arguments(video), *streams, *AVI_CODING, "-f", "avi", f"file:{plain}"], plain)

        seconds = take_turns({"result.avi": draw, "plain transcode": transcode}, rounds)
    print(f"{frames} frames of {reader.size[1]}x{reader.size[0]}, {len(timeline.windows)} windows")
    for name, found in seconds.items():
        median = statistics.median(found)
        print(f"{name:16} {median:7.2f} s {frames / median:7.1f} frames/s")
    share = ratio(seconds["plain transcode"], seconds["result.avi"])
    print(f"result.avi is written at {share:.0%} of the rate of the plain transcode, {rounds} rounds")


def main():
    parser = cli.make_parser(__doc__)
    parser.add_argument("video", nargs="?", help="default: one that is rendered")
    parser.add_argument("--rounds", type=cli.at_least(1), default=3, help="default: 3")
    args = parser.parse_args()
    return cli.run(lambda: compare(args.video, args.rounds), args.debug)


if __name__ == "__main__":
    sys.exit(main())
