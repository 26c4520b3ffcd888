"""Fills a sandbox, so that the calls that Schemathesis makes name things which are there.

    world.py SANDBOX.json tenant|admin >> schemathesis.toml

For every name in a path of the API document it prints a dictionary of real ids, and binds it to most calls. Plugins are those
of RIJAN_GUESTS, when it is set. A name that this file does not know is looked for in the list that the path above it answers, so that a new route needs nothing here. What an
operation destroys is taken from things made for that.
"""

import base64
import json
import os
import re
import struct
import sys
import time
import zlib
from pathlib import Path

import requests

# Of the calls; the others have made-up ids.
SHARE_OF_REAL_IDS = 0.9
# Things of each kind that may be destroyed, and calls to one operation are about as many.
DOOMED = 20
PATIENCE_S = 30
# As much of a picture as is looked at.
JPEG = base64.b64encode(b"\xff\xd8\xff\xe0\0\x10JFIF").decode()
MOMENTS = {
    "query.since": ["1700000000", "2026-01-31"],
    "query.until": ["1900000000", "2030-01-31T10:00:00Z"],
    "query.eventType": ["message.received", "device.connected"],
}

world = json.loads(Path(sys.argv[1]).read_text())
whose = sys.argv[2]
gateway = requests.Session()
gateway.headers["X-Master-Key" if whose == "admin" else "X-API-Key"] = world["masterKey" if whose == "admin" else "apiKey"]


def call(method, path, base=world["api"], **more):
    answer = gateway.request(method, f"{base}{path}", timeout=60, **more)
    if not answer.ok:
        sys.exit(f"{method} {path} answered {answer.status_code}: {answer.text}")
    return answer.json() if answer.content else None


def phones(method, path, **more):
    return call(method, path, world["simulator"], **more)


def until(what, found):
    began = time.monotonic()
    while time.monotonic() - began < PATIENCE_S:
        if value := found():
            return value
        time.sleep(0.1)
    sys.exit(f"{what} did not happen within {PATIENCE_S} s")


def png():
    """One grey pixel."""
    part = lambda name, data: struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))
    head, pixel = struct.pack(">IIBBBBB", 1, 1, 8, 0, 0, 0, 0), zlib.compress(b"\0\x80")
    return b"\x89PNG\r\n\x1a\n" + part(b"IHDR", head) + part(b"IDAT", pixel) + part(b"IEND", b"")


