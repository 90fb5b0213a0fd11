"""The windows of a video and what the network says of each, and where exactly a class gives way to another."""
import contextlib
import tempfile
from fractions import Fraction

import numpy as np

import video
from console import print
from data import spread
from timeline import FLOOR, Window, clock

CANDIDATES = 25  # places for a cut that are tried at once


def classify_windows(reader, extractor, model, seq_length, window_length, classes, quiet=False, hop_length=None,
                     store=None):
    """Yields the Windows of a video, and prints them unless it is to be quiet.

    reader: iterable of RGB frames, with .info.fps and .info.frames. window_length, hop_length: frames per window and from
    one to the next (None: the same), Fractions. Of each window seq_length frames, spread over it like a training clip's, go
    through the network. Windows that overlap share their frames: each goes through InceptionV3 once. The last window ends
    with the video. store: a FeatureStore that gets the features.
    """
    from bars import progress
    from data import class_lines
    from extractor import resize
    fps = reader.info.fps
    hop_length = hop_length or window_length
    overlapping = hop_length < window_length
    grid = max(window_length / seq_length, Fraction(1))  # frames from one that a window needs to the next
    frames_read = 0
    features = {}  # of the frames that windows to come need, by number

    def start(number):
        return max(number, round(number * hop_length))

    def end(number):
        return max(start(number) + 1, round(number * hop_length + window_length))

    def chosen(number):
        frames = start(number) + spread(end(number) - start(number), seq_length)
        # On a grid that all windows share; a frame is taken for its neighbour by at most a step.
        return [int(frame // grid * grid) for frame in frames] if overlapping else frames.tolist()

    def sampled():
        nonlocal frames_read
        planned, wanted = 0, set()
        for index, frame in enumerate(reader):
            while start(planned) <= index + grid:  # the grid may put its first frame before a window's start
                wanted.update(chosen(planned))
                planned += 1
            if index in wanted:
                wanted.discard(index)
                yield index, resize(frame, extractor.image_shape)
            frames_read = index + 1

    def classify(first, last, sequence):
        probabilities = model.predict(np.stack(sequence)[None])[0].tolist()
        window = Window(float(first / fps), float(last / fps), first, last, probabilities)
        if not quiet:
            print(f"{clock(window.start)} - {clock(window.end)}  " + "  ".join(class_lines(classes, probabilities)), flush=True)
        return window

    def complete(index):
        """Classifies the windows that are complete with the features of this frame."""
        nonlocal number
        # On the grid a window's last feature may be of a frame before its end, and the video end between the two.
        while end(number) <= frames_read and index >= chosen(number)[-1]:
            yield classify(start(number), end(number), [features[frame] for frame in chosen(number)])
            number += 1
            # The last window may begin anywhere between this one and the next.
            for frame in [frame for frame in features if frame < start(number - overlapping) - grid]:
                del features[frame]

    number = 0
    with progress(total=reader.info.frames or None, unit="frame", desc="Classifying", quiet=quiet, wait=True) as bar:
        with contextlib.closing(extractor.stream(sampled())) as stream:
            for index, feature in stream:
                features[index] = feature
                if store:
                    store.append(index, feature)
                bar.update(index + 1 - bar.n)
                yield from complete(index)
        yield from complete(frames_read)
        if number == 0 or end(number - 1) < frames_read:
            # A short window gave fewer frames; spread them over the sequence as a short clip's would be. Where windows
            # overlap, the last one goes back far enough to be as long as the others.
            first = max(0, frames_read - round(window_length)) if overlapping else start(number)
            there = [feature for frame, feature in sorted(features.items()) if frame >= first]
            yield classify(first, frames_read, [there[place] for place in spread(len(there), seq_length)])
        bar.total = frames_read
        bar.update(frames_read - bar.n)


def set_times(windows, reader):
    """(Windows with the times at which a player shows their frames, those of all frames and of the end). A video's first frame
    need not be shown at 0, nor the others at a constant rate, and the last one lasts as long as its header says."""
    rate, shown = float(reader.info.fps), reader.times
    last = 1 / rate
    if np.abs(shown - shown[0] - np.arange(len(shown)) / rate).max() > 1e-6:
        last = video.last_duration(reader.path, shown[-1]) or last
    times = np.append(shown, shown[-1] + last)
    return [window._replace(start=float(times[window.first_frame]), end=float(times[window.end_frame]))
            for window in windows], times


class FeatureStore:
    """The features of frames, in a file without a name, as half-precision numbers: 4 kB a frame. folder: where it lies."""

    def __init__(self, folder):
        self._folder = folder
        self._file = tempfile.TemporaryFile(dir=folder)
        self.frames = []  # their numbers, rising

    def append(self, frame, feature):
        """Adds a frame's feature. Raises OSError, naming the folder, if there is no room."""
        try:
            self._file.write(feature.astype(np.float16))
        except OSError as error:
            raise OSError(error.errno, error.strerror, self._folder) from None
        self.frames.append(frame)

    def read(self, first, end):
        """The features from place `first` to before `end` in .frames, float32 (end - first, length)."""
        self._file.seek(0, 2)
        length = self._file.tell() // max(len(self.frames), 1)
        self._file.seek(first * length)
        return np.frombuffer(self._file.read((end - first) * length), np.float16).reshape(end - first, -1).astype(np.float32)

    def close(self):
        self._file.close()


def find_cuts(numbers, cuts, store, model, seq_length):
    """Where one class gives way to another, more exactly than windows tell: a list of frame numbers, one for each cut.

    numbers: of the classes that follow each other, n of int. cuts: the n - 1 frames at which windows change, rising. A cut is
    moved by a window at most, and not beyond its neighbours, to where the network is surest that the window which
    ends there is of the class before, and that the one which begins there is of the class after.
    """
    frames = np.array(store.frames)
    edges = [0, *np.searchsorted(frames, cuts), len(frames)]  # places in the store
    found = []
    for before, after, place, limit in zip(numbers, numbers[1:], edges[1:], edges[2:]):
        start = int(np.searchsorted(frames, found[-1])) if found else 0
        low, high = max(start + 1, place - seq_length), min(limit - 1, place + seq_length)
        step = max(1, -(-(high - low) // CANDIDATES))
        tried = np.arange(low, high + 1, step)
        while len(tried):
            first = max(start, tried[0] - seq_length)
            features = store.read(first, min(limit, tried[-1] + seq_length))
            sides = []
            for at in tried - first:
                left, right = features[max(at - seq_length, start - first, 0):at], features[at:at + seq_length]
                sides += [side[spread(len(side), seq_length)] for side in (left, right)]
            scores = np.log(np.maximum(model.predict(np.stack(sides)), FLOOR)).reshape(len(tried), 2, -1)
            place = tried[(scores[:, 0, before] + scores[:, 1, after]).argmax()]
            if step == 1:
                break
            tried = np.arange(max(low, place - step + 1), min(high, place + step - 1) + 1)
            step = 1
        if len(tried):
            found.append(int(frames[place - 1] + frames[place] + 1) // 2)
        else:
            found.append(int(frames[min(place, len(frames) - 1)]))
    return found
