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
      offlineAtS: undefined,
      offlineForS: undefined,
      faultsFile: undefined,
      hubTier: undefined,
      hubUnits: 1,
      coolOffS: 10,
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

  test('take faults, and the limits of a hub', () => {
    expect(
      options('--offline-at', '20', '--offline-for=2.5', '--faults', 'f.json', '--hub-tier', 's1', '--hub-units', '2'),
    ).toMatchObject({ offlineAtS: 20, offlineForS: 2.5, faultsFile: resolve('f.json'), hubTier: 'S1', hubUnits: 2 })
    expect(options('--offline-at', '0', '--hub-tier', 'off', '--cool-off', '0.5')).toMatchObject({
      offlineAtS: 0,
      offlineForS: undefined,
      hubTier: undefined,
      coolOffS: 0.5,
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
    [['--offline-for', '5'], '--offline-for 5: expected --offline-at with it'],
    [['--offline-at', '-1'], '--offline-at -1: expected a number from 0'],
    [['--faults'], '--faults: expects FILE.json'],
    [['--hub-tier', 'F1'], '--hub-tier F1: expected S1, S2, S3 or off'],
    [['--hub-units', '0'], '--hub-units 0: expected a whole number from 1'],
    [['--cool-off', 'soon'], '--cool-off soon: expected a number from 0'],
    [['60'], '60: options only are expected'],
  ])('%j is refused with the option and what is expected', (args, problem) => {
    expect(() => parseOptions(args)).toThrow(WeirError)
    expect(() => parseOptions(args)).toThrow(problem)
  })

  test('are all in the help', () => {
    expect(parseOptions(['--help', '--seed', 'x'])).toEqual({ help: true })
    const names = ['duration', 'report', 'upstream-out', 'manifest', 'twin', 'plant', 'seed', 'state', 'port']
    const ofFaults = ['offline-at', 'offline-for', 'faults', 'hub-tier', 'hub-units', 'cool-off']
    for (const name of [...names, ...ofFaults]) {
      expect(usage).toContain(`--${name}`)
    }
  })
})
