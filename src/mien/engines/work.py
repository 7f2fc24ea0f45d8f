"""What one process does for one run: train, evaluate, measure. Started by an engine, in a fresh process."""

import time
from collections.abc import Callable
from dataclasses import replace

import numpy as np
import torch

from ..atomic import write_json
from ..checkpoint import CHECKPOINT, NEXT, WEIGHTS
from ..config import NetworkSettings
from ..data.store import Store
from ..errors import NonFinite
from ..evaluate import Trained, evaluate, peek, pick_device
from ..machine import allocator, describe, peak_memory_mb, versions
from ..models.cost import count
from ..runs import Costs, Run
from ..threads import restore_threads
from ..train import Progress, means, predict_logits, selected_epoch, train
from .neighbours import waiting_words

__all__ = ["finish_run", "measure_prediction"]

PREDICT_BATCH = 64
PREDICT_SECONDS = 2.0


def finish_run(
    run: Run,
    report: Callable[[Progress], None] | None = None,
    *,
    teach_peeking: bool = False,
    threads: int = 0,
) -> None:
    """Bring a run to its end from wherever it stands. A loss that is not finite marks it failed.

    Args:
        run: the run, planned or left by another process.
        report: called after each step.
        teach_peeking: also judge every epoch on the test, into a file of its own that no figure is taken from.
        threads: compute with so many from here on, whatever the run was computed with; 0 keeps its number. The run's
            `env.json` says both.
    """
    with run.lock():
        if run.finished:
            return
        fold = run.fold()
        device = pick_device()
        torch.backends.cudnn.deterministic = True
        used = restore_threads(run, threads)
        if run.record.reason:
            run.update(status="running", reason="")
        with run.writing():
            write_json(run.path / "env.json", _environment(device, run.settings, used))
        try:
            network, state = train(run, fold.train, fold.valid, device=device, report=report, keep_epochs=teach_peeking)
        except NonFinite as error:
            run.update(status="failed", reason=str(error))
            for name in (CHECKPOINT, NEXT, WEIGHTS):
                (run.path / name).unlink(missing_ok=True)
            return
        size = run.data.crop.size
        cost = count(network, size)
        costs = replace(
            run.record.costs,
            parameters=cost.parameters,
            flops=cost.flops,
            activation_bytes=cost.activation_bytes,
            train_seconds=round(state.seconds, 3),
            images_per_second=round(state.images / state.seconds, 1),
            train_peak_mb=round(_peak_mb(device), 1),
        )
        run.update(costs=costs)
        evaluate(run, network, fold)
        if teach_peeking:
            peek(run, network, fold)
        run.update(
            status="finished", reason="", selected_epoch=selected_epoch(state.history, run.settings.train.select)
        )
        (run.path / CHECKPOINT).unlink(missing_ok=True)


def measure_prediction(run: Run) -> None:
    """Peak memory and speed of prediction at a batch of 64, in this process, which must be a fresh one."""
    with run.lock():
        run.update(costs=_prediction_costs(run))


def _prediction_costs(run: Run) -> Costs:
    network = Trained(run).network
    store = Store.open(run.data.store)
    images = np.array(store.images[:PREDICT_BATCH])
    predict_logits(network, images, PREDICT_BATCH)
    started, rounds = time.monotonic(), 0
    while time.monotonic() - started < PREDICT_SECONDS:
        predict_logits(network, images, PREDICT_BATCH)
        rounds += 1
    speed = rounds * len(images) / (time.monotonic() - started)
    return replace(
        run.record.costs,
        predict_peak_mb=round(_peak_mb(pick_device()), 1),
        predict_images_per_second=round(speed, 1),
        predict_batch=PREDICT_BATCH,
    )


def _peak_mb(device: torch.device) -> float:
    if device.type == "cuda":
        return torch.cuda.max_memory_allocated(device) / 1e6
    return peak_memory_mb()


def _environment(device: torch.device, settings: NetworkSettings, threads: tuple[int, ...]) -> dict[str, object]:
    """What `env.json` says; `threads_before` stands there only where the run could not keep its number of threads."""
    before = {"threads_before": list(threads[:-1])} if len(threads) > 1 else {}
    return before | {
        "versions": versions(),
        "machine": describe(),
        "device": str(device),
        "threads": threads[-1],
        "waiting": waiting_words(),
        "allocator": allocator(),
        "training": means(settings),
    }
