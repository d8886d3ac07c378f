"""The displays draw the model's own numbers, and say what they cannot draw."""

import re
import sys

import numpy as np
import pytest
from sklearn.datasets import load_digits, load_iris
from sklearn.exceptions import NotFittedError
from sklearn.model_selection import GridSearchCV
from sklearn.pipeline import make_pipeline

matplotlib = pytest.importorskip("matplotlib")
matplotlib.use("Agg")

import matplotlib.pyplot as plt  # noqa: E402

from fastbp import MLPClassifier, MLPRegressor, backprop  # noqa: E402
from fastbp.inspection import (  # noqa: E402
    DistributionDisplay,
    FirstLayerDisplay,
    GradientFlow,
    GradientFlowDisplay,
    LossCurveDisplay,
    NetworkDisplay,
)

pytestmark = pytest.mark.filterwarnings("ignore:Stochastic Optimizer")

IRIS = load_iris(return_X_y=True)
X, y = IRIS[0] - IRIS[0].mean(axis=0), IRIS[1]
MODELS = {
    "classifier": (MLPClassifier, y),
    "regressor": (MLPRegressor, X @ [1.0, 2.0, 3.0, 4.0]),
}
DRAW = {
    "loss": LossCurveDisplay.from_estimator,
    "gradient": lambda model, **kw: GradientFlowDisplay.from_estimator(model, X, y, **kw),
    "weights": DistributionDisplay.from_estimator,
    "activations": lambda model, **kw: DistributionDisplay.from_estimator(model, X, **kw),
    "first layer": lambda model, **kw: FirstLayerDisplay.from_estimator(model, (2, 2), **kw),
    "network": NetworkDisplay.from_estimator,
}


@pytest.fixture(autouse=True)
def _closed():
    yield
    plt.close("all")


@pytest.fixture(params=MODELS)
def fitted(request):
    """A small fitted model with its targets."""
    estimator, targets = MODELS[request.param]
    return estimator(hidden_layer_sizes=(6, 5), activation="tanh", max_iter=4, random_state=0).fit(X, targets), targets


def norms(model, targets):
    """By the equations: the mean of |delta[l]| over the rows, |dW[l]| of the mean loss."""
    p = backprop(model, X, targets)
    delta = [np.mean([np.sqrt(np.sum(row**2)) for row in d]) for d in p.delta[1:]]
    dW = [np.sqrt(np.sum((p.delta[l].T @ p.a[l - 1] / len(X)) ** 2)) for l in range(1, len(p.a))]
    return {"delta": delta, "dW": dW}


# ---- what all of them do


@pytest.mark.parametrize("draw", DRAW.values(), ids=DRAW)
def test_a_display_draws_where_it_is_told(draw):
    model = MLPClassifier((6, 5), max_iter=2, random_state=0).fit(X, y)
    figure, (ax, other) = plt.subplots(ncols=2)
    display = draw(model, ax=ax)
    assert display.ax_ is ax
    assert display.figure_ is figure
    assert not other.has_data()
    assert display.plot() is display
    assert display.figure_ is not figure
    figure.canvas.draw()
    display.figure_.canvas.draw()


@pytest.mark.parametrize("draw", DRAW.values(), ids=DRAW)
def test_a_display_refuses_what_it_does_not_know(draw):
    with pytest.raises(NotFittedError):
        draw(MLPClassifier())
    with pytest.raises(TypeError, match=r"got Pipeline, .* pass the last step, model\[-1\]"):
        draw(make_pipeline(MLPClassifier()))
    assert not plt.get_fignums()


@pytest.mark.parametrize("draw", DRAW.values(), ids=DRAW)
def test_without_matplotlib_it_says_what_to_install(draw, monkeypatch):
    model = MLPClassifier((6, 5), max_iter=2, random_state=0).fit(X, y)
    monkeypatch.setitem(sys.modules, "matplotlib.pyplot", None)
    with pytest.raises(ImportError, match=r'package matplotlib, .* pip install "fastbp\[plot\]"'):
        draw(model)


