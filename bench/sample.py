"""Writes the three files of the invented sample: python bench/sample.py [folder] (default: the folder data/).

The same bytes every time. To keep it so, every draw is made from Random.random() alone and money is
counted in whole cents: other methods of Random and sum() of floats may change between Python versions.
data/README.md lists the deliberate flaws with their line numbers: change both together.
"""

import csv
import sys
from bisect import bisect_left
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from itertools import accumulate
from pathlib import Path
from random import Random
from typing import TypeVar

T = TypeVar("T")
Payment = tuple[date, str, str, str]  # day, customer_id, order_id, amount

SEED = 7
LAST_DAY = date(2025, 12, 31)  # the first is 2023-01-01
CUSTOMERS, QUIET = 503, 60  # distinct ids, three of them rejected; good customers who never order
GOOD_ORDERS, GOOD_PAYMENTS = 2995, 2997

# Customers with a flaw of their own, by customer_id; the rejected ones get no orders.
REPEATED, REPEATED_AFTER, CORRECTED, SHOUTED, NO_GENDER = 23, 41, 58, 97, 164
REJECTED = DECIMAL_ID, AMBIGUOUS_BIRTH, IMPOSSIBLE_BIRTH = 217, 301, 389

# country: first names of women, first names of men, last names
NAMES = {
    "Rwanda": (
        "Aline Chantal Claudine Diane Divine Espérance Grace Immaculée Josée Solange Yvette",
        "Aimable Claude Emmanuel Eric Fidèle Innocent Jean-Paul Olivier Patrick Théogène",
        "Gasana Habimana Ingabire Iradukunda Kamanzi Mukamana Munyaneza Niyonsenga Nsengiyumva Uwase Uwimana",
    ),
    "Uganda": (
        "Brenda Doreen Harriet Irene Juliet Lillian Patience Prossy Sandra Stella",
        "Alex Brian Denis Godfrey Ivan Joel Moses Ronald Simon Timothy",
        "Akello Kato Kizza Lubega Mukasa Nabirye Nakato Namubiru Nsubuga Ocen Okello Opio Ssemakula Wasswa",
    ),
    "Kenya": (
        "Achieng Beatrice Cynthia Esther Faith Joyce Mercy Njeri Purity Wanjiku",
        "Brian Collins Dennis Felix George Kevin Kiprono Martin Otieno Peter Samuel",
        "Barasa Cheruiyot Kariuki Kiplagat Maina Mutua Mwangi Ndung'u Ng'ang'a Njoroge Ochieng Ong'ondo",
    ),
    "Tanzania": (
        "Amina Anna Asha Fatuma Halima Mariam Neema Rehema Upendo Zawadi",
        "Abdallah Baraka Daudi Emanuel Hamisi Joseph Juma Rashid Salum Yusuph",
        "Hassan Kessy Kimaro Lyimo Massawe Mbwambo Mollel Msuya Mtui Mushi Ng'wandu Nyambo Shayo Swai Temba",
    ),
    "Burundi": (
        "Alida Béatrice Chanelle Espérance Francine Gisèle Jeanne Nadège Odette Thérèse",
        "Aimé Audace Blaise Désiré Égide Fabrice Jean-Marie Léonidas Révérien Thierry",
        "Bigirimana Bukuru Hakizimana Irakoze Kaneza Manirakiza Ndikumana Nibigira Nijimbere Niyongabo",
    ),
}
COUNTRY_WEIGHTS = (29, 22, 22, 16, 11)
PLAIN = str.maketrans("ÉéèêÈïô", "EeeeEio", "'-")

# product: lowest price, highest price, step (cents); weight for a thrifty, an ordinary, a well-off customer
PRODUCTS = {
    "Airtime bundle": (500, 4000, 250, (40, 26, 12)),
    "Data bundle": (800, 6000, 400, (26, 26, 16)),
    "SIM starter pack": (500, 900, 100, (6, 3, 1)),
    "Mobile money float": (5000, 60000, 2500, (1, 4, 9)),
    "Feature phone": (1890, 4990, 100, (13, 7, 2)),
    "Smartphone": (8990, 64990, 1000, (3, 11, 18)),
    "Flagship smartphone": (69900, 149900, 5000, (0, 1, 7)),
    "Tablet": (14950, 59950, 2500, (1, 4, 8)),
    "Router": (4490, 13990, 500, (2, 6, 9)),
    "Home fibre": (3500, 9000, 500, (1, 6, 12)),
    "Power bank": (1250, 4550, 150, (5, 4, 3)),
    "Headphones": (650, 17950, 100, (2, 2, 3)),
}
HABITS = ("Airtime bundle", "Data bundle", "Mobile money float")
SEASON = (82, 80, 90, 96, 94, 98, 104, 102, 94, 100, 122, 158)  # per cent of an ordinary month


