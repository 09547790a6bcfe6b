#!/usr/bin/env python3
"""Designs the resampler's low-pass prototypes and writes ../src/coefficients.rs.

    python3 -m venv /tmp/v && /tmp/v/bin/pip install scipy
    /tmp/v/bin/python guest/audio/design/design.py            # writes the Rust file, prints the figures
    /tmp/v/bin/python guest/audio/design/design.py --check    # fails if the committed file is out of date
    /tmp/v/bin/python guest/audio/design/design.py --redesign # published designs too, from the recipe alone

The recipe is a linear programme. A symmetric filter of N taps has an amplitude A(f) that is linear in
its half of the taps, so

    minimise  d   such that   |A(f) - L| <= L * ripple   on 0 .. fpass
                              |A(f)|     <= L * d        on fstop .. fs/2
                              sum over every branch h[p::B] equals L / B, for every B in `branches`

is solved exactly. The last line is what makes DC come out as the same DC in every branch; asking for it here costs
nothing, while scaling the branches afterwards would double the ripple.

Five of the designs were published with the measurements the targets come from (tests/fixtures/audio/fir_designs.json);
they are taken over digit by digit, so that anyone's reference computes the same samples, and `--redesign` shows
that the recipe reaches them. The other designs exist only here.
"""

import json
import sys
from pathlib import Path

import numpy as np
from scipy.optimize import linprog

HERE = Path(__file__).resolve().parent
PUBLISHED = HERE / "../../../tests/fixtures/audio/fir_designs.json"
RUST = HERE / "../src/coefficients.rs"

# name: (published name or None, fs of the prototype, L, taps, fpass, fstop, ripple in dB, branches)
#
# Prototypes at 24 and 16 kHz serve 8 <-> 24 and 8 <-> 16 kHz. 16 -> 24 kHz is the 24 kHz prototype run at 48 kHz. The
# `_48K` ones serve 24 -> 16 kHz: two branches at 48 kHz, so the two have to sum alike as well.
DESIGNS = {
    "FLAT_3": ("24k_flat_T48", 24000, 3, 143, 3500, 4500, 0.0002, [3]),
    "FLAT_2": ("16k_flat_T48", 16000, 2, 95, 3500, 4500, 0.0002, [2]),
    "FLAT_48K": (None, 48000, 3, 143, 7000, 9000, 0.0002, [2, 3]),
    "STRICT_3": ("24k_dn_T56", 24000, 3, 168, 3400, 4000, 0.02, [3]),
    "STRICT_2": ("16k_dn_T56", 16000, 2, 112, 3400, 4000, 0.02, [2]),
    "STRICT_48K": (None, 48000, 3, 168, 6800, 8000, 0.02, [2, 3]),
    "LOW_LATENCY_3": (None, 24000, 3, 95, 3400, 4600, 0.01, [3]),
    "LOW_LATENCY_2": (None, 16000, 2, 63, 3400, 4600, 0.01, [2]),
    "LOW_LATENCY_48K": (None, 48000, 3, 95, 6800, 9200, 0.01, [2, 3]),
}


