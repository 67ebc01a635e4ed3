# SPDX-FileCopyrightText: The kuryr-libnetwork authors
# SPDX-License-Identifier: Apache-2.0
"""Text of others in our errors and in our log."""

from __future__ import annotations

import pytest
from hypothesis import given, strategies as st

from kuryr_libnetwork.errors import Conflict, InvalidOption
from kuryr_libnetwork.text import LONGEST, one_line, printable, shortened, shown

ANY = st.text(st.characters())  # halves of surrogates as well


@pytest.mark.parametrize(
    ("text", "seen"),
    [
        ("plain ä 漢", "plain ä 漢"),
        ("a\nb\r\tc", r"a\nb\r\tc"),
        ("\x1b[2J", r"\x1b[2J"),
        ("\u202eabc", r"\u202eabc"),
        ("\u2028", r"\u2028"),
        ("\ud800", r"\ud800"),
        ("\0", r"\x00"),
        ("\U000e0001", r"\U000e0001"),
    ],
)
def test_what_cannot_be_printed_is_escaped(text: str, seen: str) -> None:
    """A name could begin a line of the log, or clear the operator's terminal."""
    assert printable(text) == seen


@given(ANY, st.integers(min_value=20, max_value=200))
def test_a_value_is_short_and_on_one_line(text: str, most: int) -> None:
    """An option of 60 KB would come back in an error of 60 KB."""
    for made in (shown(text, most), one_line(text, most)):
        assert len(made) <= most
        assert made.isprintable()
        made.encode()


@given(st.text("ab", max_size=50))
def test_what_is_short_stays(text: str) -> None:
    """Errors would be harder to read without need."""
    assert shown(text, 50) == one_line(text, 50) == text


def test_beginning_and_end_stay() -> None:
    """The error would lose either what is wrong or what to do."""
    text = shortened("what is wrong: " + "x" * 5000 + ": what to do", LONGEST)
    assert (text[:15], text[-12:], len(text)) == ("what is wrong: ", ": what to do", LONGEST)


@given(ANY, ANY, ANY)
def test_no_error_is_long_or_more_than_a_line(option: str, value: str, allowed: str) -> None:
    """Whoever raises an error with a name in it would have to think of this every time."""
    for error in (InvalidOption(option * 50, value * 500, allowed), Conflict(f"{option * 500} is {value}")):
        assert len(str(error)) <= LONGEST
        assert str(error).isprintable()


def test_an_option_of_sixty_kilobytes() -> None:
    """The part that says what is allowed would be cut off, or be hard to find."""
    error = InvalidOption("neutron.net.shared", "x" * 60_000, "must be true or false")
    assert str(error).startswith("option neutron.net.shared=xxx")
    assert str(error).endswith("xxx…: must be true or false")
    assert len(str(error)) < 150
