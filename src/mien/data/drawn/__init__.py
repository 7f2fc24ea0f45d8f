"""Drawn faces, the embedded default corpus: procedural, driven by FACS action units, with the whole truth known.

In: a seed. Out: faces, clips and scenes, each with subject, action units and where they act. Identities vary in
head, skin tone (Monk scale), hair, eyes, brows, glasses, beard and age lines; pictures in pose, light, background,
focus and noise; expressions are EMFACS prototypes, graded, blended and sometimes incomplete.

Byte-identical on every machine: random numbers come from numpy's raw bit stream, which is promised never to change
(`chance`); geometry is float64 on multiples of small powers of two, where every sum is exact (`anatomy`,
`geometry`); polygons, shades, light, blur and noise are whole-number arithmetic (`paint`, `render`). A golden hash
in the tests holds it.
"""

from mien.data.drawn.apart import mouth_apart, mouth_plane
from mien.data.drawn.clips import Clip, draw_clip
from mien.data.drawn.contact import contact_sheet, sheet_faces
from mien.data.drawn.expression import AUS, PROTOTYPES
from mien.data.drawn.faces import Face, draw_face, draw_faces, moved_plane
from mien.data.drawn.film import Film, FilmOptions, draw_film, draw_long_film
from mien.data.drawn.scene import Scene, draw_scene

__all__ = [
    "AUS",
    "PROTOTYPES",
    "Clip",
    "Face",
    "Film",
    "FilmOptions",
    "Scene",
    "contact_sheet",
    "draw_clip",
    "draw_face",
    "draw_faces",
    "draw_film",
    "draw_long_film",
    "draw_scene",
    "mouth_apart",
    "mouth_plane",
    "moved_plane",
    "sheet_faces",
]
