import pytest
import torch


@pytest.fixture(autouse=True, scope="session")
def one_thread():
    """Small networks are traced faster by one thread, above all on a busy machine."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)
