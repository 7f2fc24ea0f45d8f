"""The one training loop. In: settings, a part to train on, a part to choose the epoch. Out: weights, history.

It cannot see the test: it is given parts, and a sealed test is none. A run killed at any moment goes on from
its last checkpoint and ends with the same bytes as one never interrupted, because a checkpoint holds all state
and every random draw depends on (seed, epoch, step) alone.
"""

import math
import multiprocessing
import signal
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional

from .checkpoint import CHECKPOINT, NEXT, State, load, load_weights, save, save_tensors
from .config import Settings, TrainSettings
from .data import augment
from .data.batches import Batches, generator, stream
from .data.splits import Part
from .errors import ConfigError, NonFinite
from .models import Network, build
from .runs import EPOCHS, Epoch, Run
from .threads import with_current

__all__ = ["Progress", "build_network", "means", "placed", "predict_logits", "rehearse", "train"]

CHECKPOINT_SECONDS = 60.0
"""A kill loses at most this much work."""
PREDICT_BATCH = 32
NORMALISATION_SAMPLES = 4096
ONE_SIGNAL_SECONDS = 1.0
"""Signals closer together are one: a service manager and the parent process may both send it."""


@dataclass(frozen=True, kw_only=True)
class Progress:
    """What a progress bar shows after each step."""

    epoch: int
    epochs: int
    done: float
    """Share of the whole training that is done, 0 to 1."""
    loss: float
    accuracy: float
    images_per_second: float
    note: str = ""
    """What the log says once of how the run is computed."""


def train(
    run: Run,
    training: Part,
    valid: Part,
    *,
    device: torch.device,
    report: Callable[[Progress], None] | None = None,
    keep_epochs: bool = False,
) -> tuple[Network, State]:
    """Train `run` to its last epoch, from its checkpoint where it has one.

    Args:
        run: the run folder, locked by the caller.
        training: what the weights are fitted to.
        valid: what the epoch is chosen on.
        device: where to compute.
        report: called after each step.
        keep_epochs: also save the weights of every epoch, in `epochs/`, for `mien.evaluate.peek`.

    Returns:
        The network with the weights of the chosen epoch, as in the run's `model.safetensors`, in evaluation mode, and
        the final state.

    Raises:
        NonFinite: the loss became NaN or infinite, in training or on valid.
        KeyboardInterrupt: SIGINT or SIGTERM came; the checkpoint is written.
        RunError: the folder cannot be written.
    """
    settings = run.settings
    batches = Batches(training, settings.train, device)
    state = _start(run, training, device, keep_epochs)
    state.threads = with_current(state.threads)
    saved_at = time.monotonic()
    if keep_epochs:
        with run.writing():
            (run.path / EPOCHS).mkdir(exist_ok=True)
    with _stop_signal() as stopped:
        while state.epoch < settings.train.epochs:
            for step, rows in enumerate(batches.epoch(state.epoch)):
                if step < state.step:
                    continue
                _step(state, settings, batches, rows)
                if report:
                    report(_progress(state, settings, batches))
                stop = stopped()
                if stop or time.monotonic() - saved_at > CHECKPOINT_SECONDS:
                    save(run, state)
                    saved_at = time.monotonic()
                if stop:
                    raise KeyboardInterrupt
            judged = _end_epoch(state, settings, valid)
            run.write_history(state.history)
            if selected_epoch(state.history, settings.train.select) == state.epoch:
                save_tensors(run, NEXT, judged, {"epoch": str(state.epoch)})
            if keep_epochs:
                save_tensors(run, _epoch_file(state.epoch), judged, {})
    save(run, state)
    load_weights(run, state.network)
    return state.network.eval(), state


def means(options: TrainSettings) -> dict[str, str]:
    """How the loop computes, in words: what figures of speed and memory depend on beside the settings' numbers."""
    chunk = min(options.micro_batch or options.batch_size, options.batch_size)
    whole = chunk == options.batch_size
    return {
        "layout": "channels last",
        "precision": options.precision + ", losses scaled up" * (options.precision == "float16"),
        "optimizer": "fused " * _fuses(options) + options.optimizer,
        "passes": "whole batches" if whole else f"chunks of at most {chunk}, gradients add up",
        "batch norm": f"statistics of {'the batch' if whole else 'a chunk'}",
        "judging": f"batches of {PREDICT_BATCH} in inference mode"
        + (", averaged weights in place" if options.ema else ""),
        "best weights": "on disk",
    }


