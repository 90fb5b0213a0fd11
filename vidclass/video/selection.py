"""Some frames of a video by number: what ffmpeg needs to leave out the others before it converts them."""

import os
from collections.abc import Iterable
from dataclasses import dataclass

from vidclass.video.ffmpeg import filter_file

MOST_SELECTED = 50_000  # frames, 25 MB of ffmpeg's memory; of seven hours of the article's windows
# Frames: so many at most are left out at once. Between two that it writes, a slow ffmpeg looks stuck.
LONGEST_GAP = 30
ENOUGH = 1000  # frames that tell how dense the others will be
WORTHWHILE = 0.5  # share of the frames; of more, leaving out the others saves little


# ffmpeg's arguments for the input. A size that changes would begin the filters, and their count of frames,
# anew; a rotation that begins in mid-file, too: those frames stay as they are.
ONE_GRAPH = ("-reinit_filter", "0", "-noautorotate")


@dataclass(frozen=True)
class Selection:
    """Which frames of a video are read. numbers: rising, from 0, below `end`. From frame `end` on all are
    read: nobody knew how many more there are."""

    numbers: tuple[int, ...]
    end: int

    def number(self, place: int) -> int:
        """The number of the frame that comes out at a place, from 0."""
        count = len(self.numbers)
        return self.numbers[place] if place < count else self.end + place - count

    def arguments(self, folder: str, before: str = "") -> list[str]:
        """ffmpeg's arguments for an output of these frames only, whose filter is written to a file in a
        folder: thousands of numbers are too long for a command line. before: filters, the frames that come
        out of which are meant."""
        path = os.path.join(folder, "select")
        with open(path, "w") as file:
            file.write(
                f"{before}{',' if before else ''}select='if(lt(n,{self.end}),{_is_one_of(self.numbers)},1)'"
            )
        return filter_file(path)


def _is_one_of(numbers):
    """ffmpeg's expression for 'n is one of these', a search by halves."""
    if len(numbers) == 1:
        return f"eq(n,{numbers[0]})"
    middle = len(numbers) // 2
    return f"if(lt(n,{numbers[middle]}),{_is_one_of(numbers[:middle])},{_is_one_of(numbers[middle:])})"


def select(numbers: Iterable[int], end: int) -> Selection | None:
    """The Selection of these frames of the first `end`, and some more where they lie far apart; of the first
    MOST_SELECTED if they are more. None if it is better to read all frames. numbers: from 0, rising."""
    chosen: list[int] = []
    for number in numbers:
        if len(chosen) >= MOST_SELECTED:
            end = min(end, number)
        if number >= end:
            break
        if len(chosen) >= max(ENOUGH, WORTHWHILE * number):  # windows go on as they began
            return None
        chosen += [*_between(chosen, number), number]
    chosen += _between(chosen, end)
    return Selection(tuple(chosen), end) if 0 < len(chosen) < WORTHWHILE * end else None


def _between(chosen, number):
    """Frames after the last one chosen and before `number`, so many that no gap is too long."""
    return range((chosen[-1] if chosen else -1) + LONGEST_GAP, number, LONGEST_GAP)
