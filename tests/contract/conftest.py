"""One whole server for the tests of this folder."""

from collections.abc import AsyncIterator

import pytest

from tests.contract.site import Site, open_site

pytest.register_assert_rewrite("tests.contract.honoured_here")


@pytest.fixture(scope="session")
async def site(anyio_backend: str, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Site]:
    async with open_site(tmp_path_factory.mktemp("site")) as opened:
        yield opened
