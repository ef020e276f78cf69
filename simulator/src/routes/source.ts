import type { MessageSource } from './message.ts'
import { foldCase } from './text.ts'

const twinChangePath = '/twinChangeNotifications'
const modulesPath = '/messages/modules'

/** The path of a source as edgeHub names it, without a slash at its end. */
export function sourcePath(source: MessageSource): string {
  switch (source.kind) {
    case 'device':
      return '/messages'
    case 'twinChange':
      return twinChangePath
    case 'module':
      return source.output === undefined
        ? `${modulesPath}/${source.moduleId}`
        : `${modulesPath}/${source.moduleId}/outputs/${source.output}`
  }
}

/** The source that a path of that form names; undefined for any other path. */
export function parseSourcePath(path: string): MessageSource | undefined {
  if (path === '/messages') return { kind: 'device' }
  if (path === twinChangePath) return { kind: 'twinChange', moduleId: '$edgeHub' }
  const [, moduleId, output] = /^\/messages\/modules\/([^/]+)(?:\/outputs\/([^/]+))?$/.exec(path) ?? []
  return moduleId === undefined ? undefined : { kind: 'module', moduleId, output }
}

/**
 * What a FROM path matches by: the beginning of source paths, whole segments, in folded case. Stars and slashes at
 * its end mean nothing, so `/messages/modules/m/*` takes what `m` sends on any output and without one.
 */
export function fromPrefix(path: string): string {
  return foldCase(`${path.replace(/\**$/, '').replace(/\/*$/, '')}/`)
}

/** For comparing with `fromPrefix`. */
export function foldedSourcePath(source: MessageSource): string {
  return foldCase(`${sourcePath(source)}/`)
}

export const twinChangePrefix = fromPrefix(twinChangePath)
