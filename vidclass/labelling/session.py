"""A session of label.py: one recording, its labels, and the one page that may change them."""

import os
import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass, field
from typing import Any

from vidclass import atomic, locks, platform
from vidclass.colors import color
from vidclass.dataset.cut_plan import Recording
from vidclass.dataset.labels import MOST_BYTES
from vidclass.dataset.recording_labels import open_recording
from vidclass.labelling.frame_table import FrameTable, read_frame_table
from vidclass.labelling.label_file import (
    Labels,
    Segment,
    check_segments,
    keep_backup,
    keep_others,
    label_paths,
    lost_text,
    open_labels,
    to_csv,
)
from vidclass.labelling.options import LabelOptions, check_typed
from vidclass.labelling.proxy import SEGMENT, Proxy
from vidclass.labelling.shots import Shots
from vidclass.labelling.training import Features, dataset_classes, find_features
from vidclass.labelling.watched import Watched
from vidclass.text import one_line
from vidclass.video.probe import VideoInfo, audio_format, probe

MOST_CLASSES = 200  # that a page begins with, beside those of --classes
PALETTE = 21  # colours, then they repeat
PATIENCE = 15  # seconds without a word after which a page counts as closed
PLAYABLE = (b"ftyp", b"\x1aE\xdf\xa3")  # MP4, Matroska and WebM: a browser may try


class Conflict(Exception):
    """A page may not change the labels: another one does, or it shows an earlier state."""


class ChangedElsewhere(Conflict):
    """Another program has changed the label file since it was read or saved here."""


@dataclass
class Session:
    """What the server serves. Threads may share it."""

    source: Recording
    info: VideoInfo
    table: FrameTable
    given: str | None  # the label file that the user named
    labels: Labels
    file: Watched  # where they are saved
    options: LabelOptions
    has_sound: bool
    shots: Shots
    proxy: Proxy
    version: int = 0  # counts the changes
    changed: bool = False
    page: str = ""  # the page that may change the labels; none
    heard: float = 0.0  # when it last said a word, time.monotonic()
    segments: list[Segment] = field(default_factory=list)
    lock: threading.Lock = field(default_factory=threading.Lock)

    def __post_init__(self):
        self.segments = self.labels.segments
        self.classes = self._first_classes()
        self.playable = self.is_playable()  # now: later the recording may be gone

    def _first_classes(self):
        windows = self.labels.windows
        known = {segment.class_name for segment in self.segments if segment.class_name is not None}
        known |= set(windows.classes if windows else ())
        dataset = {name for name in dataset_classes(self.options.data_dir) if _is_text(name)}
        # A dataset's other classes are offered too, also when some have been used before.
        if not windows and not self.options.classes and (not known or known & dataset):
            known |= dataset
        return {*self.options.classes, *sorted(known)[:MOST_CLASSES]}

    def facts(self) -> dict[str, Any]:
        """What a page needs when it opens."""
        table, windows = self.table, self.labels.windows
        chosen = self.options.classes
        return {
            "recording": one_line(os.path.basename(self.source.path)),
            "file": one_line(self.labels.path),
            "opened": one_line(self.labels.source) if self.labels.source else None,
            "frames": table.frames,
            "fps": float(table.fps),
            "first": float(table.times[0]),
            "first_mark": float(table.marks[0]) / 1e6,
            "regular": table.is_regular,
            "seconds": float(table.times[-1]),
            "width": self.info.width,
            "height": self.info.height,
            "has_sound": self.has_sound,
            "playable": self.playable,
            "piece": SEGMENT,
            # In the order of their keys. Their colours go by the alphabet, as those of result.avi do.
            "classes": [*chosen, *sorted(self.classes - set(chosen))],
            "chosen": len(chosen),
            "most_bytes": MOST_BYTES,
            "forbidden": "".join(sorted(platform.FORBIDDEN_IN_NAMES)),
            "palette": [color(number) for number in range(PALETTE)],
            "windows": windows and vars(windows),
            "lost": lost_text(self.labels.lost) if self.labels.lost else None,
            "segments": self.segments,
            "version": self.version,
        }

    def features(self) -> Features:
        """What the commands to train say."""
        options = self.options
        with suppress(OSError, ValueError):  # the checkpoint may be gone since
            return find_features(options.data_dir, options.checkpoint, options.weights)
        return Features()

    def is_playable(self) -> bool:
        """Whether a browser may try to play the file itself, and count the same frames in it."""
        with open(self.source.path, "rb") as file:
            head = file.read(12)
        early = float(self.table.times[0]) < 1 / float(self.table.fps)
        return early and not self.table.has_hidden and (head[4:8] in PLAYABLE or head[:4] in PLAYABLE)

    # Pages

    def claim(self, page: str, force: bool) -> bool:
        """Lets a page change the labels from now on, unless another one does that is open. force: also
        then."""
        with self.lock:
            free = not self.page or time.monotonic() - self.heard > PATIENCE
            if not force and not free and page != self.page:
                return False
            self.page, self.heard = page, time.monotonic()
            return True

    def release(self, page: str) -> None:
        """A page was closed."""
        with self.lock:
            if page == self.page:
                self.page = ""

    def is_owner(self, page: str) -> bool:
        """Whether a page may change the labels; it is there."""
        with self.lock:
            if page == self.page:
                self.heard = time.monotonic()
            return page == self.page

    # Labels

    def is_other(self) -> bool:
        """Whether another program has changed the label file; False also where that can't be found out."""
        with suppress(OSError), self.lock:
            return self.file.is_other()
        return False

    def save(self, page: str, version: int, rows: Any, over: bool = False) -> tuple[int, str | None]:
        """Saves the segments that a page sends, whole or not at all. over: also over what another program
        has written, of which a copy is kept. Returns (the number of their version, the copy's name or None).
        Raises Conflict, ValueError for what are no segments, OSError if they can't be written."""
        segments = check_segments(rows, self.table.frames)
        path, kept = self.labels.path, None
        with self.lock:
            self._check(page, version)
            if self.file.is_other():
                if not over:
                    raise ChangedElsewhere(f"{one_line(path)} was changed by another program")
                kept = keep_others(path)
            elif not self.changed:
                keep_backup(path)
            atomic.write_text(path, to_csv(segments, self.table))
            self.file.note()
            self.changed = True
            self._take(segments)
            return self.version, kept and one_line(kept)

    def load(self, page: str, version: int) -> None:
        """Takes what the label file says now, instead of what a page has. Raises Conflict, and OSError or
        ValueError, naming the file, if it can't be understood."""
        with self.lock:
            self._check(page, version)
            file = Watched(self.labels.path)  # before it is read: what comes between is noticed
            self.labels = open_labels(self.source, self.table, self.given)
            self.file = file
            self._take(self.labels.segments)

    def _check(self, page, version):
        if page != self.page:
            raise Conflict("another page has taken over; reload this one")
        if version != self.version:
            raise Conflict("the labels were changed elsewhere; reload the page")

    def _take(self, segments):
        self.segments, self.heard = segments, time.monotonic()
        self.version += 1
        self.classes |= {str(segment.class_name) for segment in segments if segment.class_name is not None}

    def close(self) -> None:
        """Ends what goes on in the background."""
        self.proxy.background.stop()
        self.shots.close()


