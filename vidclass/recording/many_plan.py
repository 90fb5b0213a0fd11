"""What is planned before many recordings are classified: checkpoint, options, names of the results, and what
is complete already."""

import contextlib
import os
from collections.abc import Iterable
from dataclasses import asdict, dataclass, replace
from fractions import Fraction
from typing import Any

from vidclass import atomic
from vidclass.digests import file_digest
from vidclass.errors import UsageError
from vidclass.features.identity import weights_id
from vidclass.recording.options import ClassifyOptions, ManyOptions
from vidclass.recording.result_names import ANOTHERS, OWN, result_names
from vidclass.recording.results import ResultFiles
from vidclass.recording.summaries import ENDING, Summary, read_summary, recording_identity
from vidclass.recording.trained import Trained, read_trained
from vidclass.training.checkpoint import find_checkpoint
from vidclass.video.probe import VideoInfo

NO_VIDEO = VideoInfo(0, 0, Fraction(1), 0, Fraction(1))


@dataclass(frozen=True)
class Plan:
    """Recordings that are going to be classified with one checkpoint; workers of a cluster get it, too."""

    saved_model: str
    trained: Trained  # its image_shape is for each recording to tell, see at_size
    made_with: dict[str, Any]  # checkpoint and options, for the summaries
    names: dict[str, str]  # path of a recording: the name of its results
    options: ManyOptions

    def files(self, path: str) -> ResultFiles:
        """The results of a recording."""
        each = self.options.each
        extension = os.path.splitext(each.output)[1]
        output = os.path.join(self.options.output_dir, f"{self.names[path]}{extension}")
        return ResultFiles(path, replace(each, output=output, quiet=True))

    def check_checkpoint(self) -> None:
        """Raises RuntimeError if the checkpoint is another than when the plan was made: a training may go
        on."""
        if file_digest(self.saved_model).hex() != self.made_with["checkpoint"]:
            raise RuntimeError(f"{self.saved_model}: has just changed; start again, or give a copy of it")

    def summary_path(self, path: str) -> str:
        """The file with the summary of a recording."""
        return os.path.join(self.options.output_dir, f"{self.names[path]}{ENDING}")

    def check_name(self, path: str) -> None:
        """Raises ValueError if another run has just written another recording's results under the name."""
        if _owner(self.summary_path(path), path) == ANOTHERS:
            raise ValueError(f"{path}: results of another recording have just got its name; run again")

    def summary(self, path: str) -> Summary | None:
        """The summary of a recording whose results are complete: of just this file, checkpoint and options.
        None for others."""
        found = read_summary(self.summary_path(path))
        with contextlib.suppress(OSError):
            if (
                found
                and found.recording == recording_identity(path)
                and found.made_with == self.made_with
                and found.classes == self.trained.classes
            ):
                return found
        return None


def make_plan(
    seq_length: int | None,
    class_limit: int | None,
    saved_model: str,
    video_files: Iterable[str | os.PathLike],
    options: ManyOptions,
) -> Plan:
    """The Plan for some recordings; makes the folder of their results. Arguments and errors: see
    clasify_many()."""
    # The same file given twice is one. A cluster's machines see absolute paths only.
    paths = {os.path.abspath(path): os.fspath(path) for path in video_files}
    if not paths:
        raise UsageError("no recording is given")
    each = options.each
    saved_model = find_checkpoint(saved_model, each.data_dir)
    trained = read_trained(saved_model, seq_length, class_limit, each, NO_VIDEO)
    each.check_classes(trained.classes)
    for path in paths:
        if _same_folder(os.path.dirname(path), options.output_dir):
            raise UsageError(
                f"--output-dir {options.output_dir} is the folder of {paths[path]}: results could take the "
                f"place of recordings; name another folder"
            )
    if options.ray:
        options = replace(options, output_dir=os.path.abspath(options.output_dir))
        saved_model = os.path.abspath(saved_model)
        if trained.weights not in ("imagenet", "random"):
            trained = replace(trained, weights=os.path.abspath(trained.weights))
    names = result_names(
        paths if options.ray else paths.values(),
        lambda name, path: _owner(os.path.join(options.output_dir, name + ENDING), path),
    )
    if len(set(names.values())) < len(names):
        raise UsageError("two recordings would have results of one name; rename one of them")
    if options.shard:
        number, parts = options.shard
        ordered = sorted(names, key=os.path.abspath)
        names = {path: names[path] for path in ordered[number - 1 :: parts]}
    try:
        os.makedirs(options.output_dir, exist_ok=True)
    except OSError as error:
        raise OSError(f"{options.output_dir}: can't be written ({error.strerror})") from None
    atomic.remove_stale_temporaries(options.output_dir)
    return Plan(saved_model, trained, _made_with(saved_model, trained, each), names, options)


def _owner(summary, path):
    """Whose summary there is, see result_names. A recording that has moved is known by its size and time."""
    found = read_summary(summary)
    if not found:
        return ""
    if found.recording["path"] == os.path.abspath(path):
        return OWN
    with contextlib.suppress(OSError):
        if {**recording_identity(path), "path": found.recording["path"]} == found.recording:
            return ANOTHERS if os.path.exists(found.recording["path"]) else OWN
    return ANOTHERS


def _same_folder(one, other):
    try:
        return os.path.samefile(one, other)
    except OSError:
        return False  # one of them is yet to be made


def _made_with(saved_model: str, trained: Trained, options: ClassifyOptions) -> dict[str, Any]:
    """All that decides what the results of a recording are, as JSON gives it back."""
    smoothing = asdict(options.smoothing) if options.smoothing else None
    if smoothing and smoothing["min_duration"] is not None:
        smoothing["min_duration"] = str(Fraction(smoothing["min_duration"]))
    return {
        "checkpoint": file_digest(saved_model).hex(),
        "weights": weights_id(trained.weights),
        "precision": trained.precision,
        "hop": None if options.hop is None else str(Fraction(options.hop)),
        "smoothing": smoothing,
        **{name: list(getattr(options, name)) for name in ("export", "skip", "keep")},
        **{name: getattr(options, name) for name in ("exact", "video", "audio", "strip", "report")},
    }
