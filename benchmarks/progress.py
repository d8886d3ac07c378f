"""What a run tells while it goes on."""

import sys
import time

from benchmarks.peak import PEAK


def time_text(seconds):
    """Three significant digits in µs, from 10 ms on in ms, from 10 s on in s."""
    value, unit = (
        (seconds, "s") if seconds >= 10 else (seconds * 1e3, "ms") if seconds >= 0.01 else (seconds * 1e6, "µs")
    )
    digits = 0 if value >= 100 else 1 if value >= 10 else 2
    return f"{value:.{digits}f} {unit}"


class Progress:
    """A line for each case as it is done; on a terminal, what is being measured is shown below, in place."""

    def __init__(self, stream=None):
        self.stream, self.done, self.n_cases, self.start = stream or sys.stderr, 0, 0, time.monotonic()

    def expect(self, n_cases):
        self.n_cases = n_cases

    def where(self, number):
        minutes, seconds = divmod(int(time.monotonic() - self.start), 60)
        return f"[{minutes}:{seconds:02}, {number}/{self.n_cases}]"

    def status(self, case, text):
        if self.stream.isatty():
            self.stream.write(f"\r\x1b[K{self.where(self.done + 1)} {case}, {text}")
            self.stream.flush()

    def report(self, records):
        """Show the records of a case, which are returned."""
        self.done += 1
        if not records:
            return records
        first = records[0]
        times = "   ".join(f"{r['contestant']} {time_text(r['median'])}" for r in records if r["contestant"] != PEAK)
        clear = "\r\x1b[K" if self.stream.isatty() else ""
        what = f"{first['part']}: {first['case']}, {first['dtype']}"
        self.stream.write(f"{clear}{self.where(self.done)} {what}:   {times}\n")
        self.stream.flush()
        return records
