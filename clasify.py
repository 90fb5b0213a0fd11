"""Classifies each window of a video and writes the video with the classes on it.

Reads a checkpoint of train.py and a video. Writes result.avi: all frames of the video, with the classes and their
probabilities in the upper left corner. A window is as long as the clips that the network was trained on.

    python clasify.py 75 2 lstm-features.hdf5 video.mp4
"""
import contextlib
import functools
import itertools
import os
import sys
from fractions import Fraction
from typing import NamedTuple

import cli

WEIGHT = 600  # of the letters; 400 is regular, thin strokes drown in the noise of a small XVID frame


class Window(NamedTuple):
    """A stretch of the video and the probabilities of the classes in it."""
    start: float  # seconds
    end: float
    first_frame: int
    end_frame: int  # the first one after the window
    probabilities: list  # of float, in the order of the classes


class Classification(NamedTuple):
    """What clasify returns."""
    classes: list  # of str
    windows: list  # of Window
    loss: str | None  # what of the video could not be decoded, if anything


def clasify(seq_length, class_limit, saved_model, video_file, data_dir="data", weights=None, output="result.avi",
            quiet=False, precision="float32"):
    """Classifies a video and writes `output`, an XVID AVI.

    seq_length, class_limit: those of the checkpoint `saved_model`. weights: InceptionV3's, needed only if the checkpoint
    was trained with a weights file. data_dir: where data_file.csv gives the classes of a checkpoint that has none.
    precision: see Extractor.

    Returns a Classification. Raises cli.UsageError if the arguments contradict the checkpoint, and FileNotFoundError,
    ValueError or OSError, naming the file, for a checkpoint or video that can't be read or a result that can't be written.
    """
    import checkpoint
    import video
    from models import ResearchModel
    reader = video.FrameReader(video_file)
    if os.path.exists(output) and os.path.samefile(output, video_file):
        raise cli.UsageError(f"{output} is the video itself; give the result another name with --output")
    saved_model = checkpoint.find(saved_model, data_dir)
    classes, image_shape, clip_seconds, weights = settings(saved_model, seq_length, class_limit, data_dir, weights,
                                                           reader.info)
    # Frames per window, as a fraction: at 29.97 frames per second windows of 3 s are 90 or 89 frames long.
    window_length = Fraction(clip_seconds) * reader.info.fps if clip_seconds else Fraction(seq_length)
    with video.VideoWriter(output, reader.info.fps, reader.info.pixel_aspect) as writer:
        cli.import_keras()
        from extractor import Extractor, run_ahead
        model = ResearchModel.load(saved_model)
        windows = classify_windows(reader, Extractor(image_shape, weights, precision), model, seq_length, window_length,
                                   classes, quiet)
        # The video is decoded once more to write it, so that no frame waits in memory for its window's end. Windows may.
        with contextlib.closing(run_ahead(windows)) as windows:
            windows = write_result(reader, writer, windows, classes, output, quiet)
    summarize(classes, windows, output)
    if reader.loss:
        print(f"{video_file}: {reader.loss}; what was decoded is classified", file=sys.stderr)
    return Classification(classes, windows, reader.loss)


def settings(saved_model, seq_length, class_limit, data_dir, weights, info):
    """(classes, image_shape, seconds of a window, InceptionV3 weights), from the checkpoint's metadata.

    A checkpoint of the article's repository has none: then classes come from data_file.csv, frames keep the video's size,
    and a window is seq_length consecutive frames (its seconds are None), as in the article's clasify.py.
    """
    from checkpoint import Checkpoint
    from inception import weights_id
    with Checkpoint(saved_model) as file:
        metadata = file.metadata
        cli.check_checkpoint(file, seq_length, class_limit)
    if metadata is None:
        from data import choose_classes, read_data_file
        classes, _ = choose_classes(read_data_file(data_dir), class_limit, data_dir)
        return classes, (info.height, info.width, 3), None, weights or "imagenet"
    if weights is None and metadata.weights in ("imagenet", "random"):
        weights = metadata.weights
    elif weights is None or weights_id(weights) != metadata.weights:
        raise cli.UsageError(f"{saved_model} was trained on features of the InceptionV3 weights {metadata.weights_name} "
                             f"({metadata.weights}){f', not {weights}' if weights else ''}; give them with --weights")
    return metadata.class_names, tuple(metadata.image_shape), metadata.clip_seconds, weights


