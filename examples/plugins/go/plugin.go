// The example plugin: every hook and every import. What it answers to is in ../README.md.
package main

import (
	"encoding/json"
	"fmt"
	"io"
	"strconv"
	"strings"
	"time"

	"rijan/plugin"
	"rijan/plugin/clock"
	"rijan/plugin/eventdata"
	_ "rijan/plugin/export" // makes this program a plugin
	"rijan/plugin/http"
	"rijan/plugin/inbound"
	"rijan/plugin/kv"
	"rijan/plugin/lifecycle"
	"rijan/plugin/log"
	"rijan/plugin/media"
	"rijan/plugin/outbound"
	"rijan/plugin/random"
	"rijan/plugin/scheduled"
	"rijan/plugin/secrets"
	"rijan/plugin/webhook"
)

// The configuration, as the schema in rijan-plugin.toml describes it.
var config = struct {
	BlockedWord  string `json:"blocked-word"`
	AskURL       string `json:"ask-url"`
	DigestDevice string `json:"digest-device"`
	DigestTo     string `json:"digest-to"`
}{
	BlockedWord:  "spam",
	AskURL:       "https://api.example.com/ask",
	DigestDevice: "support",
	DigestTo:     "+5511999990000",
}

func init() {
	lifecycle.Handle(configure)
	inbound.Handle(onEvent)
	outbound.Handle(onSend)
	webhook.Handle(format)
	scheduled.Handle(tick)
}

// A plugin is called by its hooks; main never runs. Go's collector runs between calls: rijan/plugin sees to it.
func main() {}

func configure(document []byte) error {
	if err := json.Unmarshal(document, &config); err != nil {
		return plugin.BadConfig(err.Error())
	}
	return nil
}

func blocks(text string) bool {
	return strings.Contains(strings.ToLower(text), strings.ToLower(config.BlockedWord))
}

func onEvent(event plugin.Event) (inbound.Outcome, error) {
	if event.Content.IsNone() {
		return inbound.Pass(), nil
	}
	content := event.Content.Some()
	switch content.Tag() {
	case plugin.ContentMedia:
		return measure(content.Media())
	case plugin.ContentText:
	default:
		return inbound.Pass(), nil
	}
	text := strings.TrimSpace(content.Text())
	if blocks(text) {
		log.Info("dropped", "event", event.Id)
		return inbound.Drop("blocked word"), nil
	}
	word, rest, _ := strings.Cut(text, " ")
	rest = strings.TrimSpace(rest)
	switch word = strings.ToLower(word); {
	case word == "ping" && rest == "":
		return inbound.Patched(inbound.Patch{AddTags: []string{"ping"}}, inbound.Reply("pong")), nil
	case word == "echo":
		return inbound.Pass(inbound.Reply(rest)), nil
	case word == "count" && (rest == "" || rest == "then fail"):
		count, err := kv.Increment("count", 1, kv.Forever)
		if err != nil {
			return inbound.Outcome{}, err
		}
		if rest != "" {
			// Nothing of a failed call remains, this increment neither.
			return inbound.Outcome{}, plugin.TemporaryAfter("asked to fail", 1500)
		}
		return inbound.Pass(inbound.Reply(strconv.FormatInt(count, 10))), nil
	case word == "note":
		return inbound.Pass(), kv.SetText("note/"+event.Id, rest, kv.Forever)
	case word == "notes" && rest == "":
		return reply(notes())
	case word == "find" && rest == "":
		contact := "?"
		_, err := eventdata.Find("/sender/contactId", &contact)
		return reply(contact, err)
	case word == "data" && rest == "":
		return reply(contactOf(eventdata.Get()))
	case word == "ask":
		return reply(ask(rest))
	case word == "time" && rest == "":
		return inbound.Pass(inbound.Reply(strconv.FormatInt(clock.Now().UnixMilli(), 10))), nil
	case word == "dice" && rest == "":
		return inbound.Pass(inbound.Reply(strconv.Itoa(1 + int(random.Next()%6)))), nil
	case word == "thanks" && rest == "":
		return inbound.Pass(inbound.React("🙏"), inbound.MarkRead()), nil
	case word == "forward":
		return inbound.Pass(inbound.Forward(rest)), nil
	case word == "route":
		return inbound.Pass(inbound.Route(rest)), nil
	}
	return inbound.Pass(), nil
}

