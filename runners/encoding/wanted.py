"""Which parts are wanted of inputs that come by chunk by chunk."""

from __future__ import annotations

from collections.abc import Iterable

from flagbench.models.contract import Part


class Wanted:
    """The parts that a consumer of chunks wants of the next ones.

    A generator of chunks asks for ``parts`` before each chunk; a consumer that has enough of one part drops it on the
    way, and gets none of it from then on.

    Attributes:
        parts: Those that are still wanted.
    """

    def __init__(self, parts: Iterable[Part]) -> None:
        self.parts: frozenset[Part] = frozenset(parts)

    def drop(self, part: Part) -> None:
        """Want no more of a part.

        Raises:
            KeyError: It is not wanted, or the only one: a chunk has something.
        """
        if part not in self.parts or len(self.parts) == 1:
            raise KeyError(part)
        self.parts -= {part}