# ---- losses


def test_curves_are_those_of_the_models():
    validated = MLPClassifier(6, early_stopping=True, max_iter=5, random_state=0).fit(X, y)
    plain = MLPRegressor(hidden_layer_sizes=6, max_iter=3, random_state=0).fit(X, X[:, 0])
    first = LossCurveDisplay.from_estimator(validated, name="one", log_scale=True)
    second = LossCurveDisplay.from_estimator(plain, name="two", ax=first.ax_, line_kw={"linewidth": 5})
    ax = first.ax_
    expected = [validated.loss_curve_, validated.validation_loss_curve_, plain.loss_curve_]
    for line, curve in zip(ax.lines, expected, strict=True):
        np.testing.assert_array_equal(line.get_ydata(), curve)
        np.testing.assert_array_equal(line.get_xdata(), np.arange(1, len(curve) + 1))
    labels = [text.get_text() for text in ax.get_legend().get_texts()]
    assert labels == ["one, training", "one, validation", "two, training"]
    assert ax.lines[0].get_color() == ax.lines[1].get_color() != ax.lines[2].get_color()
    assert ax.lines[0].get_linestyle() != ax.lines[1].get_linestyle()
    assert second.lines_[0].get_linewidth() == 5
    assert ax.get_yscale() == "log"


def test_scores_are_a_curve_of_their_own():
    model = MLPClassifier(6, max_iter=5, random_state=0).fit(X, y, X_val=X[:50], y_val=y[:50])
    display = LossCurveDisplay.from_estimator(model, curve="score")
    (line,) = display.lines_
    np.testing.assert_array_equal(line.get_ydata(), model.validation_scores_)
    assert display.ax_.get_ylabel() == "Validation score"
    assert display.ax_.get_yscale() == "linear"


def test_curves_that_are_not_there():
    model = MLPClassifier(6, max_iter=2, random_state=0).fit(X, y)
    with pytest.raises(ValueError, match=r"without validation scores\. Fit it with early_stopping"):
        LossCurveDisplay.from_estimator(model, curve="score")
    with pytest.raises(ValueError, match="got curve='accuracy', expected 'loss' or 'score'"):
        LossCurveDisplay.from_estimator(model, curve="accuracy")
    with pytest.raises(ValueError, match="has no loss_curve_: solver='lbfgs' keeps none"):
        LossCurveDisplay.from_estimator(MLPClassifier(6, solver="lbfgs", max_iter=500).fit(X, y))


def test_a_single_epoch_is_a_point():
    (line,) = LossCurveDisplay([0.5]).plot().lines_
    assert line.get_marker() == "o"
    first, second = LossCurveDisplay([0.5, 0.4], validation_loss=[0.6, 0.5]).plot().lines_
    assert first.get_marker() == second.get_marker() == "None"


def test_other_names_of_keywords():
    display = LossCurveDisplay([0.5, 0.4], validation_loss=[0.6, 0.5]).plot(line_kw={"c": "red", "ls": ":"})
    assert {(line.get_color(), line.get_linestyle()) for line in display.lines_} == {("red", ":")}
    (line,) = GradientFlowDisplay([[1.0, 2.0]], [[1.0, 2.0]]).plot(line_kw={"ls": ":"}).lines_
    assert line.get_linestyle() == ":"
    lines = GradientFlowDisplay([[1.0, 2.0]] * 3, [[1.0, 2.0]] * 3).plot(line_kw={"c": "red"}).lines_
    assert {line.get_color() for line in lines} == {"red"}


# ---- gradients


