"""The contracts as the edge needs them: one descriptor set, and where each service's methods are."""

import importlib
import re
from collections.abc import Iterator
from pathlib import Path

import proofloop
from google.api import annotations_pb2, httpbody_pb2
from google.protobuf.descriptor import FileDescriptor
from google.protobuf.descriptor_pb2 import FileDescriptorSet
from google.rpc import error_details_pb2

# Types that travel inside Any, which no contract imports.
EXTRA = (error_details_pb2.DESCRIPTOR, httpbody_pb2.DESCRIPTOR)


def descriptor_set() -> FileDescriptorSet:
    """Every installed contract of `proofloop.*` with all it imports, each file after those it needs."""
    collected: dict[str, FileDescriptor] = {}
    for file in (*_stubs(), *EXTRA):
        _collect(file, collected)
    result = FileDescriptorSet()
    for file in collected.values():
        file.CopyToProto(result.file.add())
    return result


def services_of(descriptors: FileDescriptorSet, package: str) -> list[str]:
    """The full names of the gRPC services in `package`."""
    return [
        f"{package}.{service.name}" for file in descriptors.file if file.package == package for service in file.service
    ]


def upload_paths(descriptors: FileDescriptorSet) -> list[str]:
    """Regular expressions (RE2) of the REST paths that take a stream: an upload of any size."""
    methods = (method for file in descriptors.file for service in file.service for method in service.method)
    rules = [method.options.Extensions[annotations_pb2.http] for method in methods if method.client_streaming]
    bindings = (binding for rule in rules for binding in (rule, *rule.additional_bindings))
    return [
        _path_pattern(getattr(binding, binding.WhichOneof("pattern")))
        for binding in bindings
        if binding.WhichOneof("pattern")
    ]


def _path_pattern(template: str) -> str:
    """A path template (google.api.http) as a regular expression: each variable is one segment."""
    return "[^/]+".join(re.escape(literal) for literal in re.split(r"\{[^}]*\}", template))


def _stubs() -> Iterator[FileDescriptor]:
    for root in map(Path, proofloop.__path__):
        for path in sorted(root.rglob("*_pb2.py")):
            name = ".".join(("proofloop", *path.relative_to(root).with_suffix("").parts))
            yield importlib.import_module(name).DESCRIPTOR


def _collect(file: FileDescriptor, collected: dict[str, FileDescriptor]) -> None:
    if file.name in collected:
        return
    for dependency in file.dependencies:
        _collect(dependency, collected)
    collected[file.name] = file
