// p2prec's wire in JavaScript, written from docs/protocol.md alone. Section numbers are that page's.
// Nothing here knows libp2p, and nothing is shared with the Python code: what both agree on, the page says.

import { createHash, createPrivateKey, createPublicKey, sign, verify } from 'node:crypto'
import { decode, encode } from '@msgpack/msgpack'

export class WireError extends Error {
  constructor (reason, detail = '') {
    super(detail ? `${reason}: ${detail}` : reason)
    this.reason = reason
  }
}

export const hex = bytes => Buffer.from(bytes).toString('hex')
export const unhex = text => new Uint8Array(Buffer.from(text, 'hex'))
export const join = (...parts) => new Uint8Array(Buffer.concat(parts))
export const same = (one, other) => Buffer.compare(one, other) === 0
export const sha256 = (...parts) => {
  const hash = createHash('sha256')
  for (const part of parts) hash.update(part)
  return new Uint8Array(hash.digest())
}
const text = value => new TextEncoder().encode(value)

// -- 5. values ---------------------------------------------------------------------------------------------------------

const DEPTH_MAX = 8
export const pack = value => encode(value)

export function parse (packed) {
  let value
  try {
    value = decode(packed, { useBigInt64: true, maxExtLength: 0 })
  } catch (error) {
    throw new WireError('malformed', error.message)
  }
  checkPlain(value, DEPTH_MAX)
  return value
}

function checkPlain (value, depth) {
  if (value === null || ['string', 'number', 'bigint', 'boolean'].includes(typeof value) || value instanceof Uint8Array) return
  if (depth === 0) throw new WireError('malformed', 'nested too deep')
  if (Array.isArray(value)) return value.forEach(one => checkPlain(one, depth - 1))
  if (Object.getPrototypeOf(value) !== Object.prototype) throw new WireError('malformed', 'not a plain value')
  Object.values(value).forEach(one => checkPlain(one, depth - 1))
}

// Checks: each takes what msgpack gave and returns it, or throws.
const bytes = (least, most = least) => value => {
  if (!(value instanceof Uint8Array) || value.length < least || value.length > most) {
    throw new WireError('malformed', `not ${least} to ${most} bytes`)
  }
  return value
}
// 64-bit integers come as BigInt, shorter ones as numbers: one kind from here on.
const integer = (least, most) => value => {
  const whole = typeof value === 'bigint' || Number.isInteger(value)
  if (!whole || BigInt(value) < BigInt(least) || BigInt(value) > BigInt(most)) {
    throw new WireError('malformed', `not a number from ${least} to ${most}`)
  }
  return BigInt(value) <= BigInt(Number.MAX_SAFE_INTEGER) ? Number(value) : BigInt(value)
}
const string = (least, most) => value => {
  if (typeof value !== 'string' || text(value).length < least || text(value).length > most) {
    throw new WireError('malformed', `not ${least} to ${most} bytes of text`)
  }
  return value
}
const list = (check, most) => value => {
  if (!Array.isArray(value) || value.length > most) throw new WireError('malformed', `not a list of at most ${most}`)
  return value.map(check)
}
const row = (...checks) => value => {
  if (!Array.isArray(value) || value.length !== checks.length) throw new WireError('malformed', `not a row of ${checks.length}`)
  return checks.map((check, at) => check(value[at]))
}
const either = (...checks) => value => {
  for (const check of checks) {
    try { return check(value) } catch (error) { if (!(error instanceof WireError)) throw error }
  }
  throw new WireError('malformed', 'neither')
}
const exactly = wanted => value => {
  if (value !== wanted) throw new WireError('malformed', `not ${wanted}`)
  return value
}

// -- 1. identity -------------------------------------------------------------------------------------------------------

const ALPHABET = '123456789ABCDEFGHJKLMNPQRSTUVWXYZabcdefghijkmnopqrstuvwxyz'
const PEER_ID_PREFIX = unhex('002408011220')

export function peerId (publicKey) {
  const raw = join(PEER_ID_PREFIX, publicKey)
  let number = BigInt('0x' + hex(raw))
  let digits = ''
  while (number > 0n) {
    digits = ALPHABET[Number(number % 58n)] + digits
    number /= 58n
  }
  for (const byte of raw) {
    if (byte !== 0) break
    digits = '1' + digits
  }
  return digits
}

