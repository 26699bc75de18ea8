"""Where the processes of one service on one host meet: the run directory.

Nothing here imports Django or prometheus_client, so that a probe that must be
quick can find the directory too.
"""

from __future__ import annotations

import contextlib
import functools
import os
import re
import stat
import sys

TYPE_CHECKING = False
if TYPE_CHECKING:
    from pathlib import Path

    Place = str | os.PathLike[str]

AUTO = "auto"

PRIVATE = "sentinel-private"
"""The folder that is the run directory in a directory which others may write to."""

_SERVICE = r"[A-Za-z0-9][A-Za-z0-9_.-]{0,63}"
"""What a service may be called."""

RUN = ("/run",) if sys.platform == "linux" else ()
"""Where files of root's services go until the machine is started anew."""

TEMPORARY = ("/tmp", "/var/tmp", "/usr/tmp", "/dev/shm")
"""Where temporary files may go. A container whose root is read-only has the last one."""


def is_service(text: str) -> bool:
    """Whether ``text`` can be part of the name of a service's directory."""
    return re.fullmatch(_SERVICE, text) is not None


class RunDirError(OSError):
    """The run directory cannot be used, and the message says why."""


def places() -> list[str]:
    """Return where the automatic directory may lie, the best first.

    Deliberately not ``$XDG_RUNTIME_DIR``: a cron job and a login session of the
    same user disagree about it, and it is removed at log-out. Nor the current folder,
    in which the `tempfile` module ends: each process has another.
    """
    run = RUN if os.geteuid() == 0 else ()
    named = [os.environ.get(name, "") for name in ("TMPDIR", "TEMP", "TMP")]
    return [*run, *(path for path in named if os.path.isabs(path)), *TEMPORARY]


def writable_place() -> str:
    """Return the place that every process of this user agrees on, or nothing.

    What may be written to is asked, not tried: a disk that is full for a while must not
    send one process elsewhere than the others.
    """
    effective = os.access in os.supports_effective_ids
    for path in places():
        if os.path.isdir(path) and os.access(path, os.W_OK | os.X_OK, effective_ids=effective):
            return path
    return ""


def auto_path(project: str, root: str | os.PathLike[str], *, service: str = "") -> str:
    """Name the private directory of ``project``, whose code lies in ``root``.

    The name holds the user's id and a digest of ``root``, so that two checkouts
    of one project, or two users, never share figures. ``service``, where it is given,
    stands in place of both project and root. Empty where no place can be written to.
    """
    place = writable_place()
    return place and f"{place}/sentinel-{os.geteuid()}-{_name(project, root, service)}"


def of_other_users(project: str, root: str | os.PathLike[str], *, service: str = "") -> list[str]:
    """Return the automatic directories that other users have for this very service."""
    name = _name(project, root, service)
    pattern = re.compile(rf"sentinel-[0-9]+-{re.escape(name)}")
    found = []
    for place in dict.fromkeys([*RUN, *places()]):
        with contextlib.suppress(OSError):
            names = [entry for entry in os.listdir(place) if pattern.fullmatch(entry)]
            paths = [f"{place}/{entry}" for entry in sorted(names)]
            found += [path for path in paths if os.lstat(path).st_uid != os.geteuid()]
    return found


def _name(project: str, root: str | os.PathLike[str], service: str) -> str:
    if service:
        return service
    import hashlib  # takes as long as all the rest, and is needed only where no directory is named

    digest = hashlib.sha256(os.fsencode(lasting_path(os.fspath(root)))).hexdigest()[:8]
    safe = re.sub(r"[^A-Za-z0-9_.-]", "-", project) or "project"
    return f"{safe}-{digest}"


@functools.cache
def lasting_path(folder: str) -> str:
    """Return the path of ``folder`` that stays when a deploy puts another in its place.

    Where a release is a folder of its own and a symbolic link beside it, or beside the
    folder of all releases, names the current one, that is the path by way of the link,
    from wherever a process came to the folder. Otherwise it is the real path. The code
    may lie in the release itself or in a folder of it.
    """
    real = os.path.realpath(folder)
    for release in (real, os.path.dirname(real)):
        beside = os.path.dirname(release)
        for place in (beside, os.path.dirname(beside)):
            if link := _link_to(release, place):
                return os.path.join(place, link) + real[len(release) :]
    return real


def _link_to(target: str, place: str) -> str:
    """Return the name of the symbolic link in ``place`` to ``target``, or nothing.

    Of several it is ``current``, which deploy tools agree on, or else the first by name.
    """
    found = []
    try:
        there = os.stat(target)
        with os.scandir(place) as entries:
            for entry in entries:
                with contextlib.suppress(OSError):  # a link that leads nowhere
                    if entry.is_symlink() and os.path.samestat(entry.stat(), there):
                        found.append(entry.name)
    except OSError:
        return ""
    return "current" if "current" in found else min(found, default="")


