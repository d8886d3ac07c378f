"""What users see of each epoch: the record that callbacks get, and the reports of `verbose`."""

from collections.abc import Callable
from dataclasses import dataclass, field
from functools import cached_property


@dataclass(frozen=True)
class Epoch:
    """One epoch of training, as callbacks get it.

    Attributes
    ----------
    epoch : int
        Its number in this fit, from 1; with solver 'lbfgs', the iteration.
    loss : float
        Training loss with the penalty, as in ``loss_curve_``.
    validation_loss, validation_score : float or None
        On the validation data; None without such.
    learning_rate : float or None
        Of the last batch; None with solver 'lbfgs'.
    elapsed : float
        Seconds since training began.

    Examples
    --------
    >>> def good_enough(epoch):
    ...     return epoch.loss < 0.1
    >>> good_enough(Epoch(epoch=7, loss=0.05, learning_rate=0.001, elapsed=1.5))
    True
    """

    epoch: int
    loss: float
    validation_loss: float | None = None
    validation_score: float | None = None
    learning_rate: float | None = None
    elapsed: float = 0.0
    _view: Callable | None = field(default=None, repr=False, compare=False)

    @cached_property
    def model(self):
        """A fitted estimator with the weights as they are now, to be asked for while the callback runs."""
        if self._view is None:
            raise RuntimeError("got no model: the weights have changed since. Ask for epoch.model within the callback.")
        return self._view()

    def _tell(self, callbacks) -> bool:
        """Call all of them; True when one asks to stop. Afterwards the record can be kept and pickled."""
        try:
            return any([callback(self) for callback in callbacks])
        finally:
            vars(self)["_view"] = None


def as_list(callbacks) -> list:
    """None, a callable or several of them, as a list."""
    if callbacks is None:
        return []
    callbacks = [callbacks] if callable(callbacks) else list(callbacks)
    for callback in callbacks:
        if not callable(callback):
            raise TypeError(f"got {callback!r} in callbacks, expected callables that take an Epoch.")
    return callbacks


class Silent:
    """No report; also what a report consists of."""

    def __call__(self, epoch: Epoch | None):
        """Report an epoch; None where no report needs it."""

    def say(self, sentence: str):
        """Report an event between two epochs."""

    def close(self):
        """Training has ended."""


class Lines(Silent):
    """scikit-learn's lines."""

    def __call__(self, epoch):
        print(f"Iteration {epoch.epoch}, loss = {epoch.loss:.8f}")
        if epoch.validation_score is not None:
            print(f"Validation score: {epoch.validation_score:f}")

    def say(self, sentence):
        print(sentence)


class ProgressBar(Silent):
    """A bar over the epochs with loss, validation score and time left, in terminals and notebooks."""

    def __init__(self, bar):
        self.bar = bar

    def __call__(self, epoch):
        figures = {"loss": f"{epoch.loss:.5g}"}
        if epoch.validation_score is not None:
            figures["score"] = f"{epoch.validation_score:.5g}"
        self.bar.set_postfix(figures, refresh=False)
        self.bar.update(1)

    def say(self, sentence):
        self.bar.write(sentence)

    def close(self):
        self.bar.close()


def reporter(verbose: int, n_epochs: int, n_done: int = 0) -> Silent:
    """The report that `verbose` asks for: 0 nothing, 2 a bar where tqdm is installed, else scikit-learn's lines."""
    if verbose != 2:
        return Lines() if verbose else Silent()
    try:
        from tqdm.auto import tqdm
    except ImportError:
        return Lines()
    return ProgressBar(tqdm(total=n_epochs, initial=n_done, unit="epoch"))