def tenants_world():
    """Names of the paths, and of bodies below `body.`, with real values; those below `doomed.` are for destroying."""
    device, me, contact = f"/v1/devices/{world['deviceId']}", world["devicePhone"], world["contactPhone"]
    strangers = [str(int(contact) + n) for n in range(1, DOOMED + 1)]
    for phone in strangers:
        phones("POST", "/accounts", json={"phone": phone, "name": f"Person {phone}"})
    send = lambda kind, **body: call("POST", f"{device}/messages/{kind}", json={"to": contact, **body})["id"]
    texts = [send("text", text=f"text {n}") for n in range(DOOMED)]
    doomed_texts = [send("text", text=f"to be deleted {n}") for n in range(DOOMED)]
    poll = send("poll", question="When?", options=["today", "tomorrow"])
    for phone in strangers:
        phones("POST", f"/accounts/{phone}/messages", json={"to": me, "text": f"hello from {phone}"})
    upload = lambda n: call("POST", f"{device}/media/upload", files={"file": (f"{n}.png", png(), "image/png")})["mediaId"]
    group = lambda n: call("POST", f"{device}/groups/create", json={"subject": f"Group {n}", "participants": [contact]})
    groups = [group(n)["data"]["groupJid"] for n in range(DOOMED // 3)]
    invites = []
    for n in range(3):
        id_ = phones("POST", "/groups", json={"subject": f"Open {n}", "creator": strangers[0], "members": [strangers[1]]})["id"]
        invites.append(phones("GET", f"/groups/{id_}")["invite"])
    call("PUT", f"{device}/groups/{groups[0]}/picture", json={"picture": JPEG})
    phones("POST", f"/accounts/{contact}/picture", json={"data": JPEG})
    plain = [call("POST", "/v1/templates", json={"name": f"plain-{n}", "text": "Hello"})["data"]["template"]["id"] for n in range(3)]
    template = lambda n: call("POST", "/v1/templates", json={"name": f"template-{n}", "text": "Hello {{name}}"})["data"]["template"]["id"]
    hook = {"url": f"{world['receiver']}/hook", "events": ["*"]}
    webhook = lambda n: call("POST", "/v1/webhooks", json=hook)["id"]
    key = lambda n: call("POST", "/v1/keys", json={"name": f"key {n}", "scopes": ["read"]})["data"]["key"]["id"]
    many = lambda make: [make(n) for n in range(DOOMED)]
    sent = until("the reading of what was sent", lambda: [m for m in texts if call("GET", f"{device}/messages/{m}/status")["readAt"]])
    lasting_webhook = call("GET", "/v1/webhooks")[0]["id"]
    deliveries = until("deliveries", lambda: call("GET", f"/v1/webhooks/{lasting_webhook}/deliveries?limit=50"))
    webhooks = many(webhook)
    guests = os.environ.get("RIJAN_GUESTS")
    plugin = lambda name: call("POST", "/v1/plugins", files={"component": Path(guests, f"{name}.wasm").read_bytes()})["data"]["plugin"]["name"]
    label = lambda n: call("POST", f"{device}/labels", json={"name": f"Label {n}"})["data"]["label"]["id"]
    newsletter = lambda n: call("POST", f"{device}/newsletters", json={"name": f"Newsletter {n}"})["data"]["id"]
    community = lambda n: call("POST", f"{device}/communities", json={"subject": f"Community {n}"})["data"]["id"]
    few = lambda make: [make(n) for n in range(DOOMED // 3)]
    newsletters, communities = few(newsletter), few(community)
    for words in ["fresh bread", "more bread"]:
        call("POST", f"{device}/messages/text", json={"to": newsletters[0], "text": words})
    read = lambda: call("GET", f"{device}/newsletters/{newsletters[0]}/messages")["data"]["posts"]
    posts = until("posts in a newsletter", lambda: (found := read()) and len(found) == 2 and found)
    calls = [phones("POST", f"/accounts/{phone}/calls", json={"to": me})["id"] for phone in strangers[:3]]
    return {
        "device": [world["deviceId"]],
        "message": sent[:6] + [poll],
        "doomed.message": doomed_texts,
        "chat": [contact, f"{contact}@s.whatsapp.net", strangers[0], groups[0]],
        "contact": [contact, f"{strangers[1]}@s.whatsapp.net"],
        "group": groups[:2],
        "doomed.group": groups[2:],
        "media": [upload(n) for n in range(3)],
        "doomed.media": many(upload),
        "template": [template(n) for n in range(100, 103)],
        "doomed.template": many(template),
        "webhook": webhooks[:3],
        "doomed.webhook": webhooks[3:],
        "delivery": [delivery["id"] for delivery in deliveries],
        "event": [event["id"] for event in call("GET", "/v1/events?limit=20")],
        "key": many(key),
        "doomed.key": many(lambda n: key(n + DOOMED)),
        "label": few(label),
        "doomed.label": many(lambda n: label(n + DOOMED)),
        "newsletter": newsletters[:2],
        "doomed.newsletter": newsletters[2:],
        "post": [str(post["serverId"]) for post in posts],
        "community": communities[:2],
        "doomed.community": communities[2:],
        "call": calls,
        **({"plugin": [plugin("opt-out")], "doomed.plugin": [plugin("business-hours")]} if guests else {}),
        "body.to": [contact, f"+{contact}", strangers[0], groups[0], newsletters[0]],
        "body.chat": [contact, groups[0]],
        "body.from": [contact],
        "body.participant": [contact],
        "body.participants[*]": strangers[:6],
        "body.recipients[*]": strangers[:6],
        "body.groups[*]": groups[:2],
        "body.mentions[*]": [contact],
        "body.messageId": sent,
        "body.quotedMessageId": sent,
        "body.messageIds[*]": sent,
        "body.mediaId": [upload(200)],
        "body.mediaUrl": [f"{world['receiver']}/deliveries?after=1000000"],
        "body.mediaBuffer": [base64.b64encode(png()).decode()],
        "body.code": invites,
        "body.template": plain,
        "body.picture": [JPEG],
        "body.scopes[*]": ["read", "send", "manage"],
        "body.url": [hook["url"]],
        "body.events[*]": ["*", "message.received", "device.connected"],
        "body.format": ["default"],
        "body.eventType": ["message.received"],
        "body.since": ["1700000000", "2026-01-31"],
        "body.until": ["1900000000", "2030-01-31T10:00:00Z"],
        "body.event.type": ["message.received"],
        "body.event.device": [world["deviceId"]],
        "body.message.device": [world["deviceId"]],
        "body.message.to": [contact],
        "body.device": [world["deviceId"]],
        "body.deviceIds[*]": [world["deviceId"]],
        "body.webhookId": webhooks[:3],
        "body.contacts[*].phoneNumber": [contact],
        "body.phone_number": [contact],
        "query.chat": [contact],
        "query.code": invites,
        "query.to": [contact],
        "query.webhookId": webhooks[:3],
        "query.q": ["text", "hello fr"],
        "query.before": ["1900000000", sent[0]],
        "query.status": ["due", "delivered", "parked"],
        "query.type": ["message.received", "receipt.read,device.connected"],
        **MOMENTS,
    }


def operators_world():
    tenant = lambda n: call("POST", "/admin/tenants", json={"name": f"Tenant {n}"})["data"]["tenant"]["id"]
    lasting = tenant(0)
    of = f"/admin/tenants/{lasting}"
    device = lambda n: call("POST", f"{of}/devices", json={"label": f"Device {n}"})["data"]["device"]["id"]
    key = lambda n: call("POST", f"{of}/keys", json={"name": f"key {n}", "scopes": ["read"]})["data"]["key"]["id"]
    many = lambda make: [make(n + 1) for n in range(DOOMED)]
    return {
        "tenant": [lasting],
        "doomed.tenant": many(tenant),
        "device": [device(0)],
        "doomed.device": many(device),
        "key": many(key),
        "doomed.key": many(lambda n: key(n + DOOMED)),
        "query.tenantId": [lasting, world["tenantId"]],
        "query.status": ["connected", "disconnected"],
        **MOMENTS,
        "body.tenantId": [lasting],
    }


def looked_for(document, path, name, known):
    """What the list above `{name}` answers, under the keys by which things are named."""
    above = path.split("/{" + name + "}")[0]
    if "get" not in document["paths"].get(above, {}):
        return []
    for other, values in known.items():
        above = above.replace("{" + other + "}", values[0])
    answer = gateway.get(f"{world['api']}{above}", timeout=60)
    lists = [answer.json()] if answer.ok else []
    while lists and not isinstance(lists[0], list):
        lists = [inner for outer in lists for inner in (outer.values() if isinstance(outer, dict) else [])]
        lists.sort(key=lambda value: not isinstance(value, list))
    items = [item for item in (lists[0] if lists else []) if isinstance(item, dict)]
    return [item[key] for item in items for key in ("id", "jid", "name") if isinstance(item.get(key), str)][:DOOMED]


# Below a device, and not for the one that everything else needs: stopping and unlinking, and linking anew.
OF_SPARE_DEVICES = r"/devices/\{device\}/(start|stop|logout|pairing/\w+)$"
# Where `contacts` are people by their numbers, and not cards.
OF_NUMBERS = "checkContacts"
# Ends what is named by the last name of its path, though it is no DELETE.
ENDS = r"/groups/\{group\}/leave$|/newsletters/\{newsletter\}/unfollow$|/tenants/\{tenant\}/(suspend|regenerate-key)$"


def main():
    document = requests.get(f"{world['api']}/docs/json", timeout=60).json()
    known = tenants_world() if whose == "tenant" else operators_world()
    paths = [path for path in document["paths"] if path.startswith("/admin") == (whose == "admin")]
    for path in paths:
        for name in re.findall(r"\{(\w+)\}", path):
            if name not in known and (found := looked_for(document, path, name, known)):
                known[name] = found
    nowhere = sorted({name for path in paths for name in re.findall(r"\{(\w+)\}", path) if name not in known})
    if nowhere:
        print("nothing is there by the names of", ", ".join(nowhere), file=sys.stderr)
    if whose == "tenant":
        spare = lambda n: requests.post(
            f"{world['api']}/admin/tenants/{world['tenantId']}/devices", json={"label": f"Spare {n}"},
            headers={"X-Master-Key": world["masterKey"]}, timeout=60).json()["data"]["device"]["id"]
        known["doomed.device"] = [spare(n) for n in range(6)]
    for name, values in known.items():
        print(f"[dictionaries.{slug(name)}]\nvalues = {json.dumps(values)}")
    print("[parameters]")
    for name in known:
        if not name.startswith("doomed."):
            print(bound(name))
    if whose == "tenant":
        print(f"[[operations]]\ninclude-operation-id = {json.dumps(OF_NUMBERS)}\n[operations.parameters]")
        print(bound("body.contacts[*]", "body.participants[*]"))
    for path in paths:
        for method in document["paths"][path]:
            names = re.findall(r"\{(\w+)\}", path)
            ended = names[-1] if names and (method == "delete" and path.endswith("}") or re.search(ENDS, path)) else None
            ended = "device" if whose == "tenant" and re.search(OF_SPARE_DEVICES, path) else ended
            if ended and f"doomed.{ended}" in known:
                print(f"[[operations]]\ninclude-name = {json.dumps(f'{method.upper()} {path}')}\n[operations.parameters]")
                print(bound(f"path.{ended}", f"doomed.{ended}", share=1.0))
            if "text/event-stream" in document["paths"][path][method]["responses"].get("200", {}).get("content", {}):
                # It never ends, and a request that waits for its end fails.
                print(f"[[operations]]\ninclude-name = {json.dumps(f'{method.upper()} {path}')}\nenabled = false")


def slug(name):
    return re.sub(r"\W", "-", name).strip("-")


def bound(name, dictionary=None, share=SHARE_OF_REAL_IDS):
    where = name if "." in name else f"path.{name}"
    return f"{json.dumps(where)} = {{ dictionary = {json.dumps(slug(dictionary or name))}, probability = {share} }}"


main()
