/** Random numbers of a run, the same for the same seed. */

/** 32 bits of a text (FNV-1a). */
function hashText(text: string): number {
  let hash = 0x811c9dc5
  for (const byte of Buffer.from(text)) hash = Math.imul(hash ^ byte, 0x01000193)
  return hash >>> 0
}

/** Numbers from 0 to below 1 (mulberry32). `purpose` gives each use a sequence of its own. */
export function seededRandom(seed: number, purpose: string): () => number {
  let state = hashText(`${seed} ${purpose}`)
  return () => {
    state = (state + 0x6d2b79f5) | 0
    let mixed = Math.imul(state ^ (state >>> 15), 1 | state)
    mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)) ^ mixed
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32
  }
}
