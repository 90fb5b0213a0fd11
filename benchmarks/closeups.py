"""Draws close-ups of a football match: a player's face, players who run, the crowd. For shots.py."""

import os
import sys
from typing import NamedTuple

import cv2
import numpy as np

ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
sys.path[:0] = [ROOT, os.path.join(ROOT, "data", "demo")]
from prepare import HEIGHT, SANS, WIDTH  # noqa: E402

TEAMS = (((205, 35, 40), (30, 30, 60)), ((240, 240, 245), (30, 30, 60)))  # shirt, shorts: prepare.Match's
OTHERS = (((235, 220, 60), (40, 40, 40)), ((25, 25, 28), (25, 25, 28)))  # a goalkeeper, the referee
SKINS = ((236, 196, 166), (200, 160, 130), (150, 105, 78), (96, 66, 50))
HAIRS = ((30, 24, 22), (92, 60, 34), (190, 150, 80), (120, 120, 122))


class Look(NamedTuple):
    """What a player looks like: colours, RGB."""

    shirt: tuple
    shorts: tuple
    skin: tuple
    hair: tuple
    number: int  # on his back


def draw_look(random, kits):
    """A Look at random in one of some kits, (shirt, shorts)."""
    shirt, shorts = kits[random.integers(len(kits))]
    skin, hair = SKINS[random.integers(len(SKINS))], HAIRS[random.integers(len(HAIRS))]
    return Look(shirt, shorts, skin, hair, int(random.integers(1, 24)))


def draw_player(picture, foot, height, look, phase):
    """Draws a running player. foot: (x, y) where he stands. phase: of his steps, in radians."""
    unit, (x, y) = height / 10, foot
    swing = np.sin(phase)

    def point(across, up):
        return int(x + across * unit), int(y - up * unit)

    def line(start, end, color, width):
        cv2.line(picture, point(*start), point(*end), color, max(1, round(width * unit)), cv2.LINE_AA)

    for side in (-1, 1):
        knee = side * (0.4 + 0.7 * swing), 2.4 + 0.3 * abs(swing)
        shoe = side * (0.5 + 1.5 * swing), 0.9 * max(0, -side * swing)
        line((side * 0.4, 4.6), knee, look.skin, 1.0)
        line(knee, shoe, look.shirt, 0.8)
        line((side * 0.4, 4.6), (side * (0.4 + 0.4 * swing), 3.4), look.shorts, 1.3)
        hand = side * (1.6 - 0.5 * swing), 5.4 + 0.8 * side * swing
        line((side * 1.0, 7.8), hand, look.skin, 0.6)
        line((side * 1.0, 7.8), (side * 1.4, 6.7), look.shirt, 0.9)
    cv2.rectangle(picture, point(-1.1, 8.2), point(1.1, 4.6), look.shirt, -1)
    cv2.circle(picture, point(0, 9.3), max(1, round(0.75 * unit)), look.skin, -1, cv2.LINE_AA)
    cv2.ellipse(picture, point(0, 9.5), (max(1, round(0.78 * unit)),) * 2, 0, 180, 360, look.hair, -1)
    if height > 90:
        color = (20, 20, 60) if sum(look.shirt) > 500 else (240, 240, 240)
        cv2.putText(picture, str(look.number), point(-0.7, 6), color, SANS, max(8, round(1.6 * unit)), 700)


def score(picture):
    """Writes the score where prepare.Match does."""
    cv2.putText(picture, "RED 1 : 0 WHI", (WIDTH - 110, 18), (255, 255, 255), SANS, 12)
    return picture


class Backdrop:
    """What is out of focus behind a close-up: the crowd or the grass of a match, or the one above the other.
    The camera pans along it."""

    def __init__(self, random, match):
        size, reach = (WIDTH + 160, HEIGHT), (WIDTH + 160) // 8
        x = int(random.integers(0, 900 - reach))
        crowd = cv2.resize(match.pitch[4:54, x : x + reach], size, interpolation=cv2.INTER_CUBIC)
        y, x = int(random.integers(70, 240)), int(random.integers(0, 600))
        grass = cv2.resize(match.pitch[y : y + 100, x : x + 240], size)
        border = int(HEIGHT * random.choice((0, 1, random.uniform(0.3, 0.8))))
        self.picture = cv2.GaussianBlur(np.concatenate([crowd[:border], grass[border:]]), (0, 0), 5)
        self.at, self.speed = random.uniform(0, 160), random.normal(0, 2)

    def frame(self):
        self.at += self.speed
        if not 0 <= self.at <= 160:
            self.at, self.speed = min(max(self.at, 0), 160), -self.speed
        return self.picture[:, int(self.at) : int(self.at) + WIDTH].copy()


