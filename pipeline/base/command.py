"""How every command ends: a result and 0, or one clear message and its exit code.

| code | meaning |
| --- | --- |
| 0 | done |
| 1 | a bug of ours (with a traceback) |
| 2 | command line or config |
| 3 | input data |
| 4 | disk, memory, GPU memory |
| 5 | one of our files is damaged or belongs to something else |
| 6 | training diverged |
| 75 | try again later: a lock is held, the hub is down, the time is up |
| 130 / 143 | stopped by Ctrl-C / SIGTERM; finished folds are kept |
"""

import os
import shlex
import sys
import traceback
from collections.abc import Callable, Sequence
from pathlib import Path

from pipeline.base.errors import INTERRUPTED, PipelineError, ResourceError
from pipeline.base.files import as_resource_error
from pipeline.base.stopping import STOP, Stopped

Main = Callable[[Sequence[str] | None], int]


def run(main: Main, argv: Sequence[str] | None = None) -> int:
    """Call *main* and turn whatever ends it into an exit code, with a message on stderr."""
    with STOP.listening():
        return _guarded(main, argv)


def _guarded(main: Main, argv: Sequence[str] | None) -> int:
    try:
        return main(argv)
    except PipelineError as error:
        return _say(str(error), error.exit_code)
    except Stopped as stopped:
        return _say(f"stopped by {stopped}. {_again()}", stopped.exit_code, prefix="")
    except KeyboardInterrupt:  # raised without a signal
        return _say(f"stopped by Ctrl-C. {_again()}", INTERRUPTED, prefix="")
    except BrokenPipeError:  # "… | head" has read enough
        _close_stdout()
        return 0
    except MemoryError:
        advice = "not enough memory. Close other programs, or use fewer rows or a smaller model."
        return _say(advice, ResourceError.exit_code)
    except Exception as error:
        if resource := as_resource_error(error, Path.cwd()):
            return _say(str(resource), resource.exit_code)
        traceback.print_exc()
        return _say("this is a bug in Foldstack, please report it with the lines above", 1)


def command_line() -> str:
    """The command that is running, as a person would type it again."""
    module = Path(sys.argv[0]).stem
    return shlex.join(["python", "-m", f"pipeline.{module}", *sys.argv[1:]])


def _again() -> str:
    return f"What is finished or saved is kept; the same command goes on:\n  {command_line()}"


def _say(message: str, code: int, prefix: str = "error: ") -> int:
    try:
        print(f"{prefix}{message}", file=sys.stderr)
    except (OSError, ValueError):  # nobody is listening any more
        pass
    return code


def _close_stdout() -> None:
    # the interpreter flushes stdout once more at exit; let that go nowhere instead of failing
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
