"""Tuning: settings are searched on the validation part, and the test stays closed until the best ones are trained
again.

    space     the search space: a range or choices for each setting, read from its type
    pruning   the rule that stops a trial early; it depends on histories only, not on timing
    sampler   proposes the next trials by Optuna's TPE, in batches
    search    trials are run folders; the study is rebuilt from them, and goes on where they end
    record    the record of a search, for reports

A trial does the stages fit and valid, and no other. The settings that are chosen train again with new seeds, and only
those runs open the test. Only `sampler` and `search` need Optuna.
"""

from .record import Trial, Tuning, find_tunings
from .space import Axis, read_axis

__all__ = ["Axis", "Trial", "Tuning", "find_tunings", "read_axis"]
