"""The tables of the anatomy: the curves of a face, and their displacement by each action unit.

Hundredths of half a head's width, for the half of the face on the image's right (x to the right, y down, 0
between the eyes). `PAIRED` curves come twice, mirrored; `MIDDLE` curves run from the middle (first row) outwards
and are joined to their mirror. A displacement table has a row for each control point; its last row also serves
all points that follow.
"""

__all__ = ["ACTIONS", "DEPTH", "LOOPS", "MIDDLE", "PAIRED", "RAISED", "SHAPES"]

Table = list[tuple[int, int]]


def _ring(x: int, y: int, wide: int, high: int) -> Table:
    """Eight control points around (x, y)."""
    near, far = wide * 5 // 12, high * 5 // 12
    right: Table = [(x + wide, y - far), (x + wide, y + far), (x + near, y + high), (x - near, y + high)]
    return right + [(2 * x - px, 2 * y - py) for px, py in right]


PAIRED: dict[str, Table] = {
    "brow_top": [(13, -35), (30, -45), (52, -47), (72, -33)],
    "brow_bottom": [(13, -24), (30, -33), (52, -37), (72, -33)],
    "lid_upper": [(18, 5), (26, -9), (43, -16), (60, -8), (68, 2)],
    "lid_lower": [(18, 5), (29, 11), (44, 14), (59, 9), (68, 2)],
    "lid_crease": [(19, -5), (26, -17), (43, -25), (61, -16), (72, -2)],
    "cover_upper": [(15, 5), (18, -26), (43, -36), (66, -26), (71, 0)],
    "cover_lower": [(15, 5), (22, 26), (43, 34), (62, 24), (71, 0)],
    "iris": _ring(43, -2, 13, 13),
    "pupil": _ring(43, -2, 6, 6),
    "glint": _ring(47, -6, 3, 3),
    "socket": _ring(42, -8, 34, 24),
    "cheek": _ring(55, 42, 22, 17),
    "ear": [(88, -12), (100, -24), (114, -20), (116, 4), (108, 34), (98, 40), (88, 30)],
    "ear_line": [(100, -10), (109, -8), (107, 10), (100, 22)],
    "fold": [(25, 50), (38, 60), (48, 74), (53, 94)],
    "crow_a": [(74, -4), (89, -13)],
    "crow_b": [(75, 3), (92, 2)],
    "crow_c": [(74, 10), (89, 17)],
    "bag": [(21, 17), (42, 27), (64, 18)],
    "ala": [(13, 48), (24, 48), (25, 63), (12, 66)],
    "nostril": _ring(10, 63, 6, 4),
    "flank": [(8, -12), (7, 20), (12, 54), (24, 58), (16, 18), (16, -12)],
    "wrinkle_a": [(5, 4), (13, 6), (20, 16)],
    "wrinkle_b": [(5, 15), (13, 18), (21, 28)],
    "frown": [(8, -46), (5, -32), (8, -20)],
    "marionette": [(43, 96), (50, 106), (48, 120)],
    "rim": _ring(44, 0, 33, 29),
    "temple": [(76, -6), (100, -10)],
}

