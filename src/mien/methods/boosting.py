"""Boosting as a method: networks trained one after another, each with more weight on the errors of the earlier ones
(SAMME).

In: a run whose settings have `boosting.rounds` above 1. Out: its members as one network (`mien.committee`), in the
run's `model.safetensors`, and the results of SAMME for each round in `boosting.npz`. While it trains, each member has a
run folder of its own, `members/NN`, from which a killed run resumes. The first member is the network that the same seed
gives without boosting. A member's error is taken on the training part, each face as it is, without dropout.
"""

import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch

from ..checkpoint import WEIGHTS, State, save_tensors
from ..classifier import logits_of
from ..committee import logits_of_members
from ..config import NetworkSettings
from ..config.within import LARGEST
from ..data.batches import stream
from ..data.splits import Part
from ..ensembles.samme import boost, even_weights
from ..errors import NonFinite
from ..hooks import Hooks, Progress, Report
from ..inference import placed
from ..runs import Epoch, Run
from ..train import train
from ..words import percent
from .members import keep_members
from .network import NetworkMethod, TrainedNetwork, begin, load_network, trained_costs
from .rounds import ROUNDS, Rounds, join, rounds_of

__all__ = ["BoostingMethod"]

MEMBERS = "members"


class BoostingMethod(NetworkMethod):
    """The method of boosting; see `mien.methods.Method`."""

    def fit(self, run: Run, training: Part, valid: Part, hooks: Hooks) -> TrainedNetwork:
        """Train the members that are not trained yet, and join them."""
        device, settings = begin(run, training, hooks), run.of(NetworkSettings)
        try:
            rounds = _boosted(run, training, valid, device, hooks.report)
        except NonFinite:
            self.tidy(run)
            (run.path / ROUNDS).unlink(missing_ok=True)
            raise
        members = [_member(run, number) for number in range(len(rounds.alphas))]
        run.write_history(_joined_history(members))
        joined = join([load_network(member) for member in members], rounds)
        network = placed(joined, device).eval()
        save_tensors(run, WEIGHTS, network.state_dict(), {})
        keep_members(run, logits_of_members(joined, valid))
        trained = [member.record.costs for member in members]
        seconds = sum(cost.train_seconds for cost in trained)
        images = settings.train.epochs * len(training) * len(members)
        run.update(
            costs=trained_costs(run, network, seconds, images, hooks),
            selected_epoch=len(members) * settings.train.epochs,
        )
        return TrainedNetwork(run, network)

    def tidy(self, run: Run) -> None:
        """Remove the members' own folders."""
        shutil.rmtree(run.path / MEMBERS, ignore_errors=True)

    def work(self, run: Run) -> float:
        """Operations of all rounds."""
        return super().work(run) * run.of(NetworkSettings).boosting.rounds


def _boosted(run: Run, training: Part, valid: Part, device: torch.device, report: Report | None) -> Rounds:
    """All rounds, resumed from the round of a killed process."""
    most, classes = run.of(NetworkSettings).boosting.rounds, len(run.data.labels)
    rounds = rounds_of(run) if (run.path / ROUNDS).exists() else _none(len(training))
    while len(rounds.alphas) < most and not rounds.ended:
        number = len(rounds.alphas)
        member = _member(run, number)
        member.make()
        with member.lock():
            report_all = _within(report, number, most, run.of(NetworkSettings).train.epochs)
            shares = rounds.weights if number else None
            network, state = train(member, training, valid, device=device, report=report_all, shares=shares)
            _finish(member, state)
        logits = logits_of(TrainedNetwork(member, network), training.store, training.rows)
        outcome = boost(logits.argmax(axis=1) != training.labels, rounds.weights, classes)
        if not (number or outcome.alpha):
            raise NonFinite(
                f"The first network gets {percent(outcome.error)} of its training samples wrong, as chance does, so "
                f"boosting has nothing to start from. Train it longer, or at another optimizer.lr."
            )
        rounds = Rounds(
            alphas=np.append(rounds.alphas, outcome.alpha) if outcome.alpha else rounds.alphas,
            errors=np.append(rounds.errors, outcome.error),
            weights=outcome.weights,
        )
        rounds.save(run)
    return rounds


def _none(count: int) -> Rounds:
    return Rounds(alphas=np.empty(0), errors=np.empty(0), weights=even_weights(count))


def _member(run: Run, number: int) -> Run:
    """The run folder of one member: the run's settings without boosting, with a seed of its own after the first."""
    settings = run.of(NetworkSettings)
    alone = replace(
        settings,
        seed=stream(settings.seed, "boosting", number) % LARGEST if number else settings.seed,
        boosting=replace(settings.boosting, rounds=1),
    )
    return Run(_folder(run, number), alone, run.data)


def _folder(run: Run, number: int) -> Path:
    return run.path / MEMBERS / f"{number:03}"


def _finish(member: Run, state: State) -> None:
    """Record that a member is trained."""
    member.update(costs=replace(member.record.costs, train_seconds=state.seconds))
    member.did("fit")


def _within(report: Report | None, number: int, rounds: int, epochs: int) -> Report | None:
    """Progress of one member as that of the whole run; the other epochs' accuracies are other members'."""
    if report is None:
        return None

    def tell(progress: Progress) -> bool | None:
        return report(
            replace(
                progress,
                epoch=number * epochs + progress.epoch,
                epochs=rounds * epochs,
                done=(number + progress.done) / rounds,
            )
        )

    return tell


def _joined_history(members: list[Run]) -> list[Epoch]:
    """The epochs of all members, counted on."""
    lines = [line for member in members for line in member.history]
    return [replace(line, epoch=number) for number, line in enumerate(lines, start=1)]
