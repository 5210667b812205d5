"""Which SDKs of this environment are guarded, seen at what is really patched, and which are only counted?"""

from collections.abc import Iterator
from importlib import import_module
from importlib.metadata import PackageNotFoundError, entry_points, version
from typing import Any, Final, NamedTuple, NoReturn

from spanbudget.exporter.admission.request import CallRequest
from spanbudget.exporter.checks.finding import Finding
from spanbudget.exporter.config import Config
from spanbudget.exporter.guard.install import install, uninstall
from spanbudget.processors.errors import ReservationError

AREA: Final = "guard"
_PATCHED: Final = "_self_wrapper"


class Sdk(NamedTuple):
    """A package that can call a model.

    Attributes:
        package: Its name for pip.
        module: What is patched: its module,
        methods: and the methods in it; none where it goes through another package of the list.
        below: The packages that it sends through.
    """

    package: str
    module: str = ""
    methods: tuple[str, ...] = ()
    below: tuple[str, ...] = ()


SDKS: Final = (
    Sdk("httpx", "httpx", ("HTTPTransport.handle_request", "AsyncHTTPTransport.handle_async_request")),
    Sdk("httpx2", "httpx2", ("HTTPTransport.handle_request", "AsyncHTTPTransport.handle_async_request")),
    Sdk("openai", "openai._base_client", ("SyncAPIClient.request", "AsyncAPIClient.request")),
    Sdk("anthropic", "anthropic._base_client", ("SyncAPIClient.request", "AsyncAPIClient.request")),
    Sdk("google-genai", below=("httpx",)),
    Sdk("litellm", below=("httpx",)),
    Sdk("mistralai", below=("httpx",)),
    Sdk("groq", below=("httpx",)),
    Sdk("cohere", below=("httpx",)),
    Sdk("boto3", "botocore.httpsession", ("URLLib3Session.send",)),
    Sdk("aiohttp", "aiohttp", ("ClientSession._request",)),
    Sdk("requests", "requests", ("Session.send",)),
)
_SPECIAL: Final = {
    "google-genai": "its aiohttp transport is not, where aiohttp is installed",
    "litellm": "its aiohttp transport is not: set litellm.disable_aiohttp_transport = True",
}
_WAY_OUT: Final = (
    "not guarded: its calls are counted from their spans only, after they were made; reserve for them with"
    " BudgetManager().guard(), or call through an SDK that is guarded"
)


_NOBODY: Final = "doctor only looks what is guarded: it holds no money, neither for a call to {}"


class _NobodyAsks:
    """Stands where calls are reserved; there are none."""

    def reserve(self, request: CallRequest) -> NoReturn:
        raise ReservationError(_NOBODY.format(request.model))

    async def reserve_async(self, request: CallRequest) -> NoReturn:
        raise ReservationError(_NOBODY.format(request.model))


def check_sdks(config: Config) -> Iterator[Finding]:
    """Puts the guard into this process, looks what is patched, and takes it out again."""
    guards = config.guards
    told = "on: calls that a budget cannot pay for are refused" if guards else (
        "off: no budget refuses calls; give one hard_limit: true, or set guard: {enabled: true}"
    )  # fmt: skip
    yield Finding(AREA, "guard", "pass" if guards else "info", told, {"enabled": guards})
    install(_NobodyAsks(), config.guard)
    try:
        known: dict[str, bool] = {}
        for sdk in SDKS:
            installed = _version(sdk.package)
            if installed is not None:
                known[sdk.package] = _is_guarded(sdk, known)
                yield _finding(sdk, installed, guarded=known[sdk.package])
    finally:
        uninstall()
    yield _instrumentations()


def _finding(sdk: Sdk, installed: str, *, guarded: bool) -> Finding:
    numbers = {"version": installed, "guarded": guarded}
    subject = f"{sdk.package} {installed}"
    if not guarded:
        return Finding(AREA, subject, "info" if sdk.package == "requests" else "warn", _WAY_OUT, numbers)
    how = (
        f"guarded through {', '.join(sdk.below)}"
        if sdk.below
        else f"guarded: {', '.join(one.partition('.')[0] for one in sdk.methods)}"
    )
    special = _SPECIAL.get(sdk.package)
    return Finding(AREA, subject, "pass", f"{how}; {special}" if special else how, numbers)


def _is_guarded(sdk: Sdk, known: dict[str, bool]) -> bool:
    if sdk.below:
        return all(known.get(package, False) for package in sdk.below)
    try:
        module = import_module(sdk.module)
    except ImportError:  # it is installed, and broken
        return False
    return all(hasattr(_member(module, method), _PATCHED) for method in sdk.methods)


def _member(module: Any, path: str) -> Any:
    """`Class.method`, as it stands in the class."""
    name, _, method = path.partition(".")
    return vars(getattr(module, name, object)).get(method)


def _version(package: str) -> str | None:
    try:
        return version(package)
    except PackageNotFoundError:
        return None


def _instrumentations() -> Finding:
    found = sorted(
        {
            f"{entry.dist.name} {entry.dist.version}"
            for entry in entry_points(group="opentelemetry_instrumentor")
            if entry.dist is not None and entry.dist.name != "spanbudget"
        }
    )
    told = ", ".join(found) or "none: calls that are not guarded are not counted either"
    return Finding(AREA, "instrumentations", "info" if found else "warn", told, {"packages": found})
