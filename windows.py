"""The windows of a video and what the network says of each."""
import contextlib
import sys
from fractions import Fraction

import numpy as np

from timeline import Window, clock


def classify_windows(reader, extractor, model, seq_length, window_length, classes, quiet=False, hop_length=None):
    """Yields the Windows of a video, and prints them.

    reader: iterable of RGB frames, with .info.fps and .info.frames. window_length, hop_length: frames per window and from
    one to the next (None: the same), Fractions. Of each window seq_length frames, spread over it like a training clip's, go
    through the network. Windows that overlap share their frames: each goes through InceptionV3 once. The last window ends
    with the video.
    """
    from tqdm import tqdm
    from data import class_lines, spread
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
        tqdm.write(f"{clock(window.start)} - {clock(window.end)}  " + "  ".join(class_lines(classes, probabilities)),
                   file=sys.stdout)
        sys.stdout.flush()
        return window

    number = 0
    with tqdm(total=reader.info.frames or None, unit="frame", desc="Classifying", disable=quiet) as bar:
        with contextlib.closing(extractor.stream(sampled())) as stream:
            for index, feature in stream:
                features[index] = feature
                bar.update(index + 1 - bar.n)
                while index >= chosen(number)[-1]:
                    yield classify(start(number), end(number), [features[frame] for frame in chosen(number)])
                    number += 1
                    # The last window may begin anywhere between this one and the next.
                    for frame in [frame for frame in features if frame < start(number - overlapping) - grid]:
                        del features[frame]
        if number == 0 or end(number - 1) < frames_read:
            # A short window gave fewer frames; spread them over the sequence as a short clip's would be. Where windows
            # overlap, the last one goes back far enough to be as long as the others.
            first = max(0, frames_read - round(window_length)) if overlapping else start(number)
            there = [feature for frame, feature in sorted(features.items()) if frame >= first]
            yield classify(first, frames_read, [there[place] for place in spread(len(there), seq_length)])
        bar.total = frames_read
        bar.update(frames_read - bar.n)


def set_times(windows, reader):
    """(Windows with the times at which a player shows their frames, those of all frames). A video's first frame need not be
    shown at 0, nor the others at a constant rate."""
    times = np.append(reader.times, reader.times[-1] + 1 / float(reader.info.fps))
    return [window._replace(start=float(times[window.first_frame]), end=float(times[window.end_frame]))
            for window in windows], times