export class Identity {
  constructor (seed) {
    this.seed = seed
    this.key = createPrivateKey({ key: join(unhex('302e020100300506032b657004220420'), seed), format: 'der', type: 'pkcs8' })
    this.publicKey = new Uint8Array(createPublicKey(this.key).export({ format: 'der', type: 'spki' }).subarray(-32))
    this.peer = peerId(this.publicKey)
  }
}

// -- 8. sealed envelopes -----------------------------------------------------------------------------------------------

const OVERHEAD_BYTES = 106
const signed = (domain, body) => join(text('p2prec\0'), text(domain), text('\0'), body)

export function seal (identity, domain, body) {
  return pack([identity.publicKey, new Uint8Array(sign(null, signed(domain, body), identity.key)), body])
}

export function open (domain, sealed, sealedBytesMax) {
  if (sealed.length > sealedBytesMax) throw new WireError('too_big', `a sealed ${domain}`)
  const [publicKey, signature, body] = row(bytes(32), bytes(64), bytes(0, sealedBytesMax))(parse(sealed))
  if (body.length > sealedBytesMax - OVERHEAD_BYTES) throw new WireError('too_big', `a ${domain}`)
  const key = createPublicKey({ key: join(unhex('302a300506032b6570032100'), publicKey), format: 'der', type: 'spki' })
  if (!verify(null, signed(domain, body), key, signature)) throw new WireError('bad_signature')
  return { publicKey, body }
}

// -- 9. items ----------------------------------------------------------------------------------------------------------

const RECORD_BYTES_MAX = 4096
const VECTOR_BYTES_MAX = 2560
const ITEM_FIELDS = {
  item: string(1, 128),
  name: string(1, 512),
  description: string(0, 2000),
  brand: string(0, 96),
  category: string(0, 96),
  colour: string(0, 96),
  gender: either(...['', 'women', 'men', 'unisex', 'girls', 'boys', 'kids'].map(exactly)),
  price_minor: either(exactly(null), integer(0, 10 ** 13)),
  currency: value => {
    if (!/^([A-Z]{3})?$/.test(string(0, 3)(value))) throw new WireError('malformed', 'no currency')
    return value
  },
  image_url: string(0, 480),
  page_url: string(0, 480)
}

export function packItem (item) {
  const stated = Object.keys(ITEM_FIELDS).filter(field => item[field] !== undefined && item[field] !== '')
  const packed = pack(Object.fromEntries(stated.map(field => [field, item[field]])))
  parseItem(packed)
  return packed
}

export function parseItem (packed) {
  if (packed.length > RECORD_BYTES_MAX) throw new WireError('too_big', 'a record')
  const stated = parse(packed)
  if (stated === null || typeof stated !== 'object' || Array.isArray(stated) || stated instanceof Uint8Array) {
    throw new WireError('malformed', 'not an item record')
  }
  const item = {}
  for (const [field, value] of Object.entries(stated)) {
    if (!Object.hasOwn(ITEM_FIELDS, field)) throw new WireError('malformed', `a field ${field}`)
    item[field] = ITEM_FIELDS[field](value)
    // eslint-disable-next-line no-control-regex
    if (typeof value === 'string' && /[\x00-\x1f]/.test(value)) throw new WireError('malformed', 'a control character')
  }
  if (!item.item || !item.name) throw new WireError('malformed', 'an item needs an id and a name')
  if (item.price_minor === null) delete item.price_minor
  if ((item.price_minor === undefined) !== !item.currency) throw new WireError('malformed', 'half a price')
  return item
}

export function checkVector (vector, size) {
  if (vector.length === 0 || vector.length % 2 || vector.length > VECTOR_BYTES_MAX || (size && vector.length !== size)) {
    throw new WireError('bad_vector', `a vector of ${vector.length} bytes`)
  }
  if (vector.every(byte => byte === 0)) throw new WireError('bad_vector', 'all zeros')
}

export const itemKey = item => sha256(text(item)).subarray(0, 16)
export const recordHash = (packedItem, vectorHash) => sha256(unhex('02'), vectorHash, packedItem)

