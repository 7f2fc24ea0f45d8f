"""The run folder: all files of a run, each written whole or not at all.

    config.toml          every setting, nothing implicit
    env.json             versions, machine, device, threads, allocator, and how the loop computed
    data.json            corpus, fingerprint, label set, licence, crop, counts
    history.csv          one line an epoch; equal bytes for equal settings, so it holds no times
    checkpoint.safetensors   weights, optimizer and history at a step; removed when the run has ended
    model.safetensors    the weights of the chosen epoch (of the best so far, while it trains)
    logits.npz           ids, labels, logits (and subjects, groups) of valid and test
    peeking.csv          every epoch on the test, only after `--show-peeking`
    peeking.npz          its confusion matrices
    record.json          status, stages that are done, chosen epoch, costs, when the test was opened

A run is finished when its `record.json` has the status: fit, valid and test are done (`mien.stages`). One process at a
time works in the folder: it holds the lock, which the system frees when the process dies, however it dies.
`record.json` is only changed under that lock.

    files    the types of what the files hold
    run      one folder: made, opened, locked, read, written
    found    the folders beside each other, their order, and the removal of one
    lines    the line of each in a list
    index    those lines for thousands of runs, remembered
    mlflow   a copy of some in MLflow's format
"""

from .files import GROUP, LOGITS, RESULTS, Costs, DataFacts, Environment, Epoch, Logits, Peek, Record, Stage
from .found import find_runs, keep_order, named_runs, remove_run
from .index import read_lines
from .lines import STATUSES, Line, alike, equal_and_differing
from .mlflow import export_mlflow
from .run import EPOCHS, LOCK, Run, busy

__all__ = [
    "EPOCHS",
    "GROUP",
    "LOCK",
    "LOGITS",
    "RESULTS",
    "STATUSES",
    "Costs",
    "DataFacts",
    "Environment",
    "Epoch",
    "Line",
    "Logits",
    "Peek",
    "Record",
    "Run",
    "Stage",
    "alike",
    "busy",
    "equal_and_differing",
    "export_mlflow",
    "find_runs",
    "keep_order",
    "named_runs",
    "read_lines",
    "remove_run",
]
