"""What is known of how good an answer is, as an example for others: checks, ratings, and use."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(slots=True, eq=False)
class Worth:
    """Counts what spoke for an answer and against it; nothing said is nothing known."""

    good: int = 0
    """Checks that accepted it, good ratings, and answers that it helped to."""
    bad: int = 0

    def note(self, *, good: bool) -> None:
        """Take note of one more word on it."""
        if good:
            self.good += 1
        else:
            self.bad += 1

    @property
    def is_good(self) -> bool:
        """Whether more is said for it than against it; of what nobody vouched for, it is not."""
        return self.good > self.bad

    @property
    def share(self) -> float:
        """How often it is expected to help: the mean of a Beta posterior over a flat prior."""
        return (self.good + 1) / (self.good + self.bad + 2)
