"""Which training clips validate: whole groups, chosen for all classes together."""

import collections
from collections.abc import Hashable, Mapping, Sequence

import numpy as np

from vidclass.dataset.data_file import Clip
from vidclass.dataset.groups import Origin

NEXT_TO_NONE = 0.1  # share of a class's clips
RECORDINGS = 3  # from so many on, a class holds out whole recordings, else stretches
WHOLE_RECORDINGS, WHOLE_STRETCHES, SINGLE = "whole recordings", "whole stretches", "single clips"
TRIES, MOST_TRIED = 10, 1000  # random orders, of which the best division counts; groups of more have one

Group = tuple[Hashable, Hashable]  # (recording, the part of it that stays whole); classes may share groups


def group_by_origin(
    classes: Mapping[str, Sequence[Clip]], origins: Mapping[Clip, Origin]
) -> dict[Clip, Group]:
    """The groups that no division may tear: a class's recordings if it has three or more, else its
    stretches. A clip without an origin is a group of its own, and so is each clip of a class with one group
    only, see single_groups."""
    groups: dict[Clip, Group] = {}
    for clips in classes.values():
        kind = _kind(clips, origins)
        for clip in clips:
            if kind == SINGLE or clip not in origins:
                groups[clip] = single_clip(clip)
            else:
                recording, stretch = origins[clip]
                groups[clip] = (recording, recording if kind == WHOLE_RECORDINGS else stretch)
    return groups


def describe_groups(classes: Mapping[str, Sequence[Clip]], origins: Mapping[Clip, Origin]) -> str:
    """What group_by_origin keeps whole: "whole recordings", say, or "whole stretches or single clips"."""
    kinds = {_kind(clips, origins) for clips in classes.values()}
    return " or ".join(kind for kind in (WHOLE_RECORDINGS, WHOLE_STRETCHES, SINGLE) if kind in kinds)


def _kind(clips, origins):
    """What is held out of the clips of one class."""
    recordings = {origins[clip].recording for clip in clips if clip in origins}
    if not recordings or _is_single(clips, origins):
        return SINGLE
    return WHOLE_RECORDINGS if len(recordings) >= RECORDINGS else WHOLE_STRETCHES


def single_clip(clip: Clip) -> Group:
    """The group of a clip that has one of its own."""
    return clip, clip


def single_groups(classes: Mapping[str, Sequence[Clip]], origins: Mapping[Clip, Origin]) -> list[str]:
    """The classes of which most clips, two at least, are of one stretch, and next to none of another: one
    side would have next to none of them if it stayed whole."""
    return [name for name, clips in classes.items() if _is_single(clips, origins)]


def _is_single(clips, origins):
    stretches = collections.Counter(origins[clip].stretch for clip in clips if clip in origins)
    most, known = max(stretches.values(), default=0), sum(stretches.values())
    return most > max(1, len(clips) / 2) and known - most < NEXT_TO_NONE * len(clips)


def divide(
    clips: Sequence[Clip], groups: Mapping[Clip, Group], shares: Sequence[float], seed: int
) -> dict[Clip, int]:
    """{clip: the part that it is in}: the clips in parts of these shares, whole groups in each.

    A group is in one part with all classes that share it. A class is in all parts, or where it has fewer
    groups than parts, in as many as it has groups. If classes can't all have that together, those that lack
    a part divide their own groups alone. Of the divisions found, the one with the numbers of clips nearest to
    the shares is taken; moving no single group brings them nearer. seed: of the random orders of recordings
    in which parts are filled: parts of a recording that stay whole on their own are held out together, too.
    """
    random = np.random.default_rng(seed)
    parts: dict[Clip, int] = {}
    for own in _unrelated(clips, groups):
        parts.update(_divide(own, groups, shares, random))
    return parts


def _unrelated(clips, groups):
    """The clips in lists, of classes that share recordings, however indirectly."""
    linked = {clip.class_name: clip.class_name for clip in clips}  # {class: one that it is related to}

    def first_related(name):
        while linked[name] != name:
            name = linked[name]
        return name

    seen: dict[Hashable, str] = {}  # {recording: the first class that has it}
    for clip in clips:
        other = seen.setdefault(groups[clip][0], clip.class_name)
        linked[first_related(clip.class_name)] = first_related(other)
    lists: dict[str, list[Clip]] = {}
    for clip in clips:
        lists.setdefault(first_related(clip.class_name), []).append(clip)
    return list(lists.values())


