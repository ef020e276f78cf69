import type { z } from 'zod'

/** A module's configuration, declared once: parser, defaults, JSON Schema, sample and README table come from it. */
export interface ConfigDeclaration<Config> {
  readonly module: string
  /** Strict objects only; every leaf has `.meta({ description })`; maps keyed by id, never arrays of things. */
  readonly schema: z.ZodType<Config>
  /** A working example, checked by a test and written to `sample.json`. */
  readonly sample: unknown
  /** Rules across fields. Each problem is `path: value expectation`, e.g. `devices/press-4/signals/temp: …`. */
  check?(config: Config): string[]
}
