"""What every folder of tests shares."""

import pytest


@pytest.fixture
def anyio_backend() -> str:
    """Run async tests on asyncio, which is what is shipped."""
    return "asyncio"
