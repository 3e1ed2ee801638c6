// A js-libp2p peer of a p2prec network: a test fixture that shares no code with the nodes it talks to.
//
// One argument, a JSON object: {seed, listen?, network?, messageId?: "spec" | "default", sign?: bool}. Commands are JSON
// lines on stdin, {id, do, ...}; each is answered by one line on stdout, {id, ok} or {id, error, reason}. The first line
// is {ready}. The process ends with its stdin.

// libp2p 3 is written for Node 22; this is what Node 20 lacks of it.
Promise.withResolvers ??= function () {
  let resolve, reject
  const promise = new this((one, other) => { resolve = one; reject = other })
  return { promise, resolve, reject }
}

import { randomBytes as random } from 'node:crypto'
import { createInterface } from 'node:readline'
import { setTimeout } from 'node:timers/promises'
import { readFileSync } from 'node:fs'
import { generateKeyPairFromSeed } from '@libp2p/crypto/keys'
import { gossipsub, StrictNoSign, StrictSign } from '@libp2p/gossipsub'
import { identify, identifyPush } from '@libp2p/identify'
import { noise } from '@libp2p/noise'
import { peerIdFromString } from '@libp2p/peer-id'
import { ping } from '@libp2p/ping'
import { tcp } from '@libp2p/tcp'
import { lpStream } from '@libp2p/utils'
import { yamux } from '@libp2p/yamux'
import { multiaddr } from '@multiformats/multiaddr'
import { createLibp2p } from 'libp2p'
import * as p2prec from './protocol.mjs'

const { hex, unhex } = p2prec
const randomBytes = size => new Uint8Array(random(size))
const ANSWER_MS = 30_000
const QUESTIONS_MAX = 16
const settings = { listen: '/ip4/127.0.0.1/tcp/0', network: 'p2prec', messageId: 'spec', sign: true, ...JSON.parse(process.argv[2]) }
const ASK = `/${settings.network}/ask/1`
const TOPIC = `/${settings.network}/heads/1`
const identity = new p2prec.Identity(unhex(settings.seed))

/** Section 3: from, then seqno. The library's own default takes the key's protobuf, and matches nobody else's ids. */
function messageId (message) {
  const from = message.from.toMultihash().bytes
  const id = new Uint8Array(from.length + 8)
  id.set(from)
  new DataView(id.buffer).setBigUint64(from.length, message.sequenceNumber)
  return id
}

const node = await createLibp2p({
  privateKey: await generateKeyPairFromSeed('Ed25519', identity.seed),
  addresses: { listen: [settings.listen] },
  transports: [tcp()],
  connectionEncrypters: [noise()],
  streamMuxers: [yamux()],
  services: {
    identify: identify(),
    identifyPush: identifyPush(),
    ping: ping(),
    pubsub: gossipsub({
      globalSignaturePolicy: settings.sign ? StrictSign : StrictNoSign,
      // Else publishing before the mesh stands throws.
      allowPublishToZeroTopicPeers: true,
      // Every node of a test has one address.
      scoreParams: { IPColocationFactorWeight: 0 },
      ...(settings.messageId === 'spec' && settings.sign ? { msgIdFn: messageId } : {})
    })
  }
})
const pubsub = node.services.pubsub

// -- what happens, kept and waited for ---------------------------------------------------------------------------------

const events = []
let waiting = []
function tell (event) {
  events.push(event)
  waiting = waiting.filter(({ matches, resolve }) => !(matches(event) && (resolve(event), true)))
}

/** The first event, past or to come, whose fields are these; `after` leaves out so many of the past. */
function wait (fields, after = 0) {
  const matches = event => Object.entries(fields).every(([field, value]) => event[field] === value)
  const past = events.slice(after).find(matches)
  return past ? Promise.resolve(past) : new Promise(resolve => waiting.push({ matches, resolve }))
}

node.addEventListener('peer:connect', ({ detail }) => tell({ event: 'connect', peer: String(detail) }))
node.addEventListener('peer:disconnect', ({ detail }) => tell({ event: 'disconnect', peer: String(detail) }))
pubsub.addEventListener('subscription-change', ({ detail }) => {
  for (const { topic, subscribe } of detail.subscriptions) {
    tell({ event: subscribe ? 'subscribed' : 'unsubscribed', peer: String(detail.peerId), topic })
  }
})
pubsub.addEventListener('gossipsub:graft', ({ detail }) => tell({ event: 'graft', peer: detail.peerId }))
pubsub.addEventListener('gossipsub:message', ({ detail: { msg, msgId } }) => {
  const gossip = { event: 'gossip', author: msg.from ? String(msg.from) : '', id: msgId, size: msg.data.length }
  try {
    const [frame, ...sealed] = p2prec.parseFrame(msg.data, 'G')
    if (frame === 'Forked' && !p2prec.isFork(...sealed)) throw new p2prec.WireError('bad_proof', 'no fork')
    for (const one of sealed) tell({ ...gossip, frame, sealed: hex(one), ...headDocument(p2prec.openHead(one)) })
  } catch (error) {
    tell({ ...gossip, refused: error.reason ?? String(error), data: hex(msg.data.subarray(0, 64)) })
  }
})
// What the peer asks for after our IHAVE: ids that it does not have.
const handleIWant = pubsub.handleIWant.bind(pubsub)
pubsub.handleIWant = (peer, wants) => {
  tell({ event: 'iwant', peer, ids: wants.flatMap(one => one.messageIDs.map(hex)) })
  return handleIWant(peer, wants)
}