def test_the_flow_is_written_down_after_each_epoch(fitted):
    model, targets = fitted
    flow, seen = GradientFlow(X, targets), []
    callbacks = [flow, lambda epoch: seen.append(norms(epoch.model, targets))]
    watched = type(model)(**model.get_params() | {"callbacks": callbacks}).fit(X, targets)
    np.testing.assert_array_equal(watched.coefs_[0], model.coefs_[0])  # to watch changes nothing
    for quantity in ("delta", "dW"):
        display = GradientFlowDisplay.from_recorder(flow, quantity=quantity, line_kw={"linewidth": 3})
        expected = np.array([norm[quantity] for norm in seen])
        assert expected.shape == (4, 3)
        for l, line in enumerate(display.lines_, start=1):
            assert line.get_xdata().tolist() == [1, 2, 3, 4]
            np.testing.assert_allclose(line.get_ydata(), expected[:, l - 1], rtol=1e-10)
            assert line.get_label() == str(l)
            assert line.get_linewidth() == 3
        assert display.ax_.get_yscale() == "log"
        assert f"{quantity}[l]" in display.ax_.get_ylabel()


@pytest.mark.parametrize("quantity", ["delta", "dW"])
def test_the_flow_of_a_model_as_it_is(fitted, quantity):
    model, targets = fitted
    display = GradientFlowDisplay.from_estimator(model, X, targets, quantity=quantity, name="tanh")
    (line,) = display.lines_
    assert line.get_xdata().tolist() == [1, 2, 3]
    np.testing.assert_allclose(line.get_ydata(), norms(model, targets)[quantity], rtol=1e-10)
    assert display.ax_.get_legend().get_texts()[0].get_text() == "tanh"


def test_a_record_goes_on_but_with_one_network_only():
    flow = GradientFlow(X, y)
    model = MLPClassifier(6, max_iter=2, callbacks=flow, warm_start=True, random_state=0).fit(X, y).fit(X, y)
    assert len(flow.delta) == len(flow.dW) == 4
    with pytest.raises(ValueError, match="watched a network of 2 layers of weights, and now got one of 3"):
        MLPClassifier((6, 6), callbacks=flow).fit(X, y)
    with pytest.raises(ValueError, match="without a record"):
        GradientFlowDisplay.from_recorder(GradientFlow(X, y))
    with pytest.raises(ValueError, match="got quantity='db', expected 'delta' or 'dW'"):
        GradientFlowDisplay.from_estimator(model, X, y, quantity="db")
    with pytest.raises(TypeError, match=r"got MLPClassifier, expected a GradientFlow .* from_estimator"):
        GradientFlowDisplay.from_recorder(model)


def test_a_clone_fills_its_own_record():
    flow = GradientFlow(X, y)
    search = GridSearchCV(MLPClassifier(3, max_iter=2, callbacks=flow, random_state=0), {"alpha": [0.1]}, cv=2)
    assert len(search.fit(X, y).best_estimator_.callbacks.delta) == 2
    with pytest.raises(ValueError, match=r"fills a copy: take it from best_estimator_\.callbacks"):
        GradientFlowDisplay.from_recorder(flow)


def test_norms_that_are_all_0_are_drawn():
    for display in (GradientFlowDisplay(np.zeros((n, 2)), np.zeros((n, 2))) for n in (1, 2)):
        display.plot().figure_.canvas.draw()
        assert display.ax_.get_ylim()[0] < 0 < display.ax_.get_ylim()[1]


# ---- distributions


def check_histograms(display, values, bins):
    assert list(display.counts_) == list(values)
    for place, (name, value) in enumerate(values.items()):
        counts, edges = np.histogram(
            value, bins, (min(map(np.min, values.values())), max(map(np.max, values.values())))
        )
        np.testing.assert_array_equal(display.counts_[name], counts)
        drawn = display.histograms_[place].get_data()
        np.testing.assert_allclose(drawn.edges, edges)
        np.testing.assert_allclose(drawn.values - place, 0.9 * counts / counts.max(), atol=1e-12)
        assert drawn.baseline == place
    assert [label.get_text() for label in display.ax_.get_yticklabels()] == list(values)


def test_histograms_of_weights(fitted):
    model, _ = fitted
    display = DistributionDisplay.from_estimator(model, bins=7)
    check_histograms(display, {f"W[{l}]": W for l, W in enumerate(model.coefs_, start=1)}, bins=7)
    assert sum(counts.sum() for counts in display.counts_.values()) == 4 * 6 + 6 * 5 + 5 * model.n_outputs_


