"""How a process that runs none of the application asks one that does for its own figures.

Each process that serves the application listens at a Unix socket beside its lane, in a
thread that waits and does nothing else. The health server and ``dump_metrics`` ask one of
them at each scrape. The answer is a greeting at once, so that one who is stopped or hangs
is known from one whose collectors take their time, then JSON up to the connection's end.
"""

from __future__ import annotations

import contextlib
import json
import logging
import os
import selectors
import socket
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import ExitStack, contextmanager

from metrics import shared
from metrics.samples import Worker
from metrics.scraping.own_figures import OwnFigures
from metrics.shared.files.lanes import socket_name
from metrics.system import forks, process_identity, uwsgi
from metrics.system.failure_log import FailureLog

logger = logging.getLogger(__name__)

GREETING = b"sentinel figures 1\n"
STAGGER_SECONDS = 0.25
"""How long one process is waited for before the next is asked beside it."""
GREETING_SECONDS = 3.0
"""How long a scrape waits at most for the greeting of any process."""
RESERVE = 0.1
"""The part of the time left that is kept for what comes after the collectors."""
LOOK_EVERY_SECONDS = 10.0
"""How often a listener makes sure that its socket is still beside its lane."""
IO_SECONDS = 5.0
"""How long the other side of a connection may take to send or to read."""
MAX_ANSWER = 64 << 20
_MAX_QUESTION = 1000
_MAX_PATH = 100
"""Bytes of a socket's address: the systems allow 104 to 108."""

Produce = Callable[[float, bool], OwnFigures]
"""Gives this process's own figures by a deadline in seconds of `time.monotonic`; and,
if the second argument says so, the process figures of its pid namespace."""


class Listener:
    """Answers others' scrapes in a process, with what ``produce`` gives."""

    def __init__(self, produce: Produce) -> None:
        self._produce = produce
        self._lock = threading.Lock()
        self._pid = 0
        self._socket: socket.socket | None = None
        self._at: tuple[int, tuple[int, int]] | None = None
        self._failures = FailureLog(logger)
        forks.after_in_child(self._after_fork_in_child)

    def _after_fork_in_child(self) -> None:
        self._lock = threading.Lock()
        self._at = None
        if self._socket is not None:  # the parent's, which must look closed once that is dead
            with contextlib.suppress(OSError):
                os.close(self._socket.detach())
            self._socket = None

    @property
    def is_started(self) -> bool:
        """Whether this very process answers others' scrapes."""
        return self._pid == os.getpid()

    def start(self) -> None:
        """Listen from now on, until this process ends. Further calls do nothing.

        To be called in each process, after its fork. Never raises.
        """
        with self._lock:
            if self.is_started:
                return
            self._pid = os.getpid()
        if not uwsgi.runs_threads():  # the caller would wait for an answer that never comes
            logger.warning(
                "uWSGI runs no thread here, so that this process cannot answer others' scrapes:"
                " give it --enable-threads."
            )
            return
        try:
            threading.Thread(target=self._run, name="answer scrapes", daemon=True).start()
        except RuntimeError as e:  # no more threads
            logger.warning("This process cannot answer others' scrapes: %s", e)

    def _run(self) -> None:
        while True:
            try:
                listening = self._listen()
                if listening is None:  # no lane: there is nowhere to be found
                    time.sleep(LOOK_EVERY_SECONDS)
                    continue
                connection, _ = listening.accept()
            except TimeoutError:
                continue
            except OSError as e:
                self._failures.failed(
                    "This process cannot answer others' scrapes: %s", e, level=logging.WARNING
                )
                time.sleep(LOOK_EVERY_SECONDS)
                continue
            self._failures.ended()
            try:
                with connection:
                    self._answer(connection)
            except OSError:  # the caller is gone, or does not read
                continue
            except Exception:
                logger.exception("Another process's scrape could not be answered.")

    def _listen(self) -> socket.socket | None:
        """Return the socket beside this process's lane. Raises OSError."""
        store = shared.current()
        number = None if store is None else store.lane_number
        if store is None or number is None:
            return None
        path = os.path.join(store.directory, socket_name(number))
        if self._socket is not None:
            if self._at == (number, _identity(path)):
                return self._socket
            self._socket.close()
            self._socket = None
        # Known to `_after_fork_in_child` from its beginning.
        self._socket = new = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        try:
            with contextlib.suppress(FileNotFoundError):
                os.unlink(path)  # an earlier process's: the lane is ours
            with _short(store.directory) as short:
                new.bind(os.path.join(short, socket_name(number)))
            _give_to_owner(path)
            new.listen(16)
            new.settimeout(LOOK_EVERY_SECONDS)
        except BaseException:
            new.close()
            self._socket = None
            raise
        self._at = number, _identity(path)
        return new

    def _answer(self, connection: socket.socket) -> None:
        """Answer one question. Raises OSError."""
        connection.settimeout(IO_SECONDS)
        connection.sendall(GREETING)
        question = b""
        while not question.endswith(b"\n"):
            more = connection.recv(_MAX_QUESTION)
            if not more or len(question) > _MAX_QUESTION:  # it took another process's answer
                return
            question += more
        try:
            asked = json.loads(question)
            deadline = time.monotonic() + min(float(asked["seconds"]), 300.0)
            elsewhere = asked["pid_namespace"] != process_identity.pid_namespace()
        except (ValueError, TypeError, KeyError):
            return
        connection.sendall(self._produce(deadline, elsewhere).to_json())


