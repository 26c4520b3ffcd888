// Drives the simulator with Baileys, a client that shares no code with it: pairing by QR and by code, messages both
// ways, a file, a poll with a vote, a group, a newsletter, a community, a reconnect, and a setting that a second linked client
// reads back.
//
//   node drive.mjs http://127.0.0.1:4000
//
// Prints a line per step; ends with 1 at the first step that fails, and in any case within the time below.

import { createHash } from 'node:crypto'
import makeWASocket, {
    WA_CERT_DETAILS,
    DisconnectReason,
    initAuthCreds,
    BufferJSON,
    proto,
    downloadMediaMessage,
    decryptPollVote,
} from 'baileys'

const TIME_MAX_MS = 120_000
const STEP_MAX_MS = 30_000
const [SHOP, BUDI, SARI] = ['6281200000001', '6281200000002', '6281200000003']
const base = process.argv[2]
if (!base) {
    console.error('usage: node drive.mjs URL_OF_THE_SIMULATOR')
    process.exit(2)
}
setTimeout(() => fail(new Error(`not done within ${TIME_MAX_MS / 1000} s`)), TIME_MAX_MS).unref()
const began = Date.now()
const says = (what) => console.log(`${((Date.now() - began) / 1000).toFixed(2).padStart(7)} s  ${what}`)
function fail(error) {
    console.error(error)
    process.exit(1)
}
process.on('unhandledRejection', fail)

// Media hosts are looked for at the simulator.
const fetchAnywhere = globalThis.fetch
globalThis.fetch = (url, options) => fetchAnywhere(String(url).replace(/^https:\/\/[^/]+/, base), options)

async function call(method, path, body) {
    const answer = await fetch(base + path, {
        method,
        headers: { 'content-type': 'application/json' },
        body: body === undefined ? undefined : JSON.stringify(body),
    })
    const json = await answer.json()
    if (!answer.ok) throw new Error(`${method} ${path}: ${JSON.stringify(json)}`)
    return json
}
const post = (path, body) => call('POST', path, body)
const get = (path) => call('GET', path)

/** A promise and the way to keep it, bounded. */
function waiting(what) {
    let keep
    const promise = new Promise((resolve, reject) => {
        const late = setTimeout(() => reject(new Error(`${what} did not happen`)), STEP_MAX_MS)
        keep = (value) => (clearTimeout(late), resolve(value))
    })
    return { promise, keep }
}

/** Asks until it is so. */
async function until(what, so) {
    const late = Date.now() + STEP_MAX_MS
    while (!(await so())) {
        if (Date.now() > late) throw new Error(`waited in vain for ${what}`)
        await new Promise((resolve) => setTimeout(resolve, 50))
    }
}

/** Session state in memory, as Baileys asks for it. */
function memory() {
    const values = new Map()
    const copy = (value) => JSON.parse(JSON.stringify(value, BufferJSON.replacer), BufferJSON.reviver)
    const keys = {
        get: async (type, ids) => {
            const found = {}
            for (const id of ids) {
                let value = values.get(`${type} ${id}`)
                if (value === undefined) continue
                value = copy(value)
                if (type === 'app-state-sync-key') value = proto.Message.AppStateSyncKeyData.fromObject(value)
                found[id] = value
            }
            return found
        },
        set: async (data) => {
            for (const [type, entries] of Object.entries(data)) {
                for (const [id, value] of Object.entries(entries)) {
                    if (value) values.set(`${type} ${id}`, value)
                    else values.delete(`${type} ${id}`)
                }
            }
        },
    }
    return { creds: initAuthCreds(), keys }
}

const silent = { level: 'silent', child: () => silent }
for (const level of ['trace', 'debug', 'info', 'warn', 'error', 'fatal']) {
    silent[level] = process.env.VERBOSE ? (...words) => console.error(level, ...words) : () => {}
}

/** A client that follows the restart after pairing by itself. */
class Client {
    constructor(auth = memory()) {
        this.auth = auth
        this.messages = []
        this.chats = []
        this.listeners = []
        this.connect()
    }

