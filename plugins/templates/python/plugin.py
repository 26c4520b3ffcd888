"""Answers "ping" with "pong"."""

from wit_world import exports
from wit_world.exports import inbound
from wit_world.imports import log, types


# One class per hook; rijan-plugin.toml names the same ones.
class Inbound(exports.Inbound):
    def on_event(self, event: types.Event) -> inbound.Outcome:
        match event.content:
            case types.Content_Text(text) if text.strip().lower() == "ping":
                log.log(log.Level.INFO, "answered a ping", [types.Field("event", event.id)])
                # Effects happen when the gateway commits the event, not before.
                return inbound.Outcome(inbound.Verdict_Pass(), [inbound.Effect_Reply(types.Sendable_Text("pong"))])
            case _:
                return inbound.Outcome(inbound.Verdict_Pass(), [])
