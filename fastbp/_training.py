"""Training a network: epochs of mini-batches, the learning rate between them, and when to stop."""

import warnings
from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np
import scipy.optimize


class ConstantRate:
    """The same learning rate in every epoch."""

    def __init__(self, initial: float):
        self.initial = float(initial)
        self.learning_rate = self.initial

    def epoch_ends(self, n_seen: int):
        """Set the rate of the next epoch, `n_seen` samples after the start of training."""

    def on_plateau(self) -> tuple[bool, str]:
        """Answer a lack of progress: whether to go on, and what to tell the user."""
        return False, "Stopping."


class InverseScalingRate(ConstantRate):
    """initial / (n_seen + 1)^power."""

    def __init__(self, initial: float, power: float):
        super().__init__(initial)
        self.power = power

    def epoch_ends(self, n_seen: int):
        self.learning_rate = self.initial / (n_seen + 1) ** self.power


class AdaptiveRate(ConstantRate):
    """A fifth of the rate at each plateau, until it is negligible."""

    negligible = 1e-6

    def on_plateau(self) -> tuple[bool, str]:
        if self.learning_rate <= self.negligible:
            return False, "Learning rate too small. Stopping."
        self.learning_rate /= 5
        return True, f"Setting learning rate to {self.learning_rate:f}"


@dataclass
class Optimizer:
    """A step rule of the engine with its learning rate; between calls it holds the moments, in coefs_' shapes."""

    name: str
    settings: dict
    rate: ConstantRate
    state: dict | None = None

    @property
    def learning_rate(self) -> float:
        return self.rate.learning_rate

    def attach(self, network):
        """Put the rule and its moments into the network."""
        network.set_optimizer(self.name, **self.settings)
        if self.state is not None:
            network.set_optimizer_state(self.state)

    def detach(self, network):
        """Take the moments out again: the network may go, they are pickled."""
        self.state = network.get_optimizer_state()


@dataclass
class Progress:
    """Where training stands: all that a later call needs in order to go on."""

    n_epochs: int = 0  # of this call
    n_seen: int = 0  # samples, in all calls
    losses: list[float] = field(default_factory=list)
    scores: list[float] = field(default_factory=list)  # on validation data
    best: float = -np.inf  # the highest score, or the highest -loss
    stale: int = 0  # epochs in a row that did not improve `best` by tol

    def judge(self, value: float, tol: float) -> bool:
        """Count the epoch that reached `value`; True when it is the best so far (NaN never is)."""
        self.stale = self.stale + 1 if value < self.best + tol else 0
        is_best = value > self.best
        if is_best:
            self.best = value
        return is_best


