# The environment of envs/requirements.lock in an image: for the workflow, whose code stays in the
# folder that is mounted, and for a federation, with the code in it, which does not change.
#
#   docker build --tag chexviz .
#   docker build --target federation --tag chexviz-federation .
#
# apptainer.def makes the first one; a test compares the two. How to run the first:
# docs/environments.md; the second: docs/federation.md.
FROM python:3.11.14-slim-trixie AS environment

COPY envs/requirements.lock /opt/requirements.lock

RUN pip install --no-cache-dir uv==0.13.9 \
    && uv pip sync --system --no-cache --require-hashes --compile-bytecode /opt/requirements.lock \
    && pip uninstall --yes uv

# What a user has installed at home is not part of it.
ENV PYTHONNOUSERSITE=1

# Any user may run this, also one without a home and a name, for which programs ask.
ENV HOME=/tmp LOGNAME=chexviz

FROM environment AS federation

COPY . /opt/chexviz

ENV PYTHONPATH=/opt/chexviz/workflow

WORKDIR /data
USER 1000:1000
ENTRYPOINT ["python", "-m", "chexviz"]

FROM environment AS workflow

WORKDIR /study
USER 1000:1000
ENTRYPOINT ["snakemake"]
