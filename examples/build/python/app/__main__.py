"""Counts what the device has measured, with a library that came as a wheel."""

import tally

print(f"{tally.total([1, 2, 3, 4])} counted by {tally.__name__} {tally.__version__}")
