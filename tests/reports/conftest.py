import pytest
import synthetic_run

from measurements.rundir import RunDirectory


@pytest.fixture(scope="session")
def run(tmp_path_factory: pytest.TempPathFactory) -> RunDirectory:
    """A breakpoint run of ten stages with a plan."""
    return synthetic_run.write(tmp_path_factory.mktemp("runs"))
