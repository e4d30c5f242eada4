# The policy server: torch and gRPC. No simulator, no ROS.
#   docker build -f docker/server.Dockerfile -t armature-server .
FROM python:3.12-slim-trixie

RUN apt-get update && apt-get install -y --no-install-recommends libgl1 libglib2.0-0t64 \
    && rm -rf /var/lib/apt/lists/*

WORKDIR /opt/armature
COPY pyproject.toml README.md ./
COPY constraints constraints
COPY ros2_ws/src/piper_description ros2_ws/src/piper_description
COPY ros2_ws/src/policy_api ros2_ws/src/policy_api
COPY ros2_ws/src/motion_control ros2_ws/src/motion_control
COPY sim_train sim_train
COPY policy_server policy_server
# A CPU-only torch: --build-arg PIP_EXTRA_INDEX_URL=<index with CPU wheels>
ARG PIP_EXTRA_INDEX_URL=""
RUN pip install --no-cache-dir -c constraints/py312.txt ".[serve]"

RUN useradd --create-home armature
USER armature
EXPOSE 50051
ENTRYPOINT ["python", "-m", "policy_server"]
CMD ["--checkpoint", "/checkpoint", "--address", "127.0.0.1:50051"]
