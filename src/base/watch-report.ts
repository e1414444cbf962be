/**
 * The lines that a worker's watchdog writes for the parent. They have a pipe of their own: native code may keep the main
 * thread from sending messages for as long as a batch lasts.
 */

/** The file descriptor of the pipe in a worker. */
export const REPORT_FD = 4;

/** What one request may take, beyond what the worker took before it. */
export interface WorkLimit {
  /** Processor time, so that a busy machine refuses nothing. */
  readonly cpuMs: number;
  readonly bytes: number;
}

/** A line of the watchdog: how much memory the worker has now, or that it passed the limit of its request and is ending. */
export type WatchReport =
  | { readonly kind: 'memory'; readonly bytes: number }
  | { readonly kind: 'over'; readonly what: 'memory' | 'time' };

/** Writes a report as a line. */
export function reportLine(report: WatchReport): string {
  return report.kind === 'memory' ? `memory ${report.bytes}\n` : `over ${report.what}\n`;
}

/** Reads a line; undefined for any other text. */
export function readReport(line: string): WatchReport | undefined {
  const [kind, rest = ''] = line.split(' ');
  if (kind === 'memory' && /^\d+$/.test(rest)) return { kind, bytes: Number(rest) };
  if (kind === 'over' && (rest === 'memory' || rest === 'time')) return { kind, what: rest };
  return undefined;
}