def cosines(taps, fs, f):
    """Rows of A(f) = sum over the half of the taps; the last unknown is the centre (odd) or the inner pair (even)."""
    distance = (taps - 1) / 2 - np.arange((taps + 1) // 2)
    rows = 2 * np.cos(2 * np.pi * np.outer(np.atleast_1d(f), distance) / fs)
    if taps % 2:
        rows[:, -1] = 1
    return rows


def unfold(half, taps):
    return np.concatenate([half, half[::-1] if taps % 2 == 0 else half[-2::-1]])


def design(fs, L, taps, fpass, fstop, ripple_db, branches):
    per_hz = 16 * taps / fs
    pas = cosines(taps, fs, np.linspace(0, fpass, int(fpass * per_hz)))
    stop = cosines(taps, fs, np.linspace(fstop, fs / 2, int((fs / 2 - fstop) * per_hz)))
    ripple = 10 ** (ripple_db / 20) - 1
    n = pas.shape[1]
    scale = 1e4  # the solver's tolerance is absolute: let d be of the order of one
    column = lambda m, v: np.full((m.shape[0], 1), v)
    A = np.vstack([
        np.hstack([pas, column(pas, 0)]), np.hstack([-pas, column(pas, 0)]),
        np.hstack([stop, column(stop, -L / scale)]), np.hstack([-stop, column(stop, -L / scale)]),
    ]) * scale
    b = np.concatenate([
        np.full(len(pas), L * (1 + ripple)), np.full(len(pas), -L * (1 - ripple)), np.zeros(2 * len(stop)),
    ]) * scale
    eq, one = [], []
    for B in branches:
        for p in range(B):
            row = np.zeros(n + 1)
            for i in range(p, taps, B):
                row[min(i, taps - 1 - i)] += 1
            eq.append(row)
            one.append(L / B)
    # Mirrored branches give the same equation, and two sets of branches share their total: keep the independent ones.
    keep = []
    for i in range(len(eq)):
        if np.linalg.matrix_rank(np.array([eq[k] for k in keep + [i]])) == len(keep) + 1:
            keep.append(i)
    r = linprog(
        np.eye(n + 1)[n], A_ub=A, b_ub=b, A_eq=np.array([eq[k] for k in keep]), b_eq=[one[k] for k in keep],
        bounds=[(None, None)] * n + [(0, None)], method="highs-ds",
        options={"primal_feasibility_tolerance": 1e-10, "dual_feasibility_tolerance": 1e-10},
    )
    if r.status != 0:
        sys.exit(f"the programme has no solution: {r.message}")
    return settle(unfold(r.x[:n], taps), L, eq, one)


def settle(h, L, eq, one):
    """Removes the solver's last 1e-10 from the branch sums, by the smallest symmetric change that does."""
    taps = len(h)
    half = h[: (taps + 1) // 2].copy()
    rows = np.array(eq)[:, :-1]
    for _ in range(3):
        half += np.linalg.lstsq(rows, np.array(one) - rows @ half, rcond=None)[0]
    return unfold(half, taps)


def figures(h, fs, L, fpass, fstop):
    """(ripple in +- dB, worst of the stopband in dB, -3 dB point in Hz), of the taps as they are."""
    a = lambda f: cosines(len(h), fs, f) @ h[: (len(h) + 1) // 2] / L
    pas = a(np.linspace(0, fpass, 20001))
    stop = np.abs(a(np.linspace(fstop, fs / 2, 40001))).max()
    f = np.linspace(fpass, fstop, 10001)
    f3 = f[np.argmax(np.abs(a(f)) < 10 ** (-3 / 20))]
    return 20 * np.log10(np.abs(pas).max() / np.abs(pas).min()) / 2, 20 * np.log10(stop), f3


def rust(tables):
    out = [
        "//! Low-pass prototypes, written by design/design.py: do not edit.",
        "//!",
        "//! Each is symmetric; only the first half is kept (up to and including the centre where the number of",
        "//! taps is odd). Every branch `h[p], h[p + L], ..` sums to 1. Frequencies are those of the prototype's own rate.",
        "",
        "use crate::prototype::Prototype;",
    ]
    for name, (h, doc) in tables.items():
        half = h[: (len(h) + 1) // 2]
        out += ["", *[f"/// {line}".rstrip() for line in doc], "#[rustfmt::skip]"]
        out += [f"pub(crate) const {name}: Prototype<{len(half)}> = Prototype {{", f"    taps: {len(h)},", "    half: ["]
        numbers = [repr(float(x)) for x in half]
        for i in range(0, len(numbers), 4):
            out.append("        " + ", ".join(numbers[i : i + 4]) + ",")
        out += ["    ],", "};"]
    return "\n".join(out) + "\n"


def main():
    published = json.loads(PUBLISHED.read_text())["filters"]
    tables = {}
    for name, (source, fs, L, taps, fpass, fstop, ripple, branches) in DESIGNS.items():
        if source and "--redesign" not in sys.argv:
            h = np.array(published[source]["h"][: published[source]["N"]])
            origin = f"as published under the name `{source}`"
        else:
            h = design(fs, L, taps, fpass, fstop, ripple, branches)
            origin = "designed here"
        rip, stop, f3 = figures(h, fs, L, fpass, fstop)
        off = max(abs(h[p::B].sum() - L / B) for B in branches for p in range(B))
        delay = (taps - 1) / 2 / fs * 1000
        print(
            f"{name:16} {taps:3} taps  {delay:5.3f} ms  ripple {rip:.4f} dB to {fpass} Hz  stop {stop:7.2f} dB from {fstop} Hz"
            f"  -3 dB {f3:.0f} Hz  branch sums off by {off:.0e}  ({origin})"
        )
        tables[name] = (h, [
            f"{fs // 1000} kHz, {delay:.3f} ms, {origin}.",
            "",
            f"Ripple {rip:.4f} dB to {fpass} Hz, {stop:.1f} dB from {fstop} Hz, -3 dB at {f3:.0f} Hz.",
        ])
    if "--redesign" in sys.argv:
        return
    text = rust(tables)
    if "--check" in sys.argv:
        if RUST.read_text() != text:
            sys.exit(f"{RUST} is not what this program writes")
        return
    RUST.write_text(text)


if __name__ == "__main__":
    main()
