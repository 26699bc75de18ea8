"""Do what systemd does: sockets from descriptor 3 on, told of in the environment.

``python activate.py DESCRIPTORS NAMES WORD ...`` runs Python with the words.
"""

from __future__ import annotations

import os
import sys

descriptors = [int(word) for word in sys.argv[1].split(",")]
for place, fd in enumerate(descriptors):
    os.dup2(fd, 100 + place)
count = len(descriptors)
for place in range(count):
    os.dup2(100 + place, 3 + place)
os.environ.update(LISTEN_PID=str(os.getpid()), LISTEN_FDS=str(count), LISTEN_FDNAMES=sys.argv[2])
os.execv(sys.executable, [sys.executable, *sys.argv[3:]])
