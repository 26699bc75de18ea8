"""Write names, label values and help texts so that every parser reads them back.

Names follow Prometheus' page "UTF-8 metric and label name escaping schemes"; where it
is silent, client_golang, which Prometheus itself is built on.
"""

from __future__ import annotations

import re

from metrics.exposition._negotiation import Escaping

_METRIC = re.compile(r"[a-zA-Z_:][a-zA-Z0-9_:]*", re.ASCII)
_LABEL = re.compile(r"[a-zA-Z_][a-zA-Z0-9_]*", re.ASCII)
_REPLACEMENT = "\N{REPLACEMENT CHARACTER}"


def safe(text: object) -> str:
    """Return ``text`` as something UTF-8 can carry: U+FFFD for each lone surrogate.

    Surrogates that stand in pairs become the character they mean.
    """
    result = text if isinstance(text, str) else "" if text is None else str(text)
    if result.isascii():
        return result
    try:
        result.encode()
    except UnicodeEncodeError:
        return result.encode("utf-16-le", "surrogatepass").decode("utf-16-le", "replace")
    return result


def escape_value(text: object) -> str:
    """Write a label value or a quoted name, without the quotes around it."""
    return safe(text).replace("\\", r"\\").replace("\n", r"\n").replace('"', r"\"")


def escape_help(text: object, *, quotes: bool) -> str:
    """Write a help text; OpenMetrics wants double quotes escaped too."""
    return escape_value(text) if quotes else safe(text).replace("\\", r"\\").replace("\n", r"\n")


def is_plain_metric(name: str) -> bool:
    """Whether a metric's name needs no escaping and no quotes."""
    return _METRIC.fullmatch(name) is not None


def metric_name(name: str, escaping: Escaping) -> str:
    """Apply ``escaping`` to a metric's name; never adds quotes."""
    return _escape(safe(name), escaping, _METRIC, ":")


def label_name(name: str, escaping: Escaping) -> str:
    """Apply ``escaping`` to a label's name, in quotes where it then needs them."""
    escaped = _escape(safe(name), escaping, _LABEL, "") or "_"
    if escaped.startswith("__"):  # reserved; __name__ would even be taken for the metric's own
        escaped = f"exported_{escaped}"
    return escaped if _LABEL.fullmatch(escaped) else f'"{escape_value(escaped)}"'


def made_unique(pairs: list[tuple[str, str]]) -> list[tuple[str, str]]:
    """Tell labels apart that escaping gave one name: ``a.b`` and ``a_b``.

    Each pair is a label's written name and the text that begins with it. The first of a
    name keeps it, so the caller orders them by their names before escaping, never by values.
    """
    names = {name for name, _ in pairs}
    result: list[tuple[str, str]] = []
    used: set[str] = set()
    for name, text in pairs:
        unique = name
        while unique in used or (unique != name and unique in names):
            quote = '"' if unique.startswith('"') else ""
            unique = f"{quote}exported_{unique.removeprefix(quote)}"
        used.add(unique)
        result.append((unique, unique + text[len(name) :]))
    return result


def _escape(name: str, escaping: Escaping, plain: re.Pattern[str], extra: str) -> str:
    if escaping is Escaping.ALLOW_UTF8 or not name:
        return name
    if plain.fullmatch(name) and escaping is not Escaping.DOTS:
        return name
    written = [
        _character(character, escaping, _is_plain(character, place, extra))
        for place, character in enumerate(name)
    ]
    return ("U__" if escaping is Escaping.VALUES else "") + "".join(written)


def _is_plain(character: str, place: int, extra: str) -> bool:
    if "0" <= character <= "9":
        return place > 0
    return character == "_" or character in extra or (character.isascii() and character.isalpha())


def _character(character: str, escaping: Escaping, plain: bool) -> str:
    if escaping is Escaping.UNDERSCORES:
        return character if plain else "_"
    if character == "_":
        return "__"
    if plain:
        return character
    if escaping is Escaping.DOTS:
        return "_dot_" if character == "." else "__"
    return f"_{'FFFD' if character == _REPLACEMENT else format(ord(character), 'x')}_"
