# The environment of envs/requirements.lock in an image; the code stays in the folder that is mounted.
#
#   docker build --tag chexviz .
#
# apptainer.def makes the same one; a test compares the two. How to run them: docs/environments.md.
FROM python:3.11.14-slim-trixie

COPY envs/requirements.lock /opt/requirements.lock

RUN pip install --no-cache-dir uv==0.13.9 \
    && uv pip sync --system --no-cache --require-hashes --compile-bytecode /opt/requirements.lock \
    && pip uninstall --yes uv

# What a user has installed at home is not part of it.
ENV PYTHONNOUSERSITE=1

# Any user may run this, also one without a home and a name, for which programs ask.
ENV HOME=/tmp LOGNAME=chexviz

WORKDIR /study
USER 1000:1000
ENTRYPOINT ["snakemake"]
