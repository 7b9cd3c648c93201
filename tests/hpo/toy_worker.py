"""A worker whose trials do what their configuration says: answer, die, hang, hog memory."""

import json
import os
import signal
import sys
import time
from dataclasses import asdict
from pathlib import Path

from tests.toys import evaluation


def say(message) -> None:
    print(json.dumps(message), flush=True)


def main() -> None:
    setup = json.loads(sys.stdin.readline())["setup"]
    if "bad_input" in setup:
        say({"bad_input": setup["bad_input"]})
        return
    if setup.get("die"):
        sys.exit(3)
    if setup.get("starts") is not None:
        starts = Path(setup["starts"])
        starts.write_text(f"{starts.read_text() if starts.exists() else ''}.")
        if len(starts.read_text()) > 1:
            os.kill(os.getpid(), signal.SIGKILL)
    if "TOY_KILLED" in os.environ:
        os.kill(os.getpid(), signal.SIGKILL)
    say({"ready": {"max_depth": 7}})
    for line in sys.stdin:
        message = json.loads(line)
        trial = message["trial"]
        match trial["config"]["do"]:
            case "killed":
                os.kill(os.getpid(), signal.SIGKILL)
            case "raise":
                say({"crashed": "IndexError: no such pixel"})
                sys.exit(1)
            case "exit":
                sys.exit(5)
            case "hang once":
                mark = Path(trial["config"]["mark"])
                if not mark.exists():
                    mark.touch()
                    time.sleep(600)
            case "hang":
                time.sleep(600)
            case "hog":
                hog = []
                while True:
                    hog.append(bytearray(16 * 2**20))
                    time.sleep(0.01)
            case "gpu":
                say({"note": f"sees {os.environ.get('CUDA_VISIBLE_DEVICES')}"})
            case "wait":
                say({"note": f"trial {trial['id']} waits"})
            case "sleep":
                time.sleep(1)
        say({"epoch": {"epoch": 1, "val_error": 0.5}})
        say({"result": asdict(evaluation(0.25, 1e-6)) if message.get("measure", True) else None})


main()
