"""Draws matches with close-ups and replays, for timeline.py --shots.

After 4 to 15 s of the wide shot of data/demo/prepare.py comes a close-up of a player, of one or two who run,
or of the crowd, or a replay: the play of the last seconds at half speed, as another camera saw it. Then the
wide shot goes on, and the game went on meanwhile. So a window of 3 s often holds a cut that is no change of
class.
"""

import collections
import os
import sys

import cv2
import numpy as np
from scipy.ndimage import uniform_filter1d

ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
sys.path[:0] = [ROOT, os.path.join(ROOT, "data", "demo")]
import prepare  # noqa: E402
from closeups import TEAMS, Crowd, Face, Runners, draw_look, draw_player  # noqa: E402
from prepare import FPS, HEIGHT, SANS, WIDTH  # noqa: E402

# Seconds, the shortest and the longest.
WIDE, CLOSE, REPLAY, WIPE = (4, 15), (1.5, 4), (3, 6), (0.3, 0.5)
SPEED = 0.5  # of a replay
HISTORY = 8  # seconds of play that can be shown again
TURN = 35  # degrees: by so much a replay's camera is off the axis of one side
FIGURE = 22  # height of a player of prepare.Match in its own wide shot
CORNERS = np.array([(0, 0), (WIDTH, 0), (WIDTH, HEIGHT), (0, HEIGHT)], np.float32)


def frames_between(random, seconds):
    """A length at random, in frames."""
    return int(random.uniform(*seconds) * FPS)


class Replay:
    """The last seconds of play at half speed, as another camera saw them: nearer, from another side, and
    lower, so that what is far is smaller."""

    def __init__(self, random, match, history):
        """history: (players (22, 2), ball (2,)) of each frame of play so far, the last HISTORY seconds."""
        self.length = frames_between(random, REPLAY)
        footage = np.array([np.vstack(state) for state in history])[-int(self.length * SPEED) - 2 :]
        self.footage = uniform_filter1d(footage, 9, axis=0)  # the players tremble, which shows from near
        self.pitch, self.at = match.pitch, 0.0  # at: which frame of the footage is shown
        side = random.choice((0, 90, 180, 270)) + random.uniform(-TURN, TURN)
        self.turn = np.array([[np.cos(a := np.radians(side)), -np.sin(a)], [np.sin(a), np.cos(a)]])
        self.zoom, self.perspective = random.uniform(1.5, 3), random.uniform(0.1, 0.4)
        self.looks = [draw_look(random, (TEAMS[number // 11],)) for number in range(22)]
        self.captioned = random.random() < 0.5

    def frame(self):
        now = min(self.at, len(self.footage) - 1.001)  # a wipe goes on a little after the footage
        first, share = int(now), now % 1
        state = (1 - share) * self.footage[first] + share * self.footage[first + 1]
        self.at += SPEED
        self.zoom *= 1.001
        view = self._view(state[22])
        picture = cv2.warpPerspective(self.pitch, view, (WIDTH, HEIGHT), borderMode=cv2.BORDER_REFLECT)
        places = cv2.perspectiveTransform(state[None].astype(np.float32), view)[0]
        beside = cv2.perspectiveTransform((state + self.turn[:, 0])[None].astype(np.float32), view)[0]
        heights = FIGURE * np.hypot(*(beside - places).T).clip(0.3, 6)
        for number in np.argsort(places[:22, 1]):
            (x, y), height = places[number], heights[number]
            if -50 < x < WIDTH + 50 and -50 < y < HEIGHT + 150:
                shade = max(1, int(height / 4)), max(1, int(height / 10))
                cv2.ellipse(picture, (int(x + height / 6), int(y)), shade, 0, 0, 360, (40, 100, 38), -1)
                draw_player(picture, (x, y), height, self.looks[number], 0.25 * self.at + number)
        ball = tuple(places[22].astype(int).tolist())
        cv2.circle(picture, ball, max(2, int(heights[22] / 11)), (255, 255, 255), -1, cv2.LINE_AA)
        if self.captioned:
            cv2.putText(picture, "REPLAY", (12, 22), (255, 230, 60), SANS, 14, 700)
        return picture

    def _view(self, ball):
        """The homography from the pitch to the picture, (3, 3): the ball in the middle, as far as the pitch
        reaches."""
        far, near = (WIDTH / self.zoom * (1 + sign * self.perspective) / 2 for sign in (1, -1))
        deep = HEIGHT / self.zoom / 2 * 1.2
        corners = np.array([(-far, -deep), (far, -deep), (near, deep), (-near, deep)]) @ self.turn.T
        center = np.clip(ball, -corners.min(0), (900, 360) - corners.max(0))
        return cv2.getPerspectiveTransform((corners + center).astype(np.float32), CORNERS)


class Match:
    """prepare.Match with close-ups and replays."""

    def __init__(self, random):
        self.random, self.match = random, prepare.Match(random)
        self.history = collections.deque(maxlen=HISTORY * FPS)
        self.shot, self.left = None, frames_between(random, WIDE)  # None: the wide shot
        self.old, self.wipe, self.wiped = None, 0, 0
        self.colors = random.integers(0, 256, (2, 3)).tolist()

    def frame(self):
        live = self.match.frame()
        self.history.append((self.match.players.copy(), self.match.ball.copy()))
        if self.left == 0:
            self._cut()
        self.left -= 1
        picture = self.shot.frame() if self.shot else live
        if self.wiped < self.wipe:
            self.wiped += 1
            picture = self._wipe(self.old.frame() if self.old else live, picture, self.wiped / self.wipe)
        return picture

    def _cut(self):
        """To the next shot: a close-up or a replay after the wide shot; a replay or the wide shot after a
        close-up."""
        random, self.old = self.random, self.shot
        if self.old is None or (not isinstance(self.old, Replay) and random.random() < 0.4):
            kinds, shares = (Face, Runners, Crowd, Replay), (0.25, 0.25, 0.1, 0.4)
            kind = kinds[random.choice(4, p=shares)] if self.old is None else Replay
            if kind is Replay:
                self.shot = Replay(random, self.match, self.history)
                self.left = self.shot.length
            else:
                self.shot, self.left = kind(random, self.match), frames_between(random, CLOSE)
        else:
            self.shot, self.left = None, frames_between(random, WIDE)
        is_wiped = any(isinstance(shot, Replay) for shot in (self.old, self.shot)) and random.random() < 0.6
        self.wipe, self.wiped = frames_between(random, WIPE) if is_wiped else 0, 0

    def _wipe(self, old, new, share):
        """The old picture, and from the left the new one, with a slanted band between them."""
        edge = np.arange(WIDTH) + 0.4 * np.arange(HEIGHT)[:, None] - share * (WIDTH + 180)
        picture = np.where((edge < 0)[..., None], new, old)
        for color, (start, end) in zip(self.colors, ((-15, 10), (10, 35))):
            picture[(edge >= start) & (edge < end)] = color
        return picture
