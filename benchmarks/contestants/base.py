"""What a contestant is."""

import importlib.util

# What is timed, and the method that does it.
TASKS = {"training": "epoch", "predict": "predict", "gradient": "gradient"}


class UnavailableError(Exception):
    """This contestant cannot take part; the text says why."""


class Contestant:
    """A net in the hands of one library, built from (net, data, n_threads) and then timed; None is what it cannot do.

    `epoch()` is one step on each of `data.batches`; `predict()` returns the outputs for `data.X_batch`; `gradient()`
    returns the mean loss on the same rows and the derivatives of W[1], (n_in, n_out).
    """

    name = what = ""
    requires = ("numpy",)
    epoch = predict = gradient = None

    def __init__(self, net, data, n_threads):
        self.net, self.data, self.n_threads = net, data, n_threads
        for package in self.requires:
            if importlib.util.find_spec(package) is None:
                raise UnavailableError(f"{package} is not installed")
        self.prepare(net, data)
