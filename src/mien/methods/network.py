"""Networks that are trained by gradients: `mien.train` as a method.

In: a run with `NetworkSettings`. Out: weights, history, the environment and the costs, in the run's folder.
"""

from contextlib import suppress
from dataclasses import replace
from functools import lru_cache, partial
from statistics import fmean

import numpy as np
import torch
from numpy.typing import NDArray

from .. import losses
from ..checkpoint import CHECKPOINT, NEXT, WEIGHTS, load_weights
from ..committee import Joined
from ..config import ModelSettings, NetworkSettings, Settings
from ..data.splits import Part
from ..data.store import Store
from ..device import pick_device
from ..ensembles.averages import mean_probabilities
from ..errors import ConfigError, NonFinite, Pruned, RunError
from ..freezing import check_frozen
from ..hooks import Hooks
from ..inference import placed, predict_logits
from ..initial import rehearse
from ..machine import allocator, describe, peak_memory_mb, versions
from ..models import Network, build_on, sketch_on
from ..models.cost import count
from ..planes import Batch, Plane
from ..ranks import Ranks, join_ranks
from ..room import check_room
from ..runs import Costs, Run, Stage
from ..start import check_start, describe_start
from ..threads import restore_threads, use_threads
from ..train import describe_loop, practise, selected_epoch, train
from ..waiting import waiting_words
from .rounds import join, rounds_of
from .soup_model import model_of
from .speed import PREDICT_BATCH, predict_speed

__all__ = [
    "NetworkMethod",
    "TrainedNetwork",
    "begin",
    "load_network",
    "new_network",
    "predicted_costs",
    "take_part",
    "trained_costs",
]

BACKWARD = 2
"""A backward pass takes about as many operations as two forward passes."""


class TrainedNetwork:
    """The network of a run, on a device: a `mien.classifier.Classifier`."""

    def __init__(self, run: Run, network: Network) -> None:
        self.labels: tuple[str, ...] = run.data.labels
        self.takes: tuple[Plane, ...] = network.takes
        self.network = network

    def logits(self, batch: Batch) -> NDArray[np.float32]:
        """Logits `(n, K)` of the planes that the network takes: the run's own crops, `{"face": (n, H, W, C)}`, or
        others.
        """
        return predict_logits(self.network, *(batch[plane.name] for plane in self.takes))


class NetworkMethod:
    """The method of networks; see `mien.methods.Method`."""

    def __init__(self) -> None:
        self._checked: set[object] = set()

    def check(self, settings: Settings, store: Store) -> None:
        """Build the network once, and check that it fits the faces and the memory."""
        assert isinstance(settings, NetworkSettings)
        losses.check(settings.loss)
        check_shared(settings, join_ranks().size)
        takes, classes = settings.model.taken(store.planes), len(store.labels)
        if (shape := (takes, classes, _shapes(settings))) not in self._checked:
            check_room(settings, takes, classes=classes)
            rehearse(settings, takes, classes=classes)
            check_frozen(sketch_on(takes, settings.model, classes=classes), settings)
            check_start(settings, store)
            self._checked.add(shape)

    def fit(self, run: Run, training: Part, valid: Part, hooks: Hooks) -> TrainedNetwork:
        """Train to the last epoch, from the checkpoint where there is one."""
        device, settings = begin(run, training, hooks), run.of(NetworkSettings)
        keep = range(1, settings.train.epochs + 1) if hooks.keep_epochs else ()
        hooks.ranks.send(str(run.path))
        try:
            network, state = train(
                run,
                training,
                valid,
                device=device,
                report=hooks.report,
                keep_epochs=keep,
                ranks=hooks.ranks,
            )
        except NonFinite:
            for name in (CHECKPOINT, NEXT, WEIGHTS):
                (run.path / name).unlink(missing_ok=True)
            raise
        costs = trained_costs(run, network, state.seconds, state.images, hooks)
        run.update(costs=costs, selected_epoch=selected_epoch(state.history, settings))
        return TrainedNetwork(run, network)

    def tidy(self, run: Run) -> None:
        """Remove the checkpoint."""
        (run.path / CHECKPOINT).unlink(missing_ok=True)

    def load(self, run: Run) -> TrainedNetwork:
        """The trained network, on the device that `pick_device` names."""
        use_threads(run)
        return TrainedNetwork(run, load_network(run, pick_device()))

    def answered(self, run: Run, part: Stage) -> None:
        """None: its logits need the faces."""

    def costs(self, run: Run) -> Costs:
        """Speed and peak memory of prediction; of training too, where that shared its process with other runs."""
        costs, device = predicted_costs(run), pick_device()
        if costs.train_peak_mb:
            return costs
        fold = run.fold()
        practise(run.of(NetworkSettings), fold.train, fold.valid, device)
        return replace(costs, train_peak_mb=round(_peak_mb(device), 1))

    def work(self, run: Run) -> float:
        """Operations of the whole training, including the evaluation of its epochs."""
        settings, counts = run.of(NetworkSettings), run.data.counts
        flops = partial(_flops, settings.model.taken(run.data.every_plane), settings.model, len(run.data.labels))
        trained = fmean(flops(side) for side in settings.train.sizes or (None,))
        faces = counts["train"] * (1 + BACKWARD) * trained + counts["valid"] * flops(None)
        return settings.train.epochs * faces