    connect() {
        this.socket = makeWASocket({
            auth: this.auth,
            waWebSocketUrl: base.replace('http', 'ws') + '/ws/chat',
            logger: silent,
            version: [2, 3000, 1026131876],
            browser: ['Ubuntu', 'Chrome', '22.04'],
            syncFullHistory: false,
            fireInitQueries: true,
            // There is no history to wait for; events are held back until it has come.
            shouldSyncHistoryMessage: () => false,
        })
        this.socket.ev.on('creds.update', (update) => Object.assign(this.auth.creds, update))
        this.socket.ev.on('connection.update', (update) => {
            this.tell('connection', update)
            const code = update.lastDisconnect?.error?.output?.statusCode
            if (update.connection === 'close' && !this.closed && code !== DisconnectReason.loggedOut) this.connect()
        })
        this.socket.ev.on('messages.upsert', ({ messages }) => messages.forEach((m) => this.tell('message', m)))
        this.socket.ev.on('messages.update', (updates) => updates.forEach((u) => this.tell('update', u)))
        this.socket.ev.on('chats.update', (updates) => updates.forEach((u) => this.tell('chat', u)))
    }

    tell(kind, value) {
        for (const listener of [...this.listeners]) listener(kind, value)
    }

    /** The next value of a kind, or of several, that fits. */
    next(kind, what, fits) {
        const { promise, keep } = waiting(what)
        const listener = (of, value) => {
            if (![].concat(kind).includes(of) || !fits(value)) return
            this.listeners.splice(this.listeners.indexOf(listener), 1)
            keep(value)
        }
        this.listeners.push(listener)
        return promise
    }

    open() {
        return this.next('connection', 'an open connection', (update) => update.connection === 'open')
    }

    close() {
        this.closed = true
        this.socket.end(undefined)
    }
}

const said = (message) => message.message?.conversation ?? message.message?.extendedTextMessage?.text

