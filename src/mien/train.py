"""The one training loop. In: settings, a part to train on, a part to choose the epoch. Out: weights, history.

It cannot see the test: it takes parts, and a sealed test is not a part. A run that is killed at any moment resumes from
its last checkpoint and ends with the same bytes as an uninterrupted one. A checkpoint holds all state, and every random
draw depends only on (seed, epoch, step).
"""

import math
import time
from collections.abc import Collection, Iterable, Mapping, Sequence
from functools import partial
from itertools import islice

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional

from .checkpoint import CHECKPOINT, NEXT, State, digest, load, load_weights, restore, save, save_tensors
from .chunks import learn_apart
from .config import NetworkSettings
from .data.batches import Batches, generator, stream
from .data.splits import Part
from .errors import NonFinite, Pruned
from .freezing import freeze
from .hooks import Progress, Report
from .inference import PREDICT_BATCH, predict_logits
from .initial import build_network
from .material import Material
from .models import Network
from .models.stages import Stage, still
from .optimise import SHARE, average, build_optimizer, fuses, learning_rate
from .ranks import ALONE, Ranks
from .runs import EPOCHS, Epoch, Run
from .signals import stop_signal
from .threads import with_current

__all__ = ["describe_loop", "epoch_file", "practise", "selected_epoch", "train"]

CHECKPOINT_SECONDS = 60.0
"""Seconds between two checkpoints: a kill loses at most this much work."""


def train(
    run: Run,
    training: Part,
    valid: Part,
    *,
    device: torch.device,
    report: Report | None = None,
    keep_epochs: Collection[int] = (),
    shares: NDArray[np.float64] | None = None,
    ranks: Ranks = ALONE,
) -> tuple[Network, State]:
    """Train `run` to its last epoch, from its checkpoint where it has one.

    Args:
        run: the run folder, locked by the caller.
        training: the part to which the weights are fitted.
        valid: the part on which the epoch is chosen.
        device: where to compute.
        report: called after each step; False stops the training.
        keep_epochs: numbers of epochs, from 1, whose weights are saved too, in `epochs/`.
        shares: `(n,)` weights of the training samples with sum 1 (used as `boosting.by` states); None: equal weights.
        ranks: the processes that train together, each of which calls this; the first alone writes.

    Returns:
        The network with the weights of the chosen epoch, as in the run's `model.safetensors`, in evaluation mode, and
        the final state. With `train.snapshots` no epoch is chosen: the network is that of the last epoch.

    Raises:
        NonFinite: the loss became NaN or infinite, in training or on valid.
        Pruned: `report` asked to stop; the checkpoint is written.
        KeyboardInterrupt: SIGINT or SIGTERM came; the checkpoint is written.
        RunError: the folder cannot be written, or another process of `ranks` has ended.
    """
    settings = run.of(NetworkSettings)
    material = Material(training, valid, settings, device, shares)
    batches = material.batches
    state = _start(run, training, device, keep_epochs) if ranks.leads else _new_state(settings, training, device)
    _follow(run, state, ranks)
    state.threads = with_current(state.threads)
    saved_at, chooses = time.monotonic(), settings.train.snapshots == 1
    if keep_epochs and ranks.leads:
        with run.writing():
            (run.path / EPOCHS).mkdir(exist_ok=True)
    with stop_signal() as stopped:
        while state.epoch < settings.train.epochs:
            material.start(state.epoch)
            frozen = freeze(state.network, settings.start, state.epoch)
            for step, rows in enumerate(batches.epoch(state.epoch)):
                if step < state.step:
                    continue
                _step(state, settings, material, rows, frozen, ranks)
                refused = report is not None and report(_progress(state, settings, batches)) is False
                stop, unwanted = ranks.any(stopped(), refused)
                if ranks.leads and (stop or unwanted or time.monotonic() - saved_at > CHECKPOINT_SECONDS):
                    save(run, state)
                    saved_at = time.monotonic()
                if stop:
                    raise KeyboardInterrupt
                if unwanted:
                    raise Pruned(f"It was stopped early, in epoch {state.epoch + 1} of {settings.train.epochs}.")
            judged = _end_epoch(state, settings, material, ranks)
            ranks.agree(partial(digest, state), "weights")
            if ranks.leads:
                _keep(run, state, judged, keep_epochs, chooses=chooses)
    if ranks.leads:
        save(run, state)
    ranks.any(True)  # the others read what the first has written
    if chooses:
        load_weights(run, state.network)
    return state.network.eval(), state


def _keep(run: Run, state: State, judged: Mapping[str, Tensor], keep_epochs: Collection[int], *, chooses: bool) -> None:
    """Write the line of the finished epoch, and its weights if they are the best so far or requested."""
    run.write_history(state.history)
    if chooses and _may_be_chosen(state, run.of(NetworkSettings)):
        save_tensors(run, NEXT, judged, {"epoch": str(state.epoch)})
    if state.epoch in keep_epochs:
        save_tensors(run, epoch_file(state.epoch), judged, {})


