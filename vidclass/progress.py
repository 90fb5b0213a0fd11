"""How far the work is: a bar with its rate and the time that is left on a terminal, a line now and then
elsewhere.
"""

import sys
from collections.abc import Iterable, Sequence
from typing import Any

from tqdm import tqdm

from vidclass.console import print, printable

PARTS = 10  # of the work, with a line after each, where there is no terminal
SECONDS = 30  # after which there is a line in any case
BURST = 0.1  # seconds; what comes within them is of one batch


class SharedBar:
    """One bar for many things to do, each of which would have bars of its own.

    bar: of `progress`; its total is the sum of the things' sizes. What does the work is given this in place
    of `quiet`, and so gets a part of the bar for a bar.
    """

    def __init__(self, bar: tqdm):
        self._bar = bar
        self._begun, self._size, self._at = 0.0, 0.0, 0.0  # of the thing in hand: what was done before it
        self._shares: list[float] = []

    def begin(self, desc: str, size: float, shares: Sequence[float] = (1,)) -> None:
        """The next thing has this size, of the bar's total, and opens one bar after another, of which each is
        such a share of it."""
        self._bar.set_description_str(f"{printable(desc)}: ")
        self._begun = self._at
        self._size, self._shares = size, list(shares)

    def end(self, size: float | None = None) -> None:
        """The thing is done. size: its true one; None: it was given up, the rest of it won't be done."""
        true = self._at - self._begun if size is None else size
        if self._bar.total is not None:
            self._bar.total += true - self._size
        self._at = self._begun + true
        self._show()

    def part(self, total: float | None) -> "Part":
        """The next bar of the thing in hand."""
        return Part(self, total, self._shares.pop(0) if self._shares else 0)

    def move(self, amount: float) -> None:
        """So much more of the thing in hand is done, of 1."""
        self._at = min(self._at + amount * self._size, self._begun + self._size)
        self._show()

    def _show(self):
        if step := int(self._at) - int(self._bar.n):
            self._bar.update(step)


class Part:
    """A part of a SharedBar, to be used as a tqdm bar. .n, .total: as tqdm's."""

    def __init__(self, bar: SharedBar, total: float | None, share: float):
        self.n, self.total = 0.0, total
        self._bar, self._share = bar, share

    def update(self, n: float = 1) -> None:
        """So much more is done."""
        self.n += n
        if self.total:
            self._bar.move(self._share * n / self.total)

    def __enter__(self):
        return self

    def __exit__(self, *error):
        pass


def progress(
    iterable: Iterable | None = None,
    *,
    unit: str,
    desc: str,
    quiet: bool | SharedBar,
    total: float | None = None,
    wait: bool = False,
    **options: Any,
) -> Any:
    """A tqdm bar, or what does as well in a log. quiet: nothing is shown; or the bar of which this is a part.
    wait: the clock starts when the first of the work is done; before, something is got ready that tells
    nothing of the rate. options: of tqdm, on a terminal only."""
    if isinstance(quiet, SharedBar):
        return quiet.part(total)
    kind = _Bar if getattr(sys.stderr, "isatty", lambda: False)() else _Lines
    return kind(iterable, unit=unit, desc=printable(desc), disable=quiet, total=total, wait=wait, **options)


class _Bar(tqdm):
    """A tqdm bar whose clock may wait."""

    disable: bool

    def __init__(self, *arguments, wait=False, **options):
        self._waits, self._first = wait, None
        super().__init__(*arguments, **options)

    def update(self, n=1):
        if not self._waits or self.disable:
            return super().update(n)
        now = self._time()
        if self._first is None:
            self._first = now
        elif now - self._first > BURST:
            self._waits = False
            return super().update(n)
        self.n += n
        self.initial = self.last_print_n = self.n
        self.start_t = self.last_print_t = now
        return self.refresh()


class _Lines(_Bar):
    """The same, as lines: after each tenth of the work, after 30 s, and at the end."""

    monitor_interval = 0  # no thread that would redraw it

    def __init__(self, *arguments, bar_format=None, **options):
        self._shown, self._shown_at, self._ended = 0, None, False
        super().__init__(*arguments, **{**options, "mininterval": 0, "miniters": 0})
        self._shown_at = self.start_t if not self.disable else None

    def display(self, msg=None, pos=None):
        if self._shown_at is not None and self.n != self._shown:
            part = self.total and int(self.n * PARTS // self.total) > int(self._shown * PARTS // self.total)
            if part or self._time() - self._shown_at >= SECONDS:
                self._show()
        return True

    def clear(self, nolock=False):
        pass

    def close(self):
        if not self.disable:
            # The total may have been corrected since: all was done, and no line said so.
            if self.n != self._shown or self.total and self.n >= self.total and not self._ended:
                self._show()
            self.disable = True
            self._decr_instances(self)

    def _show(self):
        self._shown, self._shown_at = self.n, self._time()
        done, seconds = self.n - self.initial, self._time() - self.start_t
        rate = done / seconds if done and seconds > 0 else None
        units = f"{self.unit}s" if len(self.unit) > 1 else self.unit
        text = [f"{self.n:.0f} {units}"]
        if self.total:
            text = [f"{int(100 * self.n / self.total)} %", f"{self.n:.0f} of {self.total:.0f} {units}"]
        if rate:
            text.append(f"{rate:.1f} {units}/s")
        if self.total and self.n >= self.total:
            text.append(f"{self.format_interval(round(seconds))} in all")
            self._ended = True
        elif self.total and rate:
            text.append(f"{self.format_interval(round((self.total - self.n) / rate))} left")
        print(f"{self.desc.removesuffix(': ')}: {', '.join(text)}", file=sys.stderr, flush=True)
