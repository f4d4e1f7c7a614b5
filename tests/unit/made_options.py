"""What a site's settings tell its reader where nothing is set: the defaults of the config."""

NOTHING = {
    "labels": None,
    "patients": None,
    "annotations": None,
    "columns": {},
    "given_split": False,
    "uncertain": None,
    "attributes": {},
}
