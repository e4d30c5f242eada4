# The robot: ROS 2 Jazzy, the nodes, CAN and RealSense. No torch, no simulator.
#   docker build -f docker/robot.Dockerfile -t armature-robot .
FROM ros:jazzy-ros-base

RUN apt-get update && apt-get install -y --no-install-recommends \
        can-utils \
        iproute2 \
        libgl1 \
        libglib2.0-0t64 \
        libusb-1.0-0 \
        python3-venv \
        ros-jazzy-diagnostic-msgs \
        ros-jazzy-geometry-msgs \
        ros-jazzy-launch-yaml \
        ros-jazzy-rmw-fastrtps-cpp \
        ros-jazzy-sensor-msgs \
        ros-jazzy-std-msgs \
        ros-jazzy-std-srvs \
        ros-jazzy-trajectory-msgs \
    && rm -rf /var/lib/apt/lists/*

WORKDIR /opt/armature

# Python packages that apt does not have, beside ROS's own
COPY pyproject.toml ./
COPY constraints constraints
COPY scripts/setup_plan.py scripts/requirements.py scripts/
RUN python3 -m venv --system-site-packages /opt/venv \
    && python3 scripts/requirements.py robot > /tmp/requirements.txt \
    && /opt/venv/bin/pip install --no-cache-dir -c constraints/py312.txt -r /tmp/requirements.txt \
    && rm /tmp/requirements.txt

# The nodes; colcon runs in the environment so that their programs start with its interpreter
COPY ros2_ws/src ros2_ws/src
RUN . /opt/ros/jazzy/setup.sh && cd ros2_ws \
    && /opt/venv/bin/python -m colcon build --packages-skip virtual_lab

COPY launch launch
COPY docker/robot-entrypoint.sh /usr/local/bin/robot-entrypoint
ENTRYPOINT ["robot-entrypoint"]
CMD ["ros2", "launch", "launch/piper.launch.yaml", "--show-args"]
