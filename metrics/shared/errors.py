"""What can go wrong in the store; none of these reaches a request."""

from __future__ import annotations

import errno

from metrics.system.flock import LockBusyError
from metrics.system.run_dir import RunDirError


class StoreError(Exception):
    """The store cannot do something; ``reason`` is the word that is counted."""

    reason = "other"


class TooManyLanesError(StoreError):
    """More processes than the store has lanes for."""

    reason = "too_many_lanes"


class TooManySeriesError(StoreError):
    """More cells than a lane may have."""

    reason = "too_many_series"


class RecordTooLargeError(StoreError):
    """A label set that is too long for the index."""

    reason = "record_too_large"


class ReplacedError(StoreError):
    """The index is not the one that was read: it was replaced, cut, or mended."""


LOCK_TIMEOUT = "lock_timeout"
NO_SPACE = "no_space"
NO_PERMISSION = "no_permission"
NO_DIRECTORY = "no_directory"

REASONS = (
    LOCK_TIMEOUT,
    NO_DIRECTORY,
    NO_PERMISSION,
    NO_SPACE,
    StoreError.reason,
    RecordTooLargeError.reason,
    TooManyLanesError.reason,
    TooManySeriesError.reason,
)
"""Every word that `reason_of` can give, in order."""

_BY_ERRNO = {
    errno.ENOSPC: NO_SPACE,
    errno.EDQUOT: NO_SPACE,
    errno.EFBIG: NO_SPACE,
    errno.EACCES: NO_PERMISSION,
    errno.EPERM: NO_PERMISSION,
    errno.EROFS: NO_PERMISSION,
    errno.ENOENT: NO_DIRECTORY,
    errno.ENOTDIR: NO_DIRECTORY,
}


def reason_of(error: BaseException) -> str:
    """Return the word under which ``error`` is counted."""
    if isinstance(error, StoreError):
        return error.reason
    if isinstance(error, OSError) and error.errno is not None:
        return _BY_ERRNO.get(error.errno, StoreError.reason)
    if isinstance(error, LockBusyError):
        return LOCK_TIMEOUT
    return NO_PERMISSION if isinstance(error, RunDirError) else StoreError.reason
