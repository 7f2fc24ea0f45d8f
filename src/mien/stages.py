"""The stages of a run: fit, valid, test, costs. Each can be asked for alone, and is done once.

    fit     the method fits a classifier and chooses it on valid
    valid   the logits of valid are kept
    test    the opening of the test part is recorded, then it is opened, and its logits are kept
    costs   memory and speed are measured; needs a process that has done nothing else

This is the one place where the test part is opened for a result. A tuner asks for fit and valid, and never comes here
for more.
"""

from collections.abc import Sequence
from datetime import UTC, datetime
from functools import partial

from .classifier import Classifier, logits_of
from .data.splits import Fold, Part
from .errors import MemberMissing, NonFinite, Pruned
from .hooks import Hooks
from .methods import Method, find_method
from .runs import RESULTS, Logits, Run

__all__ = ["finish_run", "measure_costs", "open_for"]


def finish_run(run: Run, stages: Sequence[str] = RESULTS, hooks: Hooks | None = None) -> None:
    """Do those of the `stages` that the run has not done, from wherever it stands, in their order.

    A fit without a finite loss marks the run failed, one that `hooks` stopped marks it pruned.

    Args:
        run: planned, or left by another process.
        stages: some of fit, valid and test; a later one asks for those before it.
        hooks: the observers.
    """
    wanted = RESULTS[: 1 + max(map(RESULTS.index, stages))]
    hooks = hooks or Hooks()
    with run.lock():
        if all(map(run.has, wanted)):
            return
        fold, method = run.fold(), find_method(run.settings)
        classifier = _fitted(run, fold, method, hooks)
        if classifier is None:
            return
        if "valid" in wanted and not run.has("valid"):
            run.write_logits({"valid": method.answered(run, "valid") or _logits(classifier, fold.valid)})
            run.did("valid")
        if "test" in wanted:
            test = method.answered(run, "test") or _logits(classifier, _open(run, fold))
            run.write_logits({"valid": run.logits("valid"), "test": test})
            for hook in hooks.named:
                hook.tested(run, classifier, partial(_open, run, fold))
            run.did("test")


def measure_costs(run: Run) -> None:
    """Measure memory and speed in this process, which must be a fresh one."""
    with run.lock():
        run.update(costs=find_method(run.settings).costs(run))
        run.did("costs")


def open_for(purpose: str, fold: Fold) -> Part:
    """Open the test part again, to measure a product of a finished run; the store's log records it first."""
    fold.train.store.log_opening(_now(), purpose)
    return fold.test.open()


def _fitted(run: Run, fold: Fold, method: Method, hooks: Hooks) -> Classifier | None:
    """The fitted classifier of the run, fitted now if necessary; None if there is no result."""
    if run.has("fit"):
        method.tidy(run)
        return method.load(run)
    if run.record.reason:
        run.update(status="running", reason="")
    try:
        classifier = method.fit(run, fold.train, fold.valid, hooks)
    except NonFinite as error:
        run.update(status="failed", reason=str(error))
        return None
    except MemberMissing as error:
        run.update(status="crashed", reason=str(error))
        return None
    except Pruned as error:
        run.update(status="pruned", reason=str(error))
        return None
    run.did("fit")
    method.tidy(run)
    return classifier


def _open(run: Run, fold: Fold) -> Part:
    """Open the test part. The time is recorded in the run and in the store first."""
    opened = _now()
    run.update(test_opened_at=(*run.record.test_opened_at, opened))
    fold.train.store.log_opening(opened, run.id)
    return fold.test.open()


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="seconds")


def _logits(classifier: Classifier, part: Part) -> Logits:
    return Logits.of(part, logits_of(classifier, part.store, part.rows))