func reply(text string, err error) (inbound.Outcome, error) {
	return inbound.Pass(inbound.Reply(text)), err
}

// measure reads media to its end, and puts its size in the caption.
func measure(received plugin.Media) (inbound.Outcome, error) {
	bytes, err := io.Copy(io.Discard, media.Open(received.Handle))
	return inbound.Patched(inbound.Patch{Text: plugin.Some(fmt.Sprintf("(%d bytes read)", bytes))}), err
}

// notes gives every note, in the order of their keys.
func notes() (string, error) {
	lines := []string{}
	err := kv.Keys("note/", func(key string) error {
		text, err := kv.Text(key)
		lines = append(lines, text)
		return err
	})
	if len(lines) == 0 {
		return "no notes", err
	}
	return strings.Join(lines, "\n"), err
}

func contactOf(data []byte) (string, error) {
	var document struct {
		Sender struct{ ContactId *string }
	}
	if err := json.Unmarshal(data, &document); err != nil || document.Sender.ContactId == nil {
		return "?", err
	}
	return *document.Sender.ContactId, nil
}

// ask posts the question, with the tenant's token, and answers with what comes back.
func ask(question string) (string, error) {
	token, err := secrets.Get("api-token")
	if err != nil {
		return "", err
	}
	body, err := json.Marshal(map[string]string{"question": question})
	if err != nil {
		return "", err
	}
	response, err := http.Fetch(http.Request{
		Method: "POST",
		URL:    config.AskURL,
		Headers: []plugin.Field{
			{Name: "content-type", Value: "application/json"},
			{Name: "authorization", Value: "Bearer " + token},
		},
		Body: body,
	})
	if err != nil {
		return "", err
	}
	if response.Status >= 500 {
		return "", plugin.Temporary(fmt.Sprintf("the API answered %d", response.Status))
	}
	return string(response.Body), nil
}

func onSend(message outbound.Message) (outbound.Verdict, error) {
	text := plugin.TextOfSendable(message.Content)
	if blocks(text) {
		return outbound.Reject("BLOCKED_WORD", "the text holds a blocked word"), nil
	}
	if strings.HasPrefix(text, "hello") {
		signed := fmt.Sprintf("%s (%s)", text, message.Tenant)
		return outbound.Patched(outbound.Patch{Text: plugin.Some(signed), AddTags: []string{"signed"}}), nil
	}
	return outbound.Pass(), nil
}

// format makes what a Slack webhook takes, for the webhook of that name.
func format(event plugin.Event, to webhook.Webhook) (webhook.Formatted, error) {
	if to.Name != "slack" {
		return webhook.Default(), nil
	}
	if event.Content.IsNone() || event.Sender.IsNone() {
		return webhook.Skip(), nil
	}
	sender := event.Sender.Some()
	text := plugin.TextOf(event)
	if text == "" {
		text = "(no text)"
	}
	body, err := json.Marshal(map[string]string{
		"text":     fmt.Sprintf("*%s*: %s", sender.PushName.SomeOr(sender.ContactId), text),
		"username": event.Device,
	})
	return webhook.JSON(body), err
}

func tick(name string, scheduledFor, now time.Time) ([]scheduled.Effect, error) {
	if name != "digest" {
		return nil, nil
	}
	count, err := kv.Text("count")
	if err != nil {
		return nil, err
	}
	if count == "" {
		count = "0"
	}
	message := plugin.Message(config.DigestDevice, config.DigestTo, plugin.Text(count+" so far"))
	message.DedupeKey = plugin.Some(fmt.Sprintf("digest-%d", scheduledFor.UnixMilli()))
	return []scheduled.Effect{scheduled.Send(message)}, nil
}
