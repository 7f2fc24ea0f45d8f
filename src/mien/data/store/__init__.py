"""The store: a corpus as one folder that any part of mien opens in a millisecond.

    planes/face.npy     uint8 (N, H, W, C): the crops, memory-mapped
    planes/NAME.npy     further data of each sample, such as the flow between two frames (`mien.planes`)
    samples.csv         label, split, subject, source, then soft:<class>, group:<name>, au:<number> where known
    meta.json           label set, licence, crop, planes, counts, what was left out, sha256
    test_openings.csv   when and by which run the test part was opened; grows, and is no part of the data

It is written as a stream into a temporary folder that is renamed at the end: memory stays flat at any N,
and an interrupted import leaves nothing that opens.

    files      where the files are, their fingerprint, `meta.json`
    opened     reading
    found      finding one by its fingerprint, wherever it is mounted
    writing    writing
"""

from ..samples import SPLITS, Sample, Samples
from .files import HEADER_BYTES, Meta
from .found import STORES, find_store, is_mounted
from .opened import Store
from .writing import StoreWriter, create_store

__all__ = ["HEADER_BYTES", "SPLITS", "STORES", "Meta", "Sample", "Samples", "Store", "StoreWriter", "create_store"]
__all__ += ["find_store", "is_mounted"]
