"""Snapshots as a method: one training whose rate falls to 0 several times, with a network from each of these epochs.

In: a run whose settings have `train.snapshots` above 1 (Huang, Li 2017, arXiv:1704.00109). Out: the snapshots as one
network (`mien.committee`), which answers by their mean probability, in the run's `model.safetensors`. While it trains,
they lie in `epochs/`.
"""

import shutil

from ..checkpoint import CHECKPOINT, WEIGHTS, load_weights, save_tensors
from ..committee import Joined, logits_of_members
from ..config import NetworkSettings
from ..data.splits import Part
from ..ensembles.averages import mean_probabilities
from ..errors import NonFinite
from ..hooks import Hooks
from ..inference import placed
from ..models import Network
from ..runs import EPOCHS, Run
from ..train import epoch_file, train
from .members import keep_members
from .network import NetworkMethod, TrainedNetwork, begin, new_network, trained_costs

__all__ = ["SnapshotsMethod", "last_epochs"]


class SnapshotsMethod(NetworkMethod):
    """The method of snapshots; see `mien.methods.Method`."""

    def fit(self, run: Run, training: Part, valid: Part, hooks: Hooks) -> TrainedNetwork:
        """Train through all parts, and join the networks at their ends."""
        device, settings = begin(run, training, hooks), run.of(NetworkSettings)
        ends = last_epochs(settings)
        try:
            _, state = train(run, training, valid, device=device, report=hooks.report, keep_epochs=ends)
        except NonFinite:
            self.tidy(run)
            raise
        joined = Joined([_snapshot(run, end) for end in ends], mean_probabilities.graph, {})
        network = placed(joined, device).eval()
        save_tensors(run, WEIGHTS, network.state_dict(), {})
        keep_members(run, logits_of_members(joined, valid))
        costs = trained_costs(run, network, state.seconds, state.images, hooks)
        run.update(costs=costs, selected_epoch=settings.train.epochs)
        return TrainedNetwork(run, network)

    def tidy(self, run: Run) -> None:
        """Remove the checkpoint and the snapshots' own files."""
        (run.path / CHECKPOINT).unlink(missing_ok=True)
        shutil.rmtree(run.path / EPOCHS, ignore_errors=True)


def last_epochs(settings: NetworkSettings) -> range:
    """The numbers of the epochs, from 1, that end a part."""
    length = settings.train.epochs // settings.train.snapshots
    return range(length, settings.train.epochs + 1, length)


def _snapshot(run: Run, epoch: int) -> Network:
    network = new_network(run)
    load_weights(run, network, run.path / epoch_file(epoch))
    return network
