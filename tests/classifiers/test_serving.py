"""What serving costs: no training libraries, no network, a quick start."""

from __future__ import annotations

import json
import subprocess
import sys

from tests.classifiers import kit

SERVE = """
import json, socket, sys, time

def refuse(*_arguments, **_named):
    raise OSError("the network is off")

socket.socket.connect = refuse
started = time.perf_counter()
from pathlib import Path
from classifiers import load
from domain.assessment import Text

classifier = load.load_default(Path(sys.argv[1]))
answers = classifier.assess([Text(key="1", text="Where is my order?"), Text(key="2", text="我要退货")])
print(json.dumps({
    "seconds": time.perf_counter() - started,
    "modules": sorted({name.partition(".")[0] for name in sys.modules}),
    "labels": [answer.top[0].label for answer in answers],
}))
"""


def test_serving_needs_no_training_library_and_no_network() -> None:
    """A fresh process answers without scikit-learn, scipy, torch or onnx, offline, within a few seconds."""
    command = [sys.executable, "-W", "error", "-c", SERVE, str(kit.model_dir())]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False, cwd=kit.ROOT)
    assert done.returncode == 0, done.stderr
    assert done.stderr == ""
    said = json.loads(done.stdout)
    assert said["labels"] == ["order_status", "return_refund"]
    assert {"sklearn", "scipy", "torch", "onnx", "joblib"} & set(said["modules"]) == set()
    assert said["seconds"] < 10
