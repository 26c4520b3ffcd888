"""Writes the Postman collection from the API document: `postman.py OPENAPI.json > docs/postman.json`.

The same document gives the same bytes. With `--bounded` those operations are left out that end what the others need, or never
end, so that a program can make all requests one after the other.
"""

import json
import re
import sys
import uuid
from pathlib import Path

SCHEMA = "https://schema.getpostman.com/json/collection/v2.1.0/collection.json"
NAMESPACE = uuid.UUID("6f1f0f5e-3b0a-5f64-9c56-0f6d7a0c7a11")

# Filled in by who uses the collection; every name in a path is a variable too, and answers fill those.
GIVEN = {
    "baseUrl": "http://127.0.0.1:3000",
    "key": "",
    "masterKey": "",
    "device": "",
    "contact": "6281234567890",
    "webhookUrl": "https://example.com/hook",
}
# Fields of bodies and queries that name something, and the variable that stands for it.
NAMING = {
    "to": "contact", "chat": "contact", "contacts": "contact", "participants": "contact", "phone_number": "contact",
    "phoneNumber": "contact", "from": "contact", "messageId": "message", "mediaId": "media", "template": "template",
    "webhookId": "webhook", "device": "device", "url": "webhookUrl",
}
# An answer's ids begin with these.
PREFIXES = {
    "msg_": "message", "media_": "media", "tpl_": "template", "whk_": "webhook", "dlv_": "delivery", "evt_": "event",
    "key_": "key",
}
# What somebody does first, in this order; here only success will do.
FIRST_STEPS = [
    "health", "listDevices", "readDevice", "sendText", "readMessageStatus", "createTemplate", "listTemplates",
    "sendTemplate", "deleteTemplate", "listChats", "listEvents", "createWebhook", "testWebhook", "deleteWebhook",
]
ENDS = re.compile(r"^/admin/|/(stop|logout|pairing/\w+)$|^/v1/keys/\{key\}$")

REMEMBER = """\
const known = %s;
const take = (value) => {
    if (typeof value === "string") {
        const prefix = Object.keys(known).find((prefix) => value.startsWith(prefix));
        if (prefix) pm.collectionVariables.set(known[prefix], value);
        if (/^[0-9-]+@g\\.us$/.test(value)) pm.collectionVariables.set("group", value);
    } else if (value !== null && typeof value === "object") {
        Object.values(value).forEach(take);
    }
};
if (pm.response.code < 300 && (pm.response.headers.get("Content-Type") || "").includes("application/json")) {
    take(pm.response.json());
}
pm.test("an error has the one shape", () => {
    if (pm.response.code >= 400) {
        const error = pm.response.json();
        pm.expect(error.success).to.equal(false);
        pm.expect(error.error.code).to.match(/^[A-Z_]+$/);
        pm.expect(error.requestId).to.equal(pm.response.headers.get("X-Request-Id"));
    }
});
""" % json.dumps(PREFIXES)


def main():
    arguments = [argument for argument in sys.argv[1:] if argument != "--bounded"]
    document = json.loads(Path(arguments[0]).read_text())
    operations = [
        {**operation, "method": method.upper(), "path": path}
        for path, item in document["paths"].items() for method, operation in item.items()
    ]
    if "--bounded" in sys.argv:
        operations = [operation for operation in operations if not never_ends(operation) and not ENDS.search(operation["path"])]
    by_id = {operation["operationId"]: operation for operation in operations}
    steps = [item(document, by_id[name], "first", succeeds=True) for name in FIRST_STEPS]
    folders = [{"name": "First steps", "description": "From top to bottom; each succeeds.", "item": steps}]
    for tag in document["tags"]:
        items = [item(document, operation, tag["name"]) for operation in operations if operation["tags"][0] == tag["name"]]
        if items:
            folders.append({"name": tag["name"], "description": tag["description"], "item": items})
    names = sorted({name for operation in operations for name in re.findall(r"\{(\w+)\}", operation["path"])})
    variables = {**GIVEN, **{name: "" for name in names if name not in GIVEN}}
    collection = {
        "info": {
            "_postman_id": identity("collection"),
            "name": document["info"]["title"],
            "description": document["info"]["description"],
            "schema": SCHEMA,
        },
        "auth": {"type": "bearer", "bearer": [{"key": "token", "value": "{{key}}", "type": "string"}]},
        "event": [script("test", REMEMBER)],
        "variable": [{"key": key, "value": value, "type": "string"} for key, value in variables.items()],
        "item": folders,
    }
    print(json.dumps(collection, indent=2, ensure_ascii=False))


