"""A progress bar of one line. It shows on a terminal and is silent everywhere else, so logs stay readable."""
import os
import shutil
import sys
import time


class Progress:
    """Shows `label [=====>    ] note` and redraws it at most ten times a second.

    total: how many steps make the whole; 0 when unknown. stream: where to draw, standard error by default.
    """

    def __init__(self, total, label="", stream=None):
        self.total, self.label = total, label
        self.stream = sys.stderr if stream is None else stream
        self.shown = getattr(self.stream, "isatty", bool)()
        self._next = 0.0

    def update(self, done, note=""):
        """Draws the state after `done` steps. Costs well under a microsecond when there is no terminal."""
        if not self.shown or (time.monotonic() < self._next and done != self.total):
            return
        self._next = time.monotonic() + 0.1
        width = 24
        filled = min(width, width * done // self.total) if self.total else 0
        bar = "=" * filled + ">" * (filled < width) + " " * (width - filled - 1)
        line = f"{self.label} [{bar}] {note}"
        self.stream.write("\r\x1b[K" + line[:self._columns() - 1])
        self.stream.flush()

    def _columns(self):
        """Of the terminal that is drawn on: standard output, which shutil asks about, may be a file."""
        try:
            return os.get_terminal_size(self.stream.fileno()).columns or shutil.get_terminal_size().columns
        except (AttributeError, OSError, ValueError):
            return shutil.get_terminal_size().columns

    def close(self):
        """Clears the line, so that whatever is printed next starts on an empty one."""
        if self.shown:
            self.stream.write("\r\x1b[K")
            self.stream.flush()

    def __enter__(self):
        return self

    def __exit__(self, *error):
        self.close()
