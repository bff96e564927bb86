"""The account's records in a store of yours, kept current by the feed."""

from __future__ import annotations

import json
import threading
from dataclasses import dataclass, replace
from datetime import datetime, timedelta, timezone
from typing import Callable, ContextManager, Iterable, Mapping, Protocol, Sequence, cast

from ._errors import ReplicaError, SignatureError, Stopped, TandemError
from ._generated import WebhookRequest
from ._replica_check import Checked, ReplicaCheck, check_replica, require_hold
from ._replica_events import RawEvent, apply_event, events_of_body
from ._replica_load import Change, LoadProgress, Work, run_load
from ._replica_pull import PAGE_EVENTS, is_too_old, read_events
from ._replica_state import (
    State,
    StoreTransaction,
    after_reset,
    begin_load,
    is_held,
    read_state,
    write_state,
)
from ._replica_subscribe import subscribe
from ._retry import is_passing, pause, require_running, retry_delay
from ._verify import verify_webhook
from .client import Tandem

_DROP_ROWS = 5_000
#: How soon events go on after a check.
_HELD_SECONDS = 0.2
#: Seconds between two checks of the endpoint.
_CHECK_SECONDS = 30.0


class ReplicaStore(Protocol):
    """Where a replica is kept."""

    def transaction(self) -> ContextManager[StoreTransaction]:
        """A transaction: all of it is durable after the block, or nothing if it raises.

        Calls from several threads may overlap: they take effect one after the other.
        """


@dataclass(frozen=True)
class ReplicaStatus:
    #: Whether the records can be read: a load has been completed.
    is_loaded: bool
    export_id: str | None
    #: Why a load is running; None while none is.
    loading: str | None
    #: Resources whose changes the source cannot send at present, with the reason.
    stalled: Mapping[str, str]
    webhook_id: str | None


