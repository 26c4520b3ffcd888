// Answers "ping" with "pong".
import { log } from 'rijan:plugin/log@0.1.0';

// One export per hook; rijan-plugin.toml names the same ones.
export const inbound = {
  onEvent(event) {
    const text = event.content?.tag === 'text' ? event.content.val : '';
    if (text.trim().toLowerCase() !== 'ping') return { verdict: { tag: 'pass' }, effects: [] };

    log('info', 'answered a ping', [{ name: 'event', value: event.id }]);
    // Effects happen when the gateway commits the event, not before.
    return { verdict: { tag: 'pass' }, effects: [{ tag: 'reply', val: { tag: 'text', val: 'pong' } }] };
  },
};
