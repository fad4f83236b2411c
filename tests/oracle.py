"""What the field's own package, lifetimes, makes of purchases; run by the tests, in an environment of its own.

Reads a question from standard input and writes the answer to standard output, both JSON.
"""

import json
import sys
import warnings
from collections.abc import Callable

import mpmath
import pandas as pd
from lifetimes import BetaGeoFitter, GammaGammaFitter
from lifetimes.utils import summary_data_from_transaction_data
from scipy import special


def bg_nbd(parameters: list[float]) -> BetaGeoFitter:
    fitter = BetaGeoFitter()
    fitter.params_ = pd.Series(parameters, index=["r", "alpha", "a", "b"])
    return fitter


def summary(purchases: list[tuple], until: str) -> list[tuple]:
    """Customer, frequency, recency and T in weeks, monetary value."""
    rows = pd.DataFrame(purchases, columns=["customer", "day", "amount"])
    made = summary_data_from_transaction_data(
        rows, "customer", "day", "amount", observation_period_end=until, freq="D", freq_multiplier=7
    )
    return [(int(customer), *map(float, row)) for customer, *row in made.sort_index().itertuples()]


def fit(rows: list[tuple]) -> list[float]:
    """r, alpha, a and b, of frequency, recency and T."""
    frequency, recency, t = (pd.Series(column) for column in zip(*rows, strict=True))
    return list(BetaGeoFitter().fit(frequency, recency, t).params_)


def fit_values(rows: list[tuple]) -> list[float]:
    """p, q and gamma, of frequency and monetary value."""
    frequency, value = (pd.Series(column) for column in zip(*rows, strict=True))
    return list(GammaGammaFitter().fit(frequency, value).params_)


def expected(parameters: list[float], weeks: list[float], rows: list[tuple]) -> list[list[float]]:
    """P(alive), and purchases after each number of weeks, of frequency, recency and T."""
    fitter = bg_nbd(parameters)
    frequency, recency, t = (pd.Series(column) for column in zip(*rows, strict=True))
    columns = [fitter.conditional_probability_alive(frequency, recency, t)]
    columns += [fitter.conditional_expected_number_of_purchases_up_to_time(w, frequency, recency, t) for w in weeks]
    return [list(map(float, row)) for row in zip(*columns, strict=True)]


def values(parameters: list[float], rows: list[tuple]) -> list[float]:
    """Expected amount of a purchase, of frequency and monetary value."""
    fitter = GammaGammaFitter()
    fitter.params_ = pd.Series(parameters, index=["p", "q", "v"])
    frequency, value = (pd.Series(column) for column in zip(*rows, strict=True))
    return list(map(float, fitter.conditional_expected_average_profit(frequency, value)))


def exact(rows: list[tuple]) -> list[float]:
    """Purchases of whoever still buys, as published, with 60 digits, of r, alpha, a, b, frequency, T and weeks."""
    mpmath.mp.dps = 60
    found = []
    for r, alpha, a, b, x, t, weeks in (map(mpmath.mpf, row) for row in rows):
        # The published form is 0 / 0 at a = 1, and so it is where a + b + x = 1.
        a += mpmath.mpf(10) ** -25
        end = alpha + t + weeks
        series = mpmath.hyp2f1(r + x, b + x, a + b + x - 1, weeks / end, maxterms=10**7)
        found += [(a + b + x - 1) / (a - 1) * (1 - ((alpha + t) / end) ** (r + x) * series)]
    return list(map(float, found))


def digamma(numbers: list[float]) -> list[float]:
    """Of each."""
    return list(map(float, special.digamma(numbers)))


ANSWERS: dict[str, Callable] = {
    function.__name__: function for function in (summary, fit, fit_values, expected, values, exact, digamma)
}

if __name__ == "__main__":
    # What the packages say of each other's future.
    warnings.simplefilter("ignore")
    name, *arguments = json.load(sys.stdin)
    json.dump(ANSWERS[name](*arguments), sys.stdout)