def _follow(run: Run, state: State, ranks: Ranks) -> None:
    """Bring the other processes to the state of the first: the run's checkpoint, or the beginning."""
    (resumed,) = ranks.any(ranks.leads and state.epoch + state.step > 0)
    if resumed and not ranks.leads:
        restore(run, state)
    ranks.agree(partial(digest, state), "weights to start from")


def practise(settings: NetworkSettings, training: Part, valid: Part, device: torch.device, steps: int = 3) -> None:
    """Take some first steps and judge an epoch without a trace, to use as much memory as a training."""
    material, state = Material(training, valid, settings, device), _new_state(settings, training, device)
    material.start(0)
    frozen = freeze(state.network, settings.start, 0)
    for rows in islice(material.batches.epoch(0), steps):
        _step(state, settings, material, rows, frozen)
    _end_epoch(state, settings, material)


def describe_loop(settings: NetworkSettings) -> dict[str, str]:
    """The computation of the loop in words for `env.json`: details besides the settings that affect speed and
    memory.
    """
    options = settings.train
    chunk = min(options.micro_batch or options.batch_size, options.batch_size)
    whole = chunk == options.batch_size
    return {
        "layout": "channels last",
        "precision": options.precision + ", losses scaled up" * (options.precision == "float16"),
        "optimizer": "fused " * fuses(settings) + settings.optimizer.name,
        "passes": "whole batches" if whole else f"chunks of at most {chunk}, gradients add up",
        "batch norm": f"statistics of {'the batch' if whole else 'a chunk'}",
        "judging": f"batches of {PREDICT_BATCH} in inference mode"
        + (", averaged weights in place" if settings.optimizer.ema else ""),
        "best weights": "on disk",
    } | ({"faces": "read in blocks"} if settings.data.shuffle == "blocks" else {})


def _start(run: Run, training: Part, device: torch.device, keep_epochs: Collection[int]) -> State:
    """The state of the run's checkpoint; a new state if there is none, or if epochs that it should have kept are
    missing.
    """
    state = _new_state(run.of(NetworkSettings), training, device)
    if (run.path / CHECKPOINT).exists():
        load(run, state)
        past = [number for number in keep_epochs if number <= state.epoch]
        if all((run.path / epoch_file(number)).exists() for number in past):
            return state
        state = _new_state(run.of(NetworkSettings), training, device)
    with run.writing():
        (run.path / NEXT).unlink(missing_ok=True)
    return state


def epoch_file(number: int) -> str:
    """The path in a run's folder of the weights of a kept epoch."""
    return f"{EPOCHS}/{number:05}.safetensors"


def _new_state(settings: NetworkSettings, training: Part, device: torch.device) -> State:
    network = build_network(settings, training, device)
    return State(
        network=network,
        optimizer=build_optimizer(network, settings),
        scaler=torch.amp.GradScaler(device.type, enabled=settings.train.precision == "float16"),
        average={n: t.clone() for n, t in network.state_dict().items()} if settings.optimizer.ema else {},
        history=[],
    )


def _step(
    state: State,
    settings: NetworkSettings,
    material: Material,
    rows: Tensor,
    frozen: Sequence[Stage] = (),
    ranks: Ranks = ALONE,
) -> None:
    """One optimizer step over the samples `rows`, in chunks of `micro_batch`; `frozen` stages stay as they are."""
    started = time.monotonic()
    options, batches = settings.train, material.batches
    place = state.epoch + state.step / batches.steps
    rate = learning_rate(settings.optimizer, place, options.epochs, options.snapshots)
    for group in state.optimizer.param_groups:
        group["lr"] = rate * group[SHARE]
    state.network.train()
    still(frozen)
    for loss, right in _learned(state, settings, material, rows, ranks):
        state.loss_sum += loss
        state.correct += int(right)
    _check_finite("training", state.loss_sum, f"in epoch {state.epoch + 1}, step {state.step + 1}")
    if settings.optimizer.clip_norm:
        state.scaler.unscale_(state.optimizer)
        nn.utils.clip_grad_norm_(state.network.parameters(), settings.optimizer.clip_norm)
    state.scaler.step(state.optimizer)
    state.scaler.update()
    state.optimizer.zero_grad(set_to_none=True)
    average(state.average, state.network, settings.optimizer.ema)
    state.step += 1
    state.seen += len(rows)
    state.images += len(rows)
    state.seconds += time.monotonic() - started


