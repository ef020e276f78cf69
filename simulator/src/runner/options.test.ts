import { resolve } from 'node:path'
import { WeirError } from '@weir/lib/errors'
import { describe, expect, test } from 'vitest'
import { parseOptions, type RunOptions, usage } from './options.ts'

function options(...args: string[]): RunOptions {
  const parsed = parseOptions(args)
  if (parsed.help) throw new Error('help was asked for')
  return parsed.options
}

describe('the options of npm start', () => {
  test('default to the default plant, port 8883 and a run without end', () => {
    expect(options()).toEqual({
      durationS: undefined,
      reportFile: undefined,
      upstreamFolder: undefined,
      manifestFile: undefined,
      twinFiles: [],
      plant: 'default',
      replaySpeed: 1,
      seed: 1,
      stateFolder: undefined,
      port: 8883,
      bundles: false,
    })
  })

  test('are taken with a space or an equals sign; paths from where the command was given', () => {
    expect(
      options('--duration', '60', '--report=r.json', '--seed', '7', '--plant', 'x.csv', '--bundles'),
    ).toMatchObject({
      durationS: 60,
      reportFile: resolve('r.json'),
      seed: 7,
      plant: resolve('x.csv'),
      bundles: true,
    })
  })

  test('lay several twins over the manifest', () => {
    expect(options('--twin', 'a=1.json', '--twin=b=2=3.json').twinFiles).toEqual([
      { module: 'a', file: resolve('1.json') },
      { module: 'b', file: resolve('2=3.json') },
    ])
  })

  test.each([
    [['--duraton', '5'], '--duraton: unknown option (did you mean --duration?)'],
    [['--xyzzyplugh'], '--xyzzyplugh: unknown option;'],
    [['--duration'], '--duration: expects SECONDS'],
    [['--report', '--seed', '1'], '--report: expects FILE.json'],
    [['--duration', 'long'], '--duration long: expected a number from 1'],
    [['--duration', '0'], '--duration 0: expected a number from 1'],
    [['--seed', '1.5'], '--seed 1.5: expected a whole number'],
    [['--port', '70000'], '--port 70000: expected a whole number from 0 to 65535'],
    [['--twin', 'aggregator'], '--twin aggregator: expected MODULE=FILE.json'],
    [['--plant', 'big'], '--plant big: expected none, default or a .csv file'],
    [['--bundles=yes'], '--bundles: takes no value'],
    [['--report='], '--report: expects FILE.json'],
    [['60'], '60: options only are expected'],
  ])('%j is refused with the option and what is expected', (args, problem) => {
    expect(() => parseOptions(args)).toThrow(WeirError)
    expect(() => parseOptions(args)).toThrow(problem)
  })

  test('are all in the help', () => {
    expect(parseOptions(['--help', '--seed', 'x'])).toEqual({ help: true })
    for (const name of ['duration', 'report', 'upstream-out', 'manifest', 'twin', 'plant', 'seed', 'state', 'port']) {
      expect(usage).toContain(`--${name}`)
    }
  })
})
