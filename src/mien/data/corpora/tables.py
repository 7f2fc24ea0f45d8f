"""CSV tables of corpora, read as a stream of rows with their line numbers.

The separator is a comma. It is a semicolon or a tab if the first line has these and no comma, as spreadsheets in many
countries write them. The names of columns are stripped and compared without regard to case. A row that cannot be used
is a `BadSample` in the stream. A table that cannot be used raises `DataError`.
"""

import codecs
import csv
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import NamedTuple, TextIO

from ...errors import BadSample, DataError
from ...shown import first_line

__all__ = ["Row", "bounded", "count_lines", "header", "lines", "table"]

CHUNK = 1 << 20
SEPARATORS = (",", ";", "\t")
LONGEST_LINE = 1 << 20
"""Letters. A row of FER2013 has up to 9,300; a cell has at most 131,072, the limit of Python's csv."""


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
            f"{path.name} has the columns {first_line(list(names[:12]))}, but needs {list(required)}: {missing} "
            "missing."
        )
    twice = sorted({name for name in names if names.count(name) > 1})
    if twice:
        raise DataError(f"{path.name} has more than one column {first_line(twice[0])!r}. Rename or remove one.")
    rows = lines(path)
    if columns is None:
        next(rows)
    return (_row(path, names, line) for line in rows)


def lines(path: Path) -> Iterator[tuple[int, list[str]] | BadSample]:
    """Stream (line number, cells) of a CSV file without its blank rows; lines end in LF, CR LF or CR.

    Raises `DataError` where it is no text, or has a line longer than any table's.
    """
    try:
        with path.open(newline="", encoding="utf-8-sig") as file:
            reader = csv.reader(bounded(path, file), strict=True, delimiter=_separator(file))
            while True:
                try:
                    cells = next(reader)
                except csv.Error as error:
                    yield BadSample(f"{path.name}:{reader.line_num}", f"not a row of a CSV file ({error})")
                    continue
                except StopIteration:
                    return
                if any("\0" in cell for cell in cells):
                    yield BadSample(f"{path.name}:{reader.line_num}", "not a row of a CSV file (it holds NUL bytes)")
                elif cells:
                    yield reader.line_num, cells
    except UnicodeDecodeError:
        raise DataError(f"{path} is not UTF-8 text{_utf16(path)}. Save the table as CSV in UTF-8.") from None
    except OSError as error:
        raise DataError(f"{path} cannot be read ({error.strerror}).") from None


def _separator(file: TextIO) -> str:
    """The separator of a table, by its first line that is not blank. The file is left at its start."""
    first = ""
    while not first.strip() and (line := file.readline(LONGEST_LINE)):
        first = line
    file.seek(0)
    return next((letter for letter in SEPARATORS if letter in first), SEPARATORS[0])


def count_lines(path: Path, *words: bytes) -> tuple[int, set[bytes]]:
    """Count the lines of a file that are not blank, and find which of `words` occur in it. It is read once, as bytes.

    Lines end in LF, CR LF or CR, as `lines` reads them.
    """
    count, found, tail, begun = 0, set[bytes](), b"", False
    overlap = max((len(word) for word in words), default=0)
    try:
        with path.open("rb") as file:
            while block := file.read(CHUNK):
                *whole, last = [*block.splitlines(), *([b""] if block[-1:] in b"\r\n" else [])]
                count += sum(map(bool, whole)) + (begun and whole[:1] == [b""])
                begun = bool(last) or (begun and not whole)
                window = tail + block
                found |= {word for word in words if word not in found and word in window}
                tail = window[-overlap:] if overlap else b""
    except OSError as error:
        raise DataError(f"{path} cannot be read ({error.strerror}).") from None
    return count + begun, found


def bounded(path: Path, file: TextIO) -> Iterator[str]:
    """The lines of a text file. A line longer than `LONGEST_LINE` is refused, because it could fill the memory."""
    number = 0
    while line := file.readline(LONGEST_LINE):
        number += 1
        if len(line) == LONGEST_LINE:
            raise DataError(f"{path}:{number} is longer than {LONGEST_LINE:,} letters, so it is no row of a table.")
        yield line


def _utf16(path: Path) -> str:
    with path.open("rb") as file:
        return " but UTF-16" if file.read(2) in (codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE) else ""


def _row(path: Path, names: Sequence[str], line: tuple[int, list[str]] | BadSample) -> Row | BadSample:
    if isinstance(line, BadSample):
        return line
    number, cells = line
    where = f"{path.name}:{number}"
    if len(cells) != len(names):
        return BadSample(where, f"{len(cells)} columns where the table has {len(names)}")
    return Row(where, {name: cell.strip() for name, cell in zip(names, cells, strict=True)})
