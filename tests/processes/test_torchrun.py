"""A rank ends with the process that has started it."""

import os
import subprocess
import sys

RANK = "import time; from r1kit.processes import torchrun; torchrun.end_with_torchrun(); "
RANK += "print(flush=True); time.sleep(60); print('it goes on', flush=True)"
AGENT = f"import subprocess, sys; subprocess.Popen([sys.executable, '-c', {RANK!r}]).wait()"


def test_a_rank_ends_when_torchrun_is_killed() -> None:
    reading, writing = os.pipe()
    with subprocess.Popen([sys.executable, "-c", AGENT], stdout=writing) as agent:
        os.close(writing)
        assert os.read(reading, 1) == b"\n"
        agent.kill()
    assert os.read(reading, 1) == b"", "it goes on"
    os.close(reading)
