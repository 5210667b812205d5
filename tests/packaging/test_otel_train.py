"""One OpenTelemetry train: exporters of one release do not import beside the api and sdk of another."""

import subprocess
import sys
from importlib.metadata import version

import pytest
from packaging.version import Version

STABLE = (
    "opentelemetry-api",
    "opentelemetry-sdk",
    "opentelemetry-proto",
    "opentelemetry-exporter-otlp",
    "opentelemetry-exporter-otlp-proto-common",
    "opentelemetry-exporter-otlp-proto-grpc",
    "opentelemetry-exporter-otlp-proto-http",
)
BETA = (
    "opentelemetry-exporter-prometheus",
    "opentelemetry-instrumentation",
    "opentelemetry-semantic-conventions",
)


@pytest.mark.parametrize("protocol", ["grpc", "http"])
@pytest.mark.parametrize(
    ("module", "name"),
    [
        ("trace_exporter", "OTLPSpanExporter"),
        ("metric_exporter", "OTLPMetricExporter"),
        ("_log_exporter", "OTLPLogExporter"),
    ],
)
def test_every_otlp_exporter_imports_in_a_fresh_process(protocol: str, module: str, name: str) -> None:
    code = f"from opentelemetry.exporter.otlp.proto.{protocol}.{module} import {name}"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


def test_the_stable_packages_are_of_one_train() -> None:
    assert len({version(name) for name in STABLE}) == 1, {name: version(name) for name in STABLE}


def test_the_beta_packages_are_of_one_train() -> None:
    assert len({version(name) for name in BETA}) == 1, {name: version(name) for name in BETA}


def test_the_beta_train_leaves_with_the_stable_one() -> None:
    """A release x.y.z of the stable packages comes with 0.(y + 21)bz of the beta ones: 1.45.2 with 0.66b2."""
    stable, beta = (
        Version(version("opentelemetry-sdk")),
        Version(version("opentelemetry-semantic-conventions")),
    )
    assert beta.pre is not None
    assert (beta.minor, beta.pre[1]) == (stable.minor + 21, stable.micro)