def locate(path: str) -> str:
    """Return the run directory that ``path``, an operator's choice, stands for.

    The directory itself, where only its owner can write, or where it is yet to be made.
    Others can write to a volume (an ``emptyDir``, ``docker --tmpfs``) or to a directory
    that an image keeps for any user of its group: there it is the folder `PRIVATE`, which
    `RunDir.ensure` guards as it does one in the temporary directory. Every process and
    every user gets the same answer.
    """
    try:
        info = os.lstat(path)
    except OSError:
        return path
    if not stat.S_ISDIR(info.st_mode) or not info.st_mode & 0o022:
        return path
    private = f"{path}/{PRIVATE}"
    if os.path.lexists(private):
        return private
    own = info.st_uid == os.geteuid() or os.geteuid() == 0
    for_group = not info.st_mode & 0o002 and not _is_shared(os.path.dirname(path))
    return path if own and for_group else private


def _is_shared(folder: str | os.PathLike[str]) -> bool:
    """Whether everybody can write to ``folder``."""
    return bool(os.stat(folder).st_mode & 0o002)


class RunDir:
    """A run directory: where it is, and whom it may belong to.

    ``is_guessable`` says that others can tell its name (``"auto"``), so that only a
    directory of this very user will do. An operator's own choice is trusted a little
    further: root may use a directory that belongs to the user its workers run as, and a
    group may share it, unless everybody can write to its parent.
    """

    __slots__ = ("is_guessable", "path")

    def __init__(self, path: Place, *, is_guessable: bool = False) -> None:
        self.path = os.fspath(path)
        self.is_guessable = is_guessable

    @classmethod
    def of(cls, place: RunDir | Place) -> RunDir:
        """Return ``place`` itself, or the operator's choice that a path is."""
        return place if isinstance(place, RunDir) else cls(place)

    def __fspath__(self) -> str:
        return self.path

    def __str__(self) -> str:
        return self.path

    def __repr__(self) -> str:
        return f"RunDir({self.path!r}, is_guessable={self.is_guessable})"

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, RunDir):
            return NotImplemented
        return (self.path, self.is_guessable) == (other.path, other.is_guessable)

    def __hash__(self) -> int:
        return hash(self.path)

    def __truediv__(self, name: str) -> Path:
        from pathlib import Path  # not where a probe only looks for the directory

        return Path(self.path, name)

    def ensure(self, *, owner: int | None = None) -> Path:
        """Create the directory with mode 0700 if need be, and refuse one that is not ours.

        A directory that somebody else planted in a world-writable place, or a symbolic
        link to one, could make us write wherever they like. ``owner`` is a user whose
        directory it may be as well as this user's.

        Raises RunDirError, whose message says what to mend.
        """
        path = self / ""
        try:
            path.mkdir(mode=0o700, parents=True)
        except FileExistsError:
            pass
        except OSError as e:
            raise RunDirError(f"cannot create the run directory {path}: {e.strerror}") from e
        self._refuse_others(path, owner)
        return path

    def problem(self) -> str:
        """Say why this process could not use the directory, or nothing; creates nothing."""
        path = self / ""
        if os.path.lexists(path):
            try:
                self._refuse_others(path, None)
            except OSError as e:
                return str(e)
            if not os.access(path, os.W_OK | os.X_OK):
                return f"the run directory {path} cannot be written to"
            return ""
        parent = next(folder for folder in path.parents if folder.exists())
        if parent.is_dir() and os.access(parent, os.W_OK | os.X_OK):
            return ""
        return f"the run directory {path} cannot be created in {parent}"

    def _refuse_others(self, path: Path, owner: int | None) -> None:
        """Raise RunDirError unless an existing ``path`` is a directory for us alone."""
        info = os.lstat(path)
        if stat.S_ISLNK(info.st_mode):
            raise RunDirError(
                f"the run directory {path} is a symbolic link; name the directory itself"
            )
        if not stat.S_ISDIR(info.st_mode):
            raise RunDirError(f"the run directory {path} is not a directory")
        trusted = not self.is_guessable and not _is_shared(path.parent)
        if info.st_uid not in (os.geteuid(), owner) and not (os.geteuid() == 0 and trusted):
            raise RunDirError(
                f"the run directory {path} belongs to user {info.st_uid}, not to {os.geteuid()}"
            )
        if info.st_mode & (0o002 if trusted else 0o022):
            raise RunDirError(
                f"the run directory {path} can be written by others"
                f" (mode {stat.S_IMODE(info.st_mode):04o}); chmod it to 0700"
            )
