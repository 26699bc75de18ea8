"""Where the processes of one service on one host meet: the run directory.

Nothing here imports Django or prometheus_client, so that a probe that must be
quick can find the directory too.
"""

from __future__ import annotations

import hashlib
import os
import re
import stat
import sys
import tempfile
from pathlib import Path

AUTO = "auto"


class RunDirError(OSError):
    """The run directory cannot be used, and the message says why."""


def _system_dir() -> Path:
    """Return the place that every process of this user agrees on.

    Deliberately not ``$XDG_RUNTIME_DIR``: a cron job and a login session of the
    same user disagree about it, and it is removed at log-out.
    """
    if sys.platform == "linux" and os.geteuid() == 0 and os.access("/run", os.W_OK):
        return Path("/run")
    return Path(tempfile.gettempdir())


def auto_path(project: str, root: str | os.PathLike[str]) -> Path:
    """Name the private directory of ``project``, whose code lies in ``root``.

    The name holds the user's id and a digest of ``root``, so that two checkouts
    of one project, or two users, never share figures.
    """
    digest = hashlib.sha256(os.fsencode(os.path.realpath(root))).hexdigest()[:8]
    safe = re.sub(r"[^A-Za-z0-9_.-]", "-", project) or "project"
    return _system_dir() / f"sentinel-{os.geteuid()}-{safe}-{digest}"


def ensure_private(path: Path, *, strict: bool = True) -> Path:
    """Create ``path`` with mode 0700 if need be, and refuse one that is not ours.

    A directory that somebody else planted in a world-writable place, or a
    symbolic link to one, could make us write wherever they like.

    ``strict`` is for a name that others can guess (``"auto"``): only a directory
    of this very user will do. Without it an operator's own choice is trusted a
    little further: root may use a directory that belongs to the user its workers
    run as, and a group may share it, unless everybody can write to its parent.

    Raises RunDirError, whose message says what to mend.
    """
    try:
        path.mkdir(mode=0o700, parents=True)
    except FileExistsError:
        pass
    except OSError as e:
        raise RunDirError(f"cannot create the run directory {path}: {e.strerror}") from e
    info = os.lstat(path)
    if stat.S_ISLNK(info.st_mode):
        raise RunDirError(f"the run directory {path} is a symbolic link; name the directory itself")
    if not stat.S_ISDIR(info.st_mode):
        raise RunDirError(f"the run directory {path} is not a directory")
    trusted = not strict and not os.stat(path.parent).st_mode & 0o002
    if info.st_uid != os.geteuid() and not (os.geteuid() == 0 and trusted):
        raise RunDirError(
            f"the run directory {path} belongs to user {info.st_uid}, not to {os.geteuid()}"
        )
    if info.st_mode & (0o002 if trusted else 0o022):
        raise RunDirError(
            f"the run directory {path} can be written by others"
            f" (mode {stat.S_IMODE(info.st_mode):04o}); chmod it to 0700"
        )
    return path