@dataclass
class Training:
    """Mini-batch training of a network; `run` may be called again to go on from `progress`."""

    network: object
    optimizer: Optimizer
    progress: Progress
    batch_size: int
    alpha: float
    loss_divisor: int  # outputs that share a mean in the reported loss
    random_state: np.random.RandomState | None  # None: no shuffling
    validate: Callable[[], float] | None  # score of the network as it is; None: the loss decides
    tol: float
    patience: float
    verbose: bool

    def run(self, X, y, sample_weight=None, rows=None, max_epochs=1) -> bool:
        """Train on `rows` of X (None: all) until progress ends (True) or for `max_epochs` (False)."""
        self.optimizer.attach(self.network)
        # as in scikit-learn, a later call that finds nothing better than an earlier one keeps its last weights
        first = self.progress.best == -np.inf
        self._best_parameters = self.network.get_parameters() if self.validate and first else None
        try:
            return self._run(X, y, sample_weight, rows, max_epochs)
        except KeyboardInterrupt:
            warnings.warn("Training interrupted by user.", stacklevel=2)
            return True
        finally:
            self.optimizer.detach(self.network)
            if self._best_parameters is not None:
                self.network.set_parameters(*self._best_parameters)

    def _run(self, X, y, sample_weight, rows, max_epochs) -> bool:
        n_samples = X.shape[0] if rows is None else len(rows)
        if self.random_state is not None and rows is None:
            rows = np.arange(n_samples, dtype=np.intp)
        for _ in range(max_epochs):
            if self.random_state is not None:
                rows = rows[self.random_state.permutation(n_samples)]
            self._epoch(X, y, sample_weight, rows, n_samples)
            self._judge()
            self.optimizer.rate.epoch_ends(self.progress.n_seen)
            if self.progress.stale > self.patience and not self._goes_on():
                return True
        return False

    def _epoch(self, X, y, sample_weight, rows, n_samples):
        data_loss, penalty, _ = self.network.train_epoch(
            X, y, rows, self.batch_size, self.optimizer.learning_rate, self.alpha, sample_weight
        )
        loss = (data_loss / self.loss_divisor + penalty) / n_samples
        progress = self.progress
        progress.n_epochs += 1
        progress.n_seen += n_samples
        progress.losses.append(loss)
        if self.verbose:
            print(f"Iteration {progress.n_epochs}, loss = {loss:.8f}")

    def _judge(self):
        """Compare the epoch with the best one, by validation score if there is one."""
        progress = self.progress
        if self.validate is None:
            progress.judge(-progress.losses[-1], self.tol)
            return
        score = self.validate()
        progress.scores.append(score)
        if self.verbose:
            print(f"Validation score: {score:f}")
        if progress.judge(score, self.tol):
            self._best_parameters = self.network.get_parameters()

    def _goes_on(self) -> bool:
        """Ask the learning rate what to do on a plateau."""
        goes_on, decision = self.optimizer.rate.on_plateau()
        if self.verbose:
            what = "Validation score" if self.validate else "Training loss"
            print(
                f"{what} did not improve more than tol={self.tol:f} for {self.patience} consecutive epochs. {decision}"
            )
        if goes_on:
            self.progress.stale = 0
        return goes_on


def clip_batch_size(batch_size: int | str, n_samples: int) -> int:
    """Rows per mini-batch: "auto" is 200, and never more than there are."""
    if batch_size == "auto":
        return min(200, n_samples)
    if batch_size > n_samples:
        warnings.warn(
            f"Got `batch_size` less than 1 or larger than sample size. It is going to be clipped to {n_samples}.",
            stacklevel=2,
        )
    return min(int(batch_size), n_samples)


def minimize_lbfgs(
    network, X, y, sample_weight, *, alpha, loss_divisor, max_iter, max_fun, gtol
) -> scipy.optimize.OptimizeResult:
    """Minimise the loss over all rows at once by L-BFGS, leaving the solution in the network."""
    total_weight = len(y) if sample_weight is None else sample_weight.sum()
    coefs, intercepts = network.get_parameters()
    shapes = [p.shape for p in coefs + intercepts]
    ends = np.cumsum([p.size for p in coefs + intercepts])
    n_weights = ends[len(coefs) - 1]

    def flatten(parameters):
        return np.concatenate([p.ravel() for p in parameters]).astype(np.float64, copy=False)

    def assign(vector):
        parts = [p.reshape(shape) for p, shape in zip(np.split(vector, ends[:-1]), shapes, strict=True)]
        network.set_parameters(parts[: len(coefs)], parts[len(coefs) :])

    def loss_gradient(vector):
        assign(vector)
        loss, dcoefs, dintercepts = network.loss_gradient(X, y, sample_weight, alpha)
        if loss_divisor > 1:
            # scikit-learn's loss is a mean over outputs, its gradient that of their sum: L-BFGS sees both as they are
            penalty = 0.5 * alpha * np.sum(vector[:n_weights] ** 2) / total_weight
            loss = (loss - penalty) / loss_divisor + penalty
        return loss, flatten(dcoefs + dintercepts)

    result = scipy.optimize.minimize(
        loss_gradient,
        flatten(coefs + intercepts),
        method="L-BFGS-B",
        jac=True,
        options={"maxfun": max_fun, "maxiter": max_iter, "gtol": gtol},
    )
    assign(result.x)
    return result
