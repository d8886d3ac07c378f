"""No one is timed who computes something else."""

import numpy as np


def check_close(found, what, tolerance):
    """All arrays of the dict `found` must be near NumPy's, or the first's, in relative norm."""
    if not found:
        return
    reference_name = "NumPy" if "NumPy" in found else next(iter(found))
    reference = found[reference_name]
    for name, value in found.items():
        error = np.linalg.norm(value - reference) / np.linalg.norm(reference)
        if not error < tolerance:
            raise RuntimeError(
                f"{name} and {reference_name} do not agree on {what}: they differ by {error:.1%}, expected at most "
                f"{tolerance:.1%}. Find out why before timing them."
            )


def check_agreement(entered, net, tasks):
    """Refuse to time contestants that do not compute the same thing.

    Outputs and gradients must agree to 0.1 %; the changes of the outputs over the first epoch to 1 %, for contestants
    differ in where Adam's epsilon stands. (The gradient of relu in single precision can differ by more, where rounding
    decides the sign of one z; so it is compared only where it is timed.)
    """
    if "gradient" in tasks:
        gradients = {name: c.gradient() for name, c in entered.items() if c.gradient is not None}
        check_close({name: loss for name, (loss, _) in gradients.items()}, f"the loss of {net.label}", 1e-3)
        check_close({name: dW for name, (_, dW) in gradients.items()}, f"the gradient of {net.label}", 1e-3)
    before = {name: np.array(c.predict()) for name, c in entered.items() if c.predict is not None}
    check_close(before, f"the outputs of {net.label}", 1e-3)
    changes = {}
    for name, contestant in entered.items():
        if contestant.epoch is not None:
            contestant.epoch()
            if name in before:
                changes[name] = contestant.predict() - before[name]
    check_close(changes, f"the changes of the outputs over one epoch of {net.label}", 1e-2)
