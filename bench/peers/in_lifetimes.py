"""Fit BG/NBD and Gamma-Gamma and score every customer with the package lifetimes, as its documentation does.

in_lifetimes.py <summary.csv> <scores.csv>: reads customer_id, frequency, recency, t and monetary_value; writes
customer_id and p_alive, expected orders, order value and discounted value of 12 months; prints seconds and parameters
as JSON. Reading and writing are not timed.
"""

import json
import sys
import time
import warnings

import pandas as pd
from lifetimes import BetaGeoFitter, GammaGammaFitter

# What the packages say of each other's future.
warnings.simplefilter("ignore")
customers = pd.read_csv(sys.argv[1])
x, t_x, t, value = (customers[name] for name in ("frequency", "recency", "t", "monetary_value"))

started = time.monotonic()
purchases = BetaGeoFitter().fit(x, t_x, t)
amounts = GammaGammaFitter().fit(x[x > 0], value[x > 0])
fitted = time.monotonic()
scores = {
    "p_alive": purchases.conditional_probability_alive(x, t_x, t),
    "expected_orders": purchases.conditional_expected_number_of_purchases_up_to_time(365.25 / 7, x, t_x, t),
    "expected_order_value": amounts.conditional_expected_average_profit(x, value),
}
predicted = time.monotonic()
# By months, where ours is by quarters: lifetimes has no others.
scores["expected_value"] = amounts.customer_lifetime_value(
    purchases, x, t_x, t, value, time=12, discount_rate=1.1 ** (1 / 12) - 1, freq="W"
)
ended = time.monotonic()

pd.DataFrame({"customer_id": customers.customer_id, **scores}).to_csv(sys.argv[2], index=False)
parameters = [*purchases.params_[["r", "alpha", "a", "b"]], *amounts.params_[["p", "q", "v"]]]
seconds = {"fit": fitted - started, "predict": predicted - fitted, "value": ended - predicted}
print(json.dumps({"seconds": seconds, "parameters": parameters}))
