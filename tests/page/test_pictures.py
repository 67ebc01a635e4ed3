# SPDX-FileCopyrightText: The kuryr-libnetwork authors
# SPDX-License-Identifier: Apache-2.0
"""The pictures in docs/ are of this page."""

from __future__ import annotations

import pytest

from tests.page.pictures import FOLDER, PICTURES, SCALE, Picture, look, size_of
from tests.page.viewer import Viewer


@pytest.mark.parametrize("picture", PICTURES, ids=lambda picture: picture.name)
def test_a_picture_is_of_this_page(viewer: Viewer, picture: Picture) -> None:
    """Fails if the docs have no such picture, or the page does not show any more what can be seen there."""
    width, height = picture.size
    assert size_of(picture.path) == (SCALE * width, SCALE * height)
    assert look(viewer, picture) == []


def test_there_are_no_other_pictures() -> None:
    """Fails if a picture of the page in docs/ is one that no command makes."""
    assert {path.name for path in FOLDER.glob("page*.png")} == {picture.path.name for picture in PICTURES}
