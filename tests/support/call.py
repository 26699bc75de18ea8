"""Call a function of a test's program in this process, with Django set up before it is imported.

``python -m tests.support.call [--bare] MODULE FUNCTION [JSON ...]``: what the function
returns is printed as JSON, unless it is None. With ``--bare`` the function sets Django up
itself, or does without it.
"""

from __future__ import annotations

import importlib
import json
import sys


def main(words: list[str]) -> None:
    """Call what the words of the command line name."""
    if words[0] == "--bare":
        words = words[1:]
    else:
        import django

        django.setup()
    module, name, *arguments = words
    function = getattr(importlib.import_module(module), name)
    answer = function(*map(json.loads, arguments))
    if answer is not None:
        print(json.dumps(answer))


if __name__ == "__main__":
    main(sys.argv[1:])
