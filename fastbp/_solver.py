"""The solver of a model, in its network and without one."""

import weakref
from contextlib import contextmanager
from copy import copy
from dataclasses import dataclass, replace
from typing import Any

from fastbp._schedules import ConstantRate


@dataclass(eq=False)
class Solver:
    """A step rule of the engine with its learning rate and its state.

    The state stays in the network that it was last attached to, until another solver wants that network, or this one
    another; `state` is a copy in coefs_' shapes. Where an average of the weights is kept, coefs_ are the average, which
    predicts, and the state holds the weights.
    """

    name: str
    settings: dict
    rate: ConstantRate
    _network: Any = None
    _state: dict | None = None  # while there is no network

    def __getstate__(self):
        return vars(self) | {"_network": None, "_state": self.state}

    def copy(self) -> "Solver":
        """One that stands where this one does, and goes its own way from here."""
        return replace(self, rate=copy(self.rate), _network=None, _state=self.state)

    @property
    def learning_rate(self) -> float:
        return self.rate.learning_rate

    @property
    def state(self) -> dict | None:
        return self._state if self._network is None else self._network.get_optimizer_state()

    @state.setter
    def state(self, state):
        self._network, self._state = None, state

    def attach(self, network):
        """Put the rule and its state into the network, if they are not there."""
        if self._network is network:
            return
        self.detach()
        tenant = network.solver_in_it and network.solver_in_it()
        if tenant is not None and tenant._network is network:
            tenant.detach()
        network.set_optimizer(self.name, **self.settings)
        if self._state is not None:
            network.set_optimizer_state(self._state)
        self._network, self._state, network.solver_in_it = network, None, weakref.ref(self)

    def detach(self):
        """Take the state out."""
        self.state = self.state


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
