"""An optimizer between calls, without its network."""

import pickle

import numpy as np
import pytest
from conftest import assert_same_bits, batch, build, random_net

from fastbp._schedules import ConstantRate
from fastbp._solver import Solver, weights_to_train

RULES = {
    "momentum": ("sgd", {"momentum": 0.9}),
    "adamw": ("adam", {"weight_decay": 0.1}),
    "rmsprop": ("rmsprop", {}),
    "average of sgd": ("sgd", {"momentum": 0.5, "ema_decay": 0.9}),
    "average of adam": ("adam", {"ema_decay": 0.9}),
    "schedule-free": ("schedule_free", {}),
}


@pytest.fixture(params=RULES)
def rule(request):
    return RULES[request.param]


def problem():
    return random_net((5, 7, 3), ("tanh",), "softmax", "log_loss", 23)


def train(network, p, n_epochs):
    X, y = batch(p)
    for _ in range(n_epochs):
        with weights_to_train(network):
            network.train_epoch(X, y, None, 10, 0.01)


def test_going_on_in_another_network_is_the_same_as_going_on(rule):
    p = problem()
    stays = build(p)
    Solver(*rule, ConstantRate(0.01)).attach(stays)
    train(stays, p, 4)

    optimizer, network = Solver(*rule, ConstantRate(0.01)), build(p)
    for _ in range(2):
        optimizer.attach(network)
        train(network, p, 2)
        optimizer.detach()
        parameters = network.get_parameters()
        optimizer, network = pickle.loads(pickle.dumps(optimizer)), build(p)
        network.set_parameters(*parameters)
    for got, expected in zip(parameters, stays.get_parameters(), strict=True):
        assert_same_bits(got, expected)


@pytest.mark.parametrize("name", ["average of sgd", "schedule-free"])
def test_between_calls_the_model_has_the_average_and_the_state_the_weights(name):
    p, optimizer = problem(), Solver(*RULES[name], ConstantRate(0.01))
    network = build(p)
    optimizer.attach(network)
    train(network, p, 3)
    optimizer.detach()
    with weights_to_train(network):
        weights, average = network.get_parameters(), network.get_optimizer_state()["average"]
    assert_same_bits(optimizer.state["average"][0], weights[0])
    assert_same_bits(network.get_parameters()[0], average[0])
    assert not np.array_equal(weights[0][0], average[0][0])


def test_an_average_starts_from_the_weights():
    network = build(problem())
    Solver(*RULES["average of adam"], ConstantRate(0.01)).attach(network)
    before = network.get_parameters()
    with weights_to_train(network):
        assert_same_bits(network.get_parameters()[0], before[0])


def test_without_an_average_nothing_is_exchanged():
    network = build(problem())
    Solver(*RULES["momentum"], ConstantRate(0.01)).attach(network)
    assert not network.averages
    with weights_to_train(network):  # exchange_average would raise
        pass


def test_the_average_comes_back_after_an_error():
    network = build(problem())
    Solver(*RULES["schedule-free"], ConstantRate(0.01)).attach(network)
    train(network, problem(), 2)
    before = network.get_parameters()
    with pytest.raises(ZeroDivisionError), weights_to_train(network):
        _ = 1 / 0
    assert_same_bits(network.get_parameters()[0], before[0])
