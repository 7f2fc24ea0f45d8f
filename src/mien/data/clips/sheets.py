"""Coding sheets (`.xlsx`, `.xls`, `.csv`): which clip shows which expression, from which frame to which frame.

`read_sheets` gives the cells as texts, as a person sees them (46 and not 46.0). Formulas have the value that was saved
with them. `find_table` finds the header row wherever it stands, and gives the rows below it by the fields that an
importer asks for. The words of a header are compared by their letters and digits, so `Onset Frame`, `OnsetFrame` and
`onset_frame'` are the same. Sizes are checked before anything is unpacked.
"""

import math
import warnings
import zipfile
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, time
from importlib import import_module
from io import BytesIO, StringIO
from itertools import islice
from pathlib import Path
from types import ModuleType
from typing import Any

from ...errors import BadSample, DataError, MissingExtra
from ...reading import LONGEST_TEXT, read_bytes, reading
from ...shown import brief, first_line
from ..corpora.tables import lines

__all__ = ["SUFFIXES", "Row", "Sheet", "Table", "find_table", "plain", "read_sheets"]

SUFFIXES = (".xlsx", ".xls", ".csv")
MOST_UNPACKED = 32 << 20
"""Bytes of one part of an .xlsx, which is a zip archive."""
MOST_SHEETS, MOST_ROWS, MOST_COLUMNS = 64, 50_000, 256
HEADER_WITHIN = 100
"""Rows of a sheet in which its header is looked for. SAMM has 13 rows of text before it."""
KEYS = ("subject", "clip")
"""Fields that say which clip a row is about."""
REMEDY = "Save it again as .xlsx or .csv."
Fields = Mapping[str, Sequence[str]]
"""For each field the header words that mean it, as `plain` gives them."""


@dataclass(frozen=True, kw_only=True)
class Sheet:
    """One sheet of a workbook; a CSV file is a workbook of one, without a name."""

    name: str
    rows: tuple[tuple[str, ...], ...]
    """Stripped cells."""


@dataclass(frozen=True, kw_only=True)
class Row:
    """One row below the header: its cells by field; "" where the sheet has none."""

    cells: Mapping[str, str]

    def text(self, field: str) -> str:
        """The cell of a field; "" where it is blank or the sheet lacks the column."""
        return self.cells.get(field, "")

    def number(self, field: str) -> int | None:
        """The cell as a whole number, rounded (SAMM Long Videos has 566.4); None where it is no number."""
        try:
            value = float(self.text(field))
        except ValueError:
            return None
        return round(value) if math.isfinite(value) and abs(value) < 1e15 else None


@dataclass(frozen=True, kw_only=True)
class Table:
    """The rows of one sheet below its header."""

    where: str
    """The file, with the sheet behind a `!`."""
    fields: tuple[str, ...]
    """Those that the sheet has."""
    rows: tuple[Row, ...]
    text: int = 0
    """Rows with words in them that are no row of the table, such as remarks below it."""


def plain(word: str) -> str:
    """A header's letters and digits, in lower case.

    >>> plain("Onset Frame"), plain("fold_name'")
    ('onsetframe', 'foldname')
    """
    return "".join(letter for letter in word.lower() if letter.isalnum())


def read_sheets(path: Path) -> tuple[Sheet, ...]:
    """All sheets of a coding file.

    Raises:
        DataError: it cannot be read, is damaged, or is larger than any coding sheet.
        MissingExtra: `openpyxl` or `xlrd` is not installed.
    """
    suffix = path.suffix.lower()
    if suffix not in SUFFIXES:
        raise DataError(f"{path} is no coding sheet; expected {', '.join(SUFFIXES)}.")
    if suffix == ".csv":
        found = islice(lines(path), MOST_ROWS + 1)
        return (_sheet(path, "", (() if isinstance(line, BadSample) else line[1] for line in found)),)
    with reading(path, DataError, REMEDY):
        data = read_bytes(path)
    packed = data.startswith(b"PK")
    library, parse = ("openpyxl", _xlsx) if packed else ("xlrd", _xls)
    try:
        tool = import_module(library)
    except ModuleNotFoundError:
        raise MissingExtra(f"Reading {path.name}", "micro") from None
    with reading(path, DataError, REMEDY), warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of openpyxl, about validation rules and styles that no cell needs
        return tuple(parse(path, data, tool))


