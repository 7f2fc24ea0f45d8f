"""Soups: runs of one start become one network, whose weights are the mean of theirs (Wortsman 2022, arXiv:2203.05482).

In: a run with `EnsembleSettings` whose rule is `soup` (the mean of all members) or `greedy-soup` (their Recipe 1: from
the member that is best on validation on, each joins if the soup is then no less accurate there). Out: one network, in
the run's `model.safetensors`, which costs what one member costs; the share of each member, and how optimistic the
choice is, in `ensemble.npz`.

Weights are averaged only between runs of one start. Runs of different starts end in different valleys of the loss, and
the loss between these is high. The statistics of batch norm do not average with the weights, so those that differ
between members are taken anew from training faces (Izmailov 2018, arXiv:1803.05407, section 3.2). A soup of one member
is that member.
"""

from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import replace

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from ..checkpoint import WEIGHTS, save_tensors
from ..config import ModelSettings, NetworkSettings, Settings
from ..data.splits import Part
from ..data.store import Store
from ..device import pick_device
from ..ensembles import crossing_parts
from ..errors import ConfigError, RunError
from ..hooks import Hooks
from ..inference import placed, predict_logits
from ..initial import first_weights
from ..models import Network
from ..runs import Costs, Logits, Run, Stage
from ..threads import use_threads
from .ensemble import GREEDY_SOUP, EnsembleMethod, joinable, keep_fitted, keep_start, members_of, rule_name, units_of
from .network import TrainedNetwork, load_network, predicted_costs, trained_costs
from .soup_model import keep_model

__all__ = ["SoupMethod", "average_weights"]

FACES, BATCH = 4096, 256
"""Number of training faces for the statistics of batch norm, and the batch size."""

Chosen = tuple[int, ...]
"""Positions of members, ascending."""


class SoupMethod(EnsembleMethod):
    """The method of soups; see `mien.methods.Method`."""

    def check_members(self, settings: Settings, members: Sequence[Settings], store: Store) -> None:
        """Refuse members that are not networks, networks of different shapes, and networks that began with different
        weights.
        """
        networks = [
            member for member in members if isinstance(member, NetworkSettings) and member.method == member.KIND
        ]
        if len(networks) < len(members):
            other = next(member for member in members if member not in networks)
            raise ConfigError(f"{settings.name} is a soup of networks, and {other.name} is none. Name its members.")
        shapes = [_shape(member.model) for member in networks]
        starts = [first_weights(member, store.meta.labels, store.planes) for member in networks]
        for member, shape, start in zip(networks, shapes, starts, strict=True):
            if shape == shapes[0] and start == starts[0]:
                continue
            ids = [one.run_id(store.meta.sha256) for one in (networks[0], member)]
            what = "began with different weights" if shape == shapes[0] else "are different networks"
            raise ConfigError(
                f"{settings.name} averages the weights of runs of one start, and {ids[0]} and {ids[1]} {what}. Join "
                "rows with one model and one start.weights that brings its classifier, or of one seed."
            )

    def fit(self, run: Run, training: Part, valid: Part, hooks: Hooks) -> TrainedNetwork:
        """Choose the members where the soup is greedy, and average them."""
        _use_threads(run)
        members = members_of(run)
        pot = _Pot(members, training, valid)
        part, stacked = joinable(members, "valid")
        right = [logits.argmax(axis=1) == part.labels for logits in stacked]
        everybody = tuple(range(len(members)))
        everything = np.ones(len(part.labels), np.bool_)
        greedy = rule_name(run) == GREEDY_SOUP
        chosen = pot.greedy(right, everything) if greedy else everybody
        network = pot.network(chosen)
        fitted = float(pot.right(chosen).mean())
        crossed = pot.crossed(right, crossing_parts(units_of(part), run.settings.seed)) if greedy else fitted
        keep_model(run, members[0].of(NetworkSettings).model)
        save_tensors(run, WEIGHTS, network.state_dict(), {})
        keep_fitted(run, (fitted, crossed), {"weights": np.isin(everybody, chosen) / len(chosen)})
        keep_start(run, members)
        costs = [member.record.costs for member in members]
        seconds = sum(cost.train_seconds for cost in costs)
        own = trained_costs(run, network, max(seconds, 1e-9), 0, hooks)
        run.update(costs=replace(own, train_peak_mb=max(cost.train_peak_mb for cost in costs)))
        return TrainedNetwork(run, network)

    def load(self, run: Run) -> TrainedNetwork:
        """The one network."""
        _use_threads(run)
        return TrainedNetwork(run, load_network(run, pick_device()))

    def answered(self, run: Run, part: Stage) -> Logits | None:
        """None: a soup is a network of its own, and must see the faces."""
        return None

    def costs(self, run: Run) -> Costs:
        """The costs of one network; its training time is that of all members together."""
        return predicted_costs(run)