const headDocument = head => ({
  publisher: p2prec.peerId(head.publisher),
  platform: head.platform,
  version: Number(head.version),
  root: hex(head.root),
  count: Number(head.count),
  encoder: hex(head.encoder),
  at_ms: Number(head.at_ms)
})

// -- questions and answers ---------------------------------------------------------------------------------------------

let catalog = null
const counts = { asked: {}, changed: 0, added: 0 }
const framed = stream => lpStream(stream, {
  maxDataLength: p2prec.FRAME_BYTES_MAX,
  // The library's own 4 MiB would do for one frame at a time.
  maxBufferSize: 2 * p2prec.FRAME_BYTES_MAX
})

await node.handle(ASK, async stream => {
  const frames = framed(stream)
  try {
    for (;;) {
      const question = (await frames.read()).subarray()
      const answer = p2prec.answer(question, catalog)
      count(question, answer)
      await frames.write(answer)
    }
  } catch (error) {
    // The asker is done: the stream ended between two questions.
    if (error.name === 'UnexpectedEOFError') await stream.close()
    else stream.abort(error)
  }
}, { maxInboundStreams: 2 * QUESTIONS_MAX })

function count (question, answer) {
  const kind = question[1]
  counts.asked[kind] = (counts.asked[kind] ?? 0) + 1
  if (kind === 5) {
    const [, buckets = []] = p2prec.parseFrame(answer, 'A')
    for (const fill of buckets) for (const [changed] of fill?.[1] ?? []) counts[changed ? 'changed' : 'added']++
  }
  tell({ event: 'asked', kind })
}

/** One question and its answer, as bytes, on a stream of its own. */
async function exchange (peer, question) {
  const signal = AbortSignal.timeout(ANSWER_MS)
  const stream = await node.dialProtocol(peerIdFromString(peer), ASK, { signal, maxOutboundStreams: QUESTIONS_MAX })
  try {
    const frames = framed(stream)
    await frames.write(question, { signal })
    const answer = (await frames.read({ signal })).subarray()
    await stream.close()
    return answer
  } catch (error) {
    stream.abort(error)
    throw error
  }
}

async function ask (peer, ...question) {
  const [name, ...fields] = p2prec.parseFrame(await exchange(peer, p2prec.packFrame(...question)), 'A')
  if (name === 'Refused') throw new p2prec.WireError(fields[0], 'refused by the peer')
  return [name, ...fields]
}

async function askHeads (peer) {
  const [name, digest, heads, forks] = await ask(peer, 'AskHeads', new Uint8Array())
  if (name !== 'Heads') throw new p2prec.WireError('malformed', 'not an answer to what was asked')
  return { digest, heads: p2prec.checkHeads(digest, heads, forks), forks }
}

/**
 * A peer's subscription may come before our own stream to it stands, and what is published then is sent to nobody,
 * without an error. No event tells of that stream.
 */
async function reachable () {
  const until = performance.now() + ANSWER_MS
  const stands = peer => pubsub.streamsOutbound.has(String(peer))
  while (pubsub.getSubscribers(TOPIC).length === 0 || !pubsub.getSubscribers(TOPIC).every(stands)) {
    if (performance.now() > until) throw new Error('no subscriber can be reached')
    await setTimeout(10)
  }
}

async function sendControl (peer, parts) {
  await reachable()
  if (!pubsub.sendRpc(peer, { subscriptions: [], messages: [], ...parts })) throw new Error(`no stream to ${peer}`)
}

// -- commands ----------------------------------------------------------------------------------------------------------

