"""Facts about the machine that accompany a figure: processor, cores, versions, peak memory."""

import os
import platform
import sys
from collections.abc import Sequence
from importlib import metadata
from pathlib import Path

import psutil

__all__ = ["KEEP_PAGES", "allocator", "cache_folder", "describe", "keeping_pages", "memory_bytes", "peak_memory_mb"]
__all__ += ["usable_cores", "versions"]

KEEP_PAGES = dict.fromkeys(("MALLOC_MMAP_THRESHOLD_", "MALLOC_TRIM_THRESHOLD_"), str(1 << 36))
"""Environment variables that make glibc keep the pages of freed tensors for later ones."""
GLIBC = (2, 36)
"""The earliest version that this was tried with. Much older ones reject the first variable and then map every tensor
anew.
"""
PACKAGES = (
    "mien",
    "numpy",
    "torch",
    "opencv-python-headless",
    "onnxruntime",
    "scikit-image",
    "scikit-learn",
    "scipy",
    "statsmodels",
    "cleanlab",
)


def peak_memory_mb() -> float:
    """Largest resident set of this process so far, in 10^6 bytes.

    On Linux it is `VmHWM`: unlike `ru_maxrss` it does not start at the peak of the process that forked this one.
    """
    status = Path("/proc/self/status")
    lines = status.read_text(encoding="utf-8", errors="replace").splitlines() if status.exists() else []
    for line in lines:
        if line.startswith("VmHWM"):
            return int(line.split()[1]) * 1024 / 1e6
    if sys.platform == "win32":
        return float(psutil.Process().memory_info().peak_wset) / 1e6
    import resource  # Windows has none

    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak / 1e6 if sys.platform == "darwin" else peak * 1024 / 1e6


def memory_bytes() -> int:
    """Memory of this machine, or the limit of its container (Linux); swap is not counted."""
    limit = Path("/sys/fs/cgroup/memory.max")
    allowed = limit.read_text(encoding="ascii").strip() if limit.exists() else "max"
    total = psutil.virtual_memory().total
    return min(total, int(allowed)) if allowed.isdigit() else total


def versions() -> dict[str, str]:
    """Versions of Python and of the packages that affect a result."""
    found = {"python": platform.python_version()}
    for package in PACKAGES:
        try:
            found[package] = metadata.version(package)
        except metadata.PackageNotFoundError:
            continue
    return found


def allocator() -> str:
    """The options of the memory allocator in the environment."""
    asked = _asked()
    if asked == KEEP_PAGES:
        return "keeps its pages"
    return ", ".join(f"{k}={Path(v).name}" for k, v in sorted(asked.items())) or "as the system has it"


def keeping_pages() -> dict[str, str]:
    """Further environment variables for a process that trains.

    Empty if the user chose an allocator, or if the C library is not a glibc of a known version. A network frees and
    allocates gigabytes at each step. Pages from the kernel are zeroed at a fault for every 4 kB; kept pages are
    available at once (`benchmarks/memory.py`). The variables are read when a process starts, so they must be set
    before.
    """
    name, version = platform.libc_ver()
    known = name == "glibc" and tuple(map(int, version.split(".")[:2])) >= GLIBC
    return dict(KEEP_PAGES) if known and not _asked() else {}


def _asked() -> dict[str, str]:
    names = ("LD_PRELOAD", "MALLOC_CONF", "GLIBC_TUNABLES")
    return {k: v for k, v in os.environ.items() if (k.startswith("MALLOC_") and k.endswith("_")) or k in names}


def describe() -> dict[str, str]:
    """System, processor and cores, in words."""
    return {"system": platform.platform(terse=True), "processor": _processor(), "cores": str(psutil.cpu_count())}


def _processor() -> str:
    information = Path("/proc/cpuinfo")
    if information.exists():
        for line in information.read_text(encoding="utf-8", errors="replace").splitlines():
            if line.startswith("model name"):
                return line.split(":", 1)[1].strip()
    return platform.processor() or platform.machine()


def usable_cores() -> int:
    """Cores that this process may use."""
    process = psutil.Process()
    allowed: Sequence[int] = process.cpu_affinity() if hasattr(process, "cpu_affinity") else ()
    return len(allowed) or psutil.cpu_count() or 1


def cache_folder() -> Path:
    """The user's folder for caches of mien; raises `RuntimeError` for a user without a home."""
    if chosen := os.environ.get("XDG_CACHE_HOME"):
        return Path(chosen) / "mien"
    if sys.platform == "win32":
        return Path(os.environ.get("LOCALAPPDATA") or Path.home() / "AppData" / "Local") / "mien"
    return Path.home() / ("Library/Caches" if sys.platform == "darwin" else ".cache") / "mien"
