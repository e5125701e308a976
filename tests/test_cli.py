"""`python -m nncore`: the commands as a newcomer types them, each in a process of its own."""
import fcntl
import gzip
import os
import pty
import re
import signal
import struct
import subprocess
import sys
import termios
import time

import numpy as np
import pytest

import nncore
from nncore.data import digits
from nncore.progress import Progress

ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))


def command(*arguments, **environment):
    return subprocess.run([sys.executable, "-m", "nncore", *arguments], capture_output=True, text=True, timeout=120,
                          cwd=ROOT, env=os.environ | environment)


def accuracy(result):
    assert result.returncode == 0, result.stderr
    assert "\x1b" not in result.stdout + result.stderr and result.stderr == ""
    last = result.stdout.rstrip("\n").splitlines()[-1]
    return float(re.fullmatch(r"test accuracy ([01]\.\d{4})", last)[1])


@pytest.fixture(scope="module")
def small_mnist(tmp_path_factory):
    """The bundled digits, enlarged to 28 x 28, as four files in MNIST's format."""
    folder = tmp_path_factory.mktemp("data") / "mnist"
    folder.mkdir()
    for part, name in zip(digits(), ("train", "t10k")):
        images = np.pad(np.kron(part.inputs, np.full((1, 3, 3), 15, np.uint8)), ((0, 0), (2, 2), (2, 2)))
        for array, kind in ((images, "images-idx3"), (part.targets.astype(np.uint8), "labels-idx1")):
            data = bytes((0, 0, 8, array.ndim)) + struct.pack(f">{array.ndim}I", *array.shape) + array.tobytes()
            (folder / f"{name}-{kind}-ubyte.gz").write_bytes(gzip.compress(data))
    return str(folder.parent)


def test_train_learns_the_digits_in_seconds():
    result = command("train")
    assert accuracy(result) >= 0.95
    epochs = re.findall(r"^epoch +(\d+)/30  loss [\d.]+  accuracy [\d.]+  validation loss [\d.]+  accuracy [\d.]+ +"
                        r"\d+ samples/s$", result.stdout, re.M)
    assert [int(n) for n in epochs] == list(range(1, 31))


def test_train_is_reproducible_for_any_number_of_threads():
    def losses(result):
        accuracy(result)
        return re.findall(r"loss [\d.]+  accuracy [\d.]+", result.stdout)
    first = losses(command("train", "--epochs", "2", "--seed", "5", "--threads", "1"))
    assert len(first) == 4 and first == losses(command("train", "--epochs", "2", "--seed", "5", "--threads", "2"))
    assert first != losses(command("train", "--epochs", "2", "--seed", "6"))


def test_train_mnist_from_a_directory_and_save(small_mnist, tmp_path):
    path = tmp_path / "weights"
    result = command("train", "mnist", "--data", small_mnist, "--hidden", "32,16", "--epochs", "5", "--batch-size",
                     "32", "--lr", "0.002", "--dropout", "0", "--save", str(path))
    assert accuracy(result) > 0.8 and f"weights saved in {path}.npz" in result.stdout
    assert os.listdir(tmp_path) == ["weights.npz"]
    with np.load(f"{path}.npz") as weights:
        assert sorted(w.shape for w in weights.values()) == [(10,), (16,), (16, 10), (32,), (32, 16), (784, 32)]


def test_train_stops_early(small_mnist):
    result = command("train", "fashion", "--data", os.path.join(small_mnist, "mnist"), "--hidden", "8", "--epochs",
                     "50", "--patience", "1", "--schedule", "constant", "--lr", "0.05")
    accuracy(result)
    assert "no lower validation loss for 1 epoch: stopped" in result.stdout and "weights of epoch" in result.stdout
    assert result.stdout.count("validation loss") < 51


def test_train_without_validation_and_hidden_layers():
    result = command("train", "--validation", "0", "--hidden", "", "--epochs", "3")
    assert accuracy(result) > 0.5 and "validation loss" not in result.stdout and "layers 64-10," in result.stdout


