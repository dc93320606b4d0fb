# df2s2 in a container, for processors (target cpu) and NVIDIA's GPUs (target cuda):
#
#     docker build --target cpu --build-arg TORCH_INDEX=ADDRESS --tag df2s2:cpu .
#     docker build --target cuda --tag df2s2:cuda .
#
# Both are what `make venv` installs, without the tests' packages. docs/containers.md has the rest.

ARG BASE=debian:13.8-slim

FROM ${BASE} AS system
# OpenCV's libraries; everything else comes with the packages of Python.
RUN apt-get update \
 && apt-get install --yes --no-install-recommends libgl1 libglib2.0-0 python3 \
 && rm -rf /var/lib/apt/lists/* \
 && useradd --uid 10001 --create-home df2s2

FROM system AS program
ENV PATH=/opt/df2s2/bin:$PATH MPLCONFIGDIR=/tmp/matplotlib
USER df2s2
WORKDIR /data
EXPOSE 8000
ENTRYPOINT ["df2s2"]
CMD ["serve", "--host", "0.0.0.0", "--port", "8000"]

FROM system AS source
RUN apt-get update \
 && apt-get install --yes --no-install-recommends \
        ca-certificates g++ git make python3-dev python3-venv \
 && rm -rf /var/lib/apt/lists/*
WORKDIR /source
# What .dockerignore lets through.
COPY . .

# PyTorch's own wheels bring CUDA's libraries; the driver is the host's.
FROM source AS install-cuda
RUN --mount=type=cache,target=/root/.cache/pip \
    make venv VENV=/opt/df2s2 PACKAGE='.[train,export,serve,video]'

FROM program AS cuda
COPY --from=install-cuda /opt/df2s2 /opt/df2s2

# Wheels without CUDA, a tenth of the size, are in the index that PyTorch names for processors; empty
# for pip's own.
FROM source AS install-cpu
ARG TORCH_INDEX=
RUN --mount=type=cache,target=/root/.cache/pip \
    make venv VENV=/opt/df2s2 PACKAGE='.[train,export,serve,video]' TORCH_INDEX="${TORCH_INDEX}"

FROM program AS cpu
COPY --from=install-cpu /opt/df2s2 /opt/df2s2
