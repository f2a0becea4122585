"""The physics battery as test classes: a subclass with a model inherits the tests.

Needs pytest (``pip install "nnmd-graph[test]"``). In a test file:

    from nnmd_graph.testing import PhysicsTests

    class TestMine(PhysicsTests):
        def make_model(self, species, cutoff):
            return ng.BPNN(MyRepresentation(species, cutoff))
"""

try:
    import pytest
except ImportError as error:
    raise ImportError(
        "`nnmd_graph.testing`: expected pytest, which is not installed; do "
        'pip install "nnmd-graph[test]"'
    ) from error

# Before the classes are imported (E402), so that their assertions show values where they fail
pytest.register_assert_rewrite(
    *(f"nnmd_graph.testing.{name}" for name in ("battery", "symmetries", "derivatives", "batches"))
)

from nnmd_graph.testing.batches import BatchTests  # noqa: E402
from nnmd_graph.testing.battery import Case, few_structures, prepared  # noqa: E402
from nnmd_graph.testing.derivatives import AseDerivativeTests, DerivativeTests  # noqa: E402
from nnmd_graph.testing.structures import STRUCTURES  # noqa: E402
from nnmd_graph.testing.symmetries import SymmetryTests  # noqa: E402

__all__ = ["STRUCTURES", "AseDerivativeTests", "Case", "PhysicsTests", "few_structures", "prepared"]


class PhysicsTests(SymmetryTests, DerivativeTests, BatchTests):
    """Tests that every energy model must pass, over structures of every periodicity.

    Translation, rotation and reflection, permutation, wrapped and unwrapped atoms, supercells,
    other cell vectors; forces, stress and gradients of a force loss against finite differences;
    smoothness at the cutoff; batches, isolated atoms, far fragments, files, single precision and
    the ASE calculator.

    A subclass, named ``Test...``, offers ``make_model(species, cutoff)``. It may also set
    ``structures`` (functions that return atoms and a cutoff) or override ``prepare(model, atoms)``.
    """
