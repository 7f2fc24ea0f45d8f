"""Engines take planned runs and finish them: here, each in a fresh process of this machine (`local`)."""
