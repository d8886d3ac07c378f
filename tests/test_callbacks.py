"""What callbacks get, and what verbose shows."""

import pickle
import sys
from types import ModuleType, SimpleNamespace

import pytest

from fastbp._callbacks import Epoch, Lines, ProgressBar, Silent, as_list, reporter

EPOCH = Epoch(epoch=3, loss=0.25, validation_loss=0.5, validation_score=0.75, learning_rate=0.01, elapsed=1.5)


# ---- the record


def test_the_model_is_made_once_and_only_if_asked_for():
    made = []
    epoch = Epoch(epoch=1, loss=0.5, _view=lambda: made.append("model") or made[-1])
    epoch._tell([lambda epoch: None])
    assert not made
    epoch = Epoch(epoch=1, loss=0.5, _view=lambda: made.append("model") or made[-1])
    epoch._tell([lambda epoch: epoch.model is epoch.model and None])
    assert made == ["model"]
    assert epoch.model == "model"


def test_the_model_cannot_be_asked_for_later():
    epoch = Epoch(epoch=1, loss=0.5, _view=object)
    with pytest.raises(ZeroDivisionError):
        epoch._tell([lambda epoch: 1 / 0])
    with pytest.raises(RuntimeError, match=r"Ask for epoch\.model within the callback"):
        _ = epoch.model


def test_epochs_can_be_kept_compared_and_pickled_but_not_changed():
    kept = []
    Epoch(epoch=1, loss=0.5, _view=lambda: None)._tell([kept.append])
    assert pickle.loads(pickle.dumps(kept)) == kept == [Epoch(epoch=1, loss=0.5)]
    with pytest.raises(AttributeError):
        kept[0].loss = 0.0


def test_all_callbacks_are_called():
    called = []
    assert Epoch(epoch=1, loss=0.5)._tell([lambda epoch: True, called.append])
    assert not Epoch(epoch=1, loss=0.5)._tell([lambda epoch: None, called.append])
    assert len(called) == 2


def test_as_list():
    assert as_list(None) == []
    assert as_list(print) == [print]
    assert as_list((print, len)) == [print, len]
    with pytest.raises(TypeError, match="got 'loss' in callbacks, expected callables"):
        as_list([print, "loss"])


# ---- reports


def test_lines_are_those_of_scikit_learn(capsys):
    lines = Lines()
    lines(EPOCH)
    lines(Epoch(epoch=4, loss=1e-9))
    lines.say("Stopping.")
    assert capsys.readouterr().out.splitlines() == [
        "Iteration 3, loss = 0.25000000",
        "Validation score: 0.750000",
        "Iteration 4, loss = 0.00000000",
        "Stopping.",
    ]


class FakeBar:
    """Remembers what a bar of tqdm was asked to show."""

    def __init__(self, total, initial, unit):
        self.total, self.n, self.unit, self.written, self.closed = total, initial, unit, [], False

    def set_postfix(self, figures, refresh):
        self.postfix = figures

    def update(self, n):
        self.n += n

    def write(self, sentence):
        self.written.append(sentence)

    def close(self):
        self.closed = True


@pytest.fixture
def tqdm(monkeypatch):
    fake = ModuleType("tqdm.auto")
    fake.tqdm = FakeBar
    monkeypatch.setitem(sys.modules, "tqdm", SimpleNamespace(auto=fake))
    monkeypatch.setitem(sys.modules, "tqdm.auto", fake)


@pytest.fixture
def no_tqdm(monkeypatch):
    monkeypatch.setitem(sys.modules, "tqdm", None)
    monkeypatch.setitem(sys.modules, "tqdm.auto", None)


def test_the_bar_shows_loss_and_score(tqdm):
    report = reporter(2, 10, 2)
    report(EPOCH)
    report.say("Stopping.")
    report.close()
    bar = report.bar
    assert (bar.total, bar.n, bar.unit) == (10, 3, "epoch")
    assert bar.postfix == {"loss": "0.25", "score": "0.75"}
    assert bar.written == ["Stopping."]
    assert bar.closed


def test_the_bar_without_validation(tqdm):
    report = reporter(2, 10)
    report(Epoch(epoch=1, loss=0.123456789))
    assert report.bar.postfix == {"loss": "0.12346"}


@pytest.mark.parametrize(("verbose", "kind"), [(0, Silent), (False, Silent), (1, Lines), (True, Lines), (2, Lines)])
def test_verbose_without_tqdm(no_tqdm, verbose, kind):
    assert type(reporter(verbose, 10)) is kind


@pytest.mark.parametrize(("verbose", "kind"), [(0, Silent), (True, Lines), (2, ProgressBar), (10, Lines)])
def test_verbose_with_tqdm(tqdm, verbose, kind):
    assert type(reporter(verbose, 10)) is kind


def test_the_real_bar(capsys):
    pytest.importorskip("tqdm")
    report = reporter(2, 10)
    report(EPOCH)
    report.say("Setting learning rate to 0.000001")
    report.close()
    shown = capsys.readouterr()
    assert "Setting learning rate" in shown.out
    assert "loss=0.25, score=0.75" in shown.err


def test_silence(capsys):
    report = reporter(0, 10)
    report(None)
    report.say("Stopping.")
    report.close()
    assert capsys.readouterr() == ("", "")
