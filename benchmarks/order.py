"""Renders clips that differ in nothing but the order of their frames: a dataset that no average of frames can
sort.

light: a scene that grows light or dark. fill: one that fills up with things or empties. Every scene of the
test split is in both classes, the same frames in opposite order; the scenes of the training split in one, so
that their look tells nothing.

    python benchmarks/order.py light --data-dir order && python extract_files.py avi --data-dir order
"""

import os
import sys
import tempfile

import cv2
import numpy as np

sys.path.insert(0, os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
from vidclass import cli  # noqa: E402
from vidclass.video.encoders import AVI_CODING  # noqa: E402
from vidclass.video.ffmpeg import run_to_end  # noqa: E402

WIDTH, HEIGHT, FRAMES, FPS = 128, 96, 25, 25
CLASSES = {"light": ("Dawn", "Dusk"), "fill": ("Filling", "Emptying")}


def light(random):
    """The frames of a scene that grows light, uint8 RGB (FRAMES, HEIGHT, WIDTH, 3)."""
    scene = cv2.resize(
        random.integers(60, 256, (3, 4, 3)).astype(np.float32), (WIDTH, HEIGHT), interpolation=cv2.INTER_CUBIC
    )
    for _ in range(random.integers(2, 8)):
        cv2.circle(scene, *_circle(random, 4, 25), -1, cv2.LINE_AA)
    dark, bright = random.uniform(0.1, 0.4), random.uniform(0.7, 1)
    levels = dark + (bright - dark) * np.linspace(0, 1, FRAMES) ** random.uniform(0.5, 2)
    return np.stack([_noisy(random, scene * level) for level in levels])


def fill(random):
    """The frames of a scene that fills up with discs, uint8 RGB (FRAMES, HEIGHT, WIDTH, 3)."""
    ground = cv2.resize(random.integers(60, 200, (2, 2, 3)).astype(np.float32), (WIDTH, HEIGHT))
    discs = [_circle(random, 3, 12) for _ in range(random.integers(20, 40))]
    frames = []
    for number in range(FRAMES):
        picture = ground.copy()
        for disc in discs[: round(len(discs) * number / (FRAMES - 1))]:
            cv2.circle(picture, *disc, -1, cv2.LINE_AA)
        frames.append(_noisy(random, picture))
    return np.stack(frames)


def _circle(random, smallest, largest):
    return (
        (int(random.integers(WIDTH)), int(random.integers(HEIGHT))),
        int(random.integers(smallest, largest)),
        random.integers(0, 256, 3).tolist(),
    )


def _noisy(random, picture):
    return np.clip(picture + random.normal(0, 3, picture.shape), 0, 255).astype(np.uint8)


def _write(path, frames):
    """Writes frames, uint8 RGB (height, width, 3), as XVID."""
    size = f"{frames[0].shape[1]}x{frames[0].shape[0]}"
    raw = ["-f", "rawvideo", "-pix_fmt", "rgb24", "-video_size", size, "-framerate", str(FPS)]
    with tempfile.NamedTemporaryFile() as file:
        file.write(np.stack(frames).tobytes())
        file.flush()
        run_to_end([*raw, "-i", f"file:{file.name}", *AVI_CODING, "-f", "avi", f"file:{path}"], path)


def render(kind, data_dir, train_scenes, test_scenes, seed=0):
    """Writes train/<class>/*.avi and test/<class>/*.avi below data_dir."""
    random = np.random.default_rng(seed)
    for split, scenes in (("train", train_scenes), ("test", test_scenes)):
        for number in range(scenes):
            frames = {"light": light, "fill": fill}[kind](random)
            for position, name in enumerate(CLASSES[kind]):
                if split == "test" or position == number % 2:
                    folder = os.path.join(data_dir, split, name)
                    os.makedirs(folder, exist_ok=True)
                    path = os.path.join(folder, f"scene{number}_{split}_1.avi")
                    _write(path, frames[::-1] if position else frames)


def main():
    parser = cli.make_parser(__doc__)
    parser.add_argument("kind", choices=CLASSES)
    parser.add_argument("--train", type=cli.at_least(4), default=80, help="scenes (default: 80)")
    parser.add_argument("--test", type=cli.at_least(1), default=20, help="scenes (default: 20)")
    parser.add_argument("--seed", type=cli.at_least(0), default=0)
    args = parser.parse_args()
    return cli.run(lambda: render(args.kind, args.data_dir, args.train, args.test, args.seed))


if __name__ == "__main__":
    sys.exit(main())
