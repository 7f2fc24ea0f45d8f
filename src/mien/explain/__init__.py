"""Explanations: which parts of a face raised or lowered a network's logit for a class.

In: a trained network, or a bundle of one, and faces. Out: maps `(B, H, W)` float32. A pixel above 0 supports the class,
one below 0 opposes it. Some methods give maps in units of the logit.

    occlusion   grey patches over the face, needs predictions alone (Zeiler & Fergus 2014); without torch
    gradients   Grad-CAM (Selvaraju 2017), Grad-CAM++ (Chattopadhay 2018), integrated gradients (Sundararajan 2017)
    explainer   one model of any kind of file, with the methods that it supports, and its explanation of one face
    picture     maps drawn over faces; without torch
    pointing    on drawn faces: the share of a map that falls on the pixels that the action units moved
    truth       the same measured of trained networks; beside: the same compared with controls, with intervals

A map shows what influenced this network's prediction. It does not prove that the prediction is right, and it shows no
feeling.
"""

__all__ = ["LIMIT", "METHODS", "TITLES"]

TITLES = {
    "grad-cam": "Grad-CAM",
    "grad-cam++": "Grad-CAM++",
    "integrated-gradients": "integrated gradients",
    "occlusion": "occlusion",
}
"""Title of each method."""
METHODS = tuple(TITLES)
"""All methods, in the order in which they are shown."""
LIMIT = 150
"""Default number of a run's test faces whose explanations are compared with the truth."""