MIDDLE: dict[str, Table] = {
    "outline": [
        (0, 142), (32, 140), (58, 112), (82, 78), (95, 25), (99, -20), (97, -60), (84, -102), (46, -136), (0, -138),
    ],
    "jaw_shadow": [(0, 142), (32, 140), (58, 112), (82, 78)],
    "lip_top": [(0, 84), (9, 79), (22, 85), (42, 92)],
    "lip_upper": [(0, 92), (10, 91), (26, 92), (42, 92)],
    "lip_lower": [(0, 92), (10, 91), (26, 92), (42, 92)],
    "lip_bottom": [(0, 106), (14, 106), (30, 101), (42, 92)],
    "under_lip": [(0, 112), (16, 111), (22, 108)],
    "philtrum": [(0, 72), (4, 72), (5, 78)],
    "bridge": [(0, -14), (5, -10), (5, 30), (10, 52), (0, 58)],
    "tip": [(0, 58)],
    "nose_base": [(0, 67), (10, 66), (14, 70), (0, 74)],
    "brow_bone": [(0, -95), (40, -92), (62, -72), (40, -56), (0, -54)],
    "forehead_a": [(0, -58), (22, -60), (46, -57)],
    "forehead_b": [(0, -70), (22, -72), (48, -68)],
    "forehead_c": [(0, -82), (20, -84), (40, -80)],
    "neck": [(0, 60), (56, 60), (54, 150), (60, 190), (90, 260), (0, 260)],
    "shoulders": [(0, 196), (26, 192), (52, 176), (112, 196), (160, 226), (170, 330), (0, 330)],
    "glass_bridge": [(0, -7), (12, -3)],
    "beard_top": [(0, 74), (22, 74), (42, 82), (66, 72), (90, 36), (96, 4)],
    "beard_low": [(0, 146), (34, 143), (61, 114), (85, 80), (97, 28), (98, 2)],
    "moustache": [(0, 73), (16, 72), (34, 82), (44, 96), (30, 89), (12, 84), (0, 84)],
    "cap_short": [(0, -152), (56, -150), (98, -112), (108, -62), (102, -10)],
    "cap_close": [(0, -141), (50, -139), (88, -104), (102, -58), (100, -8)],
    "cap_high": [(0, -172), (62, -168), (104, -122), (110, -62), (102, -10)],
    "line_round": [(0, -98), (44, -98), (74, -82), (80, -48), (96, -40), (97, -6)],
    "line_peak": [(0, -84), (26, -104), (66, -94), (78, -52), (94, -40), (97, -6)],
    "line_fringe": [(0, -56), (40, -57), (72, -52), (80, -30), (92, 0), (98, 20)],
    "line_parted": [(0, -124), (12, -104), (50, -86), (80, -46), (92, 20), (97, 60)],
    "line_swept": [(0, -112), (10, -96), (48, -92), (76, -66), (86, -30), (97, -4)],
    "line_receding": [(0, -146), (60, -140), (84, -92), (82, -50), (94, -40), (97, -2)],
    "long_back": [(0, -154), (74, -152), (120, -96), (124, 0), (128, 90), (132, 170), (90, 200), (0, 190)],
    "bob_back": [(0, -154), (76, -152), (122, -96), (126, 0), (128, 70), (112, 112), (70, 104), (0, 90)],
    "cloud_back": [
        (0, -184), (54, -190), (104, -160), (136, -108), (146, -48), (134, 14), (104, 44), (60, 30), (0, 10),
    ],
    "bun": [(0, -196), (34, -196), (46, -166), (34, -138), (0, -134)],
    "scarf_back": [(0, -160), (72, -158), (118, -104), (124, -10), (112, 80), (128, 180), (170, 260), (0, 270)],
    "scarf_line": [
        (0, 150), (36, 144), (62, 116), (78, 76), (88, 20), (88, -34), (76, -74), (44, -94), (0, -98),
    ],
    "turban_top": [(0, -186), (60, -182), (112, -140), (116, -74), (104, -36)],
    "turban_line": [(0, -92), (30, -82), (74, -64), (104, -36)],
}  # fmt: skip

LOOPS = {
    "iris", "pupil", "glint", "socket", "cheek", "ear", "nostril", "flank", "rim", "outline", "bridge", "nose_base",
    "brow_bone", "neck", "shoulders", "moustache", "long_back", "bob_back", "cloud_back", "bun", "scarf_back",
    "scarf_line",
}  # fmt: skip

DEPTH = {
    "ear": -20, "ear_line": -18, "neck": -30, "shoulders": -40, "cap_short": 0, "cap_close": 0, "cap_high": 0,
    "long_back": -30, "bob_back": -25, "cloud_back": -20, "bun": -20, "scarf_back": -20, "turban_top": 0,
    "temple": 20,
}  # fmt: skip
"""Curves on the silhouette or behind the face; all others lie on the face's curved front."""

RAISED = {
    "ala": 12, "nostril": 16, "bridge": 22, "tip": 24, "nose_base": 10, "flank": 10, "rim": 14, "glass_bridge": 26,
    "lip_top": 8, "lip_upper": 8, "lip_lower": 8, "lip_bottom": 8,
}  # fmt: skip

_JAW: Table = [(0, 26), (0, 25), (0, 17), (0, 6), (0, 0)]
_BROW_1: Table = [(-1, -17), (0, -11), (0, -2), (0, 0)]
_BROW_2: Table = [(0, -1), (0, -7), (1, -16), (2, -13)]
_BROW_4: Table = [(-7, 11), (-6, 10), (-4, 7), (-2, 3)]

