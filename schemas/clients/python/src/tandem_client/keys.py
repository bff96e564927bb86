"""The API keys of the account."""

from __future__ import annotations

from typing import Unpack, cast

from ._api import Api
from ._generated import (
    CreateAccountKeyRequest,
    Key,
    ListAccountKeysQuery,
    NewKey,
    RevokeAccountKeyQuery,
)
from ._pages import Pages


class Keys:
    """Needs the scopes ``keys:read`` and ``keys:write``."""

    def __init__(self, api: Api) -> None:
        self._api = api

    def create(self, **request: Unpack[CreateAccountKeyRequest]) -> NewKey:
        """Creates a key with scopes that this key has. It is shown only now."""
        return cast(NewKey, self._api.call("createAccountKey", body=request))

    def list(self, **query: Unpack[ListAccountKeysQuery]) -> Pages[Key]:
        """Newest first, revoked ones too."""
        return self._api.pages("listAccountKeys", query=query)

    def revoke(self, key_id: str, **query: Unpack[RevokeAccountKeyQuery]) -> None:
        """The next request with the key is refused. ``with_made`` revokes the keys that it made too."""
        self._api.call("revokeAccountKey", params={"id": key_id}, query=query)
