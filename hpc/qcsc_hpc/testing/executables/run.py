"""The program behind every fake command: FOLDER COMMAND ARGUMENTS…, run as `python -I -S`."""

from __future__ import annotations

import os
import sys
import time


def main() -> int:
    """Does what the command line says; the exit code."""
    folder, command, *arguments = sys.argv[1:]
    # nothing else is found there before the standard library; in a checkout qcsc_loop, whose faces
    # the packages have, is in the folder above
    packages = os.path.abspath(os.path.join(os.path.dirname(__file__), *[".."] * 3))
    sys.path += [packages, os.path.dirname(packages)]
    from qcsc_hpc.testing.executables.state import NoMachine

    try:
        return _run(folder, command, arguments)
    except NoMachine:
        sys.stderr.write(f"{command}: no fake batch system in {folder}\n")
        return 1


def _run(folder: str, command: str, arguments: list[str]) -> int:
    match command:
        case "start-job":
            from qcsc_hpc.testing.executables import start_job

            start_job.main(folder, arguments)
        case "schedule-at":
            _schedule_at(folder, float(arguments[0]))
        case "control":
            from qcsc_hpc.testing.executables import control

            control.main(folder, arguments)
        case _:
            from qcsc_hpc.testing.executables import call

            return call.main(folder, command, arguments)
    return 0


def _schedule_at(folder: str, moment: float) -> None:
    from qcsc_hpc.testing.executables.launching import launch_jobs
    from qcsc_hpc.testing.executables.scheduling import schedule
    from qcsc_hpc.testing.executables.state import State

    with State(folder) as state:
        if state.setting("stopped"):
            return
        state.note_process()
    time.sleep(max(moment - time.time(), 0.0) + 0.001)
    with State(folder) as state:
        launch_jobs(folder, schedule(state))


if __name__ == "__main__":
    sys.exit(main())
