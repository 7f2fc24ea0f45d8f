"""CSV tables of corpora, as a stream of rows with their line numbers.

Header cells are stripped (`icml_face_data.csv` says `emotion, Usage, pixels`) and matched without regard to
case. A row that cannot be used is a `BadSample` in the stream; a table that cannot be used is a `DataError`.
"""

import csv
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

from ...errors import BadSample, DataError

__all__ = ["Row", "count_lines", "header", "lines", "table"]

CHUNK = 1 << 20


class Row(NamedTuple):
    """One row of a table: `where` is `file:line`, `cells` the stripped cells by lower-case column name."""

    where: str
    cells: dict[str, str]


def header(path: Path) -> tuple[str, ...]:
    """The column names of a CSV file, stripped, in lower case; empty where the file is empty."""
    first = next(lines(path), (0, []))
    if isinstance(first, BadSample):
        raise DataError(str(first))
    return tuple(cell.strip().lower() for cell in first[1])


def table(path: Path, required: Sequence[str], columns: Sequence[str] | None = None) -> Iterator[Row | BadSample]:
    """Stream the rows of a CSV file.

    Args:
        path: the file.
        required: lower-case names of the columns that must be there.
        columns: the column names of a file that has no header row; None reads them from the first row.

    Raises:
        DataError: where the file cannot be read as text or a required column is missing.
    """
    names = header(path) if columns is None else tuple(columns)
    missing = [name for name in required if name not in names]
    if missing:
        raise DataError(
            f"{path.name} has the columns {list(names)[:12]}, but needs {list(required)}: {missing} missing."
        )
    rows = lines(path)
    if columns is None:
        next(rows)
    return (_row(path, names, line) for line in rows)


def lines(path: Path) -> Iterator[tuple[int, list[str]] | BadSample]:
    """Stream (line number, cells) of a CSV file without its blank rows."""
    try:
        with path.open(newline="", encoding="utf-8-sig") as file:
            reader = csv.reader(file)
            while True:
                try:
                    cells = next(reader)
                except csv.Error as error:
                    yield BadSample(f"{path.name}:{reader.line_num}", f"not a row of a CSV file ({error})")
                    continue
                except StopIteration:
                    return
                if cells:
                    yield reader.line_num, cells
    except UnicodeDecodeError:
        raise DataError(f"{path} is not UTF-8 text, so it is no table of labels.") from None
    except OSError as error:
        raise DataError(f"{path} cannot be read ({error.strerror}).") from None


def count_lines(path: Path, *words: bytes) -> tuple[int, set[bytes]]:
    """Count the lines of a file, and say which of `words` occur in it, reading it once as bytes."""
    count, found, tail, last = 0, set[bytes](), b"", b"\n"
    overlap = max((len(word) for word in words), default=0)
    try:
        with path.open("rb") as file:
            while block := file.read(CHUNK):
                count += block.count(b"\n")
                window = tail + block
                found |= {word for word in words if word not in found and word in window}
                tail, last = window[-overlap:] if overlap else b"", block[-1:]
    except OSError as error:
        raise DataError(f"{path} cannot be read ({error.strerror}).") from None
    return count + (last != b"\n"), found


def _row(path: Path, names: Sequence[str], line: tuple[int, list[str]] | BadSample) -> Row | BadSample:
    if isinstance(line, BadSample):
        return line
    number, cells = line
    where = f"{path.name}:{number}"
    if len(cells) != len(names):
        return BadSample(where, f"{len(cells)} columns where the table has {len(names)}")
    return Row(where, {name: cell.strip() for name, cell in zip(names, cells, strict=True)})
