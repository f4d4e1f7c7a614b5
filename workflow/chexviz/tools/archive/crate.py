"""The archive's description that programs read: a Workflow Run RO-Crate of all that it holds.

Profiles: RO-Crate 1.1, Workflow RO-Crate 1.0, Workflow Run Crate 0.5 (w3id.org/ro/wfrun).
"""

import mimetypes
from collections.abc import Mapping
from pathlib import Path, PurePosixPath
from typing import NamedTuple

from rocrate.model.contextentity import ContextEntity
from rocrate.model.entity import Entity
from rocrate.rocrate import ROCrate

from chexviz.base.files import sha256

PROFILES = {
    "https://w3id.org/ro/wfrun/process/0.5": "Process Run Crate",
    "https://w3id.org/ro/wfrun/workflow/0.5": "Workflow Run Crate",
    "https://w3id.org/workflowhub/workflow-ro-crate/1.0": "Workflow RO-Crate",
}
TERMS = {"sha256": "https://w3id.org/ro/terms/workflow-run#sha256"}  # beyond RO-Crate's own
TYPES = {  # that the standard library does not know, or knows otherwise on every machine
    **{".cff": "application/yaml", ".csv": "text/csv", ".lock": "text/plain"},
    **{".md": "text/markdown", ".mplstyle": "text/plain", ".onnx": "application/octet-stream"},
    **{".safetensors": "application/octet-stream", ".smk": "text/plain", ".tex": "text/x-tex"},
    **{".typ": "text/plain", ".yaml": "application/yaml", ".yml": "application/yaml"},
}


class About(NamedTuple):
    """What the crate says of itself.

    licence, code_licence: SPDX identifiers, of the results and of the code. ended: when the run
    was recorded, ISO 8601.
    """

    name: str
    description: str
    licence: str
    code_licence: str
    version: str
    ended: str


def describe(
    folder: Path,
    about: About,
    snakefile: PurePosixPath,
    config: PurePosixPath,
    made: Mapping[PurePosixPath, str],
) -> ROCrate:
    """The crate of all files in a folder, ready to be written.

    snakefile: of the run. config: what it was told. made: its results, and which job made each.
    All are paths below the folder.
    """
    crate = ROCrate(version="1.1")
    crate.metadata.extra_terms.update(TERMS)
    crate.name, crate.description = about.name, about.description
    crate.license = licence(crate, about.licence)
    profiles = [
        crate.add(ContextEntity(crate, address, {"@type": "CreativeWork", "name": name}))
        for address, name in PROFILES.items()
    ]
    for profile in profiles:
        profile["version"] = profile.id.rpartition("/")[2]
    crate.root_dataset["conformsTo"] = profiles
    of_code = {
        "name": "CheXViz",
        "version": about.version,
        "license": licence(crate, about.code_licence),
        "encodingFormat": "text/plain",
        "sha256": sha256(folder / snakefile),
    }
    workflow = crate.add_workflow(
        folder / snakefile, str(snakefile), main=True, lang="snakemake", properties=of_code
    )
    files = {
        path: add_file(crate, folder, path, made.get(path))
        for path in sorted(PurePosixPath(one.relative_to(folder)) for one in folder.rglob("*"))
        if path != snakefile and (folder / path).is_file()
    }
    files[PurePosixPath("README.md")]["about"] = crate.root_dataset
    crate.root_dataset["mentions"] = crate.add_action(
        workflow,
        identifier="#run",
        object=files[config],
        result=[files[path] for path in made],
        properties={
            "name": f"The run that made the results: {about.name}",
            "description": "All jobs of the workflow; results/provenance.json tells them apart",
            "endTime": about.ended,
            "actionStatus": "http://schema.org/CompletedActionStatus",
        },
    )
    return crate


def licence(crate: ROCrate, spdx: str) -> Entity:
    """A licence by its SPDX identifier."""
    about = {"@type": "CreativeWork", "name": spdx, "identifier": spdx}
    return crate.add(ContextEntity(crate, f"https://spdx.org/licenses/{spdx}", about))


def add_file(crate: ROCrate, folder: Path, path: PurePosixPath, job: str | None) -> Entity:
    """A file with its type, size and checksum. job: that made it, if any."""
    file = folder / path
    kind = TYPES.get(path.suffix) or mimetypes.guess_type(path)[0] or "text/plain"
    told = {"encodingFormat": kind, "contentSize": str(file.stat().st_size), "sha256": sha256(file)}
    about = {"name": str(path)} | told
    if job:
        about["description"] = f"Made by the job: {job}"
    return crate.add_file(file, str(path), properties=about)
