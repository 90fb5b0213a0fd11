"""The steps of clasify.py: open, classify windows, find segments, write."""

import contextlib
import os
import sys
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

import numpy as np

from vidclass.console import print
from vidclass.interfaces import FeatureExtractor, SequenceClassifier
from vidclass.progress import SharedBar
from vidclass.recording import result_video, results
from vidclass.recording.coarse_to_fine import classify_coarse_to_fine, coarse_spec
from vidclass.recording.cuts import FeatureCache, refine_cuts
from vidclass.recording.options import ClassifyOptions
from vidclass.recording.segments import Timeline, Window, average_windows, find_segments, snap_cuts
from vidclass.recording.trained import Trained, read_trained
from vidclass.recording.windows import WindowSchedule, WindowSpec, classify_windows, own_frames, set_times
from vidclass.text import class_lines, clock
from vidclass.training.checkpoint import find_checkpoint
from vidclass.video.probe import audio_format
from vidclass.video.reader import FrameReader
from vidclass.video.times import has_constant_rate
from vidclass.video.writer import VideoWriter


@dataclass(frozen=True)
class ClassificationJob:
    """A video that is going to be classified."""

    reader: FrameReader
    files: results.ResultFiles
    saved_model: str  # path of the checkpoint
    trained: Trained
    spec: WindowSpec
    options: ClassifyOptions
    bar: SharedBar | None = None  # of many videos; None: this one has its own

    def begin_reading(self) -> contextlib.AbstractContextManager[None]:
        """A `with` block in which the frames are being read already, while what they wait for is loaded."""
        return self.reader.begin(WindowSchedule(self.spec).all_samples(), self.reader.info.frames)

    @contextlib.contextmanager
    def writer(self) -> Iterator[VideoWriter | None]:
        """A `with` block that writes result.avi, if that is asked for."""
        if not self.options.video:
            yield None
            return
        with VideoWriter(self.options.output, self.reader, self.options.audio) as writer:
            yield writer

    @contextlib.contextmanager
    def feature_cache(self) -> Iterator[FeatureCache | None]:
        """A `with` block with a place for the features, if cuts are going to be refined with them."""
        if not self.options.smoothing:
            yield None
            return
        folder = os.path.dirname(os.path.abspath(self.options.output))
        with contextlib.closing(FeatureCache(folder)) as cache:
            yield cache


def open_job(
    seq_length: int | None,
    class_limit: int | None,
    saved_model: str,
    video_file: str,
    options: ClassifyOptions,
) -> ClassificationJob:
    """Opens a video and a checkpoint, and checks all that can be checked before the long work. Arguments and
    errors: see clasify()."""
    files = results.ResultFiles(video_file, options)
    reader = FrameReader(video_file, options.limits)
    files.prepare()
    saved_model = find_checkpoint(saved_model, options.data_dir)
    trained = read_trained(saved_model, seq_length, class_limit, options, reader.info)
    return make_job(reader, files, saved_model, trained)


def make_job(
    reader: FrameReader, files: results.ResultFiles, saved_model: str, trained: Trained
) -> ClassificationJob:
    """The job for an opened video and a checkpoint. Raises UsageError if the options don't fit them, OSError
    if there can be no folder for the results."""
    options = files.options
    options.check_classes(trained.classes)
    if trained.clip_seconds:  # else windows are consecutive frames, as in the article
        reader.resample()
    spec = trained.window_spec(reader.info.fps, options.hop)
    if options.smoothing and options.smoothing.is_coarse_to_fine:
        least = options.smoothing.least(spec.length / reader.info.fps) * reader.info.fps
        spec = coarse_spec(spec, least, trained.image_shape)
    files.make_folder()
    return ClassificationJob(reader, files, saved_model, trained, spec, options)


def classify(
    job: ClassificationJob, extractor: FeatureExtractor, model: SequenceClassifier, cache: FeatureCache | None
) -> tuple[list[Window], np.ndarray]:
    """The windows of a recording, which do not overlap: those that do are averaged where they overlap.
    Returns them, and when the frames and the end are shown, in seconds (frames + 1,).

    extractor: an Extractor. model: a ResearchModel. cache: gets the features.
    """
    reader, options, classes = job.reader, job.options, job.trained.classes
    if cache and job.spec.stride > 1:
        found = classify_coarse_to_fine(reader, extractor, model, job.spec, cache, job.bar or options.quiet)
    else:
        found = classify_windows(reader, extractor, model, job.spec, cache, job.bar or options.quiet)
    windows = average_windows(found if options.quiet else print_windows(found, classes))
    return set_times(list(windows), reader)


def print_windows(windows: Iterable[Window], classes: list[str]) -> Iterator[Window]:
    """Prints Windows that were looked at, with the classes' probabilities, best first, as they pass."""
    for window in windows:
        if window.looked_at:
            probabilities = "  ".join(class_lines(classes, window.probabilities))
            print(f"{clock(window.start)} - {clock(window.end)}  {probabilities}", flush=True)
        yield window


def segment(
    job: ClassificationJob,
    windows: list[Window],
    times: np.ndarray,
    model: SequenceClassifier,
    cache: FeatureCache | None,
) -> Timeline:
    """What is when in a recording, by the video's own frames. cache: the features; with them, cuts are found
    to the frame."""
    reader, options, classes = job.reader, job.options, job.trained.classes
    window_seconds = float(job.spec.length / reader.info.fps)
    timeline = Timeline(
        video=reader.path,
        fps=reader.info.fps,
        size=(reader.info.height, reader.info.width),
        classes=classes,
        windows=windows,
        segments=find_segments(classes, windows, window_seconds, options.smoothing),
        skipped=options.skip,
        sound=audio_format(reader.path, reader.limits) if "xml" in options.export else None,
        is_regular=reader.places is None and has_constant_rate(reader.times, reader.info.fps),
    )
    if cache:
        timeline = refine_cuts(timeline, times, cache, model, job.spec.seq_length)
    if reader.places is None:
        return timeline
    return timeline._replace(
        windows=own_frames(timeline.windows, reader.places),
        segments=snap_cuts(timeline.segments, reader.own_times, window_seconds),
    )


def write_video(job: ClassificationJob, timeline: Timeline, times: np.ndarray, writer: VideoWriter) -> None:
    """Writes result.avi, and says how far the times of its frames are off."""
    if job.reader.places is not None:
        own = job.reader.own_times
        times = np.append(own, max(own[-1], times[-1]))
    rate = result_video.write(timeline, times, writer, job.options, job.bar)
    if rate:
        results.warn_of_rate(job.reader.path, job.options.output, rate, times)


def summarize(job: ClassificationJob, timeline: Timeline) -> None:
    """Prints what was found, what was written, and what is missing."""
    results.print_summary(timeline, job.files)
    results.warn_of_others(timeline, job.files)
    if job.reader.loss:
        message = f"{job.reader.path}: {job.reader.loss}; what was decoded is classified"
        print(message, file=sys.stderr)
