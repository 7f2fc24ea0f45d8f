"""Tuning: settings are searched on the validation part, and the test stays sealed until the best ones train anew.

    space     what is searched: a range or choices for each setting, read from its type
    pruning   when a trial is not worth its remaining epochs: a rule on histories, whatever the timing
    sampler   what is tried next: Optuna's TPE, asked in batches and told in the order of the trials
    search    trials are run folders; the study is rebuilt from them, and goes on where they end
    record    what a search says of itself, for reports

A trial does the stages fit and valid, and no other. The settings that are chosen train again with new seeds, and only
those runs open the test. Only `sampler` and `search` need Optuna.
"""

from .record import Trial, Tuning, find_tunings
from .space import Axis, read_axis

__all__ = ["Axis", "Trial", "Tuning", "find_tunings", "read_axis"]
