"""Labels and values that are hard to write, and must come through."""

from __future__ import annotations

import math

LABELS = [
    'quo"te',
    "back\\slash",
    "new\nline",
    "\\n",
    "ends with \\",
    "nul\x00",
    "\u2028\u2029\x85",
    "\r\t\x0b\x0c\x7f",
    "x" * 5000,
    "",
    " ",
    "{}=,#%s%%",
    "\N{GRINNING FACE}",
    "\ufeff\uffff",
]
VALUES = [
    0.0,
    -0.0,
    0.1,
    1e16,
    123456789012345680.0,
    5e-324,
    2.2250738585072014e-308,
    1.7976931348623157e308,
    math.nan,
    math.inf,
    -math.inf,
]
