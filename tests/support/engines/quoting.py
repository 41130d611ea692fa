"""Names and texts as SQL has them: for tests, and for the programs beside this file, in an engine's own Python."""

__all__ = ["quoted", "text_literal"]


def quoted(name: str) -> str:
    """Return the name as a quoted SQL identifier."""
    return '"' + name.replace('"', '""') + '"'


def text_literal(text: str) -> str:
    """Return the text as an SQL literal."""
    return "'" + text.replace("'", "''") + "'"