def classify_windows(reader, extractor, model, seq_length, window_length, classes, quiet=False):
    """Yields the Windows of a video, and prints them.

    reader: iterable of RGB frames, with .info.fps and .info.frames. window_length: frames per window, a Fraction.
    Of each window seq_length frames, spread over it like a training clip's, go through the network. The last window
    ends with the video.
    """
    import numpy as np
    from tqdm import tqdm
    from data import class_lines, spread
    from extractor import resize
    fps = reader.info.fps
    frames_read = 0

    def bound(number):
        return max(number, round(number * window_length))

    def sampled():
        nonlocal frames_read
        window, end, chosen = -1, 0, ()
        for index, frame in enumerate(reader):
            if index == end:
                window, end = window + 1, bound(window + 2)
                chosen = set(index + spread(end - index, seq_length))
            if index in chosen:
                yield (window, index), resize(frame, extractor.image_shape)
            frames_read = index + 1

    def classify(number, features):
        # A short window gave fewer frames; spread them over the sequence as a short clip's would be.
        sequence = np.stack(features)[spread(len(features), seq_length)]
        first, end = bound(number), min(bound(number + 1), frames_read)
        probabilities = model.predict(sequence[None])[0].tolist()
        window = Window(float(first / fps), float(end / fps), first, end, probabilities)
        tqdm.write(f"{clock(window.start)} - {clock(window.end)}  " + "  ".join(class_lines(classes, probabilities)),
                   file=sys.stdout)
        sys.stdout.flush()
        return window

    with tqdm(total=reader.info.frames or None, unit="frame", desc="Classifying", disable=quiet) as bar:
        with contextlib.closing(extractor.stream(sampled())) as stream:
            for number, sample in itertools.groupby(stream, key=lambda item: item[0][0]):
                features = []
                for (_, index), feature in sample:
                    features.append(feature)
                    bar.update(index + 1 - bar.n)
                yield classify(number, features)
        bar.total = frames_read
        bar.update(frames_read - bar.n)


def write_result(reader, writer, windows, classes, output, quiet=False):
    """Writes the video's frames, each with the classes of its window, as the Windows come. Returns them as a list."""
    from tqdm import tqdm
    from data import class_lines
    written = []
    with tqdm(reader, total=reader.info.frames or None, unit="frame", desc=f"Writing {output}", disable=quiet) as bar:
        frames = iter(bar)
        for window in windows:
            lines = class_lines(classes, window.probabilities)
            for frame in itertools.islice(frames, window.end_frame - window.first_frame):
                draw_lines(frame, lines)
                writer.write(frame)
            written.append(window)
        for frame in frames:  # a damaged video may yield more of them the second time
            draw_lines(frame, lines)
            writer.write(frame)
        bar.total = bar.n
    return written


def draw_lines(frame, lines):
    """Draws lines of text into the upper left corner of an RGB frame, white on a darkened ground."""
    import cv2
    height, width = frame.shape[:2]
    shown, size, margin, step, box_width = lay_out(tuple(lines), width, height)
    box = frame[:len(shown) * step + 2 * margin, :box_width]
    box[:] = box // 3
    for number, line in enumerate(shown):
        at = (margin, margin + number * step + size)
        cv2.putText(frame, line, at, (255, 255, 255), cv2.FontFace("sans"), size, WEIGHT)


@functools.lru_cache(maxsize=1)  # the frames of a window all have the same
def lay_out(lines, width, height):
    """How lines of text go on a frame: (lines, letter size, margin, line step, box width), all but the lines in pixels.

    The text's height is a 24th of the frame's, less where it would not fit; lines that don't fit even at 6 pixels are
    shortened before their last word, the probability, and those below the frame's edge are left out.
    """
    import cv2
    font = cv2.FontFace("sans")
    size = max(12, height // 24)

    def text_width(text, size):
        x, _, w, _ = cv2.getTextSize((width, height), text, (0, 0), font, size, WEIGHT)
        return x + w

    while size > 6 and (max(text_width(line, size) for line in lines) > 0.9 * width
                        or len(lines) * 1.3 * size > 0.9 * height):
        size -= 1
    margin, step = max(2, size // 3), round(1.3 * size)
    shown = []
    for line in lines[:max(1, (height - margin) // step)]:
        name, probability = line.rsplit(" ", 1)
        while len(name) > 1 and text_width(line, size) > width - 2 * margin:
            name = name[:-1]
            line = f"{name}… {probability}"
        shown.append(line)
    return shown, size, margin, step, max(text_width(line, size) for line in shown) + 2 * margin


def summarize(classes, windows, output):
    """Prints how much of the video each class has."""
    seconds = dict.fromkeys(classes, 0.0)
    for window in windows:
        best = max(range(len(classes)), key=window.probabilities.__getitem__)
        seconds[classes[best]] += window.end - window.start
    print(", ".join(f"{name} {clock(time)}" for name, time in seconds.items()))
    print(f"{output}: {windows[-1].end_frame} frames, {len(windows)} windows")


def clock(seconds):
    """Seconds as 1:02:03.456."""
    milliseconds = round(seconds * 1000)
    return (f"{milliseconds // 3600000}:{milliseconds // 60000 % 60:02d}:{milliseconds // 1000 % 60:02d}"
            f".{milliseconds % 1000:03d}")


def main(argv=None):
    parser = cli.make_parser(__doc__)
    cli.add_checkpoint_arguments(parser)
    parser.add_argument("video", help="the video to classify")
    parser.add_argument("--output", default="result.avi", help="file to write (default: result.avi)")
    args = parser.parse_args(argv)

    def work():
        result = clasify(args.seq_length, args.classes, args.checkpoint, args.video, args.data_dir, args.weights,
                         args.output, args.quiet, args.precision)
        return 1 if result.loss else 0
    return cli.run(work)


if __name__ == "__main__":
    sys.exit(main())
