# Training and evaluation: torch, MuJoCo and SAPIEN, rendering on a GPU or on the CPU.
#   docker build -f docker/train.Dockerfile -t armature-train .
FROM python:3.12-slim-trixie

RUN apt-get update && apt-get install -y --no-install-recommends \
        libegl1 \
        libgl1 \
        libgl1-mesa-dri \
        libglib2.0-0t64 \
        libvulkan1 \
        mesa-vulkan-drivers \
    && rm -rf /var/lib/apt/lists/*

WORKDIR /opt/armature
COPY pyproject.toml README.md ./
COPY constraints constraints
COPY scripts scripts
COPY ros2_ws/src/piper_description ros2_ws/src/piper_description
COPY ros2_ws/src/policy_api ros2_ws/src/policy_api
COPY ros2_ws/src/motion_control ros2_ws/src/motion_control
COPY sim_train sim_train
# A CPU-only torch: --build-arg PIP_EXTRA_INDEX_URL=<index with CPU wheels>
ARG PIP_EXTRA_INDEX_URL=""
RUN pip install --no-cache-dir -c constraints/py312.txt -e ".[train]"

RUN useradd --create-home armature && install -d -o armature outputs
USER armature
ENV MUJOCO_GL=egl LP_NUM_THREADS=0
VOLUME /opt/armature/outputs
ENTRYPOINT ["python", "-m", "sim_train.train"]