@pytest.mark.parametrize("arguments, message", [
    (["mnist", "--data", "/nonexistent"], "MNIST: there is no directory /nonexistent"),
    (["mnist", "--data", ROOT], "train-images-idx3-ubyte.gz"),
    (["digits", "--data", ROOT], "--data is for mnist and fashion"),
    (["--save", "/nonexistent/x"], "cannot write"),
    (["--save", ""], "it has no name"),
    (["--save", "weights/"], "it has no name"),
    (["--save", "x" * 300], "File name too long"),
    (["--patience", "2", "--validation", "0"], "needs validation data"),
    (["--validation", "0.9999"], "leaves a part empty"),
    (["--epochs", "0"], "--epochs"),
    (["--epochs", "two"], "--epochs"),
    (["--batch-size", "-1"], "--batch-size"),
    (["--lr", "inf"], "--lr"),
    (["--lr", "nan"], "--lr"),
    (["--hidden", "3,x"], "--hidden"),
    (["--hidden", "0"], "--hidden"),
    (["--dropout", "1"], "--dropout: invalid float from 0.0 to 1.0, not that itself"),
    (["cifar"], "cifar"),
])
def test_wrong_use(arguments, message):
    result = command("train", *arguments)
    assert result.returncode == 2 and message in result.stderr and "Traceback" not in result.stderr
    assert "test accuracy" not in result.stdout


def test_a_directory_of_the_weights_name_is_seen_before_the_training(tmp_path):
    (tmp_path / "w.npz").mkdir()
    result = command("train", "--epochs", "1", "--save", str(tmp_path / "w"))
    assert result.returncode == 2 and "it is a directory" in result.stderr and not result.stdout


def test_damaged_file(small_mnist, tmp_path):
    for name in os.listdir(os.path.join(small_mnist, "mnist")):
        with open(os.path.join(small_mnist, "mnist", name), "rb") as file:
            (tmp_path / name).write_bytes(file.read()[:3000])
    result = command("train", "mnist", "--data", str(tmp_path))
    assert result.returncode == 2 and "train-images-idx3-ubyte.gz" in result.stderr
    assert len(result.stderr.splitlines()) == 1


@pytest.mark.skipif(not os.path.exists("/proc/self/status") or "asan" in os.environ.get("LD_PRELOAD", ""),
                    reason="reads the peak memory from Linux's /proc; a sanitizer needs memory of its own")
def test_training_on_sixty_thousand_images_needs_at_most_150_megabytes(tmp_path):
    rng = np.random.default_rng(0)
    for name, n in (("train", 60000), ("t10k", 10000)):
        labels = rng.integers(0, 10, n, dtype=np.uint8)
        images = np.zeros((n, 28, 28), np.uint8)
        images[np.arange(n), labels] = 255
        for array, kind in ((images, "images-idx3"), (labels, "labels-idx1")):
            head = bytes((0, 0, 8, array.ndim)) + struct.pack(f">{array.ndim}I", *array.shape)
            (tmp_path / f"{name}-{kind}-ubyte").write_bytes(head + array.tobytes())
    # the process's own account: getrusage would count what pytest held when it started the process
    arguments = ["train", "mnist", "--data", str(tmp_path), "--epochs", "1"]
    code = f"from nncore.__main__ import main; main({arguments}); print(open('/proc/self/status').read())"
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=120, cwd=ROOT)
    assert result.returncode == 0 and "test accuracy 1.0000" in result.stdout, result.stderr
    assert int(re.search(r"VmHWM:\s*(\d+) kB", result.stdout)[1]) * 1024 <= 150e6


def test_ctrl_c_stops_within_a_second(tmp_path):
    path = tmp_path / "weights.npz"
    process = subprocess.Popen([sys.executable, "-u", "-m", "nncore", "train", "--epochs", "100000", "--save",
                                str(path)], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, cwd=ROOT,
                               preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL))  # a job ignores it
    try:
        for line in process.stdout:
            if line.startswith("epoch   2"):
                break
        process.send_signal(signal.SIGINT)
        started = time.monotonic()
        _, errors = process.communicate(timeout=10)
        assert time.monotonic() - started < 1
    finally:
        process.kill()
    assert process.returncode == 130
    assert re.fullmatch(r"interrupted in epoch \d+ of 100000; weights saved in .*weights.npz\n", errors)
    assert path.exists()


