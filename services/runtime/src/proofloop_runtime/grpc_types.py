"""gRPC's classes with the type parameters that grpc-stubs gives them and grpcio itself does not have."""

from typing import TYPE_CHECKING, Any

import grpc
import grpc.aio

if TYPE_CHECKING:
    GenericRpcHandler = grpc.GenericRpcHandler[Any, Any]
    RpcMethodHandler = grpc.RpcMethodHandler[Any, Any]
    ServicerContext = grpc.aio.ServicerContext[Any, Any]
    StreamStreamClientInterceptor = grpc.aio.StreamStreamClientInterceptor[Any, Any]
    StreamUnaryClientInterceptor = grpc.aio.StreamUnaryClientInterceptor[Any, Any]
    UnaryStreamClientInterceptor = grpc.aio.UnaryStreamClientInterceptor[Any, Any]
    UnaryUnaryClientInterceptor = grpc.aio.UnaryUnaryClientInterceptor[Any, Any]
else:
    GenericRpcHandler = grpc.GenericRpcHandler
    RpcMethodHandler = grpc.RpcMethodHandler
    ServicerContext = grpc.aio.ServicerContext
    StreamStreamClientInterceptor = grpc.aio.StreamStreamClientInterceptor
    StreamUnaryClientInterceptor = grpc.aio.StreamUnaryClientInterceptor
    UnaryStreamClientInterceptor = grpc.aio.UnaryStreamClientInterceptor
    UnaryUnaryClientInterceptor = grpc.aio.UnaryUnaryClientInterceptor