// -- 10. heads ---------------------------------------------------------------------------------------------------------

const HEAD_BYTES_MAX = 512
const HEAD = row(string(1, 96), integer(1, 2n ** 63n - 1n), bytes(32), integer(0, 4294967296), bytes(32), integer(0, 253402300800000))

export function sealHead (identity, { platform, version, root, count, encoder, at_ms: atMs }) {
  return seal(identity, 'head/1', pack([platform, version, root, count, encoder, atMs]))
}

export function openHead (sealed) {
  const { publicKey, body } = open('head/1', sealed, HEAD_BYTES_MAX)
  const [platform, version, root, count, encoder, atMs] = HEAD(parse(body))
  if (/[\p{C}\p{Z}]/u.test(platform.replaceAll(' ', ''))) throw new WireError('malformed', 'an unprintable platform')
  return { publisher: publicKey, platform, version, root, count, encoder, at_ms: atMs }
}

// -- 11. the tree ------------------------------------------------------------------------------------------------------

const ENTRY_BYTES = 48
const BUCKET_ITEMS_MAX = 128

export function depthOf (count) {
  return count <= 32 ? 0 : Math.floor((count - 1) / 32).toString(2).length
}

export function bucketOf (key, depth) {
  return depth === 0 ? 0 : Buffer.from(key).readUInt32BE(0) >>> (32 - depth)
}

export function leafHash (depth, bucket, entries) {
  const place = Buffer.alloc(5)
  place.writeUInt8(depth, 0)
  place.writeUInt32BE(bucket, 1)
  return sha256(unhex('00'), place, entries)
}

export const nodeHash = (left, right) => sha256(unhex('01'), left, right)

/** The hash of a node, from the row of hashes some levels below it. */
export function fold (hashes) {
  let nodes = chunks(hashes, 32)
  while (nodes.length > 1) nodes = chunks(nodes, 2).map(([left, right]) => nodeHash(left, right))
  return nodes[0]
}

function chunks (whole, size) {
  const parts = []
  for (let at = 0; at < whole.length; at += size) parts.push(whole.slice(at, at + size))
  return parts
}

// -- 6. frames ---------------------------------------------------------------------------------------------------------

export const FRAME_BYTES_MAX = 1048576
export const GOSSIP_BYTES_MAX = 60000
export const REASONS = [
  'malformed', 'too_big', 'bad_signature', 'bad_vector', 'bad_proof', 'misdirected', 'replayed', 'wrong_network',
  'too_many', 'not_allowed', 'over_budget', 'over_limit', 'expired', 'not_found', 'busy'
]
const head = bytes(1, HEAD_BYTES_MAX)
const wanted = row(bytes(16), bytes(32))
const packedItem = bytes(1, RECORD_BYTES_MAX)
const record = either(
  row(exactly(false), packedItem, bytes(1, VECTOR_BYTES_MAX)),
  row(exactly(true), packedItem, bytes(32))
)
const FRAMES = [
  null,
  ['AskHeads', 'Q', either(bytes(0), bytes(32))],
  ['Heads', 'A', bytes(32), list(head, 1000), list(row(head, head), 1000)],
  ['AskTree', 'Q', bytes(32), bytes(32), list(row(integer(1, 2 ** 28 - 1), integer(0, 27)), 8192)],
  ['TreeLevels', 'A', list(bytes(32, FRAME_BYTES_MAX), 8192)],
  ['AskFill', 'Q', bytes(32), bytes(32), list(row(integer(0, 2 ** 27 - 1), bytes(8), bytes(0, 1024)), 128)],
  ['Fill', 'A', list(either(exactly(null), row(bytes(0, 128), list(record, 128))), 128)],
  ['AskVectors', 'Q', bytes(32), list(wanted, 128)],
  ['VectorsAnswer', 'A', list(bytes(0, VECTOR_BYTES_MAX), 128)],
  ['Announce', 'G', head],
  ['Forked', 'G', head, head],
  ['AskQuery', 'Q', bytes(1, 4714)],
  ['QueryAnswer', 'A', bytes(1, 65642)],
  ['AskRecords', 'Q', bytes(32), list(wanted, 100)],
  ['Records', 'A', list(row(bytes(0, RECORD_BYTES_MAX), either(bytes(0), bytes(32))), 100)],
  ['Refused', 'A', either(...REASONS.map(exactly))]
]
const KINDS = Object.fromEntries(FRAMES.map((frame, kind) => [frame?.[0], kind]))