const commands = {
  async dial ({ address }) {
    const started = performance.now()
    const connection = await node.dial(multiaddr(address), { signal: AbortSignal.timeout(15_000) })
    return { peer: String(connection.remotePeer), ms: performance.now() - started }
  },

  async hangup ({ peer }) {
    await node.hangUp(peerIdFromString(peer))
    return {}
  },

  async ping ({ peer }) {
    return { ms: await node.services.ping.ping(peerIdFromString(peer)) }
  },

  async identify ({ peer }) {
    const [connection] = node.getConnections(peerIdFromString(peer))
    const told = await node.services.identify.identify(connection)
    return {
      peer: String(told.peerId),
      agent: told.agentVersion,
      protocols: told.protocols,
      addresses: told.listenAddrs.map(String),
      encryption: connection.encryption,
      muxer: connection.multiplexer
    }
  },

  wait: ({ fields, after }) => wait(fields, after),

  /** How many events there were so far: what `wait` takes as `after`. */
  now: () => ({ events: events.length }),

  async heads ({ peer }) {
    const { digest, heads, forks } = await askHeads(peer)
    const [, again, none] = await ask(peer, 'AskHeads', digest)
    return { digest: hex(digest), heads: heads.map(headDocument), forks: forks.length, again: p2prec.same(again, digest) && none.length === 0 }
  },

  /** Read a publisher's catalog from a peer and verify all of it, or so many buckets. */
  async walk ({ peer, publisher, buckets }) {
    const head = (await askHeads(peer)).heads.find(one => p2prec.peerId(one.publisher) === publisher)
    if (!head) throw new p2prec.WireError('not_found', 'no such catalog there')
    const started = performance.now()
    const { depth, items, took } = await p2prec.readCatalog((...question) => ask(peer, ...question), head, buckets)
    const ms = performance.now() - started
    const wanted = items.slice(0, 100).map(one => [one.key, one.record])
    const [, records] = await ask(peer, 'AskRecords', head.publisher, wanted)
    const [, vectors] = await ask(peer, 'AskVectors', head.publisher, items.slice(0, 1).map(one => [one.key, p2prec.sha256(one.vector)]))
    return {
      depth,
      ms,
      ...took,
      head: headDocument(head),
      items: items.map(one => ({ item: one.item, record: hex(one.record), vector: hex(one.vector) })),
      records: records.map((one, at) => p2prec.checkRecord(wanted[at], one)?.item ?? null),
      vector: hex(vectors[0])
    }
  },

  /** Sign and serve a catalog of one's own, and announce it. */
  async serve ({ platform, version, encoder, items }) {
    const held = items.map(({ item, vector }) => ({ item, vector: unhex(vector) }))
    catalog = new p2prec.Catalog(identity, { platform, version, encoder: unhex(encoder), items: held })
    await commands.announce({ sealed: hex(catalog.sealed) })
    return { root: hex(catalog.root), sealed: hex(catalog.sealed) }
  },

  /** Ask for what is near a subject, check the answer, and fetch and check the records that it names. */
  async query ({ peer, kind, subject, k, encoder, card, now }) {
    const times = { issued_ms: now, expires_ms: now + 60_000 }
    if (card) subject = hex(p2prec.sealCard(identity, { encoder: unhex(encoder), vector: unhex(subject), mix: Uint8Array.of(90, 0, 127, 255, 0xf0, 4, 0, 9), nonce: randomBytes(16), ...times, ...card }))
    const to = peerIdFromString(peer).publicKey.raw
    const query = { to, network: settings.network, nonce: randomBytes(16), ...times, kind, subject: unhex(subject), encoder: unhex(encoder), k }
    const sealedQuery = p2prec.sealQuery(identity, query)
    const [name, sealedAnswer] = await ask(peer, 'AskQuery', sealedQuery)
    if (name !== 'QueryAnswer') throw new p2prec.WireError('malformed', 'not an answer to a query')
    const answer = p2prec.openAnswer(sealedAnswer, sealedQuery, query)
    const items = await Promise.all(answer.items.map(async ({ publisher, item, record, score }) => {
      const wanted = [p2prec.itemKey(item), record]
      const [, records] = await ask(peer, 'AskRecords', publisher, [wanted])
      return { item, score, record: p2prec.checkRecord(wanted, records[0]) }
    }))
    // The very same query again must be refused.
    const [, again] = p2prec.parseFrame(await exchange(peer, p2prec.packFrame('AskQuery', sealedQuery)), 'A')
    return { model: answer.model, items, again, receipt: hex(p2prec.packReceipt(sealedQuery, sealedAnswer)) }
  },

  /** Two heads of one version, told one after the other. */
  async fork ({ version, encoder }) {
    for (const platform of ['One face', 'Other face']) {
      const items = [{ item: { item: 'f', name: platform }, vector: new Uint8Array([1, 2]) }]
      await commands.announce({ sealed: hex(new p2prec.Catalog(identity, { platform, version, encoder: unhex(encoder), items }).sealed) })
    }
    return {}
  },

  /** Bytes as they are, on the topic. */
  async publish ({ data }) {
    await reachable()
    const { recipients } = await pubsub.publish(TOPIC, unhex(data))
    return { recipients: recipients.map(String) }
  },

  announce: ({ sealed }) => commands.publish({ data: hex(p2prec.packFrame('Announce', unhex(sealed))) }),

  open ({ sealed }) {
    return headDocument(p2prec.openHead(unhex(sealed)))
  },

  /** Questions as bytes, all at once. Each answer is its bytes, or why there is none. */
  async exchange ({ peer, questions }) {
    const answers = await Promise.allSettled(questions.map(question => exchange(peer, unhex(question))))
    return { answers: answers.map(one => one.status === 'fulfilled' ? hex(one.value) : `${one.reason.name}`) }
  },

  /** A question of so many bytes, and whether the very same bytes came back. */
  async echo ({ peer, size }) {
    const question = new Uint8Array(size).fill(7)
    return { same: p2prec.same(await exchange(peer, question), question) }
  },

  /** Tell the peer of the messages that were on the topic lately, as the library would, and of one that never was. */
  async ihave ({ peer, unknown }) {
    const messageIDs = [...(pubsub.mcache.getGossipIDs(new Set([TOPIC])).get(TOPIC) ?? []), unhex(unknown)]
    const ihave = [{ topicID: TOPIC, messageIDs }]
    await sendControl(peer, { control: { ihave, iwant: [], graft: [], prune: [], idontwant: [] } })
    return { told: messageIDs.map(hex) }
  },

  /** A message as others' libraries might send it: without a signature, or with a false one. */
  async unsigned ({ peer, data, signature }) {
    const from = node.peerId.toMultihash().bytes
    const seqno = new Uint8Array(8).fill(signature ? 1 : 2)
    const message = { from, seqno, topic: TOPIC, data: unhex(data), ...(signature ? { signature: unhex(signature) } : {}) }
    await sendControl(peer, { messages: [message] })
    return {}
  },

  state () {
    return {
      peers: node.getPeers().map(String),
      mesh: pubsub.getMeshPeers(TOPIC),
      scores: Object.fromEntries(node.getPeers().map(peer => [String(peer), pubsub.getScore(String(peer))])),
      counts
    }
  },

  /** The example of the document, made anew by this side: lines that differ. */
  example ({ path }) {
    const block = readFileSync(path, 'utf8').split('```text\n')[1].split('```')[0]
    const said = Object.fromEntries(block.trim().split('\n').map(line => line.split(' = ').map(part => part.trim())))
    const made = example(said)
    return { lines: Object.keys(said).length, differ: Object.keys({ ...said, ...made }).filter(name => said[name] !== made[name]) }
  },

  quit: async () => {
    setImmediate(stop)
    return {}
  }
}

