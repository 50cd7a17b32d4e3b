"""Wires the exports service."""

from proofloop.exports.v1 import error_reason_pb2, workflows_service_pb2
from proofloop.exports.v1.workflows_service_pb2_grpc import add_WorkflowServiceServicer_to_server
from proofloop_runtime.application import Application, Components, Runtime, Servicer
from proofloop_runtime.erasure import ErasureInbox
from proofloop_runtime.objects import S3Objects

from proofloop_exports.settings import ExportsSettings
from proofloop_exports.workflows import forgetting
from proofloop_exports.workflows.servicer import WorkflowServicer


async def bootstrap(runtime: Runtime, settings: ExportsSettings) -> Components:
    """Return what the exports service consists of."""
    objects = S3Objects(settings.s3, runtime.breakers)
    workflows = WorkflowServicer(runtime.database, objects, runtime.ids)
    return Components(
        servicers=[
            Servicer(
                workflows_service_pb2.DESCRIPTOR.services_by_name["WorkflowService"],
                add_WorkflowServiceServicer_to_server,
                workflows,
            )
        ],
        consumers=[ErasureInbox(runtime.database, runtime.service, forgetting.forget).consumer()],
    )


application = Application(
    name="exports",
    package="proofloop_exports",
    settings=ExportsSettings,
    reasons=error_reason_pb2.ErrorReason.DESCRIPTOR,
    bootstrap=bootstrap,
)
