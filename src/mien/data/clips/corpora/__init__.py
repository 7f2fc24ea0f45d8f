"""The corpora of clips that `mien data prepare` reads. A new one is a file here and a line below."""

from . import cas2, casme2, casme3, fourdme, listed, mmew, samm, samm_long, smic
from .protocol import ClipCorpus, ClipOptions, Irregular, LabelRule, Reader

__all__ = ["CLIP_CORPORA", "ClipCorpus", "ClipOptions", "Irregular", "LabelRule", "Reader"]

CLIP_CORPORA: dict[str, Reader] = {
    "4dme": fourdme.read,
    "cas2": cas2.read,
    "casme2": casme2.read,
    "casme3": casme3.read,
    "clips": listed.read,
    "mmew": mmew.read,
    "samm": samm.read,
    "samm-long": samm_long.read,
    "smic": smic.read,
}