async function main() {
    WA_CERT_DETAILS.PUBLIC_KEY = Buffer.from((await get('/root')).key, 'hex')
    for (const [phone, name] of [[SHOP, 'Shop'], [BUDI, 'Budi'], [SARI, 'Sari']]) await post('/accounts', { phone, name })

    const first = new Client()
    let opened = first.open()
    const { qr } = await first.next('connection', 'a QR code', (update) => update.qr)
    await post(`/accounts/${SHOP}/scan`, { qr })
    await opened
    says('paired by QR')

    const second = new Client()
    opened = second.open()
    await second.next('connection', 'a QR code', (update) => update.qr)
    const code = await second.socket.requestPairingCode(SHOP)
    await post(`/accounts/${SHOP}/code`, { code })
    await opened
    says('a second client paired by code')

    // Baileys folds a receipt into the message when both are reported together.
    const status = (value) => value.update?.status ?? value.status
    const delivered = first.next(['update', 'message'], 'a receipt', (v) => v.key.fromMe && status(v) >= 3)
    await first.socket.sendMessage(`${BUDI}@s.whatsapp.net`, { text: 'hello from Baileys' })
    const [shown] = await get(`/accounts/${BUDI}/inbox?wait_ms=20000`)
    if (shown?.text !== 'hello from Baileys') throw new Error(`Budi's phone shows ${JSON.stringify(shown)}`)
    await delivered
    says('sent, displayed, receipt came back')

    const both = [first, second].map((c) => c.next('message', 'the answer', (m) => said(m) === 'hello yourself'))
    await post(`/accounts/${BUDI}/messages`, { to: SHOP, text: 'hello yourself' })
    await Promise.all(both)
    says('received by both clients')

    const picture = first.next('message', 'a picture', (m) => m.message?.imageMessage?.caption === 'look')
    const media = { kind: 'image', data: Buffer.from('a picture').toString('base64'), caption: 'look' }
    await post(`/accounts/${BUDI}/messages`, { to: SHOP, media })
    const file = await downloadMediaMessage(await picture, 'buffer', {})
    if (file.toString() !== 'a picture') throw new Error(`the picture is ${file}`)
    says('a file downloaded and opened')

    const poll = await first.socket.sendMessage(`${BUDI}@s.whatsapp.net`, {
        poll: { name: 'Which?', values: ['red', 'blue'], selectableCount: 1 },
    })
    await until(`Budi's phone to show the poll`, async () =>
        (await get(`/accounts/${BUDI}/inbox`)).some((entry) => entry.id === poll.key.id && entry.poll.options.length === 2),
    )
    const voted = first.next('message', 'a vote', (m) => m.message?.pollUpdateMessage)
    await post(`/accounts/${BUDI}/messages`, { to: SHOP, vote: { id: poll.key.id, options: ['blue'] } })
    const vote = decryptPollVote((await voted).message.pollUpdateMessage.vote, {
        pollEncKey: poll.message.messageContextInfo.messageSecret,
        pollCreatorJid: first.auth.creds.me.lid.replace(/:\d+@/, '@'),
        pollMsgId: poll.key.id,
        voterJid: (await voted).key.remoteJid,
    })
    const blue = createHash('sha256').update('blue').digest('hex')
    if (Buffer.from(vote.selectedOptions[0]).toString('hex') !== blue) throw new Error('the vote is for something else')
    says('a poll shown, its vote opened')

    const group = await first.socket.groupCreate('Order 42', [`${BUDI}@s.whatsapp.net`, `${SARI}@s.whatsapp.net`])
    await first.socket.sendMessage(group.id, { text: 'to the group' })
    const [inGroup] = await get(`/accounts/${SARI}/inbox?wait_ms=20000`)
    if (inGroup?.text !== 'to the group') throw new Error(`Sari's phone shows ${JSON.stringify(inGroup)}`)
    const fromGroup = first.next('message', "the member's answer", (m) => said(m) === 'from the group')
    await post(`/groups/${group.id.split('@')[0]}/messages`, { from: SARI, text: 'from the group' })
    await fromGroup
    says('group created, written to, answered')

    const newsletter = await first.socket.newsletterCreate('Bakery', 'bread')
    if (newsletter.name !== 'Bakery') throw new Error(`the newsletter is ${JSON.stringify(newsletter)}`)
    await post(`/newsletters/${newsletter.id}/follow`, { phone: SARI, follows: true })
    const posted = second.next('message', 'the post', (m) => said(m) === 'we open at nine')
    await first.socket.sendMessage(newsletter.id, { text: 'we open at nine' })
    await posted
    await first.socket.newsletterUpdateName(newsletter.id, 'Bread')
    const described = await second.socket.newsletterMetadata('jid', newsletter.id)
    if (described.thread_metadata.name.text !== 'Bread') throw new Error(`it is ${JSON.stringify(described)}`)
    await second.socket.newsletterMute(newsletter.id)
    const live = await first.socket.subscribeNewsletterUpdates(newsletter.id)
    if (live?.duration !== '300') throw new Error(`live updates: ${JSON.stringify(live)}`)
    const [onePost] = (await get(`/newsletters/${newsletter.id}`)).posts
    await second.socket.newsletterReactMessage(newsletter.id, String(onePost.server_id), '👍')
    const there = await get(`/newsletters/${newsletter.id}`)
    if (there.posts[0].reactions[SHOP] !== '👍' || there.followers[SHOP] !== true) throw new Error(JSON.stringify(there))
    await first.socket.newsletterFetchMessages(newsletter.id, 10)
    await first.socket.newsletterDelete(newsletter.id)
    says('newsletter made, posted in, renamed, muted, reacted to, ended')

    const community = await first.socket.communityCreate('Our street', 'all of us')
    await first.socket.communityLinkGroup(group.id, community.id)
    const { linkedGroups } = await first.socket.communityFetchLinkedGroups(community.id)
    if (!linkedGroups.some(({ id }) => id === group.id)) throw new Error(`it has ${JSON.stringify(linkedGroups)}`)
    const inside = await first.socket.communityCreateGroup('Number 42', [`${BUDI}@s.whatsapp.net`], community.id)
    if (inside.linkedParent !== community.id) throw new Error(`the group is ${JSON.stringify(inside)}`)
    await first.socket.communityUnlinkGroup(group.id, community.id)
    await first.socket.communityLeave(community.id)
    says('community made, groups linked and made in it, left')

    opened = first.open()
    await post(`/accounts/${SHOP}/devices/1/kick`, {})
    const kept = first.next('message', 'what was written meanwhile', (m) => said(m) === 'while you were away')
    await post(`/accounts/${BUDI}/messages`, { to: SHOP, text: 'while you were away' })
    await opened
    await kept
    says('reconnected, what was written meanwhile arrived')

    const archived = second.next('chat', 'the archived chat', (chat) => chat.archived === true)
    await first.socket.chatModify({ archive: true, lastMessages: [] }, `${BUDI}@s.whatsapp.net`)
    await archived
    says('archived by one client, read back by the other')

    const unanswered = await get('/unanswered')
    if (unanswered.length) throw new Error(`no answer for ${unanswered.join(', ')}`)
    says('every stanza was answered')
    first.close()
    second.close()
    process.exit(0)
}

main().catch(fail)
