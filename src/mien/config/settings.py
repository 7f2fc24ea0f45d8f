"""The kinds of settings: the tables that define a run, the name of its row, and the id that follows from them.

Every kind has `seed` and `data`, so that runs of different kinds can stand in one comparison. A new kind is one frozen
dataclass and one line in `KINDS`.
"""

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from typing import Annotated, Any, ClassVar, Self

from ..crop import CropSpec
from ..errors import ConfigError
from ..planes import FACE
from .ensemble import SOUPS, EnsembleTable
from .features import FeaturesTable
from .tables import (
    AugmentSettings,
    BoostingSettings,
    DataSettings,
    LossSettings,
    ModelSettings,
    OptimizerSettings,
    StartSettings,
    TrainSettings,
)
from .within import LARGEST, Within, kinds_of, typed

__all__ = ["KINDS", "EnsembleSettings", "FeaturesSettings", "NetworkSettings", "Settings"]


@dataclass(frozen=True, kw_only=True)
class Settings:
    """Everything that defines a run besides the data itself; this part is common to all kinds."""

    KIND: ClassVar[str] = ""
    """The key in `KINDS`."""
    NAME: ClassVar[str] = ""
    """The dotted key of the setting that names the row."""
    RANDOM: ClassVar[bool] = True
    """Whether another seed can give another result. A kind without randomness needs only one seed."""
    JOINS: ClassVar[bool] = False
    """Whether such a run is made from other runs, which must be finished first."""
    SIMPLE: ClassVar[bool] = False
    """Whether it is a simple method, with which others are compared."""

    seed: Annotated[int, Within(0, LARGEST)] = 0
    """Seed of everything random in the run."""
    data: DataSettings = field(default_factory=DataSettings)
    """Which samples the run sees."""

    def __post_init__(self) -> None:
        typed("seed", self.seed, kinds_of(Settings)["seed"])

    def resolved(self, crop: CropSpec) -> Self:
        """These settings with every default resolved, for crops of this kind."""
        return self

    @property
    def random(self) -> bool:
        """Whether another seed can give another result than this one: `RANDOM`, unless a setting decides it."""
        return self.RANDOM

    @property
    def method(self) -> str:
        """The key of its method in `mien.methods.METHODS`."""
        return self.KIND

    @property
    def name(self) -> str:
        """Name of the row: that of the network or the method."""
        return str(self.flat()[self.NAME])

    def flat(self) -> dict[str, Any]:
        """`{"seed": 0, "optimizer.lr": 0.0001, ...}`, in the order of the fields."""
        flat: dict[str, Any] = {}
        for key, value in asdict(self).items():
            flat |= {f"{key}.{name}": item for name, item in value.items()} if isinstance(value, dict) else {key: value}
        return flat

    @property
    def seeds(self) -> tuple[int, ...]:
        """The seeds of the runs that it needs: its own, or those of its members."""
        return (self.seed,)

    def joining(self, rows: Mapping[str, Sequence[str]]) -> Self:
        """These settings with the joined rows as ids; see `EnsembleSettings.joining`."""
        return self

    def row_id(self, fingerprint: str) -> str:
        """The id of the run of seed 0, fold 0 and repetition 0, which identifies the row."""
        return replace(self, seed=0, data=replace(self.data, fold=0, repeat=0)).run_id(fingerprint)

    def identity(self) -> dict[str, Any]:
        """The settings that identify the run: `flat`, without those that are only paths."""
        return self.flat()

    def run_id(self, fingerprint: str) -> str:
        """The row's name and a hash of settings and data fingerprint: equal ids are the same run.

        Only what differs from the defaults is hashed, so a setting that a later version adds keeps old ids.
        """
        defaults = type(self)().identity()
        changed = {key: value for key, value in self.identity().items() if value != defaults[key]}
        content = json.dumps([self.KIND, changed, fingerprint], sort_keys=True)
        return f"{self.name}-{hashlib.sha256(content.encode()).hexdigest()[:10]}"


