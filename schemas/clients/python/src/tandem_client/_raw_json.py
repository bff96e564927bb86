"""Takes JSON apart without reading its values: every value stays the text that it is.

A float would change a decimal of a JSON column, and a replica must keep all digits.
"""

from __future__ import annotations

import json
import re

_SPACES = re.compile(r"[ \t\n\r]*")
# Numbers are not read: Python refuses to make an int of more than 4,300 digits.
_scan = json.JSONDecoder(parse_int=str, parse_float=str, parse_constant=str).raw_decode


def members_of(text: str) -> dict[str, str]:
    """The members of a JSON object, each value as its text."""
    members: dict[str, str] = {}
    at = _open(text, "{")
    if text[at : at + 1] == "}":
        return members
    while True:
        name, at = _scan(text, at)
        if not isinstance(name, str):
            raise _broken(text, at)
        at = _skip(text, at)
        if text[at : at + 1] != ":":
            raise _broken(text, at)
        start = _skip(text, at + 1)
        _, at = _scan(text, start)
        members[name] = text[start:at]
        at = _skip(text, at)
        if text[at : at + 1] == "}":
            return members
        at = _next(text, at)


def elements_of(text: str) -> list[str]:
    """The elements of a JSON array, each as its text."""
    elements: list[str] = []
    at = _open(text, "[")
    if text[at : at + 1] == "]":
        return elements
    while True:
        start = at
        _, at = _scan(text, start)
        elements.append(text[start:at])
        at = _skip(text, at)
        if text[at : at + 1] == "]":
            return elements
        at = _next(text, at)


def object_of(members: dict[str, str]) -> str:
    """An object of members whose values are JSON texts."""
    inside = ",".join(
        f"{json.dumps(name, ensure_ascii=False)}:{value}" for name, value in members.items()
    )
    return "{" + inside + "}"


def _open(text: str, sign: str) -> int:
    at = _skip(text, 0)
    if text[at : at + 1] != sign:
        raise _broken(text, at)
    return _skip(text, at + 1)


def _next(text: str, at: int) -> int:
    if text[at : at + 1] != ",":
        raise _broken(text, at)
    return _skip(text, at + 1)


def _skip(text: str, at: int) -> int:
    match = _SPACES.match(text, at)
    return at if match is None else match.end()


def _broken(text: str, at: int) -> ValueError:
    # The text may be a customer's record, and stays out of the message.
    return ValueError(f"unexpected JSON at character {at} of {len(text)}")
