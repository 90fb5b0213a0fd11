"""Renders the demo's recording, a football match with commercial breaks.

Writes to this folder: Football.mp4 (320x180, 25 frames per second, with sound) and labels.csv (start, end,
class) of all but the recording's last two stretches. Does nothing when labels.csv, which is written last, is
there.

    python data/demo/prepare.py
"""

import os
import subprocess
import sys
import tempfile
import wave

import cv2
import numpy as np
from tqdm import tqdm

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, os.path.dirname(os.path.dirname(HERE)))
from vidclass import atomic  # noqa: E402
from vidclass.video.ffmpeg import find_ffmpeg  # noqa: E402

WIDTH, HEIGHT, FPS, SAMPLE_RATE = 320, 180, 25, 22050
# Seconds of match and break, in turn.
STRETCHES = [
    ("Football", 25),
    ("Commercial", 19),
    ("Football", 13),
    ("Commercial", 16),
    ("Football", 19),
    ("Commercial", 25),
    ("Football", 13),
    ("Commercial", 10),
    ("Football", 25),
    ("Commercial", 19),
]
UNLABELLED = 2  # stretches at the end, of which nothing is learned
CAPTIONS = [
    "BUY NOW!",
    "50% OFF",
    "Fresh & Tasty",
    "NEW",
    "Call today",
    "Only 9.99",
    "The best.",
    "Drive it",
    "WOW",
]
SANS = cv2.FontFace("sans")


class Match:
    """A pitch larger than the picture, players and a ball that move, and a camera that follows the ball."""

    def __init__(self, random):
        self.random = random
        self.pitch = np.zeros((360, 900, 3), np.uint8)
        for stripe in range(0, 900, 60):
            self.pitch[:, stripe : stripe + 60] = (52, 132, 48) if stripe % 120 else (60, 148, 56)
        self.pitch[:60] = random.integers(40, 170, (60, 900, 3))  # the crowd
        self.pitch[56:62] = (200, 200, 205)
        line = (225, 235, 225)
        cv2.rectangle(self.pitch, (30, 80), (870, 340), line, 2)
        cv2.line(self.pitch, (450, 80), (450, 340), line, 2)
        cv2.circle(self.pitch, (450, 210), 45, line, 2)
        for x in (30, 760):
            cv2.rectangle(self.pitch, (x, 140), (x + 110, 280), line, 2)
        noise = random.normal(0, 6, self.pitch.shape)
        self.pitch = np.clip(self.pitch + noise, 0, 255).astype(np.uint8)
        self.players = random.uniform((60, 90), (840, 330), (22, 2))
        self.ball = np.array([450.0, 210.0])
        self.target = self.ball.copy()
        self.camera = self.ball.copy()

    def frame(self):
        if np.hypot(*(self.target - self.ball)) < 12 or self.random.random() < 0.02:
            self.target = self.random.uniform((60, 90), (840, 330))
        self.ball += (self.target - self.ball) / max(np.hypot(*(self.target - self.ball)), 1) * 5
        nearest = np.argsort(np.hypot(*(self.players - self.ball).T))[:5]
        self.players += self.random.normal(0, 0.8, (22, 2))
        self.players[nearest] += (self.ball - self.players[nearest]) * 0.02
        self.camera += (self.ball - self.camera) * 0.06
        picture = self.pitch.copy()
        for number, (x, y) in enumerate(self.players.astype(int)):
            shirt = (205, 35, 40) if number < 11 else (240, 240, 245)
            cv2.ellipse(picture, (x + 4, y + 2), (7, 3), 0, 0, 360, (40, 100, 38), -1, cv2.LINE_AA)
            cv2.rectangle(picture, (x - 3, y - 14), (x + 3, y - 4), shirt, -1)
            cv2.rectangle(picture, (x - 2, y - 4), (x + 2, y + 2), (30, 30, 60), -1)
            cv2.circle(picture, (x, y - 17), 3, (200, 160, 130), -1, cv2.LINE_AA)
        cv2.circle(picture, tuple(self.ball.astype(int)), 3, (255, 255, 255), -1, cv2.LINE_AA)
        left = int(np.clip(self.camera[0] - WIDTH / 2, 0, 900 - WIDTH))
        top = int(np.clip(self.camera[1] - HEIGHT / 2 - 20, 0, 360 - HEIGHT))
        picture = np.ascontiguousarray(picture[top : top + HEIGHT, left : left + WIDTH])
        cv2.putText(picture, "RED 1 : 0 WHI", (WIDTH - 110, 18), (255, 255, 255), SANS, 12)
        return picture