@dataclass(frozen=True, kw_only=True)
class NetworkSettings(Settings):
    """A network that is trained by gradients. The seed draws initial weights, order and augmentation."""

    KIND = "network"
    NAME = "model.name"

    model: ModelSettings = field(default_factory=ModelSettings)
    start: StartSettings = field(default_factory=StartSettings)
    loss: LossSettings = field(default_factory=LossSettings)
    optimizer: OptimizerSettings = field(default_factory=OptimizerSettings)
    train: TrainSettings = field(default_factory=TrainSettings)
    augment: AugmentSettings = field(default_factory=AugmentSettings)
    boosting: BoostingSettings = field(default_factory=BoostingSettings)

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.boosting.rounds > 1:
            self._check_boosting()
        if self.model.beside and self.start.weights:
            raise ConfigError(
                f"start.weights brings the weights of one network, and with model.beside={self.model.beside} there are "
                "two. Leave one of these settings out."
            )
        if self.train.snapshots > 1:
            self._check_snapshots()
        if self.data.label_noise and self.loss.soft_labels:
            raise ConfigError(
                "data.label_noise changes labels, and loss.soft_labels trains on distributions instead. Set only one."
            )
        if self.loss.name == "ldam" and self.model.classifier != "cosine":
            raise ConfigError("loss.name=ldam has margins of cosines. Set model.classifier=cosine.")

    def _check_boosting(self) -> None:
        if self.boosting.by == "weights" and self.loss.name == "ldam":
            raise ConfigError("loss.name=ldam is not linear in a sample's weight. Set boosting.by=resampling.")
        if self.boosting.by == "resampling" and self.train.sampling != "natural":
            raise ConfigError(
                "boosting.by=resampling draws samples by their weights, and "
                f"train.sampling={self.train.sampling} draws them otherwise. Set only one."
            )

    def _check_snapshots(self) -> None:
        parts, epochs = self.train.snapshots, self.train.epochs
        if self.optimizer.schedule != "cosine":
            raise ConfigError(
                f"train.snapshots={parts} keeps a network wherever the rate has fallen to 0, and "
                f"optimizer.schedule={self.optimizer.schedule} falls at most once. Set optimizer.schedule=cosine."
            )
        if epochs % parts:
            more = epochs + parts - epochs % parts
            raise ConfigError(
                f"train.epochs={epochs} has no {parts} equal parts for train.snapshots. Set train.epochs={more}."
            )
        if self.boosting.rounds > 1:
            raise ConfigError("train.snapshots and boosting.rounds both make several networks. Set only one above 1.")

    @property
    def method(self) -> str:
        """`boosting` where several networks are trained in rounds, `snapshots` where one training gives several."""
        if self.boosting.rounds > 1:
            return "boosting"
        return "snapshots" if self.train.snapshots > 1 else self.KIND

    def identity(self) -> dict[str, Any]:
        """The settings without the path of the initial weights: `start.sha256` has their content."""
        return {key: value for key, value in self.flat().items() if key != "start.weights"}

    def resolved(self, crop: CropSpec) -> Self:
        """These settings with the channels of the crops, if the network reads them, and with the published head by
        its name.
        """
        channels = self.model.in_chans or (crop.channels if self.model.plane == FACE else 0)
        named = replace(self.model, in_chans=channels, head=self.model.named_head)
        return replace(self, model=named)


@dataclass(frozen=True, kw_only=True)
class FeaturesSettings(Settings):
    """A classical method: a descriptor of the face, and a classifier on it. The seed draws the samples of an
    approximated kernel.
    """

    KIND = "features"
    NAME = "features.descriptor"
    RANDOM = False
    SIMPLE = True

    features: FeaturesTable = field(default_factory=FeaturesTable)

    @property
    def random(self) -> bool:
        """Whether the kernel is approximated; nothing else is random."""
        return self.features.random

    @property
    def name(self) -> str:
        """The descriptor and the classifier."""
        return self.features.name


@dataclass(frozen=True, kw_only=True)
class EnsembleSettings(Settings):
    """Several runs as one: their logits are joined. The seed says which runs of its members' rows it joins."""

    KIND = "ensemble"
    NAME = "ensemble.name"
    JOINS = True

    ensemble: EnsembleTable = field(default_factory=EnsembleTable)

    @property
    def name(self) -> str:
        """The given name, or the rule and the number of joined runs: `mean-of-3`."""
        table = self.ensemble
        return table.name or f"{table.rule}-of-{len(table.members) * table.seeds}"

    @property
    def method(self) -> str:
        """`soup` where weights are averaged."""
        return "soup" if self.ensemble.rule in SOUPS else self.KIND

    @property
    def seeds(self) -> tuple[int, ...]:
        """The seeds of the runs that are joined."""
        return tuple(range(self.seed * self.ensemble.seeds, (self.seed + 1) * self.ensemble.seeds))

    def joining(self, rows: Mapping[str, Sequence[str]]) -> Self:
        """These settings with members as row ids; `rows` maps each name in the recipe to its ids.

        Raises `ConfigError` for an unknown member.
        """
        known = {own: (own,) for ids in rows.values() for own in ids} | {name: tuple(ids) for name, ids in rows.items()}
        for member in self.ensemble.members:
            if member not in known:
                raise ConfigError(f"{self.name} joins {member}, and there is no such row; there are {', '.join(rows)}.")
        chosen = dict.fromkeys(own for member in self.ensemble.members or rows for own in known[member])
        if not chosen:
            raise ConfigError(f"{self.name} has no row to join. Add a network to the recipe.")
        return replace(self, ensemble=replace(self.ensemble, members=tuple(chosen)))


KINDS: dict[str, type[Settings]] = {
    "network": NetworkSettings,
    "features": FeaturesSettings,
    "ensemble": EnsembleSettings,
}
"""Every kind by its name in TOML."""
