from __future__ import annotations

from typing import Any, Callable, Generic, Iterator, Mapping, TypeVar

T = TypeVar("T")


class Pages(Generic[T]):
    """A list that is read page by page, when it is needed: ``for item in pages``.

    Each iteration starts again from the first page.
    """

    def __init__(self, read: Callable[[str | None], Mapping[str, Any]]) -> None:
        self._read = read

    def page(self, cursor: str | None = None) -> Mapping[str, Any]:
        """One page, the first or that of a cursor: ``data``, ``has_more``, ``next_cursor``."""
        return self._read(cursor)

    def pages(self) -> Iterator[Mapping[str, Any]]:
        """Page after page."""
        cursor: str | None = None
        while True:
            page = self._read(cursor)
            yield page
            cursor = page["next_cursor"]
            if not page["has_more"] or cursor is None:
                return

    def __iter__(self) -> Iterator[T]:
        for page in self.pages():
            yield from page["data"]
