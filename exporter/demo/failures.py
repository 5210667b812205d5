"""The error bodies of each interface."""

import json

from spanbudget.exporter.demo.wire import Json, Reply

_ANTHROPIC_TYPES = {429: "rate_limit_error", 500: "api_error", 529: "overloaded_error"}
_OPENAI_TYPES = {429: "rate_limit_exceeded"}
_GEMINI_STATUSES = {429: "RESOURCE_EXHAUSTED", 500: "INTERNAL"}
_BEDROCK_TYPES = {429: "ThrottlingException"}


def failure(family: str, status: int) -> Reply:
    """Returns the reply of a request that failed, in the words of its interface."""
    body = json.dumps(_body(family, status)).encode()
    headers = {}
    if family == "aws.bedrock":
        headers["x-amzn-errortype"] = _BEDROCK_TYPES.get(status, "InternalServerException")
    return Reply(None, (body,), status=status, headers=headers)


def _body(family: str, status: int) -> Json:
    text = "Too many requests" if status == 429 else "The server failed"
    if family == "anthropic":
        kind = _ANTHROPIC_TYPES.get(status, "api_error")
        return {"type": "error", "error": {"type": kind, "message": text}, "request_id": "req_demo"}
    if family == "gcp.gemini":
        return {
            "error": {"code": status, "message": text, "status": _GEMINI_STATUSES.get(status, "UNAVAILABLE")}
        }
    if family == "aws.bedrock":
        return {"message": text}
    kind = _OPENAI_TYPES.get(status, "server_error")
    return {"error": {"message": text, "type": kind, "param": None, "code": kind}}
