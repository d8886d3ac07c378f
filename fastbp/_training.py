"""Training a network: epochs of mini-batches, what is done after each, and when to stop."""

import warnings
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, field
from enum import Enum
from time import perf_counter
from typing import Any, Literal, NamedTuple

import numpy as np

from fastbp._callbacks import Epoch, reporter
from fastbp._checkpoint import Checkpoint, check_fits
from fastbp._solver import Solver, weights_to_train


class Stop(Enum):
    """Why training ended."""

    CONVERGED = "no more progress"
    MAX_ITER = "all epochs done"
    MAX_TIME = "out of time"
    CALLBACK = "a callback asked"
    INTERRUPTED = "interrupted"


class Validation(NamedTuple):
    """How the network does on the validation data: greater scores are better; no penalty in the loss."""

    score: float
    loss: float


@dataclass
class Progress:
    """Where training stands: all that a later call needs in order to go on."""

    n_epochs: int = 0  # of this call
    n_seen: int = 0  # samples, in all calls
    losses: list[float] = field(default_factory=list)
    scores: list[float] = field(default_factory=list)  # on validation data
    validation_losses: list[float] = field(default_factory=list)
    best: float = -np.inf  # the highest score, or the highest -loss
    stale: int = 0  # epochs in a row that did not improve `best` by tol

    def copy(self) -> "Progress":
        """One whose curves grow no more."""
        return Progress(**asdict(self))

    def judge(self, value: float, tol: float):
        """Count the epoch that reached `value`; NaN is never the best."""
        self.stale = self.stale + 1 if value < self.best + tol else 0
        if value > self.best:
            self.best = value


@dataclass
class Best:
    """The weights to end with: those of the highest value so far, unless an earlier call had a higher one."""

    value: float
    parameters: tuple | list | None  # (coefs, intercepts); None: the last ones

    def offer(self, value, network):
        """Keep the weights of the network if they are better (NaN never is)."""
        if value > self.value:
            self.value, self.parameters = value, network.get_parameters()