class Face:
    """A player's head and shoulders."""

    def __init__(self, random, match):
        self.backdrop, self.look = Backdrop(random, match), draw_look(random, (*TEAMS, *TEAMS, *OTHERS))
        self.size, self.growth = random.uniform(30, 58), random.uniform(0.998, 1.003)
        self.place = random.uniform((0.3, 0.4), (0.7, 0.55)) * (WIDTH, HEIGHT)
        self.phases, self.paces = random.uniform(0, 6, 4), random.uniform(0.03, 0.15, 4)
        self.hair, self.striped = int(random.integers(3)), random.random() < 0.4

    def frame(self):
        picture, look = self.backdrop.frame(), self.look
        self.phases += self.paces
        self.size *= self.growth
        size, (sway, nod, turn, talk) = self.size, np.sin(self.phases)

        def oval(at, axes, color, angles=(0, 360)):
            center = self.place + np.array((sway * 10, nod * 4)) + np.array(at) * size
            axes = tuple(max(1, round(axis * size)) for axis in axes)
            cv2.ellipse(picture, tuple(center.astype(int).tolist()), axes, 0, *angles, color, -1, cv2.LINE_AA)

        if self.hair == 1:  # long
            oval((0, 0.3), (0.95, 1.4), look.hair)
        oval((0, 2.6), (2.0, 1.4), look.shirt)
        if self.striped:
            oval((0, 2.6), (0.3, 1.35), tuple(255 - value for value in look.shirt))
        oval((0, 1.1), (0.42, 0.7), look.skin)
        for side in (-1, 1):
            oval((side * 0.8, 0.05), (0.14, 0.24), look.skin)
        oval((0, 0), (0.8, 1.05), look.skin)
        if self.hair < 2:  # else bald
            oval((0, -0.3), (0.84, 0.85), look.hair, (180, 360))
        for side in (-1, 1):
            x = side * 0.32 + 0.22 * turn
            oval((x, -0.05), (0.13, 0.08), (245, 245, 245))
            oval((x, -0.05), (0.06, 0.07), (30, 25, 25))
            oval((x, -0.2), (0.18, 0.04), look.hair)
        oval((0.26 * turn, 0.25), (0.1, 0.16), tuple(int(0.85 * value) for value in look.skin))
        oval((0.22 * turn, 0.58), (0.26, 0.05 + 0.08 * abs(talk)), (130, 50, 50))
        return score(picture)


class Runners:
    """One or two players from head to foot, or from the knees up, as they run."""

    def __init__(self, random, match):
        self.backdrop, count = Backdrop(random, match), int(random.integers(1, 3))
        self.looks = [draw_look(random, TEAMS) for _ in range(count)]
        self.height = random.uniform(120, 240)
        self.phase, self.pace = random.uniform(0, 6), random.uniform(0.15, 0.4)
        self.at = random.uniform(0.25, 0.75, count) * WIDTH
        self.speeds = random.normal(0, 0.8, count)

    def frame(self):
        picture = self.backdrop.frame()
        self.phase += self.pace
        self.at += self.speeds
        for number, (look, x) in enumerate(zip(self.looks, self.at)):
            bob = 3 * abs(np.sin(self.phase + number))
            foot = x, max(HEIGHT - 12, self.height * 0.85) - bob
            draw_player(picture, foot, self.height, look, self.phase + 2 * number)
        return score(picture)


class Crowd:
    """Rows of supporters who jump and wave."""

    def __init__(self, random, match):
        self.size = random.uniform(9, 20)
        columns, rows = int(WIDTH / self.size / 1.8) + 2, int(HEIGHT / self.size / 1.7) + 2
        own = TEAMS[random.integers(2)][0]
        self.people = []  # (column, row, shirt, look)
        for row in range(rows):
            for column in range(columns):
                shirt = own if random.random() < 0.6 else tuple(random.integers(30, 230, 3).tolist())
                look = draw_look(random, TEAMS)
                self.people.append((column * 1.8 + 0.9 * (row % 2), row * 1.7, shirt, look))
        self.phases, self.pace = random.uniform(0, 6, len(self.people)), random.uniform(0.1, 0.4)
        self.cheer, self.ground = random.uniform(0.1, 0.6), random.integers(30, 90, 3).tolist()

    def frame(self):
        picture = np.full((HEIGHT, WIDTH, 3), self.ground, np.uint8)
        self.phases += self.pace
        for (column, row, shirt, look), jump in zip(self.people, np.abs(np.sin(self.phases)) * self.cheer):
            x, y, size = int(column * self.size), int((row - jump) * self.size), self.size
            cv2.ellipse(picture, (x, int(y + 1.2 * size)), (int(0.8 * size), int(size)), 0, 0, 360, shirt, -1)
            cv2.circle(picture, (x, y), int(0.5 * size), look.hair, -1, cv2.LINE_AA)
            cv2.circle(picture, (x, int(y + 0.15 * size)), int(0.42 * size), look.skin, -1, cv2.LINE_AA)
        return score(picture)
