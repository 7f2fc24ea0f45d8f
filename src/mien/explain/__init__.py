"""Where in a face a network found the evidence for a class; a look before trust.

In: a trained network, or a bundle of one, and faces. Out: maps `(B, H, W)` float32, what each pixel says for the
class (above 0) and against it (below 0), in the logit's units for those methods that have units.

    occlusion   grey patches over the face, needs predictions alone (Zeiler & Fergus 2014); without torch
    gradients   Grad-CAM (Selvaraju 2017), Grad-CAM++ (Chattopadhay 2018), integrated gradients (Sundararajan 2017)
    explainer   one model, whichever kind of file it is, with the methods it can do, and what they say of one face
    picture     maps drawn over faces; without torch
    pointing    on drawn faces: the share of a map that falls on the pixels that the action units moved
    truth       the same measured of trained networks; beside, what it is worth, with intervals

A map shows what moved this network's answer. It is no proof that the answer is right, and no sign of a feeling.
"""

__all__ = ["LIMIT", "METHODS", "TITLES"]

TITLES = {
    "grad-cam": "Grad-CAM",
    "grad-cam++": "Grad-CAM++",
    "integrated-gradients": "integrated gradients",
    "occlusion": "occlusion",
}
"""How each method is called in words."""
METHODS = tuple(TITLES)
"""All there are, in the order in which they are shown."""
LIMIT = 150
"""Test faces of a run that are held against the truth, unless told otherwise."""
