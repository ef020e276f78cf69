export const tables = ['coil', 'discrete', 'input', 'holding'] as const
export type Table = (typeof tables)[number]

export function isBitTable(table: Table): boolean {
  return table === 'coil' || table === 'discrete'
}
