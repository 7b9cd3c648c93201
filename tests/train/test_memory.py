"""Memory that a step frees is there for the next one."""

import os
import platform
import subprocess
import sys

import pytest

PROGRAM = """
import resource, sys
import torch
from jouleshift.train.memory import keep_freed_memory

def faults():
    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt

told = keep_freed_memory() if sys.argv[1] == "keep" else False
for step in range(12):
    if step == 2:
        before = faults()
    for megabytes in (9, 40, 20):
        torch.empty(megabytes * 2**18).fill_(1.0)
print(told, faults() - before)
"""


def printed(*arguments, **variables):
    command = [sys.executable, "-c", *arguments]
    environment = os.environ | variables
    return subprocess.run(command, capture_output=True, text=True, check=True, env=environment).stdout.split()


def run(how):
    told, faults = printed(PROGRAM, how)
    return told == "True", int(faults)


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="only glibc can be told")
def test_pages_are_not_fetched_anew_in_each_step():
    told, faults = run("keep")
    _, without = run("default")
    assert told
    assert without > 10_000  # 40 MB a step are 10,000 pages
    assert faults < without / 5  # a few more, until the heap has found its shape


def test_the_users_own_setting_is_respected():
    program = "from jouleshift.train.memory import keep_freed_memory; print(keep_freed_memory())"
    assert printed(program, MALLOC_TRIM_THRESHOLD_="131072") == ["False"]
