"""Fits of one model by several threads take turns."""

import os
from threading import Lock, RLock
from weakref import WeakKeyDictionary


class _Turns:
    """A lock for each model, of which a pickle or a copy has none."""

    def __init__(self):
        self.forget()

    def forget(self):
        self.lock, self.of_model = Lock(), WeakKeyDictionary()

    def of(self, model):
        """A context in which no other thread fits the model; a callback that fits its own model does not wait."""
        with self.lock:
            return self.of_model.setdefault(model, RLock())


turns = _Turns()
# A thread that had its turn while another one forked does not exist in the child.
if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=turns.forget)
