"""The training loop."""

from __future__ import annotations

import contextlib
from collections.abc import Callable
from pathlib import Path

from pydantic import model_validator

from nnmd_graph.data.dataset import AtomsDataset
from nnmd_graph.folders import RUN, check_output, claimed
from nnmd_graph.models.potential import Potential
from nnmd_graph.training.callbacks import Row
from nnmd_graph.training.checks import check_data, check_settings
from nnmd_graph.training.run import Run
from nnmd_graph.training.run_folder import FILES
from nnmd_graph.training.settings import TrainingSettings
from nnmd_graph.training.transfer import check_architecture, check_parts, load_start


class Trainer(TrainingSettings):
    """Trains a potential on energies, forces and stresses.

    The weights of the epoch with the lowest loss on the validation set are kept.
    Before the first epoch it fits the baseline (isolated-atom energies by least squares) and the
    feature scaling on the training set, unless the potential has them already. Fixed symmetry
    functions are computed once when their values and derivatives fit in memory.

    With ``init`` training goes on from what another potential knows, on new data: weights, feature
    scaling and the scale of the net are its own; E0 moves to the level of theory of the new data.

    Raises:
        ValueError: If an argument is out of range or unknown.
        TypeError: If an argument is of the wrong kind.
    """

    @model_validator(mode="after")
    def _check(self) -> Trainer:
        check_settings(self)
        return self

    def fit(
        self,
        potential: Potential,
        train: AtomsDataset,
        val: AtomsDataset | None = None,
        *,
        resume: bool = False,
        begin: Callable[[], None] = lambda: None,
    ) -> list[Row]:
        """Train; the potential ends with the weights of its best epoch, in evaluation mode.

        Args:
            potential: Changed in place.
            train: Training set.
            val: Validation set, which chooses the best epoch; None takes the training loss.
            resume: Go on from ``output``/checkpoints/last.pt where there is one, to the weights of
                an unbroken run. The model, the data and the settings must be those of the
                checkpoint; only a larger ``max_epochs``, ``max_seconds`` or ``patience`` prolongs
                the run.
            begin: Called when everything is checked and the run takes ``output``, which may hold
                an earlier run: that stays as it is until the first epoch of this one is done.

        Returns:
            One row per epoch, the columns of log.csv.

        Raises:
            ValueError: If the data do not fit the potential or the checkpoint, the checkpoint is
                damaged, ``init`` is of another architecture, or a part that is to be frozen or
                slowed is not there or has nothing to train; if ``output`` holds something else,
                or another process writes there.
            TypeError: If the potential is no Potential or the data no AtomsDataset.
            DivergedError: If the loss becomes NaN or infinite.
            CallbackError: If a callback fails.
        """
        check_data(self, potential, train, val)
        if resume and self.folder is None:
            raise ValueError("`resume`: expected the folder of the run, got `output`=None; name it")
        check_parts(potential, self.freeze, self.learning_rates)
        init = None if self.init is None else load_start(self.init)
        if init is not None:
            check_architecture(potential, init)
        trained = {name: p.requires_grad for name, p in potential.named_parameters()}
        claim = contextlib.nullcontext() if self.folder is None else self._claimed(self.folder)
        try:
            with claim:
                run = Run(self, potential, train, val, init=init, resume=resume)
                run.loop(begin)
        finally:  # parts are frozen for this training only
            for name, p in potential.named_parameters():
                p.requires_grad_(trained[name])
        return run.at.history

    def _claimed(self, output: Path) -> contextlib.AbstractContextManager[None]:
        check_output(output, RUN)
        return claimed(output, FILES)