@dataclass
class Order:
    """One order; cents is 0 on a flawed one, so that nobody pays for it."""

    day: date
    customer_id: str
    product: str
    price: str
    cents: int = 0
    order_id: str = ""


def between(rng: Random, low: int, high: int) -> int:
    """A whole number from low to high, both included."""
    return low + int(rng.random() * (high - low + 1))


def pick(rng: Random, items: Sequence[T], weights: Sequence[int] = ()) -> T:
    """One of the items, as often as it weighs."""
    totals = list(accumulate(weights or [1] * len(items)))
    return items[bisect_left(totals, between(rng, 1, totals[-1]))]


def money(cents: int) -> str:
    """Cents as an amount with two decimals."""
    return f"{'-' if cents < 0 else ''}{abs(cents) // 100}.{abs(cents) % 100:02d}"


def make_customers(rng: Random) -> list[tuple[list[str], date]]:
    """The people, flawless, each with the day on which he or she came: a strong start, then slow growth."""
    weights = [SEASON[month % 12] * (100 + month + max(0, 4 - month) * 60) for month in range(36)]
    months = sorted(pick(rng, range(36), weights) for _ in range(CUSTOMERS))
    days = sorted(date(2023 + month // 12, month % 12 + 1, between(rng, 1, 28)) for month in months)
    customers, seen = [], dict[str, int]()
    for number, since in enumerate(days, start=1):
        country = pick(rng, list(NAMES), COUNTRY_WEIGHTS)
        women, men, last_names = NAMES[country]
        gender, names = pick(rng, (("Female", women), ("Male", men)))
        first, last = pick(rng, names.split()), pick(rng, last_names.split())
        mailbox = f"{first}.{last}".translate(PLAIN).lower()
        seen[mailbox] = seen.get(mailbox, 0) + 1
        mailbox += str(seen[mailbox]) if seen[mailbox] > 1 else ""
        email = f"{mailbox}@example.{pick(rng, ('com', 'org', 'net'), (70, 18, 12))}"
        born = since - timedelta(days=18 * 366 + int(rng.random() * rng.random() * 50 * 365))
        customers.append(([str(number), first, last, email, country, gender, born.isoformat()], since))
    return customers


def flaw_customers(rows: list[list[str]]) -> list[list[str]]:
    """The lines of the customers' file, flaws included."""
    corrected = list(rows[CORRECTED - 1])
    rows[CORRECTED - 1][3] = corrected[3][0] + corrected[3][2:]  # the second letter is missing
    rows[SHOUTED - 1][3] = f"  {rows[SHOUTED - 1][3].upper()} "
    rows[NO_GENDER - 1][5] = "N/A"
    rows[DECIMAL_ID - 1][0] += ".0"
    rows[AMBIGUOUS_BIRTH - 1][6] = "01/02/1990"
    rows[IMPOSSIBLE_BIRTH - 1][6] = "1990-02-30"
    return [*rows[:REPEATED_AFTER], rows[REPEATED - 1], *rows[REPEATED_AFTER:], corrected]


def one_order(rng: Random, customer_id: str, day: date, habit: str, tier: int) -> Order:
    """What a customer buys on a day: the own habit or something else; cheaper at times late in the year."""
    usual = pick(rng, list(PRODUCTS), [weights[tier] for *_, weights in PRODUCTS.values()])
    product = habit if rng.random() < 0.35 else usual
    low, high, step, _ = PRODUCTS[product]
    cents = low + step * int(rng.random() * rng.random() * ((high - low) // step + 1))
    if day.month >= 11 and rng.random() < 0.3:
        cents = max(cents * 9 // 10, 500)
    return Order(day, customer_id, product, money(cents), cents)


def make_orders(rng: Random, customers: Sequence[tuple[list[str], date]]) -> list[Order]:
    """Good orders, week by week until the customer leaves, and the flawed ones; by day, numbered."""
    noted = {REPEATED, CORRECTED, SHOUTED, NO_GENDER, *REJECTED}
    drawn = sorted((rng.random(), number) for number in range(1, CUSTOMERS + 1) if number not in noted)
    silent = {*REJECTED, *(number for _, number in drawn[:QUIET])}
    orders: list[Order] = []
    repeats: list[tuple[float, Order]] = []
    for number, (row, since) in enumerate(customers, start=1):
        if number in silent:
            continue
        tier = pick(rng, range(3), (48, 38, 14))
        habit = pick(rng, HABITS, (50, 38, 4 + 8 * tier))
        orders.append(one_order(rng, row[0], since, habit, tier))
        rate, leaves = 0.042 / (0.06 + rng.random()), 0.0005 + 0.016 * rng.random() * rng.random()
        day, stays = since + timedelta(days=7), rng.random() > 0.18
        while stays and day <= LAST_DAY:
            if rng.random() < rate * SEASON[day.month - 1] / 100:
                bought = min(day + timedelta(days=between(rng, 0, 6)), LAST_DAY)
                repeats.append((rng.random(), one_order(rng, row[0], bought, habit, tier)))
            day, stays = day + timedelta(days=7), rng.random() > leaves
    wanted = GOOD_ORDERS - len(orders)
    assert wanted <= len(repeats), f"{wanted - len(repeats)} orders too few"
    repeats.sort(key=lambda repeat: repeat[0])
    orders += [order for _, order in repeats[:wanted]]
    orders += [
        Order(date(2023, 9, 14), "", "Data bundle", "20.00"),
        Order(date(2024, 3, 7), "112", "Tablet", "1,200"),
        Order(date(2024, 11, 21), "140", "Power bank", "-24.50"),
        Order(date(2025, 6, 18), "999", "Router", "64.90"),
        Order(date(2052, 12, 15), "260", "Smartphone", "219.90"),
    ]
    orders.sort(key=lambda order: order.day)
    for number, order in enumerate(orders, start=1):
        order.order_id = str(number)
    return orders


def pay(rng: Random, order: Order) -> list[Payment]:
    """How an order is paid: at once or in parts, some money given back; only what is due by the last day."""
    parts = between(rng, 2, 3) if order.cents >= 12000 and rng.random() < 0.4 else 1
    part = order.cents // parts
    day = order.day + timedelta(days=0 if rng.random() < 0.7 else between(rng, 1, 12))
    paid = [(day, order.cents - part * (parts - 1))]
    while len(paid) < parts and rng.random() > 0.05:
        day += timedelta(days=between(rng, 27, 36))
        paid.append((day, part))
    back, share = rng.random(), between(rng, 1, 5)
    if len(paid) == parts and back < 0.024:
        returned = order.cents if back < 0.011 else order.cents * share // 10
        paid.append((day + timedelta(days=between(rng, 3, 30)), -returned))
    return [(day, order.customer_id, order.order_id, money(cents)) for day, cents in paid if day <= LAST_DAY]


def make_payments(rng: Random, orders: Sequence[Order]) -> list[Payment]:
    """As many good payments as wanted, the other orders being left unpaid, and the flawed ones; by day."""
    plans = [(rng.random(), order, pay(rng, order)) for order in orders if order.cents]
    spare = sum(len(payments) for *_, payments in plans) - GOOD_PAYMENTS
    single = sorted((plan for plan in plans if len(plan[2]) == 1), key=lambda plan: plan[0])
    assert 2 <= spare <= len(single), "too few payments"
    for *_, payments in single[:spare]:
        payments.clear()
    mixed_up, no_amount = single[0][1], single[1][1]
    good = [payment for *_, payments in plans for payment in payments]
    flawed = [
        (date(2024, 8, 2), "75", "9999", "45.00"),
        (mixed_up.day, str(int(mixed_up.customer_id) + 1), mixed_up.order_id, mixed_up.price),
        (no_amount.day, no_amount.customer_id, no_amount.order_id, "NaN"),
    ]
    return sorted(good + flawed, key=lambda payment: (payment[0], int(payment[2])))


def write(path: Path, header: str, rows: Sequence[Sequence[str]]) -> None:
    """One CSV file: UTF-8, LF, quotes only where needed."""
    with path.open("w", encoding="utf-8", newline="") as file:
        csv.writer(file, lineterminator="\n").writerows([header.split(","), *rows])


def main(folder: Path) -> None:
    """Makes and writes the three files."""
    rng = Random(SEED)
    people = make_customers(rng)
    orders = make_orders(rng, people)
    payments = make_payments(rng, orders)
    customer_rows = flaw_customers([row for row, _ in people])
    order_rows = [(o.order_id, o.customer_id, o.day.isoformat(), o.product, o.price) for o in orders]
    payment_rows = [
        (str(number), customer_id, order_id, day.isoformat(), amount)
        for number, (day, customer_id, order_id, amount) in enumerate(payments, start=1)
    ]
    customer_header = "customer_id,first_name,last_name,email,country,gender,date_of_birth"
    write(folder / "customer_data.csv", customer_header, customer_rows)
    write(folder / "order_data.csv", "order_id,customer_id,order_date,product,price", order_rows)
    write(folder / "payment_data.csv", "payment_id,customer_id,order_id,payment_date,amount", payment_rows)


if __name__ == "__main__":
    main(Path(sys.argv[1]) if len(sys.argv) > 1 else Path(__file__).resolve().parents[1] / "data")
