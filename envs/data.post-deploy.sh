#!/usr/bin/env bash
# Snakemake runs this in the environment of data.yaml when it has made it. The decoder of PNG comes
# from PyPI, since conda-forge has had an older one; its wheels for this Python, by their hashes.
# Where PyPI is out of reach the environment serves all the same: DICOM and JPEG need no such
# decoder, and the first PNG file is told what is missing.
set -euo pipefail
wheels=$(mktemp)
trap 'rm -f "$wheels"' EXIT
cat >"$wheels" <<'WHEELS'
kornia-rs==0.2.0 \
    --hash=sha256:82833277685b31e9ae1a2e9ecd00a28646463a05c0ea8b72e3ddb329699f8d16 \
    --hash=sha256:b0cf5ba74439c4bacc2136cb6811dbd0fec6d951ae04df4936ca91af95c4f588 \
    --hash=sha256:291abe5874d8b746cee439d93b94be6a95313b9301c4bd0a51de25124f17b5a4 \
    --hash=sha256:c9f2b6a358253ad36d6daeee752d09dcd6cf53a098bb09be442e97b3bbbbc132
WHEELS
python -m pip install --disable-pip-version-check --no-deps --only-binary :all: --require-hashes \
    --requirement "$wheels" || echo "kornia-rs could not be installed: PNG files cannot be read"
