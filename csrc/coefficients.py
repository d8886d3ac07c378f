"""Compute the minimax coefficients that csrc/kernels/elementary.h holds (needs mpmath; prints C).

Each polynomial q is fitted by Remez's exchange so that the greatest weighted error |w(x) (q(x) - target(x))| is least:

    exp    e^r - 1 = r + r^2 q(r)            |r| <= ln(2)/2,      relative to r
    log    log(1+f) = 2s + s z q(z)          s = f/(2+f), z = s^2, sqrt(1/2) <= 1+f <= sqrt(2), relative to s
    log1p  the same for 0 <= f <= 1
    tail   Phi(-t) = e^(-t^2/2) q(v) / (t+c)   v = (t-c)/(t+c), 0 <= t <= where Phi(-t) comes to 0, relative to Phi(-t)
"""

from mpmath import cos, erfc, exp, expm1, linspace, log, lu_solve, matrix, mp, mpf, pi, polyval, sqrt

mp.prec = 200
FLOOR = mpf(10) ** -3  # keeps a weight that vanishes at 0 invertible


def remez(target, weight, low, high, degree, rounds=12):
    """Coefficients, lowest first, of the polynomial of `degree` nearest to `target` on [low, high]."""
    n = degree + 2
    points = [(low + high) / 2 - (high - low) / 2 * cos(pi * i / (n - 1)) for i in range(n)]
    grid = linspace(low, high, 2001)
    targets, weights = [target(x) for x in grid], [weight(x) for x in grid]
    for _ in range(rounds):
        system = matrix(n, n)
        for i, x in enumerate(points):
            for j in range(degree + 1):
                system[i, j] = x**j
            system[i, degree + 1] = (-1) ** i / weight(x)
        coefficients = list(lu_solve(system, matrix([target(x) for x in points])))[: degree + 1]
        values = [polyval(coefficients[::-1], x) for x in grid]
        error = [w * (q - t) for w, q, t in zip(weights, values, targets, strict=True)]
        points = _alternate(grid, error, n)
    return coefficients, max(abs(e) for e in error)


def _alternate(grid, error, n):
    """The n points where `error` peaks with alternating sign."""
    peaks = []
    for x, e in zip(grid, error, strict=True):
        if peaks and (e > 0) == (peaks[-1][1] > 0):
            if abs(e) > abs(peaks[-1][1]):
                peaks[-1] = (x, e)
        else:
            peaks.append((x, e))
    while len(peaks) > n:
        peaks.pop(0 if abs(peaks[0][1]) < abs(peaks[-1][1]) else -1)
    return [x for x, _ in peaks]


def exp_target(r):
    """q in e^r - 1 = r + r^2 q(r)."""
    return mpf(1) / 2 + r / 6 if abs(r) < mpf(10) ** -15 else (expm1(r) - r) / r**2


def log_target(z):
    """q in 2 atanh(s) = 2s + s z q(z), z = s^2."""
    if z < mpf(10) ** -15:
        return mpf(2) / 3
    s = sqrt(z)
    return (log((1 + s) / (1 - s)) - 2 * s) / (s * z)


def tail_target(c):
    """q in Phi(-t) = e^(-t^2/2) q(v) / (t + c), t = c (1 + v)/(1 - v)."""

    def target(v):
        t = c * (1 + v) / (1 - v)
        return (t + c) * exp(t**2 / 2) * erfc(t / sqrt(mpf(2))) / 2

    return target


if __name__ == "__main__":
    ln2 = log(2)
    widest = ((sqrt(2) - 1) / (sqrt(2) + 1)) ** 2  # s^2 at 1 + f = sqrt(2)
    # c: a greater one needs fewer terms, but makes more of their rounding; that of float32 has first terms that are
    # floats, nearly.
    for bits, degrees, c, end, digits in ((32, (4, 2, 3, 10), 2.2109375, 14.5, 10), (64, (9, 6, 9, 23), 3, 39, 19)):
        tail = tail_target(mpf(c))
        fits = {
            "exp": (exp_target, lambda r: abs(r) + FLOOR, -ln2 / 2, ln2 / 2),
            "log": (log_target, lambda z: z / 2 + FLOOR, mpf(0), widest),
            "log1p": (log_target, lambda z: z / 2 + FLOOR, mpf(0), mpf(1) / 9),
            "tail": (tail, lambda v, tail=tail: 1 / tail(v), mpf(-1), mpf(end - c) / (end + c)),
        }
        for (name, fit), degree in zip(fits.items(), degrees, strict=True):
            q, error = remez(*fit, degree)
            terms = ", ".join(mp.nstr(term, digits) for term in q)
            print(f"/* float{bits}: {name}, relative error {mp.nstr(error, 3)} */", terms)
