/**
 * Selectors: which signals a rule is about.
 *
 * ```
 * selector = "*" | part { "/" part }        each kind of part at most once
 * part     = kind ":" pattern
 * kind     = "device" | "signal" | "type" | "location"
 * pattern  = characters except "/"; "*" stands for any number of characters, "?" for one
 * ```
 * A part that is left out matches everything. Matching is by whole text and sensitive to case.
 */
import { z } from 'zod'
import { WeirError } from './errors.ts'
import { nearest } from './nearest.ts'

/** What a selector is matched against. */
export interface SelectorSubject {
  readonly deviceId: string
  readonly signal: string
  readonly deviceType?: string | undefined
  readonly location?: string | undefined
}

export type Selector = (subject: SelectorSubject) => boolean

const textCharsMax = 512
const kinds = ['device', 'signal', 'type', 'location'] as const
type Kind = (typeof kinds)[number]

const readSubject: Readonly<Record<Kind, (subject: SelectorSubject) => string>> = {
  device: (subject) => subject.deviceId,
  signal: (subject) => subject.signal,
  type: (subject) => subject.deviceType ?? '',
  location: (subject) => subject.location ?? '',
}

type Parts = ReadonlyMap<Kind, string>

function parse(text: string): Parts | { readonly problem: string } {
  if (text.length > textCharsMax) return { problem: `must have at most ${textCharsMax} characters` }
  const parts = new Map<Kind, string>()
  if (text === '*') return parts
  for (const part of text.split('/')) {
    const colon = part.indexOf(':')
    const name = colon < 0 ? part : part.slice(0, colon)
    const kind = kinds.find((candidate) => candidate === name)
    if (colon < 0 || kind === undefined) {
      const meant = colon < 0 ? undefined : nearest(name, kinds)
      const hint = meant === undefined ? '' : ` (did you mean "${meant}:"?)`
      return {
        problem: `must be "*" or parts device:, signal:, type: and location: joined by "/"; "${part}" is none${hint}`,
      }
    }
    if (parts.has(kind)) return { problem: `must have at most one part ${kind}:` }
    const pattern = part.slice(colon + 1)
    if (pattern === '') return { problem: `must have a pattern after ${kind}:; "*" matches everything` }
    parts.set(kind, pattern)
  }
  return parts
}

/** Selector in a configuration: text whose grammar is checked. */
export const selectorSchema = z.string().superRefine((text, context) => {
  const parts = parse(text)
  if ('problem' in parts) context.addIssue({ code: 'custom', message: parts.problem, input: text })
})

/**
 * Whether `text` matches `glob`, in which `*` stands for any number of characters and `?` for one. Only the last `*` is
 * ever gone back to, so the work is at most the product of the two lengths, and no glob makes it explode.
 */
export function matchesGlob(text: string, glob: string): boolean {
  let at = 0
  let from = 0
  let star = -1
  let starText = 0
  while (from < text.length) {
    if (glob[at] === '*') {
      star = at
      starText = from
      at += 1
    } else if (at < glob.length && (glob[at] === '?' || glob[at] === text[from])) {
      at += 1
      from += 1
    } else if (star >= 0) {
      starText += 1
      from = starText
      at = star + 1
    } else return false
  }
  while (glob[at] === '*') at += 1
  return at === glob.length
}

/** The matcher of a selector. Throws CONFIG_REFUSED where `selectorSchema` does not take it. */
export function compileSelector(text: string): Selector {
  const parts = parse(text)
  if ('problem' in parts) throw new WeirError('CONFIG_REFUSED', `selector ${JSON.stringify(text)}: ${parts.problem}`)
  const tests = [...parts].map(([kind, pattern]) => {
    const value = readSubject[kind]
    if (pattern === '*') return () => true
    return (subject: SelectorSubject) => matchesGlob(value(subject), pattern)
  })
  return (subject) => tests.every((test) => test(subject))
}

/** What rules have in common: `select` says for which signals, a lower `order` (default 100) is tried first. */
export interface SelectingRule {
  readonly select: string
  readonly order?: number | undefined
}

export const ruleOrderDefault = 100

export interface ChosenRule<Rule> {
  readonly id: string
  readonly rule: Rule
}

/** The rule for a signal, or undefined where none matches. The caller keeps the answer per device and signal. */
export type RuleChoice<Rule> = (subject: SelectorSubject) => ChosenRule<Rule> | undefined

/** Rules keyed by id: by rising `order`, ties by id, the first that matches wins. */
export function compileRules<Rule extends SelectingRule>(rules: Readonly<Record<string, Rule>>): RuleChoice<Rule> {
  const ordered = Object.entries(rules)
    .map(([id, rule]) => ({ id, rule, order: rule.order ?? ruleOrderDefault, matches: compileSelector(rule.select) }))
    .sort((a, b) => a.order - b.order || (a.id < b.id ? -1 : 1))
  return (subject) => {
    const found = ordered.find((candidate) => candidate.matches(subject))
    return found && { id: found.id, rule: found.rule }
  }
}
