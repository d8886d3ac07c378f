"""The solver of a model between calls, when it has no network."""

from contextlib import contextmanager
from dataclasses import dataclass

from fastbp._schedules import ConstantRate


@dataclass
class Solver:
    """A step rule of the engine with its learning rate; between calls it holds the rule's state, in coefs_' shapes.

    Where an average of the weights is kept, coefs_ are the average, which predicts, and the state holds the weights.
    """

    name: str
    settings: dict
    rate: ConstantRate
    state: dict | None = None

    @property
    def learning_rate(self) -> float:
        return self.rate.learning_rate

    def attach(self, network):
        """Put the rule and its state into the network."""
        network.set_optimizer(self.name, **self.settings)
        if self.state is not None:
            network.set_optimizer_state(self.state)

    def detach(self, network):
        """Take the state out again: the network may go, it is pickled."""
        self.state = network.get_optimizer_state()


@contextmanager
def weights_to_train(network):
    """Let a network that predicts with an average of its weights train the weights themselves."""
    if not network.averages:
        yield
        return
    network.exchange_average()
    try:
        yield
    finally:
        network.exchange_average()
