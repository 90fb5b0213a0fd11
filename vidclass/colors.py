"""The colours of the classes, in result.avi, in reports and on the labelling page."""

# RGB: Okabe and Ito's, told apart by the colour-blind too ("Color Universal Design", 2008).
COLORS = [
    (0, 114, 178),
    (230, 159, 0),
    (0, 158, 115),
    (204, 121, 167),
    (86, 180, 233),
    (213, 94, 0),
    (240, 228, 66),
]


def color(number: int) -> tuple[int, ...]:
    """The colour of a class by its number: RGB. Beyond the seventh they are darker ones of the same hues,
    then repeat."""
    shade = (1, 0.6, 0.35)[number // len(COLORS) % 3]
    return tuple(round(shade * value) for value in COLORS[number % len(COLORS)])
