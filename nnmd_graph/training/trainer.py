"""The training loop."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path

from nnmd_graph.data.dataset import AtomsDataset
from nnmd_graph.folders import RUN, check_output, claimed
from nnmd_graph.models.potential import Potential
from nnmd_graph.training.callbacks import Callback, Row
from nnmd_graph.training.checks import check_arguments, check_data
from nnmd_graph.training.loss import EnergyForcesLoss
from nnmd_graph.training.run import Run
from nnmd_graph.training.run_folder import FILES
from nnmd_graph.training.transfer import check_architecture, check_parts, load_start


class Trainer:
    """Trains a potential on energies, forces and stresses.

    The weights of the epoch with the lowest loss on the validation set are kept.
    Before the first epoch it fits the baseline (isolated-atom energies by least squares) and the
    feature scaling on the training set, unless the potential has them already. Fixed symmetry
    functions are computed once when their values and derivatives fit in memory.

    With ``init`` training goes on from what another potential knows, on new data: weights, feature
    scaling and the scale of the net are its own; E0 moves to the level of theory of the new data.

    Args:
        loss: Loss function; None takes ``EnergyForcesLoss()``.
        optimizer: ``"adamw"``, ``"adam"`` or ``"lbfgs"`` (full batch, line search).
        learning_rate: None takes 5e-3 (Adam, AdamW) or 1 (L-BFGS).
        weight_decay: Weight decay of Adam and AdamW; not for L-BFGS.
        schedule: ``"cosine"``, ``"exponential"``, ``"plateau"`` or ``"constant"``.
        max_epochs: Number of epochs.
        max_seconds: Stop after this time, None for no limit; resumed runs count all their parts.
        batch_size: Structures a step; None takes about 200 atoms, fewer for a small set.
        gradient_clip: Largest norm of the gradient, 0 for no clipping; None takes 1 (Adam, AdamW).
            Without it Adam is thrown back every few epochs (rMD17 ethanol, epoch 40 of 60: force
            MAE 57 meV/Å, with it 37).
        ema_decay: Decay of the running average of the weights that is validated and kept; 0 turns
            it off, and L-BFGS has none.
        patience: Stop after this many epochs without a better validation loss, None never.
        isolated_energies: E0 in eV by element symbol or atomic number; the others are fitted. A
            potential that was trained before keeps its own, unless ``init`` is given.
        init: Potential, or its file (or the folder of a run), to start from: the potential that is
            trained gets its weights. Both must be of one architecture; the one that is trained may
            know more elements, see :func:`nnmd_graph.models.extension.extend_species`.
        freeze: Parts that stay as they are: ``"representation"``, ``"embedding"``, ``"readout"``,
            ``"baseline"`` (E0 and scale), or the beginning of a name of
            ``potential.named_parameters()``, ``"model.representation.layers.0"``.
        learning_rates: Factors on the learning rate by part, ``{"representation": 0.1}``, named as
            for ``freeze``; where two parts overlap the smaller one decides. Not for L-BFGS.
        refit_baseline: Whether to change E0 of a trained potential by as little as fits the
            energies of the training set; None: if there is ``init``, and ``freeze`` does not name
            ``"baseline"``. The E0 of an element that ``init`` lacks is always fitted.
        precompute: Compute fixed features once; None when they fit in half of the free memory.
        compile: Compile the training step, see :mod:`nnmd_graph.training.compiled`: for graph
            convolutions two to five times as fast on the CPU, after a minute or so of compiling.
        seed: Seed of the order of structures.
        device: ``"cpu"``, ``"cuda"``, ``"cuda:1"`` or ``"auto"``.
        output: Folder for model.pt, log.csv and checkpoints/, in place of those of an earlier run
            there; None writes nothing.
        checkpoint_seconds: Least time between checkpoints.
        callbacks: Called before the first epoch, after each, and at the end; see
            :class:`nnmd_graph.training.callbacks.Callback`.
        loggers: Where the errors of each epoch go: ``"csv"`` (log.csv, which ``output`` always
            gets), ``"tensorboard"``, ``"wandb"`` (of the extra ``loggers``).
        progress: Whether to show what is being done: bars on a terminal, lines in a log.

    Raises:
        ValueError: If an argument is out of range or unknown.
        TypeError: If an argument is of the wrong kind.
    """

    def __init__(
        self,
        *,
        loss: EnergyForcesLoss | None = None,
        optimizer: str = "adamw",
        learning_rate: float | None = None,
        weight_decay: float = 0.0,
        schedule: str = "cosine",
        max_epochs: int = 200,
        max_seconds: float | None = None,
        batch_size: int | None = None,
        gradient_clip: float | None = None,
        ema_decay: float = 0.99,
        patience: int | None = None,
        isolated_energies: Mapping[int | str, float] | None = None,
        init: Potential | str | Path | None = None,
        freeze: Iterable[str] = (),
        learning_rates: Mapping[str, float] | None = None,
        refit_baseline: bool | None = None,
        precompute: bool | None = None,
        compile: bool = False,
        seed: int = 0,
        device: str = "auto",
        output: str | Path | None = None,
        checkpoint_seconds: float = 10.0,
        callbacks: Iterable[Callback] = (),
        loggers: Iterable[str] = ("csv",),
        progress: bool = False,
    ) -> None:
        self.loss = loss if loss is not None else EnergyForcesLoss()
        self.optimizer = optimizer
        self.learning_rate = learning_rate
        self.weight_decay = weight_decay
        self.schedule = schedule
        self.max_epochs = max_epochs
        self.max_seconds = max_seconds
        self.batch_size = batch_size
        self.gradient_clip = gradient_clip
        self.ema_decay = ema_decay
        self.patience = patience
        self.isolated_energies = isolated_energies
        self.init = Path(init) if isinstance(init, str | Path) else init
        self.freeze = freeze if isinstance(freeze, str) else tuple(freeze)
        self.learning_rates = dict(learning_rates or {})
        self.refit_baseline = refit_baseline
        self.precompute = precompute
        self.compile = compile
        self.seed = seed
        self.device = str(device)
        self.output = None if output is None else Path(output)
        self.checkpoint_seconds = checkpoint_seconds
        self.callbacks = callbacks if isinstance(callbacks, Callback) else tuple(callbacks)
        self.loggers = loggers if isinstance(loggers, str) else tuple(loggers)
        self.progress = progress
        check_arguments(self)

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
            One row an epoch, the columns of log.csv.

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
        if resume and self.output is None:
            raise ValueError("`resume` needs the folder of the run, got `output`=None; name it")
        check_parts(potential, self.freeze, self.learning_rates)
        init = None if self.init is None else load_start(self.init)
        if init is not None:
            check_architecture(potential, init)
        trained = {name: p.requires_grad for name, p in potential.named_parameters()}
        claim = contextlib.nullcontext() if self.output is None else self._claimed(self.output)
        try:
            with claim:
                run = Run(self, potential, train, val, init=init, resume=resume)
                run.loop(begin)
        finally:  # what is frozen is frozen for this training
            for name, p in potential.named_parameters():
                p.requires_grad_(trained[name])
        return run.at.history

    def _claimed(self, output: Path) -> contextlib.AbstractContextManager[None]:
        check_output(output, RUN)
        return claimed(output, FILES)
