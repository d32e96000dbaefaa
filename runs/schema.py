"""Makes `*_pb2.py` and `*_pb2.pyi` beside every .proto file of the package: `python runs/schema.py`.

The generated files are committed, so that an installation needs only the protobuf runtime; grpcio-tools, which brings
the compiler, is a tool of developers. The compiler stamps its own version into the code and makes older runtimes
refuse it although they understand every line: the stamp is left out, and protobuf 6 and 7 both run the result.
"""

from __future__ import annotations

import re
from pathlib import Path

ROOT = Path(__file__).parents[1] / "src"

SCHEMAS = ("recording/annotation", "wire/live", "wire/extended")
"""Every .proto file, as its path in the package without the ending."""

_STAMP = re.compile(
    r"^# Protobuf Python Version:.*\n"
    r"|^from google\.protobuf import runtime_version as _runtime_version\n"
    r"|^_runtime_version\.ValidateProtobufRuntimeVersion\((?:.|\n)*?^\)\n",
    re.MULTILINE,
)


def compile_schemas(target: Path) -> None:
    """Write the generated modules of every schema into `target`/eyehand/, in the folders of their schemas.

    Raises:
        ImportError: grpcio-tools is not installed (it is in the extra `dev`).
        RuntimeError: a schema does not compile.
    """
    from grpc_tools import protoc  # type: ignore[import-untyped]  # brings no types

    # Compiled by their path in the package: protobuf registers every schema under its path in one table per process,
    # and a bare annotation.proto would collide with that of any other library.
    for name in SCHEMAS:
        schema = f"eyehand/{name}.proto"
        module = target / f"eyehand/{name}_pb2.py"
        module.parent.mkdir(parents=True, exist_ok=True)
        if protoc.main(["protoc", f"-I{ROOT}", f"--python_out={target}", f"--pyi_out={target}", schema]):
            raise RuntimeError(f"{schema} does not compile")
        module.write_text(_STAMP.sub("", module.read_text()))


if __name__ == "__main__":
    compile_schemas(ROOT)
