# SPDX-FileCopyrightText: The kuryr-libnetwork authors
# SPDX-License-Identifier: Apache-2.0
"""Text that others wrote, in lines of ours: an error, a line of the log.

Whoever chooses a name or the value of an option must not be able to forge a line of the log, to steer the terminal of
who reads it, or to fill either. A leaf, for everything that speaks.
"""

from __future__ import annotations

LONGEST = 1000
"""Characters of an error."""
LONGEST_QUOTED = 80
"""Characters of a value that is quoted in one."""
_CUT = " … "


def shown(value: object, most: int = LONGEST_QUOTED) -> str:
    """A value in the middle of a sentence: on one line, without control characters, and short."""
    text = str(value)
    part = printable(text[:most])
    return part if len(text) <= most and len(part) <= most else part[: most - 1] + "…"


def one_line(text: str, most: int = LONGEST) -> str:
    """A whole sentence: line breaks become blanks."""
    return shortened(printable(shortened(" ".join(text.split()), most)), most)


def printable(text: str) -> str:
    """Control characters, those that turn the direction of writing, and halves of surrogates as Python writes them."""
    if text.isprintable():
        return text
    return "".join(char if char.isprintable() else repr(char)[1:-1] for char in text)


def shortened(text: str, most: int) -> str:
    """Beginning and end: the one says what it is about, the other what to do."""
    if len(text) <= most:
        return text
    end = most // 3
    return text[: most - end - len(_CUT)] + _CUT + text[len(text) - end :]
