"""Commands and answers, as bytes, with a process or a board; no answer takes longer than its limit, and no process is left behind."""

from __future__ import annotations

import contextlib
import os
import selectors
import signal
import subprocess
import termios
import time
from collections.abc import Sequence
from pathlib import Path

from edge_anp.errors import BadFile, ToolMissing

BAUD = 115200


class Link:
    """A pair of file descriptors, and the process behind them, if there is one, in a group of its own."""

    def __init__(
        self,
        read_fd: int,
        write_fd: int,
        limit_s: float,
        process: subprocess.Popen[bytes] | None = None,
        what: str = "",
    ):
        self.read_fd, self.write_fd, self.limit_s, self.process, self.what = read_fd, write_fd, limit_s, process, what
        self.more = bytearray()  # what came beyond the answer that was awaited
        for fd in (read_fd, write_fd):
            os.set_blocking(fd, False)

    def exchange(self, sent: bytes, expected: int) -> bytes:
        """Send bytes and take `expected` bytes of answer; both at once, so that neither side waits for the other."""
        got, left, deadline = self.more, memoryview(sent), time.monotonic() + self.limit_s
        with selectors.DefaultSelector() as ready:
            ready.register(self.read_fd, selectors.EVENT_READ)
            if left:
                ready.register(self.write_fd, selectors.EVENT_WRITE)
            while left or len(got) < expected:
                events = ready.select(min(0.5, max(0.0, deadline - time.monotonic())))
                for key, _ in events:
                    if key.fd == self.write_fd and left:
                        left = left[self._write(left) :]
                        if not left:
                            ready.unregister(self.write_fd)
                    elif key.fd == self.read_fd:
                        got += self._read()
                if not events and self.process is not None and self.process.poll() is not None:
                    raise self._broken(f"it ended with status {self.process.returncode}")
                if time.monotonic() > deadline:
                    raise self._broken(f"it gave {len(got)} of {expected} bytes of an answer within {self.limit_s:g} s")
        self.more = got[expected:]
        return bytes(got[:expected])

    def _write(self, data: memoryview) -> int:
        try:
            return os.write(self.write_fd, data[:65536])
        except BlockingIOError:
            return 0
        except OSError as error:
            raise self._broken(f"it takes no more commands ({error.strerror})") from error

    def _read(self) -> bytes:
        try:
            data = os.read(self.read_fd, 65536)
        except BlockingIOError:
            return b""
        except OSError as error:
            raise self._broken(f"it gives no more answers ({error.strerror})") from error
        if not data:
            raise self._broken("it closed its output")
        return data

    def _broken(self, what: str) -> BadFile:
        said = ""
        if self.process is not None:
            _end(self.process)
            if self.process.stderr is not None:
                lines = self.process.stderr.read().decode(errors="replace").strip().splitlines()
                said = f"; it said: {' '.join(lines)[-400:]}" if lines else ""
        return BadFile(self.what, what + said, should_be="a program that answers the commands of harness.h")

    def close(self) -> None:
        """End the process and let go of the descriptors."""
        if self.process is not None:
            _end(self.process)
            for stream in (self.process.stdin, self.process.stdout, self.process.stderr):
                if stream is not None:
                    stream.close()
        for fd in (self.read_fd, self.write_fd):
            with contextlib.suppress(OSError):  # a pipe of the process was closed with it
                os.close(fd)


def _end(process: subprocess.Popen[bytes]) -> None:
    """End the whole group of a process that was started as the leader of one."""
    with contextlib.suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
    process.wait(timeout=10)


def start(words: Sequence[str | Path], folder: Path, limit_s: float, what: str) -> Link:
    """A program that reads its standard input and writes its standard output."""
    process = _start(words, folder, subprocess.PIPE, subprocess.PIPE)
    assert process.stdin is not None
    assert process.stdout is not None
    return Link(process.stdout.fileno(), process.stdin.fileno(), limit_s, process, what)


def start_with_files(words: Sequence[str | Path], folder: Path, limit_s: float, what: str) -> Link:
    """A program that reads the pipe `in` of its folder and writes the pipe `out`, as an emulator with semihosting does."""
    for name in ("in", "out"):
        os.mkfifo(folder / name)
    fds = [
        os.open(folder / name, os.O_RDWR | os.O_NONBLOCK) for name in ("out", "in")
    ]  # open on both ends: nobody waits
    return Link(fds[0], fds[1], limit_s, _start(words, folder, subprocess.DEVNULL, subprocess.DEVNULL), what)


def _start(words: Sequence[str | Path], folder: Path, stdin: int, stdout: int) -> subprocess.Popen[bytes]:
    return subprocess.Popen(
        [str(w) for w in words], cwd=folder, stdin=stdin, stdout=stdout, stderr=subprocess.PIPE, start_new_session=True
    )


def open_serial(port: str, limit_s: float) -> Link:
    """A board on a serial line: 8 bits, no parity, raw, BAUD."""
    try:
        fd = os.open(port, os.O_RDWR | os.O_NOCTTY | os.O_NONBLOCK)
    except OSError as error:
        raise ToolMissing(
            f"a board at {port}", f"the port cannot be opened ({error.strerror}); see `ls /dev/tty*`"
        ) from error
    try:
        mode = termios.tcgetattr(fd)
        mode[0] = mode[1] = mode[3] = 0
        mode[2] = termios.CS8 | termios.CREAD | termios.CLOCAL
        mode[4] = mode[5] = getattr(termios, f"B{BAUD}")
        termios.tcsetattr(fd, termios.TCSANOW, mode)
        termios.tcflush(fd, termios.TCIOFLUSH)
    except termios.error as error:
        os.close(fd)
        raise ToolMissing(f"a board at {port}", f"it is no serial line ({error})") from error
    return Link(fd, os.dup(fd), limit_s, None, port)  # a selector takes a descriptor once