def check_shared(settings: NetworkSettings, processes: int) -> None:
    """Raise `ConfigError` for a network whose batches this number of processes cannot share."""
    options = settings.train
    if processes == 1:
        return
    if not 0 < options.micro_batch < options.batch_size:
        raise ConfigError(
            f"train.micro_batch={options.micro_batch} passes a batch of {options.batch_size} whole, and {processes} "
            "processes share a batch by its chunks. Set train.micro_batch to at most "
            f"{max(1, options.batch_size // processes)}, or start one process."
        )
    if options.chunks != "apart":
        raise ConfigError(
            f"{processes} processes share a batch only where its chunks stand apart. Set train.chunks=apart (a run of "
            "its own: its random draws are others), or start one process."
        )


def take_part(run: Run, ranks: Ranks) -> None:
    """Train a run with the process that leads, which alone writes; raises what `train` raises.

    If a run has no result, or was stopped early, the leader knows that too, and this call ends.
    """
    fold, device = run.fold(), pick_device()
    torch.backends.cudnn.deterministic = True
    restore_threads(run)
    with suppress(NonFinite, Pruned):
        train(run, fold.train, fold.valid, device=device, ranks=ranks)


def begin(run: Run, training: Part, hooks: Hooks) -> torch.device:
    """The device to train on. Threads and arithmetic are set, and `env.json` records them."""
    settings, device = run.of(NetworkSettings), pick_device()
    torch.backends.cudnn.deterministic = True
    used = restore_threads(run, hooks.threads)
    started = {"start": words} if (words := describe_start(settings, training.store)) else {}
    shared = {"processes": hooks.ranks.size} if hooks.ranks.size > 1 else {}
    run.write_environment(_environment(device, settings, used) | started | shared)
    return device


def trained_costs(run: Run, network: Network, seconds: float, images: int, hooks: Hooks) -> Costs:
    """The costs of a training with these seconds and images, and of its network."""
    cost = count(network)
    peak = round(_peak_mb(network.pixel_mean.device), 1) if hooks.alone else run.record.costs.train_peak_mb
    return replace(
        run.record.costs,
        parameters=cost.parameters,
        flops=cost.flops,
        activation_bytes=cost.activation_bytes,
        train_seconds=round(seconds, 3),
        images_per_second=round(images / seconds, 1),
        train_peak_mb=peak,
    )


def new_network(run: Run) -> Network:
    """A network in the shape of the run's, or of each of its members, with random weights."""
    model = model_of(run) if run.settings.method == "soup" else run.of(NetworkSettings).model
    return build_on(model.taken(run.data.every_plane), model, classes=len(run.data.labels))


def load_network(run: Run, device: torch.device | str = "cpu") -> Network:
    """The network of a run, in evaluation mode; raises `RunError` if it is not trained, or has no weights."""
    if not run.has("fit"):
        raise RunError(f"{run.path} is not finished: the command that started it goes on with it.")
    network = _empty(run)
    load_weights(run, network)
    return placed(network, device).eval()


def _empty(run: Run) -> Network:
    """The network of a run, or its members as one, before its weights are read."""
    if run.settings.method == "boosting":
        rounds = rounds_of(run)
        return join([new_network(run) for _ in rounds.alphas], rounds)
    if run.settings.method == "snapshots":
        return Joined(
            [new_network(run) for _ in range(run.of(NetworkSettings).train.snapshots)], mean_probabilities.graph, {}
        )
    return new_network(run)


@lru_cache(maxsize=256)  # both the engine and the time left ask for every run of a grid
def _flops(takes: tuple[Plane, ...], settings: ModelSettings, classes: int, side: int | None) -> int:
    """Operations of one forward pass, of images of `side` px where that is not their own."""
    return count(sketch_on(takes, settings, classes=classes), side).flops


def _shapes(settings: NetworkSettings) -> object:
    """The values that decide whether a network fits the faces, and its training fits into memory."""
    options, step = settings.train, settings.optimizer
    model = replace(settings.model, dropout=0.0, block_dropout=0.0)
    begun = settings.start, settings.data if settings.start.weights else None
    return model, begun, options.sizes, options.batch_size, options.micro_batch, step.name, bool(step.ema)


def predicted_costs(run: Run) -> Costs:
    """The costs of a run with the speed and the peak memory of its network's predictions, measured now."""
    network, store = load_network(run, pick_device()), run.store()
    rows = np.arange(min(PREDICT_BATCH, len(store)))
    planes = list(store.read(rows, [plane.name for plane in network.takes]).values())
    speed = predict_speed(lambda: predict_logits(network, *planes, batch_size=PREDICT_BATCH), len(rows))
    return replace(
        run.record.costs,
        predict_peak_mb=round(_peak_mb(network.pixel_mean.device), 1),
        predict_images_per_second=speed,
        predict_batch=PREDICT_BATCH,
    )


def _peak_mb(device: torch.device) -> float:
    return torch.cuda.max_memory_allocated(device) / 1e6 if device.type == "cuda" else peak_memory_mb()


def _environment(device: torch.device, settings: NetworkSettings, threads: tuple[int, ...]) -> dict[str, object]:
    """The content of `env.json`; it has `threads_before` only if the run could not keep its number of threads."""
    before = {"threads_before": list(threads[:-1])} if len(threads) > 1 else {}
    return before | {
        "versions": versions(),
        "machine": describe(),
        "device": str(device),
        "threads": threads[-1],
        "waiting": waiting_words(),
        "allocator": allocator(),
        "training": describe_loop(settings),
    }
