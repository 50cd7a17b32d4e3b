"""Page tokens of lists that are ordered by id."""

import pytest
from proofloop_runtime import paging
from proofloop_runtime.errors import PageTokenInvalid


def test_an_id_is_returned_in_its_canonical_form():
    assert paging.identifier(["01890000-0000-7000-8000-00000000000A"]) == "01890000-0000-7000-8000-00000000000a"


@pytest.mark.parametrize("position", [[], ["x"], [7], [None], [["x"]], ["01890000-0000-7000-8000-000000000001"] * 2])
def test_anything_else_is_no_page_token(position):
    with pytest.raises(PageTokenInvalid):
        paging.identifier(position)