export const packFrame = (name, ...fields) => pack([KINDS[name], ...fields])

/** [name, ...fields] of a frame that is expected in this place: Q, A or G. */
export function parseFrame (packed, place) {
  if (packed.length > (place === 'G' ? GOSSIP_BYTES_MAX : FRAME_BYTES_MAX)) throw new WireError('too_big', 'a frame')
  const parts = parse(packed)
  const frame = Array.isArray(parts) && Number.isInteger(parts[0]) && parts[0] > 0 ? FRAMES[parts[0]] : undefined
  if (!frame || frame[1] !== place) throw new WireError('malformed', 'no frame for this place')
  const [name, , ...checks] = frame
  return [name, ...row(...checks)(parts.slice(1))]
}

export function headsDigest (heads, forks) {
  const listed = [...heads.map(one => sha256(one)), ...forks.map(([one, other]) => sha256(sha256(one), sha256(other)))]
  return sha256(...listed.sort(Buffer.compare))
}

/** The verified heads of a `Heads` answer. */
export function checkHeads (digest, heads, forks) {
  if (!same(headsDigest(heads, forks), digest)) throw new WireError('malformed', 'heads of another digest')
  if (!forks.every(fork => isFork(...fork))) throw new WireError('bad_proof', 'no fork')
  return heads.map(openHead)
}

// -- 12. sync: reading a catalog ---------------------------------------------------------------------------------------

const BUCKETS_ASKED = 16

/**
 * All items under a verified head, from nothing. `ask(name, ...fields)` gives the parsed answer. `bucketsMax` bounds how
 * many buckets are filled. Returns items with their hashes, and what it took.
 */
export async function readCatalog (ask, head, bucketsMax = Infinity) {
  const depth = depthOf(head.count)
  const took = { tree: 0, fill: 0 }
  let nodes = [[1, head.root]]
  for (let at = 0; at < depth;) {
    const levels = Math.min(at === 0 ? 8 : 4, depth - at)
    const below = []
    for (const part of chunks(nodes, 8192 >> levels)) {
      const [name, rows] = await ask('AskTree', head.publisher, head.root, part.map(([number]) => [number, levels]))
      took.tree++
      if (name !== 'TreeLevels' || rows.length !== part.length) throw new WireError('malformed', 'levels for other nodes')
      part.forEach(([number, known], place) => {
        const hashes = rows[place]
        if (hashes.length !== 32 << levels) throw new WireError('malformed', 'a level of the wrong size')
        if (!same(fold(hashes), known)) throw new WireError('bad_proof', 'a level that does not hash to its node')
        chunks(hashes, 32).forEach((hash, step) => below.push([number * 2 ** levels + step, hash]))
      })
    }
    nodes = below
    at += levels
  }
  const leaves = nodes.map(([number, hash]) => [number - 2 ** depth, hash]).slice(0, bucketsMax)
  const items = []
  while (leaves.length > 0) {
    const asked = leaves.slice(0, BUCKETS_ASKED)
    const [name, buckets] = await ask(
      'AskFill', head.publisher, head.root, asked.map(([bucket, leaf]) => [bucket, leaf.slice(0, 8), new Uint8Array()])
    )
    took.fill++
    if (name !== 'Fill' || buckets.length === 0 || buckets.length > asked.length) throw new WireError('malformed', 'buckets not asked for')
    buckets.forEach((fill, place) => {
      if (fill === null) throw new WireError('not_found', 'a bucket that the peer lacks')
      items.push(...readBucket(depth, ...asked[place], fill, items[0]?.vector.length))
    })
    leaves.splice(0, buckets.length)
  }
  return { depth, items, took }
}

