"""What a page needs to know of a benchmark."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from flagbench.results.averages import Averages, cells_digest, tasks_of
from flagbench.results.data_state import in_mini
from flagbench.results.definition import Definition, averages_from, recorded
from flagbench.results.record import TaskRecord
from flagbench.results.recorded_averages import recorded_averages
from flagbench.results.runs import Run


@dataclass(frozen=True)
class Benchmark:
    """Facts about a benchmark that a page needs.

    Attributes:
        title: For people.
        averages: Of the benchmark.
        mini_averages: The same of its miniature data, which need not have all tasks.
        mini: The last folders of the path of its miniature data; empty for none.
        parts: Digest of the splits and subsets of a task that count in the averages, where it can run over others.
    """

    title: str
    averages: Averages
    mini_averages: Averages = field(default_factory=dict)
    mini: tuple[str, ...] = ()
    parts: Mapping[str, str] = field(default_factory=dict)

    @classmethod
    def from_definition(cls, found: Definition) -> Benchmark:
        """The facts that a run recorded."""
        averages, mini = averages_from(found["averages"]), found["miniature"]
        if not mini:
            return cls(found["title"], averages, averages, (), found["parts"])
        return cls(found["title"], averages, averages_from(mini["averages"]), tuple(mini["folders"]), found["parts"])

    def definition(self) -> Definition:
        """The facts as a run records them."""
        return {
            "title": self.title,
            "averages": recorded(self.averages),
            "miniature": {"folders": [*self.mini], "averages": recorded(self.mini_averages)} if self.mini else None,
            "parts": self.parts,
        }

    def takes(self, record: TaskRecord) -> bool:
        """Tell whether a task ran over the splits and subsets that count here."""
        wanted, over = self.parts.get(record.name), record.scores.items()
        if wanted is None or record.status == "error":
            return True
        return cells_digest((split, subset) for split, by_subset in over for subset in by_subset) == wanted

    def averages_of(self, run: Run) -> Averages:
        """The averages of the data that a run is over, of the miniature data where all of its tasks are; and those that
        it records.
        """
        names = {name for names in tasks_of(self.averages).values() for name in names}
        its = [record for name, record in run.record.tasks.items() if name in names and record.status != "error"]
        known = self.mini_averages if its and all(map(self.is_mini, its)) else self.averages
        recorded = recorded_averages(run.record.tasks.values())
        return {**known, **recorded.get(run.record.benchmark, {})}

    def is_mini(self, record: TaskRecord) -> bool:
        """Tell whether a task ran over the miniature data."""
        return in_mini(record, self.mini)