ACTIONS: dict[int, dict[str, Table]] = {
    1: {
        "brow_top": _BROW_1, "brow_bottom": _BROW_1, "lid_crease": [(0, -5), (0, -4), (0, -2), (0, 0)],
        "forehead_a": [(0, -6)], "forehead_b": [(0, -4)],
    },
    2: {
        "brow_top": _BROW_2, "brow_bottom": _BROW_2, "lid_crease": [(0, 0), (0, -1), (0, -4), (0, -5), (0, -3)],
        "forehead_a": [(0, -1), (0, -4), (0, -7)], "forehead_b": [(0, -1), (0, -3), (0, -5)],
    },
    4: {
        "brow_top": _BROW_4, "brow_bottom": _BROW_4, "frown": [(-2, 2)],
        "lid_crease": [(0, 6), (0, 5), (0, 3), (0, 0)], "lid_upper": [(0, 0), (0, 3), (0, 1), (0, 0)],
    },
    5: {
        "lid_upper": [(0, 0), (0, -12), (0, -16), (0, -12), (0, 0)],
        "lid_crease": [(0, 0), (0, -5), (0, -5), (0, -5), (0, 0)],
    },
    6: {
        "lid_lower": [(0, 0), (0, -6), (0, -8), (0, -6), (0, 0)], "bag": [(0, -3), (0, -5), (0, -4)],
        "cheek": [(0, -10)], "crow_a": [(0, 0)], "crow_b": [(0, 0)], "crow_c": [(0, 0)],
        "lid_upper": [(0, 0), (0, 1), (0, 1), (0, 4), (0, 0)], "fold": [(1, -2), (3, -3), (3, -2), (0, 0)],
    },
    7: {
        "lid_upper": [(0, 0), (0, 4), (0, 6), (0, 4), (0, 0)],
        "lid_lower": [(0, 0), (0, -6), (0, -9), (0, -6), (0, 0)], "bag": [(0, -2)],
    },
    9: {
        "ala": [(1, -9), (3, -9), (4, -8), (1, -6)], "nostril": [(1, -6)], "nose_base": [(0, -4)], "tip": [(0, -3)],
        "brow_top": [(-2, 7), (-1, 5), (0, 2), (0, 0)], "brow_bottom": [(-2, 7), (-1, 5), (0, 2), (0, 0)],
        "lid_lower": [(0, 0), (0, -5), (0, -4), (0, -2), (0, 0)], "fold": [(1, -8), (1, -5), (0, -3), (0, 0)],
        "lip_top": [(0, -5), (0, -6), (0, -5), (0, 0)], "lip_upper": [(0, -2), (0, -2), (0, -1), (0, 0)],
        "wrinkle_a": [(0, 0)], "wrinkle_b": [(0, 0)],
    },
    12: {
        "lip_top": [(0, 3), (0, 5), (6, 1), (15, -18)], "lip_upper": [(0, 3), (2, 3), (7, 0), (15, -18)],
        "lip_lower": [(0, 7), (2, 8), (7, 5), (15, -18)], "lip_bottom": [(0, 5), (3, 5), (9, 2), (15, -18)],
        "fold": [(2, -2), (7, -6), (9, -8), (8, -10)], "cheek": [(2, -5)], "ala": [(1, 0), (2, 0), (2, 0), (1, 0)],
        "marionette": [(12, -12), (8, -5), (5, -2)],
    },
    15: {
        "lip_top": [(0, -1), (0, -1), (0, 1), (-1, 13)], "lip_upper": [(0, -3), (0, -3), (0, 0), (-1, 13)],
        "lip_lower": [(0, -3), (0, -3), (0, 0), (-1, 13)], "lip_bottom": [(0, -1), (0, -1), (0, 3), (-1, 13)],
        "marionette": [(0, 10), (2, 6), (2, 3)],
    },
    16: {
        "lip_lower": [(0, 9), (0, 9), (0, 8), (0, 0)], "lip_bottom": [(0, 9), (1, 9), (2, 8), (0, 0)],
        "under_lip": [(0, 7)],
    },
    20: {
        "lip_top": [(0, 2), (3, 3), (9, 3), (16, 5)], "lip_upper": [(0, 0), (3, 0), (9, 0), (16, 5)],
        "lip_lower": [(0, 3), (3, 3), (11, 5), (16, 5)], "lip_bottom": [(0, 0), (4, 0), (13, 4), (16, 5)],
        "fold": [(0, 0), (2, 0), (5, 0), (7, 0)],
    },
    23: {
        "lip_top": [(0, 5), (-1, 7), (-3, 4), (-6, 0)], "lip_upper": [(0, 0), (-1, 0), (-3, 0), (-6, 0)],
        "lip_lower": [(0, 0), (-1, 0), (-3, 0), (-6, 0)], "lip_bottom": [(0, -6), (-1, -6), (-4, -5), (-6, 0)],
        "under_lip": [(0, -3)],
    },
    26: {
        "outline": _JAW, "jaw_shadow": _JAW, "beard_low": _JAW,
        "scarf_line": [(0, 24), (0, 23), (0, 14), (0, 4), (0, 0)],
        "lip_top": [(0, -2), (0, -2), (-3, 0), (-11, 11)], "lip_upper": [(0, -3), (0, -3), (-2, -2), (-11, 11)],
        "lip_lower": [(0, 27), (0, 28), (-3, 26), (-11, 11)], "lip_bottom": [(0, 26), (0, 26), (-4, 24), (-11, 11)],
        "under_lip": [(0, 25)], "marionette": [(-3, 6), (-1, 8), (0, 12)],
        "moustache": [(0, -1), (0, -1), (-2, 1), (-6, 6), (-2, 1), (0, -1)],
        "beard_top": [(0, 0)],
    },
}  # fmt: skip

