/** A gate in one line, for a terminal. */
import { shown } from '../base/errors.js';
import type { GateFinding, GateResult } from './gate-settings.js';

/**
 * A gate in one line: how it was judged, the column that is worst, what was measured, the limit and the baseline.
 * `label` names the baseline.
 */
export function gateLine(
  { gate, status, unit, compared, findings }: GateResult,
  label: string | undefined,
): string {
  const [worst] = findings;
  if (worst === undefined) return `${status}  ${gate}`;
  const column = worst.column === null ? '' : ` ${shown(worst.column, 60)}`;
  const name = `${status.padEnd(7)} ${gate}${column}`;
  if (worst.measured === null) return `${name}: ${worst.reason ?? ''}`;
  const say = (value: number): string => sayNumber(value, unit);
  const limit = worst.limit === null ? '' : ` (limit ${say(worst.limit)})`;
  const before = compared && label !== undefined ? sayBaseline(worst, label, say) : '';
  const reason = worst.reason === null ? '' : `; ${worst.reason}`;
  const others = findings.filter((finding) => finding.status === status).length - 1;
  const more = others > 0 && (status === 'fail' || status === 'warn') ? `; and ${others} more` : '';
  return `${name}: ${say(worst.measured)}${limit}${before}${reason}${more}`;
}

function sayBaseline(
  { baseline }: GateFinding,
  label: string,
  say: (value: number) => string,
): string {
  return ` against ${baseline === null ? '' : `${say(baseline)} of `}${shown(label)}`;
}

function sayNumber(value: number, unit: GateResult['unit']): string {
  if (unit === 'share') return `${Number((value * 100).toPrecision(3))} %`;
  if (unit === 'rows') return value.toLocaleString('en-US');
  return String(Number(value.toPrecision(4)));
}
