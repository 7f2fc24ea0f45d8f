"""Damaged copies, drawn from a seed: what a bad disk, a wrong edit or somebody with intent leaves of a file.

    what, content = damaged("meta.json", content, np.random.default_rng(7))
    what = damage_folder(folder, np.random.default_rng(7))

The same seed gives the same damage, and `what` says which, so that a failing case can be named and repeated. A
quarter of the damage is blind (bits, cuts, blocks); the rest knows the format and leaves a file that its parser still
reads: JSON with other types, arrays of other shapes, tensors of other names.
"""

import io
import json
import struct
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from mien.data.store.files import fingerprint

__all__ = ["damage_folder", "damaged", "damaged_bytes", "reseal"]

Rng = np.random.Generator
Damage = tuple[str, bytes]

ODD_VALUES: tuple[Any, ...] = (
    *(None, True, False, 0, -1, 1, 1.5, -0.5, 2**31, 2**53, 2**63, 2**64, -(2**63), 10**30, 1e308, -1e308),
    *("", "x", "nan", "-1", "../../up", "/", "a\0b", "\u202egpj", "é" * 50, "x" * 2000, "x" * 200_000),
    *([], {}, [[]], [None], ["a", 1], {"a": {}}, [1] * 2000),
)
ODD_TEXTS = (
    *("NaN", "Infinity", "1e999", "9" * 5000, "[" * 20_000, '{"a":' * 20_000, '"\\ud800"', "01", "tru", ""),
    *("'", '"', ",", "\n", "\r", "\0", "\ufeff", "]", "}", "=", "nan", "inf", "-", "1e5", "0x1f", "1979-05-27"),
)


def damaged(name: str, content: bytes, rng: Rng) -> Damage:
    """What was done, and a damaged copy of the file `name`."""
    known = [make for suffix, make in FORMATS.items() if name.endswith(suffix)]
    if known and rng.random() < 0.75:
        try:
            return known[0](content, rng)
        except (ValueError, KeyError, IndexError, UnicodeDecodeError, zipfile.BadZipFile):
            pass  # damaged before, and no longer of its format
    return damaged_bytes(content, rng)


def damage_folder(folder: Path, rng: Rng, pattern: str = "*") -> str:
    """Damage one file of a folder, or take it away, in place; returns which and how."""
    files = sorted(path for path in folder.rglob(pattern) if path.is_file() and path.name != "lock")
    path = files[rng.integers(len(files))]
    where = path.relative_to(folder).as_posix()
    if rng.random() < 0.05:
        path.unlink()
        return f"{where}: taken away"
    if rng.random() < 0.02:
        path.unlink()
        path.mkdir()
        return f"{where}: a folder"
    what, content = damaged(path.name, path.read_bytes(), rng)
    path.write_bytes(content)
    return f"{where}: {what}"


def reseal(store: Path) -> None:
    """Let a store's `meta.json` vouch for the files as they are now, as somebody with intent would."""
    path = store / "meta.json"
    fields = json.loads(path.read_text(encoding="utf-8"))
    planes = [file.stem for file in (store / "planes").iterdir()]
    path.write_text(json.dumps(fields | {"sha256": fingerprint(store, planes)}), encoding="utf-8")


