# SPDX-FileCopyrightText: The kuryr-libnetwork authors
# SPDX-License-Identifier: Apache-2.0
"""Makes other people's text safe in our errors and log lines.

Whoever chooses a name or the value of an option must not be able to forge a line of the log, to control the terminal of
its reader, or to flood either. A leaf, for all modules that write text.
"""

from __future__ import annotations

LONGEST = 1000
"""Most characters of an error."""
LONGEST_QUOTED = 80
"""Most characters of a value that is quoted in an error."""
_CUT = " … "


def shown(value: object, most: int = LONGEST_QUOTED) -> str:
    """A value for the middle of a sentence: one short line without control characters."""
    text = str(value)
    part = printable(text[:most])
    return part if len(text) <= most and len(part) <= most else part[: most - 1] + "…"


def one_line(text: str, most: int = LONGEST) -> str:
    """A whole sentence on one line: line breaks become blanks."""
    return shortened(printable(shortened(" ".join(text.split()), most)), most)


def printable(text: str) -> str:
    """The text with control characters, bidirectional controls and lone surrogates escaped as in Python."""
    if text.isprintable():
        return text
    return "".join(char if char.isprintable() else repr(char)[1:-1] for char in text)


def shortened(text: str, most: int) -> str:
    """The beginning and the end of a long text: the one says what it is about, the other what to do."""
    if len(text) <= most:
        return text
    end = most // 3
    return text[: most - end - len(_CUT)] + _CUT + text[len(text) - end :]
