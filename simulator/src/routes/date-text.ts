const isoDate = /^(\d{4})-(\d\d)-(\d\d)T(\d\d):(\d\d):(\d\d)(.*)$/s
const timeZone = /^(?:[Zz]|(?:[+-]\d\d)?:?(?:\d\d)?)$/
const microsoftDate = /^\/Date\(-?\d{1,19}(?:[+-]\d{2,4})?\)\/$/

/**
 * Whether Newtonsoft's JSON reader makes a date of a text: `yyyy-MM-ddTHH:mm:ss`, an optional fraction, an optional
 * zone, 19 to 40 characters; or `/Date(milliseconds)/`.
 */
export function isDateText(text: string): boolean {
  if (text.startsWith('/')) return microsoftDate.test(text)
  if (text.length < 19 || text.length > 40) return false
  const match = isoDate.exec(text)
  if (match === null) return false
  const [, year, month, day, hour, minute, second, rest = ''] = match
  if (!isCalendarDay(Number(year), Number(month), Number(day))) return false
  if (Number(minute) > 59 || Number(second) > 59) return false
  // At most seven digits are the fraction; the reader tries the rest as a zone.
  const fraction = /^\.\d{1,7}/.exec(rest)?.[0] ?? ''
  if (fraction === '' && rest.startsWith('.')) return false
  const midnight = Number(minute) === 0 && Number(second) === 0 && /^\.?0*$/.test(fraction)
  if (Number(hour) > 23 && !(Number(hour) === 24 && midnight)) return false
  return timeZone.test(rest.slice(fraction.length))
}

function isCalendarDay(year: number, month: number, day: number): boolean {
  if (year < 1 || month < 1 || month > 12 || day < 1) return false
  const leap = year % 4 === 0 && (year % 100 !== 0 || year % 400 === 0)
  const days = [31, leap ? 29 : 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31][month - 1]
  return days !== undefined && day <= days
}