def _learned(
    state: State, settings: NetworkSettings, material: Material, rows: Tensor, ranks: Ranks
) -> Iterable[tuple[float, float]]:
    """Add the gradients of a batch, chunk by chunk. Yields the sum of the losses and the number of correct
    predictions of each.
    """
    options, chunks = settings.train, _chunks(rows, settings.train.micro_batch)

    def seeded(*number: int) -> torch.Generator:
        torch.manual_seed(stream(settings.seed, "dropout", state.epoch, state.step, *number))
        return generator(settings.seed, "augment", state.epoch, state.step, *number, device=rows.device)

    def learn(chunk: Tensor, draws: torch.Generator) -> tuple[float, float]:
        with torch.autocast(rows.device.type, getattr(torch, options.precision), options.precision != "float32"):
            logits = state.network(*material.planes(chunk, draws))
        losses = material.objective(logits, chunk)
        torch.autograd.backward(state.scaler.scale(losses / len(rows)))
        return losses.item(), float((logits.argmax(1) == material.batches.labels[chunk]).sum())

    if options.chunks == "apart":
        return learn_apart(state.network, len(chunks), lambda k: learn(chunks[k], seeded(k)), ranks)
    draws = seeded()
    return [learn(chunk, draws) for chunk in chunks]


def _chunks(rows: Tensor, most: int) -> tuple[Tensor, ...]:
    """`rows` in as few chunks of at most `most` as possible. Their sizes differ by at most one, so that none is
    tiny.
    """
    return torch.tensor_split(rows, -(-len(rows) // most) if most else 1)


def _rows(answers: Sequence[NDArray[np.float32]], classes: int) -> Tensor:
    """Logits `(n, K)` from several batches; empty if there were none."""
    return torch.from_numpy(np.concatenate([*answers, np.empty((0, classes), np.float32)]))


def _check_finite(what: str, loss: float, when: str) -> None:
    if not math.isfinite(loss):
        raise NonFinite(f"The {what} loss became {loss} {when}. Lower optimizer.lr, or set optimizer.clip_norm.")


def _end_epoch(state: State, settings: NetworkSettings, material: Material, ranks: Ranks = ALONE) -> dict[str, Tensor]:
    """Judge the epoch on valid and write its line; returns the weights that were judged."""
    judged = state.average or state.network.state_dict()
    answers = [predict_logits(state.network, *batch.values(), weights=judged) for batch in material.judged(ranks)]
    logits = ranks.joined(_rows(answers, material.classes), len(material.valid_labels), PREDICT_BATCH).double()
    labels = material.valid_labels
    valid_loss = functional.cross_entropy(logits, labels).item()
    _check_finite("validation", valid_loss, f"after epoch {state.epoch + 1}")
    state.history.append(
        Epoch(
            epoch=state.epoch + 1,
            lr=learning_rate(settings.optimizer, float(state.epoch), settings.train.epochs, settings.train.snapshots),
            train_loss=state.loss_sum / state.seen,
            train_accuracy=state.correct / state.seen,
            valid_loss=valid_loss,
            valid_accuracy=(logits.argmax(1) == labels).double().mean().item(),
        )
    )
    state.epoch, state.step, state.loss_sum, state.correct, state.seen = state.epoch + 1, 0, 0.0, 0, 0
    return judged


def selected_epoch(history: list[Epoch], settings: NetworkSettings) -> int:
    """The number (from 1) of the kept epoch; where class weights act late, it is one in which they acted."""
    loss, options = settings.loss, settings.train
    if options.select == "last":
        return history[-1].epoch
    weighed = [line for line in history if (line.epoch - 1) / options.epochs >= loss.weights_from]
    eligible = weighed if weighed and loss.class_weights != "none" else history
    return max(eligible, key=lambda line: (line.valid_accuracy, -line.valid_loss, -line.epoch)).epoch


def _may_be_chosen(state: State, settings: NetworkSettings) -> bool:
    """Whether the epoch that has ended would be kept if the run ended now; "last" can only be the last of all."""
    if settings.train.select == "last":
        return state.epoch == settings.train.epochs
    return selected_epoch(state.history, settings) == state.epoch


def _progress(state: State, settings: NetworkSettings, batches: Batches) -> Progress:
    epochs = settings.train.epochs
    return Progress(
        epoch=state.epoch + 1,
        epochs=epochs,
        done=(state.epoch + state.step / batches.steps) / epochs,
        loss=state.loss_sum / state.seen,
        accuracy=state.correct / state.seen,
        images_per_second=state.images / max(state.seconds, 1e-9),
        valid_accuracy=state.history[-1].valid_accuracy if state.history else None,
        note=_note(state.threads),
    )


def _note(threads: tuple[int, ...]) -> str:
    if len(threads) == 1:
        return ""
    before = ", ".join(map(str, threads[:-1]))
    return (
        f"It goes on with {threads[-1]} thread(s) after {before}: its last digits differ from those of a run that kept "
        "its number."
    )
