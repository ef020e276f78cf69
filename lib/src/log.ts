export type LogLevel = 'debug' | 'info' | 'warning' | 'error' | 'critical'

/** Log lines for people; normal operation is quiet. */
export interface Log {
  debug(text: string): void
  info(text: string): void
  warning(text: string): void
  error(text: string): void
  critical(text: string): void
}
