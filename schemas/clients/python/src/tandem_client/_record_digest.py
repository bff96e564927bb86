"""Digests of records, which replica and source compute alike."""

from __future__ import annotations

import hashlib

from ._raw_json import members_of, object_of

#: Records are in one of so many buckets, by the hash of their key.
BUCKETS = 256
_MODULUS = 2**256


def canonical_of(record: str) -> str:
    """The text whose hash is the digest: no nulls, and the members in the order of their names."""
    members = members_of(record)
    return object_of({name: members[name] for name in sorted(members) if members[name] != "null"})


def digest_of(record: str) -> str:
    """The SHA-256 of a record, in hexadecimal."""
    return hashlib.sha256(canonical_of(record).encode()).hexdigest()


def bucket_of(key: str) -> int:
    """``key``: the key columns as a JSON object without spaces, as events have it."""
    return hashlib.sha256(key.encode()).digest()[0]


class DigestSum:
    """Number of records and the sum of their digests, in any order."""

    def __init__(self) -> None:
        self.rows = 0
        self._sum = 0

    def add(self, digest: str) -> None:
        self.rows += 1
        self._sum = (self._sum + int(digest, 16)) % _MODULUS

    @property
    def digest(self) -> str:
        """64 hexadecimal digits."""
        return f"{self._sum:064x}"
