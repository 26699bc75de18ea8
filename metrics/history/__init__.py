"""The last hour at 5 s, kept by one process of the host for whoever asks.

`keep` in each process that may write it, `metrics.history.window` for those who read.
"""

STEP = 5
"""Seconds from one row to the next."""


def keep() -> None:
    """Have this process keep the history, or stand by for the one that does; never raises.

    For processes that serve requests, after their fork. Without a shared store, or with
    ``SENTINEL_HISTORY`` False, nothing starts.
    """
    from metrics.history import recorder  # not where only a module beside it is needed

    recorder.ensure_started()
