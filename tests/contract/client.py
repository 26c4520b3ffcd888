"""Does with the generated client what people do first: `client.py OPENAPI.json SANDBOX.json`."""

import io
import json
import re
import sys
import time
from http import HTTPStatus
from pathlib import Path

import rijan_client
from rijan_client import AuthenticatedClient
from rijan_client.api.devices import list_devices
from rijan_client.api.events import list_events
from rijan_client.api.media import read_media, upload_media
from rijan_client.api.messages import read_message_status, send_image, send_text
from rijan_client.api.webhooks import create_webhook, delete_webhook, list_webhooks
from rijan_client.models import (
    ErrorBody, MediaUpload, NewWebhook, Receipt, SendMedia, SendText, Uploaded, Webhook,
)
from rijan_client.types import File

PATIENCE_S = 30
# One grey pixel.
PNG = bytes.fromhex(
    "89504e470d0a1a0a0000000d494844520000000100000001080000000"
    "03a7e9b550000000a4944415478da636800000082008177cd72b60000000049454e44ae426082")

document, sandbox = (json.loads(Path(path).read_text()) for path in sys.argv[1:3])


def every_operation_has_its_function():
    made = {path.stem for path in Path(rijan_client.__file__).parent.glob("api/*/*.py")}
    operations = {op["operationId"] for path in document["paths"].values() for op in path.values()}
    snake = lambda name: re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "_", name).lower()
    missing = sorted(op for op in operations if snake(op) not in made)
    assert not missing, f"the generator left out {missing}"
    print(f"{len(operations)} operations, each with its function")


def until(what, found):
    began = time.monotonic()
    while time.monotonic() - began < PATIENCE_S:
        if value := found():
            return value
        time.sleep(0.1)
    sys.exit(f"{what} did not happen within {PATIENCE_S} s")


def main():
    every_operation_has_its_function()
    client = AuthenticatedClient(base_url=sandbox["api"], token=sandbox["apiKey"], raise_on_unexpected_status=True)
    to = sandbox["contactPhone"]

    devices = list_devices.sync(client=client)
    device = devices.data.devices[0]
    assert device.id == sandbox["deviceId"] and device.status.value == "connected", device
    print("the device is", device.status.value)

    receipt = send_text.sync(device.id, client=client, body=SendText(to=to, text="hello from a generated client"))
    assert isinstance(receipt, Receipt), receipt
    status = lambda message: read_message_status.sync(device.id, message, client=client)
    read = until("the reading of the text", lambda: (now := status(receipt.id)).read_at and now)
    print("the text is", read.status.value)

    uploaded = upload_media.sync(
        device.id, client=client, body=MediaUpload(file=File(io.BytesIO(PNG), "pixel.png", "image/png")))
    assert isinstance(uploaded, Uploaded) and uploaded.mime_type == "image/png", uploaded
    picture = send_image.sync(device.id, client=client, body=SendMedia(to=to, media_id=uploaded.media_id, caption="a pixel"))
    assert isinstance(picture, Receipt), picture
    until("the arrival of the picture", lambda: status(picture.id).delivered_at)
    assert read_media.sync(device.id, uploaded.media_id, client=client).payload.read() == PNG
    print("the picture is there, and the file is what was uploaded")

    again = send_text.sync(
        device.id, client=client, idempotency_key="once", body=SendText(to=to, text="only once"))
    assert again == send_text.sync(
        device.id, client=client, idempotency_key="once", body=SendText(to=to, text="only once"))

    events = list_events.sync(device.id, client=client, type_="receipt.read")
    assert any(receipt.message_id in json.dumps(event.payload.to_dict()) for event in events), events
    print(len(events), "events tell of what was read")

    webhook = create_webhook.sync(client=client, body=NewWebhook(url=f"{sandbox['receiver']}/hook", events=["message.received"]))
    assert isinstance(webhook, Webhook) and webhook.secret, webhook
    gone = delete_webhook.sync_detailed(webhook.id, client=client)
    assert gone.status_code == HTTPStatus.NO_CONTENT, gone
    assert webhook.id not in [other.id for other in list_webhooks.sync(client=client)]
    print("a webhook came and went")

    refused = send_text.sync_detailed(device.id, client=client, body=SendText(to="nobody", text=""))
    assert refused.status_code == HTTPStatus.BAD_REQUEST and isinstance(refused.parsed, ErrorBody), refused
    assert refused.parsed.error.code == "VALIDATION_ERROR"
    assert sorted(wrong.field for wrong in refused.parsed.error.details) == ["text", "to"], refused
    print("and what is wrong is named:", ", ".join(f"{wrong.field} {wrong.message}" for wrong in refused.parsed.error.details))


main()
