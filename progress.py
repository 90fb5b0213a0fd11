"""Progress bars whose rate is that of the work, not of the start before it."""


def advance(bar, done):
    """Sets a tqdm bar to so many. The first time its clock starts: what went before, a network that is loaded and compiled,
    took time and tells nothing of the rate."""
    if bar.n:
        bar.update(done - bar.n)
    elif done:
        bar.unpause()
        bar.n = bar.initial = bar.last_print_n = done
        bar.refresh()
