"""The windows of a video and what the network says of each."""

import contextlib
from fractions import Fraction

import numpy as np

from vidclass.console import print
from vidclass.features.sampling import evenly_spaced_indices
from vidclass.progress import progress
from vidclass.recording.segments import Window
from vidclass.text import class_lines, clock
from vidclass.video.images import resize
from vidclass.video.probe import last_duration


def classify_windows(
    reader, extractor, model, seq_length, window_length, classes, quiet=False, hop_length=None, store=None
):
    """Yields the Windows of a video, and prints them unless it is to be quiet.

    reader: iterable of RGB frames, with .info.fps and .info.frames. window_length, hop_length: frames per
    window and from one to the next (None: the same), Fractions. Of each window seq_length frames, spread over
    it like a training clip's, go through the network. Windows that overlap share their frames: each goes
    through InceptionV3 once. The last window ends with the video. store: a FeatureStore that gets the
    features.
    """
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
        frames = start(number) + evenly_spaced_indices(end(number) - start(number), seq_length)
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
            print(
                f"{clock(window.start)} - {clock(window.end)}  "
                + "  ".join(class_lines(classes, probabilities)),
                flush=True,
            )
        return window

    def complete(index):
        """Classifies the windows that are complete with the features of this frame."""
        nonlocal number
        # On the grid a window's last feature may be of a frame before its end, and the video end between the
        # two.
        while end(number) <= frames_read and index >= chosen(number)[-1]:
            yield classify(start(number), end(number), [features[frame] for frame in chosen(number)])
            number += 1
            # The last window may begin anywhere between this one and the next.
            for frame in [frame for frame in features if frame < start(number - overlapping) - grid]:
                del features[frame]

    number = 0
    with progress(
        total=reader.info.frames or None, unit="frame", desc="Classifying", quiet=quiet, wait=True
    ) as bar:
        with contextlib.closing(extractor.stream(sampled())) as stream:
            for index, feature in stream:
                features[index] = feature
                if store:
                    store.append(index, feature)
                bar.update(index + 1 - bar.n)
                yield from complete(index)
        yield from complete(frames_read)
        if number == 0 or end(number - 1) < frames_read:
            # A short window gave fewer frames; spread them over the sequence as a short clip's would be.
            # Where windows overlap, the last one goes back far enough to be as long as the others.
            first = max(0, frames_read - round(window_length)) if overlapping else start(number)
            there = [feature for frame, feature in sorted(features.items()) if frame >= first]
            yield classify(
                first, frames_read, [there[place] for place in evenly_spaced_indices(len(there), seq_length)]
            )
        bar.total = frames_read
        bar.update(frames_read - bar.n)


def set_times(windows, reader):
    """(Windows with the times at which a player shows their frames, those of all frames and of the end). A
    video's first frame need not be shown at 0, nor the others at a constant rate, and the last one lasts as
    long as its header says."""
    rate, shown = float(reader.info.fps), reader.times
    last = 1 / rate
    if np.abs(shown - shown[0] - np.arange(len(shown)) / rate).max() > 1e-6:
        last = last_duration(reader.path, shown[-1]) or last
    times = np.append(shown, shown[-1] + last)
    return [
        window._replace(start=float(times[window.first_frame]), end=float(times[window.end_frame]))
        for window in windows
    ], times
