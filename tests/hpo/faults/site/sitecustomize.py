"""Read by Python at its start from PYTHONPATH: makes this process die, or its disk full, where FAULT says.

FAULT is "kind:token:number" and acts once: whoever creates the file `token` first.

- journal: killed while the number-th line of the journal is half written
- checkpoint: killed while the number-th checkpoint is being written
- disk: the number-th checkpoint finds no room
"""

import os
import random
import signal
import sys
from pathlib import Path


def first(token: str) -> bool:
    try:
        os.close(os.open(token, os.O_CREAT | os.O_EXCL))
    except FileExistsError:
        return False
    return True


def at_each_checkpoint(act, number: int) -> None:
    seen = 0

    def hook(event: str, arguments) -> None:
        nonlocal seen
        if event == "open" and str(arguments[0]).endswith(".pt.part"):
            seen += 1
            if seen == number:
                act()

    sys.addaudithook(hook)


def die_soon() -> None:
    import threading

    threading.Timer(random.uniform(0, 0.003), os.kill, (os.getpid(), signal.SIGKILL)).start()


def fill_the_disk() -> None:
    import resource

    resource.setrlimit(resource.RLIMIT_FSIZE, (1000, resource.RLIM_INFINITY))


def tear_a_line(token: str, number: int) -> None:
    from jouleshift import store

    encode, seen = store.encode, 0

    def torn(event) -> str:
        nonlocal seen
        seen += 1
        line = encode(event)
        if seen == number and first(token):
            with Path(os.environ["FAULT_JOURNAL"]).open("ab") as file:
                file.write(line.encode()[: random.randrange(1, len(line) - 1)])
            os.kill(os.getpid(), signal.SIGKILL)
        return line

    store.encode = torn


if os.environ.get("FAULT"):
    kind, token, number = os.environ["FAULT"].split(":")
    is_worker = "jouleshift.worker" in sys.orig_argv
    if kind == "journal" and not is_worker:
        tear_a_line(token, int(number))
    elif kind == "checkpoint" and is_worker:
        at_each_checkpoint(lambda: first(token) and die_soon(), int(number))
    elif kind == "disk" and is_worker:
        at_each_checkpoint(lambda: first(token) and fill_the_disk(), int(number))