_EYE = ("lid_upper", "lid_lower", "lid_crease", "cover_upper", "cover_lower", "iris", "pupil", "glint", "socket", "bag")
_MOUTH = ("lip_top", "lip_upper", "lip_lower", "lip_bottom", "under_lip", "marionette")
_NOSE = ("ala", "nostril", "nose_base", "tip")
_CHIN: Table = [(0, 8), (0, 8), (0, 6), (0, 2), (0, 0), (0, 0)]
_NARROW: Table = [(0, 0), (8, 0), (9, 0), (5, 0), (0, 0)]

SHAPES: dict[str, dict[str, Table]] = {
    "jaw_width": {"outline": _NARROW, "jaw_shadow": _NARROW, "beard_low": _NARROW, "scarf_line": _NARROW},
    "chin_length": {"outline": _CHIN, "jaw_shadow": _CHIN, "beard_low": _CHIN, "scarf_line": _CHIN},
    "eye_spacing": {curve: [(4, 0)] for curve in (*_EYE, "brow_top", "brow_bottom", "rim")},
    "eye_open": {
        "lid_upper": [(0, 0), (0, -3), (0, -4), (0, -3), (0, 0)], "lid_lower": [(0, 0), (0, 1), (0, 2), (0, 1), (0, 0)],
        "lid_crease": [(0, 0), (0, -3), (0, -3), (0, -3), (0, 0)],
    },
    "eye_tilt": {
        curve: [(0, 1), (0, 1), (0, 0), (0, -3), (0, -4)] for curve in ("lid_upper", "lid_lower", "lid_crease")
    },
    "eye_height": {curve: [(0, 4)] for curve in (*_EYE, "brow_top", "brow_bottom", "rim", "glass_bridge", "temple")},
    "brow_height": {"brow_top": [(0, -5)], "brow_bottom": [(0, -5)]},
    "brow_slant": {
        "brow_top": [(0, -4), (0, -1), (0, 2), (0, 5)], "brow_bottom": [(0, -4), (0, -1), (0, 2), (0, 5)],
    },
    "brow_thick": {"brow_top": [(0, -3), (0, -3), (0, -3), (0, 0)], "brow_bottom": [(0, 2), (0, 1), (0, 1), (0, 0)]},
    "nose_length": {curve: [(0, 6)] for curve in _NOSE},
    "nose_width": {"ala": [(4, 0)], "nostril": [(2, 0)], "flank": [(0, 0), (0, 0), (2, 0), (4, 0), (2, 0)]},
    "mouth_height": {curve: [(0, 4)] for curve in (*_MOUTH, "moustache")},
    "mouth_width": {
        curve: [(0, 0), (2, 0), (4, 0), (7, 0)] for curve in ("lip_top", "lip_upper", "lip_lower", "lip_bottom")
    },
    "mouth_curve": {
        curve: [(0, -1), (0, -1), (0, 0), (0, 5)] for curve in ("lip_top", "lip_upper", "lip_lower", "lip_bottom")
    },
    "lip_full": {"lip_top": [(0, -3), (0, -3), (0, -2), (0, 0)], "lip_bottom": [(0, 5), (0, 5), (0, 4), (0, 0)]},
}  # fmt: skip
"""Identity: displacement at a weight of 1; weights run in [-1, 1]."""
