"""Draws breaks with scenes of 1 to 2 s, some of each calm: a landscape, a product, a card with a name. For
timeline.py --shots."""

import os
import sys

import cv2
import numpy as np

ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
sys.path[:0] = [ROOT, os.path.join(ROOT, "data", "demo")]
import prepare  # noqa: E402
from prepare import FPS, HEIGHT, SANS, WIDTH  # noqa: E402

SCENE = 1, 2  # seconds, the shortest and the longest
CALM = 0.4  # share of the scenes


class Break(prepare.Break):
    """prepare.Break with longer scenes, and calm ones among them."""

    scene_frames = SCENE[0] * FPS, SCENE[1] * FPS + 1

    def __init__(self, random):
        super().__init__(random)
        self.number, self.calm = 0, None

    def frame(self):
        if self.left == 0:
            self.number += 1
            kind = int(self.random.integers(3))
            # The second is calm in any case, so that each break has a calm scene.
            is_calm = self.number == 2 or self.random.random() < CALM
            self.calm = (Landscape, Product, Card)[kind](self.random) if is_calm else None
            if self.calm:
                self.left = int(self.random.integers(*self.scene_frames))
        if not self.calm:
            return super().frame()
        self.left -= 1
        return self.calm.frame()


def gradient(random, low, high):
    """A picture that goes from one colour at its top to another at its bottom."""
    colors = random.integers(low, high, (2, 1, 3)).astype(np.float32)
    return cv2.resize(colors, (WIDTH, HEIGHT), interpolation=cv2.INTER_LINEAR).astype(np.uint8)


def caption(picture, text, at, size):
    """Writes white text with a shadow."""
    for offset, color in ((2, (0, 0, 0)), (0, (255, 255, 255))):
        cv2.putText(picture, text, (at[0] + offset, at[1] + offset), color, SANS, size, 700)
    return picture


class Landscape:
    """Hills below a sky. The camera pans slowly."""

    def __init__(self, random):
        self.sky, self.at, self.speed = gradient(random, 110, 255), 0.0, random.normal(0, 0.6)
        self.sun = tuple(random.integers((20, 15), (300, 70)).tolist())
        self.hills = [
            (tuple(random.integers(20, 190, 3).tolist()), random.uniform(0, 6, 2), HEIGHT * level)
            for level in (0.5, 0.65, 0.8)
        ]

    def frame(self):
        picture, across = self.sky.copy(), np.arange(0, WIDTH + 8, 8)
        self.at += self.speed
        cv2.circle(picture, self.sun, 16, (255, 245, 200), -1, cv2.LINE_AA)
        for depth, (color, phases, level) in enumerate(self.hills, 1):
            x = across + depth * self.at
            up = 16 * np.sin(x / 60 + phases[0]) + 8 * np.sin(x / 23 + phases[1])
            outline = [*zip(across, level - up), (WIDTH + 8, HEIGHT), (0, HEIGHT)]
            cv2.fillPoly(picture, [np.array(outline, np.int32)], color, cv2.LINE_AA)
        return picture


class Product:
    """A bottle, a box or a can before a plain ground, which comes slowly nearer."""

    def __init__(self, random):
        self.ground, self.color = gradient(random, 120, 255), random.integers(0, 200, 3).tolist()
        self.label, self.x = random.integers(120, 256, 3).tolist(), int(random.integers(90, 230))
        self.width, self.height = random.uniform(18, 40), random.uniform(45, 70)
        self.neck, self.growth = random.choice((0, 0.35)), random.uniform(1.0005, 1.004)
        self.text = prepare.CAPTIONS[random.integers(len(prepare.CAPTIONS))]

    def frame(self):
        picture, x, y = self.ground.copy(), self.x, HEIGHT // 2
        self.width, self.height = self.width * self.growth, self.height * self.growth
        wide, high = int(self.width), int(self.height)
        cv2.ellipse(picture, (x, y + high), (wide + 14, 8), 0, 0, 360, (90, 90, 95), -1, cv2.LINE_AA)
        if self.neck:
            cv2.rectangle(picture, (x - wide // 3, y - high - 15), (x + wide // 3, y), self.color, -1)
            high = int(high * (1 - self.neck / 2))
        cv2.rectangle(picture, (x - wide, y - high), (x + wide, y + int(self.height)), self.color, -1)
        cv2.rectangle(picture, (x - wide, y - high // 3), (x + wide, y + high // 3), self.label, -1)
        return caption(picture, self.text, (14, HEIGHT - 10), 18)


class Card:
    """A name on one colour, growing slowly."""

    def __init__(self, random):
        self.color, self.size = random.integers(0, 220, 3).tolist(), random.uniform(22, 34)
        self.text, self.at = prepare.CAPTIONS[random.integers(len(prepare.CAPTIONS))], (40, 100)

    def frame(self):
        self.size += 0.05
        return caption(np.full((HEIGHT, WIDTH, 3), self.color, np.uint8), self.text, self.at, int(self.size))
