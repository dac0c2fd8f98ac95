"""Builds the wheel (PEP 517, PEP 427): an archive with the module and three files about it."""

import os
import zipfile

NAME = "tally-1.0.0"


def build_wheel(directory, config_settings=None, metadata_directory=None):
    info = f"{NAME}.dist-info"
    files = {
        f"{info}/METADATA": "Metadata-Version: 2.1\nName: tally\nVersion: 1.0.0\n",
        f"{info}/WHEEL": "Wheel-Version: 1.0\nGenerator: backend\nRoot-Is-Purelib: true\nTag: py3-none-any\n",
    }
    with open("tally.py", encoding="utf-8") as source:
        files["tally.py"] = source.read()
    files[f"{info}/RECORD"] = "".join(f"{path},,\n" for path in [*files, f"{info}/RECORD"])
    wheel = f"{NAME}-py3-none-any.whl"
    with zipfile.ZipFile(os.path.join(directory, wheel), "w") as archive:
        for path, content in files.items():
            archive.writestr(zipfile.ZipInfo(path), content)
    return wheel
