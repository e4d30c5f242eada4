import subprocess
import sys
from pathlib import Path

import virtual_lab

PACKAGE = Path(virtual_lab.__file__).parent


def test_generated_code_is_what_the_proto_says(tmp_path):
    out = [f"--{kind}={tmp_path}" for kind in ("python_out", "pyi_out", "grpc_python_out")]
    command = [sys.executable, "-m", "grpc_tools.protoc", "-I", PACKAGE.parent, *out, "virtual_lab/lab.proto"]
    subprocess.run(command, check=True)
    for name in ("lab_pb2.py", "lab_pb2.pyi", "lab_pb2_grpc.py"):
        fresh = (tmp_path / "virtual_lab" / name).read_text()
        assert (PACKAGE / name).read_text() == fresh, f"{name} is stale: run the command at the top of lab.proto"
