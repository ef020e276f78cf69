/** Orders of one and two registers, which stand for those of four as well: `CDAB` is there `GHEFCDAB`. */
export const wordOrders = ['ABCD', 'BADC', 'CDAB', 'DCBA'] as const
export type WordOrder = (typeof wordOrders)[number]

/** Orders of four registers: bytes, registers and halves swapped or not, in every combination. */
export const longOrders = [
  'ABCDEFGH',
  'BADCFEHG',
  'CDABGHEF',
  'DCBAHGFE',
  'EFGHABCD',
  'FEHGBADC',
  'GHEFCDAB',
  'HGFEDCBA',
] as const
export const byteOrders = [...wordOrders, ...longOrders] as const
export type ByteOrder = (typeof byteOrders)[number]

const longOf: Record<WordOrder, (typeof longOrders)[number]> = {
  ABCD: 'ABCDEFGH',
  BADC: 'BADCFEHG',
  CDAB: 'GHEFCDAB',
  DCBA: 'HGFEDCBA',
}

function isWordOrder(order: ByteOrder): order is WordOrder {
  return order.length === 4
}

export function isLongOrder(order: ByteOrder): boolean {
  return !isWordOrder(order)
}

/** true: the two bytes of each register are swapped. */
export function swapsBytes(order: ByteOrder): boolean {
  return order.indexOf('A') % 2 === 1
}

/**
 * Where the bytes of a value lie, from its highest to its lowest: `placesOf('CDAB', 2)` is 2, 3, 0, 1.
 * @param registers 1, 2 or 4; an order of eight letters needs 4.
 */
export function placesOf(order: ByteOrder, registers: number): number[] {
  if (registers === 1) return swapsBytes(order) ? [1, 0] : [0, 1]
  const letters = registers === 4 && isWordOrder(order) ? longOf[order] : order
  return Array.from({ length: registers * 2 }, (_, at) => letters.indexOf('ABCDEFGH'.charAt(at)))
}