class Break:
    """Spots: a new scene every 0.3 to 1.2 s, with a coloured background, shapes that fly past and a
    caption."""

    scene_frames = 8, 30  # a scene's length: the shortest, and one more than the longest

    def __init__(self, random):
        self.random = random
        self.left = 0

    def frame(self):
        random = self.random
        if self.left == 0:
            self.left = self.length = int(random.integers(*self.scene_frames))
            self.corners = random.integers(0, 256, (2, 2, 3)).astype(np.float32)
            self.colors = random.integers(0, 256, (7, 3))
            self.places, self.speeds = random.uniform(0, 1, (7, 2)), random.normal(0, 0.02, (7, 2))
            self.sizes, self.kinds = random.integers(8, 60, 7), random.integers(0, 3, 7)
            self.caption = CAPTIONS[random.integers(len(CAPTIONS))]
            self.caption_at = (int(random.integers(5, 90)), int(random.integers(50, 165)))
        self.left -= 1
        picture = cv2.resize(self.corners, (WIDTH, HEIGHT), interpolation=cv2.INTER_LINEAR).astype(np.uint8)
        self.places += self.speeds
        for place, color, size, kind in zip(self.places, self.colors.tolist(), self.sizes, self.kinds):
            x, y = int(place[0] * WIDTH), int(place[1] * HEIGHT)
            if kind == 0:
                cv2.circle(picture, (x, y), int(size), color, -1, cv2.LINE_AA)
            elif kind == 1:
                cv2.rectangle(picture, (x, y), (x + 2 * int(size), y + int(size)), color, -1)
            else:
                corners = np.array([[x, y - size], [x - size, y + size], [x + size, y + size]], np.int32)
                cv2.fillPoly(picture, [corners], color, cv2.LINE_AA)
        grown = 22 + 14 * (self.length - self.left) // self.length
        for offset, color in ((2, (0, 0, 0)), (0, (255, 255, 255))):
            at = (self.caption_at[0] + offset, self.caption_at[1] + offset)
            cv2.putText(picture, self.caption, at, color, SANS, grown, 700)
        return picture


SCENES = {"Football": Match, "Commercial": Break}


def sound(class_name, seconds, random):
    """Mono samples, float (n,) in -1..1: a crowd that swells and ebbs, or a jingle."""
    count = int(seconds * SAMPLE_RATE)
    time = np.arange(count) / SAMPLE_RATE
    if class_name == "Football":
        noise = np.convolve(random.normal(0, 1, count), np.ones(12) / 12, "same")
        return 0.25 * noise * (1 + 0.5 * np.sin(0.8 * time + random.uniform(0, 6)))
    notes = 220 * 2 ** (random.choice([0, 3, 5, 7, 10, 12], count // 4000 + 1) / 12)
    pitch = np.repeat(notes, 4000)[:count]
    return 0.2 * np.sign(np.sin(2 * np.pi * np.cumsum(pitch) / SAMPLE_RATE)) * (0.4 + 0.6 * (time * 8 % 1))


def render(path, stretches, random, scenes=SCENES):
    """Renders a recording to an MP4 file, whole or not at all. stretches: (class, seconds) in turn, whole
    frames. scenes: what draws each class, called with the generator of random numbers for each stretch; its
    .frame() gives frame after frame. Returns the labels: a list of (start, end, class)."""
    labels, frames = [], 0
    with tempfile.TemporaryDirectory(dir=os.path.dirname(path)) as folder:
        wav = os.path.join(folder, "sound.wav")
        with wave.open(wav, "wb") as file:
            file.setparams((1, 2, SAMPLE_RATE, 0, "NONE", "not compressed"))
            for class_name, seconds in stretches:
                samples = np.clip(sound(class_name, seconds, random), -1, 1)
                file.writeframes((samples * 32767).astype("<i2").tobytes())
                first, frames = frames, frames + round(seconds * FPS)
                labels.append((first / FPS, frames / FPS, class_name))
        partial = os.path.join(folder, "recording.mp4")
        command = [
            find_ffmpeg(),
            "-v",
            "error",
            "-f",
            "rawvideo",
            "-pix_fmt",
            "rgb24",
            "-video_size",
            f"{WIDTH}x{HEIGHT}",
            "-framerate",
            str(FPS),
            "-i",
            "pipe:0",
            "-i",
            wav,
            "-c:v",
            "libx264",
            "-preset",
            "veryfast",
            "-pix_fmt",
            "yuv420p",
            "-c:a",
            "aac",
            "-shortest",
            partial,
        ]
        process = subprocess.Popen(command, stdin=subprocess.PIPE)
        assert process.stdin
        with tqdm(total=frames, unit="frame", desc="Rendering the recording") as bar:
            for class_name, seconds in stretches:
                scene = scenes[class_name](random)
                for _ in range(round(seconds * FPS)):
                    process.stdin.write(scene.frame().tobytes())
                    bar.update()
        process.stdin.close()
        if process.wait() != 0:
            raise OSError(f"{path}: ffmpeg could not write it")
        os.replace(partial, path)
    return labels


def write_labels(path, labels):
    """Writes labels as CSV, whole or not at all."""
    atomic.write_text(path, atomic.csv_text([("start", "end", "class"), *labels]))


def main():
    labels_path = os.path.join(HERE, "labels.csv")
    if os.path.exists(labels_path):
        return print("The demo's recording is there already.")
    recording = os.path.join(HERE, "Football.mp4")
    labels = render(recording, STRETCHES, np.random.default_rng(0))
    write_labels(labels_path, labels[:-UNLABELLED])
    print(f"{recording}: {labels[-1][1]:g} s, labelled up to {labels[-UNLABELLED][0]:g} s")


if __name__ == "__main__":
    main()