def test_weights_that_cannot_be_saved_after_ctrl_c(tmp_path, monkeypatch, capsys):
    """The folder went away while the training ran: no traceback, and the exit code of Ctrl-C."""
    from nncore.train import command as module

    def interrupted(*_):
        os.rmdir(tmp_path / "gone")
        raise KeyboardInterrupt
    (tmp_path / "gone").mkdir()
    monkeypatch.setattr(module, "_epoch", interrupted)
    arguments = ["--save", str(tmp_path / "gone" / "weights")]
    assert module.run(module.parser().parse_args(arguments)) == 130
    assert re.match(r"interrupted in epoch 1 of 30; weights not saved: .*No such file", capsys.readouterr().err)


def test_progress_bar_on_a_terminal():
    main, side = pty.openpty()
    process = subprocess.Popen([sys.executable, "-m", "nncore", "train", "--epochs", "2"], stdin=side, stdout=side,
                               stderr=side, cwd=ROOT)
    os.close(side)
    seen = b""
    try:
        while piece := os.read(main, 65536):
            seen += piece
    except OSError:  # Linux reports the other end's closing so
        pass
    os.close(main)
    assert process.wait(timeout=60) == 0
    assert b"=" * 24 in seen and b"\r\x1b[K" in seen
    assert re.search(rb"test accuracy [01]\.\d{4}\r\n$", seen)


def test_the_bar_fits_its_terminal_where_the_output_goes_to_a_file():
    main, side = pty.openpty()
    fcntl.ioctl(side, termios.TIOCSWINSZ, struct.pack("HHHH", 24, 30, 0, 0))
    with os.fdopen(side, "w") as terminal, Progress(10, "a label of", terminal) as progress:
        progress.update(5, "and a note that together are far longer than thirty columns")
    seen = os.read(main, 65536)
    os.close(main)
    assert [len(line) for line in seen.replace(b"\x1b[K", b"").split(b"\r")] == [0, 29, 0]


def test_a_closed_pipe_is_no_traceback():
    process = subprocess.Popen([sys.executable, "-m", "nncore", "train", "--epochs", "500"], stdout=subprocess.PIPE,
                               stderr=subprocess.PIPE, cwd=ROOT)
    process.stdout.readline()
    process.stdout.close()
    assert process.stderr.read() == b"" and process.wait(timeout=60) == 1
    process.stderr.close()


def test_what_was_learned_is_kept_when_nobody_reads_on(tmp_path):
    process = subprocess.Popen([sys.executable, "-m", "nncore", "train", "--epochs", "500", "--save",
                                str(tmp_path / "w")], stdout=subprocess.PIPE, stderr=subprocess.PIPE, cwd=ROOT)
    while not process.stdout.readline().startswith(b"epoch"):
        pass
    process.stdout.close()
    assert process.stderr.read() == b"" and process.wait(timeout=60) == 1
    process.stderr.close()
    assert os.listdir(tmp_path) == ["w.npz"]


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="there is no /dev/full on this system")
@pytest.mark.parametrize("arguments", [["info"], ["train", "--epochs", "1"]])
def test_a_full_disk_is_no_traceback(arguments):
    with open("/dev/full", "w") as full:
        done = subprocess.run([sys.executable, "-m", "nncore", *arguments], stdout=full, stderr=subprocess.PIPE,
                              text=True, timeout=60, cwd=ROOT)
    assert done.returncode == 1 and re.fullmatch(r"nncore: .*No space left on device\n", done.stderr)


def test_standard_output_may_be_closed():
    done = subprocess.run([sys.executable, "-m", "nncore", "info"], stdout=subprocess.DEVNULL, stderr=subprocess.PIPE,
                          text=True, timeout=60, cwd=ROOT, preexec_fn=lambda: os.close(1))
    assert done.returncode == 0 and done.stderr == ""


def test_info():
    result = command("info", NNCORE_NUM_THREADS="1")
    assert result.returncode == 0, result.stderr
    for text in (nncore.__version__, "instruction set", "chosen from", "NNCORE_NUM_THREADS=1 <-", "compiler", "gnu11"):
        assert text in result.stdout


def test_help():
    for arguments in ([], ["--help"], ["train", "--help"]):
        result = command(*arguments)
        assert result.returncode == 0 and "usage: python -m nncore" in result.stdout
    assert command("fly").returncode == 2