def test_histograms_of_activations(fitted):
    model, targets = fitted
    model.set_output(transform="pandas")
    display = DistributionDisplay.from_estimator(model, X, stairs_kw={"alpha": 0.3})
    a = backprop(model, X, targets).a
    check_histograms(display, {f"a[{l}]": a[l] for l in range(1, 4)}, bins=50)
    assert display.histograms_[0].get_alpha() == 0.3


def test_logarithmic_heights():
    display = DistributionDisplay({"a[1]": [0, 0, 0, 1]}, "Activation").plot(bins=2, log_scale=True)
    assert display.counts_["a[1]"].tolist() == [3, 1]
    np.testing.assert_allclose(display.histograms_[0].get_data().values, [0.9, 0.9 * np.log(2) / np.log(4)])


# ---- the first layer


def test_images_are_the_columns_of_the_first_weights():
    digits = load_digits(return_X_y=True)
    model = MLPClassifier(5, max_iter=2, random_state=0).fit(*digits)
    display = FirstLayerDisplay.from_estimator(model, (8, 8), n_columns=2)
    sheet = np.ma.filled(display.image_.get_array(), np.nan)
    assert sheet.shape == (26, 17)
    for unit in range(5):
        top, left = 9 * (unit // 2), 9 * (unit % 2)
        np.testing.assert_array_equal(sheet[top : top + 8, left : left + 8].ravel(), model.coefs_[0][:, unit])
    assert np.isnan(sheet[8]).all()
    assert np.isnan(sheet[:, 8]).all()
    assert np.isnan(sheet[18:, 9:]).all()
    end = np.abs(model.coefs_[0]).max()
    assert display.image_.get_clim() == (-end, end)


def test_images_of_other_shapes():
    model = MLPRegressor(hidden_layer_sizes=7, max_iter=2, random_state=0).fit(X, X[:, 0])
    display = FirstLayerDisplay.from_estimator(model, (1, 4), image_kw={"cmap": "gray"})
    assert display.image_.get_array().shape == (5, 14)  # three rows of three
    assert display.image_.get_cmap().name == "gray"
    for shape in ((8, 8), 4, (2, 2, 1), (-2, -2), "22"):
        with pytest.raises(ValueError, match=rf"got image_shape={re.escape(repr(shape))}, expected .* with 4 pixels"):
            FirstLayerDisplay.from_estimator(model, shape)
    norm = matplotlib.colors.CenteredNorm()
    assert FirstLayerDisplay.from_estimator(model, (2, 2), image_kw={"norm": norm}).image_.norm is norm
    with pytest.raises(ValueError, match="got n_columns=0"):
        display.plot(n_columns=0)


# ---- the network


def test_circles_and_lines_are_units_and_weights(fitted):
    model, _ = fitted
    display = NetworkDisplay.from_estimator(model)
    units = [circles.get_offsets() for circles in display.units_]
    assert [len(places) for places in units] == [4, 6, 5, model.n_outputs_]
    for l, lines in enumerate(display.lines_):
        W, segments, values = model.coefs_[l], lines.get_segments(), lines.get_array()
        assert len(values) == W.size
        ends = {(tuple(start), tuple(end)): value for (start, end), value in zip(segments, values, strict=True)}
        for (i, j), weight in np.ndenumerate(W):
            assert ends[tuple(units[l][i]), tuple(units[l + 1][j])] == weight
        assert (np.diff(lines.get_linewidths()) >= 0).all()
        assert (np.diff(np.abs(values)) >= 0).all()
        low, high = lines.get_clim()
        assert low == -high
        np.testing.assert_array_equal(display.units_[l + 1].get_array(), model.intercepts_[l])


def test_names_of_inputs_and_classes():
    X, y = load_iris(return_X_y=True, as_frame=True)
    model = MLPClassifier(3, max_iter=2, random_state=0).fit(X, y)
    texts = [text.get_text() for text in NetworkDisplay.from_estimator(model).ax_.texts]
    assert texts == [*X.columns, "0", "1", "2", "a[0]", "a[1]", "a[2]"]
    two = MLPClassifier(3, max_iter=2, random_state=0).fit(X.to_numpy(), np.where(y > 0, "yes", "no"))
    texts = [text.get_text() for text in NetworkDisplay.from_estimator(two).ax_.texts]
    assert texts == ["yes", "a[0]", "a[1]", "a[2]"]


@pytest.mark.parametrize("hidden", [(21,), (2,) * 9])
def test_networks_that_are_too_large(hidden):
    model = MLPClassifier(hidden, max_iter=2, random_state=0).fit(X, y)
    with pytest.raises(ValueError, match="expected at most 20 units a layer and 10 layers"):
        NetworkDisplay.from_estimator(model)
    assert not plt.get_fignums()


def test_a_network_without_weights_has_a_scale():
    display = NetworkDisplay([[[0], [0]]], [[0]]).plot()
    assert display.lines_[0].get_clim() == (-1, 1)
    display.figure_.canvas.draw()


def test_a_large_bias_leaves_the_scale_to_the_weights():
    display = NetworkDisplay([np.array([[1.0], [-2.0]])], [np.array([100.0])]).plot()
    assert display.lines_[0].get_clim() == display.units_[1].get_clim() == (-2, 2)
    assert display.colorbar_.extend == "both"
    assert NetworkDisplay([np.ones((2, 1))], [np.ones(1)]).plot().colorbar_.extend == "neither"


def test_the_colour_bar_is_that_of_the_lines():
    display = NetworkDisplay([np.ones((2, 1))], [np.ones(1)]).plot(line_kw={"cmap": "PiYG", "lw": 7})
    assert display.colorbar_.cmap.name == display.lines_[0].get_cmap().name == "PiYG"
    assert display.lines_[0].get_linewidths().tolist() == [7] * len(display.lines_[0].get_linewidths())


@pytest.mark.parametrize("layout", [None, "constrained"])
@pytest.mark.parametrize("n", [6, 30])
def test_names_have_room(layout, n):
    """Between the figure's edge and the colour bar, the network in the middle."""
    figure, ax = plt.subplots(layout=layout)
    names = {"input_names": ["w" * n, "b"], "output_names": ["m" * n]}
    display = NetworkDisplay([np.ones((2, 1))], [np.ones(1)], **names).plot(ax)
    figure.canvas.draw()
    boxes = {text.get_text(): text.get_window_extent() for text in ax.texts}
    left, right = (next(box for name, box in boxes.items() if name[0] == letter) for letter in "wm")
    inputs, outputs = ax.transData.transform([(0, 0), (1, 0)])[:, 0]
    assert 0 < left.x0 < left.x1 < inputs < outputs < right.x0 < right.x1 < display.colorbar_.ax.get_window_extent().x0
    assert outputs - inputs > 0.25 * ax.get_window_extent().width
    assert max(map(len, boxes)) <= 25


def test_names_are_no_mathematics():
    NetworkDisplay([np.ones((2, 1))], [np.ones(1)], input_names=["$_", "_$"]).plot().figure_.canvas.draw()
    NetworkDisplay([np.ones((1, 1))], [np.ones(1)], input_names=["$_$"]).plot().figure_.canvas.draw()


@pytest.mark.parametrize("value", [np.inf, np.nan])
def test_weights_that_are_not_finite(value):
    for draw in (
        NetworkDisplay([np.array([[value], [1.0]])], [np.zeros(1)]).plot,
        NetworkDisplay([np.ones((2, 1))], [np.array([value])]).plot,
        FirstLayerDisplay(np.array([[[1.0, value]]])).plot,
    ):
        with pytest.raises(ValueError, match="got weights that are not finite"):
            draw()
    assert not plt.get_fignums()
