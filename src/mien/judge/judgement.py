"""The judgement of a comparison in Python. Pages, JSON and LaTeX tables are written from it.

    from mien.compare import collect
    from mien.judge import judge
    from mien.runs import find_runs

    judgement = judge(collect(find_runs("runs")))
    print(judgement.finding)

Nothing here is drawn, so it needs neither matplotlib nor jinja2.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property

from ..compare import Comparison, Row
from ..data.store import Store
from .answers import answer_sentence
from .calibration import Calibrated, calibrate, calibrate_by
from .certainty import Certainty, assess, known_subjects
from .finding import finding
from .imbalance import Imbalance, imbalance
from .openings import Openings, count_openings, find_store
from .parts import PooledRow, pooled_rows
from .peeking import Peeked, peeked_rows
from .peeking_folds import PeekedFolds, peeked_folds
from .select import predictions, select
from .table import Table, build_table

__all__ = ["Judgement", "judge"]


@dataclass(frozen=True, kw_only=True)
class Judgement:
    """A comparison with its intervals, its verdicts and its calibration."""

    comparison: Comparison
    rows: tuple[Row, ...]
    """The rows that get figures, at most `MOST_ROWS`; calibration and peeking are of these."""
    certainty: Certainty
    """Intervals, paired tests, and what each setting changes."""
    calibration: tuple[Calibrated, ...]
    openings: Openings
    """Who opened the test part, and how often."""
    peeking: tuple[Peeked, ...]
    """Rows that were also tested at every epoch; empty without `--show-peeking`."""
    store: Store | None
    """The store of the runs, if it still exists and has not changed."""
    why_no_store: str
    """The reason why there is no store, in a sentence; empty if there is one."""
    left_out: tuple[str, ...]
    """Run folders that could not be opened, one sentence each."""

    @cached_property
    def table(self) -> Table:
        """One line for each row of the comparison, and for each of the paper's networks that it has."""
        return build_table(self.comparison, self.certainty)

    @cached_property
    def imbalance(self) -> tuple[Imbalance, ...]:
        """Rows whose classes are uneven in training, as trained and adjusted; empty where classes are about even."""
        if not self.rows:
            return ()
        return imbalance(self.rows, known_subjects(predictions(self.rows[0])[0]))

    @cached_property
    def pooled(self) -> tuple[PooledRow, ...]:
        """UF1 and UAR over all folds, and of each corpus, of rows whose folds are subjects or corpora."""
        return pooled_rows(self.rows)

    @cached_property
    def peeked_folds(self) -> tuple[PeekedFolds, ...]:
        """UF1 as it would be claimed by choosing the epoch on each held-out subject; of leave-one-subject-out."""
        return peeked_folds(self.rows)

    @property
    def finding(self) -> str:
        """The result in a few sentences."""
        return finding(self.comparison, self.certainty)

    @property
    def answers(self) -> tuple[str, ...]:
        """The effect of each setting on accuracy over all networks, one sentence each."""
        return tuple(answer_sentence(one) for one in self.certainty.contrasts if one.pair.metric == "accuracy")


def judge(
    comparison: Comparison, *, store: Store | None = None, temperatures: Mapping[str, float] | None = None
) -> Judgement:
    """Judge the rows of a comparison.

    Args:
        comparison: what `mien.compare.collect` made of run folders, or rows of model files.
        store: that of the rows, if it is already open; otherwise it is opened at the path that the runs record.
        temperatures: by row name, if they were fitted elsewhere, as those of model files. Otherwise each run's
        temperature is fitted on its validation part.
    """
    rows, found = select(comparison.rows), store or find_store(comparison.data)
    known = found if isinstance(found, Store) else None
    fitted = (calibrate(row) if temperatures is None else calibrate_by(row, temperatures[row.name]) for row in rows)
    return Judgement(
        comparison=comparison,
        rows=rows,
        certainty=assess(comparison),
        calibration=tuple(one for one in fitted if one),
        openings=count_openings(comparison, known),
        peeking=peeked_rows(rows),
        store=known,
        why_no_store=found if isinstance(found, str) else "",
        left_out=comparison.left_out,
    )