def ask(
    store: shared.Store, workers: Iterable[Worker], deadline: float
) -> tuple[Worker, OwnFigures] | None:
    """Return which process of ``workers`` answered, and its own figures; None if none did.

    The one that has lived longest is asked first, so that it is the same from scrape to
    scrape. ``deadline`` is in seconds of `time.monotonic`. Never raises OSError.
    """
    living = sorted((w for w in workers if w.alive), key=lambda w: (w.started, w.number))
    candidates = iter([w for w in living if w.number != store.lane_number])
    with ExitStack() as stack, selectors.DefaultSelector() as selector:
        begun = time.monotonic()
        greeted_by = begun + min(GREETING_SECONDS, max(0.0, (deadline - begun) / 2))
        while True:
            worker = _connect_next(store.directory, candidates, selector, stack)
            if not selector.get_map():
                return None
            wait = greeted_by - time.monotonic()
            if worker is not None:
                wait = min(wait, STAGGER_SECONDS)
            ready = selector.select(max(0.0, wait))
            for key, _events in ready:
                selector.unregister(key.fileobj)
                try:
                    assert isinstance(key.fileobj, socket.socket)
                    return key.data, _converse(key.fileobj, deadline)
                except (OSError, ValueError, TypeError, KeyError) as e:
                    logger.debug("worker %s did not answer: %r", key.data.number, e)
            if not ready and time.monotonic() >= greeted_by:
                return None


def _connect_next(
    directory: str,
    candidates: Iterator[Worker],
    selector: selectors.BaseSelector,
    stack: ExitStack,
) -> Worker | None:
    """Connect to the next process that listens; return it, or None if there is no other."""
    for worker in candidates:
        connection = stack.enter_context(socket.socket(socket.AF_UNIX, socket.SOCK_STREAM))
        connection.setblocking(False)  # a full queue of one that is stopped is an error
        try:
            with _short(directory) as short:
                connection.connect(os.path.join(short, socket_name(worker.number)))
        except OSError:
            continue
        selector.register(connection, selectors.EVENT_READ, worker)
        return worker
    return None


def _converse(connection: socket.socket, deadline: float) -> OwnFigures:
    """Ask one process, which has sent something. Raises OSError, ValueError and the like."""
    if (greeting := connection.recv(len(GREETING))) != GREETING:
        raise ValueError(f"an unknown greeting: {greeting!r}")
    left = deadline - time.monotonic()
    connection.settimeout(IO_SECONDS)
    seconds = left * (1 - RESERVE)
    question = {"seconds": seconds, "pid_namespace": process_identity.pid_namespace()}
    connection.sendall(json.dumps(question).encode() + b"\n")
    pieces: list[bytes] = []
    size = 0
    while True:
        connection.settimeout(max(0.001, deadline - time.monotonic()))
        piece = connection.recv(1 << 20)
        if not piece:
            return OwnFigures.from_json(b"".join(pieces))
        pieces.append(piece)
        size += len(piece)
        if size > MAX_ANSWER:
            raise ValueError(f"an answer of more than {MAX_ANSWER} bytes")


@contextmanager
def _short(directory: str) -> Iterator[str]:
    """Give ``directory`` a name that fits into a socket's address. Raises OSError."""
    if len(os.fsencode(directory)) + len(socket_name(9999)) < _MAX_PATH:
        yield directory
        return
    fd = os.open(directory, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        yield f"/proc/self/fd/{fd}"
    finally:
        os.close(fd)


def _identity(path: str) -> tuple[int, int]:
    try:
        found = os.lstat(path)
    except OSError:
        return 0, 0
    return found.st_dev, found.st_ino


def _give_to_owner(path: str) -> None:
    """Let the directory's owner alone connect, as its files are the owner's alone."""
    os.chmod(path, 0o600)
    if os.geteuid() == 0:
        owner = os.stat(os.path.dirname(path))
        os.chown(path, owner.st_uid, owner.st_gid, follow_symlinks=False)
