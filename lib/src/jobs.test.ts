import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { ManualClock } from './clock.ts'
import { WeirError } from './errors.ts'
import { cutPages, Jobs } from './jobs.ts'
import { jobKeepMs, jobsMax } from './limits.ts'

async function settle(): Promise<void> {
  for (let turn = 0; turn < 10; turn++) await Promise.resolve()
}

const idOf = (answer: { [key: string]: unknown }) => String(answer['job'])

describe('pages', () => {
  it('join to the text, none is too long, and no character is cut', () => {
    fc.assert(
      fc.property(fc.string({ unit: 'binary' }), fc.integer({ min: 4, max: 40 }), (raw, bytesMax) => {
        const text = raw.toWellFormed()
        const pages = cutPages(text, bytesMax)
        expect(pages.join('')).toBe(text)
        for (const page of pages) {
          expect(Buffer.byteLength(page)).toBeLessThanOrEqual(bytesMax)
          expect(page.isWellFormed()).toBe(true)
        }
      }),
    )
  })
})

describe('a job', () => {
  it('tells its progress, then its result page by page', async () => {
    const jobs = new Jobs(new ManualClock())
    const { promise, resolve } = Promise.withResolvers<string>()
    const id = idOf(
      jobs.start('export', (context) => {
        context.progress('half')
        return promise
      }),
    )
    await settle()
    expect(jobs.status(id, undefined)).toMatchObject({ state: 'running', progress: 'half', pages: 0 })
    const long = 'é'.repeat(100_000)
    resolve(long)
    await settle()
    const { pages } = jobs.status(id, undefined)
    const texts = Array.from({ length: Number(pages) }, (_, page) => String(jobs.status(id, page)['page']))
    expect(JSON.parse(texts.join(''))).toBe(long)
    expect(() => jobs.status(id, Number(pages))).toThrow(`page ${pages} does not exist`)
  })

  it('that fails says why', async () => {
    const jobs = new Jobs(new ManualClock())
    const id = idOf(
      jobs.start('export', () => {
        throw new WeirError('COMMAND_FAILED', 'export: no such device')
      }),
    )
    await settle()
    expect(jobs.status(id, undefined)).toMatchObject({ state: 'failed', error: 'export: no such device' })
  })

  it('that is cancelled is told so, and stays cancelled', async () => {
    const jobs = new Jobs(new ManualClock())
    let aborted = false
    const { promise, resolve } = Promise.withResolvers<number>()
    const id = idOf(
      jobs.start('export', ({ signal }) => {
        signal.addEventListener('abort', () => {
          aborted = true
        })
        return promise
      }),
    )
    await settle()
    expect(jobs.cancel(id)).toMatchObject({ state: 'cancelled' })
    expect(aborted).toBe(true)
    resolve(1)
    await settle()
    expect(jobs.status(id, undefined)).toMatchObject({ state: 'cancelled' })
  })

  it('is kept ten minutes after its end, and no more than a few are held', async () => {
    const clock = new ManualClock()
    const jobs = new Jobs(clock)
    const ids = Array.from({ length: jobsMax }, () => idOf(jobs.start('quick', async () => 1)))
    await settle()
    expect(() => jobs.start('quick', async () => 1)).toThrow(expect.objectContaining({ code: 'COMMAND_FAILED' }))
    clock.advance(jobKeepMs + 1)
    expect(() => jobs.status(ids[0] ?? '', undefined)).toThrow(expect.objectContaining({ code: 'COMMAND_UNKNOWN' }))
    jobs.start('quick', async () => 1)
  })
})