/** The items of one bucket that was asked for whole, proven by its leaf's hash. */
function readBucket (depth, bucket, leaf, [gone, records], vectorBytes) {
  if (gone.length > 0) throw new WireError('malformed', 'something gone that was not there')
  const items = records.map(([changed, packed, vector]) => {
    if (changed) throw new WireError('malformed', 'a vector that is not here')
    checkVector(vector, vectorBytes)
    const item = parseItem(packed)
    return { key: itemKey(item.item), record: recordHash(packed, sha256(vector)), item, packed, vector }
  })
  items.sort((one, other) => Buffer.compare(one.key, other.key))
  items.forEach((one, at) => {
    if (at > 0 && same(items[at - 1].key, one.key)) throw new WireError('malformed', 'a record twice')
    if (bucketOf(one.key, depth) !== bucket) throw new WireError('malformed', 'an entry in the wrong bucket')
  })
  if (items.length > BUCKET_ITEMS_MAX) throw new WireError('malformed', 'a bucket of too many')
  if (!same(leafHash(depth, bucket, join(...items.map(one => join(one.key, one.record)))), leaf)) {
    throw new WireError('bad_proof', 'a bucket that does not hash to its leaf')
  }
  return items
}

/** A wanted record: its item, or null where the peer has none. */
export function checkRecord ([key, known], [packed, vectorHash]) {
  if (packed.length === 0) return null
  if (vectorHash.length !== 32) throw new WireError('malformed', 'half a record')
  if (!same(recordHash(packed, vectorHash), known)) throw new WireError('bad_proof', 'a record of another hash')
  const item = parseItem(packed)
  if (!same(itemKey(item.item), key)) throw new WireError('bad_proof', 'a record of another item')
  return item
}

/** Whether two sealed heads prove that their publisher says different things to different people. */
export function isFork (one, other) {
  const [first, second] = [openHead(one), openHead(other)]
  const facts = head => pack([head.platform, head.root, head.count, head.encoder, head.at_ms])
  return same(first.publisher, second.publisher) && first.version === second.version && !same(facts(first), facts(second))
}

// -- 13. queries, answers, receipts, cards -----------------------------------------------------------------------------

const SKEW_MS = 120000
const TIME = integer(0, 2n ** 53n)
const ANSWER = row(
  bytes(32),
  TIME,
  string(1, 64),
  list(row(bytes(32), integer(1, 2n ** 63n - 1n), bytes(32)), 200),
  list(row(integer(0, 199), string(1, 128), bytes(32), value => value), 100)
)

export function sealQuery (identity, query) {
  const { to, network, nonce, issued_ms: issued, expires_ms: expires, kind, subject, encoder, k } = query
  return seal(identity, 'query/1', pack([to, network, nonce, issued, expires, kind, subject, encoder, k]))
}

/** A sealed answer to a sealed query, checked as the one who asked does. */
export function openAnswer (sealed, sealedQuery, query) {
  const { publicKey, body } = open('answer/1', sealed, 65642)
  const [named, at, model, heads, items] = ANSWER(parse(body))
  for (const [head, , , score] of items) {
    if (head >= heads.length || typeof score !== 'number' || !Number.isFinite(score)) throw new WireError('malformed', 'a result')
  }
  if (!same(named, sha256(sealedQuery)) || !same(publicKey, query.to)) throw new WireError('misdirected', 'not an answer to this')
  if (at < query.issued_ms - SKEW_MS || at > query.expires_ms + SKEW_MS) throw new WireError('expired', 'an answer')
  if (items.length > query.k) throw new WireError('malformed', 'more than asked for')
  return { model, heads, items: items.map(([head, item, record, score]) => ({ publisher: heads[head][0], item, record, score })) }
}

export const packReceipt = (sealedQuery, sealedAnswer) => pack(['p2prec receipt 1', sealedQuery, sealedAnswer])

export function sealCard (identity, { encoder, vector, mix, nonce, issued_ms: issued, expires_ms: expires, consent, noise }) {
  // A float that is whole would be packed as an integer by this library.
  if (Number.isInteger(noise)) throw new Error('noise must not be whole here')
  return seal(identity, 'card/2', pack([encoder, vector, mix, nonce, issued, expires, consent, noise]))
}

// -- 6 and 12. serving a catalog of one's own --------------------------------------------------------------------------