@dataclass
class Training:
    """Mini-batch training of a network; `run` may be called again to go on from `progress`."""

    network: Any
    optimizer: Solver
    progress: Progress
    batch_size: int
    alpha: float | Sequence[float]
    loss_divisor: int  # outputs that share a mean in the reported loss
    random_state: np.random.RandomState | None  # None: no shuffling
    validate: Callable[[], Validation] | None  # the network as it is
    decides: bool  # whether validation, or else the training loss, judges progress
    restore_best: bool  # end with the weights of the best epoch, by validation if there is one, else by training loss
    tol: float
    patience: float
    verbose: int = 0
    max_time: float | None = None  # seconds
    callbacks: Sequence[Callable[[Epoch], bool | None]] = ()
    before_epoch: Callable[[int], None] | None = None
    view: Callable | None = None  # makes the model of an Epoch
    checkpoint: Checkpoint | None = None

    def run(self, X, y, sample_weight=None, rows=None, max_epochs=1) -> Stop:
        """Train on `rows` of X (None: all), for `max_epochs` at most."""
        self._started = perf_counter()
        self._deadline = np.inf if self.max_time is None else self._started + self.max_time
        self._best = self._earlier_best()
        n_rows = X.shape[0] if rows is None else len(rows)
        n_done = self._resume(n_rows)
        self.optimizer.attach(self.network)
        self._report = reporter(self.verbose, max_epochs, n_done)
        try:
            return self._run(X, y, sample_weight, rows, n_rows, n_done, max_epochs)
        except KeyboardInterrupt:
            warnings.warn("Training interrupted by user.", stacklevel=2)
            return Stop.INTERRUPTED
        finally:
            self._report.close()
            if self._best.parameters is not None:
                self.network.set_parameters(*self._best.parameters)

    def _run(self, X, y, sample_weight, rows, n_rows, n_done, max_epochs) -> Stop:
        if n_done and self.progress.stale > self.patience:
            return Stop.CONVERGED  # before it was saved
        if self.random_state is not None:
            rows = np.arange(n_rows, dtype=np.int64) if rows is None else rows.astype(np.int64)
        for epoch in range(1, max_epochs + 1):
            if self.random_state is not None:
                self.random_state.shuffle(rows)  # as rows[permutation(n_rows)], without two more arrays of n_rows
            if epoch <= n_done:
                continue  # a resumed fit only draws what it drew
            if self.before_epoch is not None:
                self.before_epoch(self.progress.n_epochs + 1)
            n_seen = self._epoch(X, y, sample_weight, rows, n_rows)
            stop = self._after_epoch(n_seen < n_rows)
            if stop is None and epoch == max_epochs:
                stop = Stop.MAX_ITER
            if self.checkpoint is not None and n_seen == n_rows:  # part of an epoch cannot be resumed
                self.checkpoint.epoch_ends(self.progress.n_epochs, stop is not None, lambda: self._state(n_rows))
            if stop is not None:
                return stop
        return Stop.MAX_ITER

    def _epoch(self, X, y, sample_weight, rows, n_rows) -> int:
        """One pass, of n_rows or as many as time allows; return how many."""
        first_step = self.network.t
        rates = self.optimizer.rate.rates(first_step, -(-n_rows // self.batch_size))
        with weights_to_train(self.network):
            data_loss, penalty, n_seen = self.network.train_epoch(
                X, y, rows, self.batch_size, rates, self.alpha, sample_weight, self._deadline
            )
        self._last_rate = rates if isinstance(rates, float) else float(rates[self.network.t - first_step - 1])
        self.progress.n_epochs += 1
        self.progress.n_seen += n_seen
        self.progress.losses.append((data_loss / self.loss_divisor + penalty) / n_seen)
        return n_seen

    def _after_epoch(self, was_cut: bool) -> Stop | None:
        """Judge, report, set the next learning rate, ask the callbacks; None to go on."""
        validation = self._judge()
        epoch = self._record(validation) if self.verbose or self.callbacks else None
        self._report(epoch)
        self.optimizer.rate.epoch_ends(self.progress.n_seen)
        is_stale = self.progress.stale > self.patience and not self._goes_on()
        asked = epoch is not None and epoch._tell(self.callbacks)
        if is_stale:
            return Stop.CONVERGED
        if asked:
            return Stop.CALLBACK
        return Stop.MAX_TIME if was_cut or perf_counter() > self._deadline else None

    def _judge(self) -> Validation | None:
        """Compare the epoch with the best one, by validation if there is one."""
        progress, validation = self.progress, None
        by_loss = value = -progress.losses[-1]
        if self.validate is not None:
            try:
                validation = self.validate()
            except KeyboardInterrupt:  # curves are of epochs that were validated
                progress.losses.pop()
                progress.n_epochs -= 1
                raise
            progress.scores.append(validation.score)
            progress.validation_losses.append(validation.loss)
            value = validation.score
        progress.judge(value if self.decides else by_loss, self.tol)
        if self.restore_best:
            self._best.offer(value, self.network)
        return validation

    def _record(self, validation) -> Epoch:
        return Epoch(
            epoch=self.progress.n_epochs,
            loss=self.progress.losses[-1],
            validation_loss=None if validation is None else validation.loss,
            validation_score=None if validation is None else validation.score,
            learning_rate=self._last_rate,
            elapsed=perf_counter() - self._started,
            _view=self.view,
        )

    def _goes_on(self) -> bool:
        """Ask the learning rate what to do on a plateau."""
        goes_on, decision = self.optimizer.rate.on_plateau()
        what = "Validation score" if self.decides else "Training loss"
        self._report.say(
            f"{what} did not improve more than tol={self.tol:f} for {self.patience} consecutive epochs. {decision}"
        )
        if goes_on:
            self.progress.stale = 0
        return goes_on

    def _earlier_best(self) -> Best:
        """As in scikit-learn, a later call that finds nothing better than an earlier one keeps its last weights."""
        values = self.progress.scores if self.validate is not None else [-loss for loss in self.progress.losses]
        best = max([value for value in values if value == value], default=-np.inf)
        # ... and weights that never get a score worth the name give way to the initial ones
        is_first = self.restore_best and self.decides and best == -np.inf
        return Best(best, self.network.get_parameters() if is_first else None)

    # ---- a fit on disk

    def _state(self, n_rows) -> dict:
        return {
            "n_rows": n_rows,
            "weights": self.network.get_parameters(),
            "best": [self._best.value, self._best.parameters],
            "optimizer": self.optimizer.state,
            "learning_rate": self.optimizer.learning_rate,
            "progress": asdict(self.progress),
        }

    def _resume(self, n_rows) -> int:
        """Take over what the checkpoint holds; return the epochs that were done."""
        if self.checkpoint is None or self.checkpoint.saved is None:
            return 0
        saved = self.checkpoint.saved
        check_fits(saved, self.network.get_parameters(), n_rows)
        self.network.set_parameters(*saved["weights"])
        self.optimizer.state = saved["optimizer"]
        self.optimizer.rate.learning_rate = saved["learning_rate"]
        self.progress = Progress(**saved["progress"])
        self._best = Best(*saved["best"])
        return self.progress.n_epochs


def clip_batch_size(batch_size: int | Literal["auto"], n_samples: int) -> int:
    """Rows per mini-batch: "auto" is 200, and never more than there are."""
    if batch_size == "auto":
        return min(200, n_samples)
    if batch_size > n_samples:
        warnings.warn(
            f"Got `batch_size` less than 1 or larger than sample size. It is going to be clipped to {n_samples}.",
            stacklevel=2,
        )
    return min(int(batch_size), n_samples)
