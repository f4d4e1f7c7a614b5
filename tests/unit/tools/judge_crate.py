"""Judge an RO-Crate by roc-validator, in its own environment and without a network.

Started by test_giving_away.py: judge_crate.py CONTEXT ZIP PROFILE ... The context of RO-Crate,
which the validator would fetch from w3id.org, is the file that the package rocrate brings: that of
version 1.3, where one term has moved since 1.1. Prints the issues as JSON, by profile.
"""

import json
import sys
from pathlib import Path
from types import SimpleNamespace

from rocrate_validator import services
from rocrate_validator.utils import document_loader
from rocrate_validator.utils.http import HttpRequester

file, crate, *profiles = sys.argv[1:]
context = json.loads(Path(file).read_text(encoding="utf-8"))
context["@context"]["ComputationalWorkflow"] = "https://bioschemas.org/ComputationalWorkflow"


def answer(_: HttpRequester, address: str, **__: object) -> SimpleNamespace:
    assert address == "https://w3id.org/ro/crate/1.1/context"
    kind = {"Content-Type": "application/ld+json"}
    return SimpleNamespace(status_code=200, headers=kind, json=lambda: context)


document_loader._fetch_json_ld = lambda address: context
HttpRequester.get = HttpRequester.head = answer
found = {}
for profile in profiles:
    asked = {"rocrate_uri": crate, "profile_identifier": profile}
    asked |= {"requirement_severity": "RECOMMENDED", "skip_availability_check": True}
    issues = services.validate(asked).get_issues()
    found[profile] = [
        f"{one.severity.name} {one.check.identifier}: {one.message}" for one in issues
    ]
print(json.dumps(found))
