"""Commands as a user types them: in processes of their own, or in this one."""

from __future__ import annotations

import io
import os
import subprocess
import sys
from contextlib import redirect_stderr, redirect_stdout
from pathlib import Path

import pytest

from flagbench.runners.commands.cli import main
from tests.conftest import ROOT

MAIN = "from flagbench.runners.commands.cli import main; main()"


def flagbench(*arguments: str | Path, **environment: str) -> subprocess.CompletedProcess[str]:
    """Run the command line; its output is captured."""
    return subprocess.run(
        [sys.executable, "-c", MAIN, *map(str, arguments)],
        cwd=ROOT,
        env=os.environ | environment,
        capture_output=True,
        text=True,
        check=False,
    )


def one_line(result: subprocess.CompletedProcess[str]) -> str:
    """The one line that bad input ends in; asserts that there is no other output and no traceback."""
    assert result.returncode == 2, result.stderr
    assert result.stdout == ""
    lines = result.stderr.strip().splitlines()
    assert len(lines) == 1, result.stderr
    assert lines[0].startswith("flagbench: ")
    return lines[0]


def here(*arguments: str | Path) -> subprocess.CompletedProcess[str]:
    """Run the command line in this process, which has imported torch and mteb already."""
    out, err = io.StringIO(), io.StringIO()
    with redirect_stdout(out), redirect_stderr(err), pytest.raises(SystemExit) as left:
        main([str(argument) for argument in arguments])
    return subprocess.CompletedProcess(arguments, int(left.value.code or 0), out.getvalue(), err.getvalue())


def loaded_by(*arguments: str | Path) -> tuple[set[str], str]:
    """The modules that a command has imported at its end, and what it printed; asserts that it succeeds."""
    code = (
        "import sys\nfrom flagbench.runners.commands.cli import main\n"
        "try:\n    main(sys.argv[1:])\nexcept SystemExit as left:\n    assert not left.code, left.code\n"
        "print(*sys.modules, file=sys.stderr)\n"
    )
    result = subprocess.run(
        [sys.executable, "-c", code, *map(str, arguments)],
        cwd=ROOT,
        env=os.environ | {"PYTHONPATH": os.pathsep.join([str(ROOT), *filter(None, [os.environ.get("PYTHONPATH")])])},
        capture_output=True,
        text=True,
        check=False,
    )
    assert result.returncode == 0, result.stderr
    return set(result.stderr.split()), result.stdout