function example (said) {
  const author = new p2prec.Identity(unhex(said.seed))
  const item = { item: 'sku-1', name: 'Blue shirt', colour: 'blue', price_minor: 1999, currency: 'GBP' }
  const vector = unhex(said.vector)
  const made = new p2prec.Catalog(author, {
    platform: 'Asolo', version: 1700000000000, encoder: new Uint8Array(32).fill(0xab), items: [{ item, vector }]
  })
  const { body } = p2prec.open('head/1', made.sealed, 512)
  const question = p2prec.packFrame('AskHeads', new Uint8Array(32).fill(100))
  const empty = new Uint8Array()
  const lines = {
    'public key': author.publicKey,
    'packed item': made.entries[0].packed,
    'item key': made.entries[0].key,
    'vector hash': p2prec.sha256(vector),
    'record hash': made.entries[0].record,
    root: made.root,
    'head body': body,
    'head signature': p2prec.parse(made.sealed)[1],
    'sealed head': made.sealed,
    'Announce frame': p2prec.packFrame('Announce', made.sealed),
    'Heads digest': p2prec.headsDigest([made.sealed], []),
    'two empty leaves': p2prec.nodeHash(p2prec.leafHash(1, 0, empty), p2prec.leafHash(1, 1, empty)),
    'AskHeads frame': question,
    'on a stream': p2prec.join(new Uint8Array([question.length]), question)
  }
  const hexed = Object.fromEntries(Object.entries(lines).map(([name, value]) => [name, hex(value)]))
  return { ...hexed, seed: said.seed, vector: said.vector, 'peer id': author.peer }
}

const say = line => process.stdout.write(JSON.stringify(line) + '\n')

async function stop () {
  await node.stop()
  process.exit(0)
}

pubsub.subscribe(TOPIC)
say({ ready: { peer: identity.peer, library: String(node.peerId), address: String(node.getMultiaddrs()[0]) } })
const lines = createInterface({ input: process.stdin })
lines.on('line', async line => {
  const { id, do: name, ...fields } = JSON.parse(line)
  try {
    say({ id, ok: await commands[name](fields) })
  } catch (error) {
    say({ id, error: `${error.name}: ${error.message}`, reason: error.reason ?? null })
  }
})
lines.on('close', stop)