def _divide(clips, groups, shares, random):
    """{clip: its part} of related classes."""
    column = {name: i for i, name in enumerate(sorted({clip.class_name for clip in clips}))}
    row = {key: i for i, key in enumerate(dict.fromkeys(groups[clip] for clip in clips))}
    recordings = {name: i for i, name in enumerate(dict.fromkeys(recording for recording, _ in row))}
    of_recording = np.array([recordings[recording] for recording, _ in row])
    counts = np.zeros((len(row), len(column)))  # clips of each group and class
    for clip in clips:
        counts[row[groups[clip]], column[clip.class_name]] += 1
    together = _best_parts(counts, shares, of_recording, random)
    parts = np.repeat(together[:, None], len(column), axis=1)  # (groups, classes)
    for i in np.flatnonzero(_missing(counts, together, len(shares))):
        own = np.flatnonzero(counts[:, i])
        parts[own, i] = _best_parts(counts[own, i : i + 1], shares, of_recording[own], random)
    return {clip: int(parts[row[groups[clip]], column[clip.class_name]]) for clip in clips}


def _best_parts(counts, shares, of_recording, random):
    """The part of each group, int (groups,). counts: clips, (groups, classes). of_recording: the number of
    each group's recording, (groups,)."""
    shares = np.array(shares)[:, None]  # (parts, 1)
    best, least = None, np.inf
    for _ in range(TRIES if len(counts) <= MOST_TRIED else 1):
        ranks = random.permutation(of_recording.max() + 1)
        order = np.lexsort((random.random(len(counts)), ranks[of_recording]))
        parts = _fill(counts / counts.sum(0), shares, order)
        cost = _improve(counts, shares, parts)
        if cost < least - 1e-9:
            best, least = parts, cost
    return best


def _fill(fractions, shares, order):
    """The part of each group: parts are filled one after the other in an order of the groups, each while that
    brings it nearer its share; the last one gets the rest. fractions: of a class's clips, (groups,
    classes)."""
    parts = np.full(len(fractions), len(shares) - 1)
    squares = (fractions**2).sum(1)
    free = order
    for part, share in enumerate(shares[:-1]):
        lacking = np.full(fractions.shape[1], share)
        left = []
        for i in free:
            # The first one in any case: else all orders would begin alike where groups are large.
            if i == free[0] or squares[i] < 2 * fractions[i] @ lacking:
                parts[i] = part
                lacking -= fractions[i]
            else:
                left.append(i)
        free = left
    return parts


def _improve(counts, shares, parts):
    """Moves single groups to other parts, the best move first, until none helps; changes `parts`. Returns
    the cost: squared distances from the shares, and more than all of these for each class that lacks a
    part."""
    fractions, present = counts / counts.sum(0), (counts > 0).astype(float)
    number, every = len(shares), np.arange(len(parts))
    missing_costs = 4 * counts.shape[1]
    squares = (fractions**2).sum(1)
    while True:
        inside = parts == np.arange(number)[:, None]  # (parts, groups)
        over = inside @ fractions - shares  # (parts, classes)
        groups = inside @ present
        # Of moving a group to a part, (groups, parts): what it adds to the squares, and to the parts lacked.
        towards = fractions @ over.T
        added = 2 * (towards - towards[every, parts][:, None] + squares[:, None])
        emptied = (present * (groups[parts] == 1)).sum(1)
        added += missing_costs * (emptied[:, None] - present @ (groups == 0).T)
        added[every, parts] = 0
        move = np.unravel_index(added.argmin(), added.shape)
        if added[move] > -1e-9:
            return (over**2).sum() + missing_costs * _missing(counts, parts, number).sum()
        parts[move[0]] = move[1]


def _missing(counts, parts, number):
    """How many parts each class lacks of those that it has groups for, (classes,)."""
    groups = (parts == np.arange(number)[:, None]) @ (counts > 0)
    return np.minimum((counts > 0).sum(0), number) - (groups > 0).sum(0)
