// The example plugin: every hook and every import. What it answers to is in ../README.md.
//
// What a hook throws is a plugin-error of the contract, as it is: { tag: 'temporary', val: { message, retryAfterMs } }.
// What an import throws has the error of the contract in its `payload`.
import { now } from 'rijan:plugin/clock@0.1.0';
import { find, get as eventData } from 'rijan:plugin/event-data@0.1.0';
import { fetch } from 'rijan:plugin/http@0.1.0';
import { get as kvGet, increment, listKeys, set as kvSet } from 'rijan:plugin/kv@0.1.0';
import { log } from 'rijan:plugin/log@0.1.0';
import { read } from 'rijan:plugin/media@0.1.0';
import { next } from 'rijan:plugin/random@0.1.0';
import { get as secret } from 'rijan:plugin/secrets@0.1.0';

// The configuration, as the schema in rijan-plugin.toml describes it.
const config = {
  'blocked-word': 'spam',
  'ask-url': 'https://api.example.com/ask',
  'digest-device': 'support',
  'digest-to': '+5511999990000',
};

export const lifecycle = {
  init(document) {
    Object.assign(config, JSON.parse(document));
  },
};

// ---------------------------------------------------------------- inbound

const pass = (...effects) => ({ verdict: { tag: 'pass' }, effects });
const drop = (why) => ({ verdict: { tag: 'drop', val: why }, effects: [] });
const patched = (patch, ...effects) => ({
  verdict: { tag: 'patch', val: { addTags: [], removeTags: [], ...patch } },
  effects,
});
const reply = (text) => ({ tag: 'reply', val: { tag: 'text', val: text } });

const blocks = (text) => text.toLowerCase().includes(config['blocked-word'].toLowerCase());

export const inbound = {
  onEvent(event) {
    if (event.content?.tag === 'media') return measure(event.content.val);
    if (event.content?.tag !== 'text') return pass();

    const text = event.content.val.trim();
    if (blocks(text)) {
      log('info', 'dropped', [{ name: 'event', value: event.id }]);
      return drop('blocked word');
    }
    const [, first, rest] = /^(\S*)\s*([^]*)$/.exec(text);
    const word = first.toLowerCase();
    switch (rest === '' ? word : `${word} ...`) {
      case 'ping': return patched({ addTags: ['ping'] }, reply('pong'));
      case 'count': return pass(reply(String(orPluginError(() => increment('count', 1, null)))));
      case 'notes': return pass(reply(notes()));
      case 'find': return pass(reply(JSON.parse(find('/sender/contactId') ?? '"?"')));
      case 'data': return pass(reply(JSON.parse(eventData()).sender?.contactId ?? '?'));
      case 'time': return pass(reply(String(now())));
      case 'dice': return pass(reply(String(1 + ((next() >>> 0) % 6))));
      case 'thanks': return pass({ tag: 'react', val: '🙏' }, { tag: 'mark-read' });
      case 'echo ...': return pass(reply(rest));
      case 'count ...':
        if (rest !== 'then fail') return pass();
        // Nothing of a failed call remains, this increment neither.
        orPluginError(() => increment('count', 1, null));
        throw { tag: 'temporary', val: { message: 'asked to fail', retryAfterMs: 1500 } };
      case 'note ...':
        orPluginError(() => kvSet(`note/${event.id}`, { tag: 'text', val: rest }, null));
        return pass();
      case 'ask ...': return pass(reply(ask(rest)));
      case 'forward ...': return pass({ tag: 'forward', val: rest });
      case 'route ...': return pass({ tag: 'route', val: [rest] });
      default: return pass();
    }
  },
};

// Calls an import; when it fails, the hook fails: another try may help when the gateway was busy.
function orPluginError(call) {
  try {
    return call();
  } catch (error) {
    const told = error.payload ?? error;
    const name = told.tag ?? String(told);
    if (['rate-limited', 'unavailable', 'timeout', 'network'].includes(name)) {
      throw { tag: 'temporary', val: { message: name } };
    }
    throw { tag: 'permanent', val: name };
  }
}

// Reads media to its end, and puts its size in the caption.
function measure(media) {
  let bytes = 0;
  for (;;) {
    const chunk = orPluginError(() => read(media.handle, bytes, 1 << 20));
    if (chunk.length === 0) return patched({ text: `(${bytes} bytes read)` });
    bytes += chunk.length;
  }
}

// Every note, in the order of their keys.
function notes() {
  const lines = [];
  let cursor = null;
  do {
    const page = orPluginError(() => listKeys('note/', cursor, 100));
    for (const key of page.keys) lines.push(kvText(key));
    cursor = page.next ?? null;
  } while (cursor !== null);
  return lines.join('\n') || 'no notes';
}

const kvText = (key) => orPluginError(() => kvGet(key))?.value.val;

// Posts the question, with the tenant's token, and answers with what comes back.
function ask(question) {
  const token = orPluginError(() => secret('api-token'));
  const response = orPluginError(() => fetch({
    method: 'POST',
    url: config['ask-url'],
    headers: [
      { name: 'content-type', value: 'application/json' },
      { name: 'authorization', value: `Bearer ${token}` },
    ],
    body: { tag: 'text', val: JSON.stringify({ question }) },
  }));
  if (response.status >= 500) {
    throw { tag: 'temporary', val: { message: `the API answered ${response.status}` } };
  }
  return response.body.tag === 'text' ? response.body.val : '(no text)';
}

// ---------------------------------------------------------------- outbound

export const outbound = {
  onSend(message) {
    const text = textOf(message.content) ?? '';
    if (blocks(text)) {
      return { tag: 'reject', val: { code: 'BLOCKED_WORD', message: 'the text holds a blocked word' } };
    }
    if (text.startsWith('hello')) {
      return { tag: 'patch', val: { text: `${text} (${message.tenant})`, addTags: ['signed'], removeTags: [] } };
    }
    return { tag: 'pass' };
  },
};

// The text, or the caption of media, of what was received or is sent.
function textOf(content) {
  if (content?.tag === 'text') return content.val;
  if (content?.tag === 'media') return content.val.caption;
  return undefined;
}

// ---------------------------------------------------------------- webhook

export const webhook = {
  // What a Slack webhook takes, for the webhook of that name.
  format(event, to) {
    if (to.name !== 'slack') return { tag: 'default' };
    if (!event.content || !event.sender) return { tag: 'skip' };
    const who = event.sender.pushName ?? event.sender.contactId;
    const body = JSON.stringify({ text: `*${who}*: ${textOf(event.content) ?? '(no text)'}`, username: event.device });
    return { tag: 'request', val: { headers: [], contentType: 'application/json', body: { tag: 'text', val: body } } };
  },
};

// ---------------------------------------------------------------- scheduled

export const scheduled = {
  tick(name, scheduledFor, _now) {
    if (name !== 'digest') return [];
    const message = {
      device: config['digest-device'],
      to: config['digest-to'],
      content: { tag: 'text', val: `${kvText('count') ?? '0'} so far` },
      mentions: [],
      dedupeKey: `digest-${scheduledFor}`,
    };
    return [{ tag: 'send', val: message }];
  },
};