def never_ends(operation):
    responses = operation["responses"]
    return "101" in responses or "text/event-stream" in responses.get("200", {}).get("content", {})


def identity(name):
    return str(uuid.uuid5(NAMESPACE, name))


def script(listen, text):
    return {"listen": listen, "script": {"type": "text/javascript", "exec": text.splitlines()}}


def item(document, operation, folder, succeeds=False):
    documented = sorted(int(status) for status in operation["responses"])
    expected = [status for status in documented if status < 300] if succeeds else documented
    name = operation["operationId"]
    test = (f'pm.test("{name}: the status is {"one of success" if succeeds else "documented"}", () =>\n'
            f"    pm.expect(pm.response.code).to.be.oneOf({json.dumps(expected)}));")
    return {
        "id": identity(f"{folder} {name}"),
        "name": operation["summary"],
        "event": [script("test", test)],
        "request": request(document, operation),
        "response": [],
    }


def request(document, operation):
    parameters = operation.get("parameters", [])
    path = re.sub(r"\{(\w+)\}", r"{{\1}}", operation["path"])
    query = [
        {
            "key": parameter["name"],
            "value": str(sample(document, parameter["schema"], parameter["name"])),
            "description": parameter.get("description", ""),
            **({} if parameter.get("required") else {"disabled": True}),
        }
        for parameter in parameters if parameter["in"] == "query"
    ]
    asked = "&".join(f"{part['key']}={part['value']}" for part in query if "disabled" not in part)
    made = {
        "method": operation["method"],
        "description": operation.get("description", ""),
        "header": [
            {"key": parameter["name"], "value": "", "description": parameter.get("description", ""), "disabled": True}
            for parameter in parameters if parameter["in"] == "header"
        ],
        "url": {
            "raw": "{{baseUrl}}" + path + (f"?{asked}" if asked else ""),
            "host": ["{{baseUrl}}"],
            "path": path.strip("/").split("/"),
            **({"query": query} if query else {}),
        },
    }
    security = [name for scheme in operation.get("security", []) for name in scheme]
    if "masterKey" in security:
        made["auth"] = {"type": "apikey", "apikey": [
            {"key": "key", "value": "X-Master-Key", "type": "string"},
            {"key": "value", "value": "{{masterKey}}", "type": "string"},
            {"key": "in", "value": "header", "type": "string"},
        ]}
    elif not security:
        made["auth"] = {"type": "noauth"}
    content = operation.get("requestBody", {}).get("content", {})
    if "application/json" in content:
        body = sample(document, content["application/json"]["schema"])
        made["header"].insert(0, {"key": "Content-Type", "value": "application/json"})
        made["body"] = {
            "mode": "raw",
            "raw": json.dumps(body, indent=2, ensure_ascii=False),
            "options": {"raw": {"language": "json"}},
        }
    elif content:
        form = resolved(document, next(iter(content.values()))["schema"])
        made["body"] = {"mode": "formdata", "formdata": [
            {"key": name, "type": "file", "src": "photo.png"} if schema.get("format") == "binary"
            else {"key": name, "type": "text", "value": "", "disabled": True}
            for name, schema in form["properties"].items()
        ]}
    return made


def resolved(document, schema):
    while "$ref" in schema:
        schema = document["components"]["schemas"][schema["$ref"].rsplit("/", 1)[1]]
    return schema


def sample(document, schema, name=None):
    """A value to begin with: what is required, and what has an example and would be missing."""
    if name in NAMING:
        variable = "{{" + NAMING[name] + "}}"
        is_list = "items" in resolved(document, schema)
        return [variable] if is_list else variable
    whole = resolved(document, schema)
    for key in ("example", "default"):
        if schema.get(key, whole.get(key)) is not None:
            return schema.get(key, whole.get(key))
    if "allOf" in whole:
        return {key: value for part in whole["allOf"] for key, value in sample(document, part).items()}
    if "oneOf" in whole:
        return sample(document, next(part for part in whole["oneOf"] if part.get("type") != "null"))
    if "enum" in whole:
        return whole["enum"][0]
    type_ = whole.get("type", "object")
    type_ = type_[0] if isinstance(type_, list) else type_
    if type_ == "object":
        fields = whole.get("properties", {})
        wanted = lambda key: key in whole.get("required", []) or ("example" in fields[key] and "default" not in fields[key])
        return {key: sample(document, field, key) for key, field in fields.items() if wanted(key)}
    if type_ == "array":
        return [sample(document, whole["items"]) for _ in range(whole.get("minItems", 1))]
    return {"string": "text", "integer": whole.get("minimum", 0), "number": 0, "boolean": True}.get(type_)


main()
