"""A parent whose health server dies again and again."""

from __future__ import annotations

import logging
import sys

from health.supervisor import parent
from health.supervisor.child import Child

logging.basicConfig(level="INFO")
parent.FIRST_PAUSE_SECONDS = parent.LONGEST_PAUSE_SECONDS = 0.01
application = Child("application", ["sleep", "600"])
health = Child("health server", ["sh", "-c", "exit 7"])
marks: list[bool] = []
supervisor = parent.Supervisor(application, health, drain=marks.append, drain_seconds=0.1)
status, failure = supervisor.run()
print(marks, failure)
sys.exit(status)
