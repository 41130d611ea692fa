"""Single damages to the catalog of a zoo lake, read from damages.sql, each with the rule that must find it."""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

__all__ = ["DAMAGES", "Damage"]

_HEADER = re.compile(r"^--@ ([\w-]+) \| ([\d. ]+) \| (.+)$", re.MULTILINE)
_WORDS = {
    ":column": "table_id = :table and end_snapshot is null and column_id = 1",
    ":head": "(select max(snapshot_id) from ducklake_snapshot)",
    ":table": "(select min(table_id) from ducklake_table where end_snapshot is null)",
    ":file": ("(select min(data_file_id) from ducklake_data_file where end_snapshot is null and partition_id is null)"),
    ":split": "(select max(data_file_id) from ducklake_data_file where partition_id is not null)",
    ":mapped": "(select min(data_file_id) from ducklake_data_file where mapping_id is not null)",
    ":deleted": "(select min(delete_file_id) from ducklake_delete_file where end_snapshot is null)",
    ":macro": "(select max(macro_id) from ducklake_macro)",
    ":sort": "(select max(sort_id) from ducklake_sort_info)",
}


@dataclass(frozen=True, slots=True)
class Damage:
    """One damage: the rule that finds it, the spec versions that it is tried on, what it does, and how."""

    rule: str
    specs: tuple[str, ...]
    what: str
    script: str

    def statements(self, names: Mapping[str, str]) -> str:
        """Return its SQL; `names` has :rows, :deletes and :stats, tables that differ between lakes."""
        text = self.script
        for word, meaning in {**_WORDS, **names}.items():
            text = re.sub(rf"{word}\b", meaning.replace("\\", r"\\"), text)
        return text


def _read() -> Iterator[Damage]:
    text = Path(__file__).with_suffix(".sql").read_text("utf-8")
    headers = list(_HEADER.finditer(text))
    for header, following in zip(headers, [*headers[1:], None], strict=True):
        end = following.start() if following else len(text)
        yield Damage(header[1], tuple(header[2].split()), header[3], text[header.end() : end].strip())


DAMAGES = tuple(_read())
