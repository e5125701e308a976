"""`python -m nncore train` and `python -m nncore info`."""
import argparse
import os
import sys


def main(arguments=None):
    """Runs a command line. Returns the exit code: 0, 2 for wrong use or missing data, 130 after Ctrl-C."""
    from .train import command

    parser = argparse.ArgumentParser(prog="python -m nncore", description="Neural networks on the CPU.")
    commands = parser.add_subparsers(dest="command", metavar="COMMAND")
    train = commands.add_parser("train", help="train a multilayer perceptron on digits, MNIST or Fashion-MNIST",
                                description=command.__doc__)
    command.add_arguments(train)
    commands.add_parser("info", help="what nncore found on this machine and how it was built")
    parsed = parser.parse_args(arguments)
    if parsed.command == "train":
        return command.run(parsed)
    if parsed.command == "info":
        from .info import report
        print(report())
    else:
        parser.print_help()
    return 0


def _exit():
    try:
        code = main()
        if sys.stdout is not None:  # it is where standard output was closed from the start
            sys.stdout.flush()
    except KeyboardInterrupt:
        print("interrupted", file=sys.stderr)
        code = 130
    except MemoryError as error:
        print(f"nncore: out of memory: {error}", file=sys.stderr)
        code = 1
    except OSError as error:  # of the output: the reader, `head` for one, has seen enough, or the disk is full
        if sys.stdout is not None:
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        if not isinstance(error, BrokenPipeError):
            print(f"nncore: {error}", file=sys.stderr)
        code = 1
    sys.exit(code)


if __name__ == "__main__":
    _exit()