def build_network(settings: Settings, training: Part, device: torch.device) -> Network:
    """A new network for a part: weights from the seed's own stream, normalisation from the part's pixels."""
    store = training.store
    torch.manual_seed(stream(settings.train.seed, "weights"))
    network = build(settings.model, classes=len(store.labels), size=store.meta.crop.size)
    sample = store.read(training.rows[:: max(1, len(training) // NORMALISATION_SAMPLES)])
    shares = _levels(sample) / sample[..., 0].size
    levels = np.arange(256) / 255
    mean = shares @ levels
    std = np.sqrt((shares * (levels - mean[:, None]) ** 2).sum(1))
    network.set_normalisation(mean.tolist(), std.clip(1e-3).tolist())
    return placed(network, device)


def _levels(images: NDArray[np.uint8]) -> NDArray[np.int64]:
    """How often each channel of images `(n, H, W, C)` has each level: `(C, 256)`, without a larger copy of them."""
    counts = np.zeros((images.shape[-1], 256), np.int64)
    for image in images:
        counts += [np.bincount(channel, minlength=256) for channel in image.reshape(-1, len(counts)).T]
    return counts


@torch.no_grad()
def rehearse(settings: Settings, *, classes: int, size: int) -> None:
    """Pass as few blank faces of `size` px through a new network as training ever will, at every size that it will.

    Raises `ConfigError` for a network that cannot be built, or cannot be trained so.
    """
    model, options = settings.model, settings.train
    network = build(model, classes=classes, size=size).train()
    for side in options.sizes or (size,):
        try:
            network(torch.zeros(_fewest(options), side, side, model.in_chans, dtype=torch.uint8))
        except ValueError:
            raise ConfigError(
                f"{model.name} at {side} px cannot be trained on one face at a time: its batch norm needs two. Set "
                "train.batch_size to 2 or more and train.micro_batch to 3 or more."
            ) from None
        except RuntimeError as error:
            reason = str(error).partition("\n")[0]
            raise ConfigError(
                f"{model.name} with head {model.head}, made for faces of {size} px, cannot be trained at {side} px "
                f"({reason}). Change train.sizes, or set model.head to gap."
            ) from None


def _fewest(options: TrainSettings) -> int:
    """Samples in the smallest chunk that can come up."""
    return 1 if options.batch_size == 1 or options.micro_batch in (1, 2) else 2


def placed(network: Network, device: torch.device | str) -> Network:
    """The network on the device, its weights channels-last: the order in which images come."""
    network.to(device)
    network.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    return network


@torch.inference_mode()
def predict_logits(
    network: Network,
    images: NDArray[np.uint8],
    batch_size: int = PREDICT_BATCH,
    weights: Mapping[str, Tensor] | None = None,
) -> NDArray[np.float32]:
    """Logits `(n, K)` float32 of images `(n, H, W, C)` uint8, with the network in evaluation mode.

    `weights`, by name, are used in place of the network's own, which stay as they are.
    """
    network.eval()
    device = network.pixel_mean.device
    chunks = [
        torch.func.functional_call(network, dict(weights or {}), torch.from_numpy(chunk).to(device))
        for chunk in np.split(images, range(batch_size, len(images), batch_size))
    ]
    return torch.cat(chunks).float().cpu().numpy()


def _start(run: Run, training: Part, device: torch.device, keep_epochs: bool) -> State:
    """The state of the run's checkpoint; a new one where there is none, or where epochs that it should keep are not."""
    state = _new_state(run, training, device)
    if (run.path / CHECKPOINT).exists():
        load(run, state)
        if not keep_epochs or all((run.path / _epoch_file(line.epoch)).exists() for line in state.history):
            return state
        state = _new_state(run, training, device)
    with run.writing():
        (run.path / NEXT).unlink(missing_ok=True)
    return state


def _epoch_file(number: int) -> str:
    return f"{EPOCHS}/{number:05}.safetensors"


def _new_state(run: Run, training: Part, device: torch.device) -> State:
    network = build_network(run.settings, training, device)
    return State(
        network=network,
        optimizer=_optimizer(network, run.settings.train),
        scaler=torch.amp.GradScaler(device.type, enabled=run.settings.train.precision == "float16"),
        average={n: t.clone() for n, t in network.state_dict().items()} if run.settings.train.ema else {},
        history=[],
    )


def _step(state: State, settings: Settings, batches: Batches, rows: Tensor) -> None:
    """One optimizer step over the samples `rows`, in chunks of `micro_batch`."""
    started = time.monotonic()
    options = settings.train
    torch.manual_seed(stream(options.seed, "dropout", state.epoch, state.step))
    draws = generator(options.seed, "augment", state.epoch, state.step, device=rows.device)
    for group in state.optimizer.param_groups:
        group["lr"] = learning_rate(options, state.epoch + state.step / batches.steps)
    state.network.train()
    weights = _class_weights(options, batches)
    for chunk in _chunks(rows, options.micro_batch):
        images = _augmented(settings, batches, chunk, draws, state.epoch)
        targets = batches.targets[chunk]
        with torch.autocast(rows.device.type, getattr(torch, options.precision), options.precision != "float32"):
            logits = state.network(images)
        losses = functional.cross_entropy(logits.float(), targets, weight=weights, reduction="sum")
        torch.autograd.backward(state.scaler.scale(losses / len(rows)))
        state.loss_sum += losses.item()
        state.correct += int((logits.argmax(1) == batches.labels[chunk]).sum())
    _check_finite("training", state.loss_sum, f"in epoch {state.epoch + 1}, step {state.step + 1}")
    if options.clip_norm:
        state.scaler.unscale_(state.optimizer)
        nn.utils.clip_grad_norm_(state.network.parameters(), options.clip_norm)
    state.scaler.step(state.optimizer)
    state.scaler.update()
    state.optimizer.zero_grad(set_to_none=True)
    _average(state, options.ema)
    state.step += 1
    state.seen += len(rows)
    state.images += len(rows)
    state.seconds += time.monotonic() - started


def _chunks(rows: Tensor, most: int) -> tuple[Tensor, ...]:
    """`rows` in as few chunks of at most `most` as can be, their sizes equal or one apart: none is left tiny."""
    return torch.tensor_split(rows, -(-len(rows) // most) if most else 1)


def _check_finite(what: str, loss: float, when: str) -> None:
    if not math.isfinite(loss):
        raise NonFinite(f"The {what} loss became {loss} {when}. Lower train.lr, or set train.clip_norm.")


def _augmented(settings: Settings, batches: Batches, rows: Tensor, draws: torch.Generator, epoch: int) -> Tensor:
    images = batches.images[rows]
    sizes = settings.train.sizes
    size = sizes[epoch * len(sizes) // settings.train.epochs] if sizes else images.shape[1]
    alternate = settings.augment.alternate
    coin = torch.rand(len(batches), generator=generator(settings.train.seed, "flip", 0 if alternate else epoch)) < 0.5
    flip = (coin.to(rows.device)[rows] ^ bool(alternate and epoch % 2)) & settings.augment.flip
    return augment.apply(images, settings.augment, augment.draw(settings.augment, len(rows), draws), flip, size)


def learning_rate(options: TrainSettings, epoch: float) -> float:
    """The rate at a point of training, `epoch` from 0 to `options.epochs`."""
    if epoch < options.warmup_epochs:
        return options.lr * max(epoch / options.warmup_epochs, 1e-3)
    left = (options.epochs - epoch) / max(options.epochs - options.warmup_epochs, 1e-9)
    if options.schedule == "onecycle":
        return options.lr * left
    if options.schedule == "cosine":
        return options.lr * (1 - float(np.cos(np.pi * left))) / 2
    return options.lr


def _end_epoch(state: State, settings: Settings, valid: Part) -> dict[str, Tensor]:
    """Judge the epoch on valid and write its line; returns the weights that were judged."""
    judged = state.average or state.network.state_dict()
    logits = torch.from_numpy(predict_logits(state.network, valid.images(), weights=judged)).double()
    labels = torch.from_numpy(valid.labels)
    valid_loss = functional.cross_entropy(logits, labels).item()
    _check_finite("validation", valid_loss, f"after epoch {state.epoch + 1}")
    state.history.append(
        Epoch(
            epoch=state.epoch + 1,
            lr=learning_rate(settings.train, float(state.epoch)),
            train_loss=state.loss_sum / state.seen,
            train_accuracy=state.correct / state.seen,
            valid_loss=valid_loss,
            valid_accuracy=(logits.argmax(1) == labels).double().mean().item(),
        )
    )
    state.epoch, state.step, state.loss_sum, state.correct, state.seen = state.epoch + 1, 0, 0.0, 0, 0
    return judged


def selected_epoch(history: list[Epoch], select: str) -> int:
    """The number (from 1) of the epoch that is kept."""
    if select == "last":
        return history[-1].epoch
    return max(history, key=lambda line: (line.valid_accuracy, -line.valid_loss, -line.epoch)).epoch


def _optimizer(network: Network, options: TrainSettings) -> torch.optim.Optimizer:
    decayed = [p for p in network.parameters() if p.ndim > 1]
    others = [p for p in network.parameters() if p.ndim <= 1]
    groups = [{"params": decayed, "weight_decay": options.weight_decay}, {"params": others, "weight_decay": 0.0}]
    fused = _fuses(options)
    if options.optimizer == "sgd":
        nesterov = options.momentum > 0
        return torch.optim.SGD(groups, lr=options.lr, momentum=options.momentum, nesterov=nesterov, fused=fused)
    kind = torch.optim.AdamW if options.optimizer == "adamw" else torch.optim.Adam
    return kind(groups, lr=options.lr, betas=(options.momentum, 0.999), fused=fused)


def _fuses(options: TrainSettings) -> bool:
    """Fused optimizers run into a step that float16 cannot take; SGD's (torch 2.13) then keeps an unset momentum."""
    return options.precision != "float16"


def _class_weights(options: TrainSettings, batches: Batches) -> Tensor | None:
    """`(K,)` weights with mean 1 over the samples, or None."""
    if options.class_weights == "none":
        return None
    counts = torch.bincount(batches.labels, minlength=batches.targets.shape[1]).float()
    return len(batches) / (counts.clamp(min=1) * (counts > 0).sum())


def _average(state: State, decay: float) -> None:
    if not decay:
        return
    current = state.network.state_dict()
    floats = [name for name, tensor in current.items() if tensor.is_floating_point()]
    torch._foreach_lerp_([state.average[n] for n in floats], [current[n] for n in floats], 1 - decay)
    for name in current.keys() - set(floats):
        state.average[name].copy_(current[name])


def _progress(state: State, settings: Settings, batches: Batches) -> Progress:
    epochs = settings.train.epochs
    return Progress(
        epoch=state.epoch + 1,
        epochs=epochs,
        done=(state.epoch + state.step / batches.steps) / epochs,
        loss=state.loss_sum / state.seen,
        accuracy=state.correct / state.seen,
        images_per_second=state.images / max(state.seconds, 1e-9),
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


@contextmanager
def _stop_signal() -> Iterator[Callable[[], bool]]:
    """Yield a question: has SIGINT or SIGTERM come, or has the engine that started this process died?

    A later signal does not wait for an answer.
    """
    parent = multiprocessing.parent_process()
    caught: list[float] = []
    if threading.current_thread() is not threading.main_thread():
        yield lambda: False
        return

    def catch(_number: int, _frame: object) -> None:
        if caught and time.monotonic() - caught[0] > ONE_SIGNAL_SECONDS:
            raise KeyboardInterrupt
        caught.append(time.monotonic())

    before = {number: signal.signal(number, catch) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield lambda: bool(caught) or (parent is not None and not parent.is_alive())
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