def _xlsx(path: Path, data: bytes, openpyxl: ModuleType) -> Iterator[Sheet]:
    with zipfile.ZipFile(BytesIO(data)) as archive:
        _check_most(path, "bytes in one part", max(part.file_size for part in archive.infolist()), MOST_UNPACKED)
    book = openpyxl.load_workbook(BytesIO(data), read_only=True, data_only=True, keep_links=False)
    try:
        for sheet in book.worksheets[:MOST_SHEETS]:
            sheet.reset_dimensions()  # what a file says of its size proves nothing
            yield _sheet(path, sheet.title, sheet.iter_rows(max_row=MOST_ROWS + 1, values_only=True))
    finally:
        book.close()


def _xls(path: Path, data: bytes, xlrd: ModuleType) -> Iterator[Sheet]:
    book = xlrd.open_workbook(file_contents=data, logfile=StringIO(), on_demand=True)
    for name in book.sheet_names()[:MOST_SHEETS]:
        sheet = book.sheet_by_name(name)
        _check_most(path, "rows", sheet.nrows, MOST_ROWS)
        yield _sheet(path, name, (sheet.row_values(row, 0, MOST_COLUMNS) for row in range(sheet.nrows)))
        book.unload_sheet(name)


def _sheet(path: Path, name: str, rows: Iterable[Sequence[Any]]) -> Sheet:
    found = tuple(tuple(_text(cell) for cell in row[:MOST_COLUMNS]) for row in rows)
    _check_most(path, "rows", len(found), MOST_ROWS)
    return Sheet(name=name[:LONGEST_TEXT], rows=found)


def _check_most(path: Path, what: str, seen: int, most: int) -> None:
    if seen > most:
        raise DataError(f"{path.name} has {seen:,} {what}, expected at most {most:,} in a coding sheet.")


def _text(cell: Any) -> str:
    """A cell as a person sees it."""
    if cell is None:
        return ""
    if isinstance(cell, float) and cell.is_integer() and abs(cell) < 1e15:
        return str(int(cell))
    if isinstance(cell, date | time):
        return cell.isoformat()
    return str(cell)[:LONGEST_TEXT].strip()


def find_table(
    path: Path, fields: Fields, required: Sequence[str], *, prefer: str = "", keys: Sequence[str] = KEYS
) -> Table:
    """The table of a coding file: the rows below the first row that has all `required` fields.

    Args:
        path: the file.
        fields: for each field the header words that mean it, as `plain` gives them.
        required: the fields that the header must have.
        prefer: the sheet that is looked at first, whatever its case.
        keys: the fields without which a row is text, and counted, as far as the header has them.

    Raises `DataError` where no sheet has such a header: it may be of another version, and
    the message shows what was found.
    """
    found = sorted(read_sheets(path), key=lambda sheet: plain(sheet.name) != plain(prefer))
    for sheet in found:
        for place, row in enumerate(sheet.rows[:HEADER_WITHIN]):
            columns = _columns(row, fields)
            if all(name in columns for name in required):
                return _table(path, sheet, columns, place + 1, keys)
    raise DataError(
        f"{path.name} has no header with the columns {', '.join(fields[name][0] for name in required)}: it is a coding "
        f"sheet of another version or corpus. {_seen(found)}"
    )


def _columns(row: Sequence[str], fields: Fields) -> dict[str, int]:
    """The place of each field in a header; of two columns of one name the first counts."""
    names = [plain(cell) for cell in row]
    return {
        field: min(names.index(word) for word in words if word in names)
        for field, words in fields.items()
        if any(word in names for word in words)
    }


def _table(path: Path, sheet: Sheet, columns: Mapping[str, int], start: int, keys: Sequence[str]) -> Table:
    rows, text = [], 0
    for cells in sheet.rows[start:]:
        row = Row(cells={field: cells[at] for field, at in columns.items() if at < len(cells)})
        if all(row.text(name) for name in keys if name in columns):
            rows.append(row)
        else:
            text += any(cells)
    where = f"{path.name}!{sheet.name}" if sheet.name else path.name
    if not rows:
        raise DataError(f"{where} has its header, but no row below it.")
    return Table(where=where, fields=tuple(columns), rows=tuple(rows), text=text)


def _seen(sheets: Sequence[Sheet]) -> str:
    """The first cells of a workbook, for a message."""
    tops = []
    for sheet in sheets[:4]:
        top = next((row for row in sheet.rows if any(row)), ())
        words = [brief(cell, 20) for cell in top if cell][:6]
        tops.append(f"{first_line(sheet.name) + ': ' if sheet.name else ''}{', '.join(words) or 'empty'}")
    return f"Seen at the top of its sheets: {'; '.join(tops) or 'nothing'}."
