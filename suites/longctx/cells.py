"""Grids of contexts: the lengths and depths of a protocol, and the place of a text within a context."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from flagbench import BadInput, counted
from flagbench.runners.data.verdict import Content as Digest
from flagbench.runners.data.verdict import DataVerdict, judge
from flagbench.suites.longctx.sample import Cell

if TYPE_CHECKING:
    from flagbench.runners.data.sources import Source
    from flagbench.suites.longctx.options import LongContextOptions


@dataclass(frozen=True)
class Layout:
    """The published grid of a protocol.

    Attributes:
        lengths: Tokens of the contexts.
        depths: Places in them, in percent.
    """

    lengths: tuple[int, ...]
    depths: tuple[int, ...]


@dataclass(frozen=True)
class Room:
    """How many tokens of a context are not noise.

    Attributes:
        description: Before it.
        information: Hidden in it.
        question: After it.
    """

    description: int
    information: int
    question: int

    def noise(self, length: int) -> int:
        """Tokens of noise in a context of a length.

        Raises:
            BadInput: There is no room for any.
        """
        noise = length - self.description - self.information - self.question
        if noise < 1:
            raise BadInput(
                f"a context of {counted(length, 'token')} has no room for its question: with this tokenizer "
                f"{length - noise + 1} are needed; give larger --lengths"
            )
        return noise

    def position(self, cell: Cell) -> int:
        """Where the information begins: tokens between the description and the end, as both published tests count it.

        Depth 0 is behind the description, depth 100 one token before the question.
        """
        last = cell.length - self.question - self.information - 1
        return self.description + round((last - self.description) * cell.depth / 100)


def spread(first: int, last: int, count: int, *, rounded: bool) -> tuple[int, ...]:
    """Numbers at even distances: those of numpy's ``linspace``, cut to whole ones or rounded to the nearest.

    Args:
        first: The first.
        last: The last.
        count: How many, two or more.
        rounded: Take the nearest whole number, of two the even one, instead of the one below.
    """
    step = (last - first) / (count - 1)
    whole = round if rounded else int
    return (*(whole(at * step + first) for at in range(count - 1)), last)


def cells(published: Layout, options: LongContextOptions) -> tuple[Cell, ...]:
    """The cells of a run, lengths outside and depths inside: neighbours share their beginning up to the information."""
    lengths, depths = options.lengths or published.lengths, options.depths or published.depths
    return tuple(Cell(length, depth) for length in lengths for depth in depths)


def asked(grid: Sequence[Cell], rows: int | None) -> frozenset[Cell]:
    """The cells that are asked of a grid: so many of each length, at even distances; all where ``rows`` is None.

    The depths of one length lie between those of the others, so that all together are spread over all depths, and
    deeper places are not those of longer contexts: the first depth of a length is by van der Corput's sequence.
    """
    by_length: dict[int, list[Cell]] = {}
    for cell in grid:
        by_length.setdefault(cell.length, []).append(cell)
    if rows is None:
        return frozenset(grid)
    return frozenset(
        its[int((at + _van_der_corput(number)) * len(its) / rows)] if rows < len(its) else its[at]
        for number, its in enumerate(by_length.values(), 1)
        for at in range(min(rows, len(its)))
    )


def _van_der_corput(number: int) -> float:
    """A number of a sequence that fills 0 to 1 evenly, however far it goes: one half, one quarter, three quarters, …"""
    found, part = 0.0, 0.5
    while number:
        found, number, part = found + part * (number % 2), number // 2, part / 2
    return found


def spread_note(kept: Collection[Cell], grid: Sequence[Cell]) -> list[str]:
    """A note where only a part of a grid is asked."""
    if len(kept) == len(grid):
        return []
    return [f"{len(kept):,} of {len(grid):,} cells, spread over the depths"]


def cell_id(cell: Cell) -> str:
    """The id of a cell's sample."""
    return f"{cell.length}/{cell.depth}"


def unlike(published: Layout, options: LongContextOptions) -> list[str]:
    """A line for each way in which the grid of a run is not the published one."""
    lines = []
    for name, its, asked in (
        ("lengths", published.lengths, options.lengths),
        ("depths", published.depths, options.depths),
    ):
        if asked and asked != its:
            lines.append(f"the {name} are not the published ones, {its[0]:,} to {its[-1]:,} in {len(its)} steps")
    return lines


def generated_verdict(source: Source, content: Mapping[str, Digest], lines: Sequence[str]) -> DataVerdict:
    """The verdict on data that is generated by published rules: official unless something is said against it.

    Args:
        source: Of the data.
        content: Of what was generated.
        lines: Ways in which its constants are not the published ones.
    """
    return judge(content, lines, [source], "main", content)