/** A catalog of any size, held in memory, with its signed head. */
export class Catalog {
  constructor (identity, { platform, version, encoder, items }) {
    this.publisher = identity.publicKey
    this.entries = items.map(({ item, vector }) => {
      const packed = packItem(item)
      checkVector(vector)
      return { key: itemKey(item.item), record: recordHash(packed, sha256(vector)), packed, vector }
    })
    this.entries.sort((one, other) => Buffer.compare(one.key, other.key))
    this.depth = depthOf(items.length)
    const leaves = 2 ** this.depth
    this.nodes = new Array(2 * leaves)
    for (let bucket = 0; bucket < leaves; bucket++) this.nodes[leaves + bucket] = leafHash(this.depth, bucket, this.joined(bucket))
    for (let node = leaves - 1; node > 0; node--) this.nodes[node] = nodeHash(this.nodes[2 * node], this.nodes[2 * node + 1])
    this.root = this.nodes[1]
    this.sealed = sealHead(identity, { platform, version, root: this.root, count: items.length, encoder, at_ms: version })
  }

  bucket (bucket) {
    return this.entries.filter(one => bucketOf(one.key, this.depth) === bucket)
  }

  joined (bucket) {
    return join(...this.bucket(bucket).map(one => join(one.key, one.record)))
  }
}

/** The answer to a question, of a peer that holds one catalog or none. */
export function answer (question, catalog) {
  try {
    const [name, ...fields] = parseFrame(question, 'Q')
    if (name === 'AskHeads') {
      const heads = catalog ? [catalog.sealed] : []
      const digest = headsDigest(heads, [])
      return packFrame('Heads', digest, same(fields[0], digest) ? [] : heads, [])
    }
    if (!catalog || name === 'AskQuery' || !same(fields[0], catalog.publisher)) return packFrame('Refused', 'not_found')
    return packFrame(...answers[name](catalog, ...fields.slice(1)))
  } catch (error) {
    if (!(error instanceof WireError)) throw error
    return packFrame('Refused', error.reason)
  }
}

const answers = {
  AskTree (catalog, root, nodes) {
    if (nodes.reduce((sum, [, levels]) => sum + 2 ** levels, 0) > 8192) throw new WireError('too_big', 'hashes')
    if (!same(root, catalog.root)) return ['TreeLevels', []]
    return ['TreeLevels', nodes.map(([number, levels]) => {
      const first = number * 2 ** levels
      const hashes = catalog.nodes.slice(first, first + 2 ** levels)
      if (hashes.length !== 2 ** levels) throw new WireError('malformed', 'a node outside the tree')
      return join(...hashes)
    })]
  },

  AskFill (catalog, root, buckets) {
    return ['Fill', buckets.map(([bucket, leaf, have]) => {
      if (have.length % 8 || bucket >= 2 ** catalog.depth) throw new WireError('malformed', 'a bucket or its digests')
      if (!same(catalog.nodes[2 ** catalog.depth + bucket].slice(0, 8), leaf)) return null
      const entries = catalog.bucket(bucket)
      const digests = chunks(have, 8)
      const tail = one => one.key.slice(12, 16)
      const gone = digests.flatMap((digest, place) => entries.some(one => same(tail(one), digest.slice(0, 4))) ? [] : [place])
      const lacking = entries.filter(one => !digests.some(digest => same(digest, join(tail(one), one.record.slice(0, 4)))))
      return [new Uint8Array(gone), lacking.map(one => {
        const changed = digests.some(digest => same(digest.slice(0, 4), tail(one)))
        return [changed, one.packed, changed ? sha256(one.vector) : one.vector]
      })]
    })]
  },

  AskVectors (catalog, wanted) {
    return ['VectorsAnswer', wanted.map(([key, hash]) => {
      const entry = catalog.entries.find(one => same(one.key, key) && same(sha256(one.vector), hash))
      return entry ? entry.vector : new Uint8Array()
    })]
  },

  AskRecords (catalog, wanted) {
    return ['Records', wanted.map(([key, known]) => {
      const entry = catalog.entries.find(one => same(one.key, key) && same(one.record, known))
      return entry ? [entry.packed, sha256(entry.vector)] : [new Uint8Array(), new Uint8Array()]
    })]
  }
}