class Replica:
    """The files of one export, then every change from exactly where the export ends.

    It may be killed at any moment, because what it knows is stored in the transactions that change
    the records. ``keep_deleted_days`` is how long deleted records are remembered: longer than
    events can be delivered again.
    """

    def __init__(
        self,
        client: Tandem,
        store: ReplicaStore,
        resources: Iterable[str],
        *,
        keep_deleted_days: int = 45,
    ) -> None:
        self._client = client
        self._store = store
        self._resources = sorted(set(resources))
        self._keep_deleted = timedelta(days=keep_deleted_days)
        # A webhook has brought a reset.
        self._woken = threading.Event()
        # Records of other loads may be left: by a load of this replica, or by a killed process.
        self._may_have_old_loads = True
        if not self._resources:
            raise ReplicaError("A replica needs the name of a resource.")

    def status(self) -> ReplicaStatus:
        state = self._state()
        return ReplicaStatus(
            is_loaded=state is not None and state.shown > 0,
            export_id=state.export_id if state else None,
            loading=state.loading.reason if state and state.loading else None,
            stalled=state.stalled if state else {},
            webhook_id=state.webhook.id if state and state.webhook else None,
        )

    def load(
        self,
        *,
        on_progress: Callable[[LoadProgress], object] | None = None,
        stop: threading.Event | None = None,
    ) -> None:
        """Loads an export, if none is loaded, a reset came, or the resources are others.

        Readers see the old records until it is done.
        """
        state = self._change(lambda _, now: self._with_load(now))
        if state is not None and state.loading is not None:
            self._may_have_old_loads = True
            run_load(self._client, self._change, state, on_progress=on_progress, stop=stop)
        if self._may_have_old_loads:
            self._drop_old_loads(stop)

    def reload(
        self,
        *,
        on_progress: Callable[[LoadProgress], object] | None = None,
        stop: threading.Event | None = None,
    ) -> None:
        """Takes a new export, whatever is loaded."""
        self._change(lambda _, now: begin_load(now, self._resources, "requested"))
        self.load(on_progress=on_progress, stop=stop)

    def sync(
        self,
        *,
        on_progress: Callable[[LoadProgress], object] | None = None,
        on_events: Callable[[int], object] | None = None,
        on_reset: Callable[[str], object] | None = None,
        stop: threading.Event | None = None,
    ) -> None:
        """Loads if it must, and pulls the feed up to now."""
        while True:
            self.load(on_progress=on_progress, stop=stop)
            if self._pull_to_end(on_events, on_reset, stop):
                return

    def follow(
        self,
        *,
        webhook: WebhookRequest | None = None,
        poll_seconds: float = 1.0,
        on_progress: Callable[[LoadProgress], object] | None = None,
        on_events: Callable[[int], object] | None = None,
        on_reset: Callable[[str], object] | None = None,
        on_error: Callable[[Exception], object] | None = None,
        stop: threading.Event | None = None,
    ) -> None:
        """Keeps the replica current until ``stop`` is set.

        By pulling; or with ``webhook={"url": …}`` by webhooks, which your server hands to
        ``receive``. Failures of the connection are tried again.
        """
        failures = 0
        while stop is None or not stop.is_set():
            try:
                if webhook is None:
                    self.sync(
                        on_progress=on_progress, on_events=on_events, on_reset=on_reset, stop=stop
                    )
                    pause(poll_seconds, stop)
                else:
                    self._follow_webhook(webhook, on_progress, on_reset, stop)
                failures = 0
            except Stopped:
                return
            except TandemError as error:
                if not is_passing(error):
                    raise
                if on_error is not None:
                    on_error(error)
                failures += 1
                if stop is None:
                    pause(retry_delay(failures, None), None)
                else:
                    stop.wait(retry_delay(failures, None))

    def verify(self, *, stop: threading.Event | None = None) -> ReplicaCheck:
        """Compares the replica with the source.

        Row counts and digests at one position of the feed, and the records that differ. The replica
        has to be loaded. No event is applied, in any process, until the position is known, which
        takes up to 120 seconds, and every record is digested; receive() returns 503 meanwhile. If
        records differ, that happens once more for each resource that has some. Raises ReplicaError
        when it cannot be compared.
        """

        def apply(events: Sequence[RawEvent], cursor: str, check_id: str) -> None:
            _, reset = self._apply(events, cursor=cursor, check_id=check_id)
            if reset is not None:
                raise ReplicaError(f"The replica needs a new export first: {reset}.")

        return check_replica(Checked(self._client, self._change, apply, stop))

    def receive(self, headers: Mapping[str, str], body: bytes) -> int:
        """Verifies a webhook request by its raw body, and applies its events.

        Returns the status to respond with. 503: the endpoint is not known yet, or a load or a check
        is running, so that the events come again.
        """
        state = self._state()
        webhook = state.webhook if state else None
        # What a former endpoint still delivers may be in the new export already.
        if state is None or webhook is None or webhook.export_id != state.export_id:
            return 503
        if state.loading is not None:
            return 503
        try:
            delivery = verify_webhook(headers, body, webhook.secrets, loads=lambda _: {})
        except SignatureError:
            return 401
        is_ignored, _ = self._apply(events_of_body(delivery.text))
        return 503 if is_ignored else 204

    def _follow_webhook(
        self,
        webhook: WebhookRequest,
        on_progress: Callable[[LoadProgress], object] | None,
        on_reset: Callable[[str], object] | None,
        stop: threading.Event | None,
    ) -> None:
        self._woken.clear()
        self.load(on_progress=on_progress, stop=stop)
        try:
            is_following = subscribe(self._client, self._change, webhook, stop)
        except TandemError as error:
            self._reload_if_too_old(error)
            is_following = True
        if not is_following:
            self._begin_again("endpoint_lost")
        # Another process may receive, and the endpoint may be deleted or disabled.
        self._wait_until_woken(stop)
        require_running(stop)
        state = self._state()
        if state is not None and state.loading is not None and on_reset is not None:
            on_reset(state.loading.reason)

    def _wait_until_woken(self, stop: threading.Event | None) -> None:
        left = _CHECK_SECONDS
        while left > 0 and not self._woken.wait(0.2):
            require_running(stop)
            left -= 0.2

    def _pull_to_end(
        self,
        on_events: Callable[[int], object] | None,
        on_reset: Callable[[str], object] | None,
        stop: threading.Event | None,
    ) -> bool:
        """False when a reset came, so that a load must follow."""
        while True:
            require_running(stop)
            state = self._state()
            if state is None or state.loading is not None:
                return False
            if is_held(state):
                pause(_HELD_SECONDS, stop)
                continue
            after = {"after": state.cursor} if state.cursor else {"after_export": state.export_id}
            try:
                events, has_more, cursor = read_events(self._client, after, PAGE_EVENTS, stop)
            except TandemError as error:
                self._reload_if_too_old(error)
                return False
            _, reset = self._apply(events, cursor=cursor, load=state.shown, on_events=on_events)
            if reset is not None:
                if on_reset is not None:
                    on_reset(reset)
                return False
            if not has_more:
                return True

    def _apply(
        self,
        events: Sequence[RawEvent],
        *,
        cursor: str | None = None,
        load: int | None = None,
        check_id: str | None = None,
        on_events: Callable[[int], object] | None = None,
    ) -> tuple[bool, str | None]:
        """Applies events in one transaction. Returns whether they were ignored, and a reset's reason."""
        is_ignored = False
        count = 0

        def work(transaction: StoreTransaction, now: State | None) -> State | None:
            nonlocal is_ignored, count
            is_other = load is not None and now is not None and now.shown != load
            if check_id is not None:
                require_hold(now, check_id)
            if (
                now is None
                or now.loading is not None
                or is_other
                or is_held(now, check_id)
            ):
                is_ignored = True
                return None
            state = now if cursor is None else replace(now, cursor=cursor)
            for event in events:
                state = self._apply_one(transaction, state, event)
                if state.loading is not None:
                    return state
                count += 1
            last = max((event.position or "" for event in events), default="")
            state = replace(state, position=max(state.position, last))
            return self._prune(transaction, state, events[-1].timestamp if events else "")

        after = self._change(work)
        if count > 0 and on_events is not None:
            on_events(count)
        if is_ignored or after is None or after.loading is None:
            return is_ignored, None
        self._woken.set()
        return False, after.loading.reason

    def _apply_one(
        self, transaction: StoreTransaction, state: State, event: RawEvent
    ) -> State:
        # Events of the account say nothing about records.
        if event.position is None:
            return state
        if event.type == "feed.reset":
            data = cast("dict[str, object]", json.loads(event.data))
            named = cast("list[str]", data["resources"])
            ours = [name for name in named if name in state.resources]
            return after_reset(state, str(data["reason"]), ours) if ours else state
        if event.resource not in state.resources:
            return state
        if apply_event(transaction, state.shown, event):
            return state
        return begin_load(state, state.resources, "record_missing")

    def _prune(self, transaction: StoreTransaction, state: State, timestamp: str) -> State:
        """Once a day, removes the deleted records that no late event can be about any more."""
        day = timestamp[:10]
        if day <= state.pruned_on:
            return state
        date = datetime.fromisoformat(day).replace(tzinfo=timezone.utc)
        transaction.drop_deleted(state.shown, (date - self._keep_deleted).strftime("%Y-%m-%d"))
        return replace(state, pruned_on=day)

    def _drop_old_loads(self, stop: threading.Event | None) -> None:
        has_more = True

        def work(transaction: StoreTransaction, state: State | None) -> None:
            nonlocal has_more
            kept = [state.shown if state else 0]
            if state is not None and state.loading is not None:
                kept.append(state.loading.load)
            has_more = transaction.drop_others(kept, _DROP_ROWS)

        while has_more:
            require_running(stop)
            self._change(work)
        self._may_have_old_loads = False

    def _with_load(self, state: State | None) -> State | None:
        is_same = state is not None and list(state.resources) == self._resources
        if state is not None and is_same and (state.shown > 0 or state.loading is not None):
            return state
        reason = "first_load" if state is None else "other_resources"
        return begin_load(state, self._resources, reason)

    def _reload_if_too_old(self, error: TandemError) -> None:
        """The feed no longer reaches back to the replica: only a new export helps."""
        if not is_too_old(error):
            raise error
        self._begin_again("events_expired")

    def _begin_again(self, reason: str) -> None:
        def work(_: StoreTransaction, now: State | None) -> State | None:
            return begin_load(now, now.resources, reason) if now and not now.loading else now

        self._change(work)
        self._woken.set()

    def _state(self) -> State | None:
        return self._change(lambda _, now: now)

    def _change(self, work: Work) -> State | None:
        """Changes state and records in one transaction; ``work`` returns the state, or None to leave it."""
        with self._store.transaction() as transaction:
            text = transaction.read_state()
            state = None if text is None else read_state(text)
            following = work(transaction, state)
            if following is None or following is state:
                return state
            transaction.write_state(write_state(following))
            return following


__all__ = ["Change", "LoadProgress", "Replica", "ReplicaStatus", "ReplicaStore"]
