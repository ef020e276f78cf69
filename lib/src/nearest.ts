/**
 * Number of characters to insert, delete, replace or swap with their neighbour to turn `a` into `b` (optimal string
 * alignment); more than `max` is told as `max` + 1.
 */
export function editDistance(a: string, b: string, max: number): number {
  if (Math.abs(a.length - b.length) > max) return max + 1
  let beforePrevious: number[] = []
  let previous = Array.from({ length: b.length + 1 }, (_, index) => index)
  for (let i = 1; i <= a.length; i++) {
    const current = [i]
    for (let j = 1; j <= b.length; j++) {
      const replaced = at(previous, j - 1) + (a[i - 1] === b[j - 1] ? 0 : 1)
      let distance = Math.min(replaced, at(previous, j) + 1, at(current, j - 1) + 1)
      const swapped = i > 1 && j > 1 && a[i - 1] === b[j - 2] && a[i - 2] === b[j - 1]
      if (swapped) distance = Math.min(distance, at(beforePrevious, j - 2) + 1)
      current.push(distance)
    }
    beforePrevious = previous
    previous = current
  }
  return Math.min(at(previous, b.length), max + 1)
}

function at(row: readonly number[], index: number): number {
  return row[index] ?? Number.POSITIVE_INFINITY
}

const lengthMax = 64

/** The candidate that `name` most likely stands for: equal but for case, or few typing errors away; else undefined. */
export function nearest(name: string, candidates: readonly string[]): string | undefined {
  if (name.length > lengthMax) return undefined
  const lower = name.toLowerCase()
  const max = Math.max(1, Math.floor(name.length / 3))
  let best: string | undefined
  let bestDistance = max + 1
  for (const candidate of candidates) {
    const distance = editDistance(lower, candidate.toLowerCase(), max)
    if (distance < bestDistance) {
      best = candidate
      bestDistance = distance
    }
  }
  return best
}
