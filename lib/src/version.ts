import packageJson from '../package.json' with { type: 'json' }

/** Version of Weir: of lib and of every module, since they are released together. */
export const weirVersion: string = packageJson.version