def _is_text(name):
    with suppress(ValueError):
        check_typed(name)
        return True
    return False


@contextmanager
def only_session(path: str) -> Iterator[None]:
    """A `with` block in which no other label.py saves to a file. Raises RuntimeError if one does, OSError if
    nothing can be written there."""
    folder, name = os.path.split(path)
    lock = os.path.join(folder, f".{name}.lock")
    with ExitStack() as stack:
        try:
            stack.enter_context(locks.held(lock))
        except FileNotFoundError:
            raise FileNotFoundError(f"{path}: no such folder") from None
        except BlockingIOError:
            raise RuntimeError(f"{path}: another label.py has it open; use its page, or end it") from None
        yield


@contextmanager
def opened(recording: str, labels_file: str | None, folder: str, options: LabelOptions) -> Iterator[Session]:
    """The Session of a recording and its labels, whose background's work goes on for the length of the block.
    folder: an empty one, for the proxy. Raises OSError or ValueError, naming the file, if one can't be
    used."""
    limits = options.limits
    info = probe(recording, limits)
    source = open_recording(recording, limits)
    table = read_frame_table(source, limits)
    file = Watched(label_paths(recording, labels_file)[0])  # before it is read: what comes between is noticed
    labels = open_labels(source, table, labels_file)
    has_sound = audio_format(recording, limits) is not None
    shots, proxy = Shots(recording, info, limits), Proxy(recording, has_sound, folder, limits)
    session = Session(source, info, table, labels_file, labels, file, options, has_sound, shots, proxy)
    shots.start()
    try:
        yield session
    finally:
        session.close()
