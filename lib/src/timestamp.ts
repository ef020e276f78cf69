/** ISO 8601 times, cheaply: `Date` costs more than all else that is done with a row. */

const daysBeforeMonth = [0, 0, 31, 59, 90, 120, 151, 181, 212, 243, 273, 304, 334]
const daysInMonth = [0, 31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31]
const anyForm = /^\d{4}-\d\d-\d\dT(?:[01]\d|2[0-3]):\d\d(:\d\d(\.\d{1,9})?)?(Z|[+-]\d\d:\d\d)$/

/**
 * Unix milliseconds of `2026-11-21T10:00:00.000Z`, or of another ISO 8601 time with its zone; NaN of anything else.
 * What is finer than a millisecond is cut off.
 */
export function parseTimestamp(text: string): number {
  const exact = text.length === 24 ? parseExact(text) : Number.NaN
  if (!Number.isNaN(exact)) return exact
  return anyForm.test(text) && isRealDay(text) ? Date.parse(text) : Number.NaN
}

/** The form with 24 characters; NaN where it is not quite that. */
function parseExact(text: string): number {
  const separators =
    text.charCodeAt(4) === 45 &&
    text.charCodeAt(7) === 45 &&
    text.charCodeAt(10) === 84 &&
    text.charCodeAt(13) === 58 &&
    text.charCodeAt(16) === 58 &&
    text.charCodeAt(19) === 46 &&
    text.charCodeAt(23) === 90
  if (!separators) return Number.NaN
  const year = twoDigits(text, 0) * 100 + twoDigits(text, 2)
  const month = twoDigits(text, 5)
  const day = twoDigits(text, 8)
  const hour = twoDigits(text, 11)
  const minute = twoDigits(text, 14)
  const second = twoDigits(text, 17)
  const millisecond = twoDigits(text, 20) * 10 + digit(text, 22)
  const days = daysSinceEpoch(year, month, day)
  if (!(hour < 24 && minute < 60 && second < 60)) return Number.NaN
  return (((days * 24 + hour) * 60 + minute) * 60 + second) * 1000 + millisecond
}

function digit(text: string, index: number): number {
  const value = text.charCodeAt(index) - 48
  return value >= 0 && value <= 9 ? value : Number.NaN
}

function twoDigits(text: string, index: number): number {
  return digit(text, index) * 10 + digit(text, index + 1)
}

function isLeap(year: number): boolean {
  return year % 4 === 0 && (year % 100 !== 0 || year % 400 === 0)
}

/** Days from 1970-01-01 in the Gregorian calendar; NaN where there is no such day. */
function daysSinceEpoch(year: number, month: number, day: number): number {
  const leap = isLeap(year)
  const last = (daysInMonth[month] ?? 0) + (leap && month === 2 ? 1 : 0)
  if (!(year >= 1 && day >= 1 && day <= last)) return Number.NaN
  const before = year - 1
  const leapDays = Math.floor(before / 4) - Math.floor(before / 100) + Math.floor(before / 400)
  return 365 * before + leapDays - 719_162 + (daysBeforeMonth[month] ?? 0) + (leap && month > 2 ? 1 : 0) + day - 1
}

/** `Date.parse` takes the 31st of a shorter month for the next one's first. */
function isRealDay(text: string): boolean {
  return !Number.isNaN(daysSinceEpoch(Number(text.slice(0, 4)), Number(text.slice(5, 7)), Number(text.slice(8, 10))))
}