def damaged_bytes(content: bytes, rng: Rng) -> Damage:
    """Damage that knows no format."""
    size, data = len(content), bytearray(content)
    kind = rng.integers(7)
    if kind == 0 or size < 4:
        return "empty", b""
    at = int(rng.integers(size))
    if kind == 1:
        return f"cut at {at}", content[:at]
    if kind == 2:
        bits = rng.integers(size * 8, size=int(rng.integers(1, 9)))
        for bit in bits:
            data[bit // 8] ^= 1 << (bit % 8)
        return f"bits {bits.tolist()} flipped", bytes(data)
    end = int(min(size, at + rng.integers(1, 65)))
    if kind == 3:
        return f"zeros from {at} to {end}", bytes(data[:at] + bytes(end - at) + data[end:])
    if kind == 4:
        return f"noise from {at} to {end}", bytes(data[:at] + rng.bytes(end - at) + data[end:])
    if kind == 5:
        return f"without {at} to {end}", bytes(data[:at] + data[end:])
    return f"{at} to {end} twice", bytes(data[:end] + data[at:])


def damaged_text(content: bytes, rng: Rng) -> Damage:
    """A word of a text replaced, moved, or joined by another."""
    words = content.decode().replace(",", " , ").replace("=", " = ").split(" ")
    at, other = (int(place) for place in rng.integers(len(words), size=2))
    odd = str(pick(ODD_TEXTS, rng))
    kind = rng.integers(3)
    if kind == 0:
        words[at], words[other] = words[other], words[at]
        return f"words {at} and {other} swapped", _joined(words)
    words[at] = odd if kind == 1 else words[at] + odd
    return f"word {at} is now {words[at][:30]!r}", _joined(words)


def damaged_json(content: bytes, rng: Rng) -> Damage:
    """A value of another type or size, two values swapped, a name changed, or text that is no JSON in its place."""
    tree = json.loads(content)
    places = list(_places(tree))
    holder, key = places[rng.integers(len(places))]
    kind = rng.integers(5)
    if kind == 0:
        odd = pick(ODD_VALUES, rng)
        holder[key] = odd
        return f"{key} is {str(odd)[:30]!r}", json.dumps(tree).encode()
    if kind == 1:
        holder_2, key_2 = places[rng.integers(len(places))]
        holder[key], holder_2[key_2] = holder_2[key_2], holder[key]
        return f"{key} and {key_2} swapped", _dumped(tree)
    if kind == 2:
        holder[key] = mark = f"mark {rng.integers(10**9)}"
        odd = pick(ODD_TEXTS, rng)
        return f"{key} is the text {odd[:30]!r}", json.dumps(tree).replace(json.dumps(mark), odd).encode()
    if kind == 3 and isinstance(holder, dict):
        holder[f"{key}_"] = holder.pop(key)
        return f"{key} is called {key}_", json.dumps(tree).encode()
    del holder[key]
    return f"without {key}", json.dumps(tree).encode()


def damaged_npz(content: bytes, rng: Rng) -> Damage:
    """An array of another shape, type or value, taken away, given another name, or with a header that lies."""
    with zipfile.ZipFile(io.BytesIO(content)) as archive:
        members = {name: archive.read(name) for name in archive.namelist()}
    name = pick(list(members), rng)
    kind = rng.integers(4)
    if kind == 0:
        del members[name]
        what = "gone"
    elif kind == 1:
        other = pick(list(members), rng)
        members[name], members[other] = members[other], members[name]
        what = f"swapped with {other}"
    elif kind == 2:
        what, members[name] = damaged_npy(members[name], rng)
    else:
        what, members[name] = damaged_bytes(members[name], rng)
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:  # with checksums that fit: zip itself finds nothing
        for member, data in members.items():
            archive.writestr(member, data)
    return f"{name} {what}", buffer.getvalue()


def damaged_npy(content: bytes, rng: Rng) -> Damage:
    """The array with another shape, type or value, or with a header that declares what the file does not hold."""
    array = np.load(io.BytesIO(content), allow_pickle=False)
    kind = rng.integers(5)
    if kind == 0:
        other = pick(["f8", "f4", "i8", "u1", "U3", "b1", "O", "i1", "c16"], rng)
        return f"as {other}", _npy(np.zeros(array.shape, other))
    if kind == 1:
        return "with an axis more", _npy(array[None])
    if kind == 2:
        return "without its last items", _npy(array[: len(array) // 2] if array.ndim else array[None])
    if kind == 3 and array.size and array.dtype.kind in "iuf":
        odd = pick([-1, 0, 255, 2**31, 2**62, float("nan"), float("inf"), 1e30], rng)
        changed = array.copy()
        with np.errstate(all="ignore"):
            changed.reshape(-1)[rng.integers(array.size)] = np.array(odd, "f8").astype(array.dtype)
        return f"holds {odd}", _npy(changed)
    shape = pick(["(10**9,)", "(1000000000000,)", "(-1,)", "(2, 99999999)", "()", "(1.5,)", "((((1,))))"], rng)
    kind_said = pick(["<U1000000000", "<f8", "|O", "<i8", "[('a', '<f8')]"], rng)
    text = f"{{'descr': {kind_said!r}, 'fortran_order': False, 'shape': {shape}, }}".ljust(117) + "\n"
    data = b"\x93NUMPY\x01\x00" + struct.pack("<H", len(text)) + text.encode()
    return f"declares {kind_said} {shape}", data + content[128:]


def damaged_safetensors(content: bytes, rng: Rng) -> Damage:
    """The header, which is JSON, damaged as JSON is; or the metadata's own JSON."""
    size = int.from_bytes(content[:8], "little")
    header = json.loads(content[8 : 8 + size])
    inner = header.get("__metadata__", {}).get("state")
    if inner and rng.random() < 0.5:
        what, changed = damaged_json(inner.encode(), rng)
        header["__metadata__"]["state"] = changed.decode("utf-8", "replace")
        text = json.dumps(header).encode()
    else:
        what, text = damaged_json(json.dumps(header).encode(), rng)
    return f"header: {what}", len(text).to_bytes(8, "little") + text + content[8 + size :]


def pick(choices: Any, rng: Rng) -> Any:
    """One of the choices."""
    return choices[rng.integers(len(choices))]


def _places(tree: Any) -> Any:
    """Holder and key of every value in a tree of JSON."""
    for key in range(len(tree)) if isinstance(tree, list) else list(tree):
        yield tree, key
        if isinstance(tree[key], dict | list):
            yield from _places(tree[key])


def _dumped(tree: Any) -> bytes:
    """A swap can put a tree into itself, which is no JSON."""
    return json.dumps(tree).encode()


def _joined(words: list[str]) -> bytes:
    return " ".join(words).replace(" , ", ",").replace(" = ", "=").encode()


def _npy(array: Any) -> bytes:
    buffer = io.BytesIO()
    np.save(buffer, array, allow_pickle=True)
    return buffer.getvalue()


FORMATS: dict[str, Callable[[bytes, Rng], Damage]] = {
    ".json": damaged_json,
    ".toml": damaged_text,
    ".csv": damaged_text,
    ".txt": damaged_text,
    ".npz": damaged_npz,
    ".npy": damaged_npy,
    ".safetensors": damaged_safetensors,
}
"""By the end of a file's name."""
