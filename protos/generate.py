"""Generate the Python stubs of every contract, and of buf/validate, into one folder.

Usage: generate.py OUTPUT. The output mirrors the proto tree, so a proto path is its Python import path.
"""

import shutil
import sys
from pathlib import Path

from grpc_tools import protoc

ROOT = Path(__file__).parent
PLUGINS = ("python_out=", "grpc_python_out=", "mypy_out=quiet:", "mypy_grpc_out=quiet:")


def main() -> None:
    """Empty OUTPUT and write the stubs of all contracts there; exit as protoc does."""
    output = Path(sys.argv[1])
    shutil.rmtree(output, ignore_errors=True)
    output.mkdir(parents=True)
    contracts = sorted(str(path.relative_to(ROOT)) for path in (ROOT / "proofloop").rglob("*.proto"))
    includes = [f"-I{ROOT}", f"-I{ROOT / 'third_party'}", f"-I{Path(protoc.__file__).parent / '_proto'}"]
    arguments = ["protoc", *includes, *(f"--{plugin}{output}" for plugin in PLUGINS)]
    status = protoc.main([*arguments, *contracts, "buf/validate/validate.proto"])
    # Contracts without a service leave empty gRPC stubs behind.
    for stub in output.rglob("*_pb2_grpc.py*"):
        if not stub.name.removesuffix(".pyi").removesuffix(".py").endswith("_service_pb2_grpc"):
            stub.unlink()
    (output / "proofloop" / "py.typed").touch()
    sys.exit(status)


if __name__ == "__main__":
    main()
