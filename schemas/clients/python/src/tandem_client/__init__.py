"""Client of Tandem: exports, the change feed, bulk jobs, and a replica."""

from ._errors import (
    ApiError,
    ChecksumError,
    ConflictError,
    ConnectionFailed,
    ForbiddenError,
    GoneError,
    InternalError,
    InvalidError,
    JobError,
    MalformedError,
    NotFoundError,
    ReplicaError,
    SignatureError,
    Stopped,
    TandemError,
    TooLargeError,
    TooManyError,
    UnauthorizedError,
    UnavailableError,
    WaitTimeout,
)
from ._files import DownloadProgress
from ._pages import Pages
from ._replica_check import CountAndDigest, RecordDifference, ReplicaCheck, ResourceCheck
from ._replica_state import StoredRecord, StoreTransaction
from ._transport import CallOptions
from ._types import Event, EventPage, Manifest
from ._verify import Delivery, verify_webhook
from .client import Tandem, __version__
from .replica import LoadProgress, Replica, ReplicaStatus, ReplicaStore
from .sqlite import SqliteStore

__all__ = [
    "ApiError",
    "CallOptions",
    "ChecksumError",
    "ConflictError",
    "ConnectionFailed",
    "CountAndDigest",
    "Delivery",
    "DownloadProgress",
    "Event",
    "EventPage",
    "ForbiddenError",
    "GoneError",
    "InternalError",
    "InvalidError",
    "JobError",
    "LoadProgress",
    "MalformedError",
    "Manifest",
    "NotFoundError",
    "Pages",
    "RecordDifference",
    "Replica",
    "ReplicaCheck",
    "ReplicaError",
    "ReplicaStatus",
    "ReplicaStore",
    "ResourceCheck",
    "SignatureError",
    "SqliteStore",
    "Stopped",
    "StoreTransaction",
    "StoredRecord",
    "Tandem",
    "TandemError",
    "TooLargeError",
    "TooManyError",
    "UnauthorizedError",
    "UnavailableError",
    "WaitTimeout",
    "__version__",
    "verify_webhook",
]
