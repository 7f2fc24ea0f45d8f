"""Every weight of a network belongs to one stage; the first has the first convolution, the last classifies."""

import pytest
import torch
from torch import nn

from mien.config import ModelSettings
from mien.models import NETWORKS, build
from mien.models.stages import stages_of, still


@pytest.mark.long
@pytest.mark.parametrize("name", NETWORKS)
def test_every_weight_belongs_to_one_stage(name: str) -> None:
    for head, attention, stem in (("fc", "cbam", "imagenet"), ("flat", "none", "small"), ("gap", "cbam", "stride1")):
        with torch.device("meta"):
            network = build(
                ModelSettings(name=name, width=0.1, head=head, attention=attention, stem=stem, in_chans=1),  # type: ignore[arg-type]
                classes=5,
                size=64,
            )
        stages = stages_of(network)
        keys = [key for stage in stages for key in stage.keys]
        assert sorted(keys) == sorted(key for key in network.state_dict() if not key.startswith("pixel_"))
        assert sum(len(stage.parameters) for stage in stages) == len(list(network.parameters()))
        convolutions = [module for module in network.modules() if isinstance(module, nn.Conv2d)]
        assert convolutions[0] in stages[0].modules
        assert {tuple(p.shape) for p in stages[-1].parameters} == {(5, stages[-1].parameters[0].shape[1]), (5,)}


def test_a_weight_without_a_stage_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    network = build(ModelSettings(name="compact-s", width=0.25, in_chans=1), classes=3, size=16)
    monkeypatch.setattr(type(network), "stages", {"stem": ("features.0",), "classifier": ("classifier.",)})
    with pytest.raises(ValueError, match=r"features\.1\.weight belongs to the stages \[\]"):
        stages_of(network)


@pytest.mark.parametrize("head", ["fc", "gap"])
@pytest.mark.parametrize("name", ["vgg16", "compact-s", "resnet34"])
def test_nothing_drops_in_a_still_stage(name: str, head: str) -> None:
    """With all stages but the classifier still, only the dropout just before the classifier is left."""
    settings = ModelSettings(
        name=name,
        width=0.1,
        head=head,  # type: ignore[arg-type]
        in_chans=1,
        dropout=0.5,
        block_dropout=0.5,
    )
    network = build(settings, classes=3, size=48)
    network.train()
    still(stages_of(network)[:-1])
    dropping = [path for path, layer in network.named_modules() if isinstance(layer, nn.Dropout) and layer.training]
    assert [path.rpartition(".")[2] for path in dropping] == (["5"] if head == "fc" else ["1"]), dropping
