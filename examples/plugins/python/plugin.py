"""The example plugin: every hook and every import. What it answers to is in ../README.md.

A hook raises Err(types.PluginError_...) for "I could not decide". An import raises Err with its own error inside.
"""

import json

from componentize_py_types import Err
from wit_world import exports
from wit_world.exports import inbound, outbound, scheduled, webhook
from wit_world.imports import clock, event_data, http, kv, log, media, random, secrets, types

# The configuration, as the schema in rijan-plugin.toml describes it.
config = {
    "blocked-word": "spam",
    "ask-url": "https://api.example.com/ask",
    "digest-device": "support",
    "digest-to": "+5511999990000",
}


class Lifecycle(exports.Lifecycle):
    def init(self, document: str) -> None:
        config.update(json.loads(document))


# ---------------------------------------------------------------- inbound


def passed(*effects):
    return inbound.Outcome(inbound.Verdict_Pass(), list(effects))


def patched(*effects, text=None, add_tags=()):
    patch = inbound.Patch(content=None, text=text, add_tags=list(add_tags), remove_tags=[], extra=None)
    return inbound.Outcome(inbound.Verdict_Patch(patch), list(effects))


def replied(text):
    return passed(inbound.Effect_Reply(types.Sendable_Text(text)))


def temporary(message, retry_after_ms=None):
    return Err(types.PluginError_Temporary(types.TemporaryError(message, retry_after_ms)))


def blocks(text):
    return config["blocked-word"].lower() in text.lower()


class Inbound(exports.Inbound):
    def on_event(self, event: types.Event) -> inbound.Outcome:
        match event.content:
            case types.Content_Text(text):
                return self.on_text(event, text.strip())
            case types.Content_Media(received):
                return patched(text=f"({size_of(received.handle)} bytes read)")
            case _:
                return passed()

    def on_text(self, event, text):
        if blocks(text):
            log.log(log.Level.INFO, "dropped", [types.Field("event", event.id)])
            return inbound.Outcome(inbound.Verdict_Drop("blocked word"), [])
        word, _, rest = text.partition(" ")
        match word.lower(), rest.strip():
            case "ping", "":
                pong = inbound.Effect_Reply(types.Sendable_Text("pong"))
                return patched(pong, add_tags=["ping"])
            case "echo", what:
                return replied(what)
            case "count", "":
                return replied(str(or_plugin_error(kv.increment, "count", 1, None)))
            case "count", "then fail":
                # Nothing of a failed call remains, this increment neither.
                or_plugin_error(kv.increment, "count", 1, None)
                raise temporary("asked to fail", 1500)
            case "note", what:
                or_plugin_error(kv.set, f"note/{event.id}", types.Blob_Text(what), None)
                return passed()
            case "notes", "":
                return replied("\n".join(notes()) or "no notes")
            case "find", "":
                return replied(json.loads(event_data.find("/sender/contactId") or '"?"'))
            case "data", "":
                return replied(json.loads(event_data.get())["sender"].get("contactId", "?"))
            case "ask", question:
                return replied(ask(question))
            case "time", "":
                return replied(str(clock.now()))
            case "dice", "":
                return replied(str(1 + random.next() % 6))
            case "thanks", "":
                return passed(inbound.Effect_React("🙏"), inbound.Effect_MarkRead())
            case "forward", to:
                return passed(inbound.Effect_Forward(to))
            case "route", name:
                return passed(inbound.Effect_Route([name]))
            case _:
                return passed()


def or_plugin_error(call, *arguments):
    """Calls an import; when it fails, the hook fails: another try may help when the gateway was busy."""
    try:
        return call(*arguments)
    except Err as error:
        told = error.value
        name = told.name if hasattr(told, "name") else type(told).__name__
        if name.lower().rpartition("error_")[2] in ("ratelimited", "unavailable", "timeout", "network"):
            raise temporary(name) from error
        raise Err(types.PluginError_Permanent(name)) from error


def size_of(handle):
    """Reads media to its end."""
    size = 0
    while chunk := or_plugin_error(media.read, handle, size, 1 << 20):
        size += len(chunk)
    return size


def kv_text(key):
    entry = or_plugin_error(kv.get, key)
    return entry and entry.value.value


def notes():
    """Every note, in the order of their keys."""
    cursor = None
    while True:
        page = or_plugin_error(kv.list_keys, "note/", cursor, 100)
        yield from map(kv_text, page.keys)
        cursor = page.next
        if cursor is None:
            return


def ask(question):
    """Posts the question, with the tenant's token, and answers with what comes back."""
    token = or_plugin_error(secrets.get, "api-token")
    request = http.Request(
        method="POST",
        url=config["ask-url"],
        headers=[
            types.Field("content-type", "application/json"),
            types.Field("authorization", f"Bearer {token}"),
        ],
        body=types.Blob_Text(json.dumps({"question": question})),
        timeout_ms=None,
    )
    response = or_plugin_error(http.fetch, request)
    if response.status >= 500:
        raise temporary(f"the API answered {response.status}")
    match response.body:
        case types.Blob_Text(text):
            return text
        case _:
            return "(no text)"


# ---------------------------------------------------------------- outbound


def text_of(content):
    """The text, or the caption of media, of what was received or is sent."""
    match content:
        case types.Content_Text(text) | types.Sendable_Text(text):
            return text
        case types.Content_Media(file) | types.Sendable_Media(file):
            return file.caption
        case _:
            return None


class Outbound(exports.Outbound):
    def on_send(self, message: outbound.Message) -> outbound.Verdict:
        text = text_of(message.content) or ""
        if blocks(text):
            return outbound.Verdict_Reject(outbound.Rejection("BLOCKED_WORD", "the text holds a blocked word"))
        if text.startswith("hello"):
            signed = f"{text} ({message.tenant})"
            patch = outbound.Patch(content=None, text=signed, add_tags=["signed"], remove_tags=[], extra=None)
            return outbound.Verdict_Patch(patch)
        return outbound.Verdict_Pass()


# ---------------------------------------------------------------- webhook


class Webhook(exports.Webhook):
    """What a Slack webhook takes, for the webhook of that name."""

    def format(self, event: types.Event, to: webhook.WebhookRef) -> webhook.Formatted:
        if to.name != "slack":
            return webhook.Formatted_Default()
        if event.content is None or event.sender is None:
            return webhook.Formatted_Skip()
        who = event.sender.push_name or event.sender.contact_id
        text = text_of(event.content) or "(no text)"
        body = json.dumps({"text": f"*{who}*: {text}", "username": event.device}, ensure_ascii=False)
        return webhook.Formatted_Request(
            webhook.Request(method=None, headers=[], content_type="application/json", body=types.Blob_Text(body))
        )


# ---------------------------------------------------------------- scheduled


class Scheduled(exports.Scheduled):
    def tick(self, name: str, scheduled_for: int, now: int) -> list[scheduled.Effect]:
        if name != "digest":
            return []
        message = types.NewMessage(
            device=config["digest-device"],
            to=config["digest-to"],
            content=types.Sendable_Text(f"{kv_text('count') or '0'} so far"),
            reply_to=None,
            mentions=[],
            dedupe_key=f"digest-{scheduled_for}",
        )
        return [scheduled.Effect_Send(message)]
