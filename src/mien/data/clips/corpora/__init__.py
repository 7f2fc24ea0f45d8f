"""Importers of corpora of clips, by the name that `mien data prepare --corpus` takes.

A new importer is one file in this folder and one line in `CLIP_CORPORA`.
"""

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