class _Pot:
    """The members of a soup and the faces that judge them; each soup is evaluated once."""

    def __init__(self, members: Sequence[Run], training: Part, valid: Part) -> None:
        self._members = members
        names = [plane.name for plane in load_network(members[0]).takes]
        batch, judging = training.store.read(training.rows[:: max(1, len(training) // FACES)], names), valid.read(names)
        self._faces, self._valid = [batch[name] for name in names], [judging[name] for name in names]
        self._labels = valid.labels
        self._right: dict[Chosen, NDArray[np.bool_]] = {}

    def network(self, chosen: Chosen) -> Network:
        """The soup of some members."""
        networks = (load_network(self._members[place]) for place in chosen)
        return placed(average_weights(networks, self._faces), pick_device()).eval()

    def right(self, chosen: Chosen) -> NDArray[np.bool_]:
        """Which faces of validation the soup of some members gets right, `(n,)`."""
        if chosen not in self._right:
            self._right[chosen] = predict_logits(self.network(chosen), *self._valid).argmax(axis=1) == self._labels
        return self._right[chosen]

    def greedy(self, alone: Sequence[NDArray[np.bool_]], seen: NDArray[np.bool_]) -> Chosen:
        """The members that a greedy soup takes, chosen on those faces of validation that are `seen` `(n,)`.

        `alone` is which faces each member gets right.
        """
        order = sorted(range(len(alone)), key=lambda place: -float(alone[place][seen].mean()))
        chosen: Chosen = (order[0],)
        best = float(alone[order[0]][seen].mean())
        for place in order[1:]:
            more = tuple(sorted((*chosen, place)))
            score = float(self.right(more)[seen].mean())
            if score >= best:
                chosen, best = more, score
        return chosen

    def crossed(self, alone: Sequence[NDArray[np.bool_]], parts: NDArray[np.int64]) -> float:
        """Accuracy on validation, each part by the soup that was chosen on the others."""
        found = np.zeros(len(parts), np.bool_)
        for part in range(int(parts.max()) + 1):
            held = parts == part
            if held.all():  # with one unit nothing is left to choose by
                return float("nan")
            found[held] = self.right(self.greedy(alone, ~held))[held]
        return float(found.mean())


def _use_threads(run: Run) -> None:
    """Make torch use the number of threads that the first member states; its bytes too depend on that number."""
    with suppress(RunError):  # members may be gone
        use_threads(members_of(run)[0])


def average_weights(networks: Iterator[Network], faces: Sequence[NDArray[np.generic]]) -> Network:
    """The mean of networks of one shape: the first of them, with the mean of all weights.

    Batch norms whose statistics differ between them get new ones, of `faces`, the planes that the networks take.
    """
    network = next(networks)
    sums = {name: tensor.double() for name, tensor in network.state_dict().items()}
    first, moved, count = network.state_dict(), set[str](), 1
    first = {name: tensor.clone() for name, tensor in first.items()}
    for other in networks:
        count += 1
        for name, tensor in other.state_dict().items():
            sums[name] += tensor.double()
            if not torch.equal(tensor, first[name]):
                moved.add(name)
    if count > 1:
        network.load_state_dict({name: (sums[name] / count).to(tensor.dtype) for name, tensor in first.items()})
        _recount(network, moved, faces)
    return network


@torch.no_grad()
def _recount(network: Network, moved: set[str], faces: Sequence[NDArray[np.generic]]) -> None:
    """Recompute the statistics of the batch norms in `moved`, as averages over batches of faces."""
    norms = [
        layer
        for name, layer in network.named_modules()
        if isinstance(layer, nn.BatchNorm2d | nn.BatchNorm1d) and f"{name}.running_mean" in moved
    ]
    if not norms:
        return
    network.eval()
    momenta = [layer.momentum for layer in norms]
    for layer in norms:
        layer.reset_running_stats()
        layer.momentum = None  # a plain average over batches
        layer.train()
    for chunk in _batches(faces):
        network(*chunk)
    for layer, momentum in zip(norms, momenta, strict=True):
        layer.momentum = momentum
    network.eval()


def _batches(faces: Sequence[NDArray[np.generic]]) -> Iterator[tuple[Tensor, ...]]:
    """Batches as equal as can be: batch norm needs two faces at least."""
    for rows in np.array_split(np.arange(len(faces[0])), max(1, len(faces[0]) // BATCH)):
        yield tuple(torch.from_numpy(plane[rows]) for plane in faces)


def _shape(settings: ModelSettings) -> ModelSettings:
    """The settings that two networks must share; dropout and initialisation do not affect the shape."""
    return replace(settings, dropout=0.0, block_dropout=0.0, init="published")
