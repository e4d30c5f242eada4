import subprocess
import sys
from pathlib import Path

import policy_api

PACKAGE = Path(policy_api.__file__).parent


def test_generated_code_is_what_the_proto_says(tmp_path):
    out = [f"--{kind}={tmp_path}" for kind in ("python_out", "pyi_out", "grpc_python_out")]
    subprocess.run(
        [sys.executable, "-m", "grpc_tools.protoc", "-I", PACKAGE.parent, *out, "policy_api/policy.proto"],
        check=True,
    )
    for name in ("policy_pb2.py", "policy_pb2.pyi", "policy_pb2_grpc.py"):
        fresh = (tmp_path / "policy_api" / name).read_text()
        assert (PACKAGE / name).read_text() == fresh, f"{name} is stale: run grpc_tools.protoc on policy.proto"
