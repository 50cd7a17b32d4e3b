"""Envoy's configuration as plain data (bootstrap, API v3)."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from proofloop_local.authority import TRUST_DOMAIN, Credentials
from proofloop_local.servers.ports import LOOPBACK

Json = dict[str, Any]

PREFIX = "type.googleapis.com"
TYPES = "envoy.extensions"
BUFFER = "envoy.filters.http.buffer"
# The well-known extensions we use, each with the type of its configuration.
MESSAGES = {
    "envoy.access_loggers.stdout": "access_loggers.stream.v3.StdoutAccessLog",
    BUFFER: "filters.http.buffer.v3.Buffer",
    "envoy.filters.http.grpc_json_transcoder": "filters.http.grpc_json_transcoder.v3.GrpcJsonTranscoder",
    "envoy.filters.http.router": "filters.http.router.v3.Router",
    "envoy.http_connection_manager": "filters.network.http_connection_manager.v3.HttpConnectionManager",
    "envoy.transport_sockets.tls": "transport_sockets.tls.v3.UpstreamTlsContext",
}
# HTTP statuses of Envoy's own answers, as the google.rpc.Code that the services would use.
CODES = {400: 3, 404: 5, 408: 4, 413: 8, 429: 8, 503: 14, 504: 4}
READY = "/ready"
# The name under which a service says whether it takes calls; the empty name says only that it lives.
READINESS = "readiness"
# What one JSON message may be; uploads are streamed and not held.
MESSAGE_BYTES = 4 * 1024 * 1024
# Only we and the caller's network know these; a caller may not make them up.
INTERNAL_HEADERS = ("x-proofloop-tenant",)


@dataclass(frozen=True, slots=True)
class Upstream:
    """A service behind the edge.

    Attributes:
        name: The service, as in its certificate.
        port: Its port on 127.0.0.1, gRPC over mutual TLS.
        grpc_services: Full names of its gRPC services.
    """

    name: str
    port: int
    grpc_services: tuple[str, ...]


def bootstrap(
    *,
    port: int,
    admin_port: int,
    upstreams: Sequence[Upstream],
    descriptor_file: str,
    uploads: Sequence[str],
    credentials: Credentials,
) -> Json:
    """The whole configuration of an edge on 127.0.0.1:`port`; `uploads` are the paths whose bodies are streamed."""
    return {
        "admin": {"address": _address(admin_port), "allow_paths": [{"exact": READY}, {"prefix": "/stats"}]},
        "static_resources": {
            "listeners": [
                {
                    "name": "edge",
                    "address": _address(port),
                    "per_connection_buffer_limit_bytes": MESSAGE_BYTES,
                    "filter_chains": [{"filters": [_http(upstreams, descriptor_file, uploads)]}],
                }
            ],
            "clusters": [_cluster(upstream, credentials) for upstream in upstreams],
        },
    }


def _http(upstreams: Sequence[Upstream], descriptor_file: str, uploads: Sequence[str]) -> Json:
    manager = {
        "stat_prefix": "edge",
        "codec_type": "AUTO",
        "server_name": "proofloop",
        # The caller's address is the connection's, whatever headers say.
        "use_remote_address": True,
        "generate_request_id": True,
        "preserve_external_request_id": True,
        "always_set_request_id_in_response": True,
        "normalize_path": True,
        "merge_slashes": True,
        "path_with_escaped_slashes_action": "REJECT_REQUEST",
        "request_headers_timeout": "10s",
        # Streams send heartbeats; a silent one is dead.
        "stream_idle_timeout": "120s",
        "common_http_protocol_options": {
            "idle_timeout": "600s",
            "headers_with_underscores_action": "REJECT_REQUEST",
        },
        "http2_protocol_options": {"max_concurrent_streams": 256},
        "http_filters": [
            # The transcoder would hold a JSON body of any size.
            _typed(BUFFER, {"max_request_bytes": MESSAGE_BYTES}),
            _transcoder(upstreams, descriptor_file),
            _typed("envoy.filters.http.router", {}),
        ],
        "route_config": {
            "request_headers_to_remove": list(INTERNAL_HEADERS),
            "request_headers_to_add": [
                {
                    "header": {
                        "key": "x-forwarded-for",
                        "value": "%DOWNSTREAM_DIRECT_REMOTE_ADDRESS_WITHOUT_PORT%",
                    },
                    "append_action": "OVERWRITE_IF_EXISTS_OR_ADD",
                }
            ],
            "virtual_hosts": [{"name": "edge", "domains": ["*"], "routes": _routes(upstreams, uploads)}],
        },
        "local_reply_config": {"mappers": [_own_answer(status, code) for status, code in CODES.items()]},
        "access_log": [_access_log()],
    }
    return _typed("envoy.http_connection_manager", manager)


def _transcoder(upstreams: Sequence[Upstream], descriptor_file: str) -> Json:
    return _typed(
        "envoy.filters.http.grpc_json_transcoder",
        {
            "proto_descriptor": descriptor_file,
            "services": [service for upstream in upstreams for service in upstream.grpc_services],
            # A streamed answer is a stream of Server-Sent Events.
            "print_options": {"stream_sse_style_delimited": True},
            # Errors arrive as google.rpc.Status with all their details.
            "convert_grpc_status": True,
            "request_validation_options": {
                "reject_unknown_method": True,
                "reject_unknown_query_parameters": True,
            },
        },
    )


def _own_answer(status: int, code: int) -> Json:
    """What Envoy says by itself has the form of what the services say: google.rpc.Status."""
    value = {"default_value": status, "runtime_key": f"edge.status_{status}"}
    return {
        "filter": {"status_code_filter": {"comparison": {"op": "EQ", "value": value}}},
        "body_format_override": {"json_format": {"code": code, "message": "%LOCAL_REPLY_BODY%"}},
    }


def _routes(upstreams: Sequence[Upstream], uploads: Sequence[str]) -> list[Json]:
    """By gRPC service, since the transcoder turns a REST path into one.

    Before it does, a path decides whether the body is held: gRPC and uploads are streams, the rest are messages.
    """
    streamed = {BUFFER: {"@type": f"{PREFIX}/{TYPES}.filters.http.buffer.v3.BufferPerRoute", "disabled": True}}
    refused = {"status": 404, "body": {"inline_string": "There is no such method."}}
    return [
        {
            "match": {"prefix": f"/{service}/"},
            # The caller's deadline governs; the services have their own beside it.
            "route": {
                "cluster": upstream.name,
                "timeout": "0s",
                "max_stream_duration": {"grpc_timeout_header_max": "0s"},
            },
            "typed_per_filter_config": streamed,
        }
        for upstream in upstreams
        for service in upstream.grpc_services
    ] + [
        {"match": {"safe_regex": {"regex": path}}, "direct_response": refused, "typed_per_filter_config": streamed}
        for path in uploads
    ]


def _cluster(upstream: Upstream, credentials: Credentials) -> Json:
    endpoint = {"endpoint": {"address": _address(upstream.port)}}
    return {
        "name": upstream.name,
        "type": "STATIC",
        "connect_timeout": "2s",
        "load_assignment": {
            "cluster_name": upstream.name,
            "endpoints": [{"lb_endpoints": [endpoint]}],
        },
        "typed_extension_protocol_options": {
            f"{TYPES}.upstreams.http.v3.HttpProtocolOptions": {
                "@type": f"{PREFIX}/{TYPES}.upstreams.http.v3.HttpProtocolOptions",
                "explicit_http_config": {
                    "http2_protocol_options": {"connection_keepalive": {"interval": "30s", "timeout": "5s"}}
                },
            }
        },
        "health_checks": [
            {
                "timeout": "2s",
                "interval": "1s",
                # Before its first request a cluster is checked once a minute by default.
                "no_traffic_interval": "1s",
                "unhealthy_threshold": 2,
                "healthy_threshold": 1,
                "grpc_health_check": {"service_name": READINESS},
            }
        ],
        # With nobody healthy, say so at once and try nobody.
        "common_lb_config": {"healthy_panic_threshold": {"value": 0}},
        "transport_socket": _mutual_tls(upstream.name, credentials),
    }


def _mutual_tls(service: str, credentials: Credentials) -> Json:
    own = {
        "certificate_chain": {"filename": str(credentials.certificate)},
        "private_key": {"filename": str(credentials.key)},
    }
    their_name = {"san_type": "URI", "matcher": {"exact": f"spiffe://{TRUST_DOMAIN}/{service}"}}
    validation = {
        "trusted_ca": {"filename": str(credentials.authority)},
        "match_typed_subject_alt_names": [their_name],
    }
    context = {
        # A client's highest version is 1.2 by default.
        "tls_params": {"tls_minimum_protocol_version": "TLSv1_3", "tls_maximum_protocol_version": "TLSv1_3"},
        "alpn_protocols": ["h2"],
        "tls_certificates": [own],
        "validation_context": validation,
    }
    return _typed("envoy.transport_sockets.tls", {"common_tls_context": context})


def _access_log() -> Json:
    """One JSON line a request, on standard output. A query may hold personal data and is left out."""
    fields = {
        "time": "%START_TIME(%Y-%m-%dT%H:%M:%E6SZ)%",
        "service": "edge",
        "method": "%REQ(X-ENVOY-ORIGINAL-METHOD?:METHOD)%",
        "path": "%PATH(NQ:ORIG_OR_PATH)%",
        "status": "%RESPONSE_CODE%",
        "duration_ms": "%DURATION%",
        "request_id": "%REQ(X-REQUEST-ID)%",
        "upstream": "%UPSTREAM_CLUSTER%",
        "flags": "%RESPONSE_FLAGS%",
    }
    return _typed("envoy.access_loggers.stdout", {"log_format": {"json_format": fields}})


def _typed(extension: str, configuration: Json) -> Json:
    """An extension by its well-known name, with the type of its configuration."""
    return {
        "name": extension,
        "typed_config": {"@type": f"{PREFIX}/{TYPES}.{MESSAGES[extension]}", **configuration},
    }


def _address(port: int) -> Json:
    return {"socket_address": {"address": LOOPBACK, "port_value": port}}
