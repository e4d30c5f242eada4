"""An environment in which LeRobot 0.4.4 runs beside our torch: its wheels from PyPI, without what it pins otherwise."""

import hashlib
import subprocess
import sys
import sysconfig
import venv
from pathlib import Path
from typing import Final

LEROBOT: Final = "0.4.4"
PACKAGES: Final = (
    f"lerobot=={LEROBOT}", "transformers==4.57.3", "huggingface-hub==0.35.3", "tokenizers==0.22.2",
    "torchvision==0.28.0", "accelerate==1.12.0", "datasets==4.4.1", "diffusers==0.35.2", "draccus==0.10.0",
    "mergedeep==1.3.4", "pyyaml-include==2.2", "typing-inspect==0.9.0", "jsonlines==4.0.0", "deepdiff==9.1.0",
    "orderly-set==5.5.0", "cachebox==6.2.10", "einops==0.8.2", "pyarrow==26.0.1", "pandas==3.1.1", "dill==0.4.1",
    "multiprocess==0.70.19", "xxhash==4.1.0", "httpx==0.28.1", "imageio==2.38.1", "pynput==1.8.2", "pyserial==3.5",
    "pytz==2026.6",
)  # fmt: skip
"""What `lerobot.async_inference` imports and our environment lacks, or has in a release that it does not work with."""


class EnvironmentFailedError(RuntimeError):
    """LeRobot's environment could not be made; the text says which command failed, and how."""


def lerobot_python(folder: Path) -> Path:
    """The interpreter of the environment in `folder`, which is made (half a gigabyte) if it is not there as wanted.

    Raises EnvironmentFailedError.
    """
    wanted = hashlib.sha256(repr((PACKAGES, sys.executable)).encode()).hexdigest()
    stamp, python = folder / "made-of", folder / "bin" / "python"
    if stamp.is_file() and stamp.read_text(encoding="utf-8") == wanted:
        return python
    venv.create(folder, clear=True, with_pip=True)
    site = sysconfig.get_path("purelib", vars={"base": str(folder), "platbase": str(folder)})
    ours = Path(site) / "ours.pth"  # what it has itself comes first, the rest is ours
    ours.write_text(sysconfig.get_path("purelib") + "\n", encoding="utf-8")
    command = [str(python), "-m", "pip", "install", "--quiet", "--no-deps", *PACKAGES]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        raise EnvironmentFailedError(f"{' '.join(command[:5])} .. failed:\n{done.stderr.strip()[-1000:]}")
    stamp.write_text(wanted, encoding="utf-8")
    return python
