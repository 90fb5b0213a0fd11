"""One bar for many things to do."""

from vidclass.progress import SharedBar, progress


class Shown:
    """What a tqdm bar would show."""

    def __init__(self, total):
        self.n, self.total, self.titles = 0, total, []

    def update(self, n):
        self.n += n

    def set_description_str(self, title):
        self.titles.append(title)


def test_each_thing_has_its_part_of_the_bar():
    shown = Shown(300)
    shared = SharedBar(shown)
    shared.begin("a", 100, (0.75, 0.25))
    with progress(unit="frame", desc="x", quiet=shared, total=50) as bar:
        bar.update(25)
        assert (bar.n, bar.total, shown.n) == (25, 50, 37)
        bar.update(25)
        bar.update(25)  # more than the header said: never beyond the thing
        assert shown.n == 100
    with progress(unit="frame", desc="x", quiet=shared, total=None) as bar:
        bar.update(7)
    shared.end(120)  # it was longer than its header said
    assert (shown.n, shown.total) == (120, 320)
    shared.begin("b\n", 200)
    with progress(unit="frame", desc="x", quiet=shared, total=10) as bar:
        bar.update(2)
        assert shown.n == 160
    with progress(unit="frame", desc="x", quiet=shared, total=10) as bar:  # one bar more than was said
        bar.update(2)
    shared.end()  # given up
    assert (shown.n, shown.total) == (160, 160) and shown.titles == ["a: ", "b\\n: "]


def test_nothing_is_shown_when_quiet():
    with progress(unit="frame", desc="x", quiet=True, total=10) as bar:
        shared = SharedBar(bar)
        shared.begin("a", 10)
        shared.part(5).update(5)
        shared.end(10)
